"""Nobody signs a set of kinds into force that would stop a process without being told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from breakglass.cli import main
from breakglass.errors import MalformedError, RefusedError
from breakglass.operate.known_kinds import Folding, check_all_know, folding
from breakglass.records import kind_sets
from breakglass.records.kind_sets import UnknownKindsError
from breakglass.records.trust import Trust, parse_trust
from tests.embedded.isolated import Person, running_up
from tests.kit.bad_server import BadServer
from tests.kit.organisation import Organisation

BEFORE = parse_trust(Organisation().trust_text(kinds="3"))
AFTER = parse_trust(Organisation().trust_text(version="2", kinds="4"))


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is of a release that knows kinds 4."""
    monkeypatch.setattr(kind_sets, "NEWEST", 4)


@pytest.fixture
def server() -> Iterator[BadServer]:
    server = BadServer(answer=b'{"ok": true, "kinds": 4}')
    yield server
    server.close()


def test_who_folds_is_each_broker_the_monitor_and_each_minter_of_the_trust_file() -> None:
    """(R-23)"""
    found = list(folding(BEFORE, ["http://a", "http://b"], "http://c", {}))
    assert [(each.name, each.where) for each in found] == [
        ("broker", "http://a"),
        ("broker-2", "http://b"),
        ("monitor", "http://c"),
        ("minter:orders-db", ""),
    ]


@pytest.mark.parametrize(
    ("answer", "mood", "says"),
    [
        (b'{"ok": true, "kinds": 3}', "well", "'monitor' knows kinds 3 at most"),
        (b'{"ok": true}', "well", "'monitor' knows kinds 1 at most"),
        (b'{"kinds": true}', "well", "'monitor' knows kinds 1 at most"),
        (b"", "hangup", r"'monitor' does not answer \("),
    ],
    ids=["older", "older than the question", "nonsense", "away"],
)
@pytest.mark.usefixtures("newer")
def test_one_that_is_behind_or_does_not_answer_stops_the_signature(
    server: BadServer, answer: bytes, mood: str, says: str
) -> None:
    """(R-23)"""
    server.answer, server.mood = answer, mood
    asked = [Folding("monitor", server.address)]
    with pytest.raises(RefusedError, match=says) as said:
        check_all_know(BEFORE, AFTER, asked)
    assert (said.value.name, said.value.exit_code) == ("kinds_behind", 3)
    assert "--without NAME" in said.value.hint
    check_all_know(BEFORE, AFTER, asked, ["monitor"])
    server.answer, server.mood = b'{"ok": true, "kinds": 4}', "well"
    check_all_know(BEFORE, AFTER, asked)


@pytest.mark.usefixtures("newer")
def test_a_minter_that_no_broker_knows_is_no_minter_that_knows(server: BadServer) -> None:
    asked = [Folding("monitor", server.address), Folding("minter:x", "")]
    with pytest.raises(RefusedError, match=r"1 of 2 processes: 'minter:x' is at no address"):
        check_all_know(BEFORE, AFTER, asked)
    with pytest.raises(MalformedError, match=r"no process 'y' follows.* monitor, minter:x"):
        check_all_know(BEFORE, AFTER, asked, ["y"])


def test_nobody_is_asked_while_the_kinds_stay_and_nobody_signs_what_it_does_not_know(
    server: BadServer,
) -> None:
    asked = [Folding("monitor", server.address)]
    same: Trust = parse_trust(Organisation().trust_text(version="2", kinds="3"))
    check_all_know(BEFORE, same, asked)
    with pytest.raises(UnknownKindsError, match="this software knows kinds 3 at most"):
        check_all_know(BEFORE, AFTER, asked)
    assert server.connections == 0


def test_trust_next_and_trust_sign_refuse_while_the_processes_are_older(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """(R-23) The processes are of this release, the maintainer's client of the next one."""
    mira = Person.at(tmp_path)
    assert mira.types("breakglass", "init", "org", "--as", "mira", "--key", str(mira.key)).code == 0
    org = tmp_path / "org"

    def types(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main.main(["trust", *words, "--sign-here", "--org", str(org)])
        return int(ended.value.code or 0), capsys.readouterr().err

    with running_up(mira):
        monkeypatch.setattr(kind_sets, "NEWEST", 4)
        code, said = types("next", "--kinds", "4")
        assert code == 3
        for name in ("broker", "monitor"):
            assert f"{name!r} knows kinds 3 at most" in said
        assert not (org / "trust.next").exists()
        every = [word for name in ("broker", "monitor") for word in ("--without", name)]
        assert types("next", "--kinds", "4", *every)[0] == 0
        text = (org / "trust.next").read_text()
        assert "\nkinds 4\n" in text
        # The second maintainer is asked for the same word.
        code, said = types("sign", str(org / "trust.next"))
        assert (code, "would stop 2 of 2 processes" in said) == (3, True)
        assert (org / "trust.next").read_text() == text
        assert types("sign", str(org / "trust.next"), *every)[0] == 0
