"""Bounded HTTP calls to one neighbour, on connections that are kept.

Every call ends within its time, whatever the neighbour does: refuses, hangs, drips, or answers
nonsense. All of that is one thing to the caller, ``UnavailableError``.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from breakglass.error_names import ErrorName, name_of
from breakglass.errors import (
    BY_STATUS,
    BreakglassError,
    MalformedError,
    RefusedError,
    UnavailableError,
    reason,
)
from breakglass.http.addresses import read_address, read_places
from breakglass.http.connection import (
    Call,
    Connection,
    Incoming,
    Outgoing,
    TooLongError,
    seconds_left,
)

if TYPE_CHECKING:
    # It signs, and whoever signs has loaded it; a command that reads nothing starts without.
    from breakglass.http.request_signer import RequestSigner

__all__ = ["Incoming", "Outgoing", "Peer", "Reply"]

_KINDS: dict[int, type[BreakglassError]] = {
    **BY_STATUS,
    401: RefusedError,
    404: RefusedError,
    409: RefusedError,
    413: MalformedError,
}


@dataclass(frozen=True)
class Reply:
    """A neighbour's whole answer, of any status."""

    status: int
    body: bytes
    content_type: str
    by: str  # the neighbour, for messages
    date: str = ""  # of its header, which nobody signs

    def json(self) -> dict[str, Any]:
        """Read the body as a JSON object.

        Raises:
            UnavailableError: it is none.
        """
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise self._nonsense() from error
        if not isinstance(value, dict):
            raise self._nonsense()
        return value

    def checked(self) -> Reply:
        """Return this answer if it is a 2xx; otherwise raise what the neighbour's error says.

        Raises:
            BreakglassError: of the kind that the status stands for, under the neighbour's name
                for it; ``UnavailableError`` for any other status, or a body without an error.
        """
        if 200 <= self.status < 300:
            return self
        value = self.json()
        name, message, hint = (value.get(key, "") for key in ("error", "message", "hint"))
        if not (name and isinstance(name, str) and isinstance(message, str)):
            raise self._nonsense()
        kind = _KINDS.get(self.status, UnavailableError)
        said = f"{self.by}: {message}" if kind is UnavailableError else message
        raise kind(said[:2000], name=name_of(name), hint=hint if isinstance(hint, str) else "")

    def _nonsense(self) -> UnavailableError:
        return UnavailableError(
            f"{self.by} answered {self.status} with {len(self.body)} bytes that make no sense",
            name=ErrorName.NONSENSE,
        )


