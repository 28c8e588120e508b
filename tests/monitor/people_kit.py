"""A shop whose glass has approvers, and what people sign of themselves there."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from breakglass.monitor.app import Monitor
from breakglass.monitor.people.own_channels import MeBody, MeView
from breakglass.policy.bundle import pack_bundle, unpack_bundle
from breakglass.records import all_kinds as kinds
from breakglass.records.grant import Path as Way
from breakglass.records.kinds.answered import Reply
from breakglass.records.kinds.asked import Decided, Factors, Outcome
from breakglass.records.me import (
    MeDo,
    Mine,
    MyChannels,
    MyMute,
    MyTest,
    OwnChannel,
    OwnType,
    me_text,
)
from breakglass.records.signing.signature import ME_NAMESPACE, Factor
from breakglass.records.statement import Do, digest_of, grant_id
from tests.monitor.stand_ins import Shop, Sink, eventually, moment

GLASS = "deploy-rollback"
Start = Callable[..., Monitor]


def with_approvers() -> Shop:
    """Return a shop, begun, whose leads may approve the first glass."""
    shop = Shop()
    files = dict(unpack_bundle(shop.org.bundle))
    text = files["breakglass.yaml"].decode()
    asked = '    approvers: {from: ["group:leads"]}\n    review: {due: 3 business'
    text = text.replace("    review: {due: 3 business", asked, 1)
    shop.org.bundle = pack_bundle({**files, "breakglass.yaml": text.encode()})
    return shop.begin()


class Story:
    """One ask of mira's as the records tell it, at the present time."""

    def __init__(self, shop: Shop, who: str = "mira", **said: Any) -> None:
        self.shop, org = shop, shop.org
        with shop.lock:
            org.now = moment()
            said = {"who": who, "do": Do.ASK, **said}
            self.said = shop.asks(GLASS, **said)
            self.signed = org.sign(self.said)
            self.digest = digest_of(self.signed.text)
            self.grant = grant_id(self.signed.text)
            decided = Decided(Outcome.NEEDS_APPROVAL, 1, (), ())
            factors = Factors(Factor.ONE, 0, False)  # whatever key it is, it shows that
            body = org.asked(self.signed, path=Way.JIT, decision=decided, factors=factors)
            self.index = org.state_that("broker", body, f"{self.grant}/asked").index

    def answers(self, who: str = "sam", do: Do = Do.APPROVE) -> int:
        """Write an answer; returns its entry."""
        org = self.shop.org
        with self.shop.lock:
            org.now = moment()
            self.shop.grants += 1
            nonce = f"{self.shop.grants:032x}"
            word = org.sign(org.answer(self.digest, who=who, do=do, nonce=nonce, at=org.now))
            self.word = word
            if do is Do.WITHDRAW:
                body: Any = kinds.Withdrawn(self.grant, word)
            else:
                reply = Reply.NO if do is Do.REFUSE else Reply.YES
                body = kinds.Answered(self.grant, reply, word, ())
            judged = org.state_that("broker", body, f"{self.grant}/{do.value}/{who}")
            assert judged.holds, judged
            return judged.index

    def granted(self) -> int:
        """Write the intent, with the approval that was recorded."""
        org = self.shop.org
        with self.shop.lock:
            org.now = moment()
            card = org.state.governance.cards[GLASS].note
            org.break_glass(said=self.said, signed=self.signed, approvals=(self.word,), card=card)
            return org.judged[-1].index


class People:
    """What people sign of themselves, at one monitor."""

    def __init__(self, shop: Shop, monitor: Monitor) -> None:
        self.shop, self.monitor = shop, monitor
        self.words = 0

    def signed(self, mine: Mine, by: str = "") -> MeBody:
        """Sign as a person."""
        return MeBody(self.shop.org.people[by or mine.who].sign(me_text(mine), ME_NAMESPACE))

    def common(self, who: str, **changes: Any) -> dict[str, Any]:
        """Return the fields that each such text has."""
        self.words += 1
        return {
            "log": self.shop.org.log_name,
            "to": self.monitor.process.check.keys[0],
            "who": who,
            "at": moment() + timedelta(milliseconds=self.words),
            "nonce": f"{self.words:032x}",
            **changes,
        }

    def channels(self, who: str, /, *own: OwnChannel, **changes: Any) -> MyChannels:
        """Return the word that sets a person's channels."""
        return MyChannels(do=MeDo.CHANNELS, channels=own, **self.common(who, **changes))

    def sets(self, who: str, *own: OwnChannel) -> MeView:
        """Set a person's channels."""
        return self.monitor.me.take(self.signed(self.channels(who, *own)))

    def mutes(self, who: str, person: str, for_: timedelta = timedelta(hours=1)) -> MeView:
        """Mute what a person asks."""
        common = self.common(who)
        mine = MyMute(do=MeDo.MUTE, person=person, until=common["at"] + for_, **common)
        return self.monitor.me.take(self.signed(mine))

    def tests(self, who: str, name: str) -> MeView:
        """Ring one own channel."""
        return self.monitor.me.take(
            self.signed(MyTest(do=MeDo.TEST, name=name, **self.common(who)))
        )


def phone(sink: Sink, name: str = "phone") -> OwnChannel:
    """Return an own channel to a receiver."""
    return OwnChannel(name, OwnType.WEBHOOK, sink.address)


def kept(own: OwnChannel) -> OwnChannel:
    """Return it as one that is to be kept."""
    return replace(own, target="")


def starts(start: Start, folder: Path, **changes: Any) -> Monitor:
    """Start a monitor whose people may name receivers on this host."""
    monitor = start(folder, inside_hosts=_Everywhere(), **changes)
    eventually(lambda: monitor.following.live)
    return monitor


class _Everywhere(tuple[str, ...]):
    """Stands for every host and port of a test."""

    def __contains__(self, name: object) -> bool:
        return str(name).startswith("127.0.0.1:")


def texts(sink: Sink, subject: str) -> list[str]:
    """Return what rang of a subject."""
    return [message["text"] for message, _, _ in sink.taken if message["subject"] == subject]


def whole(sink: Sink) -> str:
    """Return all that a receiver was sent."""
    return json.dumps([message for message, _, _ in sink.taken])
