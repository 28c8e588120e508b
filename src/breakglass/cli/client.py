"""Who I am and where my organisation is, as ``client.toml`` says."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from breakglass.cli import output
from breakglass.cli.client_file import expanded, found, named
from breakglass.error_names import ErrorName, ForeignName
from breakglass.errors import MisconfiguredError, UnavailableError, reason
from breakglass.http.client import Peer

if TYPE_CHECKING:
    # It signs, and whoever signs has loaded it; a command that reads nothing starts without.
    from breakglass.http.request_signer import RequestSigner

F = TypeVar("F", bound=Callable[..., Any])
_OPTIONAL = {"state", "reader", "door_webhook", "door_command"}
_KEYS = {"who", "key", "log", "broker", "monitor", "ledger", "trust", *_OPTIONAL}
# The broker may wait for witnesses and a probe; a person waits this long and no longer.
WITHIN = timedelta(seconds=20)
# A healthy broker answers in well under 1 s; a person at 03:00 does not wait for a sick one.
HEDGE_AFTER = timedelta(seconds=3)
_SILENCE = timedelta(seconds=2)
PERMIT = "Breakglass-Permit"
_HOLDS: dict[str, set[str]] = {  # what an answer of ours cannot be without
    "GET /glasses": {"glasses", "version"},
    "GET /glasses/mine": {"glasses"},
    "GET /grants": {"grants"},
    "GET /incidents": {"incidents"},
    "GET /suspensions": {"suspended", "first_word"},
    "GET /requests": {"mine", "waiting"},
    "GET /doors": {"doors", "unappended"},
    "POST /break": {"token"},
    "POST /answers": {"index", "ask"},
    "POST /incidents": {"index"},
    "POST /done": {"ended"},
    "POST /kill": {"target", "name", "index"},
}
_WEIGHT: dict[ErrorName | ForeignName, int] = {
    ErrorName.UNREACHABLE: 0,
    ErrorName.UNANSWERED: 1,
    ErrorName.NONSENSE: 1,
}
_OPEN = {
    "/glasses",
    "/cards",
    "/join",
    "/trust",
}  # what a break needs, and what carries its own signatures
HISTORY_BYTES = 256 * 1024 * 1024  # the gates' whole history: about a million bypasses


@dataclass(frozen=True)
class Client:
    """One person's place in one organisation.

    ``brokers`` are replicas of one broker, each an address or an ``address`` file. ``key`` is a
    private key file, or the ``.pub`` file of a key that the agent holds. ``state`` is where the
    keys of this person's grants are kept, ``reader`` the file of a key that the ledger shows its
    entries to. ``door_webhook`` and ``door_command`` are a custodian's
    own bell, rung before they sign for the custodians' door.
    """

    file: Path
    who: str
    key: Path
    log: str
    brokers: tuple[str | Path, ...]
    monitor: str | Path
    ledger: str | Path
    trust: Path
    state: Path
    reader: Path | None = None
    door_webhook: str = ""
    door_command: str = ""

    @property
    def bundle(self) -> Path:
        """Return the folder of the policy's bundle beside ``client.toml``; it may not be there."""
        return self.file.absolute().parent / "bundle"

    def broker(
        self,
        method: str,
        path: str,
        value: dict[str, Any] | None = None,
        *,
        within: timedelta = WITHIN,
        permit: str = "",
        patient: bool = False,
    ) -> dict[str, Any]:
        """Ask a broker; of several replicas the first answer that holds counts.

        The next one is asked, with the same bytes, when one cannot be reached, breaks off, talks
        nonsense or says that it is unavailable; and beside one that is silent for ``HEDGE_AFTER``,
        which may still answer. A refusal is an answer. Every call is safe to repeat: statements
        carry their own nonce, and two brokers with one statement give one grant.

        A read that is not open is signed with the key of the grant that it is of, if that is on
        this machine, else with the person's session, which may ask for their signature first;
        a monitor's ``permit`` stands in place of both. ``patient``: the broker is to answer late,
        so nothing is said while it does not.

        Raises:
            BreakglassError: what the broker says, or that none answered.
        """
        import json
        import queue
        import threading

        body = b"" if value is None else json.dumps(value, separators=(",", ":")).encode()
        heard: queue.SimpleQueue[dict[str, Any] | BaseException] = queue.SimpleQueue()
        asked: list[Peer] = []
        failed: list[UnavailableError] = []
        told = patient
        reads = method == "GET" and not permit
        signer = self._signer("broker", path) if reads else None

        def ask(broker: Peer) -> None:
            try:
                heard.put(_answer(broker, method, path, body, permit))
            except BaseException as error:  # noqa: BLE001  raised again by who waits for it
                heard.put(error)

        try:
            while len(failed) < len(self.brokers):
                if len(asked) < len(self.brokers):
                    where = self.brokers[len(asked)]
                    broker = Peer(where, name="broker", within=within, signer=signer)
                    asked.append(broker)
                    threading.Thread(target=ask, args=(broker,), daemon=True).start()
                more = len(asked) < len(self.brokers)
                wait = HEDGE_AFTER if more else None if told else _SILENCE
                try:
                    found = heard.get(timeout=wait.total_seconds() if wait else None)
                except queue.Empty:
                    if not more:
                        # Somebody who sees nothing for 20 s presses Ctrl-C, and then knows nothing.
                        told = True
                        limit = f"{within.total_seconds():g} s"
                        output.talk(f"no answer from the broker yet; waiting up to {limit}")
                    continue
                if isinstance(found, UnavailableError):
                    failed.append(found)
                elif isinstance(found, BaseException):
                    raise found
                else:
                    return found
        finally:
            for broker in asked:
                broker.close()
        if not failed:
            raise MisconfiguredError(f"{str(self.file)!r} names no broker")
        last = self.brokers[-1]
        if isinstance(last, Path) and not last.exists():
            failed[-1].hint = f"start it: breakglass up --org {self.file.parent}"
        # Who may have acted is heard before who was never reached, and a broker's own word first.
        raise max(failed, key=lambda error: _WEIGHT.get(error.name, len(_WEIGHT)))

    def announce(self) -> None:
        """Say once which file is in use and whom it names; before anything is signed."""
        _announce(self.file.absolute(), self.who)

    def ask_monitor(self, path: str) -> dict[str, Any]:
        """Ask the monitor."""
        with self._monitor(self._signer("monitor", path)) as monitor:
            return monitor.read(path).json()

    def tell_monitor(
        self, path: str, value: dict[str, Any], within: timedelta = WITHIN
    ) -> dict[str, Any]:
        """Hand the monitor what a person signed; safe to repeat, as with the broker."""
        import json

        body = json.dumps(value, separators=(",", ":")).encode()
        with self._monitor() as monitor:
            sent = monitor.send("POST", path, body, "application/json", within=within)
            return sent.checked().json()

    def monitor_key(self) -> str:
        """Return the monitor's key as it says it, one that the trust file gives to a monitor.

        Raises:
            BreakglassError: it does not answer, or is none that we mean.
        """
        signer = self._signer("monitor", "/healthz")
        assert signer is not None, "of no open path"
        with self._monitor() as monitor:
            keys = monitor.get("/healthz").json().get("keys")
        return signer.choose(keys, "monitor")

    def ledger_peer(self, within: timedelta = timedelta(seconds=2)) -> Peer:
        """Return a caller of the ledger, which shows its entries if we have a reader key."""
        from breakglass.cli.reader_key import ledger_signer

        return Peer(self.ledger, name="ledger", within=within, signer=ledger_signer(self))

    def _monitor(self, signer: RequestSigner | None = None) -> Peer:
        return Peer(
            self.monitor,
            name="monitor",
            within=WITHIN,
            answer_bytes_at_most=HISTORY_BYTES,
            signer=signer,
        )

    def _signer(self, role: str, path: str) -> RequestSigner | None:
        plain = path.partition("?")[0]
        if plain in _OPEN:
            return None
        from breakglass.cli.reader_key import signer_for

        _, room, grant, *_ = [*plain.split("/"), "", ""]
        return signer_for(self, role, grant if room in ("grants", "doors", "requests") else "")


