"""The text of a person's ``client.toml``: who they are, and where the organisation is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

NEIGHBOURS = ("broker", "monitor", "ledger")


def client_toml(
    who: str,
    key: Path,
    log: str,
    addresses: Mapping[str, str],
    *,
    trust: str = "trust",
    state: str = "client",
) -> str:
    """Write a person's ``client.toml``.

    Args:
        who: their handle.
        key: their SSH key; relative to the file, as every path in it.
        log: the ledger's origin.
        addresses: of broker, monitor and ledger; what is missing is an ``address`` file beside.
        trust: the trust file.
        state: where the keys of their grants are kept.
    """
    places = {each: addresses.get(each, f"{each}/address") for each in NEIGHBOURS}
    return (
        "# Who you are, and where the organisation is. Paths are relative to this file.\n"
        f"who = {json.dumps(who)}\nkey = {json.dumps(str(key))}\nlog = {json.dumps(log)}\n"
        + "".join(f"{each} = {json.dumps(where)}\n" for each, where in places.items())
        + f"trust = {json.dumps(trust)}\nstate = {json.dumps(state)}\n"
    )
