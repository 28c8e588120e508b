"""A key is kept in clear, under a passphrase, or by systemd; and its way between them is safe."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from breakglass.errors import BreakglassError, MalformedError, MisconfiguredError, UnprovenError
from breakglass.process import key_sealing
from breakglass.process.key_sealing import clear_copies, seal, unseal
from breakglass.process.key_store import KeyStore, keeping_of, read_key, read_next_key
from breakglass.tlog.note import COSIGNATURE, SignerKey
from breakglass.tlog.sealed_key import SealedKey

KEY = SignerKey.generate("broker.example")
PHRASE = "correct horse battery"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    room = tmp_path / "room"
    room.mkdir()
    (room / "settings.toml").write_text('# ours\nlog = "l"\n[serving]\nport = 0\n')
    KeyStore(room).write("key", KEY)
    return room


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / "credentials"
    found.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(found))
    (found / "phrase").write_text(PHRASE + "\n")
    (found / "phrase").chmod(0o400)
    return found


def said_by(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


# --- the sealed text ----------------------------------------------------------------------------


def test_a_sealed_key_opens_with_its_passphrase_alone():
    sealed = SealedKey.parse(SealedKey.of(KEY, b"right").encoded())
    assert sealed.opened(b"right") == KEY
    assert sealed.verifier == KEY.verifier
    with pytest.raises(UnprovenError, match="another passphrase, or the file was changed") as said:
        sealed.opened(b"xyzzy" + b"-plugh")
    assert said.value.name == "sealed_key"
    assert "xyzzy-plugh" not in said_by(said.value)
    for empty in (lambda: sealed.opened(b""), lambda: SealedKey.of(KEY, b"")):
        with pytest.raises(MalformedError, match="the passphrase is empty"):
            empty()


def test_no_byte_of_a_sealed_key_can_be_changed():
    text = SealedKey.of(KEY, b"right").encoded()
    assert KEY.encoded().split("+", 4)[4][:30] not in text
    other = SealedKey.of(SignerKey.generate("broker.example"), b"right").encoded()
    # Under another key's name and public half, which would be believed until the first signature.
    swapped = text.replace(text.split("\n")[1], other.split("\n")[1])
    with pytest.raises(UnprovenError):
        SealedKey.parse(swapped).opened(b"right")
    for at in range(0, len(text), 17):
        changed = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
        with pytest.raises((MalformedError, UnprovenError)):
            SealedKey.parse(changed).opened(b"right")


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("scrypt 16 8 1", "scrypt 30 8 1"),  # a tebibyte of memory
        ("scrypt 16 8 1", "scrypt 4 8 1"),
        ("/v1\n", "/v2\n"),
        ("vkey ", "key "),
        ("box ", "box  "),
        ("\nbox", "\n\nbox"),
    ],
    ids=["dear", "cheap", "version", "word", "space", "line"],
)
def test_a_sealed_key_has_one_form_and_one_cost(was, now):
    text = SealedKey.of(KEY, b"right").encoded()
    with pytest.raises(MalformedError):
        SealedKey.parse(text.replace(was, now, 1))


# --- where it is kept ---------------------------------------------------------------------------


def test_the_settings_say_how_and_nothing_else_is_taken(folder):
    assert keeping_of(folder) == KeyStore(folder)
    for wrong in ("fil", "file:x", "credential", "sealed:", "sealed:../x", "credential:a/b", "3"):
        (folder / "settings.toml").write_text(f'key = "{wrong}"\n')
        with pytest.raises(MisconfiguredError, match="wanted 'file', 'sealed'") as said:
            read_key(folder)
        assert said.value.name == "bad_keeping"
    (folder / "settings.toml").write_text("key = 3\n")
    with pytest.raises(MisconfiguredError, match="'key' is '3'"):
        read_key(folder)


def test_a_key_may_be_a_credential_whole(folder, credentials):
    (credentials / "breakglass-broker").write_text(KEY.encoded() + "\n")
    (credentials / "breakglass-broker").chmod(0o440)  # as systemd's access list shows
    (folder / "key").unlink()
    (folder / "settings.toml").write_text('key = "credential:breakglass-broker"\n')
    assert read_key(folder) == KEY
    (credentials / "breakglass-broker").chmod(0o444)
    with pytest.raises(MisconfiguredError, match="mode 0444"):
        read_key(folder)


def test_without_systemd_there_are_no_credentials(folder, monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    (folder / "settings.toml").write_text('key = "credential:x"\n')
    with pytest.raises(MisconfiguredError, match="CREDENTIALS_DIRECTORY is not set") as said:
        read_key(folder)
    assert "LoadCredentialEncrypted=" in said.value.hint


def test_what_is_no_key_is_refused_without_being_quoted(folder, credentials):
    broken = KEY.encoded()[:-6]
    for where, form in ((folder / "key", "file"), (credentials / "k", "credential:k")):
        where.write_text(broken)
        where.chmod(0o600)
        (folder / "settings.toml").write_text(f'key = "{form}"\n')
        with pytest.raises(MisconfiguredError) as said:
            read_key(folder)
        assert broken[-20:] not in said_by(said.value)
        where.write_bytes(b"\xff" + broken.encode())
        with pytest.raises(MisconfiguredError) as said:
            read_key(folder)
        assert broken[-20:] not in said_by(said.value)


def test_the_next_key_has_the_same_name_and_kind_and_is_another(folder):
    assert read_next_key(folder) is None
    following = SignerKey.generate(KEY.name)
    KeyStore(folder).write("key.next", following)
    assert read_next_key(folder) == following
    for wrong in (KEY, SignerKey.generate("other.example"), SignerKey.generate(KEY.name, 4)):
        KeyStore(folder).write("key.next", wrong)
        with pytest.raises(MisconfiguredError, match="cannot follow"):
            read_next_key(folder)


# --- sealing and unsealing ----------------------------------------------------------------------


def test_sealed_and_unsealed_it_is_the_same_key_and_lies_in_one_place(folder, credentials):
    following = SignerKey.generate(KEY.name)
    KeyStore(folder).write("key.next", following)
    KeyStore(folder).write("door-key", SignerKey.generate("door.example"))
    assert str(seal(folder, "phrase")) == "sealed:phrase"
    assert sorted(each.name for each in folder.iterdir()) == [
        "door-key.sealed",
        "key.next.sealed",
        "key.sealed",
        "settings.toml",
    ]
    assert (folder / "key.sealed").stat().st_mode & 0o777 == 0o600
    assert (folder / "settings.toml").read_text() == (
        'key = "sealed:phrase"\n# ours\nlog = "l"\n[serving]\nport = 0\n'
    )
    assert (read_key(folder), read_next_key(folder)) == (KEY, following)
    assert str(unseal(folder)) == "file"
    assert sorted(each.name for each in folder.iterdir()) == [
        "door-key",
        "key",
        "key.next",
        "settings.toml",
    ]
    assert (read_key(folder), read_next_key(folder)) == (KEY, following)
    assert "key" not in (folder / "settings.toml").read_text().split("[serving]")[0].split()


@pytest.mark.parametrize("back", [False, True], ids=["seal", "unseal"])
@pytest.mark.parametrize("step", ["write_settings", "remove"])
def test_a_crash_at_a_step_leaves_a_key_that_is_there_and_the_same_command_goes_on(
    folder, credentials, monkeypatch, step, back
):
    if back:
        seal(folder, "phrase")

    def crash(*args: object, **named: object) -> None:
        raise KeyboardInterrupt

    turn = (lambda: unseal(folder)) if back else (lambda: seal(folder, "phrase"))
    with monkeypatch.context() as patch:
        name = {"write_settings": "_say_in_settings", "remove": "_without"}[step]
        patch.setattr(key_sealing, name, crash)
        with pytest.raises(KeyboardInterrupt):
            turn()
    assert read_key(folder) == KEY
    if step == "remove" and not back:
        assert clear_copies(folder) == [folder / "key"]
    turn()
    assert read_key(folder) == KEY
    assert clear_copies(folder) == []
    assert len(list(folder.iterdir())) == 2


def test_another_key_beside_a_sealed_one_is_never_removed(folder, credentials):
    seal(folder, "phrase")
    KeyStore(folder).write("key", SignerKey.generate(KEY.name))
    with pytest.raises(MisconfiguredError, match="is another key than the one in use; it was left"):
        seal(folder, "phrase")
    assert (folder / "key").exists()


def test_settings_that_hide_the_line_are_left_as_they_are(folder, credentials):
    text = 'note = """\nkey = "x"\n"""\n'
    (folder / "settings.toml").write_text(text)
    with pytest.raises(MisconfiguredError, match="cannot be put in; it was left"):
        seal(folder, "phrase")
    assert (folder / "settings.toml").read_text() == text
    assert read_key(folder) == KEY


# --- as a person types it -----------------------------------------------------------------------


def at_a_terminal(words: list[str], typed: list[str]) -> tuple[int, str]:
    """Run a command on a terminal of its own; types one line at each question."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "breakglass.cli", *words],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(theirs)
    said = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:
            break
        said += part
        if part.rstrip().endswith(b":") and typed:
            os.write(ours, typed.pop(0).encode() + b"\n")
    os.close(ours)
    return process.wait(30), said.decode()


