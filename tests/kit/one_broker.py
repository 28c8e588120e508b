"""A broker of real parts in the caller's thread, over an organisation and a minter in memory.

    broker = OneBroker(folder)
    request = broker.request()                   # what mira's client sends, of the minter's glass
    granted = broker.breaking.break_glass(request)
    wish = broker.asking.ask(request)            # or one story alone
    broker.restart()                             # it remembers nothing but the log

``outbox`` and ``minters`` have switches for bad days. ``crash_at`` ends the broker at a numbered
step, as a power cut would.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from breakglass.broker.grants.answers import Answers
from breakglass.broker.grants.ask_history import AskHistory
from breakglass.broker.grants.ask_reconciler import AskReconciler
from breakglass.broker.grants.ask_views import AskView, AskViews
from breakglass.broker.grants.asking import Asking
from breakglass.broker.grants.asks import Asks
from breakglass.broker.grants.breaking import Breaking
from breakglass.broker.grants.granting import Granting
from breakglass.broker.grants.refusals import Refusals
from breakglass.broker.grants.request import BreakRequest
from breakglass.broker.grants.tokens import Tokens
from breakglass.broker.policies import Policies
from breakglass.broker.rate_limit import RateLimit
from breakglass.errors import RefusedError, UnavailableError
from breakglass.node.grant_locks import GrantLocks
from breakglass.node.recorder import Recorder
from breakglass.node.submitter import Submitter
from breakglass.policy.bundle import pack_bundle
from breakglass.process.alert_channel import AlertChannel
from breakglass.records.card import Card
from breakglass.records.encoding.text_types import ZERO_DIGEST
from breakglass.records.kinds.alert import PAGE, Alert, Delivery
from breakglass.records.presentation import Presentation, presentation_text
from breakglass.records.signing.signature import PRESENTATION_NAMESPACE, Signature, Signed
from breakglass.records.statement import Do, digest_of, grant_id
from breakglass.submit.append_batch import Receipt
from breakglass.submit.queue_items import Drafting, made
from breakglass.submit.record_header import numbered
from breakglass.tlog.note import sign_note

from ..broker.shop import BUNDLE
from .one_minter import GLASS, NAME, ROLE, Crash, OneMinter, TwoBrokers, ViewInMemory
from .organisation import Organisation

WITHIN = timedelta(seconds=0.05)
REFUSALS = 3
_WORDS = 1 << 96  # the minter counts nonces of its own from 1


class Shop(TwoBrokers):
    """The organisation under the small shop's bundle, which says what the cards say."""

    def __post_init__(self) -> None:
        super().__post_init__()
        keys = {name: self.people[name].public for name in ("mira", "teo", "sam", "bo")}
        text = BUNDLE.format(version=self.policy_version, does="repair rows of orders", **keys)
        self.bundle = pack_bundle({"breakglass.yaml": text.encode()})

    def cards(self) -> dict[str, Card]:
        """Return the cards; the mints' scope is the bundle's."""
        return {glass: replace(each, mints=_mints(each)) for glass, each in super().cards().items()}


def _mints(card: Card) -> Any:
    scope = {"databases": ("orders",), "templates": ("breakglass_orders_repair",)}
    return tuple(replace(each, scope=scope) if each.scope else each for each in card.mints)


