"""Bypasses and passages from commits: every change of the main line is one passage.

The main line is the chain of first parents in committer time, as in ``data/bypass``. A change that
came in by a merge brings the footers of its own commits, and where a machine merged it, its author.
Each gate's life begins with the first change; ``meta.json`` can be edited where it began later.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from breakglass.verdicts.history import Bypass, monday, quarter
from breakglass.verdicts.imports.git_log import Change, Unreadable
from breakglass.verdicts.imports.imported import LONGEST_REASON, Hit, Imported
from breakglass.verdicts.imports.masks import masked
from breakglass.verdicts.imports.rules import Rule, Rules, comments, footers, unquoted

AHEAD = timedelta(days=1)  # a clock may be a zone off; further ahead it is wrong
ALIKE = 200  # changes of one author that begin alike before we ask whether it is a machine
ALIKE_SHARE = 0.6
LARGEST_MERGE = 200  # commits; a larger merge joins branches and is no change of its own


@dataclass(slots=True)
class _Found:
    """The signs of one commit."""

    gates: dict[str, str]  # gate to the line
    by_footer: frozenset[str]
    signs: tuple[str, ...]
    reason: str
    incident: str
    sanctioned: bool


@dataclass(slots=True)
class _Graph:
    parents: dict[bytes, tuple[bytes, ...]] = field(default_factory=dict)
    at: dict[bytes, int] = field(default_factory=dict)
    person: dict[bytes, str] = field(default_factory=dict)
    found: dict[bytes, _Found] = field(default_factory=dict)
    start: dict[bytes, str] = field(default_factory=dict)  # how the subject begins, digits masked
    head: bytes = b""


def from_changes(
    changes: Iterable[Change | Unreadable],
    rules: Rules,
    who: Callable[[str], str],
    *,
    hidden: bool,
    now: datetime | None = None,
) -> Imported:
    """Return the history that ``rules`` see in ``changes``; bots are left out of both sides.

    Args:
        changes: the head first, as ``read_log`` gives them.
        rules: from ``read_rules``.
        who: from a person's name and address to the name to be written.
        hidden: people are taken out of reasons, too.
        now: changes dated later than this and a day are told and passed over.
    """
    found = Imported()
    graph, unread, late = _Graph(), list[str](), list[str]()
    words, starts = dict[str, str](), dict[str, str]()  # kept once, not once a commit
    for change in changes:
        if isinstance(change, Unreadable):
            unread.append(f"{change.commit[:12]} ({change.why})")
            continue
        key = bytes.fromhex(change.commit)
        graph.head = graph.head or key
        graph.parents[key] = tuple(bytes.fromhex(parent) for parent in change.parents)
        graph.person[key] = words.setdefault(change.person, change.person)
        if now is not None and change.at > now + AHEAD:
            late.append(f"{change.commit[:12]} ({change.at.date()})")
            continue
        graph.at[key] = int(change.at.timestamp())
        begins = re.sub(r"[\W\d_]+", " ", change.message[:60].partition("\n")[0]).split()[:2]
        start = " ".join(begins).lower()
        graph.start[key] = starts.setdefault(start, start)
        signs = _signs(change, rules)
        if signs is not None:
            graph.found[key] = signs
    found.tell("passed over, cannot be read", unread)
    found.tell("passed over, dated in the future", late)
    _count(graph, rules, who, found)
    _ask_about_machines(graph, rules, found)
    found.names = set(words)
    if hidden:
        found.events = masked(found.events, found.names)
        found.hits = [Hit(hit.where, hit.gate, "(hidden)") for hit in found.hits]
    return found


def _count(graph: _Graph, rules: Rules, who: Callable[[str], str], found: Imported) -> None:
    weeks: Counter[date] = Counter()
    seasons: dict[str, Counter[str]] = defaultdict(Counter)
    last: datetime | None = None
    robots = {person for person in set(graph.person.values()) if rules.is_bot(person)}
    for key, merged in _main_line(graph):
        if key not in graph.at:
            continue
        author = graph.person[key]
        if author in robots and merged:
            # The machine only pressed the button: the change is its author's.
            author = graph.person[merged[0]]
        at = datetime.fromtimestamp(graph.at[key], UTC)
        last = max(last or at, at)
        if author in robots:
            found.left_out += 1
            continue
        person = who(author)
        weeks[monday(at.date())] += 1
        seasons[quarter(at.date())][person] += 1
        _note(key, merged, graph, at, person, found)
    found.as_of = last
    for gate in rules.gates:
        found.passages[gate] = {week: float(n) for week, n in weeks.items()}
        found.people[gate] = {
            season: {name: float(n) for name, n in people.items()}
            for season, people in seasons.items()
        }


def _note(
    key: bytes,
    merged: list[bytes],
    graph: _Graph,
    at: datetime,
    person: str,
    found: Imported,
) -> None:
    """Write the bypasses of one change: its own signs, and the footers of what it merged."""
    taken: set[str] = set()
    for commit in (key, *merged):
        signs = graph.found.get(commit)
        if signs is None:
            continue
        found.seen.update(signs.signs)
        for gate, line in signs.gates.items():
            # "[skip ci]" of a merged commit skipped that commit's run, not the merge's.
            if gate in taken or (commit != key and gate not in signs.by_footer):
                continue
            taken.add(gate)
            found.hits.append(Hit(commit.hex()[:12], gate, line))
            found.events.append(
                Bypass(
                    id=f"{key.hex()[:12]}-{gate}",
                    time=at,
                    gate=gate,
                    person=person,
                    incident=signs.incident,
                    reason=signs.reason,
                    sanctioned=signs.sanctioned,
                )
            )


def _main_line(graph: _Graph) -> Iterator[tuple[bytes, list[bytes]]]:
    """Return the chain of first parents, oldest first, each with the commits that it merged."""
    line, key = [], graph.head
    while key in graph.parents:
        line.append(key)
        parents = graph.parents[key]
        key = parents[0] if parents else b""
    known = set(line)
    for key in reversed(line):
        merged: list[bytes] = []
        waiting = list(graph.parents[key][1:])
        while waiting:
            commit = waiting.pop()
            if commit in known or commit not in graph.parents:
                continue
            known.add(commit)
            merged.append(commit)
            waiting.extend(graph.parents[commit])
        yield key, merged if len(merged) <= LARGEST_MERGE else []


def _ask_about_machines(graph: _Graph, rules: Rules, found: Imported) -> None:
    """Note who lands hundreds of changes that begin alike, so that the owner may name a machine."""
    alike: dict[str, Counter[str]] = defaultdict(Counter)
    for key, start in graph.start.items():
        alike[graph.person[key]][start] += 1
    asked = []
    for person, starts in alike.items():
        start, n = starts.most_common(1)[0]
        if n >= ALIKE and n >= ALIKE_SHARE * sum(starts.values()) and not rules.is_bot(person):
            asked.append((n, f"'{person}' ({n} of {sum(starts.values())} begin '{start}')"))
    found.tell("is this a machine? then name it with --bot", [t for _, t in sorted(asked)[::-1]])


def _signs(change: Change, rules: Rules) -> _Found | None:
    text = unquoted(change.message)
    feet = footers(text)
    gates: dict[str, str] = {}
    by_footer, signs = set(), []
    for gate, rule_list in rules.gates.items():
        for rule in rule_list:
            line = rule.line_in(feet, text)
            if line is not None:
                gates.setdefault(gate, line)
                signs.append(f"{gate}: {rule.written}")
                by_footer |= {gate} if rule.footer else set()
    if not gates:
        return None
    reason = _told(rules.reason, feet, text) or comments(text) or text.split("\n")[0]
    incident = _told(rules.incident, feet, text)
    return _Found(
        gates=gates,
        by_footer=frozenset(by_footer),
        signs=tuple(signs),
        reason=" ".join(reason.split())[:LONGEST_REASON],
        incident=incident if incident.lower() not in {"none", "n/a", "-"} else "",
        sanctioned=any(rule.line_in(feet, text) is not None for rule in rules.sanctioned),
    )


def _told(signs: tuple[Rule, ...], feet: list[tuple[str, str]], text: str) -> str:
    """Return what the first sign that is there says: a footer's value, a pattern's first group."""
    for sign in signs:
        if sign.pattern is not None:
            match = sign.pattern.search(text)
            if match:
                return (match[1] if match.re.groups else match[0]) or ""
        for name, value in feet:
            if name == sign.footer and value and (not sign.value or sign.value.search(value)):
                return value.split(",")[0].strip()
    return ""
