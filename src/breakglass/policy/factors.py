"""What counts as two factors, and the path for the day on which MFA itself is down."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from breakglass.error_names import ErrorName
from breakglass.policy import yaml_fields
from breakglass.policy.people import Directory, person
from breakglass.policy.yaml_nodes import Node, wrong
from breakglass.records.signing.key_types import SOFTWARE_TYPES
from breakglass.records.signing.signature import Factor

MFA_DOWN = ".mfa-down"
"""Ends the name of the glass that stands in while MFA is down."""


class Kind(StrEnum):
    """A way of being there, as the bundle writes it."""

    SK_PRESENCE = "sk-presence"
    SK_VERIFIED = "sk-verified"
    PASSKEY = "passkey"


@dataclass(frozen=True)
class MfaDown:
    """The MFA-is-down path: which glasses, for how long, and who approves each use of it."""

    approved_by: str
    glasses: tuple[str, ...]
    for_: timedelta


@dataclass(frozen=True)
class Factors:
    """``fresh`` is the least factor that answers ``mfa_age``."""

    fresh: Factor = Factor.TWO
    down: MfaDown | None = None


def parse_factors(node: Node | None, directory: Directory) -> Factors:
    """Read ``factors:``.

    Raises:
        MalformedError: a class that the offline verifiers cannot tell apart, or a software key
            called two factors.
    """
    if node is None:
        return Factors()
    at = yaml_fields.fields(node, "factors", may=("two", "phishing_resistant", "down"))
    fresh = Factor.TWO
    if "two" in at:
        two = set(yaml_fields.items(at["two"], _kind, least=1))
        if Kind.PASSKEY not in two:
            # A card knows three classes only, and a passkey that never leaves its device is in the
            # strongest of them.
            raise wrong(at["two"], "'passkey' among them", "none")
        fresh = Factor.TWO if Kind.SK_PRESENCE in two else Factor.PHISHING_RESISTANT
    if "phishing_resistant" in at:
        strongest = set(yaml_fields.items(at["phishing_resistant"], _kind))
        if strongest != {Kind.SK_VERIFIED, Kind.PASSKEY}:
            raise wrong(at["phishing_resistant"], "[sk-verified, passkey]", "another list")
    return Factors(fresh, _down(at["down"], directory) if "down" in at else None)


def refuse_unknown_glasses(node: Node | None, factors: Factors, glasses: Collection[str]) -> None:
    """Check, once the glasses are read, that the MFA-is-down path names only known ones."""
    for name in factors.down.glasses if factors.down else ():
        if node is not None and name not in glasses:
            raise wrong(
                node,
                "glasses of this bundle in 'down.glasses'",
                repr(name),
                name=ErrorName.UNKNOWN_NAME,
            )


def _kind(node: Node) -> Kind:
    if yaml_fields.scalar(node, "a kind of factor") in {"software", *SOFTWARE_TYPES, "key"}:
        raise wrong(node, "a security key or passkey", hint="a software key is one factor")
    return yaml_fields.choice(node, Kind)


def _down(node: Node, directory: Directory) -> MfaDown:
    at = yaml_fields.fields(node, "the MFA-is-down path", need=("approved_by", "glasses", "for"))
    return MfaDown(
        person(at["approved_by"], directory),
        yaml_fields.items(at["glasses"], yaml_fields.handle, least=1),
        yaml_fields.span(at["for"], timedelta(minutes=1), timedelta(hours=1)),
    )
