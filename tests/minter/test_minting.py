"""The minter believes nobody but the token, and what it reads in the ledger itself."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from breakglass.errors import BreakglassError, MalformedError, RefusedError, UnavailableError
from breakglass.node.submitter import Fact
from breakglass.records.handout import HandedCredential, check_handout
from breakglass.records.kinds.intent import Intent
from breakglass.records.record_reader import parse_record
from breakglass.records.signing.signature import PRESENTATION_NAMESPACE
from breakglass.records.statement import Target
from breakglass.submit.record_header import text_digest
from breakglass.tlog.note import Note
from breakglass.token.token import Token, parse_token
from tests.broker.shop import Asking, Shop
from tests.kit.people import SoftKey
from tests.kit.processes import until


def handle(asking: Asking) -> str:
    return "bg_" + asking.grant.removeprefix("g-")


def test_a_token_is_enough_and_no_broker_is_asked(shop: Shop) -> None:
    asking = shop.asking()
    token = shop.recorded(asking)
    answer = shop.mint(token.encoded(), 20)
    assert answer["grant"] == asking.grant
    assert answer["since_asked_ms"] >= 20
    secret = asking.opened(answer)
    assert secret["user"] == handle(asking)
    assert "password" not in answer["connect"]
    shop.target().log_in(secret["user"], secret["password"])
    again = shop.mint(token.encoded())
    assert again["sealed"] == answer["sealed"]
    for each in (answer, again, shop.get(f"/grants/{asking.grant}/credential")):
        given = HandedCredential(each["handout"], each["sealed"], each["connect"])
        text = asking.body["statement"]["text"]
        found = check_handout(given, text, shop.trust(), datetime.now(UTC))
        assert (found.grant, found.minter) == (asking.grant, "orders-db")
    until(lambda: shop.kinds(asking.grant) == ["asked", "intent", "minted", "usable"])


def test_only_the_holder_can_open_what_is_sealed(shop: Shop) -> None:
    import pyrage

    asking = shop.asking()
    sealed = base64.b64decode(shop.break_glass(asking)["minted"]["sealed"])
    other = pyrage.ssh.Identity.from_buffer(SoftKey.generate().private_file())
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(sealed, [other])


Forge = Callable[[Shop, Asking, Token], Token]
FORGERIES: dict[str, tuple[Forge, str]] = {
    "no presentation": (lambda shop, asking, token: replace(token, presentation=None), "holder"),
    "shown by another key": (
        lambda shop, asking, token: token.presented(
            SoftKey.generate().sign(token.presentation.text, PRESENTATION_NAMESPACE)  # type: ignore[union-attr]
        ),
        "holder",
    ),
    "shown to a gate": (
        lambda shop, asking, token: token.presented(shop.shown(asking, to="gate:deploy-approval")),
        "wrong_door",
    ),
    "shown for another run": (
        lambda shop, asking, token: token.presented(shop.shown(asking, run="42")),
        "wrong_run",
    ),
    "another card": (
        lambda shop, asking, token: replace(
            token, card=shop.active["cards"]["deploy-rollback"].encode()
        ),
        "wrong_card",
    ),
    "no proof": (lambda shop, asking, token: replace(token, proof=None), "door"),
    "an altered intent": (
        lambda shop, asking, token: replace(
            token, intent=token.intent.replace(b'"for_s\\":600', b'"for_s\\":601')
        ),
        "",
    ),
}


@pytest.mark.parametrize("case", FORGERIES)
def test_a_token_that_does_not_hold_mints_nothing(shop: Shop, case: str) -> None:
    forge, name = FORGERIES[case]
    asking = shop.asking()
    token = forge(shop, asking, shop.recorded(asking))
    with pytest.raises(BreakglassError) as caught:
        shop.mint(token.encoded())
    assert caught.value.exit_code in (2, 3, 4)
    if name:
        assert caught.value.name == name
    assert handle(asking) not in shop.target().handles()


def test_a_token_for_a_glass_without_this_minter_mints_nothing(shop: Shop) -> None:
    asking = shop.asking("deploy-rollback")
    unbound = parse_token(shop.break_glass(asking)["token"].encode())
    token = unbound.presented(shop.shown(asking, to="minter:orders-db"))
    with pytest.raises(RefusedError) as caught:
        shop.mint(token.encoded())
    assert caught.value.name == "wrong_minter"


def stolen(shop: Shop, role: str, asking: Asking, **changes: object) -> Token:
    """Write an intent with somebody's stolen key, get it proven, and make a token of it."""
    honest = shop.recorded(shop.asking())
    body = parse_record(honest.intent).body
    assert isinstance(body, Intent)
    forged = replace(body, **changes)  # type: ignore[arg-type]
    receipt = shop.state_as(role, Fact(f"{forged.grant}/intent", forged))[0]
    return Token(honest.card, receipt.note, honest.people, receipt.proof, None, honest.presentation)


def test_a_stolen_broker_key_without_a_persons_word_mints_nothing(shop: Shop) -> None:
    asking = shop.asking()
    token = stolen(
        shop, "broker-2", asking, grant=asking.grant, handle=handle(asking), statements=()
    )
    with pytest.raises(BreakglassError) as caught:
        shop.mint(token.encoded())
    assert caught.value.name == "no_statement"
    assert handle(asking) not in shop.target().handles()


