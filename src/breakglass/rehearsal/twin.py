"""A twin of an organisation: its policy, gates, minters and door, with keys that were made now.

Nothing of the real one is called, and nothing of it can be cut: the twin has processes, people and
targets of its own in a folder that is thrown away.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from breakglass.clock import SystemClock
from breakglass.demo.software_agent import SoftAgent
from breakglass.demo.software_keys import SoftSecurityKey
from breakglass.demo.stage import Stage
from breakglass.demo.terminal import Terminal, clean_environment
from breakglass.embedded.alert_log import ALARMS
from breakglass.embedded.init import make_custodians, make_organisation, prepare
from breakglass.embedded.up import Organisation, activate_once, running
from breakglass.errors import MisconfiguredError
from breakglass.operate.client_toml import client_toml
from breakglass.operate.maintainer_signing import Maintainer
from breakglass.operate.plan import CUSTODIANS_NEEDED, WITNESSES_NEEDED, Plan
from breakglass.person import ssh_keygen
from breakglass.policy.compile import compile_policy
from breakglass.policy.folder import read_bundle
from breakglass.policy.parse import Bundle, parse_bundle
from breakglass.process.folder import write_whole
from breakglass.records.trust import Level, Trust, accept_trust
from breakglass.tlog.note import Note

_MINTER = 'platform = "simulated"\nsweep_every_s = 1\nring_after_s = 5\n'
_PASSKEY = "passkey "
_NAMES_AT_MOST = 12  # 4,096 sets


@dataclass(frozen=True)
class Twin:
    """A twin that runs.

    Attributes:
        running: its processes.
        bundle: its policy, with its people's keys.
        people: who can sign here: all but those who have passkeys alone.
        custodians: the folders of those who may open its door; empty without a door.
        environment: of every command.
        trust: the trust file of the organisation that it is the twin of.
    """

    running: Organisation
    bundle: Bundle
    people: frozenset[str]
    custodians: tuple[Path, ...]
    environment: Mapping[str, str]
    trust: Trust

    @property
    def org(self) -> Path:
        """Its folder."""
        return self.running.org

    def terminal(self, who: str) -> Terminal:
        """Return the terminal of one of ``people``, or of a custodian's folder in ``org``."""
        file = self.org / who / "client.toml"
        file = file if file.exists() else self.org / f"{who}.toml"
        return Terminal(Stage(), file, dict(self.environment), self.org)


def differences(trust: Trust) -> tuple[str, ...]:
    """Say in what the twin of an organisation with this trust file is not like it."""
    found = ["its minters stand before simulated targets; its people sign with software keys"]
    if trust.level is not Level.ARCHIVED:
        found.append(f"its tokens need level 'archived'; yours '{trust.level.value}'")
    if not _same_quorum(trust):
        found.append("its quorum is two witnesses and the archiver; yours is another")
    if trust.door and trust.custodians_needed != CUSTODIANS_NEEDED:
        found.append(
            f"{CUSTODIANS_NEEDED} custodians open its door; yours {trust.custodians_needed}"
        )
    return tuple(found)


@contextmanager
def running_twin(org: Path) -> Iterator[Twin]:
    """Run the twin of the organisation whose ``bundle`` and ``trust`` lie in ``org``.

    From the main thread. Everything that it made is gone behind the block.

    Raises:
        MisconfiguredError: there is no bundle or trust file there.
        BreakglassError: the bundle is no policy, or a process did not start.
    """
    with ExitStack() as held:
        folder = Path(tempfile.mkdtemp(prefix="breakglass-"))
        held.callback(shutil.rmtree, folder, ignore_errors=True)
        (folder / "home").mkdir()
        trust, files = _read(org)
        bundle, people = _with_generated_keys(files)
        agent = held.enter_context(SoftAgent(folder / "agent", people.values()))
        environment = clean_environment(folder / "home", agent.path, Path(os.defpath))
        held.enter_context(_only(environment))
        twin = folder / "org"
        custodians = _make(twin, bundle, people, trust)
        started = held.enter_context(running(twin))
        activate_once(started)
        yield Twin(
            started,
            parse_bundle(bundle),
            frozenset(people),
            custodians if trust.door else (),
            environment,
            trust,
        )


