"""The story: fifteen minutes of a bad night, told in under one, and what a thief would try."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

from breakglass.clock import SystemClock
from breakglass.demo.asking import asking
from breakglass.demo.break_in import break_in
from breakglass.demo.evidence import evidence
from breakglass.demo.night import Night, expiry, gate, opening, repair
from breakglass.demo.rebuild import rebuild
from breakglass.demo.shop import WEB, make_people, make_shop
from breakglass.demo.ssh_host import DemoHost, make_ssh_host
from breakglass.demo.ssh_repair import ssh_repair
from breakglass.demo.stage import CurtainError, Stage
from breakglass.demo.target import make_target
from breakglass.demo.terminal import Terminal, clean_environment
from breakglass.demo.webhook_sink import WebhookSink
from breakglass.embedded.up import activate_once, running
from breakglass.errors import BreakglassError


def play(*, keep: bool = False) -> int:
    """Play all of it; returns 0 if every check held.

    Args:
        keep: leave the organisation's folder there.
    """
    stage = Stage()
    folder = Path(tempfile.mkdtemp(prefix="breakglass-"))
    stage.title("breakglass demo: one bad night at shop.example, on this machine")
    try:
        _play(stage, folder)
    except BreakglassError as error:
        stage.failed.append(str(error))
        stage.tell(f"{error}; hint: {error.hint or 'none'}")
    except CurtainError:
        pass  # told where it happened
    except KeyboardInterrupt:
        stage.failed.append("interrupted")
    finally:
        if keep:
            stage.tell(f"the organisation's folder is kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return stage.end()


def _play(stage: Stage, folder: Path) -> None:
    with ExitStack() as held:
        # Everything that starts here ends with us, whatever happens.
        target = make_target()
        held.callback(target.stop)
        home = folder / "home"
        home.mkdir()
        people, agent = make_people(folder)
        os.environ.clear()
        os.environ.update(clean_environment(home, agent.path, target.place.programs))
        stage.scene("The shop, before anything happens")
        with stage.check("a PostgreSQL is up that asks for passwords", needed=True) as check:
            target.start()
            target.fill()
            check.says(f"PostgreSQL {target.version()} is up, and asks for passwords")
        host = _host(stage, held)
        held.enter_context(agent)
        hook = WebhookSink()
        held.callback(hook.close)
        org = folder / "org"
        shop = make_shop(org, people, agent.path, target, host, hook, SystemClock().now())
        if host is not None:
            with stage.check(f"{host.name} is up: sshd, and our half of it beside") as check:
                host.start(org / f"minter-{WEB}", org / "trust", WEB)
        with stage.check("its processes are up", needed=True) as check:
            organisation = held.enter_context(running(org, shop.groups()))
            count = len(organisation.children)
            check.says(f"{count} processes are up, each with a folder and a key of its own")
        stage.tell("The clocks of the monitor and of one witness are 90 s off, on purpose.")
        shop.connect_gate()
        mira = Terminal(stage, org / "client.toml", dict(os.environ), folder)
        night = Night(stage, shop, organisation, target, hook, mira, folder)
        with stage.check("policy is in force", needed=True) as check:
            version = activate_once(organisation)
            check.says(f"policy {version} is in force, signed by sam and noor")
        for act in (opening, repair, gate):
            act(night)
        if host is not None:
            ssh_repair(night, host)
        for act in (asking, expiry, evidence, break_in, rebuild):
            act(night)


def _host(stage: Stage, held: ExitStack) -> DemoHost | None:
    """Return a host for SSH, or say why there is none; the story goes on without it."""
    made = make_ssh_host()
    if isinstance(made, str):
        stage.tell(f"No host for SSH in this story: {made}. docs/how-to/ssh.md has it.")
        return None
    held.callback(made.stop)
    return made