def test_a_stolen_gate_key_mints_nothing(shop: Shop) -> None:
    asking = shop.asking()
    with pytest.raises(BreakglassError) as caught:
        shop.mint(stolen(shop, "gate:deploy-approval", asking).encoded())
    assert caught.value.name == "submitter_role"


def test_a_lengthened_life_mints_nothing(shop: Shop) -> None:
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=3)
    with pytest.raises(BreakglassError) as caught:
        shop.mint(stolen(shop, "broker-2", shop.asking(), not_after=later).encoded())
    assert caught.value.name == "life_lengthened"


def test_what_has_ended_is_never_minted_again(shop: Shop) -> None:
    asking = shop.asking()
    token = shop.recorded(asking)
    shop.mint(token.encoded())
    shop.done(asking)
    shop.restart(shop.minters[0])
    with pytest.raises(RefusedError, match="never minted again") as caught:
        shop.mint(token.encoded())
    assert caught.value.name == "ended"
    with pytest.raises(RefusedError):
        shop.get(f"/grants/{asking.grant}/credential")


def test_what_was_handed_back_before_it_was_minted_is_never_minted(shop: Shop) -> None:
    asking = shop.asking()
    token = shop.recorded(asking)
    until(lambda: shop.minter_size() >= shop.get("/state")["size"])
    assert shop.done(asking)["dead"]
    with pytest.raises(RefusedError) as caught:
        shop.mint(token.encoded())
    assert caught.value.name == "ended"
    until(lambda: shop.kinds(asking.grant) == ["asked", "intent", "ended", "dead"])


def test_a_killed_grant_is_not_minted(shop: Shop) -> None:
    asking = shop.asking()
    token = shop.recorded(asking)
    shop.kill(Target.GRANT, asking.grant)
    with pytest.raises(RefusedError) as caught:
        shop.mint(token.encoded())
    assert caught.value.name in ("ended", "suspended")
    assert handle(asking) not in shop.target().handles()


def test_a_view_that_is_too_old_mints_nothing(shop: Shop) -> None:
    minter = shop.minters[0]
    settings = (minter.folder / "settings.toml").read_text()
    (minter.folder / "settings.toml").write_text(f"view_at_most_old_s = 0\n{settings}")
    asking = shop.asking()
    token = shop.recorded(asking)
    try:
        shop.restart(minter)
        with pytest.raises(UnavailableError, match="newest witnessed head") as caught:
            shop.mint(token.encoded())
        assert caught.value.name == "behind"
        assert handle(asking) not in shop.target().handles()
    finally:
        (minter.folder / "settings.toml").write_text(settings)
        shop.restart(minter)
    shop.mint(token.encoded())


def test_a_ledger_away_leaves_a_token_that_exists_working(shop: Shop) -> None:
    import signal

    asking = shop.asking()
    token = shop.recorded(asking)
    until(lambda: shop.minter_size() >= shop.get("/state")["size"])
    shop.logs.ledger.signal(signal.SIGSTOP)
    try:
        shop.mint(token.encoded())
    finally:
        shop.logs.ledger.signal(signal.SIGCONT)
    until(lambda: "usable" in shop.kinds(asking.grant))


BODIES = [
    b"",
    b"{}",
    b"[]",
    b'{"token":1,"asked_ms_ago":0}',
    b'{"token":"x","asked_ms_ago":-1}',
    b'{"token":"x","asked_ms_ago":0.5}',
    b'{"token":"x","asked_ms_ago":0,"a":1}',
    b"\xff",
    b'{"token":"\\ud800","asked_ms_ago":0}',
    b'{"grant":"../x","statement":{}}',
]


@pytest.mark.parametrize("body", BODIES)
def test_malformed_requests_are_told_so(shop: Shop, body: bytes) -> None:
    with shop.as_broker() as minter:
        for path in ("/mint", "/end", "/forgo"):
            signed = path == "/forgo"
            reply = minter.send("POST", path, body, "application/json", signed=signed)
            assert reply.status == 400, (path, body, reply.body)
    assert "Traceback" not in shop.minters[0].said()


def test_giving_up_waits_for_whoever_may_still_be_asking(shop: Shop) -> None:
    with shop.as_broker() as minter:
        for _ in range(20):  # on a slow machine half a second is over before we ask
            asking = shop.asking()
            token = shop.recorded(asking)
            until(lambda: shop.minter_size() >= shop.get("/state")["size"])
            intent = text_digest(Note.parse(token.intent).text)
            asked = {"grant": asking.grant, "intent": intent}
            try:
                assert minter.post_json("/forgo", asked, signed=True)["minted"] is False
            except RefusedError as error:
                if error.name == "too_early":
                    break
                raise
        else:
            pytest.fail("never too early")
        shop.mint(token.encoded())
        assert minter.post_json("/forgo", asked, signed=True)["minted"] is True
        with pytest.raises(RefusedError) as unknown:
            minter.post_json("/forgo", {**asked, "grant": "g-aaaaaaaaaaaa"}, signed=True)
        assert unknown.value.name == "no_grant"


def test_the_minter_says_what_it_can_do(shop: Shop) -> None:
    with shop.minters[0].neighbour() as minter:
        state = minter.get("/state").json()
    assert state["summary"]["unrecorded"] == "impossible without the minter"
    assert state["summary"]["residual_tail_s"] > 0
    with pytest.raises(MalformedError):
        shop.mint("not a token")