def _read(org: Path) -> tuple[Trust, Mapping[str, bytes]]:
    if not (org / "bundle").is_dir():
        raise MisconfiguredError(
            f"{str(org / 'bundle')!r} is missing: what is rehearsed is the policy in it",
            hint="run it where the policy's repository lies, as 'bundle' beside client.toml",
        )
    try:
        note = Note.parse((org / "trust").read_bytes())
    except OSError as error:
        raise MisconfiguredError(f"trust file cannot be read: {error}") from error
    return accept_trust(note, None), read_bundle(org / "bundle")


def _with_generated_keys(
    files: Mapping[str, bytes],
) -> tuple[dict[str, bytes], dict[str, SoftSecurityKey]]:
    """Give each person another key in place of each of theirs; passkeys stay, and sign nothing."""
    changed, people = dict(files), dict[str, SoftSecurityKey]()
    for person in parse_bundle(files).directory.people.values():
        for key in person.keys:
            if key.startswith(_PASSKEY):
                continue
            made = SoftSecurityKey.generate()
            people.setdefault(person.name, made)
            for name, data in changed.items():
                changed[name] = data.replace(key.encode(), made.public.encode())
    return changed, people


def _make(
    org: Path, files: Mapping[str, bytes], people: Mapping[str, SoftSecurityKey], trust: Trust
) -> tuple[Path, ...]:
    prepare(org)
    bundle = compile_policy(files).bundle
    log = f"{bundle.organisation}/twin"
    keys = {name: org / "keys" / "people" / f"{name}.pub" for name in people}
    for name, path in keys.items():
        write_whole(path, f"{people[name].public} {name}\n".encode())
    maintainers = [name for name in bundle.maintainers.of if name in people]
    who = maintainers[0]
    custodians = make_custodians(org, CUSTODIANS_NEEDED if trust.door else 0)
    gates: dict[str, tuple[str, ...]] = {}
    for glass in bundle.glasses.values():
        for gate in glass.opens_gates:
            gates[gate] = (*gates.get(gate, ()), glass.name)
    minters = {mint.minter for glass in bundle.glasses.values() for mint in glass.mints}
    plan = Plan(
        organisation=bundle.organisation,
        log=log,
        bundle=files,
        maintainers=tuple(
            Maintainer(each, ssh_keygen.read_key(keys[each])) for each in maintainers
        ),
        who=who,
        key=keys[who],
        gates=gates,
        minters=dict.fromkeys(sorted(minters), _MINTER),
        channels=_channels(bundle),
        witnesses=max(WITNESSES_NEEDED, len(_witnesses(trust))),
        custodians=custodians,
    )
    make_organisation(org, plan, SystemClock().now())
    for name, path in keys.items():
        text = client_toml(name, path, log, {}, state=f"state-{name}")
        write_whole(org / f"{name}.toml", text.encode())
    return tuple(Path("keys") / "custodians" / each.name for each in custodians)


def _channels(bundle: Bundle) -> str:
    """Return the monitor's channels, each a file; the first is the one that ``up`` reads."""
    names = list(bundle.channels)
    files = [ALARMS, *(f"data/{name}.log" for name in names[1:])]
    return "".join(
        f'[channels.{name}]\ntype = "log_file"\nfile = "{file}"\n\n'
        for name, file in zip(names, files, strict=True)
    )


def _witnesses(trust: Trust) -> list[str]:
    return [each.name for each in trust.tlog.witnesses if each.name != trust.archiver]


def _same_quorum(trust: Trust) -> bool:
    """Say whether each set of cosigners is a quorum there just when it is one in the twin."""
    names = [each.name for each in trust.tlog.witnesses]
    if len(names) > _NAMES_AT_MOST or len(_witnesses(trust)) < WITNESSES_NEEDED:
        return False
    sets = (frozenset(each) for n in range(len(names) + 1) for each in combinations(names, n))
    return all(
        trust.tlog.quorum_met(each)
        == (trust.archiver in each and len(each - {trust.archiver}) >= WITNESSES_NEEDED)
        for each in sets
    )


@contextmanager
def _only(environment: Mapping[str, str]) -> Iterator[None]:
    """Take another environment for this process, whose children inherit it, and give it back."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
