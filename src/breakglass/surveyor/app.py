"""The surveyor's process: its parts, put together from its folder."""

from __future__ import annotations

from pathlib import Path

from breakglass.clock import Clock
from breakglass.http.routes import Nobody, Request, get, nobody
from breakglass.node.process import At, NodeProcess, go_on
from breakglass.node.views import Health, health
from breakglass.process.periodic import PeriodicTask
from breakglass.process.serving import Service
from breakglass.process.settings import read_settings
from breakglass.surveyor.inventory_store import InventoryStore
from breakglass.surveyor.occasions import Occasions
from breakglass.surveyor.postgres_survey import PostgresSurvey
from breakglass.surveyor.settings import SurveyorSettings
from breakglass.surveyor.simulated_survey import SimulatedSurvey
from breakglass.surveyor.survey import Survey
from breakglass.surveyor.surveying import Surveying

SURVEYS = Path("data") / "surveys.sqlite"


def build(folder: Path, clock: Clock, at: At = go_on) -> Service:
    """Make a surveyor from its folder; nothing runs before ``Service.start``.

    Args:
        folder: with ``settings.toml``, ``key`` and the trust file.
        clock: for every time that is written or compared.
        at: told each numbered step; for tests alone.

    Raises:
        MisconfiguredError: something in the folder cannot be used.
    """
    settings = read_settings(folder, SurveyorSettings)
    target = settings.target
    bell = settings.ring.channel(folder, f"minter:{target}.survey", clock)
    process = NodeProcess(folder, settings, clock, folder / "data", ring=bell.ring)
    store = InventoryStore(folder / SURVEYS)
    platform = _platform(settings, folder)
    for each in (store, bell, platform):
        process.add(close=each.close)
    occasions = Occasions(target)
    process.follow(folder / "data" / "view", [occasions], "surveyed")
    surveying = Surveying(
        target,
        platform,
        process.view,
        process.catching_up,
        occasions,
        store,
        process.stating,
        bell,
        clock,
        settings.every,
        settings.retry,
        at,
    )
    task = PeriodicTask("survey", settings.look_every, surveying.look)
    process.add(task.start, task.close)
    keys = process.check.keys

    def healthz(who: Nobody, asked: Request[None]) -> Health:
        current = process.catching_up.current
        return health(process.view, current, current and not surveying.trouble, keys)

    return process.service([get("/healthz", nobody, healthz, Health)])


def _platform(settings: SurveyorSettings, folder: Path) -> Survey:
    if settings.platform == "simulated":
        return SimulatedSurvey(folder / settings.simulated)
    assert settings.postgres is not None
    return PostgresSurvey(settings.postgres)
