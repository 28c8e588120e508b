"""Who is on call by a schedule of PagerDuty: REST API v2, ``GET /oncalls``, people with e-mail.

Source: PagerDuty, «List all of the on-calls»: without ``since`` and ``until`` it is of now, 100
entries at most to a page, ``more`` says that another follows; the token stands in
``Authorization: Token token=…``.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from breakglass.clock import Clock, to_milliseconds
from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, UnavailableError
from breakglass.monitor.alerts.secret_folder import SecretFolder
from breakglass.monitor.alerts.time_limit import cut_off
from breakglass.monitor.rosters.on_call import OnCall

ADDRESS = "https://api.pagerduty.com"
_PAGE = 100  # the most that the API gives
_PAGES_AT_MOST = 20
_BYTES_AT_MOST = 2 * 1024 * 1024  # of one page


class PagerDutySchedules:
    """Asks one account of PagerDuty.

    Args:
        address: of the API, without a path: ``https://api.pagerduty.com``, or of its EU region.
        token: of the API, read only, as ``secret:NAME``; it is read for each question, so a changed
            one counts at once.
        secrets: where it lies.
        clock: says when the answer was given.
        within: for one page.

    Raises:
        MisconfiguredError: the address is none.
    """

    def __init__(
        self,
        address: str,
        token: str,
        secrets: SecretFolder,
        clock: Clock,
        within: timedelta = timedelta(seconds=10),
    ) -> None:
        self._to = urlsplit(address)
        if self._to.scheme not in {"http", "https"} or not self._to.hostname:
            raise MisconfiguredError(
                f"{address[:80]!r} is no address of PagerDuty's API; not started",
                name=ErrorName.BAD_ADDRESS,
                hint=f"leave 'pagerduty' of [rosters] out for {ADDRESS}",
            )
        self._token = token
        self._secrets = secrets
        self._clock = clock
        self._within = within

    def read(self, which: str) -> OnCall:
        """Ask for everybody on call now by schedule ``which``. See ``RosterSource``.

        Raises:
            UnavailableError: no whole answer in time, or not one of the documented form.
            MisconfiguredError: the token is not there.
        """
        headers = {
            "Authorization": f"Token token={self._secrets.value(self._token)}",
            "Accept": "application/vnd.pagerduty+json;version=2",
            "User-Agent": "breakglass-monitor",
        }
        now = to_milliseconds(self._clock.now())
        names: list[str] = []
        for page in range(_PAGES_AT_MOST):
            found, more = self._page(which, page * _PAGE, headers)
            names += [each for each in found if each not in names]
            if not more:
                return OnCall(tuple(names), now)
        raise UnavailableError(f"more than {_PAGES_AT_MOST * _PAGE} entries of {which!r} on call")

    def _page(self, which: str, offset: int, headers: Mapping[str, str]) -> tuple[list[str], bool]:
        asked = {"schedule_ids[]": which, "include[]": "users", "limit": _PAGE, "offset": offset}
        status, body = self._get(f"{self._to.path}/oncalls?{urlencode(asked)}", headers)
        if status != 200:
            # 401: the token; 404: the schedule; 429: too often. Its text may quote our token.
            raise UnavailableError(f"PagerDuty answered {status}", name=ErrorName.NOT_TAKEN)
        try:
            said = json.loads(body)
            return [_name(each) for each in said["oncalls"]], bool(said["more"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UnavailableError("PagerDuty's answer is not of its documented form") from error

    def _get(self, path: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        seconds = self._within.total_seconds()
        connection = self._connection(seconds)
        try:
            with (
                contextlib.closing(connection),
                cut_off(lambda: connection.sock, seconds) as late,
            ):
                try:
                    connection.request("GET", path, headers=dict(headers))
                    answer = connection.getresponse()
                    body = answer.read(_BYTES_AT_MOST + 1)
                except (OSError, http.client.HTTPException) as error:
                    if late.is_set():
                        raise TimeoutError from error
                    raise
                if late.is_set():
                    raise TimeoutError  # half a body reads as a whole one when it is cut
        except TimeoutError as error:
            raise UnavailableError(
                f"PagerDuty did not answer within {seconds:g} s", name=ErrorName.TOO_SLOW
            ) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise UnavailableError(
                f"PagerDuty cannot be reached: {type(error).__name__}", name=ErrorName.UNREACHABLE
            ) from error
        if len(body) > _BYTES_AT_MOST:
            raise UnavailableError(f"PagerDuty's answer has more than {_BYTES_AT_MOST} bytes")
        return answer.status, body

    def _connection(self, seconds: float) -> http.client.HTTPConnection:
        host, port = self._to.hostname or "", self._to.port
        if self._to.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=seconds)
        return http.client.HTTPSConnection(
            host, port, timeout=seconds, context=ssl.create_default_context()
        )


def _name(entry: Mapping[str, Any]) -> str:
    """Return how the policy may know somebody: by e-mail, else by the name that is shown."""
    user = entry["user"]
    found = user.get("email") or user.get("name") or user.get("summary")
    if not isinstance(found, str):
        raise TypeError("a person without a name")
    return found
