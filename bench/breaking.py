"""Asked to usable over many breaks, all processes up, on a real PostgreSQL; JSON lines.

    .venv/bin/python bench/breaking.py [BREAKS]

People sign in this process: what is measured is the platform, not ``ssh-keygen``. Grants live long
enough that none ends while others are measured. Targets: DESIGN.md section 11. What a break costs
is counted twice: back to back, and with breaks apart, when nobody else's commit takes its records
along. Processor time is all processes' own, as the kernel counts it in steps of 10 ms.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import stepping

from breakglass.clock import SystemClock, to_milliseconds
from breakglass.demo import shop as demo_shop
from breakglass.demo.shop import LOG, MINTER, REPAIR, Shop, make_people, make_shop
from breakglass.demo.software_keys import SoftKey
from breakglass.demo.target import make_target
from breakglass.demo.terminal import clean_environment
from breakglass.demo.webhook_sink import WebhookSink
from breakglass.embedded.up import Organisation, Process, activate_once, running
from breakglass.http.client import Peer
from breakglass.node.submitter import Fact, Submitter
from breakglass.process.key_store import read_key
from breakglass.records.kinds.passages import Passages
from breakglass.records.presentation import Presentation, presentation_text
from breakglass.records.signing.signature import PRESENTATION_NAMESPACE, STATEMENT_NAMESPACE
from breakglass.records.statement import (
    Break,
    Declare,
    Do,
    Why,
    digest_of,
    grant_id,
    statement_text,
)
from breakglass.records.trust import accept_trust
from breakglass.strict_json import write
from breakglass.submit.outbox import Outbox
from breakglass.tlog.note import Note
from breakglass.token.token import parse_token
from breakglass.token.verify import Verifier, verify_token

INCIDENT = "INC-1"
WITHIN = timedelta(seconds=20)
APART_S = 0.5
SETTLED_S = 1.5  # alerts, and what was posted, are recorded by then
_TICKS = os.sysconf("SC_CLK_TCK")


def main(breaks: int) -> None:
    """Measure and print."""
    machine()
    folder = Path(tempfile.mkdtemp(prefix="breakglass-bench-"))
    demo_shop.REPAIR_FOR_S = 1200
    try:
        with ExitStack() as held:
            target = make_target()
            held.callback(target.stop)
            people, agent = make_people(folder)
            home = folder / "home"
            home.mkdir()
            os.environ.update(clean_environment(home, agent.path, target.place.programs))
            target.start()
            target.fill()
            held.enter_context(agent)
            hook = WebhookSink()
            held.callback(hook.close)
            org = folder / "org"
            shop = make_shop(org, people, agent.path, target, hook, SystemClock().now())
            organisation = held.enter_context(running(org, stepping_groups(shop)))
            activate_once(organisation)
            broker = held.enter_context(Peer(org / "broker", name="broker", within=WITHIN))
            declare(broker, people["mira"])
            assert target.process is not None
            costs = Costs(organisation, target.process.pid)
            for breaks_of, apart_s in ((breaks, 0.0), (max(breaks // 4, 1), APART_S)):
                before, since_ns = costs.now(), time.monotonic_ns()
                tokens = breaking(broker, people["mira"], breaks_of, apart_s)
                time.sleep(SETTLED_S)
                costs.tell(before, breaks_of, apart_s)
                steps(organisation, since_ns, breaks_of, apart_s)
            receipts(org)
            verifying(org, tokens[-1])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def stepping_groups(shop: Shop) -> list[list[Process]]:
    """Return what to start; ledger, broker and minter write down their steps."""
    return [
        [
            replace(each, arguments=(stepping.__file__, each.room))
            if each.room in stepping.HOOKS
            else each
            for each in group
        ]
        for group in shop.groups()
    ]


def steps(organisation: Organisation, since_ns: int, breaks: int, apart_s: float) -> None:
    """Print how long the steps of each story took, in the middle."""
    for name, process in organisation.processes.items():
        if process.room in stepping.HOOKS:
            file = organisation.org / name / stepping.FILE
            took = stepping.medians(file, since_ns, breaks // 2)
            print(json.dumps({"bench": "steps_ms", "of": name, "apart_s": apart_s, **took}))


class Costs:
    """Counts the ledger's commits, and processor time by process; a program's ended parts too."""

    def __init__(self, organisation: Organisation, target: int) -> None:
        self._journal = organisation.org / "ledger" / "data" / "journal.sqlite"
        self._processes = {name: each.process.pid for name, each in organisation.children.items()}
        self._processes |= {"target": target, "bench": os.getpid()}

    def now(self) -> dict[str, float]:
        """Return what has been used so far: milliseconds by process, and commits."""
        with closing(sqlite3.connect(f"file:{self._journal}?mode=ro", uri=True)) as journal:
            (commits,) = journal.execute("select count(*) from heads").fetchone()
            (records,) = journal.execute("select count(*) from entries").fetchone()
        used = {name: _used_ms(pid) for name, pid in self._processes.items()}
        return {**used, "commits": commits, "records": records}

    def tell(self, before: dict[str, float], breaks: int, apart_s: float) -> None:
        """Print what each of so many breaks has cost since ``before``."""
        now = self.now()
        each = {name: round((now[name] - before[name]) / breaks, 2) for name in now}
        commits, records, bench = each.pop("commits"), each.pop("records"), each.pop("bench")
        platform = round(sum(each.values()) - each["target"], 2)
        target_ms = 80 if apart_s else 50
        line = {"bench": "cpu_ms_a_break", "apart_s": apart_s, "n": breaks, "platform": platform}
        print(json.dumps({**line, "target": target_ms, "bench_itself": bench, "by": each}))
        line = {"bench": "commits_a_break", "apart_s": apart_s, "n": breaks, "value": commits}
        print(json.dumps({**line, "records": records, "target": 2.5}), flush=True)


def _used_ms(pid: int) -> float:
    """Return a process's own time and that of its children, those that ended among them."""
    # Behind the name, which may hold anything: utime, stime, and both of children waited for.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = sum(map(int, fields[11:15])) * 1000 / _TICKS
    if pid == os.getpid():
        return own  # our children are counted by name
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return own + sum(_used_ms(int(child)) for each in tasks for child in each.read_text().split())


