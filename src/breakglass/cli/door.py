"""``breakglass door``: when the ledger is down, custodians open the door together, and loudly."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from breakglass.cli import output
from breakglass.cli.client import Client, find, takes_org
from breakglass.error_names import ErrorName
from breakglass.errors import (
    BreakglassError,
    MalformedError,
    MisconfiguredError,
    RefusedError,
    UnavailableError,
    reason,
)

ASK_EXAMPLE = """\
\b
Example:
  breakglass door ask orders-repair --incident INC-4821 --why "orders stuck"
"""
SIGN_EXAMPLE = """\
\b
Example:
  breakglass door sign g-7kq3m2x4p5ab.door
"""
USE_EXAMPLE = """\
\b
Example:
  breakglass door use a.door b.door
  breakglass door use a.door b.door --gate deploy-freeze --for 812 --out token
"""
LIST_EXAMPLE = """\
\b
Example:
  breakglass door list
"""
if TYPE_CHECKING:
    from breakglass.cli.held_grants import Held

_MINT_WITHIN = timedelta(seconds=20)


@click.group(epilog=ASK_EXAMPLE)
def door() -> None:
    """When the ledger is down: ask custodians, sign as one, use what they signed."""


@door.command(epilog=ASK_EXAMPLE, short_help="Ask custodians while the ledger is down.")
@click.argument("glass", required=False)
@click.option("--incident", default="", metavar="ID", help="The incident that this is for.")
@click.option("--why", default="", metavar="TEXT", help="Why, in your words; it is recorded.")
@click.option("--code", default="", metavar="CODE", help="The coded reason.  [default: other]")
@click.option("--for", "for_", default="", metavar="TIME", help="Shorter than one hour: 10m.")
@click.option("--minter", default="", metavar="NAME", help="Which minter, if there are several.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Else GRANT.door here."
)
@click.option("--again", metavar="GRANT", help="Send a statement again whose answer never came.")
@takes_org
@output.says_json
def ask(
    glass: str | None,
    incident: str,
    why: str,
    code: str,
    for_: str,
    minter: str,
    out: Path | None,
    again: str | None,
    org: str | None,
    as_json: bool,
) -> None:
    """Sign for GLASS and write the request that custodians sign, each on their own machine.

    Refused while anybody can reach the ledger. Nothing opens before enough custodians have signed.
    """
    from breakglass.cli import held_grants
    from breakglass.cli.door_bell import ledger_unreached
    from breakglass.cli.door_request import request_of

    client = find(org)
    if not again and not (glass and why):
        raise click.UsageError("say which glass and why: door ask GLASS --why TEXT")
    # (1) Our own try. Who reaches the ledger needs no door.
    tried = ledger_unreached(client)
    # (2) Kept before it is sent: a lost answer is asked for again, with the same bytes.
    if again:
        held = held_grants.held(client.state, again)
    else:
        held = _said(client, str(glass), incident, why, code, for_, minter)
    asked = {"statement": held.statement, "presentation": None}
    try:
        told = client.broker("POST", "/doors", asked)
    except UnavailableError as error:
        error.hint = f"retry: breakglass door ask --again {held.grant}"
        raise
    request = request_of(told)
    path = out or Path(f"{held.grant}.door")
    _write(path, request.encoded())
    if as_json:
        output.tell_json({**told, "request": str(path), "tried": tried})
        return
    output.tell_rows(
        [
            (
                "asked",
                f"the door for {request.said.glass},"
                f" {output.duration(request.life.total_seconds())} at most",
            ),
            ("ledger", tried),
            ("request", str(path)),
            ("grant", held.grant),
        ]
    )
    output.talk(
        f"nothing is open yet. Send {path} to {request.needed} custodians, by any way; each runs:"
        f" breakglass door sign {path.name}"
    )
    output.talk(
        f"then, with what they send back, before {request.until:%H:%M:%S} UTC:"
        " breakglass door use FILE FILE"
    )


@door.command(epilog=SIGN_EXAMPLE, short_help="As a custodian: check, alert, and sign a request.")
@click.argument("request", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Else into REQUEST.")
@click.option("--yes", is_flag=True, help="Do not ask again before your key is used.")
@takes_org
@output.says_json
def sign(request: Path, out: Path | None, yes: bool, org: str | None, as_json: bool) -> None:
    """Say what REQUEST asks, try the ledger from here, alert your own channel, and sign.

    Refused if the ledger answers, if no alert channel accepts, or if the request is your own.
    """
    from breakglass.cli import sign_statement
    from breakglass.cli.door_bell import ledger_unreached, ring
    from breakglass.cli.door_request import read_request
    from breakglass.clock import format_time
    from breakglass.person import ssh_keygen
    from breakglass.records.statement import Countersign, Do, Why

    client = find(org)
    client.announce()  # before the bell, which is a program that this file names
    found = read_request(request)
    key = ssh_keygen.read_key(client.key)
    if not as_json:
        output.tell_rows(_in_words(found))
    _check_custodian(client, found.said.who, key.public)
    now = sign_statement.now()
    if now > found.until:
        raise RefusedError(
            f"this request ended {found.until:%Y-%m-%d %H:%M:%S} UTC; nothing was signed",
            name=ErrorName.EXPIRED,
            hint="the responder asks again: breakglass door ask",
        )
    if not yes and not output.somebody_is_there():
        raise click.UsageError("nobody is at a terminal to be asked; --yes signs without asking")
    # (1) Our own try, from our own machine.
    tried = ledger_unreached(client)
    if not yes:
        click.confirm("sign this as a custodian", abort=True, err=True)
    # (2) Ring. A crash behind it has rung for nothing, which is the better way.
    told = {
        "subject": "door_signed",
        "at": format_time(now),
        "custodian": client.who,
        "grant": found.grant,
        "who": found.said.who,
        "glass": found.said.glass,
        "incident": found.said.incident,
        "why": found.said.reason.text,
        "until": format_time(found.until),
        "ledger": tried,
    }
    heard = ring(client, told)
    # (3) What was seen and who was rung stays here, before the key is touched.
    seen = client.state / "doors" / f"{found.grant}.json"
    seen.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(seen, json.dumps({**told, "alerted": heard}, ensure_ascii=False, indent=1) + "\n")
    # (4) Sign. Until the file goes back to the responder nothing has changed for anybody.
    word = Countersign(
        do=Do.COUNTERSIGN,
        log=found.said.log,
        answers=found.digest,
        card=found.card_digest,
        who=client.who,
        reason=Why("door", f"the ledger from here: {tried}"[:500]),
        at=now,
        nonce=sign_statement.nonce(),
    )
    fuller = found.with_words([sign_statement.say(client, word).signed])
    path = out or request
    _write(path, fuller.encoded())
    if as_json:
        output.tell_json({**told, "alerted": heard, "request": str(path), "signed": fuller.signed})
        return
    output.tell_rows(
        [
            ("ledger", tried),
            ("alerted", f"via {', '.join(heard)}"),
            ("signed", f"{' and '.join(fuller.signed)}; {found.needed} are needed"),
            ("kept", str(seen)),
        ]
    )
    output.talk(f"send {path} back to {found.said.who!r}")


@door.command(epilog=USE_EXAMPLE, short_help="Use what custodians signed.")
@click.argument("requests", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--gate", "gate_name", default="", metavar="G", help="Make a token for this gate.")
@click.option("--for", "run", default="", metavar="RUN", help="The one run that it may open.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="The token goes there."
)
@click.option("--minter-at", default="", metavar="URL", help="The minter's address, if not known.")
@takes_org
@output.says_json
def use(
    requests: tuple[Path, ...],
    gate_name: str,
    run: str,
    out: Path | None,
    minter_at: str,
    org: str | None,
    as_json: bool,
) -> None:
    """Join the custodians' words of REQUESTS and use them: a credential, or a gate's token.

    The broker writes the intent from them and keeps it, so that the ledger gets it when it is back.
    """
    from breakglass.cli import held_grants
    from breakglass.cli.credential import check_minted
    from breakglass.cli.door_bell import ledger_unreached
    from breakglass.cli.door_request import door_of, read_request
    from breakglass.cli.sign_statement import now

    if bool(gate_name) != bool(run):
        raise click.UsageError("--gate and --for go together: a token opens one run")
    client = find(org)
    client.announce()
    first, *others = map(read_request, requests)
    for other in others:
        if other.digest != first.digest:
            raise MalformedError(
                f"the requests are of different doors: {first.grant} and {other.grant}",
                hint="join what custodians signed of one request",
            )
    joined = first.with_words(word for other in others for word in other.countersigned)
    held = held_grants.held(client.state, joined.grant)
    _check_enough(client, joined.signed, joined.said.who)
    # (1) Once more: who reaches the ledger needs no door.
    tried = ledger_unreached(client)
    # (2) The broker writes the intent; the same again is the same intent, from which the ledger
    #     gets it, whatever becomes of us.
    words = {"statement": held.statement, "countersigned": list(joined.countersigned)}
    opened = door_of(client.broker("POST", f"/doors/{joined.grant}", words), joined)
    answer: dict[str, Any] = {"grant": joined.grant, "signed": joined.signed, "tried": tried}
    rows = [("signed", " and ".join(joined.signed)), ("ledger", tried)]
    if joined.said.minter and not gate_name:
        shown = held.present(client.log, f"minter:{joined.said.minter}", joined.grant)
        minted = _minted(client, joined.grant, opened.token(shown), minter_at or opened.minter_at)
        handed = check_minted(client, held, minted, now())
        answer |= {"minted": minted, "not_after": minted["expires"]}
        held.keep_answer(answer)
        rows.append(("granted", f"{joined.said.glass} until {handed.until:%H:%M:%S} UTC"))
    elif gate_name:
        shown = held.present(client.log, f"gate:{gate_name}", run)
        answer["token"] = opened.token(shown)
        if out is not None:
            _write(out, answer["token"])
            rows.append(("token", f"{out}, for run {run!r} of gate {gate_name!r}"))
    rows.append(("grant", joined.grant))
    if as_json:
        output.tell_json(answer)
        return
    if gate_name and out is None:
        click.echo(answer["token"], nl=False)
        return
    output.tell_rows(rows)
    if not gate_name and not joined.said.minter:
        gate = opened.gates[0] if opened.gates else "GATE"
        output.talk(f"next: breakglass door use FILE --gate {gate} --for RUN --out token")
    elif not gate_name:
        output.talk(f"next: breakglass run {joined.grant} -- COMMAND")
    output.talk("no second offline grant is accepted here until this one is in the ledger")


@door.command(name="list", epilog=LIST_EXAMPLE, short_help="Show doors, and who has signed.")
@takes_org
@output.says_json
def list_(org: str | None, as_json: bool) -> None:
    """Show the doors that the broker keeps, and those used whose intent is not in the ledger."""
    client = find(org)
    found = client.broker("GET", "/doors")
    if as_json:
        output.tell_json(found)
        return
    rows = [
        (
            each["grant"],
            each["not_after"][11:19],
            f"{len(each['signed'])} of {each['needed']}",
            "not in the ledger" if each["index"] is None else f"entry {each['index']}",
        )
        for each in found["doors"]
    ]
    if rows:
        output.tell_table(("grant", "until (UTC)", "signed", "recorded"), rows)
    for each in found["unappended"]:
        output.talk(
            f"UNRECORDED: {each['who']!r} used the door for {each['glass']!r} at"
            f" {', '.join(each['used'])}; its intent ({each['grant']}) is not in the ledger"
        )
    if not rows and not found["unappended"]:
        output.talk("no door was ever asked for")


def _said(
    client: Client, glass: str, incident: str, why: str, code: str, for_: str, minter: str
) -> Held:
    """Sign what is asked of the custodians, with a new holder key, and keep both."""
    from breakglass.cli import held_grants, sign_statement, signed_glass
    from breakglass.records.statement import Do, Door, Why, grant_id

    known = client.broker("GET", "/glasses")
    card = signed_glass.signed_card(client, known, glass, sign_statement.now())
    mint = signed_glass.choose_mint(card, minter)
    life = min(signed_glass.life_of(card, for_), timedelta(hours=1))
    code = signed_glass.check_code(known, code)
    output.talk(f"you sign for {glass}: {signed_glass.what_it_grants(card, mint, life)}")
    folder, holder = held_grants.begin(client.state)
    try:
        statement = Door(
            do=Do.DOOR,
            log=client.log,
            policy=card.policy,
            glass=glass,
            minter=mint.minter if mint else "",
            scope=mint.scope if mint else {},
            act=signed_glass.act_of(mint),
            who=client.who,
            incident=incident,
            ticket="",
            reason=Why(code, why),
            for_s=int(life.total_seconds()),
            holder=holder,
            at=sign_statement.now(),
            nonce=sign_statement.nonce(),
        )
        said = sign_statement.say(client, statement)
    except BaseException:
        held_grants.abandon(folder)
        raise
    return held_grants.settle(folder, grant_id(said.text), said.signed)


def _in_words(found: Any) -> list[tuple[str, str]]:
    said = found.said
    what = f"glass '{said.glass}'"
    if said.minter:
        scope = ", ".join(f"{name} {' '.join(values)}" for name, values in said.scope.items())
        what += f": a credential from minter '{said.minter}' ({scope})"
    if found.gates:
        what += f"; opens gate {', '.join(found.gates)}"
    return [
        ("who", f"{said.who} asks you, a custodian, to open the door without the ledger"),
        ("what", what),
        ("incident", said.incident or "none"),
        ("why", f"{said.reason.text} [{said.reason.code}]"),
        (
            "for",
            f"{output.duration(found.life.total_seconds())} at most, asked"
            f" {found.said.at:%Y-%m-%d %H:%M:%S} UTC",
        ),
        ("signed", ", ".join(found.signed) or "nobody yet"),
        ("grant", found.grant),
    ]


def _custodians(client: Client) -> tuple[dict[str, list[str]], int]:
    """Return custodians with their keys, and how many are needed, as this client's trust file."""
    people: dict[str, list[str]] = {}
    needed = 0
    try:
        lines = client.trust.read_text("utf-8").partition("\n\n")[0].splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MisconfiguredError(
            f"trust file {str(client.trust)!r} cannot be read: {reason(error)}"
        ) from error
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "custodian":
            name, _, key = rest.partition(" ")
            people.setdefault(name, []).append(key)
        elif word == "custodians":
            needed = int(rest)
    return people, needed