@functools.cache
def _announce(file: Path, who: str) -> None:
    output.talk(f"in use: {str(file)!r}, as {who!r}")


def _answer(broker: Peer, method: str, path: str, body: bytes, permit: str) -> dict[str, Any]:
    headers = {PERMIT: permit} if permit else {}
    signed = method == "GET" and not permit
    sent = broker.send(method, path, body, "application/json", headers=headers, signed=signed)
    answer = sent.checked().json()
    if not _HOLDS.get(f"{method} {path}", set()) <= answer.keys():
        raise UnavailableError(f"broker's answer to {path} makes no sense", name=ErrorName.NONSENSE)
    return answer


def takes_org(command: F) -> F:
    """Give a command ``--org``."""
    option = click.option(
        "--org",
        envvar="BREAKGLASS_ORG",
        metavar="PATH",
        help="The organisation's folder, or a client.toml. Else what 'use' allowed.",
    )
    return option(command)


def find(org: str | None) -> Client:
    """Find and read ``client.toml``: what was named, what ``use`` allowed, or the user's own.

    Args:
        org: what ``--org`` or ``BREAKGLASS_ORG`` says: a folder or the file itself.

    Raises:
        MisconfiguredError: there is none, it is not in its form, others can write it, or it is
            not what was allowed.
    """
    return parse(*(named(org) if org else found()))


def parse(path: Path, data: bytes) -> Client:
    """Read the bytes of the ``client.toml`` at ``path``; paths in it are relative to that.

    Raises:
        MisconfiguredError: not TOML, an unknown key, one missing, or a value that would be shown
            otherwise than it is.
    """
    import tomllib

    try:
        table = tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MisconfiguredError(f"{str(path)!r} cannot be read: {reason(error)}") from error
    for key in sorted(set(table) - _KEYS):
        raise MisconfiguredError(f"{str(path)!r}: {key!r} is unknown")
    for key in sorted(_KEYS - _OPTIONAL - set(table)):
        raise MisconfiguredError(f"{str(path)!r}: {key!r} is missing")
    brokers = table["broker"] if isinstance(table["broker"], list) else [table["broker"]]
    for key, value in [*table.items(), *(("broker", each) for each in brokers)]:
        if not isinstance(value, str) and key != "broker":
            raise MisconfiguredError(f"{str(path)!r}: {key!r} is not a text")
        if isinstance(value, str) and not value.isprintable():
            raise MisconfiguredError(f"{str(path)!r}: {key!r} holds a hidden character")
    folder = path.absolute().parent
    return Client(
        file=path,
        who=table["who"],
        key=_path(folder, table["key"]),
        log=table["log"],
        brokers=tuple(_address(folder, str(each)) for each in brokers),
        monitor=_address(folder, table["monitor"]),
        ledger=_address(folder, table["ledger"]),
        trust=_path(folder, table["trust"]),
        state=_path(folder, table["state"]) if "state" in table else output.state_folder(),
        reader=_path(folder, table["reader"]) if "reader" in table else None,
        door_webhook=table.get("door_webhook", ""),
        door_command=table.get("door_command", ""),
    )


def _path(folder: Path, text: str) -> Path:
    return folder / expanded(text)


def _address(folder: Path, text: str) -> str | Path:
    return text if text.startswith(("http://", "https://")) else _path(folder, text)
