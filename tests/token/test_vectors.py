"""Each line of the verification order, forged by exactly that and refused by its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from breakglass.clock import format_time, parse_time
from breakglass.errors import BreakglassError, MalformedError, RefusedError, UnprovenError
from breakglass.records.trust import accept_trust
from breakglass.tlog.note import Note
from breakglass.token.token import parse_token
from breakglass.token.verify import Verifier, verify_token

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "token"
KINDS = {"malformed": MalformedError, "refused": RefusedError, "unproven": UnprovenError}
CASES = {path.stem: path for path in sorted((VECTORS / "cases").glob("*.json"))}

NAMES = """
malformed shared_key clock_behind
card_signatures card_expired card_version card_log
submitter submitter_role signature wrong_card wrong_log wrong_policy wrong_id wrong_gate
wrong_minter not_an_intent
no_statement foreign_key namespace presence unknown_person weak_factor wrong_do wrong_answer
same_person too_few_people person_unproven people_malformed not_canonical unknown_field
intent_mismatch scope_widened wrong_act life_lengthened review_due statement_old waited_too_long
unknown_log log_signature cosignature quorum proven_late inclusion proof_malformed level justified
extra_lines door custodians
not_yet_valid expired
holder wrong_door wrong_run presentation_time
"""


def verified(case: dict[str, Any]) -> Any:
    trust = accept_trust(Note.parse((VECTORS / case["trust"]).read_bytes()), None)
    seen = parse_time(case["newest_seen"]) if case["newest_seen"] else None
    token = parse_token(case["token"].encode())
    return verify_token(
        token, Verifier(trust, case["door"], seen), case["run"], parse_time(case["now"])
    )


@pytest.mark.parametrize("name", CASES)
def test_a_vector_comes_out_as_it_says(name: str) -> None:
    """docs/spec/token.md names the vectors of each rule."""
    case = json.loads(CASES[name].read_bytes())
    wanted = case["outcome"]
    if wanted["accepted"]:
        shown = verified(case)
        assert shown.intent.grant == wanted["grant"]
        assert shown.index == wanted["index"]
        assert {who: factor.value for who, factor in shown.asking.factors.items()} == wanted[
            "factors"
        ]
        assert {who: format_time(at) for who, at in shown.cosigned.items()} == wanted["cosigned"]
        return
    with pytest.raises(BreakglassError) as caught:
        verified(case)
    assert caught.value.name == wanted["name"]
    assert type(caught.value) is KINDS[wanted["kind"]]
    assert str(caught.value)


def test_the_vectors_are_what_their_script_writes() -> None:
    from vectors.token import make

    assert make.main(["--check"]) == 0


def test_every_name_that_the_verifier_gives_has_a_vector() -> None:
    said = {json.loads(path.read_bytes())["outcome"].get("name") for path in CASES.values()}
    assert len(CASES) >= 50
    assert set(NAMES.split()) <= said