def _check_custodian(client: Client, holder: str, public: str) -> None:
    people, _ = _custodians(client)
    if public not in people.get(client.who, []):
        raise RefusedError(
            f"{client.who!r} is no custodian of this trust file with this key; nothing was signed",
            name=ErrorName.NO_CUSTODIAN,
            hint="custodians: " + (", ".join(sorted(people)) or "none"),
        )
    if client.who == holder:
        raise RefusedError(
            f"{client.who!r} asks for this door, and nobody signs for themselves; nothing was"
            " signed",
            name=ErrorName.OWN_REQUEST,
        )


def _check_enough(client: Client, signed: list[str], holder: str) -> None:
    people, needed = _custodians(client)
    counted = [name for name in signed if name in people and name != holder]
    if len(counted) < needed or not needed:
        raise RefusedError(
            f"{len(counted)} of {needed} custodians have signed; nothing opens",
            name=ErrorName.CUSTODIANS,
            hint="send the request to another: breakglass door sign FILE",
        )


def _minted(client: Client, grant: str, token: str, minter_at: str) -> dict[str, Any]:
    """Show the token to the minter: through the broker, or straight if the broker is away."""
    from breakglass.http.client import Peer

    try:
        return client.broker("POST", f"/doors/{grant}/mint", {"token": token})
    except BreakglassError as error:
        if not isinstance(error, UnavailableError) and error.name != ErrorName.NO_GRANT:
            raise
        if not minter_at:
            error.hint = "contact the minter directly: --minter-at URL"
            raise
        output.talk(f"not through the broker ({error.name}); contacting the minter directly")
    with Peer(minter_at, name="minter", within=_MINT_WITHIN) as minter:
        return minter.post_json("/mint", {"token": token, "asked_ms_ago": 0})


def _write(path: Path, text: str) -> None:
    import os

    from breakglass.process.folder import write_whole

    try:
        write_whole(path, text.encode())
    except OSError as error:
        what = os.strerror(error.errno) if error.errno else str(error)
        raise MisconfiguredError(f"{str(path)!r} cannot be written: {what}") from error
