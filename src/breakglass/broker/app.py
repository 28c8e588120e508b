"""The broker's process: its parts, put together from its folder.

It keeps nothing but door intents that no ledger has taken yet (``kept/``): everything else that it
knows is folded from the ledger, and deleting ``data/`` while it is stopped costs only the time to
read that again.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from breakglass.broker.door.door_chain import DoorChain
from breakglass.broker.door.door_request import DoorRequests
from breakglass.broker.door.door_return import DoorReturn
from breakglass.broker.governance.activation import Activation
from breakglass.broker.governance.genesis import Beginning
from breakglass.broker.governance.suspension import Suspending
from breakglass.broker.grants.asking import Asking
from breakglass.broker.grants.breaking import Breaking
from breakglass.broker.grants.early_end import EndingEarly
from breakglass.broker.grants.granting import At, Granting
from breakglass.broker.grants.open_grants import OpenGrants
from breakglass.broker.grants.reaper import Reaper
from breakglass.broker.grants.tokens import Tokens
from breakglass.broker.incidents.declarations import Declarations
from breakglass.broker.minters import Minters
from breakglass.broker.policies import Policies
from breakglass.broker.rate_limit import RateLimit
from breakglass.broker.routes import Stories, routes
from breakglass.broker.settings import BrokerSettings
from breakglass.clock import Clock
from breakglass.errors import BreakglassError, MisconfiguredError
from breakglass.http.client import Peer
from breakglass.http.edge import application
from breakglass.node.catch_up import CatchingUp
from breakglass.node.grant_locks import GrantLocks
from breakglass.node.recorder import Recorder
from breakglass.node.replica import Replica
from breakglass.node.submitter import Submitter, gap_draft
from breakglass.process.alert_channel import AlertChannel
from breakglass.process.folder import make_folder
from breakglass.process.key_store import DOOR_KEY, keeping_of, read_key
from breakglass.process.serving import Ending, Service
from breakglass.process.settings import neighbour_at, read_settings
from breakglass.records.kind_sets import UnknownKindsError
from breakglass.records.trust import Trust, accept_trust
from breakglass.submit.outbox import Outbox
from breakglass.tlog.note import Note

_DECLARED_PER_MINUTE = 10


def _go_on(step: str) -> None:
    """Do nothing at a step; tests end the process there."""


def build(folder: Path, clock: Clock, at: At = _go_on) -> Service:
    """Make a broker from its folder; nothing runs before ``Service.start``.

    Args:
        folder: with ``settings.toml``, ``key``, the trust file, and ``bootstrap/`` for the first.
        clock: for every time that is written or compared.
        at: told each numbered step; for tests alone.

    Raises:
        MisconfiguredError: something in the folder cannot be used.
    """
    settings = read_settings(folder, BrokerSettings)
    key = read_key(folder)
    make_folder(folder / "data")
    ledger = neighbour_at(folder, settings.ledger)
    bell = AlertChannel(folder / settings.ring.log, settings.ring.webhook, "broker", clock)
    opened = OpenGrants()
    process = Ending()

    def trouble(error: Exception) -> None:
        bell.ring("ledger", "ledger", str(error))
        if isinstance(error, UnknownKindsError):
            process.end(error)

    view = Replica(
        Peer(ledger, name="ledger"),
        read_trust(folder / settings.trust),
        folder / "data" / "view",
        on_judged=opened.judged,
        trouble=trouble,
    )
    outbox = Outbox(
        Peer(ledger, name="ledger"),
        key,
        folder / "data",
        clock,
        gap=gap_draft(settings.log),
        stranger=lambda words: bell.ring("stolen_key", "ledger", words),
        commits=True,
    )
    ours = key.verifier.label
    stating = Submitter(outbox, settings.log, clock, lambda: view.last_at(ours))
    beginning = Beginning(folder / "bootstrap", view, outbox, stating)
    recording = Recorder(view, stating, key, clock, settings.receipt_within, settings.follow_within)
    policies = Policies()
    proofs = Peer(ledger, name="ledger")
    tokens = Tokens(view, proofs)
    catching_up = CatchingUp(view, proofs, "recorded")
    minters = Minters(folder, settings.minters, settings.mint_within)
    minute = timedelta(minutes=1)
    refusals = RateLimit(settings.refusals_per_minute, minute)
    asking = Asking(recording, policies, minters, clock, refusals, at)
    granting = Granting(recording, tokens, minters, bell, at)
    breaking = Breaking(asking, granting, GrantLocks(), at)
    ending = EndingEarly(recording, minters, clock)
    keeping = keeping_of(folder)
    door_key = keeping.read(DOOR_KEY) if keeping.stands(DOOR_KEY) else None
    names = frozenset(each.name for each in (key, door_key) if each is not None)
    closing = Reaper(recording, minters, clock, settings.recovery, catching_up, opened, bell, names)
    make_folder(folder / "kept")
    chain = DoorChain(folder / "kept" / "doors.sqlite")
    trying = Peer(ledger, name="ledger")
    returning = DoorReturn(view, trying, door_key, chain, bell, clock, at)
    doors = DoorRequests(
        view, trying, settings.log, door_key, chain, policies, minters, bell, clock, at
    )
    stories = Stories(
        view,
        catching_up,
        policies,
        tokens,
        minters,
        breaking,
        ending,
        Declarations(recording, RateLimit(_DECLARED_PER_MINUTE, minute)),
        Suspending(recording, ending),
        Activation(recording, policies),
        doors,
        returning,
        clock,
    )

    def start() -> None:
        view.start()
        catching_up.start()
        beginning.start()
        closing.start()
        returning.start()

    def close() -> None:
        beginning.close()
        catching_up.close()
        closing.close()
        returning.close()
        view.close()
        outbox.close()
        minters.close()
        proofs.close()
        trying.close()
        chain.close()
        bell.close()

    app = application(routes(stories))
    return Service(app, settings.serving, start=start, close=close, ending=process)


def read_trust(path: Path) -> Trust:
    """Read the trust file that this process begins with.

    Raises:
        MisconfiguredError: it cannot be read, or its maintainers did not sign it.
    """
    try:
        return accept_trust(Note.parse(path.read_bytes()), None)
    except (OSError, BreakglassError) as error:
        raise MisconfiguredError(f"{str(path)!r} cannot be used: {error}; not started") from error
