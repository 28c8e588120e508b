"""What a stated reason speaks of: the gate itself, trouble in production, or a breakage upstream.

Lists of words buy little where they know the words and cost where they do not, so they only break
ties (DEVIANCE.md 3.6, 3.8). A reason may speak of several things, or of none.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_GATE = (
    r"flak[ey]|flakiness|intermittent|false (?:positive|alarm)|rerun|re-run|retry|"
    r"too slow|takes? (?:too long|\d+ ?(?:min|h))|slow (?:gate|check|bot|test|cq|queue)|"
    r"(?:merge|build|check|approval|gate|pipeline) queue|queue (?:over|of|for)|"
    r"backlog|wait(?:ed|ing)\b|time[sd]? ?out|timeout|stuck (?:bot|check|gate|cq)|"
    r"approver|sign-?off|no(?:body)? (?:one )?(?:from|to) (?:approve|review)|reviewer|"
    r"linter|lint\b|rules?\b|policy|check(?:s|er)?\b|gate\b|presubmit|"
    r"(?:try)?bots?|trybots?|buildbots?|infra|\bcq\b|commit queue|not (?:covered|tested) by|"
    r"wrong(?:ly)? (?:block|reject|fail)|unrelated"
)
_PRODUCTION = (
    r"5xx|outage|sev-?[12]|p[01]|production|prod|site down|50[0234]s? (?:at|for|from|on|to)|"
    r"(?:customers?|users?) (?:cannot|can't|see|wait|affected)|"
    r"(?:is|are|went|site|service) down|down for|unavailable|data loss|"
    r"disk (?:full|\d+)|out of (?:disk|memory|connections)|oom|failover|dlq|dead letters?|"
    r"latency|degrad\w+|incident|rollback|rolling \w+ back|mitigat\w+|"
    r"deadlock|errors? at|stalled|starved"
)
_BREAKAGE = (
    r"bustages?|bust(?:ed|s)?\b|un-?break\w*|broken?\b|breakages?|breaks?\b|burning|"
    r"perma-?(?:red|orange|fail\w*)|"
    r"(?:tree|build|bots?|waterfall) (?:is |are )?(?:red|closed|on fire)|"
    r"(?:build|compil\w+|link\w*|tests?|packag\w+)(?: \w+)? (?:errors?|fail\w*|problems?)|"
    r"fail(?:ing|ed|s|ures?)?\b|"
    r"(?:fix|repair|correct)\w*(?: \S+){0,4} (?:build|compil\w+|tests?|tree|bots?)\b|"
    r"port(?:ing|ed)?:? [^a-z]{0,3}bug|port (?:of )?m-c|(?:disable|skip)\w*(?: \S+){0,4} tests?\b|"
    r"(?:after|caused by|since|due to|because of|follow-?up (?:to|for|fix)) "
    r"(?:bug|r?\d+|upstream|[mc]-c)|"
    r"regressed by|missing (?:include|header|dep\w*)|mozmill|reftest"
)


class Speaks(NamedTuple):
    """Which matters one reason names."""

    gate: bool
    production: bool
    breakage: bool


_GATE_RE = re.compile(rf"\b(?:{_GATE})", re.IGNORECASE)
# A whole word each: a test called CheckoutFlowIT, a bug 500 are components, not troubles.
_PRODUCTION_RE = re.compile(rf"(?<![\w-])(?:{_PRODUCTION})(?![\w-])", re.IGNORECASE)
_BREAKAGE_RE = re.compile(rf"\b(?:{_BREAKAGE})", re.IGNORECASE)


@lru_cache(maxsize=65_536)
def speaks(reason: str) -> Speaks:
    """Return what ``reason`` names.

    >>> speaks("fix bustage on Windows after bug 575740")
    Speaks(gate=False, production=False, breakage=True)
    """
    return Speaks(
        gate=bool(_GATE_RE.search(reason)),
        production=bool(_PRODUCTION_RE.search(reason)),
        breakage=bool(_BREAKAGE_RE.search(reason)),
    )
