"""What people write when they go round a gate, in six trades that share no sentences.

The first two are for tuning; the others are never looked at while a threshold is chosen. ``coined``
makes a trade of words that no list can know.
"""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Trade:
    """One trade's sentences: complaints about the gate, troubles in production, anything else."""

    name: str
    gate: tuple[tuple[str, ...], ...]
    production: tuple[tuple[str, ...], ...]
    other: tuple[str, ...]
    fillers: tuple[str, ...]


DEPLOYS = Trade(
    "deploys",
    gate=(
        (
            "integration suite flaky again, failed on {} and passed on retry",
            "flaky integration test {}, rerun would take another half hour",
            "suite red for the third time today, known flake in {}",
            "flake in {} suite, unrelated to this change",
            "the integration tests fail at random, {} this time",
        ),
        (
            "gate takes 40 minutes and the rollback of {} cannot wait",
            "approval check too slow, {} needed now",
            "waited 50 min in the queue for the gate, {} blocked",
            "pipeline queue over an hour, shipping {} without it",
        ),
        (
            "nobody from the approver group answered for {}",
            "approver asleep, second sign-off for {} not to be had",
            "no approver awake in this time zone, {}",
            "waited 20 minutes for the approver of {}, no answer",
        ),
    ),
    production=(
        (
            "checkout 5xx spike, rolling {} back",
            "checkout errors at 12%, customers cannot pay, reverting {}",
            "payments down, restart of {} needed at once",
            "5xx on checkout again, {} rollback",
        ),
        (
            "order queue stuck, clearing the DLQ of {}",
            "DLQ full again, {} workers starved",
            "queue consumers of {} hang, purge and restart",
            "dead letters piling up in {}, workers out of memory",
        ),
        (
            "primary database failover, repointing {}",
            "database out of connections, {} timing out for users",
            "replica lag over 10 min, switching {} reads",
        ),
    ),
    other=(
        "hotfix for {}",
        "config typo in {}",
        "rotate certificate of {}",
        "customer demo needs {} today",
        "small copy change in {}",
        "security patch for {}",
        "vendor asked to change {}",
        "feature flag off for {}",
        "undo yesterday's change to {}",
        "release train leaves, {} must be on it",
        "one-line fix in {}",
        "wrong region in {}",
    ),
    fillers=("cart", "search", "billing", "login", "mailer", "stock", "pricing", "edge", "api"),
)

DATABASES = Trade(
    "databases",
    gate=(
        (
            "migration linter rejects a plain index on {}, false positive",
            "linter wrong about {} again: the lock it fears does not exist",
            "schema check false alarm on {}, same rule as last week",
            "rule 14 of the schema check trips on {} for no reason",
        ),
        (
            "dry run against the copy of {} hangs, copy is a week old",
            "the staging copy for {} was not refreshed so the check cannot pass",
            "dry-run environment down, cannot validate {}",
            "validation of {} times out against the stale copy",
        ),
    ),
    production=(
        (
            "autovacuum stuck on {}, bloat eats the disk",
            "disk 97% full on {}, must drop the old partition",
            "table {} bloated, writes stalled, vacuum by hand",
            "out of disk on {}, removing partitions now",
        ),
        (
            "lock pile-up on {}, killing sessions",
            "deadlock storm on {}, users see errors",
            "sessions blocked behind {}, cancelling them",
        ),
    ),
    other=(
        "backfill of {} for the auditors",
        "one row wrong in {}",
        "grant read on {} to analytics",
        "correct a misspelt enum in {}",
        "restore a deleted record in {}",
        "year-end job touches {}",
        "rename a column of {}",
        "partner import into {}",
        "sequence of {} ran out of range",
        "statistics of {} refreshed",
    ),
    fillers=("orders", "ledger_2", "users", "events", "prices", "audit", "carts", "sessions"),
)

HOSPITAL = Trade(
    "hospital",
    gate=(
        (
            "second nurse scan will not read the new wristbands, bed {}",
            "wristband scanner misreads, {} entered by hand",
            "barcode on wristband unreadable again, {}",
            "scanner refuses every new wristband, ward {}",
        ),
        (
            "double signature not possible on night shift, {}",
            "only one pharmacist on the floor at night for {}",
            "night staffing: no second signatory for {}",
        ),
    ),
    production=(
        (
            "cold store over temperature, moving {} stock",
            "fridge alarm on {}, vaccines relocated",
            "refrigeration failed again, {} stock rescued",
        ),
        (
            "patient record system lost {}, paper process",
            "records of {} not loading, treating from paper",
            "chart viewer blank for {}, emergency lookup",
        ),
    ),
    other=(
        "transfer of patient {} to other clinic",
        "allergy entry missing for {}",
        "visitor list for {}",
        "trial medication released for {}",
        "relabelled sample {}",
        "duplicate chart merged, {}",
        "discharge on holiday, {}",
        "equipment lent to {}",
    ),
    fillers=("A4", "B12", "icu", "west", "ward 7", "oncology", "day clinic", "lab"),
)

