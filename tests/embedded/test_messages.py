"""What somebody in a hurry reads when it does not work: who, what, and the way on."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kit.processes import until
from tests.kit.reading import folder_peer

from .isolated import Person, Typed, running_up


@pytest.fixture(scope="module")
def mira(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    person = Person.at(tmp_path_factory.mktemp("messages"))
    made = person.types(
        "breakglass", "init", "org", "--as", "mira", "--key", str(person.key), "--custodians", "2"
    )
    assert made.code == 0, made.err
    with running_up(person, "org"):
        person.cwd = person.cwd / "org"
        opened = _declared(person, "INC-1")
        assert opened.code == 0, opened.err
        yield person


def _declared(person: Person, name: str, severity: str = "SEV1") -> Typed:
    return person.types(
        "breakglass", "incident", "declare", name, "--severity", severity, "--title", "checkout 5xx"
    )


def _broken(person: Person, *more: str, incident: str = "INC-1", why: str = "red") -> Typed:
    return person.types(
        "breakglass", "break", "hello", "--incident", incident, "--why", why, *more, within_s=90
    )


def _address(person: Person, process: str) -> str:
    return (person.cwd / process / "address").read_text().strip()


@contextmanager
def _frozen(person: Person, *processes: str) -> Iterator[None]:
    pids = [int((person.cwd / each / "lock").read_text().split()[0]) for each in processes]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_an_incident_that_is_open_is_called_open_with_what_it_is(mira: Person) -> None:
    said = _declared(mira, "INC-1")
    assert said.code == 3
    assert "incident 'INC-1' is open already: SEV1 checkout 5xx" in said.err


def test_a_severity_in_small_letters_is_met_with_the_large_ones(mira: Person) -> None:
    said = _declared(mira, "INC-2", "sev1")
    assert said.code == 2
    assert "--severity 'sev1' is not a severity such as SEV1" in said.err
    assert "hint: did you mean: --severity SEV1" in said.err


def test_an_unknown_incident_comes_with_how_to_see_and_open_one(mira: Person) -> None:
    said = _broken(mira, incident="INC-9")
    assert said.code == 3
    assert "incident 'INC-9' is not open; nothing was recorded" in said.err
    assert "breakglass incident list; open one: breakglass incident declare" in said.err


@pytest.mark.parametrize("given", ["30", "30 min", "-5m"])
def test_a_length_of_time_in_another_form_is_met_with_the_forms_that_are_taken(
    mira: Person, given: str
) -> None:
    said = _broken(mira, "--for", given)
    assert said.code == 2
    assert f"invalid duration --for {given!r}" in said.err
    assert "hint: use 90s, 10m or 1h" in said.err


def test_a_line_break_is_called_a_line_break(mira: Person) -> None:
    said = _broken(mira, why="red\nas ever")
    assert said.code == 2
    assert "a line break (U+000A) at position 3 is not allowed" in said.err


def test_what_is_no_grants_name_is_told_so_and_not_sought_on_this_machine(mira: Person) -> None:
    said = mira.types("breakglass", "done", "foo")
    assert said.code == 2
    assert "'foo' is not a grant (g- and twelve characters)" in said.err


def test_handing_back_what_is_over_says_since_when_and_thanks_nobody(mira: Person) -> None:
    grant = json.loads(_broken(mira, "--json").out)["grant"]
    first, second = (mira.types("breakglass", "done", grant) for _ in range(2))
    assert first.row("ended") == f"{grant}, handed back; thank you"
    assert second.row("ended").startswith(f"{grant}, already over since ")


def test_status_says_how_long_is_left_in_the_persons_own_zone(mira: Person) -> None:
    assert _broken(mira).code == 0
    assert " min left, until " in mira.types("breakglass", "status").out
    mira.extra["TZ"] = "Asia/Kathmandu"
    try:
        shown = mira.types("breakglass", "status").out
    finally:
        del mira.extra["TZ"]
    line = next(each for each in shown.splitlines() if "g-" in each)
    here, _, utc = line.partition(" until ")[2].partition(" (")
    minutes = [int(each[:2]) * 60 + int(each[3:5]) for each in (here, utc)]
    assert (minutes[0] - minutes[1]) % 1440 == 5 * 60 + 45
    assert utc[5:].startswith(" UTC)")


def test_whoever_holds_a_grant_of_the_glass_is_told_before_another_is_made(mira: Person) -> None:
    held = json.loads(_broken(mira, "--json").out)["grant"]
    assert f"you hold {held} of glass 'hello' already, " in _broken(mira).err
    # One that was handed back is not held; nor does a folder that cannot be read stop a glass.
    assert mira.types("breakglass", "done", held).code == 0
    assert f"you hold {held}" not in _broken(mira).err
    state = mira.cwd / "client"
    (state / "grants" / held / "answer.json").write_text("{")
    assert _broken(mira).code == 0


def test_a_drill_is_not_spoken_of_as_held(mira: Person) -> None:
    drill = json.loads(_broken(mira, "--drill", "--json").out)["grant"]
    assert f"you hold {drill}" not in _broken(mira).err


def test_both_keys_of_a_broker_are_shown_and_found(mira: Person) -> None:
    """Its own, and the one by which it speaks at the custodians' door."""
    shown = json.loads(mira.types("breakglass", "trust", "show", "--json").out)["submitters"]
    assert [each["role"] for each in shown].count("broker") == 2
    told = json.loads(mira.types("breakglass", "doctor", "--json").out)
    hosts = [each["host"] for each in told["keys"] if each["room"] == "broker"]
    assert hosts == ["this host", "this host"]


