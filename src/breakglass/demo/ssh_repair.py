"""A host that needs hands: a certificate for twenty minutes, and an end that leaves nothing."""

from __future__ import annotations

from datetime import timedelta

from breakglass.clock import Deadline
from breakglass.demo.night import INCIDENT, Night
from breakglass.demo.shop import WEB_REPAIR
from breakglass.demo.ssh_host import ACCOUNT, HOST, STUCK, DemoHost
from breakglass.records.grant import handle_of

_WITHIN = timedelta(seconds=25)


def ssh_repair(night: Night, host: DemoHost) -> None:
    """Break a glass for a host, repair it, leave something behind, and be done."""
    stage, mira = night.stage, night.mira
    stage.scene(f"03:17, checkout hangs on {HOST}")
    with stage.check(f"mira breaks {WEB_REPAIR}") as check:
        said = mira.types("break", WEB_REPAIR, "--incident", INCIDENT, "--why", "checkout hangs")
        check.took = said.took
        check.require(said.code == 0, said.last)
    grant = said.row("grant  ") or "none"
    with stage.check("she logs in and takes the stuck lock away; no key of hers is there") as check:
        said = mira.types("ssh", grant, HOST, "--", f"rm {STUCK} && id -un")
        check.took = said.took
        check.require(said.code == 0 and said.out.strip() == ACCOUNT, said.last)
        check.require(not host.stuck(), "the lock is still there")
    with stage.check("she leaves a program in the background, out of her session") as check:
        said = mira.types("ssh", grant, HOST, "--", "setsid sleep 3600 >/dev/null 2>&1 &")
        check.took = said.took
        check.require(said.code == 0, said.last)
        check.require(host.runs(handle_of(grant)), "nothing of it runs")
    with stage.check("she is done: the host ends all that her grant runs") as check:
        said = mira.types("done", grant)
        check.require(said.code == 0, said.last)
        gone = any(not host.runs(handle_of(grant)) for _ in Deadline(_WITHIN).tries(0.05))
        check.require(gone, "something of the grant runs still")
    with stage.check("the host refuses the same certificate") as check:
        said = mira.types("ssh", grant, HOST, "--", "id -un")
        check.took = said.took
        check.require(said.code != 0 and ACCOUNT not in said.out, said.last)
    with stage.check("sshd's own log says who it was, and for which incident") as check:
        lines = [each for each in host.accepted() if f"breakglass-{INCIDENT}-mira" in each]
        check.require(lines, f"no such login in {len(host.accepted())} lines")
        stage.said(lines[0].partition(" CA ")[0])
