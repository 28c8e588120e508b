"""A change of keys that is cut off at any step goes on when the same command is typed again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from breakglass.cli.client import find
from breakglass.cli.next_trust import change_of
from breakglass.operate.key_rotation import Rotation
from breakglass.process.key_store import NEXT, keeping_of
from tests.embedded.isolated import Person, running_up
from tests.kit.cutting import cut_everywhere


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    person = Person.at(tmp_path_factory.mktemp("cut"))
    said = person.types("breakglass", "init", "org", "--as", "mira", "--key", str(person.key))
    assert said.code == 0, said.err
    with running_up(person):
        yield person.cwd / "org"


@pytest.mark.parametrize("party", ["witness-2", "monitor"])
def test_cut_off_before_and_behind_each_step_it_goes_on(org, party, monkeypatch):
    change = change_of(find(str(org)), sign_here=True)
    turns = party == "monitor"
    old = keeping_of(org / party).verifier()
    version = change.standing().version

    def begin() -> int:
        rotation = Rotation(change, party)
        # Behind the last step the command was through, and says so when it is typed again.
        through = len(rotation._keys()) > 1 and not rotation.keeping.stands(NEXT)
        return change.standing().version if through else rotation.begin()

    def finish() -> int:
        rotation = Rotation(change, party)
        left_over = rotation._left_over(rotation._new)
        through = len(rotation._keys()) < 2 and not left_over
        return change.standing().version if through else rotation.finish(anyway=True)

    begun, cut = cut_everywhere(monkeypatch, begin)
    assert begun == version + 1
    assert {"next key", "told", "in force", "record", "own copy", "recorded", "ledger"} <= cut
    assert keeping_of(org / party).stands(NEXT) == (not turns)
    finished, cut = cut_everywhere(monkeypatch, finish)
    assert finished == version + 2
    assert {"in force", "record", "gates", "own copy", "ledger"} <= cut
    new = keeping_of(org / party).verifier()
    assert new != old
    assert keeping_of(org / party).past() == [old]
    trust = (org / "trust").read_text()
    assert str(new) in trust
    assert str(old) not in trust
    for file in ("policy", "submitters"):
        assert str(old) not in (org / "ledger" / file).read_text()
    summary = change.ask("GET", "/state", None)["summary"]
    assert summary["void"]["count"] == 0
    assert str(new) in summary["keys"]
