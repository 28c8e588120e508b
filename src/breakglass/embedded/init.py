"""Make a whole organisation in one folder: keys, settings, trust, policy, all of it real.

What it is not: out of reach. Every key lies on one machine, so records are tamper-evident here and
no more; and one of the two maintainers is a file that was just generated.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from breakglass.clock import to_milliseconds
from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError
from breakglass.operate import folders, repository
from breakglass.operate.client_toml import NEIGHBOURS, client_toml
from breakglass.operate.fixed_address import address_of, listen_at
from breakglass.operate.maintainer_signing import Maintainer, sign_policy, sign_text
from breakglass.operate.plan import Keys, Plan, trust_text
from breakglass.person import ssh_keygen
from breakglass.person.ssh_keygen import Say
from breakglass.policy.editor_schema import SCHEMA_FILE, schema_text
from breakglass.process.folder import write_whole
from breakglass.records.encoding.text_types import ZERO_DIGEST
from breakglass.records.kinds.genesis import Genesis
from breakglass.records.record import Envelope, record_text
from breakglass.records.signing.signature import TRUST_NAMESPACE
from breakglass.records.trust import accept_trust
from breakglass.tlog.note import Note, sign_note

WHY_ONLY_FOR_TRYING = (
    "one of the two maintainers is a key that was generated here: whoever can read this folder can"
    " change the policy alone. Before it matters, give that place to a second human being"
)


@dataclass(frozen=True)
class Made:
    """What was made, for telling; ``genesis`` is its digest, by which people know the log."""

    folder: Path
    genesis: str
    maintainers: tuple[str, ...]
    processes: tuple[str, ...]
    gates: tuple[str, ...]
    glasses: tuple[str, ...]
    custodians: tuple[str, ...] = ()


def make_organisation(folder: Path, plan: Plan, now: datetime, say: Say | None = None) -> Made:
    """Make the organisation of ``plan`` in ``folder``, which ``prepare`` has made.

    Args:
        folder: holds ``keys/`` at most.
        plan: what to make.
        now: the time of the genesis and of the signatures.
        say: told when a security key has to be touched.

    Raises:
        BreakglassError: a key did not sign, or the bundle is not one; what was written stays and
            is removed by ``breakglass init`` itself.
    """
    now = to_milliseconds(now)
    # (1) A key for each party.
    keys = Keys.generate(plan)
    # (2) The genesis names the maintainers; its digest names the log for ever.
    genesis = _genesis(plan, keys, now)
    digest = hashlib.sha256(genesis.text.encode()).hexdigest()
    # (3) The trust file, signed by the maintainers that it names.
    trust = sign_text(trust_text(plan, keys, digest), TRUST_NAMESPACE, plan.maintainers, say)
    accept_trust(trust, None)
    # (4) Each process gets what is its own.
    made = []
    for each in folders.process_folders(plan, keys, genesis.encoded(), trust.encoded()):
        folders.write_folder(folder, each)
        made.append(each.name)
        if each.name in plan.ports:
            listen_at(folder / each.name, plan.host, plan.ports[each.name], now)
    (folder / "trust").write_bytes(trust.encoded())
    # (5) The policy: committed, then signed, with its cards; `up` activates it.
    glasses = _policy(folder / "bundle", plan, now, say)
    # (6) The client last: a folder without it is not an organisation.
    for custodian in plan.custodians:
        _equip_custodian(folder, custodian.name, plan)
    write_whole(folder / "keys" / "reader", f"{keys.reader.encoded()}\n".encode(), 0o600)
    reader = 'reader = "keys/reader"\n'
    write_client(folder, f"{client_toml(plan.who, plan.key, plan.log, {})}{reader}")
    return Made(
        folder,
        digest,
        tuple(each.name for each in plan.maintainers),
        tuple(name for name in made if not name.startswith("gates/")),
        tuple(plan.gates),
        glasses,
        tuple(each.name for each in plan.custodians),
    )


def prepare(folder: Path) -> None:
    """Make the folder, which must not hold anything yet.

    Raises:
        MisconfiguredError: it already exists and is not empty; nothing was touched.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise MisconfiguredError(
            f"{str(folder)!r} already exists and is not empty; nothing was touched",
            name=ErrorName.NOT_EMPTY,
            hint="name a new folder; an organisation is never made over another",
        )
    for name in ("", "keys", "keys/maintainers", "keys/people", "keys/custodians"):
        (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)


def undo(folder: Path) -> None:
    """Take away a folder that ``prepare`` made and ``make_organisation`` did not finish."""
    shutil.rmtree(folder, ignore_errors=True)


def second_maintainer(folder: Path, name: str) -> Maintainer:
    """Generate the second maintainer's key; see ``WHY_ONLY_FOR_TRYING``."""
    path = folder / "keys" / "maintainers" / name
    ssh_keygen.make_key(path, f"{name}, generated by 'breakglass init'")
    return Maintainer(name, ssh_keygen.read_key(path))


def make_custodians(folder: Path, count: int) -> tuple[Maintainer, ...]:
    """Generate custodians, each with a key in a folder; for trying out, as that key is."""
    found = []
    for number in range(1, count + 1):
        name = f"custodian-{number}"
        home = folder / "keys" / "custodians" / name
        home.mkdir(mode=0o700)
        ssh_keygen.make_key(home / "key", f"{name}, generated by 'breakglass init'")
        found.append(Maintainer(name, ssh_keygen.read_key(home / "key")))
    return tuple(found)


def _equip_custodian(org: Path, name: str, plan: Plan) -> None:
    """Put into a custodian's folder what they need on another machine: addresses, trust file."""
    home = org / "keys" / "custodians" / name
    write_whole(home / "trust", (org / "trust").read_bytes())
    places = {each: f"../../../{each}/address" for each in NEIGHBOURS}
    places |= {each: address_of(org / each) for each in NEIGHBOURS if each in plan.ports}
    text = client_toml(name, Path("key"), plan.log, places)
    write_client(home, f'{text}door_command = "tee -a bell.log"\n')


def write_client(folder: Path, text: str) -> None:
    """Write ``client.toml``, 0600 whatever the umask: no client uses one that others can write."""
    write_whole(folder / "client.toml", text.encode())


def _genesis(plan: Plan, keys: Keys, now: datetime) -> Note:
    maintainers = {each.name: (each.key.public,) for each in plan.maintainers}
    body = Genesis(plan.organisation, maintainers, len(plan.maintainers))
    envelope = Envelope(plan.log, "genesis", now, 0, ZERO_DIGEST)
    return sign_note(record_text(envelope, body), keys.broker)


def _policy(bundle: Path, plan: Plan, now: datetime, say: Say | None) -> tuple[str, ...]:
    bundle.mkdir(mode=0o700)
    for name, content in plan.bundle.items():
        (bundle / name).write_bytes(content)
    (bundle / SCHEMA_FILE).write_text(schema_text(), "utf-8")
    repository.begin(bundle)
    author = plan.maintainers[0].name
    commit = repository.commit_all(bundle, "policy: begin", author)
    signed = sign_policy(bundle, plan.log, commit, plan.maintainers, now, say)
    repository.commit_all(bundle, "policy: sign it", author)
    return tuple(signed.cards)
