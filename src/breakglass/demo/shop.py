"""The demo's organisation: shop.example with mira, sam and noor, and three glasses."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from breakglass.demo.software_agent import SoftAgent
from breakglass.demo.software_keys import PRESENT, VERIFIED, SoftSecurityKey
from breakglass.demo.ssh_host import ACCOUNT, HOST, DemoHost
from breakglass.demo.target import Target
from breakglass.demo.webhook_sink import WebhookSink
from breakglass.embedded.init import make_organisation, prepare
from breakglass.embedded.up import Process, processes_of
from breakglass.operate.client_toml import client_toml
from breakglass.operate.maintainer_signing import Maintainer
from breakglass.operate.plan import Plan
from breakglass.person import ssh_keygen
from breakglass.policy.bundle import MAIN_FILE

LOG = "shop.example/ledger"
GATE = "deploy-approval"
REPAIR, ROLLBACK, HOTFIX = "orders-repair", "deploy-rollback", "deploy-hotfix"
MINTER = "orders-db"
WEB, WEB_REPAIR = "web", "web-repair"
REPAIR_FOR_S = 12  # long enough for four commands on a busy machine
WITNESS_OFF_S, MONITOR_OFF_S = 90, 90

_BUNDLE = """\
version: 1
organisation: shop.example
people:
  mira: {{name: Mira, keys: ["{mira}"]}}
  sam: {{name: Sam, keys: ["{sam}"]}}
  noor: {{name: Noor, keys: ["{noor}"]}}
groups:
  oncall-shop: {{members: [mira]}}
  shop-leads: {{members: [sam]}}
  security: {{members: [noor]}}
reasons:
  gate-down: the gate could not be evaluated
  production: production needs hands that no normal path gives
  other: none of these
gates:
  deploy-approval:
    protects: production deploys need two sign-offs
    owner: group:shop-leads
    fail: closed
glasses:
  orders-repair:
    does: repair rows of the table orders
    blast_radius: contained
    mint: {{postgres: {{minter: orders-db, database: orders, template: breakglass_orders_repair}}}}
    for: {repair_for_s}s
    who: [group:oncall-shop]
    when: {{incident: [SEV1, SEV2], mfa_age: 5m}}
    review: {{due: 3 business days, by: [group:shop-leads, group:security]}}
  deploy-rollback:
    does: roll back production and restart the pipeline; nothing else
    blast_radius: contained
    opens_gates: [deploy-approval]
    for: 30m
    who: [group:oncall-shop]
    when: {{incident: [SEV1, SEV2], mfa_age: 5m}}
    review: {{due: 3 business days, by: [group:shop-leads, group:security]}}
  deploy-hotfix:
    does: ship one signed hotfix past the deploy gate
    blast_radius: contained
    opens_gates: [deploy-approval]
    for: 20m
    who: [group:oncall-shop]
    when: {{incident: [SEV1, SEV2], mfa_age: 5m}}
    approvers: {{from: [group:shop-leads], ask_need: 1}}
    silence: 3s
    review: {{due: 3 business days, by: [group:shop-leads, group:security]}}
{web}channels:
  file: {{log_file: alarms.log}}
  hook: {{webhook: "secret:hook"}}
alerts:
  glass: [file, hook]
kill: [group:security]
maintainers: {{need: 2, of: [sam, noor]}}
reviews: {{default: {{SEV1: 3 business days, other: 5 business days}}}}
"""
_WEB_GLASS = f"""\
  web-repair:
    does: log in to {HOST} as {ACCOUNT}
    blast_radius: contained
    mint: {{ssh: {{minter: web, host: {HOST}, account: {ACCOUNT}}}}}
    for: 20m
    who: [group:oncall-shop]
    when: {{incident: [SEV1, SEV2], mfa_age: 5m}}
    review: {{due: 3 business days, by: [group:shop-leads, group:security]}}
"""


@dataclass(frozen=True)
class Shop:
    """The organisation's folder, its people, and where their agent listens."""

    org: Path
    people: Mapping[str, SoftSecurityKey]
    agent: Path

    def groups(self) -> list[list[Process]]:
        """Return what to start; one witness and the monitor have clocks that are 90 s off."""
        off = {"witness-3": WITNESS_OFF_S, "monitor": MONITOR_OFF_S}
        skewed = ("-m", "breakglass.demo.skewed_clock")
        return [
            [
                Process(each.name, each.room, (*skewed, each.room, str(off[each.name])))
                if each.name in off
                else each
                for each in group
            ]
            for group in processes_of(self.org)
        ]

    @property
    def gate(self) -> Path:
        """The gate's folder."""
        return self.org / "gates" / GATE

    def connect_gate(self) -> None:
        """Let the gate reach the ledger."""
        address = (self.org / "ledger" / "address").read_text("ascii")
        (self.gate / "ledger-address").write_text(address, "ascii")

    def cut_off_gate(self) -> None:
        """Cut the gate's only line: from here it knows no address of anybody."""
        (self.gate / "ledger-address").unlink()


def make_people(folder: Path) -> tuple[dict[str, SoftSecurityKey], SoftAgent]:
    """Make three people with security keys of software, and the agent that holds them."""
    people = {
        name: SoftSecurityKey.generate(PRESENT | VERIFIED) for name in ("mira", "sam", "noor")
    }
    return people, SoftAgent(folder / "agent", people.values())


def make_shop(
    org: Path,
    people: Mapping[str, SoftSecurityKey],
    agent: Path,
    target: Target,
    host: DemoHost | None,
    hook: WebhookSink,
    now: datetime,
) -> Shop:
    """Make the organisation. The agent must be running: sam and noor sign with it."""
    prepare(org)
    keys = {name: _public_file(org, name, key) for name, key in people.items()}
    text = _BUNDLE.format(
        repair_for_s=REPAIR_FOR_S,
        web="" if host is None else _WEB_GLASS,
        **{name: key.public for name, key in people.items()},
    )
    minters = {MINTER: f'[postgres]\ndsn = "{target.minter_dsn()}"\n'}
    if host is not None:
        minters[WEB] = host.minter_settings()
    plan = Plan(
        organisation="shop.example",
        log=LOG,
        bundle={MAIN_FILE: text.encode()},
        maintainers=tuple(
            Maintainer(name, ssh_keygen.read_key(keys[name])) for name in ("sam", "noor")
        ),
        who="mira",
        key=keys["mira"],
        gates={GATE: (ROLLBACK, HOTFIX)},
        minters=minters,
        channels=_channels(hook),
    )
    make_organisation(org, plan, now)
    for name in ("sam", "noor"):
        (org / f"{name}.toml").write_text(client_toml(name, keys[name], LOG, {}), "utf-8")
    shop = Shop(org, people, agent)
    settings = shop.gate / "settings.toml"
    # The gate has a line of its own to the ledger, so that it can be cut.
    settings.write_text(
        settings.read_text("utf-8").replace("../../ledger/address", "ledger-address"), "utf-8"
    )
    return shop


def _public_file(org: Path, name: str, key: SoftSecurityKey) -> Path:
    path = org.absolute() / "keys" / "people" / f"{name}.pub"
    path.write_text(f"{key.public} {name}\n", "ascii")
    os.chmod(path, 0o600)
    return path


def _channels(hook: WebhookSink) -> str:
    return (
        '[channels.file]\ntype = "log_file"\nfile = "data/alarms.log"\n\n'
        f'[channels.hook]\ntype = "webhook"\naddress = "{hook.address}"\nsecret = "{hook.secret}"\n'
    )