WAREHOUSE = Trade(
    "warehouse",
    gate=(
        (
            "Waage an Tor {} zeigt falsches Gewicht, Freigabe von Hand",
            "Gewichtskontrolle {} lehnt richtige Palette ab",
            "Waage {} wieder verstellt, Ware stimmt",
            "Kontrollwaage {} spinnt, Sendung ist in Ordnung",
        ),
        (
            "Freigabe dauert zu lange, LKW an Rampe {} muss los",
            "Wartezeit auf Freigabe Rampe {} zwei Stunden",
            "LKW {} steht seit einer Stunde wegen der Freigabe",
        ),
    ),
    production=(
        (
            "Kuehlkette unterbrochen in Halle {}, Umlagerung",
            "Kuehlung Halle {} ausgefallen, Ware retten",
            "Temperaturalarm Halle {}, alles umlagern",
        ),
        (
            "Foerderband {} steht, Handverladung",
            "Band {} blockiert, Pakete von Hand",
            "Antrieb von Band {} defekt, Notbetrieb",
        ),
    ),
    other=(
        "Sonderfahrt fuer Kunde {}",
        "Retoure {} ohne Schein",
        "Inventur {}",
        "Etikett {} fehlt",
        "Muster fuer Messe {}",
        "Adresse {} berichtigt",
        "Zollpapier {} nachgereicht",
        "Palette {} geteilt",
    ),
    fillers=("3", "7", "Nord", "Sued", "12", "K2", "Ost", "14"),
)

CLUSTERS = Trade(
    "clusters",
    gate=(
        (
            "admission webhook demands a label that {} chart cannot set",
            "policy wants owner label, upstream chart of {} has no way to add it",
            "label rule blocks third-party chart {} once more",
            "cannot label {} resources, chart is not ours",
        ),
        (
            "image scan backlog, {} waiting since morning",
            "scanner queue is hours long, {} has no findings anyway",
            "scan of {} still pending after ninety minutes",
            "vulnerability scanner overloaded, {} skipped",
        ),
        (
            "scan reports a CVE in {} that is not reachable",
            "CVE finding on {} disputed upstream, no fix exists",
            "finding in base image of {} has no patched version",
        ),
    ),
    production=(
        (
            "nodes of {} NotReady, pods evicted",
            "kubelet stops heartbeating on {}, draining",
            "node pool {} flapping again, workloads moved",
        ),
        (
            "ingress of {} returns 502 to everybody",
            "502s from ingress, {} unreachable for customers",
            "load balancer dropped {}, site down",
        ),
        (
            "certificate of {} expired, handshake failures",
            "mTLS broken between {} and peers, expired chain",
        ),
    ),
    other=(
        "scale {} up for the sale",
        "debug sidecar in {}",
        "temporary quota for {}",
        "job rerun for {}",
        "canary of {} extended",
        "rollback of {} after review comment",
        "namespace for the {} trial",
        "restart {} to pick up secret",
        "annotate {} for cost report",
    ),
    fillers=("payments", "web", "ml-batch", "gateway", "auth", "media", "tracing", "feeds"),
)


def coined(seed: int) -> Trade:
    """Return a trade whose words were coined by rule: no list of words can help here."""
    rng = random.Random(f"coined {seed}")
    syllables = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]

    def word() -> str:
        return "".join(rng.choice(syllables) for _ in range(rng.randint(2, 4)))

    common = [word() for _ in range(40)]

    def theme() -> tuple[str, ...]:
        core = [word() for _ in range(5)]
        lines = []
        for _ in range(5):
            words = rng.sample(core, 3) + rng.sample(common, 3) + ["{}"]
            rng.shuffle(words)
            lines.append(" ".join(words))
        return tuple(lines)

    other = tuple(" ".join([word(), word(), rng.choice(common), "{}"]) for _ in range(12))
    return Trade(
        f"coined {seed}",
        gate=(theme(), theme()),
        production=(theme(), theme()),
        other=other,
        fillers=tuple(word() for _ in range(8)),
    )


TUNING = (DEPLOYS, DATABASES)
HELD_OUT = (HOSPITAL, CLUSTERS)
UNFAMILIAR_TUNING = (coined(1), coined(2))
UNFAMILIAR_HELD_OUT = (WAREHOUSE, coined(11), coined(12), coined(13))

DOCUMENTATION = {
    False: (
        "docs: mend a link in the {} guide [skip ci]",
        "README: how to start {} [skip ci]",
        "[docs] say what {} does",
        "Update CHANGELOG for {}",
        "Fix typo in README of {}",
    ),
    True: (
        "doc(guide): clarify {} section [ci skip]",
        "Documentation: add a page on {}",
        "typos in the {} docs",
        "Update {}/README.md",
        "chore(docs): reorder {}",
        "release notes for {}",
    ),
}
"""Changes to documents alone, by half: no check of the code needs to hold them up."""

COMPONENTS = {
    False: (
        "CheckoutFlowIT red on main, not our change, {}",
        "CheckoutFlowIT flaky, passed the second time, {}",
        "payments shard of the suite is flaky again, {}",
    ),
    True: (
        "UserRestartIT flaky since bug 500, rerun green, {}",
        "customers-api-it times out in the pipeline queue, {}",
        "checker of {} has a stale rule for ProductionReplicaSpec, rerun green",
    ),
}
"""Complaints about a gate whose components are called like troubles in production, by half."""
