"""How a person signs on this machine: ``ssh-keygen``, so that agents and security keys just work.

Nothing heavy is imported here; the responder's client uses this file too.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, UnavailableError
from breakglass.person.signed_words import in_words
from breakglass.records.signing.key_types import SECURITY_KEY_TYPES, SSH_KEY_TYPES, refusal
from breakglass.records.signing.sshsig_form import dearmored, low_s

Say = Callable[[str], None]
_REASON_AT_MOST = 1000
_NAMELESS = "No user exists for uid"
_NAMELESS_HINT = "ssh-keygen needs a name for this uid: add a line for it to /etc/passwd"
_PATIENCE_S = 60  # a security key waits about 30 s for its touch


@dataclass(frozen=True)
class PersonalKey:
    """A key that a person signs with: a private key file, or the ``.pub`` of one in the agent.

    ``public`` is the public key as one line without a comment.
    """

    path: Path
    public: str

    @property
    def hardware(self) -> bool:
        """Whether somebody has to touch something."""
        return self.public.startswith(SECURITY_KEY_TYPES)


def read_key(path: Path) -> PersonalKey:
    """Find the public half of ``path``, which is a private key file or a ``.pub`` file.

    Raises:
        MisconfiguredError: no such key, or of a type that is not read.
    """
    public = path if path.suffix == ".pub" else path.with_name(path.name + ".pub")
    try:
        text = public.read_text("utf-8") if public.exists() else _derive(path)
    except (OSError, UnicodeDecodeError) as error:
        raise MisconfiguredError(
            f"key {str(path)!r} cannot be read: {error}",
            hint="name another: --key PATH when a folder is made, 'key' in client.toml afterwards",
        ) from error
    words = text.split()
    if len(words) < 2 or words[0] not in SSH_KEY_TYPES:
        raise MisconfiguredError(
            f"key {str(path)!r}: {refusal(words[0] if words else 'nothing')}",
            name=ErrorName.KEY_TYPE,
        )
    return PersonalKey(path, " ".join(words[:2]))


def sign(
    text: str,
    namespace: str,
    key: PersonalKey,
    say: Say | None = None,
    place: tuple[int, int] = (1, 1),
) -> str:
    """Sign ``text`` and return the SSHSIG in base64, as statements carry it.

    A P-256 key gives one of two spellings of its signature; returned is the one that verifiers
    take.

    Args:
        text: the exact text.
        namespace: what the signature is for.
        key: from ``read_key``.
        say: told what is signed, before a security key has to be touched or somebody at a terminal
            may be asked for a passphrase: ``(3 of 6) card 'orders-repair'``.
        place: which signature this is, of how many that one command makes.

    Raises:
        MalformedError: ``bad_sshsig``; what ``ssh-keygen`` wrote is no signature.
        UnavailableError: ``not_signed``: no touch, the agent is away, a passphrase that nobody
            is there to type.
        MisconfiguredError: there is no ``ssh-keygen``.
    """
    if say is not None and (key.hardware or sys.stdin.isatty()):
        touch = ": touch your security key" if key.hardware else ""
        say(f"({place[0]} of {place[1]}) {in_words(text)}{touch}")
    done = _run(
        ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", str(key.path)], text.encode()
    )
    if done.returncode:
        raise UnavailableError(
            f"{str(key.path)!r} did not sign: {_reason(done.stderr)}; nothing was sent",
            name=ErrorName.NOT_SIGNED,
            hint=_way_out(key, done.stderr.decode("utf-8", "replace")),
        )
    return base64.b64encode(low_s(dearmored(done.stdout.decode("ascii", "replace")))).decode()


def make_key(path: Path, comment: str) -> str:
    """Make a new Ed25519 key without a passphrase, 0600; returns its public line.

    Raises:
        UnavailableError: it could not be written.
    """
    done = _run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)], b"n\n"
    )
    if done.returncode:
        why = _reason(done.stderr)
        raise UnavailableError(
            f"no key could be made at {str(path)!r}: {why}",
            hint=_NAMELESS_HINT if _NAMELESS in why else "",
        )
    return " ".join(path.with_name(path.name + ".pub").read_text("ascii").split()[:2])


def agent_keys() -> list[str]:
    """Return the public keys that the running agent holds and that we can read, in its order."""
    return [key for key in _agent_lines() if key.split()[0] in SSH_KEY_TYPES]


def refused_keys(folder: Path) -> list[str]:
    """Say of each key that is not accepted, in the agent and in ``folder``, what to make instead.

    Args:
        folder: usually ``~/.ssh``; only files named ``id_*.pub`` are looked at.
    """
    found = [("the agent's key", key) for key in _agent_lines()]
    for path in sorted(folder.glob("id_*.pub")):
        with contextlib.suppress(OSError):
            found.append((f"key {str(path)!r}", path.read_text("utf-8", "replace")))
    kinds = [(where, (text.split() or ["nothing"])[0]) for where, text in found]
    return [f"{where}: {refusal(kind)}" for where, kind in kinds if kind not in SSH_KEY_TYPES]


def _agent_lines() -> list[str]:
    if not os.environ.get("SSH_AUTH_SOCK"):
        return []
    done = _run(["ssh-add", "-L"], b"")
    lines = done.stdout.decode("utf-8", "replace").splitlines() if done.returncode == 0 else []
    return [" ".join(line.split()[:2]) for line in lines if line.strip()]


def _derive(path: Path) -> str:
    done = _run(["ssh-keygen", "-y", "-f", str(path)], b"")
    if done.returncode:
        raise OSError(_reason(done.stderr))
    return done.stdout.decode("utf-8", "replace")


def _run(arguments: list[str], given: bytes) -> subprocess.CompletedProcess[bytes]:
    nobody = not sys.stdin.isatty()
    environment: Mapping[str, str] = os.environ
    if nobody:
        # Without a terminal a passphrase prompt would wait for ever, or pop up on a screen.
        environment = {**os.environ, "SSH_ASKPASS_REQUIRE": "never"}
    try:
        return subprocess.run(
            arguments,
            input=given,
            capture_output=True,
            timeout=_PATIENCE_S,
            env=environment,
            start_new_session=nobody,
            check=False,
        )
    except FileNotFoundError as error:
        raise MisconfiguredError(
            f"there is no {arguments[0]!r} on this machine",
            hint="install it: apt-get install openssh-client",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(
            f"{arguments[0]!r} took more than {_PATIENCE_S} s; nothing was sent",
            name=ErrorName.NOT_SIGNED,
            hint="is the security key plugged in",
        ) from error


def _reason(stderr: bytes) -> str:
    """Return another program's own words, whole: its last line is not always its reason."""
    lines = [line.strip(" @\r\t") for line in stderr.decode("utf-8", "replace").splitlines()]
    return (
        "; ".join(line.rstrip(".") for line in lines if line)[:_REASON_AT_MOST] or "no reason given"
    )


def _way_out(key: PersonalKey, reason: str) -> str:
    where = shlex.quote(str(key.path))
    if _NAMELESS in reason:
        return _NAMELESS_HINT
    if "UNPROTECTED" in reason or "bad permissions" in reason:
        return f"nobody else may read a private key: chmod 600 {where}"
    if "incorrect passphrase" in reason:
        if sys.stdin.isatty():
            return "wrong passphrase; try again"
        return f"nobody is here to type its passphrase; load it: ssh-add {where}"
    if key.hardware:
        return "plug the security key in and touch it, or load the key: ssh-add"
    if key.path.suffix == ".pub":
        return "the agent does not hold it; load the key: ssh-add"
    return f"see what ssh-keygen says of it: ssh-keygen -y -f {where}"
