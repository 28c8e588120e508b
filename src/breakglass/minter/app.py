"""The minter's process: its parts, put together from its folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from breakglass.clock import Clock
from breakglass.minter.door import MinterDoor
from breakglass.minter.early_end import EarlyEnd
from breakglass.minter.early_endings import EarlyEndings
from breakglass.minter.grant_store import GrantStore
from breakglass.minter.idle_watch import IdleWatch
from breakglass.minter.minting import Minting, Patience
from breakglass.minter.outcome_records import OutcomeRecords
from breakglass.minter.platforms.command import Command
from breakglass.minter.platforms.platform import Platform
from breakglass.minter.platforms.postgres import Postgres
from breakglass.minter.platforms.simulated import Simulated
from breakglass.minter.platforms.ssh import Ssh
from breakglass.minter.policy_lives import PolicyLives
from breakglass.minter.reconciler import Reconciler, ReconcilerLimits
from breakglass.minter.routes import Stories, routes
from breakglass.minter.settings import MinterSettings
from breakglass.minter.suspensions import Suspensions
from breakglass.minter.target_check import TargetCheck
from breakglass.minter.tidying import Tidying
from breakglass.node.door_return import DoorReturn, by_leaf_hash, waited
from breakglass.node.door_store import DoorStore, KeptDoor
from breakglass.node.grant_locks import GrantLocks
from breakglass.node.process import At, NodeProcess, go_on
from breakglass.process.alert_channel import AlertChannel
from breakglass.process.periodic import PeriodicTask
from breakglass.process.serving import Service
from breakglass.process.settings import read_settings
from breakglass.records.trust import Trust
from breakglass.submit.outbox import OutboxLimits


def build(folder: Path, clock: Clock, at: At = go_on) -> Service:
    """Make a minter from its folder; nothing runs before ``Service.start``.

    Args:
        folder: with ``settings.toml``, ``key`` and the trust file.
        clock: for every time that is written or compared.
        at: told each numbered step; for tests alone.

    Raises:
        MisconfiguredError: something in the folder cannot be used.
    """
    settings = read_settings(folder, MinterSettings)
    name = settings.name
    bell = settings.ring.channel(folder, f"minter:{name}", clock)
    doors_taken = DoorStore(folder / "data" / "doors.sqlite")

    def trust() -> Trust:
        return process.view.trust()

    returning = DoorReturn(
        doors_taken,
        by_leaf_hash(trust),
        trust,
        clock,
        _unappended(bell),
        waited(settings.door_within),
    )
    process = NodeProcess(
        folder,
        settings,
        clock,
        folder / "data",
        ring=bell.ring,
        before_sending=returning.before_sending,
        limits=OutboxLimits(notes_at_most=settings.spool_notes, age_at_most=settings.spool_for),
    )
    # What minting and ending use, and let go of when the last of them is over.
    table = GrantStore(folder / "data" / "grants.sqlite")
    platform = _platform(settings, folder, clock)
    described = platform.describe()
    for each in (table, bell, platform):
        process.add(close=each.close)
    watch = Suspensions(name, lambda: ending.wake())
    process.follow(folder / "data" / "view", [watch], "minted")

    view, catching_up, stating = process.view, process.catching_up, process.stating
    locks = GrantLocks()
    saying = OutcomeRecords(stating, table, described.limits.platform)
    doors = MinterDoor(name, view, process.peer(), doors_taken, stating, bell, clock, at)
    limits = ReconcilerLimits(
        settings.sweep_every,
        settings.ring_after,
        settings.ending_threads,
        settings.endings_per_second,
    )
    lives = PolicyLives(name, view, bell)
    tidying = Tidying(table, platform, locks, saying, at)
    ending = Reconciler(
        view,
        watch,
        table,
        platform,
        locks,
        saying,
        bell,
        clock,
        limits,
        at,
        tidying,
        lambda: catching_up.current,
        EarlyEndings(view, watch, table, lives),
    )
    idle = IdleWatch(table, platform, lives, clock, ending.wake)
    unused = PeriodicTask("idle", settings.idle_every, idle.look)
    minting = Minting(
        name,
        view,
        catching_up,
        watch,
        table,
        platform,
        locks,
        stating,
        clock,
        Patience(settings.usable_within, settings.view_within, settings.view_at_most_old),
        doors,
        ending.end_now,
        at,
    )
    giving_up = EarlyEnd(
        name,
        view,
        catching_up,
        table,
        platform,
        locks,
        ending,
        clock,
        settings.view_within,
        settings.forgo_after,
        doors,
    )
    checking = TargetCheck(name, view, platform, bell, clock)
    stories = Stories(
        name,
        process,
        watch,
        table,
        described,
        checking,
        locks,
        minting,
        saying,
        giving_up,
        doors,
        bell,
        process.readers(
            grant_of=lambda state, name: state.grants.by_id.get(name) or doors.grant(state, name)
        ),
        clock,
        at,
    )
    process.add(close=lambda: stories.behind.shutdown(wait=True))
    process.add(ending.start, ending.close)
    process.add(unused.start, unused.close)
    process.add(close=tidying.close)
    process.add(checking.start, checking.close)
    return process.service(routes(stories))


def _unappended(bell: AlertChannel) -> Callable[[KeptDoor, str], None]:
    def ring(door: KeptDoor, why: str) -> None:
        bell.ring(
            "door_unappended",
            door.grant,
            f"{door.intent.who!r} got a credential by the custodians' door at"
            f" {door.taken:%Y-%m-%d %H:%M} UTC, and its intent is not in the ledger: {why}",
        )

    return ring


def _platform(settings: MinterSettings, folder: Path, clock: Clock) -> Platform:
    if settings.platform == "simulated":
        return Simulated(folder / settings.simulated, settings.name, clock)
    if settings.command is not None and settings.platform == "command":
        return Command(settings.command)
    if settings.ssh is not None and settings.platform == "ssh":
        return Ssh(settings.ssh, settings.name, folder / "data")
    assert settings.postgres is not None
    return Postgres(settings.postgres, settings.name, settings.log)