def test_a_review_is_due_on_a_day(mira: Person) -> None:
    grant = json.loads(_broken(mira, "--json").out)["grant"]
    until(lambda: grant in mira.types("breakglass", "review", "list").out)  # the monitor's
    listed = mira.types("breakglass", "review", "list").out.splitlines()[1:]
    assert {len(line.split()[-1]) for line in listed} == {len("2026-12-03")}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("ledger", "verify", "/nonexistent"), "there is no folder '/nonexistent' with a copy"),
        (
            ("ledger", "verify", ".", "--trust", "client.toml"),
            "'client.toml' is not a trust file: ",
        ),
        (("key", "show", "x"), "'x/key' cannot be read: No such file or directory"),
    ],
)
def test_a_wrong_path_is_told_with_the_path_and_a_reason_in_words(
    mira: Person, words: tuple[str, ...], says: str
) -> None:
    said = mira.types("breakglass", *words)
    assert said.code in (2, 6)
    assert says in said.err
    assert "[Errno" not in said.err


@pytest.mark.parametrize(
    ("frozen", "names"),
    [
        (("ledger",), "'ledger' at {ledger} did not answer within "),
        (("archiver",), "the ledger waits for 'archiver'"),
        (("witness-1", "witness-2"), "the ledger waits for 'witness-1', 'witness-2'"),
    ],
)
def test_when_nothing_is_recorded_the_silent_one_is_named_with_the_way_round(
    mira: Person, frozen: tuple[str, ...], names: str
) -> None:
    with _frozen(mira, *frozen):
        said = _broken(mira)
    assert said.code == 5
    assert names.format(ledger=_address(mira, "ledger")) in said.err
    assert "nothing was minted" in said.err
    assert "breakglass break --again g-" in said.err
    assert "still nothing: breakglass door ask" in said.err


def test_a_silent_broker_is_told_at_once_and_named_with_its_address(mira: Person) -> None:
    with _frozen(mira, "broker"):
        said = _broken(mira)
    assert said.code == 5
    first, last = said.err.splitlines()[0], said.err.splitlines()[-2]
    assert first == "breakglass: no answer from the broker yet; waiting up to 20 s"
    assert f"'broker' at {_address(mira, 'broker')} did not answer within 20 s" in last


def test_whoever_presses_ctrl_c_is_told_that_it_may_stand(mira: Person) -> None:
    with _frozen(mira, "broker"):
        process = mira.starts("breakglass", "break", "hello", "--why", "red")
        assert process.stdout is not None
        assert "no answer from the broker yet" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "what was sent may be recorded all the same: breakglass status" in rest


def test_a_count_on_the_terminal_gives_way_to_the_result(mira: Person, tmp_path: Path) -> None:
    seen = _at_a_terminal(mira, "ledger", "export", "--to", str(tmp_path / "copy"))
    assert "\x1b[Kcopied" in seen.replace("\x1b[2m", "").replace("\x1b[0m", "")


def test_lines_are_wrapped_where_somebody_reads_them(mira: Person) -> None:
    told = mira.types("breakglass", "doctor").out.splitlines()
    assert max(map(len, told)) > 80  # a program reads it: one line is one fact
    seen = re.sub(r"\x1b\[[0-9;]*m", "", _at_a_terminal(mira, "doctor", columns=80))
    # A path is one word, however long the folder's name is.
    lines = [each for each in seen.splitlines() if str(mira.cwd.parent)[:12] not in each]
    assert max(map(len, lines)) <= 80


def _at_a_terminal(person: Person, *words: str, columns: int = 100) -> str:
    """Return what a command writes where somebody sits."""
    main, side = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "breakglass.cli", *words],
        stdin=side,
        stdout=side,
        stderr=side,
        env={**person.environment, "COLUMNS": str(columns)},
        cwd=person.cwd,
    )
    os.close(side)
    seen = b""
    with contextlib.suppress(OSError):  # Linux says EIO where a terminal's other side has gone
        while part := os.read(main, 65536):
            seen += part
    os.close(main)
    process.wait(60)
    return seen.decode()


def test_no_message_of_a_neighbour_shows_the_digest_of_its_certificate(tmp_path: Path) -> None:
    from breakglass.errors import UnavailableError
    from breakglass.http.client import Peer

    with Peer(f"https://127.0.0.1:1#{'ab' * 32}", name="broker") as peer:
        with pytest.raises(UnavailableError) as caught:
            peer.get("/healthz")
    assert "'broker' at https://127.0.0.1:1 cannot be reached" in caught.value.message
    assert "abab" not in caught.value.message


def test_a_poll_that_would_last_for_ever_is_answered(mira: Person) -> None:
    with folder_peer(mira.cwd, "ledger") as ledger:  # signed: else nobody would look at the number
        assert ledger.get(f"/entries?from=0&wait={10**17}").json()["commits"]


def test_the_key_that_a_client_toml_names_and_nobody_has_is_told_with_both_places(
    mira: Person,
) -> None:
    client = mira.cwd / "client.toml"
    text = client.read_text()
    try:
        client.write_text(text.replace(str(mira.key), str(mira.home / "gone")))
        assert mira.types("breakglass", "use", ".").code == 0
        said = _broken(mira)
    finally:
        client.write_text(text)
        mira.types("breakglass", "use", ".")
    assert said.code == 6
    assert "[Errno" not in said.err
    assert "'key' in client.toml" in said.err
