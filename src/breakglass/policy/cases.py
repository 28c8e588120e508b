"""``cases.yaml`` of a bundle: example requests, each with the answer that maintainers want.

The file is part of the bundle, so whoever signs the rules signs what they must answer.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from breakglass.error_names import ErrorName
from breakglass.policy import yaml_fields
from breakglass.policy.bundle import CASES_FILE
from breakglass.policy.facts import OTHER
from breakglass.policy.glass import Glass
from breakglass.policy.yaml_nodes import Fields, Node, Place, parse_yaml, wrong
from breakglass.records.grant import Path
from breakglass.records.signing.signature import Factor

CASES_AT_MOST = 500
_WANTED = re.compile(r"allowed|needs [1-9][0-9]?|refused( [a-z_]{1,40})?", re.ASCII)
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", re.ASCII)


class CaseDo(StrEnum):
    """What is done in a case; a machine acts by its name in ``who``."""

    BREAK = "break"
    ASK = "ask"
    DRILL = "drill"
    MACHINE = "machine"

    @property
    def path(self) -> Path:
        """The path of a grant that is asked for so."""
        return _PATHS[self]


_PATHS = {
    CaseDo.BREAK: Path.GLASS,
    CaseDo.ASK: Path.JIT,
    CaseDo.DRILL: Path.DRILL,
    CaseDo.MACHINE: Path.MACHINE,
}


class Source(StrEnum):
    """Whose word an incident is: an outside source's, or the responder's own."""

    OUTSIDE = "outside"
    OWN = "own"


@dataclass(frozen=True)
class CaseIncident:
    """The incident of a case."""

    severity: str
    source: Source = Source.OUTSIDE
    open: bool = True

    def __str__(self) -> str:
        return f"{self.severity}, {self.source}, {'open' if self.open else 'closed'}"


@dataclass(frozen=True)
class Case:
    """One request and the answer that is wanted: ``allowed``, ``needs N``, ``refused [NAME]``.

    What is left out is what an honest client sends: the glass's least factor, signed just now, its
    longest life, all that the named minter may give, and the moment at which the case is run.
    """

    name: str
    who: str
    glass: str
    wanted: str
    do: CaseDo = CaseDo.BREAK
    incident: CaseIncident | None = None
    factor: Factor | None = None
    signed_ago: timedelta = timedelta(0)
    at: datetime | None = None
    for_: timedelta | None = None
    ahead: timedelta | None = None
    minter: str = ""
    act: str = ""
    ticket: str = ""
    reason: str = OTHER
    network: str = ""
    approvals: tuple[str, ...] = ()
    suspended: tuple[str, ...] = ()
    mfa_down: bool = False
    place: Place = field(default=Place(CASES_FILE), repr=False, compare=False)


NEED = ("who", "glass", "wanted")
MAY = (
    "do", "incident", "factor", "signed_ago", "at", "for", "ahead", "minter", "act", "ticket",
    "reason", "network", "approvals", "suspended", "mfa_down",
)  # fmt: skip


@dataclass(frozen=True)
class CaseNames:
    """What a case may name; a slip of the pen would be refused, as perhaps wanted.

    ``people`` are by each of their names.
    """

    people: Collection[str]
    machines: Collection[str]
    glasses: Mapping[str, Glass]
    networks: Collection[str]
    reasons: Collection[str]


def parse_cases(files: Mapping[str, bytes], known: CaseNames) -> dict[str, Case]:
    """Read ``cases.yaml``, if the bundle has one.

    Args:
        files: of the bundle.
        known: names of the bundle.

    Raises:
        MalformedError: with file, line and column.
    """
    if CASES_FILE not in files:
        return {}
    root = parse_yaml(CASES_FILE, files[CASES_FILE])
    at = yaml_fields.fields(root, "a file of cases", need=("cases",))
    return yaml_fields.named(
        at["cases"], "cases", lambda name, each: _case(name, each, known), most=CASES_AT_MOST
    )


def _case(name: str, node: Node, known: CaseNames) -> Case:
    at = yaml_fields.fields(node, "a case", need=NEED, may=MAY)
    wanted = yaml_fields.scalar(at["wanted"], "an answer")
    if not _WANTED.fullmatch(wanted):
        raise wrong(at["wanted"], "'allowed', 'needs 1', 'refused' or 'refused not_listed'")
    if wanted.startswith("refused ") and wanted.split()[1] not in set(ErrorName):
        raise wrong(at["wanted"], "the name of a refusal", name=ErrorName.UNKNOWN_NAME)
    asker = yaml_fields.word(at["who"])
    if wanted not in {"refused unknown_person", "refused unknown_machine"}:
        _one_of(at["who"], {*known.people, *known.machines}, "a person or machine")
    glass = _one_of(at["glass"], known.glasses, "a glass")
    hours = timedelta(hours=12)
    return Case(
        name,
        asker,
        glass,
        wanted,
        do=yaml_fields.choice(at["do"], CaseDo) if "do" in at else CaseDo.BREAK,
        incident=_incident(at["incident"]) if "incident" in at else None,
        factor=yaml_fields.choice(at["factor"], Factor) if "factor" in at else None,
        signed_ago=_span(at, "signed_ago", hours) or timedelta(0),
        at=_moment(at["at"]) if "at" in at else None,
        for_=_span(at, "for", timedelta(days=7)),
        ahead=_span(at, "ahead", timedelta(days=30)),
        minter=_minted(at, "minter", known, wanted),
        act=_minted(at, "act", known, wanted),
        ticket=yaml_fields.word(at["ticket"]) if "ticket" in at else "",
        reason=_reason(at["reason"], known, wanted) if "reason" in at else OTHER,
        network=_one_of(at["network"], known.networks, "a network") if "network" in at else "",
        approvals=_each_of(at, "approvals", known.people, "a person"),
        suspended=_each_of(at, "suspended", _can_stop(known), "person:NAME or glass:NAME"),
        mfa_down=yaml_fields.flag(at["mfa_down"]) if "mfa_down" in at else False,
        place=at["wanted"].place,
    )


def _incident(node: Node) -> CaseIncident:
    if not isinstance(node, Fields):
        return CaseIncident(yaml_fields.severity(node))
    at = yaml_fields.fields(node, "an incident", need=("severity",), may=("source", "open"))
    return CaseIncident(
        yaml_fields.severity(at["severity"]),
        yaml_fields.choice(at["source"], Source) if "source" in at else Source.OUTSIDE,
        yaml_fields.flag(at["open"]) if "open" in at else True,
    )


def _span(at: Mapping[str, Node], name: str, most: timedelta) -> timedelta | None:
    return yaml_fields.span(at[name], timedelta(0), most) if name in at else None


def _one_of(node: Node, known: Collection[str], what: str) -> str:
    found = yaml_fields.word(node)
    if found not in known:
        raise wrong(
            node,
            f"{what} of this bundle",
            name=ErrorName.UNKNOWN_NAME,
            hint="name another or take the case out, commit, then the same again",
        )
    return found


def _reason(node: Node, known: CaseNames, wanted: str) -> str:
    if wanted == "refused unknown_reason":
        return yaml_fields.code(node)
    return _one_of(node, {*known.reasons, OTHER}, "a coded reason")


def _minted(at: Mapping[str, Node], name: str, known: CaseNames, wanted: str) -> str:
    if name not in at:
        return ""
    if wanted == f"refused wrong_{name}":
        return yaml_fields.handle(at[name])
    mints = [mint for glass in known.glasses.values() for mint in glass.mints]
    if name == "minter":
        return _one_of(at[name], {mint.minter for mint in mints}, "a minter")
    return _one_of(at[name], {act for mint in mints for act in mint.acts}, "an act")


def _each_of(
    at: Mapping[str, Node], name: str, known: Collection[str], what: str
) -> tuple[str, ...]:
    if name not in at:
        return ()
    return yaml_fields.items(at[name], lambda node: _one_of(node, known, what), most=64)


def _can_stop(known: CaseNames) -> set[str]:
    who = {f"person:{name}" for name in (*known.people, *known.machines)}
    return who | {f"glass:{name}" for name in known.glasses}


def _moment(node: Node) -> datetime:
    expected = "a time such as 2026-12-24T03:14:00Z"
    found = yaml_fields.scalar(node, expected)
    try:
        if not _TIME.fullmatch(found):
            raise ValueError(found)
        return datetime.strptime(found, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise wrong(node, expected) from error
