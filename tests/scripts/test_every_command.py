"""Every command that the tour leaves out, typed for real against one running organisation."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.embedded.isolated import Person, Typed, running_up
from tests.kit.processes import until


@pytest.fixture(scope="module")
def mira(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    person = Person.at(tmp_path_factory.mktemp("every"))
    said = person.types("breakglass", "init", "org", "--as", "mira", "--key", str(person.key))
    assert said.code == 0, said.err
    with running_up(person):
        person.cwd = person.cwd / "org"
        assert person.types(*DECLARE).code == 0
        yield person


DECLARE = (
    "breakglass", "incident", "declare", "INC-1", "--severity", "SEV1", "--title", "checkout 5xx",
)  # fmt: skip


def break_hello(person: Person, *more: str) -> Typed:
    words = ("break", "hello", "--incident", "INC-1", "--why", "a test")
    return person.types("breakglass", *words, *more)


def grant_of(said: Typed) -> str:
    assert said.code == 0, said.err
    return said.row("grant")


def told(said: Typed) -> dict:
    assert said.code == 0, said.err
    return json.loads(said.out)


def test_what_a_responder_holds_is_closed_to_everybody_else(mira):
    grant = grant_of(break_hello(mira))
    folder = mira.cwd / "client" / "grants" / grant
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in ("holder", "statement.json", "answer.json"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600, name


def test_a_statement_sent_again_is_the_same_grant(mira):
    first = told(break_hello(mira, "--json"))
    (mira.cwd / "client" / "grants" / first["grant"] / "answer.json").unlink()
    again = told(mira.types("breakglass", "break", "--again", first["grant"], "--json"))
    assert (again["grant"], again["index"]) == (first["grant"], first["index"])


def test_refusals_name_what_is_wrong_and_what_there_is(mira):
    said = mira.types("breakglass", "break", "hallo", "--why", "x")
    assert (said.code, "there are: hello" in said.err) == (3, True)
    said = break_hello(mira, "--for", "2h")
    assert (said.code, "for 30 min at most, asked 2 h" in said.err) == (3, True)
    said = break_hello(mira, "--minter", "nowhere")
    assert (said.code, "has no minter 'nowhere'" in said.err) == (2, True)
    said = mira.types("breakglass", "break", "hello")
    assert (said.code, "say why: --why TEXT" in said.err) == (2, True)
    said = mira.types("breakglass", "break", "hello", "--incident", "INC-404", "--why", "x")
    assert said.code == 3, said.err


def test_a_reason_with_a_hidden_character_is_refused_before_anybody_signs(mira):
    said = mira.types("breakglass", "break", "hello", "--why", "roll\u202eback")
    assert said.code == 2
    assert "character U+202E at position 4 is not allowed" in said.err


def test_a_command_ends_when_its_grant_expires(mira):
    began = mira.cwd / "began"
    for lives_s in (4, 16, 64):  # until it lives longer than this machine takes to begin
        grant = grant_of(break_hello(mira, "--for", f"{lives_s}s"))
        words = ("sh", "-c", f"touch {began}; exec sleep 600")
        said = mira.types("breakglass", "run", grant, "--", *words, within_s=120)
        if began.exists():
            break
    assert said.code == 3
    assert f"grant '{grant}' expired; 'sh' was ended with it" in said.err
    late = mira.types("breakglass", "run", grant, "--", "true")
    assert (late.code, "a grant is never extended" in late.err) == (3, True)


def test_a_command_ends_when_its_grant_is_killed_elsewhere(mira):
    grant = grant_of(break_hello(mira))
    began = mira.cwd / "began-too"
    words = ("sh", "-c", f"touch {began}; exec sleep 600")
    process = mira.starts("breakglass", "run", grant, "--", *words)
    until(began.exists)
    assert mira.types("breakglass", "kill", grant, "--why", "not mira").code == 0
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 3
    assert "was ended" in out
    one = mira.types("breakglass", "status", grant)
    assert one.row("ended") == "killed"


def test_a_signal_that_ends_the_command_is_its_exit_code(mira):
    grant = grant_of(break_hello(mira))
    said = mira.types(
        "breakglass", "run", grant, "--", "sh", "-c", f"kill -{signal.SIGTERM.value} $$"
    )
    assert said.code == 128 + signal.SIGTERM.value


def test_psql_without_a_credential_says_what_the_grant_is_good_for(mira):
    grant = grant_of(break_hello(mira))
    said = mira.types("breakglass", "psql", grant)
    assert (said.code, "opens gates only: it has a token and no credential" in said.err) == (
        3,
        True,
    )


def test_a_grant_of_another_machine_is_not_used(mira):
    said = mira.types("breakglass", "run", "g-aaaaaaaaaaaa", "--", "true")
    assert (said.code, "is not on this machine" in said.err) == (6, True)
    said = mira.types("breakglass", "done", "../../etc")
    assert (said.code, "is not a grant" in said.err) == (2, True)


def test_a_stopped_person_breaks_nothing_until_somebody_else_lifts_it(mira):
    text = (mira.cwd / "client.toml").read_text().replace('who = "mira"', 'who = "second"')
    second = mira.cwd / "second.toml"
    second.write_text(text.replace(str(mira.key), "keys/maintainers/second"))
    assert mira.types("breakglass", "kill", "person:mira", "--why", "laptop lost").code == 0
    refused = break_hello(mira)
    assert refused.code == 3, refused.out
    said = mira.types("breakglass", "status", "--org", str(second))
    assert said.row("stopped").startswith("person 'mira' by mira ")
    assert said.row("stopped").endswith(": 'laptop lost'")
    lift = ("breakglass", "kill", "--lift", "person:mira", "--why", "found")
    assert mira.types(*lift).code == 3  # never oneself
    said = mira.types(*lift, "--org", str(second))
    assert said.row("lifted").startswith("person 'mira'")
    assert break_hello(mira).code == 0


def test_kill_takes_three_kinds_of_targets_and_no_other(mira):
    said = mira.types("breakglass", "kill", "mira")
    assert (said.code, "is no grant (g-…), person:NAME or glass:NAME" in said.err) == (2, True)


def test_incidents_are_listed_and_closed(mira):
    two = [*DECLARE[:3], "INC-2", *DECLARE[4:]]
    assert mira.types(*two).code == 0
    assert mira.types("breakglass", "incident", "close", "INC-2").row("closed").startswith("INC-2")
    listed = told(mira.types("breakglass", "incident", "list", "--json"))["incidents"]
    assert {each["incident"]: each["open"] for each in listed} == {"INC-1": True, "INC-2": False}
    said = mira.types("breakglass", "incident", "close", "INC-3")
    assert (said.code, "there is no incident 'INC-3'" in said.err) == (3, True)


def test_reviews_are_listed(mira):
    grant = grant_of(break_hello(mira))
    until(lambda: grant in mira.types("breakglass", "review", "list").out)
    shown = told(mira.types("breakglass", "review", "show", grant, "--json"))
    assert shown["record"]["broke_glass"] == "mira"
    assert "incident" in mira.types("breakglass", "review", "show", grant).out


def test_gates_are_read_from_the_ledger_and_a_decision_is_signed(mira):
    def is_stated() -> bool:
        gate = ("breakglass-gate", "run", "hello-gate", "--folder", "gates/hello-gate")
        mira.types(*gate, "--", "true")
        mira.types("breakglass-gate", "flush", "hello-gate", "--folder", "gates/hello-gate")
        return "no gate has stated" not in mira.types("breakglass", "gates", "report").err

    until(is_stated)
    words = ("breakglass", "gates", "decide", "hello-gate", "--decision", "leave it as it is")
    said = told(mira.types(*words, "--json"))
    assert (said["verdict"], said["by"]) == ("not_enough_data", "mira")
    page = mira.cwd / "gates.html"
    assert mira.types("breakglass", "gates", "report", "--html", str(page)).code == 0
    assert "review: leave it as it is" in page.read_text()
    again = mira.types(*words, "--verdict", "healthy", "--look-again", "2001-01-01")
    assert (again.code, "not after today; nothing was recorded" in again.err) == (2, True)


def test_a_new_gate_is_made_signed_in_and_opens(mira):
    glasses = ("--glass", "hello")
    said = mira.types(
        "breakglass", "gate", "add", "hello-gate-2", "--out", "gates/two", *glasses, "--sign-here"
    )
    assert said.code == 0, said.err
    assert said.row("trust").startswith("line submitter gate:hello-gate-2 gate-hello-gate-2.")
    assert said.row("in").startswith("force   trust file 2, by mira and second")
    folder = mira.cwd / "gates" / "two"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    checked = mira.types(
        "breakglass-gate", "run", "hello-gate-2", "--folder", "gates/two", "--", "true"
    )
    assert checked.code == 0
    flushed = mira.types("breakglass-gate", "flush", "hello-gate-2", "--folder", "gates/two")
    assert (flushed.code, flushed.out.strip()) == (0, "0 records wait")


def test_trust_is_updated_from_the_ledger_and_printed_for_others(mira):
    first = mira.cwd / "broker" / "trust"
    newest = json.loads(mira.types("breakglass", "trust", "show", "--json").out)["version"]
    (mira.cwd / "trust").write_bytes(first.read_bytes())
    told_now = told(mira.types("breakglass", "trust", "update", "--json"))
    assert told_now == {"before": 1, "version": newest}
    assert mira.types("breakglass", "trust", "policy").out.startswith("log try-out.example/ledger+")


def test_a_policy_takes_two_maintainers_and_what_is_committed(mira):
    path = mira.cwd / "bundle" / "breakglass.yaml"
    path.write_text(path.read_text().replace("version: 1 ", "version: 2 "))
    said = mira.types("breakglass", "policy", "sign")
    assert (said.code, "is not committed" in said.err) == (6, True)
    git = ["git", "-C", str(mira.cwd / "bundle"), "-c", "user.name=m", "-c", "user.email=m@x"]
    subprocess.run([*git, "commit", "-qam", "two"], check=True, env=mira.environment)
    alone = mira.types("breakglass", "policy", "sign")
    assert (alone.code, "1 of 2 maintainers" in alone.err) == (0, True)
    assert mira.types("breakglass", "policy", "activate").code != 0
    assert mira.types("breakglass", "policy", "sign", "--sign-here").code == 0
    said = mira.types("breakglass", "policy", "activate")
    assert said.row("in").startswith("force   policy 2")


def test_a_policy_is_checked_and_linted(mira):
    checked = told(mira.types("breakglass", "policy", "check", "--json"))
    assert (checked["holds"], checked["glasses"]) == (True, ["hello"])
    assert mira.types("breakglass", "policy", "lint").out.startswith("advice: breakglass.yaml:")
    wrong = mira.cwd / "wrong"
    wrong.mkdir(exist_ok=True)
    text = (mira.cwd / "bundle" / "breakglass.yaml").read_text()
    (wrong / "breakglass.yaml").write_text(text.replace("blast_radius:", "blast:"))
    said = mira.types("breakglass", "policy", "check", "wrong")
    assert said.code == 2
    assert "breakglass.yaml:" in said.err
    (wrong / "breakglass.yaml").write_text(text.replace("fail: closed", "fail: open"))
    said = mira.types("breakglass", "policy", "check", "wrong")
    assert (said.code, "error: breakglass.yaml:" in said.out) == (2, True)
    assert "cannot take force" in said.err


def test_an_altered_copy_is_refused_and_the_record_named(mira, tmp_path):
    copy = tmp_path / "copy"
    assert mira.types("breakglass", "ledger", "export", "--to", str(copy)).code == 0
    again = mira.types("breakglass", "ledger", "export", "--to", str(copy))
    assert (again.code, "already exists" in again.err) == (3, True)
    (bundle,) = (copy / "tile" / "entries").rglob("[0-9]*.p/*")
    data = bundle.read_bytes()
    at = data.index(b'"title":"checkout 5xx"') + len('"title":"')
    bundle.write_bytes(data[:at] + b"C" + data[at + 1 :])
    said = mira.types("breakglass", "ledger", "verify", str(copy), "--trust", "trust")
    assert said.code == 4
    assert "is not the one that was logged" in said.err
    assert "record " in said.err


def test_a_whole_copy_verifies_with_the_first_trust_file(mira, tmp_path):
    copy = tmp_path / "copy"
    assert mira.types("breakglass", "ledger", "export", "--to", str(copy)).code == 0
    said = told(
        mira.types("breakglass", "ledger", "verify", str(copy), "--trust", "broker/trust", "--json")
    )
    assert said["forbidden"] == []
    assert said["size"] >= 8
    assert Path(copy / "policy").read_text().startswith("log ")
