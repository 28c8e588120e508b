"""The broker's process: its parts, put together from its folder.

It keeps nothing but door intents that no ledger has taken yet (``kept/``): everything else that it
knows is folded from the ledger, and deleting ``data/`` while it is stopped costs only the time to
read that again.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path

from breakglass.broker.door.door_request import DoorRequests
from breakglass.broker.door.folded_door import folded, over
from breakglass.broker.governance.activation import Activation
from breakglass.broker.governance.genesis import Beginning
from breakglass.broker.governance.suspension import Suspending
from breakglass.broker.grants.answers import Answers
from breakglass.broker.grants.ask_history import AskHistory
from breakglass.broker.grants.ask_reconciler import AskReconciler
from breakglass.broker.grants.ask_views import AskViews
from breakglass.broker.grants.asking import Asking
from breakglass.broker.grants.asks import Asks
from breakglass.broker.grants.breaking import Breaking
from breakglass.broker.grants.early_end import EndingEarly
from breakglass.broker.grants.granting import At, Granting
from breakglass.broker.grants.open_grants import OpenGrants
from breakglass.broker.grants.reaper import Reaper
from breakglass.broker.grants.refusals import Refusals
from breakglass.broker.grants.requests import Requests
from breakglass.broker.grants.tokens import Tokens
from breakglass.broker.incidents.closing_grants import ClosingGrants
from breakglass.broker.incidents.declarations import Declarations
from breakglass.broker.minters import Minters
from breakglass.broker.organisation import Organisation
from breakglass.broker.policies import Policies
from breakglass.broker.rate_limit import RateLimit
from breakglass.broker.routes import Stories, routes
from breakglass.broker.settings import BrokerSettings
from breakglass.clock import Clock
from breakglass.node.door_return import DoorReturn
from breakglass.node.door_store import DoorStore, KeptDoor
from breakglass.node.grant_locks import GrantLocks
from breakglass.node.ledger_probe import who_is_silent
from breakglass.node.process import NodeProcess, go_on
from breakglass.node.recorder import Recorder
from breakglass.node.trust_files import TrustFiles
from breakglass.process.alert_channel import AlertChannel
from breakglass.process.folder import make_folder
from breakglass.process.key_store import DOOR_KEY, keeping_of
from breakglass.process.periodic import PeriodicTask
from breakglass.process.serving import Service
from breakglass.process.settings import read_settings

_DECLARED_PER_MINUTE = _ASKED_PER_MINUTE = 10
_LOOK_EVERY = timedelta(seconds=1)


def build(folder: Path, clock: Clock, at: At = go_on) -> Service:
    """Make a broker from its folder; nothing runs before ``Service.start``.

    Args:
        folder: with ``settings.toml``, ``key``, the trust file, and ``bootstrap/`` for the first.
        clock: for every time that is written or compared.
        at: told each numbered step; for tests alone.

    Raises:
        MisconfiguredError: something in the folder cannot be used.
        UnavailableError: ``doors``: nor can the memory of doors.
    """
    settings = read_settings(folder, BrokerSettings)
    make_folder(folder / "kept")
    bell = settings.ring.channel(folder, "broker", clock)
    process = NodeProcess(folder, settings, clock, folder / "data", ring=bell.ring, commits=True)
    # What the stories use, and let go of when the last of them is over.
    process.add(close=bell.close)
    minters = Minters(folder, settings.minters, settings.mint_within, process.role_signer)
    process.add(close=minters.close)
    doors = DoorStore(folder / "kept" / "doors.sqlite")
    doors.standing()  # who cannot read which doors it made would make others, and record first
    opened, trust_files, history = OpenGrants(), TrustFiles(), AskHistory()
    process.follow(folder / "data" / "view", [opened, trust_files, history], "recorded")
    process.lets_go(history.release)

    view, stating, key = process.view, process.stating, process.key
    recording = Recorder(view, stating, key, clock, settings.receipt_within, settings.follow_within)
    policies = Policies()
    tokens = Tokens(view, process.peer())
    minute = timedelta(minutes=1)
    refusals = Refusals(recording, RateLimit(settings.refusals_per_minute, minute), at)
    asking = Asking(recording, policies, minters, clock, refusals, at)
    trying = process.peer()
    granting = Granting(recording, tokens, minters, bell, at, lambda: who_is_silent(trying))
    locks = GrantLocks()
    allowance = RateLimit(_ASKED_PER_MINUTE, minute)
    asks = Asks(recording, history, policies, clock, refusals, allowance, locks, at)
    answers = Answers(recording, history, policies, granting, clock, locks, at)
    approving = AskReconciler(
        recording, history, policies, granting, clock, locks, process.catching_up, at
    )
    ending = EndingEarly(recording, minters, clock)
    keeping = keeping_of(folder)
    door_key = keeping.read(DOOR_KEY) if keeping.stands(DOOR_KEY) else None
    names = frozenset(each.name for each in (key, door_key) if each is not None)
    returning = DoorReturn(
        doors, folded(view), view.trust, clock, partial(_unappended, bell), over, at
    )
    bring_doors_in = partial(returning.try_now, trying)
    # Our view may take a poll's time to notice that the ledger is back: just try.
    looking = PeriodicTask("doors", _LOOK_EVERY, bring_doors_in)
    beginning = Beginning(folder / "bootstrap", view, process.outbox, stating)
    incidents = ClosingGrants(policies)
    closing = Reaper(
        recording,
        minters,
        clock,
        settings.recovery,
        process.catching_up,
        opened,
        bell,
        incidents,
        names,
    )
    for each in (beginning, closing, looking, approving):
        process.add(each.start, each.close)
    stories = Stories(
        view,
        process.catching_up,
        policies,
        tokens,
        minters,
        Breaking(asking, granting, history, locks, at),
        asks,
        answers,
        Requests(AskViews(view, history, policies, clock), history),
        ending,
        Declarations(recording, RateLimit(_DECLARED_PER_MINUTE, minute), incidents, clock),
        Suspending(recording, ending, clock),
        Activation(recording, policies),
        DoorRequests(
            view, trying, settings.log, door_key, doors, policies, minters, bell, clock, at
        ),
        bring_doors_in,
        trust_files,
        process.readers(rights=policies.rights),
        process.check.keys,
        clock,
        Organisation(folder, settings.log, settings.ledger, settings.monitor),
        settings.proxies,
    )
    return process.service(routes(stories))


def _unappended(bell: AlertChannel, door: KeptDoor, why: str) -> None:
    bell.ring(
        "door_unappended",
        door.grant,
        f"the ledger refuses the record of a grant by the custodians' door: {why}",
    )
