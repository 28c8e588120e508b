from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakglass.errors import MalformedError
from breakglass.tlog.note import COSIGNATURE, ED25519, ML_DSA_44, VerifierKey
from breakglass.tlog.policy import parse_policy, parse_policy_lines


def vkey(number: int, kind: int = COSIGNATURE, name: str = "") -> str:
    size = 1312 if kind == ML_DSA_44 else 32
    public = number.to_bytes(2, "big") + b"k" * (size - 2)
    return str(VerifierKey.of(name or f"key{number}.example", kind, public))


LOG = f"log {vkey(900, ED25519)}"
THREE = "".join(f"witness w{n} {vkey(n)}\n" for n in range(3))

TWO_LEVELS = f"""\
# the example of the specification
{LOG} https://ledger.example/

witness X1 {vkey(1)}
  witness\tX2 \t{vkey(2)} https://x2.example/
witness X3 {vkey(3)}
group X-witnesses 2 X1 X2 X3

  # indented
witness Y1 {vkey(4)}
witness Y2 {vkey(5)}
group Y-witnesses any Y1 Y2
group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""


@pytest.mark.parametrize(
    ("names", "met"),
    [
        ("X1 X2 Y1", True),
        ("X2 X3 Y2", True),
        ("X1 X2 X3 Y1 Y2", True),
        ("X1 X2 X3", False),
        ("X1 Y1 Y2", False),
        ("", False),
        ("X-and-Y", False),
        ("X-witnesses Y-witnesses", False),
        ("X1 X2 Y9", False),
        ("none", False),
    ],
)
def test_a_quorum_of_groups_is_met_by_cosigners_and_by_no_other_name(names, met):
    assert parse_policy(TWO_LEVELS).quorum_met(names.split()) is met


def test_a_policy_reads_into_its_parts():
    policy = parse_policy(TWO_LEVELS)
    assert [(log.vkey.name, log.url) for log in policy.logs] == [
        ("key900.example", "https://ledger.example/")
    ]
    assert [w.name for w in policy.witnesses] == ["X1", "X2", "X3", "Y1", "Y2"]
    assert [w.url for w in policy.witnesses[:2]] == [None, "https://x2.example/"]
    assert [(g.name, g.needed) for g in policy.groups] == [
        ("X-witnesses", 2),
        ("Y-witnesses", 1),
        ("X-and-Y", 2),
    ]
    assert policy.quorum == "X-and-Y"


def test_the_canonical_text_means_the_same_and_is_its_own():
    policy = parse_policy(TWO_LEVELS)
    assert parse_policy(policy.text) == policy
    assert parse_policy(policy.text).text == policy.text
    assert policy.text.endswith("group X-and-Y 2 X-witnesses Y-witnesses\nquorum X-and-Y\n")


def test_lines_may_come_one_by_one():
    assert parse_policy_lines(TWO_LEVELS.split("\n")) == parse_policy(TWO_LEVELS)


def test_one_witness_may_be_the_quorum_and_none_asks_for_nobody():
    assert not parse_policy(f"{THREE}quorum w1\n").quorum_met({"w0", "w2"})
    assert parse_policy(f"{THREE}quorum w1\n").quorum_met({"w1"})
    assert parse_policy("quorum none").quorum_met(())


def test_a_name_may_be_any_word():
    policy = parse_policy(f"witness \u212a {vkey(1)}\nwitness K {vkey(2)}\nquorum \u212a\n")
    assert policy.quorum_met({"\u212a"})
    assert not policy.quorum_met({"K"})


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("trust me", "unknown"),
        ("Log x", "unknown"),
        ("log", "of another form"),
        (LOG, "already exists"),
        (f"log {vkey(901, ED25519)} url more", "of another form"),
        (f"log {vkey(901, ED25519)}\f", "control character"),
        (f"log {vkey(901, ED25519)}\r", "control character"),
        (f"log {vkey(901, ED25519)}\n", "control character"),
        (f"log {vkey(901, ED25519)} \x7f", "control character"),
        (f"log {vkey(901)}", "a log's key is not of type 0x04"),
        (f"log {vkey(901, ED25519)[:-1]}", "base64 is broken"),
        (f"log {vkey(900, ED25519, 'renamed')}", "already exists"),
        ("witness w9", "of another form"),
        (f"witness w9 {vkey(9, ED25519)}", "a witness's key is not of type 0x01"),
        (f"witness w9 {vkey(1, name='renamed')}", "already exists"),
        (f"witness w9 {vkey(900)}", "already exists"),
        (f"witness w0 {vkey(9)}", "name 'w0' is taken"),
        (f"witness g {vkey(9)}", "name 'g' is taken"),
        (f"witness none {vkey(9)}", "name 'none' is taken"),
        ("group none any w2", "name 'none' is taken"),
        ("group g any w2", "name 'g' is taken"),
        ("group h any", "of another form"),
        ("group h any w9", "'w9' is not defined above"),
        ("group h any h", "'h' is not defined above"),
        ("group h any none", "'none' is not defined above"),
        ("group h any w0", "'w0' is a member already"),
        ("group h 1 w2 w2", "'w2' is a member already"),
        ("group h 0 w2", "0 of 1 members cannot be asked for"),
        ("group h 2 w2", "2 of 1 members cannot be asked for"),
        ("group h +1 w2", "not a decimal number"),
        ("group h 01 w2", "not a decimal number"),
        ("group h most w2", "not a decimal number"),
        ("quorum", "of another form"),
        ("quorum h", "'h' is not defined above"),
        ("quorum g w2", "of another form"),
    ],
)
def test_a_wrong_line_is_refused_with_its_number(line, why):
    lines = [LOG, *THREE.splitlines(), "group g all w0 w1", line, "quorum g"]
    with pytest.raises(MalformedError, match=rf"policy line 6: .*{why}") as failure:
        parse_policy_lines(lines)
    assert failure.value.name == "bad_policy"


def test_there_is_exactly_one_quorum():
    with pytest.raises(MalformedError, match="'quorum NAME' is missing"):
        parse_policy(THREE)
    with pytest.raises(MalformedError, match="policy line 4: 'quorum w0' is unknown, given twice"):
        parse_policy_lines([*THREE.splitlines()[:2], "quorum w0", "quorum w0"])


def test_thirty_two_of_each_are_supported():
    lines = [f"log {vkey(100 + n, ED25519)}" for n in range(32)]
    lines += [f"witness w{n} {vkey(n)}" for n in range(32)]
    lines += ["group g0 any w0"] + [f"group g{n} all g{n - 1} w{n}" for n in range(1, 32)]
    policy = parse_policy("\n".join([*lines, "quorum g31", ""]))
    assert (len(policy.logs), len(policy.witnesses), len(policy.groups)) == (32, 32, 32)
    everyone = {f"w{n}" for n in range(32)}
    assert policy.quorum_met(everyone)
    assert not policy.quorum_met(everyone - {"w0"})


def test_post_quantum_keys_may_stand_in_a_policy():
    policy = parse_policy(f"log {vkey(1, ML_DSA_44)}\nwitness pq {vkey(2, ML_DSA_44)}\nquorum pq\n")
    assert parse_policy(policy.text) == policy


@given(st.integers(1, 12), st.data())
def test_a_group_is_a_count(size, data):
    needed = data.draw(st.integers(1, size))
    names = [f"w{n}" for n in range(size)]
    lines = [f"witness {name} {vkey(n)}" for n, name in enumerate(names)]
    policy = parse_policy_lines([*lines, f"group g {needed} {' '.join(names)}", "quorum g"])
    some = data.draw(st.sets(st.sampled_from(names)))
    assert policy.quorum_met(some) is (len(some) >= needed)
