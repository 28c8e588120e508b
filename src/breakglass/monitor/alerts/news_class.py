"""Of which class each news is: the table that a policy's ``alerts:`` routes by. Pure.

A policy says where news of a class goes. It never says where news of the rules themselves goes:
whoever changed the rules, or broke them, must not choose who hears of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum

from breakglass.monitor.alerts.alert import Alert
from breakglass.records.grant import Path


class NewsClass(StrEnum):
    """What news is about, for routes."""

    RULES = "rules"  # policy, trust, keys, suspensions, what is void or not justified, the ledger
    GLASS = "glass"  # a glass in use: by its path, else by the radius of the glass
    JIT = "jit"
    GATE = "gate"


_R, _G, _J, _T = NewsClass.RULES, NewsClass.GLASS, NewsClass.JIT, NewsClass.GATE
SUBJECTS: Mapping[str, NewsClass] = {
    "broke_glass": _G,
    "usable": _G,
    "ended": _G,
    "dead": _G,
    "left_standing": _G,
    "bypassed": _T,
    "refused": _G,
    "approval_wanted": _J,
    "ask_answered": _J,
    "asks_failed": _G,
    "door": _G,
    "door_unappended": _G,
    "not_minted": _G,
    "not_dead": _G,
    "not_ended": _G,
    "incident": _G,
    "incident_closing": _G,
    "mfa_down": _G,
    "starts_soon": _G,
    "starts_now": _G,
    "start_refused": _G,
    "will_not_start": _G,
    # Of people, to their own channels.
    "broke_after_no": _G,
    "receipt": _R,
    "own_channels": _R,
    # What no policy routes.
    "unjustified": _R,
    "forbidden": _R,
    "missing_records": _R,
    "statement_withheld": _R,
    "policy_activated": _R,
    "cards_activated": _R,
    "cards_expire": _R,
    "channels_changed": _R,
    "channels_missing": _R,
    "trust_activated": _R,
    "key_rotated": _R,
    "suspended": _R,
    "released": _R,
    "second_wanted": _R,
    "all_suspended": _R,
    "all_released": _R,
    "left_with_grant": _R,
    "standing_grew": _R,
    "standing_anew": _R,
    "standing_unknown": _R,
    "standing_silent": _R,
    "standing_missed": _R,
    "gap": _R,
    "archive_wrong": _R,
    "archive_unknown": _R,
    "archive_unattested": _R,
    "ledger_silent": _R,
    "withheld": _R,
    "past_changed": _R,
    "ledger_contradicts": _R,
    "not_following": _R,
    "monitor_error": _R,
    "test": _R,
}
_HOURLY = re.compile(r"_\d+h$", re.ASCII)
_PATHS = {Path.DRILL.value: "drill", Path.JIT.value: "jit", Path.MACHINE.value: "machine"}


def class_of(news: Alert) -> NewsClass:
    """Return the class of news; what no table knows is of the rules, and everybody hears it."""
    return SUBJECTS.get(_HOURLY.sub("", news.subject), NewsClass.RULES)


def route_of(news: Alert) -> str:
    """Return the name in ``alerts:`` by which news goes; empty: no policy routes it.

    ``glass`` stands for the radius of the glass that the news names, where it names one.
    """
    found = class_of(news)
    if found is NewsClass.GLASS:
        return _PATHS.get(news.path, "glass")
    return "" if found is NewsClass.RULES else found.value
