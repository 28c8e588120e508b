"""The first trust file of a log that follows another one."""

from __future__ import annotations

from typing import Any

import pytest

from breakglass.errors import BreakglassError, MalformedError, UnprovenError
from breakglass.records.trust import Trust, accept_trust, parse_trust
from breakglass.tlog.note import Note

from ..kit.organisation import LOG, Organisation, signer

TWO = "ledger.example/two"
NEW = "ab" * 32
ROOT = "cd" * 32


def text_of(org: Organisation, *, says: str = "", **changes: str) -> str:
    """Return the successor's file: another genesis, another log, and which one it follows."""
    old = str(org.log.signer.verifier)
    text = org.trust_text(**{"genesis": NEW, **changes}).replace(old, str(signer(TWO).verifier))
    return text + (says or f"succeeds {LOG} {org.genesis} 812 {ROOT}\n")


def accepted(org: Organisation, text: str, before: Trust, signers: Any = None) -> Trust:
    return accept_trust(Note.parse(org.people_sign(text, "breakglass-trust@v1", signers)), before)


def test_who_believed_the_old_log_takes_the_new_one_by_the_same_maintainers_word():
    """(R-17) (R-18)"""
    org = Organisation()
    before = org.trust()
    for standing in (before, parse_trust(before.text.replace("version 1\n", "version 9\n"))):
        after = accepted(org, text_of(org), standing)
        assert after.succeeds is not None
        assert (after.succeeds.origin, after.succeeds.size) == (LOG, 812)
        assert (after.version, after.names_log(LOG)) == (1, False)
        # And never back.
        with pytest.raises(UnprovenError) as said:
            accepted(org, before.text, after)
        assert said.value.name == "trust_genesis"


def test_its_later_versions_say_the_same_of_the_old_log():
    """(R-18)"""
    org = Organisation()
    first = accepted(org, text_of(org), org.trust())
    second = accepted(org, text_of(org, version="2"), first)
    assert second.succeeds == first.succeeds
    for says in ("", f"succeeds {LOG} {org.genesis} 813 {ROOT}\n"):
        text = text_of(org, version="2", says=says) if says else first.text.replace(
            "version 1\n", "version 2\n").rsplit("succeeds", 1)[0]  # fmt: skip
        with pytest.raises(UnprovenError) as said:
            accepted(org, text, first)
        assert said.value.name == "trust_succession"


def test_a_thief_and_a_single_maintainer_put_no_new_log_in_the_place_of_the_old():
    """(R-18)"""
    org = Organisation()
    before = org.trust()
    stolen = signer("ledger.example/x")
    same_key = str(org.log.signer.verifier.of(TWO, 1, org.log.signer.verifier.public))
    wrong: list[tuple[str, Any, str]] = [
        (text_of(org), {"ana": org.maintainers["ana"]}, "trust_signatures"),
        (text_of(org, version="2"), None, "trust_order"),
        (text_of(org).replace(str(signer(TWO).verifier), same_key), None, "trust_succession"),
        (text_of(org, says=f"succeeds {stolen.name} {org.genesis} 812 {ROOT}\n"), None,
         "trust_succession"),
        (text_of(org, says=f"succeeds {LOG} {'ef' * 32} 812 {ROOT}\n"), None, "trust_genesis"),
        (text_of(org).rsplit("succeeds", 1)[0], None, "trust_genesis"),
    ]  # fmt: skip
    for text, signers, name in wrong:
        with pytest.raises(BreakglassError) as said:
            accepted(org, text, before, signers)
        assert said.value.name == name, text
    careful = org.trust(policy_at_least="8")
    with pytest.raises(UnprovenError) as lower:
        accepted(org, text_of(org), careful)
    assert lower.value.name == "trust_order"


def test_the_line_has_one_form_and_the_old_log_is_named_no_more():
    """(R-17)"""
    org = Organisation()
    good = f"succeeds {LOG} {org.genesis} 812 {ROOT}\n"
    parse_trust(text_of(org))
    old = f"log {org.log.signer.verifier}\n"
    for text in (
        text_of(org, says=good + good),
        text_of(org, says=good.replace(" 812 ", " 0 ")),
        text_of(org, says=good.replace(" 812 ", " 0812 ")),
        text_of(org, says=good.replace(ROOT, ROOT[:-1])),
        text_of(org, says=good.replace(org.genesis, "nothing")),
        text_of(org, says=good.replace(f" {ROOT}", "")),
        text_of(org, says=good.replace(org.genesis, NEW)),
        text_of(org).replace("witness w-sec", f"{old}witness w-sec", 1),
    ):
        with pytest.raises(MalformedError) as said:
            parse_trust(text)
        assert said.value.name == "bad_trust"
