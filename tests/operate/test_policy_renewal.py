"""A renewal runs the policy's own cases before it writes, and lets no gate shut over an old one."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from breakglass.errors import MalformedError, UnavailableError
from breakglass.operate import repository
from breakglass.operate.maintainer_signing import Maintainer, sign_text
from breakglass.operate.plan import Keys, Plan, trust_text
from breakglass.operate.policy_renewal import Renewal
from breakglass.operate.trust_change import TrustChange
from breakglass.person import ssh_keygen
from breakglass.policy.bundle import CASES_FILE, MAIN_FILE, pack_bundle, unpack_bundle
from breakglass.policy.bundle_edit import with_person, without_person
from breakglass.policy.folder import read_bundle
from breakglass.policy.parse import parse_bundle
from breakglass.policy.starter import starter_bundle
from breakglass.records.signing.signature import TRUST_NAMESPACE
from tests.kit.people import SoftKey

NOW = datetime(2026, 6, 22, 3, 14, 9, tzinfo=UTC)
LOG = "shop.example/ledger"
NEW_YEAR = "cases:\n  c0: {who: sam, glass: hello, incident: SEV1, wanted: "


@dataclass
class Broker:
    """The policy in force, as a broker answers of it; ``away`` answers nothing of its bundle."""

    files: dict[str, bytes]
    away: bool = False
    took: list[int] = field(default_factory=list)

    def ask(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        version = parse_bundle(self.files).version
        if (method, path) == ("GET", "/cards"):
            return {"version": str(version), "cards": {}}
        if (method, path) == ("GET", "/policy"):
            if self.away:
                raise UnavailableError("the broker does not answer")
            packed = pack_bundle(self.files)
            return {
                "policy": hashlib.sha256(packed).hexdigest(),
                "bundle": base64.b64encode(packed).decode(),
            }
        assert (method, path) == ("POST", "/policy")
        assert body is not None
        self.files = unpack_bundle(base64.b64decode(body["bundle"]))
        self.took.append(parse_bundle(self.files).version)
        return {"version": self.took[-1], "index": 9}


@dataclass
class Office:
    """Two maintainers' keys, a bundle in git, and the broker that has it in force."""

    org: Path
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        keys = self.org / "keys" / "maintainers"
        keys.mkdir(parents=True)
        two = []
        for name in ("sam", "noor"):
            (keys / name).write_bytes(SoftKey.of(name).private_file())
            (keys / name).chmod(0o600)
            (keys / f"{name}.pub").write_text(f"{SoftKey.of(name).public}\n")
            two.append(Maintainer(name, ssh_keygen.read_key(keys / name)))
        plan = Plan("shop.example", LOG, {}, tuple(two), "sam", Path(), {}, {}, "")
        text = trust_text(plan, Keys.generate(plan), "0" * 64)
        (self.org / "trust").write_bytes(sign_text(text, TRUST_NAMESPACE, two).encoded())
        self.folder = self.org / "bundle"
        self.folder.mkdir()
        sam, noor = two
        files = starter_bundle(
            organisation="shop.example",
            person=sam.name,
            key=sam.key.public,
            second=noor.name,
            second_key=noor.key.public,
        )
        for name, content in files.items():
            (self.folder / name).write_bytes(content)
        repository.begin(self.folder)
        repository.commit_all(self.folder, "policy: begin", "sam")
        self.broker = Broker(read_bundle(self.folder))

    def wants(self, answer: str, at: str = "", *, in_force: bool = True) -> None:
        """Add a case, which the policy in force has too unless said otherwise."""
        more = f", at: {at}" if at else ""
        (self.folder / CASES_FILE).write_text(f"{NEW_YEAR}{answer}{more}}}\n")
        repository.commit_all(self.folder, "policy: a case", "sam")
        if in_force:
            self.broker.files = read_bundle(self.folder)

    def renews(self, edit: Callable[[str], str] | None = None) -> list[tuple[str, str]]:
        change = TrustChange(
            self.org,
            self.org / "trust",
            "sam",
            self.org / "keys" / "maintainers" / "sam",
            self.broker.ask,
            self.said.append,
            sign_here=True,
        )
        return Renewal(change, self.folder, LOG, NOW, "a test", edit).run()

    def written(self) -> tuple[bytes, str]:
        return (self.folder / MAIN_FILE).read_bytes(), repository.head(self.folder)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def says_more(text: str) -> str:
    return text.replace("organisation: shop.example", "organisation: shop.test")


def test_a_change_that_answers_a_case_otherwise_is_neither_written_nor_committed(
    office: Office,
) -> None:
    office.wants("refused not_listed")
    before = office.written()
    with pytest.raises(MalformedError, match="wanted 'refused not_listed'") as caught:
        office.renews(says_more)
    assert caught.value.name == "case_failed"
    assert office.written() == before
    assert office.broker.took == []


@pytest.mark.parametrize(
    "named", ["who: kim, wanted: refused", "who: sam, approvals: [kim], wanted: allowed"]
)
def test_a_case_that_names_who_leaves_stops_it_and_says_the_way_on(
    office: Office, named: str
) -> None:
    kim = [SoftKey.of("kim").public]
    joined = with_person((office.folder / MAIN_FILE).read_text(), "kim", kim)
    (office.folder / MAIN_FILE).write_text(joined)
    cases = f"cases:\n  kims: {{{named}, glass: hello}}\n"
    (office.folder / CASES_FILE).write_text(cases)
    repository.commit_all(office.folder, "policy: kim joins", "sam")
    office.broker.files = read_bundle(office.folder)
    before = office.written()
    with pytest.raises(MalformedError, match=r"cases.kims.*expected a person.*got 'kim'") as caught:
        office.renews(lambda text: without_person(text, "kim"))
    assert caught.value.hint == "name another or take the case out, commit, then the same again"
    assert office.written() == before
    (office.folder / CASES_FILE).write_text(cases.replace("kim", "noor").replace("noors", "kims"))
    repository.commit_all(office.folder, "policy: noor's case", "sam")
    office.renews(lambda text: without_person(text, "kim"))
    assert "kim" not in parse_bundle(office.broker.files).directory.people


def test_a_renewal_of_the_rules_in_force_tells_of_an_old_case_and_goes_on(office: Office) -> None:
    office.wants("refused not_listed")
    done = office.renews()
    assert [name for name, _ in done] == ["changed", "signed", "in force"]
    assert office.broker.took == [2]
    told = [each for each in office.said if each.startswith("the rules stay as they are")]
    assert len(told) == 1
    assert "cases.yaml:2:" in told[0]


def test_a_renewal_of_rules_or_cases_that_are_not_in_force_is_refused(office: Office) -> None:
    office.wants("refused not_listed", in_force=False)
    before = office.written()
    with pytest.raises(MalformedError, match="wanted 'refused not_listed'"):
        office.renews()
    assert office.written() == before


def test_a_broker_that_does_not_say_what_is_in_force_lets_no_old_case_pass(office: Office) -> None:
    office.wants("refused not_listed")
    before, office.broker.away = office.written(), True
    with pytest.raises(UnavailableError, match="does not answer"):
        office.renews()
    assert office.written() == before


def test_cases_that_hold_are_said_nothing_of(office: Office) -> None:
    office.wants("allowed", at=f"{NOW + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}")
    office.renews(says_more)
    assert office.broker.took == [2]
    assert not [each for each in office.said if "cases.yaml" in each]
