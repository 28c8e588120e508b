"""Who is on call by a schedule of PagerDuty: REST API v2, ``GET /oncalls``, people with e-mail.

Source: PagerDuty, «List all of the on-calls»: without ``since`` and ``until`` it is of now, 100
entries at most to a page, ``more`` says that another follows; the token stands in
``Authorization: Token token=…``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from breakglass.clock import Clock, to_milliseconds
from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, UnavailableError
from breakglass.monitor.alerts.outside_http import OutsideHttp
from breakglass.monitor.alerts.secret_folder import SecretFolder
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
        try:
            self._api = OutsideHttp(address, within, called="PagerDuty")
        except MisconfiguredError as error:
            raise MisconfiguredError(
                f"{address[:80]!r} is no address of PagerDuty's API; not started",
                name=error.name,
                hint=f"leave 'pagerduty' of [rosters] out for {ADDRESS}",
            ) from error
        self._token = token
        self._secrets = secrets
        self._clock = clock

    def read(self, which: str) -> OnCall:
        """Ask for everybody on call now by schedule ``which``. See ``RosterSource``.

        Raises:
            UnavailableError: no whole answer in time, or not one of the documented form.
            MisconfiguredError: the token is not there.
        """
        headers = {
            "Authorization": f"Token token={self._secrets.value(self._token)}",
            "Accept": "application/vnd.pagerduty+json;version=2",
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
        answer = self._api.get(f"/oncalls?{urlencode(asked)}", headers, _BYTES_AT_MOST)
        if answer.status != 200:
            # 401: the token; 404: the schedule; 429: too often. Its text may quote our token.
            raise UnavailableError(f"PagerDuty answered {answer.status}", name=ErrorName.NOT_TAKEN)
        try:
            said = json.loads(answer.start)
            return [_name(each) for each in said["oncalls"]], bool(said["more"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UnavailableError("PagerDuty's answer is not of its documented form") from error


def _name(entry: Mapping[str, Any]) -> str:
    """Return how the policy may know somebody: by e-mail, else by the name that is shown."""
    user = entry["user"]
    found = user.get("email") or user.get("name") or user.get("summary")
    if not isinstance(found, str):
        raise TypeError("a person without a name")
    return found
