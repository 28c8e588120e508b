"""What a bundle changes in the policy in force, line by line, before anybody signs it."""

from __future__ import annotations

import base64
import difflib
import hashlib
from collections.abc import Iterator, Mapping

from breakglass.cli.client import Client
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, UnprovenError


def tell_difference(client: Client, files: Mapping[str, bytes]) -> list[str]:
    """Return the lines that say what ``files`` change: removed with -, added with +.

    The policy in force is the one that the broker names, and its bytes are of that digest. Where it
    does not answer, one line says that nothing can be compared: who signs decides whether that
    will do.
    """
    try:
        before = _in_force(client)
    except BreakglassError as error:
        return [f"no difference to the policy in force can be shown: {error}"]
    return list(_changes(before, files)) or ["the policy in force says the very same"]


def _in_force(client: Client) -> Mapping[str, bytes]:
    from breakglass.policy.bundle import unpack_bundle

    told = client.broker("GET", "/policy")
    digest = str(told["policy"])
    if not digest:
        return {}
    data = base64.b64decode(str(told["bundle"]))
    if hashlib.sha256(data).hexdigest() != digest:
        raise UnprovenError(
            f"the broker gives other bytes than bundle {digest[:12]}", name=ErrorName.WRONG_POLICY
        )
    return unpack_bundle(data)


def _changes(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> Iterator[str]:
    for name in sorted({*before, *after}):
        old, new = (each.get(name, b"").decode("utf-8", "replace") for each in (before, after))
        found = difflib.unified_diff(
            old.splitlines(),
            new.splitlines(),
            f"in force: {name}",
            f"to sign: {name}",
            "",
            "",
            1,
            "",
        )
        yield from found
