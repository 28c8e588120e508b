"""A laptop joins an organisation by one command with a fingerprint."""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import os
import re
import shlex
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from breakglass.errors import UnavailableError, UnprovenError
from breakglass.http.client import Peer
from breakglass.operate.person_join import follow_trust
from tests.embedded.isolated import Person, Typed, real_agent, running_up


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    person = Person.at(tmp_path_factory.mktemp("joined"))
    said = person.types("breakglass", "init", "org", "--as", "mira", "--key", str(person.key))
    assert said.code == 0, said.err
    with running_up(person):
        yield person


@pytest.fixture
def sam(tmp_path: Path) -> Person:
    """Return somebody whose home knows nothing of the organisation."""
    return Person.at(tmp_path)


def invited(org: Person) -> list[str]:
    said = org.types("breakglass", "join", "invite", "--org", "org")
    assert said.code == 0, said.err
    return shlex.split(said.out)


def joins(person: Person, org: Person, *more: str) -> Typed:
    return person.types(*invited(org), "--as", "sam", *more)


def written(person: Person) -> list[str]:
    return sorted(str(path.relative_to(person.home)) for path in person.home.rglob("*"))


def test_one_command_writes_client_and_trust_and_uses_them(org: Person, sam: Person) -> None:
    said = joins(sam, org, "--key", str(sam.key))
    assert said.code == 0, said.err
    folder = sam.home / ".config" / "breakglass" / "try-out.example"
    assert sorted(path.name for path in folder.iterdir()) == ["client.toml", "trust"]
    assert (folder / "trust").read_bytes() == (org.cwd / "org" / "trust").read_bytes()
    public = " ".join((sam.home / "key.pub").read_text().split()[:2])
    assert f'keys: ["{public}"]' in said.out
    # Used from now on, from any folder; broker and ledger answer under what was written.
    # Nothing is read in the name of somebody whom no policy names yet.
    assert "unknown person 'sam'" in sam.types("breakglass", "status").err
    assert sam.types("breakglass", "trust", "update").row("version") == "1 (nothing newer)"


def test_the_fingerprint_is_what_init_and_invite_show(org: Person, sam: Person) -> None:
    mark = invited(org)[-1]
    assert len(mark.split("-")) == 16
    shown = org.types("breakglass", "trust", "show", "--org", "org")
    assert shown.row("fingerprint") == mark
    assert joins(sam, org, "--key", str(sam.key)).row("matches") == mark


def test_another_fingerprint_is_refused_and_nothing_is_written(org: Person, sam: Person) -> None:
    words, key = invited(org), str(sam.key)
    before = written(sam)
    words[-1] = "0000" + words[-1][4:]
    said = sam.types(*words, "--as", "sam", "--key", key)
    assert said.code == 4
    assert f"the log has the fingerprint {invited(org)[-1]}, not 0000-" in said.err
    assert written(sam) == before


def test_what_is_no_fingerprint_or_no_name_is_said_before_anybody_is_asked(sam: Person) -> None:
    ask = ("breakglass", "join", "person", "http://127.0.0.1:1", "--fingerprint")
    said = sam.types(*ask, "SHA256:abc", "--as", "sam")
    assert (said.code, "is no fingerprint: 64 digits" in said.err) == (2, True)
    said = sam.types(*ask, "ab" * 32, "--as", "Sam Smith")
    assert (said.code, "--as" in said.err) == (2, True)
    said = sam.types(*ask, "ab" * 32, "--as", "sam")
    assert (said.code, "broker at http://127.0.0.1:1" in said.err) == (5, True)


def test_a_second_run_brings_up_to_date_and_a_cut_off_one_leaves_nothing_in_use(
    org: Person, sam: Person
) -> None:
    place = sam.home / ".config" / "breakglass"
    draft = place / ".try-out.example.joining"  # as a run leaves it that was killed
    draft.mkdir(parents=True, mode=0o700)
    (draft / "client.toml").write_text("who = ")
    assert sam.types("breakglass", "status").code == 6
    assert joins(sam, org, "--key", str(sam.key)).code == 0
    client = place / "try-out.example" / "client.toml"
    text = client.read_text()
    client.write_text(text.replace("127.0.0.1", "127.0.0.9"))
    again = joins(sam, org, "--key", str(sam.key))
    assert again.row("updated").startswith("try-out.example/ledger as sam")
    assert client.read_text() == text
    assert sam.types("breakglass", "trust", "update").code == 0