def declare(broker: Peer, mira: Any) -> None:
    """Declare the incident that all breaks name."""
    now = to_milliseconds(datetime.now(UTC))
    opened = Declare(Do.DECLARE, LOG, INCIDENT, "SEV1", "bench", "mira", now, secrets.token_hex(16))
    broker.post_json("/incidents", {"statement": _signed(mira, statement_text(opened))})


def breaking(
    broker: Peer, mira: Any, breaks: int, apart_s: float
) -> list[tuple[str, SoftKey, str]]:
    """Break ``orders-repair`` again and again, one at a time."""
    told = broker.get("/glasses").json()
    (glass,) = (each for each in told["glasses"] if each["glass"] == REPAIR)
    scope = {name: tuple(values) for name, values in glass["mints"][0]["scope"].items()}
    usable, client, tokens = [], [], []
    for _ in range(breaks):
        holder = SoftKey.generate()
        said = Break(
            do=Do.BREAK,
            log=LOG,
            policy=told["policy"],
            glass=REPAIR,
            minter=MINTER,
            scope=scope,
            act="",
            drill=False,
            who="mira",
            incident=INCIDENT,
            ticket="",
            reason=Why("production", "bench"),
            for_s=1200,
            after="",
            holder=holder.public,
            at=to_milliseconds(datetime.now(UTC)),
            nonce=secrets.token_hex(16),
        )
        text = statement_text(said)
        grant = grant_id(text)
        shown = Presentation(LOG, digest_of(text), f"minter:{MINTER}", grant, said.at)
        body = {
            "statement": _signed(mira, text),
            "presentation": _signed(holder, presentation_text(shown), PRESENTATION_NAMESPACE),
        }
        time.sleep(apart_s)
        began = time.perf_counter()
        answer = broker.post_json("/break", body)
        client.append((time.perf_counter() - began) * 1000)
        usable.append(answer["minted"]["since_asked_ms"])
        tokens.append((answer["token"], holder, digest_of(text)))
    _tell("asked_to_usable_ms", usable, apart_s=apart_s, target_p50=60, target_p99=200)
    _tell("break_as_the_client_sees_it_ms", client, apart_s=apart_s)
    return tokens


def receipts(org: Path) -> None:
    """Append a small record and wait for its receipt, one client."""
    ledger = Peer(org / "ledger", name="ledger", within=WITHIN)
    folder = org / "bench"
    folder.mkdir()
    # The gate's key is idle here, and every submitter has one writer.
    signer = read_key(org / "gates" / demo_shop.GATE)
    outbox = Outbox(ledger, signer, folder, SystemClock())
    stating = Submitter(outbox, LOG, SystemClock())
    took = []
    began_at = to_milliseconds(datetime.now(UTC))
    for number in range(200):
        began = time.perf_counter()
        stating.append([Fact(f"bench/{number}", _tally(began_at))], WITHIN)
        took.append((time.perf_counter() - began) * 1000)
    outbox.close()
    ledger.close()
    _tell("append_to_quorum_receipt_ms", took, target_p50=25, target_p99=80)


def verifying(org: Path, kept: tuple[str, SoftKey, str]) -> None:
    """Verify one token in process."""
    text, holder, statement = kept
    now = datetime.now(UTC)
    trust = accept_trust(Note.parse((org / "trust").read_bytes()), None)
    token = parse_token(text.encode())
    door = f"minter:{MINTER}"
    shown = Presentation(LOG, statement, door, "bench", to_milliseconds(now))
    token = token.presented(holder.sign(presentation_text(shown), PRESENTATION_NAMESPACE))
    data = token.encoded().encode()

    def verify() -> None:
        verify_token(parse_token(data), Verifier(trust, door), "bench", datetime.now(UTC))

    _tell("token_verified_in_process_ms", _timed(verify, 300), target_p50=2)


def machine() -> None:
    """Say what this machine itself can do, so that the figures can be read."""
    with tempfile.NamedTemporaryFile() as file:

        def synced() -> None:
            file.write(b"x" * 512)
            file.flush()
            os.fsync(file.fileno())

        _tell("machine_fsync_ms", _timed(synced, 100))
    block = b"x" * 1_000_000
    _tell("machine_sha256_1mb_ms", _timed(lambda: hashlib.sha256(block).digest(), 50))
    key = SoftKey.generate()
    _tell("machine_sshsig_sign_ms", _timed(lambda: key.sign("text", STATEMENT_NAMESPACE), 100))


def _tally(at: datetime) -> Passages:
    return Passages(demo_shop.GATE, at, at, 1, 0, 0, 0, 0, 1, 1, ())


def _timed(act: Callable[[], object], times: int) -> list[float]:
    took = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        took.append((time.perf_counter() - began) * 1000)
    return took


def _signed(key: Any, text: str, namespace: str = STATEMENT_NAMESPACE) -> dict[str, Any]:
    return dict(write(key.sign(text, namespace)))


def _tell(name: str, took: list[float], **targets: float) -> None:
    ordered = sorted(took)
    line = {
        "bench": name,
        "n": len(ordered),
        "p50": round(statistics.median(ordered), 3),
        "p99": round(ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)], 3),
        "max": round(ordered[-1], 3),
        **targets,
    }
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
