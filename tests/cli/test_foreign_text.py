"""What a terminal is told of somebody else's words moves no cursor and hides nothing."""

from __future__ import annotations

import json
import logging
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from breakglass.cli import output
from breakglass.clock import format_time
from breakglass.gate.main import _say
from breakglass.process.serving import ShownFormatter
from breakglass.shown_text import all_seen, shown
from breakglass.token.answer import Answer, Opens
from tests.embedded.isolated import command
from tests.kit.lying_broker import responder

foreign = st.text(max_size=400) | st.binary(max_size=400).map(lambda data: data.decode("latin-1"))


@given(foreign, st.integers(min_value=1, max_value=500))
def test_any_text_is_shown_on_one_line_within_its_length(text: str, most: int) -> None:
    found = shown(text, most)
    assert all_seen(found)
    assert len(found) <= most
    assert shown(found, most) == found
    found.encode()


@given(foreign)
def test_what_people_write_is_left_as_it_is(text: str) -> None:
    if all_seen(text):
        assert shown(text, 400) == text


@given(foreign)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_way_to_tell_a_person_something_escapes_it(
    capsys: pytest.CaptureFixture[str], text: str
) -> None:
    capsys.readouterr()
    output.tell_rows([(text, text)])
    output.tell_table(("grant", "title"), [(text, text)])
    output.tell_wrapped(("grant", "title"), [(text, text)], (30,), 80)
    output.talk(text)
    output.tell_error("refused", text, text, as_json=False)
    output.tell_error("refused", text, text, as_json=True)
    told = capsys.readouterr()
    assert all(map(all_seen, (told.out + told.err).split("\n")))


@given(foreign)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_json_says_the_same_and_moves_no_cursor(
    capsys: pytest.CaptureFixture[str], text: str
) -> None:
    capsys.readouterr()
    output.tell_json({"title": text})
    told = capsys.readouterr().out
    assert json.loads(told) == {"title": text}
    assert all(map(all_seen, told.split("\n")))


def test_a_title_that_people_can_read_stays_readable_in_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.tell_json({"title": "Zahlung hängt"})
    assert "hängt" in capsys.readouterr().out


@given(foreign)
def test_no_line_of_a_processes_log_moves_a_terminal(text: str) -> None:
    record = logging.LogRecord("breakglass", logging.ERROR, "", 1, "entry %d: %s", (7, text), None)
    told = ShownFormatter("monitor: %(levelname)s %(message)s").format(record)
    assert all(map(all_seen, told.split("\n")))


def test_a_gate_shows_what_its_check_said_and_obeys_none_of_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _say(Answer("deploy", Opens.SHUT_FAILED, "red\x1b[2J\n\u202eneerg"), as_json=False)
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "(red\\x1b[2J\\n\\u202eneerg)" in told


TITLE = "\u00e7ekout \U0001f525"


@pytest.mark.parametrize("encoding", ["iso-8859-1", "cp1252", "koi8-r", "utf-8"])
def test_no_title_of_anybodys_stops_a_narrow_terminal(tmp_path: Path, encoding: str) -> None:
    """R14: one person's emoji silenced another's terminal, also with ``--json``."""
    with responder(tmp_path) as mira:
        said = mira.broker.org.declare(incident="INC-2", title=TITLE, nonce="44" * 16)
        incident = {"incident": "INC-2", "severity": "SEV1", "title": TITLE, "open": True}
        incident |= {"self_declared": True, "opened_at": format_time(said.at)}
        answers = {"/incidents": {"incidents": [incident]}, "/grants": {"grants": []}}
        answers["/doors"] = {"doors": [], "unappended": []}
        answers["/requests"] = {"mine": [], "waiting": []}
        mira.broker.lie |= {path: lambda _, is_=answer: is_ for path, answer in answers.items()}
        mira.extra |= {"PYTHONIOENCODING": encoding}
        words = command(("breakglass", "status"))
        found = [
            subprocess.run(
                [*words, *more],
                capture_output=True, env=mira.environment, cwd=tmp_path, check=False,
            )
            for more in ([], ["--json"])
        ]  # fmt: skip
    for each in found:
        assert each.returncode == 0, each.stderr
    shown = TITLE.encode(encoding, "backslashreplace")
    assert shown in found[0].stdout
    told = json.loads(found[1].stdout.decode(encoding))
    assert told["incidents"][0]["title"] == TITLE