def test_at_a_terminal_the_passphrase_is_asked_twice_and_not_shown(folder):
    code, said = at_a_terminal(["key", "seal", str(folder)], [PHRASE, "another"])
    assert (code, "the two differ; nothing was changed" in said) == (6, True)
    assert (folder / "key").exists()
    code, said = at_a_terminal(["key", "seal", str(folder)], [PHRASE, PHRASE])
    assert code == 0, said
    assert PHRASE not in said
    assert 'key = "sealed"' in said
    code, said = at_a_terminal(["key", "unseal", str(folder)], [PHRASE])
    assert code == 0, said
    assert read_key(folder) == KEY


def test_with_nobody_there_nothing_is_asked_and_no_secret_is_said(folder, credentials):
    def types(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "breakglass.cli", "key", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={**os.environ, **more},
            check=False,
        )

    done = types("seal", str(folder))
    assert done.returncode == 6
    assert "nobody is at a terminal" in done.stderr
    assert "LoadCredentialEncrypted=" in done.stderr
    done = types("seal", str(folder), "--credential", "phrase")
    assert done.returncode == 0, done.stderr
    (credentials / "phrase").chmod(0o600)
    (credentials / "phrase").write_text("not it")
    done = types("unseal", str(folder))
    assert done.returncode == 4
    assert "does not open" in done.stderr
    assert "not it" not in done.stderr
    shown = types("show", str(folder))  # needs no passphrase: the public half stands in clear
    assert re.search(r"vkey +" + re.escape(str(KEY.verifier)), shown.stdout)
    assert PHRASE not in shown.stdout + shown.stderr


def test_a_cosigners_key_is_sealed_as_well(folder, credentials):
    cosigner = SignerKey.generate("witness.example", COSIGNATURE)
    KeyStore(folder).write("key", cosigner)
    seal(folder, "phrase")
    assert read_key(folder) == cosigner
    with pytest.raises(BreakglassError):
        KeyStore.parse(folder, "credential:phrase").write("key", cosigner)
