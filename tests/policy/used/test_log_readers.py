"""Logs are read strictly: what is no entry is refused with its file and line, and never a crash."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from breakglass.errors import MalformedError
from breakglass.policy.used.log_file import LogForm, form_of
from breakglass.policy.used.pgaudit_line import pgaudit_line
from breakglass.policy.used.postgres_line import PostgresLine, csv_fields, postgres_lines
from breakglass.policy.used.sshd_line import sshd_lines

HERE = (
    '2026-12-01 01:50:48.300 UTC,"bg_7kq3m2x4p5ab","orders",24215,"127.0.0.1:46078",6b0e27f8.5e97,'
    '48,"idle",2026-12-01 01:50:48 UTC,3/22,0,LOG,00000,"{}",,,,,,,,,"psql","client backend",,0\n'
)
JSON = {
    "timestamp": "2026-12-01 01:50:48.300 UTC",
    "user": "bg_7kq3m2x4p5ab",
    "dbname": "orders",
    "pid": 24215,
    "session_id": "6b0e27f8.5e97",
    "line_num": 48,
    "error_severity": "LOG",
    "message": "statement: select 'a\nb'",
    "application_name": "psql",
}
JOURNAL = {
    "__REALTIME_TIMESTAMP": "1796089848300000",
    "_HOSTNAME": "web-1",
    "_UID": "0",
    "_EXE": "/usr/sbin/sshd",
    "_PID": "12",
    "MESSAGE": "Server listening on 127.0.0.1 port 22.",
}
SYSLOG = "2026-12-01T03:14:09.123456+00:00 web-1 sshd[12]: Server listening on :: port 22.\n"


def read(path: Path) -> Iterator[object]:
    form = form_of(path)
    if form.platform == "postgres":
        return iter(list(postgres_lines(path, form)))
    return iter(list(sshd_lines(path, form)))


def wrote(path: Path, *parts: str | dict[str, object]) -> Path:
    texts = [each if isinstance(each, str) else json.dumps(each) + "\n" for each in parts]
    path.write_text("".join(texts), newline="")
    return path


def test_a_line_break_inside_a_statement_makes_no_entry(tmp_path: Path) -> None:
    fake = HERE.format("statement: x").replace('"', '""')
    log = wrote(tmp_path / "a.csv", HERE.format(f"statement: select '\n{fake}'"), HERE.format("y"))
    found = [each for each in read(log) if isinstance(each, PostgresLine)]
    assert [each.message[:10] for each in found] == ["statement:", "y"]
    assert [each.place.line for each in found] == [1, 4]
    log = wrote(tmp_path / "a.json", JSON)
    (one,) = read(log)
    assert isinstance(one, PostgresLine)
    assert (one.message, one.user, one.number) == (JSON["message"], "bg_7kq3m2x4p5ab", 48)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "2026-12-01 01:50:48.300 UTC bg_x@orders LOG:  statement: select 1\n",
            ":1: expected a lin",
        ),
        ("Dec  1 01:50:48 web-1 sshd[12]: Accepted\n", "'journalctl -o json', or of syslog with"),
        ("", ":1: expected a line, got 'nothing'"),
        (HERE.format("x")[:-3], ":1: expected a line with its end"),
        (HERE.format("x") + HERE.format("x").replace(",,0\n", ",0\n"), ":2: expected 26 columns"),
        (HERE.format("x") + HERE.format('x"y'), ":2: expected a row of csvlog with its end"),
        (HERE.format("x").replace(" UTC,", " CEST,", 1), "expected a time such as '2026-12-01"),
        (HERE.format("x").replace("2026-12-01", "2026-12-32", 1), "expected a day and time that"),
        (HERE.format("x").replace(",LOG,", ",PROTOKOLL,"), "expected a severity such as LOG"),
        (HERE.format("x").replace(",48,", ",0,"), "expected the number of an entry"),
        (json.dumps(JSON) + "\n[1]\n", ":2: expected one JSON object"),
        (json.dumps(JSON)[:-1] + ', "user": "x"}\n', ":1: expected one JSON object"),
        (json.dumps(JSON | {"user": 7}) + "\n", ":1: expected a text as 'user', got '7'"),
        (json.dumps(JSON | {"line_num": True}) + "\n", ":1: expected a number as 'line_num'"),
        (json.dumps(JSON) + "\n" + "[" * 100_000 + "\n", ":2: expected one JSON object"),
        (json.dumps(JOURNAL | {"_HOSTNAME": ""}) + "\n", ":1: expected a text as '_HOSTNAME'"),
        (json.dumps(JOURNAL | {"__REALTIME_TIMESTAMP": "9" * 20}) + "\n", "a time that there is"),
        (SYSLOG + "fake\n", ":2: expected a line such as '2026-12-01T03:14:09.123456"),
    ],
)
def test_what_is_no_entry_is_refused_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(MalformedError) as raised:
        list(read(wrote(tmp_path / "log", text)))
    assert says in str(raised.value)
    assert str(raised.value).endswith("; nothing was proposed")


def test_the_plain_text_of_postgresql_is_refused_with_its_reason(tmp_path: Path) -> None:
    log = wrote(tmp_path / "log", "2026-12-01 01:50:48.300 UTC [12] LOG:  statement: select 1\n")
    with pytest.raises(MalformedError) as raised:
        form_of(log)
    assert "a statement can write lines of its own into it" in raised.value.hint


VALID = [HERE.format("statement: x y"), json.dumps(JSON) + "\n", json.dumps(JOURNAL) + "\n", SYSLOG]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(st.sampled_from(VALID), st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=4))))
def test_no_bytes_make_a_reader_fall(
    tmp_path: Path, valid: str, changes: list[tuple[int, bytes]]
) -> None:
    data = bytearray((valid * 2).encode())
    for at, new in changes:
        data[at % len(data) : at % len(data) + len(new)] = new
    log = tmp_path / "log"
    log.write_bytes(bytes(data))
    said = []
    for form in LogForm:
        try:
            form_of(log)
            found = (postgres_lines if form.platform == "postgres" else sshd_lines)(log, form)
            list(found)
        except MalformedError as error:
            said.append(str(error))
    assert all(each.startswith(f"{log}:") for each in said)


@given(st.text(max_size=60))
def test_no_message_makes_the_reader_of_pgaudit_fall(text: str) -> None:
    pgaudit_line(text)
    pgaudit_line(f"AUDIT: SESSION,1,1,READ,SELECT,{text}")


@given(st.lists(st.text(st.characters(exclude_characters="\n", codec="utf-8")), min_size=1))
def test_csv_is_read_as_it_is_written(fields: list[str]) -> None:
    row = ",".join('"' + each.replace('"', '""') + '"' for each in fields)
    assert csv_fields(row) == fields


def test_rights_that_pgaudit_does_not_name_are_taken_from_the_words() -> None:
    def rights(command: str, text: str) -> tuple[str, ...]:
        line = pgaudit_line(f"AUDIT: SESSION,1,1,WRITE,{command},TABLE,public.t,{text},<none>")
        assert line is not None
        return line.rights

    assert rights("SELECT", "table t") == ("select",)
    assert rights("SELECT", "select 1 from t for update") == ("select", "update")
    assert rights("INSERT", "insert into t values (1)") == ("insert",)
    assert rights("INSERT", "insert into t values (1) on conflict do update set a = 1") == (
        "select", "insert", "update",
    )  # fmt: skip
    assert rights("UPDATE", "update t set a = b") == ("select", "update")
    assert rights("DELETE", "merge into t using s on a = b when matched then delete") == (
        "select", "insert", "update", "delete",
    )  # fmt: skip
    assert len(rights("INSERT", "<previously logged>")) == 4
