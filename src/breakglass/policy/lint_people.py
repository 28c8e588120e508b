"""Are there enough people for a glass, with keys that it takes, and can they answer in time?"""

from __future__ import annotations

from collections.abc import Iterator

from breakglass.policy.card_people import CardPeople
from breakglass.policy.glass import WAIT_ALONE, BlastRadius, Glass, Passkeys
from breakglass.policy.lint_finding import Desk, LintFinding
from breakglass.policy.parse import Bundle
from breakglass.policy.yaml_fields import say_span
from breakglass.records.card import Tier
from breakglass.records.people_list import May

_GRAVE = (BlastRadius.SEVERE, BlastRadius.CATASTROPHIC)


def check_people(bundle: Bundle, glass: Glass, lines: CardPeople) -> Iterator[LintFinding]:
    """Yield what is wrong with who breaks, approves and is asked; ``lines`` are of its card."""
    desk = Desk(bundle)
    path = f"glasses.{glass.name}"
    yield from _people(desk, path, glass, lines)
    yield from _passkeys(bundle, desk, path, glass, lines)
    yield from _asking(desk, path, glass)


def _people(desk: Desk, path: str, glass: Glass, lines: CardPeople) -> Iterator[LintFinding]:
    if glass.tier is Tier.SEALED:
        alone = glass.seal is None or glass.seal.threshold < 2
        if alone:
            yield desk.error(
                f"{path}.seal",
                "a catastrophic glass that one person can open",
                "name a seal with 'threshold' 2 at least and three custodians",
            )
    elif glass.seal is not None:
        yield desk.error(
            f"{path}.seal",
            f"a seal on a {glass.blast_radius} glass: friction does not match the blast radius",
            "a sealed glass is catastrophic, or it needs no seal",
        )
    if glass.tier is Tier.TWO and glass.approvers is None:
        yield desk.error(
            f"{path}.approvers",
            f"a {glass.blast_radius} glass without approvers: nobody could ever break it",
            "name them: approvers: {from: [group:NAME], need: 1}",
        )
    breakers = {who for who, line in lines.items() if May.BREAK in line.may}
    signers = {who for who, line in lines.items() if May.APPROVE in line.may}
    if glass.mfa_down:
        yield from _stands_for_it(desk, glass, breakers, signers)
        return
    if glass.second_signers and any(len(signers - {who}) < _asked(glass) for who in breakers):
        nobody = all(len(signers - {who}) < _asked(glass) for who in breakers)
        level = desk.error if glass.need or nobody else desk.warning
        yield level(
            f"{path}.approvers" if glass.approvers else f"{path}.seal",
            f"too few can sign beside the breaker: {_asked(glass)} are asked for,"
            " and nobody signs for themselves",
        )


def _stands_for_it(
    desk: Desk, glass: Glass, breakers: set[str], signers: set[str]
) -> Iterator[LintFinding]:
    """Look whether somebody says that MFA is down who does not break the glass themselves."""
    path, who = "factors.down.approved_by", ", ".join(glass.second_signers)
    if not signers or not breakers - signers:
        yield desk.error(
            path,
            f"{who} alone could break {glass.name!r}, and nobody approves for themselves",
            "name somebody who does not break it, with a key that stands on its card",
        )
    elif breakers & signers:
        yield desk.warning(
            path, f"{who} may break {glass.name!r} too, and cannot: nobody approves for themselves"
        )


def _asked(glass: Glass) -> int:
    return max(glass.need, glass.ask_need)


def _passkeys(
    bundle: Bundle, desk: Desk, path: str, glass: Glass, lines: CardPeople
) -> Iterator[LintFinding]:
    grave = glass.blast_radius in _GRAVE
    if (grave and glass.passkeys is not Passkeys.NONE) or (
        glass.blast_radius is BlastRadius.BROAD and glass.passkeys is Passkeys.ALL
    ):
        yield desk.warning(
            f"{path}.passkeys",
            f"passkeys may {'break' if glass.passkeys is Passkeys.ALL else 'approve'} a"
            f" {glass.blast_radius} glass: a page that shows one text can have another signed",
        )
    directory = bundle.directory
    breakers = directory.everybody(glass.who)
    lost = [who for who in breakers if who not in lines or May.BREAK not in lines[who].may]
    lost += [
        who for who in directory.everybody(glass.second_signers) if who not in lines
    ]  # who approves keeps that right while a key of theirs stands on the card
    if breakers and all(who in lost for who in breakers):
        yield desk.error(
            path,
            f"everybody who may break it holds passkeys alone, and its 'passkeys' is"
            f" '{glass.passkeys}': nobody could",
            "add a security key: ssh-keygen -t ed25519-sk",
        )
    elif lost:
        who = ", ".join(sorted(set(lost)))
        yield desk.warning(
            path, f"'passkeys' is '{glass.passkeys}' here; with passkeys alone, left out: {who}"
        )


def _asking(desk: Desk, path: str, glass: Glass) -> Iterator[LintFinding]:
    places = desk.bundle.places
    for name in ("silence", "ahead"):
        if f"{path}.{name}" in places and not glass.ask_need:
            yield desk.error(
                f"{path}.{name}",
                f"'{name}' of a glass that nobody can ask for",
                "approvers: {from: [group:NAME]}",
            )
    if glass.silence > glass.wait and glass.ask_need:
        yield desk.error(
            f"{path}.silence",
            f"an ask counts as unanswered after {say_span(glass.silence)}, and its statement is"
            f" too old after {say_span(glass.wait)}",
            f"wait: {say_span(glass.silence)}, or longer",
        )
    if glass.wait < WAIT_ALONE:
        yield desk.warning(f"{path}.wait", f"two honest clocks may be {say_span(WAIT_ALONE)} apart")
    idle = glass.blast_radius is BlastRadius.CONTAINED and glass.approvers and not glass.ask_need
    if idle:
        yield desk.warning(f"{path}.approvers", "approvers whom nobody ever asks")
    if glass.ahead and not glass.mints:
        yield desk.warning(
            f"{path}.ahead", "what starts ahead opens no gate, and this glass mints nothing"
        )
