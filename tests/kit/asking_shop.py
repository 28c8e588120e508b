"""The organisation in memory under a bundle whose glasses take approvers, cards and all.

``key-deletion`` takes two of sam, teo, kim and bo; ``deploy-rollback`` may be broken alone and be
asked for, of sam or teo. Sam has two keys, mira an alias, and bo's key is too weak for either.
"""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache

from breakglass.policy.bundle import pack_bundle, unpack_bundle
from breakglass.policy.cards import CardWithPeople, make_cards, make_policy_note
from breakglass.policy.compile import CompiledPolicy, compile_policy
from breakglass.records.card import Card
from breakglass.records.people_list import PeopleList

from ..broker.shop import BUNDLE
from .one_minter import TwoBrokers
from .people import SoftSecurityKey

compiled = lru_cache(maxsize=8)(lambda bundle: compile_policy(unpack_bundle(bundle)))

WAIT = timedelta(minutes=10)
SILENCE = timedelta(minutes=2)
SPARE = SoftSecurityKey.of("sam's spare key")
_CHANGES = (
    ('sam: {name: Sam, keys: ["', f'sam: {{name: Sam, keys: ["{SPARE.public}", "'),
    ("mira: {name: Mira,", "mira: {name: Mira, aliases: [mira.k],"),
    ("groups:\n", '  kim: {name: Kim, keys: ["KIM"]}\ngroups:\n'),
    (
        "    approvers: {from: [group:leads], need: 1}\n",
        "    approvers: {from: [sam, teo, kim, bo], need: 2}\n    wait: 10m\n",
    ),
    (
        "    opens_gates: [deploy-approval]\n",
        "    opens_gates: [deploy-approval]\n    approvers: {from: [sam, teo], ask_need: 1}\n"
        "    wait: 10m\n    silence: 2m\n",
    ),
)


class AskingShop(TwoBrokers):
    """See the module."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.people["kim"] = SoftSecurityKey.of("kim")
        self.put(1)

    def put(self, version: int, *changes: tuple[str, str]) -> None:
        """Write the bundle, with more changes; ``activate_policy`` puts it in force."""
        keys = {name: self.people[name].public for name in ("mira", "teo", "sam", "bo")}
        text = BUNDLE.format(version=version, does="repair rows of orders", **keys)
        for old, new in (*_CHANGES, ("KIM", self.people["kim"].public), *changes):
            assert old in text, old
            text = text.replace(old, new, 1)
        self.policy_version = version
        self.bundle = pack_bundle({"breakglass.yaml": text.encode()})

    @property
    def compiled(self) -> CompiledPolicy:
        """The bundle, compiled."""
        return compiled(self.bundle)

    def _made(self) -> dict[str, CardWithPeople]:
        expires = self.now + timedelta(days=92)
        return make_cards(
            self.compiled,
            log=self.log_name,
            version=self.policy_version,
            issued=self.now,
            expires=expires,
        )

    def cards(self) -> dict[str, Card]:
        """Return the cards that the policy makes."""
        return {glass: each.card for glass, each in self._made().items()}

    def card_people(self, glass: str = "") -> PeopleList:
        """Return the list of people of one card."""
        return self._made()[glass or "deploy-rollback"].people

    @property
    def policy_people(self) -> PeopleList:
        """Return everybody of the policy."""
        made = make_policy_note(
            self.compiled,
            log=self.log_name,
            bundle_digest=self.policy_digest,
            commit="-",
            issued=self.now,
        )
        return made.people
