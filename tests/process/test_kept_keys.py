"""Whole processes whose keys lie in no plain file: sealed, and given by systemd."""

from __future__ import annotations

from pathlib import Path

import pytest

from breakglass.process.key_sealing import seal
from breakglass.submit.record_header import NO_PREV
from breakglass.tlog.proof import TlogProof, verify_proof
from breakglass.tlog.tiles import encode_bundle
from tests.kit.processes import LogSet, draft, make_log_set, signed

PHRASE = "correct horse battery"


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LogSet:
    """A log whose ledger's key is sealed, and whose archiver's is a credential as a whole."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    made = make_log_set(tmp_path / "log", witnesses=1, needed=1)
    (credentials / "phrase").write_text(PHRASE)
    (credentials / "phrase").chmod(0o400)
    seal(made.ledger.folder, "phrase")
    worm = made.archiver.folder
    (worm / "key").rename(credentials / "worm")
    (worm / "settings.toml").write_text(
        'key = "credential:worm"\n' + (worm / "settings.toml").read_text()
    )
    for each in credentials.iterdir():
        each.chmod(0o400)
    return made


def test_a_log_is_signed_witnessed_and_archived_by_keys_that_lie_in_no_plain_file(made):
    try:
        made.start()
        note = signed(draft("a/1"), made.submitters[0], 0, NO_PREV)
        with made.ledger.neighbour() as ledger:
            answer = ledger.post("/append", encode_bundle([note])).json()
        proof = TlogProof.parse(answer["proofs"][0].encode())
        assert set(verify_proof(note, proof, made.policy).cosigners) == {"w-0", "worm"}
        assert made.ledger.popen is not None
        pid = made.ledger.popen.pid
        shown = (Path(f"/proc/{pid}/cmdline")).read_bytes() + made.ledger.said().encode()
        assert PHRASE.encode() not in shown
    finally:
        made.kill()


def test_a_ledger_whose_key_does_not_open_is_not_started_and_says_no_secret(made, monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    made.ledger.start(wait=False)
    assert made.ledger.wait_ended() == 6
    assert "no credentials are here" in made.ledger.said()
    assert "Traceback" not in made.ledger.said()
    (made.ledger.folder / "settings.toml").write_text(
        (made.ledger.folder / "settings.toml").read_text().replace("sealed:phrase", "sealed")
    )
    made.ledger.start(wait=False)
    assert made.ledger.wait_ended() == 6
    assert "nobody is at a terminal" in made.ledger.said()
    assert PHRASE not in made.ledger.said()
