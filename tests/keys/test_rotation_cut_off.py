"""A change of keys that is cut off at any step goes on when the same command is typed again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from breakglass.cli.client import find
from breakglass.operate.key_rotation import Rotation
from breakglass.process.key_store import NEXT, keeping_of
from tests.embedded.isolated import Person, running_up

BEGIN = ["_made", "_introduce", "_activate", "_hand_over", "_rewrite", "_turn"]
FINISH = ["_activate", "_rewrite"]


class CutOffError(Exception):
    """Stands for a power cut."""


@dataclass
class Cuttable:
    """Rotates with a power cut just before or just behind one step."""

    org: Path
    patch: pytest.MonkeyPatch

    def rotation(self, party: str) -> Rotation:
        client = find(str(self.org))
        return Rotation(self.org, party, client.who, client.key, client.broker, lambda text: None)

    def cut(self, party: str, step: str, *, behind: bool, finish: bool = False) -> None:
        """Run ``begin`` or ``finish`` into the cut; steps that do not come are no cut."""
        real = getattr(Rotation, step)

        def cutting(self: Rotation, *given: Any, **named: Any) -> Any:
            if behind:
                real(self, *given, **named)
            raise CutOffError

        with self.patch.context() as patch:
            patch.setattr(Rotation, step, cutting)
            rotation = self.rotation(party)
            with pytest.raises(CutOffError):
                rotation.finish(anyway=True) if finish else rotation.begin()


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    person = Person.at(tmp_path_factory.mktemp("cut"))
    said = person.types("breakglass", "init", "org", "--as", "mira", "--key", str(person.key))
    assert said.code == 0, said.err
    with running_up(person):
        yield person.cwd / "org"


@pytest.mark.parametrize("party", ["witness-2", "monitor"])
def test_cut_off_before_and_behind_each_step_it_goes_on(org, party, monkeypatch):
    cuttable = Cuttable(org, monkeypatch)
    turns = party == "monitor"
    old = keeping_of(org / party).verifier()
    version = cuttable.rotation(party)._trust().version
    for step in BEGIN:
        if step == "_turn" and not turns:
            continue
        for behind in (False, True):
            if step == "_turn" and behind:
                continue  # then begin is over
            cuttable.cut(party, step, behind=behind)
    assert cuttable.rotation(party).begin() == version + 1
    assert keeping_of(org / party).stands(NEXT) == (not turns)
    for step in FINISH:
        for behind in (False, True):
            if (step, behind) == ("_rewrite", True) and turns:
                continue  # then finish is over
            cuttable.cut(party, step, behind=behind, finish=True)
    assert cuttable.rotation(party).finish() == version + 2
    new = keeping_of(org / party).verifier()
    assert new != old
    assert keeping_of(org / party).past() == [old]
    trust = (org / "trust").read_text()
    assert str(new) in trust
    assert str(old) not in trust
    for file in ("policy", "submitters"):
        assert str(old) not in (org / "ledger" / file).read_text()
    summary = cuttable.rotation(party).ask("GET", "/state", None)["summary"]
    assert summary["void"]["count"] == 0
    assert str(new) in summary["keys"]