class OutboxInMemory:
    """Appends to the organisation's log at once, as the broker; the ledger takes an id once.

    Before the notes are taken ``before`` is called. ``error`` is raised in place of receipts, by
    the name ``not_sent`` before anything was taken. ``proof_of`` forges: the entry proven.
    """

    def __init__(self, broker: OneBroker) -> None:
        self._broker = broker
        self.before: Callable[[], None] = lambda: None
        self.error: UnavailableError | None = None
        self.proof_of: int | None = None

    def append(self, drafts: Sequence[Drafting], within: timedelta) -> list[Receipt]:
        """Record drafts and prove each."""
        self.before()
        if self.error is not None and self.error.name == "not_sent":
            raise self.error
        receipts = [self._one(drafting) for drafting in drafts]
        self._broker.view.follow()
        if self.error is not None:
            raise self.error
        return receipts

    def _one(self, drafting: Drafting) -> Receipt:
        org, role, draft = self._broker.org, self._broker.role, made(drafting)
        if draft.id in self._broker.ids:
            self._broker.view.follow()
            raise RefusedError(f"record {draft.id!r} stands already", name="id_taken")
        chain = org.chains.setdefault(role, replace(org.chains["broker"], seq=0, prev=ZERO_DIGEST))
        text = numbered(draft.text, chain.seq, chain.prev)
        chain.seq, chain.prev = chain.seq + 1, digest_of(text)
        note = sign_note(text, org.submitters[role]).encoded()
        now = self._broker.minter.true.at
        org.append(note, at=now)
        self._broker.ids.add(draft.id)
        index = org.log.size - 1
        proof = org.log.proof(index if self.proof_of is None else self.proof_of, now)
        return Receipt(index, note, proof)


class OneMinterAsked:
    """What a broker asks of its minters: one in this thread, or one that is away."""

    def __init__(self, minter: OneMinter) -> None:
        self._minter = minter
        self.gone = False

    def check(self, name: str) -> None:
        """Be sure that we know where it is."""
        if name != NAME:
            raise UnavailableError(f"where minter {name!r} is", name="unknown_minter")

    def mint(self, name: str, token: str, asked_ms_ago: int) -> dict[str, Any]:
        """Show it a token."""
        if self.gone:
            raise UnavailableError("'minter' cannot be reached", name="unreachable")
        self._minter.view.follow()
        row = self._minter.minting.mint(token.encode(), timedelta(milliseconds=asked_ms_ago))
        self._minter.saying.say(row.grant)
        self._minter.send()
        assert row.made is not None
        return {"handle": row.claim.handle, "sealed": row.made.sealed}


class _Current:
    """A view that is of now."""

    current = True


