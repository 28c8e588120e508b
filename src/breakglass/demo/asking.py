"""Asking first: somebody is awake and approves; and nobody is, so that the glass is broken."""

from __future__ import annotations

from breakglass.demo.night import INCIDENT, Night
from breakglass.demo.shop import HOTFIX
from breakglass.demo.terminal import Said, Terminal

_PAGED_WITHIN_S = 15.0
_NO_ANSWER = 8  # the client's exit code


def asking(night: Night) -> None:
    """Mira asks twice: sam approves the first, and nobody hears the second."""
    stage, mira = night.stage, night.mira
    stage.scene("03:19, somebody is awake: asking first")
    grant = ""
    with stage.check("mira asks for deploy-hotfix; the command need not wait") as check:
        said = mira.types(*_ask("ship 7c119"), "--no-wait")
        check.took = said.took
        check.require(said.code == 0, said.last)
        grant = said.row("asked").partition(",")[0]
    with stage.check("sam is paged, with the exact command to type") as check:
        page = night.hook.wait_for(
            lambda each: (
                each.body.get("subject") == "approval_wanted" and each.body["about"] == grant
            ),
            _PAGED_WITHIN_S,
        )
        check.require(page is not None, f"no page within {_PAGED_WITHIN_S:g} s")
        assert page is not None
        command = str(page.body["approve"])
        check.require(command == f"breakglass approve {grant}", f"the page says {command!r}")
    with stage.check("sam reads what was checked on his machine, and approves") as check:
        said = _at_sam(night).types("approve", grant, "--yes")
        check.took = said.took
        check.require(said.code == 0 and "granted to mira" in said.out, said.last)
    with stage.check("mira takes the ask up again: approved, and proven") as check:
        said = mira.types("ask", "--again", grant)
        check.took = said.took
        check.require(said.code == 0 and "by sam" in said.row("approved"), said.last)
    mira.types("done", grant, show=False)
    stage.scene("03:21, nobody answers: the glass is offered")
    alone = ""
    with stage.check("mira asks again; 3 s of silence are recorded, with the pages") as check:
        said = mira.types(*_ask("7c119 is not live"))
        check.took = said.took
        check.require(said.code == _NO_ANSWER, f"exit {said.code}: {said.last}")
        alone = _offered(said)
        check.require(alone, f"no command is offered: {said.last}")
    with stage.check("she breaks the glass alone, and it is recorded as that") as check:
        said = mira.types(*alone.split()[1:])
        check.took = said.took
        check.require(said.code == 0, said.last)
        check.require("recorded as: approvers silent" in said.err, f"it says {said.err!r}")
        mira.types("done", said.row("grant  "), show=False)


def _ask(why: str) -> tuple[str, ...]:
    return ("ask", HOTFIX, "--incident", INCIDENT, "--why", why)


def _offered(said: Said) -> str:
    for line in said.err.splitlines():
        _, found, command = line.partition("break it alone: ")
        if found:
            return command
    return ""


def _at_sam(night: Night) -> Terminal:
    """Return sam's own terminal: a state of his own, the same machine."""
    mine = {**night.mira.environment, "XDG_STATE_HOME": str(night.folder / "home" / "sam")}
    return Terminal(night.stage, night.shop.org / "sam.toml", mine, night.folder)
