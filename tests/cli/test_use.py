"""Whose ``client.toml`` counts: what a person allowed, and nothing that merely lies in the way."""

from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from breakglass.cli.client import find
from breakglass.cli.output import state_folder
from breakglass.clock import to_milliseconds
from breakglass.errors import MisconfiguredError
from breakglass.records.statement import Do, grant_id
from tests.embedded.isolated import Person
from tests.kit.organisation import Organisation

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def mira(tmp_path: Path) -> Person:
    return Person.at(tmp_path)


def client_file(folder: Path, who: str = "mira", more: str = "") -> Path:
    """Write a ``client.toml`` whose organisation answers nobody."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "client.toml"
    told = {"who": who, "key": "~/key", "log": "ledger.example/one", "trust": "trust"}
    told |= dict.fromkeys(("broker", "monitor", "ledger"), NOWHERE) | {"state": "state"}
    file.write_text("".join(f"{key} = {json.dumps(each)}\n" for key, each in told.items()) + more)
    return file


def declares(person: Person, *more: str, cwd: Path | None = None) -> str:
    """Sign something, which nobody takes; returns what was said on the way."""
    assert person.key.exists()
    typed = ("incident", "declare", "INC-1", "--severity", "SEV1", "--title", "x", *more)
    said = Person(person.home, cwd or person.cwd, person.extra).types("breakglass", *typed)
    assert said.code in {5, 6}, said.out
    assert "Traceback" not in said.err
    return said.err


def in_use(file: Path, who: str = "mira") -> str:
    return f"breakglass: in use: {str(file)!r}, as {who!r}\n"


def test_a_client_toml_that_lies_in_the_way_rings_no_bell_and_runs_no_program(tmp_path: Path):
    """The whole attack: a custodian signs a request in a shared folder, or in a clone."""
    org = Organisation(now=to_milliseconds(datetime.now(UTC)), door="yes")
    org.begin()
    escrow, share = Person.at(tmp_path), tmp_path / "share"
    key = escrow.home / "key"
    key.touch(0o600)
    key.write_bytes(org.custodians["escrow"].private_file())
    own = escrow.home / ".config" / "breakglass"
    # The custodian's own bell is out of reach, so they must not sign; the other one runs a program.
    client_file(own, "escrow", f'door_webhook = "{NOWHERE}/my-own-bell"\n')
    client_file(share, "escrow", f'door_command = "touch {share}/ran"\n')
    for folder in (own, share):
        (folder / "trust").write_bytes(org.trust_note())
    said = org.sign(org.statement(do=Do.DOOR))
    request = {"grant": grant_id(said.text), "countersigned": []}
    request |= {"statement": {"text": said.text, "sshsig": "AAAA"}}
    request |= {"card": org.card_note().decode(), "needed": 2, "minter_at": ""}
    (share / "g.door").write_text(json.dumps(request))
    before = (share / "g.door").read_bytes()
    below = share / "below"
    below.mkdir()
    for cwd in (share, below):
        done = Person(escrow.home, cwd).types(
            "breakglass", "door", "sign", f"{share}/g.door", "--yes"
        )
        assert not (share / "ran").exists(), "a stranger's program ran"
        assert (share / "g.door").read_bytes() == before, "the custodian signed unheard"
        assert done.code == 5, done.err
        assert "a custodian signs only when somebody hears it" in done.err
        found = f"{str(share / 'client.toml')!r} is not used; to allow it: breakglass use {share}\n"
        assert found in done.err
        assert in_use(own / "client.toml", "escrow") in done.err


def test_what_use_allowed_is_used_in_its_folder_below_it_and_elsewhere_if_it_was_the_last(mira):
    one, two = client_file(mira.cwd / "one"), client_file(mira.cwd / "two", "bo")
    for name in ("one", "two"):
        assert mira.types("breakglass", "use", name).code == 0
    (mira.cwd / "one" / "deep").mkdir()
    assert in_use(one) in declares(mira, cwd=mira.cwd / "one" / "deep")
    assert in_use(two, "bo") in declares(mira, cwd=mira.cwd / "two")
    assert in_use(two, "bo") in declares(mira)
    said = mira.types("breakglass", "use", "one")
    assert said.row("you") == f"are    mira, with key {mira.home}/key"
    assert in_use(one) in declares(mira)
    # It comes before the user's own configuration, and what is named before everything.
    own = client_file(mira.home / ".config" / "breakglass", "own")
    assert in_use(one) in declares(mira)
    assert in_use(two, "bo") in declares(mira, "--org", "two", cwd=mira.cwd)
    for name in ("one", "two"):
        assert "is no longer allowed" in mira.types("breakglass", "use", "--forget", name).err
    assert in_use(own, "own") in declares(mira)


def test_a_client_toml_that_changed_is_refused_until_it_is_allowed_again(mira):
    file = client_file(mira.cwd / "org")
    assert mira.types("breakglass", "use", "org").code == 0
    file.write_text(file.read_text() + 'door_command = "touch ran"\n')
    for cwd in (mira.cwd / "org", mira.cwd):
        said = declares(mira, cwd=cwd)
        assert f"{str(file)!r} has changed since you allowed it; it is not used" in said
        assert f"hint: read it, then: breakglass use {file.parent}\n" in said
        assert "in use:" not in said
    listed = json.loads(mira.types("breakglass", "use", "--json").out)
    assert listed == {"files": [{"file": str(file), "state": "changed"}]}
    assert mira.types("breakglass", "use", "org").row("rings") == "touch ran"
    assert in_use(file) in declares(mira)


def test_a_link_to_an_allowed_file_is_another_file(mira):
    # Its digest is right; but trust, key and addresses in it are relative to where the link lies.
    file = client_file(mira.cwd / "org")
    assert mira.types("breakglass", "use", "org").code == 0
    clone = mira.cwd / "clone"
    clone.mkdir()
    (clone / "client.toml").symlink_to(file)
    said = declares(mira, cwd=clone)
    assert f"{str(clone / 'client.toml')!r} is not used" in said
    assert in_use(file) in said


@pytest.mark.parametrize("which", ["org/client.toml", "org", "."])
@pytest.mark.parametrize("named", [(), ("--org", "org")], ids=["allowed", "named"])
def test_what_others_can_write_is_refused_with_the_command_that_mends_it(mira, which, named):
    file = client_file(mira.cwd / "org")
    assert mira.types("breakglass", "use", "org").code == 0
    open_to_all = (mira.cwd / which).resolve()
    before = stat.S_IMODE(open_to_all.stat().st_mode)
    open_to_all.chmod(before | stat.S_IWGRP)
    said = declares(mira, *named)
    assert f"{str(open_to_all)!r} can be written by others: " in said
    assert f"hint: chmod go-w {open_to_all}\n" in said
    assert "in use:" not in said
    open_to_all.chmod(before)
    given = file if not named else Path("org/client.toml").absolute()
    assert f"in use: {str(mira.cwd / 'org' / 'client.toml')!r}" in declares(mira, *named), given


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("which", ["org/client.toml", "org", "link"])
def test_what_belongs_to_another_user_is_refused_also_when_it_is_named(mira, which):
    client_file(mira.cwd / "org")
    (mira.cwd / "link").symlink_to("org")
    named = "link" if which == "link" else "org"
    os.chown(mira.cwd / which, 12345, -1, follow_symlinks=False)
    said = declares(mira, "--org", named)
    assert f"{str(mira.cwd / which)!r} belongs to user 12345, not to you: " in said
    refused = mira.types("breakglass", "use", named)
    assert (refused.code, "belongs to user 12345" in refused.err) == (6, True)


def test_every_folder_on_the_way_of_a_link_counts(mira):
    # Whoever writes the folder in the middle turns the way to a clone, which belongs to the user.
    client_file(mira.cwd / "org")
    open_to_all = mira.cwd / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    (open_to_all / "middle").symlink_to(mira.cwd / "org")
    (mira.cwd / "link").symlink_to("open/../open/middle")
    said = declares(mira, "--org", "link")
    assert f"'{open_to_all}' can be written by others: 'link/client.toml' is not used" in said
    open_to_all.chmod(0o755)
    assert "in use: " in declares(mira, "--org", "link")
    (mira.cwd / "round").symlink_to("round")
    (mira.cwd / "org" / "round.toml").symlink_to("../round")
    assert "Too many levels of symbolic links" in declares(mira, "--org", "org/round.toml")


def test_a_sticky_folder_above_is_no_danger_and_the_files_own_is(mira):
    client_file(mira.cwd / "open" / "org")
    (mira.cwd / "open").chmod(0o1777)
    assert mira.types("breakglass", "use", "open/org").code == 0
    client_file(mira.cwd / "open")
    said = mira.types("breakglass", "use", "open")
    assert (said.code, "can be written by others" in said.err) == (6, True)


def test_init_allows_what_it_made_whatever_the_umask(mira):
    before = os.umask(0)
    try:
        said = mira.types("breakglass", "init", "org", "--as", "mira", "--key", str(mira.key))
    finally:
        os.umask(before)
    assert said.code == 0, said.err
    assert in_use(mira.cwd / "org" / "client.toml") in declares(mira)
    kept = mira.home / ".config" / "breakglass" / "used"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_without_a_home_folder_it_says_so_and_a_named_organisation_works(mira):
    client_file(mira.cwd / "org")
    mira.extra["HOME"] = ""
    said = declares(mira)
    assert "error: there is no home folder: HOME is not set to one" in said
    assert "hint: name the organisation each time: --org PATH" in said
    named = mira.types("breakglass", "status", "--org", "org")
    assert (named.code, "cannot be reached" in named.err) == (5, True)


def test_an_account_without_a_home_folder_is_told_so(monkeypatch):
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr("os.getuid", lambda: 987_654_321)
    with pytest.raises(MisconfiguredError, match="there is no home folder"):
        find(None)
    with pytest.raises(MisconfiguredError, match="names a home folder, and there is none"):
        find("~/org")
    with pytest.raises(MisconfiguredError, match="where grants are kept, cannot be made"):
        state_folder()


def test_a_list_that_cannot_be_written_stops_use_and_neither_init_nor_a_named_organisation(mira):
    (mira.home / ".config").write_text("a file where the folder should be")
    client_file(mira.cwd / "two")
    made = mira.types("breakglass", "init", "org", "--as", "mira", "--key", str(mira.key))
    assert made.code == 0
    for said in (made, mira.types("breakglass", "use", "two")):
        assert f"'{mira.home}/.config/breakglass/used' cannot be " in said.err
        assert "name the organisation each time: --org PATH, or BREAKGLASS_ORG" in said.err
    assert said.code == 6
    assert in_use(mira.cwd / "two" / "client.toml") in declares(mira, "--org", "two")


def test_a_damaged_list_is_named_and_allows_nothing(mira):
    client_file(mira.cwd / "org")
    assert mira.types("breakglass", "use", "org").code == 0
    kept = mira.home / ".config" / "breakglass" / "used"
    kept.write_bytes(kept.read_bytes() + b"half a li")
    said = declares(mira, cwd=mira.cwd / "org")
    assert "is not a list of SHA-256 and path" in said
    assert "in use:" not in said
    assert in_use(mira.cwd / "org" / "client.toml") in declares(mira, "--org", "org")


def test_a_relative_configuration_folder_is_not_looked_for_where_one_stands(mira):
    client_file(mira.cwd / "config" / "breakglass", "stranger")
    mira.extra["XDG_CONFIG_HOME"] = "config"
    assert "no 'client.toml' is in use" in declares(mira)


def test_a_folder_that_was_removed_gives_way_to_the_one_used_before(mira):
    one, two = client_file(mira.cwd / "one"), client_file(mira.cwd / "two", "bo")
    for name in ("one", "two"):
        assert mira.types("breakglass", "use", name).code == 0
    two.unlink()
    assert in_use(one) in declares(mira)


def test_a_value_that_would_write_on_the_screen_is_refused(mira):
    client_file(mira.cwd / "org", more='door_command = "sh -c x\\u001b[1K\\rtee bell.log"\n')
    said = mira.types("breakglass", "use", "org")
    assert (said.code, "'door_command' holds a hidden character" in said.err) == (6, True)


def test_whatever_a_person_signs_they_are_told_first_which_file_is_in_use(mira):
    said = mira.types("breakglass", "init", "org", "--as", "mira", "--key", str(mira.key))
    assert said.code == 0, said.err
    mira.cwd = mira.cwd / "org"
    for words in (
        ("incident", "declare", "INC-1", "--severity", "SEV1", "--title", "x"),
        ("policy", "sign", "--sign-here"),
        ("trust", "next", "--kinds", "9"),
        ("trust", "sign", "trust"),
        ("gate", "add", "two", "--out", "two", "--glass", "hello", "--sign-here"),
        ("gate", "token", "g-aaaaaaaaaaaa", "--gate", "hello-gate", "--for", "1"),
        ("key", "rotate", "broker"),
    ):
        done = mira.types("breakglass", *words)
        assert in_use(mira.cwd / "client.toml") in done.err, words
        assert done.err.count("in use: ") == 1, words
