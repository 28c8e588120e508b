"""How many files a process may have open: as many as it may ask for, at its start."""

from __future__ import annotations

import contextlib
import resource

_WANTED = 8192  # some systems let us have a thousand million, and then closing all takes minutes


def raise_file_limit() -> int:
    """Raise the soft limit of open files as far as the hard one lets us; return what it is now.

    A refusal changes nothing: what hangs on the limit is fitted to the number that is returned.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _WANTED if hard == resource.RLIM_INFINITY else min(hard, _WANTED)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    return _WANTED if soft == resource.RLIM_INFINITY else soft
