"""A host of an SSH minter, simulated from the contract of its control call alone.

It stands where OpenSSH's client stands (``SshSettings.client``): it is called with ssh's own words,
reads the host's name and the key files out of them, and answers as the program at the other end. A
certificate that it is shown it verifies for itself. What it does wrong stands in ``HOST.trouble``:
``away``, ``hangs``, ``nonsense``, ``floods``, ``older``, ``busy``, ``no_account``, ``shut``.
"""

from __future__ import annotations

import fcntl
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import (
    SSHCertificate,
    load_ssh_public_identity,
    load_ssh_public_key,
)

from breakglass.errors import MalformedError
from breakglass.sshd.host_requests import read_request

Given = dict[str, Any]


class SimulatedHost:
    """One host's memory in ``FOLDER/NAME.json``; each call is one step under its lock."""

    def __init__(self, folder: Path, name: str) -> None:
        self.file, self.name = folder / f"{name}.json", name
        self.trouble = folder / f"{name}.trouble"
        self.authority = folder / "ca.pub"

    @contextmanager
    def grants(self) -> Iterator[dict[str, Given]]:
        with self.file.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            found: dict[str, Given] = json.loads(file.read() or "{}")
            yield found
            file.seek(0)
            file.truncate()
            file.write(json.dumps(found))

    def log_in(self, certificate: str, account: str = "deploy") -> bool:
        """Begin a session as a holder would; say whether the host lets it in."""
        found = load_ssh_public_identity(certificate.encode())
        assert isinstance(found, SSHCertificate)
        elsewhere = b"source-address" in found.critical_options  # we come from 127.0.0.1
        if elsewhere or self._refusal(certificate, account):
            return False
        with self.grants() as grants:
            grants[_handle(certificate)]["sessions"] += 1
        return True

    def sessions(self, handle: str) -> int:
        with self.grants() as grants:
            return int(grants.get(handle, {}).get("sessions", 0))

    def leaves(self, handle: str, *left: str) -> None:
        with self.grants() as grants:
            grants[handle]["left"] = list(left)

    def answer(self, given: Given) -> Given:
        """Answer one request, if a host's own daemon would read it."""
        try:
            read_request(json.dumps(given).encode())
        except MalformedError as error:
            return _no("malformed", str(error))
        return getattr(self, f"_{given['verb'].replace('-', '_')}")(given)  # type: ignore[no-any-return]

    def _describe(self, given: Given) -> Given:
        return {"host": self.name, "minter": "web", "version": "0.1.0"}

    def _open(self, given: Given) -> Given:
        if self._troubled("no_account"):
            return _no("scope_unknown", f"there is no account {given['accounts'][0]!r}")
        with self.grants() as grants:
            found = grants.setdefault(
                given["handle"], {"sessions": 0, "cut": False, "tidied": False, "left": []}
            )
            if found["cut"]:
                return _no("ended", f"{given['handle']} was ended here")
            found["accounts"], found["expires"] = given["accounts"], given["expires"]
            found["serial"] = given["serial"]
        return {"known": True}

    def _probe(self, given: Given) -> Given:
        why = self._refusal(given["certificate"], given["account"])
        handle = _handle(given["certificate"])
        if why:
            return _no("not_usable", f"{self.name} refuses {handle}: {why}")
        return {"evidence": f"{self.name} lets {handle} in as {given['account']}"}

    def _cut(self, given: Given) -> Given:
        with self.grants() as grants:
            found = grants.setdefault(given["handle"], {"sessions": 0, "tidied": False, "left": []})
            cut, found["sessions"], found["cut"] = found["sessions"], 0, True
        return {"sessions": cut}

    def _cut_idle(self, given: Given) -> Given:
        if self._troubled("busy"):
            return _no("busy", f"a session of {given['handle']} works")
        return self._cut(given)

    def _used(self, given: Given) -> Given:
        return {"used": self.sessions(given["handle"]) > 0}

    def _probe_dead(self, given: Given) -> Given:
        with self.grants() as grants:
            found = grants.get(given["handle"], {"cut": True, "sessions": 0})
        if not found["cut"] or found["sessions"]:
            return _no("alive", f"{found['sessions']} sessions, and no entry in the KRL")
        tried = given["certificate"]
        if tried and not self._refusal(tried, "deploy"):
            return _no("alive", "the certificate is let in")
        how = "certificate tried" if tried else "KRL asked"
        return {"evidence": f"{self.name} refuses {given['handle']} ({how}); 0 processes"}

    def _tidy(self, given: Given) -> Given:
        with self.grants() as grants:
            found = grants.get(given["handle"])
            if found is None:
                return {"left_behind": []}
            if not found["cut"]:
                return _no("alive", "no entry in the KRL")
            found["tidied"] = True
            return {"left_behind": found["left"]}

    def _list(self, given: Given) -> Given:
        with self.grants() as grants:
            return {"handles": [name for name, each in grants.items() if not each["tidied"]]}

    def _check(self, given: Given) -> Given:
        found = []
        if self._troubled("no_account"):
            says = f"there is no account {given['accounts'][0]!r}"
            found.append({"says": says, "hint": f"useradd {given['accounts'][0]}", "stops": True})
        return {"findings": found}

    def _troubled(self, trouble: str) -> bool:
        return self.trouble.exists() and self.trouble.read_text() == trouble

    def _refusal(self, text: str, account: str) -> str:
        certificate = load_ssh_public_identity(text.encode())
        assert isinstance(certificate, SSHCertificate)
        certificate.verify_cert_signature()
        trusted = load_ssh_public_key(self.authority.read_bytes())
        if certificate.signature_key().public_bytes_raw() != trusted.public_bytes_raw():  # type: ignore[union-attr]
            return "signed by another CA"
        now = int(datetime.now(UTC).timestamp())
        if not certificate.valid_after <= now < certificate.valid_before:
            return "expired"
        with self.grants() as grants:
            found = grants.get(_handle(text))
        if self._troubled("shut"):
            return "the token does not hold"
        if found is None or found["cut"]:
            return "ended, by the KRL"
        if str(certificate.serial) != found["serial"] or account not in found["accounts"]:
            return "not this grant's account"
        return ""


def _handle(certificate: str) -> str:
    found = load_ssh_public_identity(certificate.encode())
    assert isinstance(found, SSHCertificate)
    return found.valid_principals[0].decode()


def _no(name: str, message: str) -> Given:
    return {"error": {"name": name, "message": message, "hint": ""}}


def main(words: list[str]) -> int:
    """Be called once, in ssh's place."""
    options = dict(
        word.split("=", 1) for at, word in enumerate(words) if at and words[at - 1] == "-o"
    )
    known, name = Path(options["UserKnownHostsFile"].strip('"')), options["HostKeyAlias"]
    assert words[-1] == "control"
    assert words[words.index("-l") + 1] == "breakglass"
    assert name in [line.split()[0] for line in known.read_text().splitlines()]
    assert Path(options["IdentityFile"].strip('"')).is_file()
    host = SimulatedHost(known.parent / "hosts", name)
    trouble = host.trouble.read_text() if host.trouble.exists() else ""
    if trouble == "away":
        print(f"ssh: connect to host {words[-2]}: Connection refused", file=sys.stderr)
        return 255
    if trouble == "hangs":
        time.sleep(60)
    said = {"v": 2 if trouble == "older" else 1, **host.answer(json.loads(sys.stdin.read()))}
    print({"nonsense": "{", "floods": "x" * 100_000}.get(trouble, json.dumps(said)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