class Peer:
    """One other process, spoken to over HTTP; may be used by many threads at once.

    Args:
        where: an address (``http://127.0.0.1:41234``, or ``https://10.0.0.7:8443#<hex SHA-256 of
            its certificate>`` to pin the key), or the path of an ``address`` file, or of the
            process folder that holds it. A file is read again for each new connection, since a
            restarted process may listen elsewhere. Several addresses (``addresses.py``) are tried
            in turn: an active ledger's and its standby's.
        name: how messages speak of it.
        within: how long a call may take altogether, unless the call says otherwise.
        answer_bytes_at_most: longer answers are refused.
        signer: signs what is sent as ``signed``; without one that goes as the rest.
    """

    def __init__(
        self,
        where: str | Path,
        *,
        name: str = "",
        within: timedelta = timedelta(seconds=2),
        answer_bytes_at_most: int = 16 * 1024 * 1024,
        signer: RequestSigner | None = None,
    ) -> None:
        self.where = where
        self.name = f"'{name}'" if name else f"the process at {str(where)!r}"
        self._within = within
        self._bytes_at_most = answer_bytes_at_most
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._closed = False
        self._turn = 0  # which of the addresses, counted on and on
        self._count = 1  # how many there are, as far as we have looked
        self._address = ""  # the last one that was tried, for messages
        self._signer = signer
        self._to: dict[int, str] = {}  # the key of the process behind each turn's address

    @property
    def several(self) -> bool:
        """Whether there is another one to ask when this one does not answer."""
        return self._count > 1

    def get(self, path: str, *, within: timedelta | None = None) -> Reply:
        """GET ``path``; a 2xx answer, or the neighbour's error is raised.

        Raises:
            BreakglassError: see ``Reply.checked``; ``UnavailableError`` if there is no answer.
        """
        return self.send("GET", path, within=within).checked()

    def read(self, path: str, *, within: timedelta | None = None) -> Reply:
        """GET ``path`` as somebody: signed for the process that answers; otherwise as ``get``."""
        return self.send("GET", path, within=within, signed=True).checked()

    def post(
        self,
        path: str,
        body: bytes,
        content_type: str = "application/octet-stream",
        *,
        within: timedelta | None = None,
    ) -> Reply:
        """POST ``body``; otherwise as ``get``."""
        return self.send("POST", path, body, content_type, within=within).checked()

    def post_json(
        self,
        path: str,
        value: Mapping[str, Any],
        *,
        within: timedelta | None = None,
        signed: bool = False,
    ) -> dict[str, Any]:
        """POST a JSON object and read one back; otherwise as ``get``."""
        body = json.dumps(value, separators=(",", ":")).encode()
        kind = "application/json"
        return self.send("POST", path, body, kind, within=within, signed=signed).checked().json()

    def send(
        self,
        method: str,
        path: str,
        body: bytes | Outgoing = b"",
        content_type: str = "application/octet-stream",
        *,
        within: timedelta | None = None,
        headers: Mapping[str, str] | None = None,
        into: Incoming | None = None,
        signed: bool = False,
    ) -> Reply:
        """Make one call and return the answer, whatever its status.

        A call is sent once: after an error nobody knows whether it was acted on. Of several
        addresses the next is tried, with the same bytes, if one surely did not act: it was not
        reached, or said that it stands by. One that does not answer is passed over next time.

        With ``into`` the body of a 2xx answer is written there, whatever its length up to
        ``into``'s own bound, and the answer's is empty.

        A ``signed`` call is signed for the process at each address, which is asked once for its
        key; its body lies in memory.

        Raises:
            UnavailableError: ``unreachable``: no connection, so nothing was asked;
                ``unanswered``: cut off or too slow; ``nonsense``: too long, or not HTTP;
                ``wrong_process``: a signed call to a process that the signer does not mean.
        """
        call = Call(method, path, body, content_type, headers or {}, into)
        bound = within if within is not None else self._within
        until = time.monotonic() + bound.total_seconds()
        tried = 0
        while True:
            tried += 1
            turn = self._turn
            try:
                reply = (
                    self._send_as(call, turn, until, bound)
                    if signed
                    else self._send(call, until, bound)
                )
            except UnavailableError as error:
                self._pass_on(turn)
                if error.name != ErrorName.UNREACHABLE or tried >= self._count:
                    raise
                continue
            if not _stands_by(reply):
                return reply
            self._pass_on(turn)
            if tried >= self._count:
                return reply

    def _send_as(self, call: Call, turn: int, until: float, bound: timedelta) -> Reply:
        signer = self._signer
        if signer is None or not isinstance(call.body, bytes):
            return self._send(call, until, bound)
        for again in (False, True):
            to = self._to.get(turn)
            if to is None:
                health = self._send(Call("GET", "/healthz", b"", "", {}, None), until, bound)
                if _stands_by(health):
                    return health
                keys = health.json().get("keys")
                if keys is None:
                    health.checked()
                to = signer.choose(keys, self.name)
                self._to = {turn: to}
            headers = {**call.headers, **signer.headers(to, call.method, call.path, call.body)}
            reply = self._send(replace(call, headers=headers), until, bound)
            if again or reply.status != 403 or b"wrong_process" not in reply.body:
                break
            self._to.pop(turn, None)  # another process, or another key, answers there now
        return reply

    def _send(self, call: Call, until: float, bound: timedelta) -> Reply:
        try:
            connection = self._taken(until)
        except (OSError, ValueError) as error:
            raise self._away(
                ErrorName.UNREACHABLE, f"cannot be reached: {_said(error, bound)}"
            ) from error
        try:
            status, body, kind, date = connection.call(call, until)
        except TimeoutError as error:
            raise self._away(
                ErrorName.UNANSWERED, f"did not answer {_said(error, bound)}"
            ) from error
        except TooLongError as error:
            raise self._away(ErrorName.NONSENSE, str(error)) from error
        except OSError as error:
            raise self._away(ErrorName.UNANSWERED, f"hung up: {_said(error, bound)}") from error
        except (http.client.HTTPException, ValueError) as error:
            raise self._away(
                ErrorName.NONSENSE, f"does not speak HTTP: {_said(error, bound)}"
            ) from error
        finally:
            self._returned(connection)
        return Reply(status, body, kind, self.name, date)

    def close(self) -> None:
        """Close the idle connections, and cut off the calls under way: they end ``unanswered``."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            for connection in self._busy:
                connection.cut()
        for connection in idle:
            connection.close()

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _away(self, name: ErrorName, what: str) -> UnavailableError:
        hint = "is it running, and reachable from here"
        # Without the digest of a certificate, which nobody can act on.
        at = f" at {self._address.partition('#')[0]}" if self._address else ""
        name_it = self.name if str(self.where) in self.name else f"{self.name}{at}"
        return UnavailableError(f"{name_it} {what}", name=name, hint=hint)

    def _taken(self, until: float) -> Connection:
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                connection = self._connected(until)
            elif not connection.usable():
                connection.close()
                continue
            with self._lock:
                self._busy.add(connection)
            return connection

    def _connected(self, until: float) -> Connection:
        places = read_places(self.where)
        self._count, turn = len(places), self._turn
        # While there is another one to try, a host that says nothing may not take all the time.
        share = seconds_left(until) / 2 if len(places) > 1 else seconds_left(until)
        address = self._address = read_address(places[turn % len(places)])
        return Connection(address, time.monotonic() + share, self._bytes_at_most, turn)

    def _pass_on(self, turn: int) -> None:
        """Take the next address from now on, unless another thread has done so."""
        with self._lock:
            if self._count < 2 or turn != self._turn:
                return
            self._turn += 1
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _returned(self, connection: Connection) -> None:
        with self._lock:
            self._busy.discard(connection)
            if connection.keeps and not self._closed and connection.turn == self._turn:
                self._idle.append(connection)
                return
        connection.close()


def _stands_by(reply: Reply) -> bool:
    if reply.status != 503 or b"standby" not in reply.body:
        return False
    try:
        return reply.json().get("error") == ErrorName.STANDBY
    except UnavailableError:
        return False


def _said(error: Exception, bound: timedelta) -> str:
    if isinstance(error, TimeoutError):
        return f"within {bound.total_seconds():g} s"
    if isinstance(error, FileNotFoundError):
        return f"no file {str(error.filename)!r}; it has not started"
    return reason(error)
