"""What an embedded organisation consists of, before a single byte of it is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from breakglass.operate.maintainer_signing import Maintainer
from breakglass.records.kind_sets import NEWEST
from breakglass.tlog.note import COSIGNATURE, SignerKey

SKEW_S = 120
WITNESSES_NEEDED = 2
CUSTODIANS_NEEDED = 2


@dataclass(frozen=True)
class Plan:
    """An organisation to make.

    Attributes:
        organisation: its name, such as ``shop.example``.
        log: the ledger's origin.
        bundle: file name to content; ``gates`` and ``minters`` must fit it.
        maintainers: who signs trust and policy now; all of them, two at least.
        who, key: whose client this is, and their key file as written into ``client.toml``.
        gates: gate to the glasses that open it.
        minters: minter to the tables of its settings that tell it of its target.
        channels: the monitor's channels, each a table of its settings.
        custodians: who may open the door while the ledger is down; two of them, or nobody at all.
        witnesses: how many; two of them make a quorum, with the archiver.
        host: where every process listens, an IP address of this machine.
        ports: of each process; without them each start takes free ones, for tests.
    """

    organisation: str
    log: str
    bundle: Mapping[str, bytes]
    maintainers: tuple[Maintainer, ...]
    who: str
    key: Path
    gates: Mapping[str, tuple[str, ...]]
    minters: Mapping[str, str]
    channels: str
    witnesses: int = 3
    custodians: tuple[Maintainer, ...] = ()
    host: str = "127.0.0.1"
    ports: Mapping[str, int] = field(default_factory=dict)


def processes(witnesses: int, minters: Iterable[str] = ()) -> list[str]:
    """Return the folders of the processes, the one that people call first."""
    seen = [f"witness-{number}" for number in range(1, witnesses + 1)]
    return ["broker", "ledger", "monitor", "archiver", *seen, *(f"minter-{m}" for m in minters)]


@dataclass(frozen=True)
class Keys:
    """A fresh key for every party; each goes to its own folder and to nobody else."""

    ledger: SignerKey
    witnesses: Mapping[str, SignerKey]
    archiver: SignerKey
    broker: SignerKey
    monitor: SignerKey
    reader: SignerKey  # to whom the ledger shows its entries, and who appends nothing
    minters: Mapping[str, SignerKey]
    gates: Mapping[str, SignerKey] = field(default_factory=dict)
    door: SignerKey | None = None

    @classmethod
    def generate(cls, plan: Plan) -> Keys:
        """Make them all from the system's randomness."""
        domain = plan.organisation
        witnesses = [f"witness-{number}" for number in range(1, plan.witnesses + 1)]
        return cls(
            ledger=SignerKey.generate(plan.log),
            witnesses={
                name: SignerKey.generate(f"{name}.{domain}", COSIGNATURE) for name in witnesses
            },
            archiver=SignerKey.generate(f"archiver.{domain}", COSIGNATURE),
            broker=SignerKey.generate(f"broker.{domain}"),
            monitor=SignerKey.generate(f"monitor.{domain}"),
            reader=SignerKey.generate(f"reader.{domain}"),
            minters={name: SignerKey.generate(f"minter-{name}.{domain}") for name in plan.minters},
            gates={name: SignerKey.generate(f"gate-{name}.{domain}") for name in plan.gates},
            door=SignerKey.generate(f"broker-door.{domain}") if plan.custodians else None,
        )

    def submitters(self) -> list[tuple[str, SignerKey]]:
        """Return who may append, each with the role that the trust file gives."""
        return [
            ("broker", self.broker),
            *([("broker", self.door)] if self.door is not None else []),
            *((f"minter:{name}", key) for name, key in self.minters.items()),
            ("monitor", self.monitor),
            *((f"gate:{name}", key) for name, key in self.gates.items()),
        ]

    def tlog_policy(self) -> list[str]:
        """Return the C2SP lines: the log, two of three witnesses, and the archiver always."""
        lines = [f"log {self.ledger.verifier}"]
        cosigners = {**self.witnesses, "archiver": self.archiver}
        lines += [f"witness {name} {key.verifier}" for name, key in cosigners.items()]
        needed = min(WITNESSES_NEEDED, len(self.witnesses))
        lines.append(f"group seen {needed} {' '.join(self.witnesses)}")
        return [*lines, "group kept all seen archiver", "quorum kept"]


def trust_text(plan: Plan, keys: Keys, genesis: str) -> str:
    """Write the first trust file of the organisation."""
    lines = ["breakglass.dev/trust/v1", "version 1", f"genesis {genesis}"]
    lines += [*keys.tlog_policy(), "archiver archiver", "level archived"]
    lines += [f"submitter {role} {key.verifier}" for role, key in keys.submitters()]
    lines += [f"maintainer {each.name} {each.key.public}" for each in plan.maintainers]
    lines += [f"maintainers {len(plan.maintainers)}", f"skew {SKEW_S}s"]
    lines += [f"custodian {each.name} {each.key.public}" for each in plan.custodians]
    door = [f"custodians {CUSTODIANS_NEEDED}", "door yes"] if plan.custodians else ["door no"]
    return "\n".join([*lines, f"kinds {NEWEST}", "policy-at-least 0", *door, ""])
