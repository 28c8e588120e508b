"""Bypasses that a policy has approved, or would: a series of their own, shown but never judged.

In public commit queues two thirds to nearly all bypasses are reverts whose footers the review
tool adds by itself (DEVIANCE.md 2, fact 1). Where a record says ``sanctioned`` we believe it.
Beyond that only the fixed forms that tools and release scripts write are taken: a person who writes
"reverting the cart, customers cannot pay" is counted.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache

from breakglass.verdicts.history import Bypass


class Series(StrEnum):
    """Which line of the chart an event belongs to; only ``COUNTED`` is judged."""

    COUNTED = "counted"
    SANCTIONED = "sanctioned"
    ROUTINE = "routine"
    DRILL = "drill"
    MACHINE = "machine"
    DOCUMENTATION = "documentation"


_LEAD = r"^\W*(?:(?:no bug|bug \d+|automated checkin|automatic|auto|release)\b[\s:,.|-]*)*"
_FORMS = (
    # A revert or backout in the words of git, a review tool or Mercurial, naming what it undoes.
    _LEAD
    + r"revert(?:ed|ing)?\s+(?:[\"'“«|]|of\b|r?\d+|[0-9a-f]{7,}|changelist|cls?\b|commit|rev)",
    _LEAD + r"(?:re-?)?back(?:ed|ing)?[ -]?out\b"
    r".*(?:[0-9a-f]{7,}|bug|changeset|cset|cl\b|rev|part|patch)",
    _LEAD + r"back-?out\b",
    _LEAD + r"(?:manual(?:ly)? )?roll(?:s|ed|ing)?\b.*(?:\.\.|->|\bfrom\b|\brevision\b|\bdeps\b|→)",
    _LEAD + r"roll(?:s|ing)?\s+\S+(?:/\S+)+",
    # Release and merge-day steps.
    _LEAD
    + r".{0,40}\b(?:version bump|bump(?:s|ing|ed)? (?:the )?(?:\S+ )?version|versions? bumps?)\b",
    _LEAD + r"(?:bump|update|set|increment)\w*\s+(?:\S+\s+){0,3}versions?(?: numbers?)?"
    r"\s+(?:to|for|from)\b",
    _LEAD + r"(?:add(?:ed|ing)?|moving|mov(?:ed|ing)?) tags?\b",
    _LEAD + r"tagging\b",
    _LEAD + r"(?:merge day|merging? \S+ (?:to|into) \S+|merge (?:from|of) )",
    _LEAD + r".{0,30}\b(?:hsts|hpkp|blocklist|remote settings)\b.{0,30}\bupdate",
    _LEAD + r"update(?:s|d)? .{0,30}\b(?:l10n|localization|changesets?\.json|pinned revision)",
    r"^\W*(?:no bug\W+)?pin(?:ning)? (?:mozilla|comm|chromium|upstream)",
    r"^skipping cq checks because original cl landed",
    # The reason field of a review tool's revert button: what the undone change did to the builds.
    r"^\W*(?:speculative(?:ly)? revert|insert reason|suspect(?:ed|ing)? (?:this|of|that|to))",
    r"^\W*(?:(?:this|it|the|cl|change|patch) ){0,3}"
    r"(?:(?:seems?|appears?|likely|probably|also) (?:to )?)*"
    r"(?:broke|breaks?|breakes|breaking|caus(?:es|ed|ing))\b.{0,60}?\b(?:bots?|build(?:s|ers?|bots?)?|fyi|"
    r"chrom(?:e|ium)|downstream|upstream|internal|(?:auto)?roll\w*|imports?|trybots?|compil\w+|tests?|"
    r"perf|suites?|tree|waterfall|projects?)\b",
)
_DOCUMENTS = (
    r"(?:docs?|documentation|readmes?|changelogs?|man ?pages?|release notes?|code comments?|"
    r"docstrings?|javadocs?|translations?|licen[cs]e headers?)"
)
_WRITE = (
    r"(?:add|updat|fix|improv|correct|clarif|mend|edit|tweak|reword|remov|writ|revis|polish|"
    r"translat|minor|more|some|small|typos? in)\w{0,3}"
)
# Documents alone, said first: no check of the code needs to hold such a change up. The build of the
# documents, or a page of the product, is code.
_DOCUMENTATION = re.compile(
    rf"^\W*(?:no bug\W+)?(?:"
    rf"{_DOCUMENTS}\b\s*(?:\([^)]{{1,30}}\))?\s*(?:only\b|[:\]/.|-]|for\b|of\b)|"
    rf"\w+\(docs?\)\W|"
    rf"(?:{_WRITE}\W+){{1,3}}(?:\w+\W+){{0,3}}?{_DOCUMENTS}\b(?!\W+(?:build|test|bot|job|deploy))|"
    rf"typos?\b.{{0,30}}\b{_DOCUMENTS}\b|\S*\breadme\b)",
    re.IGNORECASE,
)
_ROUTINE = re.compile("|".join(f"(?:{form})" for form in _FORMS), re.IGNORECASE)


def series_of(event: Bypass) -> Series:
    """Return the line that ``event`` belongs to.

    >>> from datetime import UTC, datetime
    >>> at = datetime(2026, 6, 22, tzinfo=UTC)
    >>> series_of(Bypass("1", at, "g", "p", reason='Revert "Add the cart" (c0ffee12)')).value
    'routine'
    """
    if event.kind == "drill":
        return Series.DRILL
    if event.kind == "machine":
        return Series.MACHINE
    if event.sanctioned:
        return Series.SANCTIONED
    return _read(event.reason)


@lru_cache(maxsize=65_536)
def _read(reason: str) -> Series:
    if _ROUTINE.search(reason):
        return Series.ROUTINE
    return Series.DOCUMENTATION if _DOCUMENTATION.search(reason) else Series.COUNTED