class OneBroker:
    """See the module."""

    def __init__(
        self, folder: Path, org: Organisation | None = None, beside: OneBroker | None = None
    ) -> None:
        """Begin a broker, or a second one ``beside`` another: its own key and view, one log."""
        self.folder = folder
        self.beside = beside
        self.role = "broker-2" if beside else "broker"
        self.org: Organisation = beside.org if beside else org or Shop()
        self.minter = beside.minter if beside else OneMinter(folder, org=self.org)
        self.ids: set[str] = beside.ids if beside else set()
        self.nonces = 1 << 64 if beside else 0
        self.view: Any = None
        self.tick = 0.0  # the broker's monotonic clock, in seconds
        self._start()

    def _start(self) -> None:
        self.at: Callable[[str], None] = lambda step: None
        org, clock = self.org, self.minter.true
        kept = self.view.size if self.view else 0
        self.history = AskHistory()
        self.view = ViewInMemory(org, self.minter.ledger, self.history.take, kept)
        self.view.follow()
        self.bell = AlertChannel(self.folder / f"{self.role}-rings.log", "", "broker", clock)
        self.outbox: Any = OutboxInMemory(self)
        self.minters: Any = OneMinterAsked(self.minter)
        key = org.submitters[self.role]
        label = key.verifier.label
        stating = Submitter(self.outbox, org.log_name, clock, lambda: self.view.last_at(label))
        self.recording = Recorder(self.view, stating, key, clock, WITHIN, WITHIN)
        tokens = Tokens(self.view, self.minter.ledger)
        allowance = RateLimit(REFUSALS, timedelta(minutes=1))
        self.refusals = Refusals(self.recording, allowance, self._step)
        policies = Policies()
        self.asking = Asking(
            self.recording,
            policies,
            self.minters,
            clock,
            self.refusals,
            self._step,
        )
        self.granting = Granting(
            self.recording, tokens, self.minters, self.bell, self._step, lambda: ""
        )
        locks, step, current = GrantLocks(), self._step, _Current()
        self.breaking = Breaking(self.asking, self.granting, self.history, locks, step)
        asked = RateLimit(100, timedelta(minutes=1))
        heard = (self.recording, self.history, policies)
        self.asks = Asks(*heard, clock, self.refusals, asked, locks, step)
        self.answers = Answers(*heard, self.granting, clock, locks, step)
        self.reconciler = AskReconciler(
            *heard, self.granting, clock, locks, current, step, lambda: self.tick
        )
        self.views = AskViews(self.view, self.history, policies, clock)

    def restart(self) -> None:
        """Begin again from the log; everything else is forgotten."""
        self.bell.close()
        self._start()

    def close(self) -> None:
        """Let go of files."""
        self.bell.close()
        if self.beside is None:
            self.minter.close()

    def crash_at(self, step: str) -> None:
        """End the broker when it comes to this step: ``Crash`` is raised."""

        def at(reached: str) -> None:
            if reached == step:
                raise Crash(step)

        self.at = at

    def request(self, glass: str = GLASS, *, shown: bool = True, **said: Any) -> BreakRequest:
        """Return what a person's client sends; the holder shows the token if ``shown``."""
        self.nonces += 1
        if glass in (GLASS, "key-deletion"):
            scope = {"databases": ("orders",), "templates": ("breakglass_orders_repair",)}
            said = {"scope": scope, "for_s": 600, **said}
        with self.minter._clock_of(said.get("who", "mira")):
            nonce = f"{self.nonces:032x}"
            statement = self.org.statement(**{"glass": glass, "nonce": nonce, **said})
            signed = self.org.sign(statement)
            grant = grant_id(signed.text)
            presentation = None
            if statement.minter and shown:
                text = presentation_text(
                    Presentation(
                        self.org.log_name, digest_of(signed.text), ROLE, grant, self.org.now
                    )
                )
                presentation = self.org.holder.sign(text, PRESENTATION_NAMESPACE)
        assert presentation is None or isinstance(presentation, Signed)
        return BreakRequest(signed, statement, grant, presentation)

    def word(self, do: Do, request: BreakRequest, who: str, **changes: Any) -> Signature:
        """Return what somebody signs about a request, now."""
        self.nonces += 1
        key = changes.pop("key", None)
        with self.minter._clock_of(who):
            said = self.org.answer(
                digest_of(request.signed.text),
                **{"do": do, "who": who, "nonce": f"{self.nonces + _WORDS:032x}", **changes},
            )
            return self.org.sign(said, key)

    def answer(self, do: Do, request: BreakRequest, who: str, **changes: Any) -> AskView:
        """Have somebody sign an answer and hand it in; return how the ask stands then."""
        grant, _ = self.answers.answer(self.word(do, request, who, **changes))
        return self.views.show(grant)

    def page(self, request: BreakRequest, *to: str, **changes: Any) -> None:
        """Call approvers, as the monitor does."""
        alert = Alert(PAGE, request.grant, 0, "hook", to, Delivery.DELIVERED, "", 1, "")
        with self.minter._clock_of("monitor"):
            self.org.state_that("monitor", replace(alert, **changes))
        self.view.follow()

    def kinds(self, request: BreakRequest) -> list[str]:
        """Return the kinds of the records about a grant that hold, in order."""
        return [
            each.record.body.kind
            for each in self.org.judged
            if each.holds
            and each.record
            and getattr(each.record.body, "grant", "") == request.grant
        ]

    def rings(self) -> list[str]:
        """Return the subjects of what was rung."""
        file = self.folder / f"{self.role}-rings.log"
        lines = file.read_text().splitlines() if file.exists() else []
        return [json.loads(line)["subject"] for line in lines]

    def _step(self, step: str) -> None:
        self.at(step)
