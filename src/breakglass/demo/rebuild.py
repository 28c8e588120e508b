"""Databases are caches: they are deleted, and the same state comes back from the ledger."""

from __future__ import annotations

import shutil
from datetime import timedelta
from typing import Any

from breakglass.clock import Deadline
from breakglass.demo.night import MINTER, Night

_WITHIN = timedelta(seconds=20)
_STILL = 15  # looks in a row, 0.1 s apart: a ledger holds what is posted for half a second
_CACHES = {
    "broker": ("data/view",),
    "monitor": ("data/ledger",),
    f"minter-{MINTER}": ("data/view",),
}


def rebuild(night: Night) -> None:
    """Stop everybody, delete what they folded, start them, and compare digests."""
    stage, running = night.stage, night.running
    stage.scene("The databases are lost")
    minter = f"minter-{MINTER}"
    with stage.check("caches deleted and folded again: the same state, to the digest") as check:
        # The monitor states its own records; it stops first, so that the log stands still.
        running.stop("monitor")
        before = _agreed(night, "broker", minter)
        check.require(before is not None, "broker and minter did not reach one state")
        assert before is not None
        for name in ("broker", minter):
            running.stop(name)
        for name, caches in _CACHES.items():
            for cache in caches:
                folder = running.org / name / cache
                check.require(folder.is_dir(), f"{name} has no cache {cache!r}")
                shutil.rmtree(folder)
        for name in ("broker", minter):
            running.restart(name)
        after = _agreed(night, "broker", minter)
        check.require(after is not None, "they did not reach one state again")
        assert after is not None
        check.require(after["size"] == before["size"], f"{after['size']} records, not the same")
        check.require(after["digest"] == before["digest"], "another digest")
        check.says(f"caches deleted, folded again: the same state, {before['digest'][:12]}…")
    with stage.check("the monitor too finds its way back, and agrees") as check:
        running.restart("monitor")
        after = _agreed(night, "broker", minter, "monitor")
        check.require(after is not None, "they did not reach one state")


def _agreed(night: Night, *names: str) -> dict[str, Any] | None:
    """Wait until these processes have folded the whole ledger to one state that stands still.

    Returns:
        that state; ``None`` if it was not reached.
    """
    seen: list[str] = []
    for _ in Deadline(_WITHIN).tries(0.1):
        size = night.running.get("ledger", "/healthz")["size"]
        states = [night.running.read(name, "/state") for name in names]
        found = {(each["size"], each["digest"]) for each in states}
        if found != {(size, states[0]["digest"])} or states[0]["digest"] not in seen[-1:]:
            seen.clear()
        seen.append(states[0]["digest"])
        if len(seen) >= _STILL:
            return states[0]
    return None
