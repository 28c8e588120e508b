"""What a policy asks for and this installation cannot do: of this version, and of this very set-up.

A policy that waits for something which is not there is found out at 03:00. So it is refused by line
and column before anybody signs it, and before it takes force.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, RefusedError
from breakglass.policy.lint_finding import Desk, LintFinding
from breakglass.policy.not_built import refused_fields
from breakglass.policy.parse import Bundle
from breakglass.process.folder import SETTINGS


def not_offered(
    bundle: Bundle, org: Path | None, minters: Callable[[], Collection[str]] | None
) -> list[LintFinding]:
    """Return what ``bundle`` asks for that cannot be had here, in the order of the file.

    Args:
        bundle: as read.
        org: the organisation's folder; its monitor's channels are compared if they lie there.
        minters: asks the broker which minters it knows; if it does not answer they are not
            compared, as when there is none.
    """
    found = list(refused_fields(bundle))
    channels = None if org is None else channels_of_monitor(org)
    if channels is not None:
        unbuilt = {each.path.rpartition(".")[0] for each in found}
        names = secrets_of_monitor(org)
        found += [each for each in _channels(bundle, channels, names) if each.path not in unbuilt]
    if minters is not None:
        try:
            known = minters()
        except BreakglassError:
            known = None  # `policy check` works without a broker; `activate` needs one anyway
        if known is not None:
            found += _minters(bundle, known)
    return sorted(found, key=lambda each: (each.place.line, each.place.column, each.path))


def check_offered(found: Collection[LintFinding]) -> None:
    """Refuse what ``not_offered`` found.

    Raises:
        RefusedError: ``not_offered``, with the first place.
    """
    if found:
        first = next(iter(found))
        more = f" ({len(found) - 1} more)" if len(found) > 1 else ""
        raise RefusedError(
            f"{first}{more}; it cannot take force",
            name=ErrorName.NOT_OFFERED,
            hint="each place: breakglass policy check; what is to come:"
            " docs/reference/not-built-yet.md",
        )


def channels_of_monitor(org: Path) -> dict[str, str] | None:
    """Return the monitor's channels, name to type; ``None`` if its settings are not here."""
    try:
        text = (org / "monitor" / SETTINGS).read_text("utf-8")
        tables: dict[str, Any] = tomllib.loads(text).get("channels", {})
    except (OSError, ValueError):
        return None
    return {name: str(each.get("type", "")) for name, each in tables.items()}


def channels_of_policy(org: Path) -> dict[str, str]:
    """Return the channels of the policy that the monitor follows, name to type, if it is here."""
    try:
        kept = json.loads((org / "monitor" / "data" / "channels" / "policy.json").read_bytes())
        found = {name: (kind, target) for name, (kind, target, _) in kept["channels"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    there = secrets_of_monitor(org)
    return {
        name: str(kind)
        for name, (kind, target) in found.items()
        if not target.startswith("secret:") or target.removeprefix("secret:") in there
    }


def secrets_of_monitor(org: Path | None) -> frozenset[str]:
    """Return the names of the monitor's secrets; none where its folder cannot be read."""
    if org is None:
        return frozenset()
    try:
        return frozenset(each.name for each in (org / "monitor" / "secrets").iterdir())
    except OSError:
        return frozenset()


def _channels(
    bundle: Bundle, standing: dict[str, str], secrets: Collection[str]
) -> Iterator[LintFinding]:
    """Name each channel that the monitor has not, by its settings or by a secret of the policy."""
    desk = Desk(bundle)
    for name, channel in bundle.channels.items():
        made = not channel.secret or channel.secret in secrets  # a file needs none
        if standing.get(name) == channel.type.value or (name not in standing and made):
            continue
        there = ", ".join(f"{each} ({kind})" for each, kind in standing.items()) or "none"
        yield desk.error(
            f"channels.{name}",
            f"the monitor has no {channel.type.value} channel {name!r}: nobody is called on it;"
            f" it has: {there}",
            f"put its secret into the monitor's folder, secrets/{channel.secret or name}, mode"
            f" 0600, or take the channel out; one of [channels.{name}] in {SETTINGS} comes first",
        )


def _minters(bundle: Bundle, known: Collection[str]) -> Iterator[LintFinding]:
    desk = Desk(bundle)
    for glass in bundle.glasses.values():
        for mint in glass.mints:
            if mint.minter not in known and not glass.mfa_down:
                yield desk.error(
                    f"glasses.{glass.name}.mint.{mint.platform}.minter",
                    f"the broker knows no minter {mint.minter!r}: nothing is minted; it knows:"
                    f" {', '.join(sorted(known)) or 'none'}",
                    "make the minter first; its address belongs into [minters] of the broker's"
                    f" {SETTINGS}",
                )
