"""A policy that this installation cannot keep is refused by day, and `doctor` watches the rest."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from breakglass.errors import RefusedError, UnavailableError
from breakglass.operate import repository
from breakglass.operate.installation_check import check_offered, not_offered
from breakglass.policy.bundle import CASES_FILE, MAIN_FILE
from breakglass.policy.parse import Bundle, parse_bundle
from tests.embedded.isolated import Person
from tests.kit.people import SoftKey
from tests.policy.kit import EXAMPLE

MINT = "    mint: {postgres: {minter: orders-db, database: orders, template: breakglass_orders}}"


@pytest.fixture
def mira(tmp_path: Path) -> Person:
    """An organisation that does not run."""
    person = Person.at(tmp_path)
    said = person.types("breakglass", "init", "org", "--as", "mira", "--key", str(person.key))
    assert said.code == 0, said.err
    person.cwd = tmp_path / "org"
    return person


def bundle(org: Path, change: tuple[str, str] = ("", "")) -> Bundle:
    text = (org / "bundle" / MAIN_FILE).read_text()
    assert change[0] in text
    return parse_bundle(
        {MAIN_FILE: text.replace(*change, 1).encode() if change[0] else text.encode()}
    )


def test_the_starter_policy_asks_for_nothing_that_the_try_out_lacks(mira):
    assert not_offered(bundle(mira.cwd), mira.cwd, dict) == []
    assert mira.types("breakglass", "policy", "check").code == 0


def test_a_channel_that_the_monitor_does_not_have_is_named_where_it_stands(mira):
    changed = bundle(mira.cwd, ("file-2: {log_file: copy.log}", 'file-2: {webhook: "secret:copy"}'))
    (found,) = not_offered(changed, mira.cwd, dict)
    assert found.path == "channels.file-2"
    assert "the monitor has no webhook channel 'file-2'" in found.message
    assert "it has: file (log_file), file-2 (log_file)" in found.message
    assert not_offered(changed, mira.cwd / "elsewhere", dict) == []  # its settings are not here


def test_a_minter_that_the_broker_does_not_know_is_named_where_it_stands(mira):
    comment = next(
        line
        for line in (mira.cwd / "bundle" / MAIN_FILE).read_text().splitlines()
        if "# mint:" in line
    )
    changed = bundle(mira.cwd, (comment, MINT))
    (found,) = not_offered(changed, mira.cwd, lambda: {"other-db": ""})
    assert found.path == "glasses.hello.mint.postgres.minter"
    assert "the broker knows no minter 'orders-db'" in found.message
    assert not_offered(changed, mira.cwd, lambda: {"orders-db": ""}) == []

    def silent() -> dict[str, str]:
        raise UnavailableError("the broker does not answer")

    assert not_offered(changed, mira.cwd, silent) == []
    with pytest.raises(RefusedError, match="it cannot take force") as caught:
        check_offered([found, found])
    assert "(1 more)" in caught.value.message


def test_check_says_that_the_form_is_right_and_what_is_not_offered(mira):
    example = mira.home / "example"
    shutil.copytree(EXAMPLE, example)
    text = (example / MAIN_FILE).read_text()
    (example / MAIN_FILE).write_text(text.replace("incident_source: outside, ", ""))
    (example / CASES_FILE).unlink()  # one of them wants what was just taken away
    said = mira.types("breakglass", "policy", "check", str(example))
    assert said.code == 3
    assert "error: breakglass.yaml:" in said.out
    assert "not built yet: sealed glasses" in said.out
    assert "the form is right" in said.err
    told = json.loads(mira.types("breakglass", "policy", "check", str(example), "--json").out)
    assert told["holds"] is False
    paths = [each["path"] for each in told["not_offered"]]
    assert "glasses.deploy-rollback.mint.kubernetes" in paths
    # Without any organisation the version's own table is asked.
    shutil.rmtree(mira.home / ".config", ignore_errors=True)
    mira.cwd = mira.home
    assert mira.types("breakglass", "policy", "check", str(example)).code == 3


def test_sign_and_activate_refuse_before_anything_is_signed_or_sent(mira):
    file = mira.cwd / "bundle" / MAIN_FILE
    key = SoftKey.of("the status page").public
    text = f'{file.read_text()}incident_sources: {{status: {{type: generic, key: "{key}"}}}}\n'
    file.write_text(text.replace("version: 1 ", "version: 2 ", 1))
    repository.commit_all(mira.cwd / "bundle", "more", "mira")
    for what in ("sign", "activate"):
        said = mira.types("breakglass", "policy", what)
        assert said.code == 3
        assert "incident_sources.status.type: not built yet: incident sources" in said.err


def test_doctor_is_red_at_two_of_two_and_watches_cards_keys_and_policy(mira):
    told = json.loads(mira.types("breakglass", "doctor", "--json").out)
    found = {each["name"]: each for each in told["findings"]}
    assert found["maintainers"]["weight"] == "FAIL"
    assert "trust maintainer add third --paper" in found["maintainers"]["step"]
    assert found["one_key"]["weight"] == "WARN"
    assert "2 of 2 people have one key alone" in found["one_key"]["says"]
    assert found["channels"]["says"].startswith("alerts go to 1 channel")
    assert "not_offered" not in found
    file = mira.cwd / "bundle" / MAIN_FILE
    last = (datetime.now(UTC) + timedelta(days=3)).date()
    text = file.read_text().replace("    name: mira\n", f"    name: mira\n    until: {last}\n")
    file.write_text(
        text.replace("file-2: {log_file: copy.log}", 'file-2: {webhook: "secret:copy"}')
    )
    told = json.loads(mira.types("breakglass", "doctor", "--json").out)
    found = {each["name"]: each for each in told["findings"]}
    assert "the monitor has no webhook channel 'file-2'" in found["not_offered"]["says"]
    assert found["until"]["says"] == f"the last day of 'mira' is {last}"


def test_a_channel_whose_secret_the_monitor_has_is_offered(mira):
    text = (mira.cwd / "bundle" / MAIN_FILE).read_text()
    text = text.replace("file-2: {log_file: copy.log}", 'pager: {pagerduty: "secret:pd"}', 1)
    changed = parse_bundle({MAIN_FILE: text.replace("[file, file-2]", "[file, pager]").encode()})
    (found,) = not_offered(changed, mira.cwd, dict)
    assert "the monitor has no pagerduty channel 'pager'" in found.message
    assert "secrets/pd" in found.hint
    secrets = mira.cwd / "monitor" / "secrets"
    secrets.mkdir()
    (secrets / "pd").write_text("key\n")
    assert not_offered(changed, mira.cwd, dict) == []
