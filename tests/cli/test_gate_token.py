"""A token for a gate is signed only where the gate would take it, and lands where it was meant."""

from __future__ import annotations

import os
import pty
import stat
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.embedded.isolated import command
from tests.kit.lying_broker import Responder, responder


@pytest.fixture
def mira(tmp_path: Path) -> Iterator[Responder]:
    with responder(tmp_path) as found:
        assert found.breaks("deploy-rollback").code == 0
        yield found


def token(mira: Responder, gate: str = "deploy-approval", run: str = "812", *more: str) -> Any:
    words = ("gate", "token", mira.grant, "--gate", gate, "--for", run, *more)
    return mira.types("breakglass", *words)


def test_a_token_goes_where_it_is_told_and_nobody_else_reads_it(mira: Responder) -> None:
    path = mira.cwd / "token"
    done = token(mira, "deploy-approval", "812", "--out", str(path))
    assert (done.code, done.out) == (0, ""), done.err
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for more in ((), ("--out", "-")):  # a pipe, and in so many words
        printed = token(mira, "deploy-approval", "812", *more).out
        assert printed.startswith("breakglass.dev/token/v1\n")
        assert printed.splitlines()[-1].startswith("presentation ")


@pytest.mark.parametrize(
    ("gate", "run", "code", "says"),
    [
        ("orders-write", "812", 3, "does not open gate 'orders-write'; nothing was signed"),
        ("nothing", "812", 3, "hint: it opens: deploy-approval"),
        ("deploy-approval", "", 2, "say which run it may open: --for RUN; it is empty"),
    ],
)
def test_what_the_gate_would_refuse_is_refused_here(
    mira: Responder, gate: str, run: str, code: int, says: str
) -> None:
    done = token(mira, gate, run)
    assert (done.code, done.out) == (code, "")
    assert says in done.err


def test_a_grant_that_is_over_gets_no_token(mira: Responder) -> None:
    said = mira.types("breakglass", "break", "deploy-rollback", "--incident", "INC-4821",
                      "--why", "short", "--for", "1s")  # fmt: skip
    assert said.code == 0, said.err
    broken = mira.broker.broken[mira.grant]
    assert broken.intent.not_after - broken.intent.not_before == timedelta(seconds=1)
    subprocess.run(["sleep", "1.1"], check=True)
    done = token(mira)
    assert (done.code, done.out) == (3, "")
    assert "; nothing was signed" in done.err
    assert "a grant is never extended" in done.err


def test_a_terminal_is_not_filled_with_base64(mira: Responder) -> None:
    words = command(
        ("breakglass", "gate", "token", mira.grant, "--gate", "deploy-approval", "--for", "812")
    )
    ours, theirs = pty.openpty()
    done = subprocess.run(
        words,
        stdout=theirs,
        stderr=subprocess.PIPE,
        env=mira.environment,
        cwd=mira.cwd,
        check=False,
    )
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2
    assert b"say where the token goes: --out FILE" in done.stderr


def test_the_line_that_break_prints_can_be_typed(mira: Responder) -> None:
    said = mira.breaks("deploy-rollback")
    (line,) = [each for each in said.err.splitlines() if "next: " in each]
    words = line.partition("next: ")[2].replace("RUN", "812").split()
    assert mira.types(*words).code == 0
    assert (mira.cwd / "token").read_text().startswith("breakglass.dev/token/v1")
