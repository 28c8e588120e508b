"""The five kinds of trouble, each with its exit code and HTTP status.

Verification raises one of these; a decision returns a value. Messages are lower case, name things
in quotes, give units and what was wanted and got, and say the state we are left in. They never
hold a secret: a credential is spoken of by its id.
"""

from __future__ import annotations

from breakglass.error_names import ErrorName, ForeignName


class BreakglassError(Exception):
    """Any trouble of our own; catch this at an edge, never a bare ``Exception``.

    Args:
        message: what happened and the state we are left in, lower case, no full stop.
        name: which failure it is, for vectors, tests and machines; each kind has a name for the
            rest.
        hint: the way out, as something a person can do or type; empty when there is none.
    """

    exit_code = 1
    http_status = 500
    default_name = ErrorName.ERROR

    def __init__(
        self, message: str, *, name: ErrorName | ForeignName | None = None, hint: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.name: ErrorName | ForeignName = name or self.default_name
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class MalformedError(BreakglassError):
    """The bytes are not in the form their specification gives."""

    exit_code = 2
    http_status = 400
    default_name = ErrorName.MALFORMED


class RefusedError(BreakglassError):
    """Understood, and the answer is no."""

    exit_code = 3
    http_status = 403
    default_name = ErrorName.REFUSED


class UnprovenError(BreakglassError):
    """A signature or a proof does not hold."""

    exit_code = 4
    http_status = 422
    default_name = ErrorName.UNPROVEN


class UnavailableError(BreakglassError):
    """A neighbour did not answer; we stayed shut."""

    exit_code = 5
    http_status = 503
    default_name = ErrorName.UNAVAILABLE


class MisconfiguredError(BreakglassError):
    """We should not have started."""

    exit_code = 6
    http_status = 500
    default_name = ErrorName.MISCONFIGURED


BY_STATUS: dict[int, type[BreakglassError]] = {
    kind.http_status: kind
    for kind in (MalformedError, RefusedError, UnprovenError, UnavailableError)
}
"""Which kind an HTTP answer stands for; a neighbour's 500 is unavailability and left out."""


def reason(error: Exception) -> str:
    """Say in a person's words what another layer reported: without Python's ``[Errno 2]``.

    >>> reason(FileNotFoundError(2, "No such file or directory", "x"))
    'No such file or directory'
    """
    told = error.strerror if isinstance(error, OSError) else ""
    return told or str(error) or type(error).__name__