def test_a_folder_of_somebody_else_is_left_alone(org: Person, sam: Person) -> None:
    folder = sam.home / "mine"
    folder.mkdir()
    (folder / "letter").write_text("dear")
    said = joins(sam, org, "--key", str(sam.key), "--out", str(folder))
    assert (said.code, "holds something else; nothing was changed" in said.err) == (6, True)
    assert [path.name for path in folder.iterdir()] == ["letter"]


def test_a_key_is_made_or_taken_from_the_agent(org: Person, sam: Person) -> None:
    none = joins(sam, org)
    assert (none.code, "no SSH key" in none.err) == (6, True)
    made = joins(sam, org, "--new-key")
    assert made.row("key").endswith("(a software key: one factor)")
    assert joins(sam, org, "--new-key").out.splitlines()[1:] == made.out.splitlines()[1:]
    shutil.rmtree(sam.home / ".config")
    with real_agent(sam.home / "agent", sam.key):
        sam.extra["SSH_AUTH_SOCK"] = str(sam.home / "agent")
        assert joins(sam, org).row("key").startswith("the agent's first")
        shown = sam.types("breakglass", "use")
        assert shown.row("allowed").endswith("try-out.example/client.toml")


@contextlib.contextmanager
def broker_that_gives(*answers: Any) -> Iterator[Peer]:
    """Answer ``GET /trust`` with each of these in turn, and with the last one for ever."""
    left = list(answers)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(left.pop(0) if len(left) > 1 else left[0]).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with Peer(f"http://127.0.0.1:{server.server_port}", name="broker") as peer:
            yield peer
    finally:
        server.shutdown()
        server.server_close()


def believed(org: Person, *answers: Any) -> bytes:
    """Return the trust file that a newcomer keeps, whatever a broker answers."""
    genesis = genesis_of(org)
    with (
        Peer(org.cwd / "org" / "ledger", name="ledger") as ledger,
        broker_that_gives(*answers) as broker,
    ):
        return follow_trust(ledger, broker, genesis)[1]


def genesis_of(org: Person) -> str:
    return re.search(r"(?m)^genesis ([0-9a-f]{64})$", true_file(org))[1]  # type: ignore[index]


def true_file(org: Person) -> str:
    return (org.cwd / "org" / "trust").read_text()


def forged(org: Person, version: int) -> str:
    """Return a trust file whose maintainer is a thief, with signatures that are of another text."""
    text = true_file(org).replace("version 1\n", f"version {version}\n")
    thief = f"maintainer mira ssh-ed25519 {base64.b64encode(os.urandom(51)).decode()}"
    return re.sub(r"(?m)^maintainer mira .*$", thief, text)


def test_what_a_newcomer_keeps_is_what_was_proven_whatever_a_broker_puts_beside_it(
    org: Person,
) -> None:
    true = true_file(org)
    assert believed(org, {"files": [true], "more": False}) == true.encode()
    # Behind the true one, and nothing that anybody signed: passed over.
    for more in (forged(org, 2), "no note at all", ""):
        assert believed(org, {"files": [true, more], "more": False}) == true.encode()
    assert believed(org, {"files": [true], "more": True}, {"files": []}) == true.encode()
    # In its place, or before it: nothing is kept.
    for files in ([forged(org, 1)], [forged(org, 1), true], ["no note", true]):
        with pytest.raises(UnprovenError) as caught:
            believed(org, {"files": files, "more": False})
        assert caught.value.name == "trust_genesis"
    for answer in ({"files": [], "more": False}, {"files": "x"}, {}):
        with pytest.raises(UnavailableError, match="the broker's answer to /trust makes no sense"):
            believed(org, answer)
