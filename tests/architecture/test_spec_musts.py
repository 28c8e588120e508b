"""The specifications are held to: each MUST by a test or a vector, each example by the code.

.venv/bin/python -m tests.architecture.test_spec_musts    write the examples again
"""

from __future__ import annotations

import ast
import base64
import json
import re
import sys
import typing
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from breakglass.http import request_signature
from breakglass.records import (
    card,
    grant,
    handout,
    kinds,
    me,
    people_list,
    permit,
    policy_note,
    presentation,
    session,
    statement,
)
from breakglass.records.all_kinds import KINDS
from breakglass.records.encoding import text_types as vocabulary
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.record import Envelope
from breakglass.records.signing import passkey, person_key, signature
from breakglass.records.signing.sshsig_form import armored
from breakglass.tlog.note import Note

from ..kit import reading
from ..kit.organisation import Organisation

ROOT = Path(__file__).resolve().parents[2]
SPECS = {
    name: ROOT / f"docs/spec/{name}.md"
    for name in [
        "statement",
        "record",
        "card",
        "token",
        "trust",
        "handout",
        "request",
        "permit",
        "me",
    ]
    + [f"kinds/{each}" for each in KINDS.by_name]
}
CASES = ROOT / "vectors/token/cases"
MUST = re.compile(r"\(([SDFCTRHQBM]-\d+)\)")
BLOCK = re.compile(r"(<!-- example: ([a-z_ -]+) -->\n```text\n)(.*?)(```\n)", re.DOTALL)


def bullets(name: str) -> list[str]:
    """Return a specification's rules, each with the lines that it was wrapped into."""
    text = re.sub(r"\n  (?=\S)", " ", SPECS[name].read_text())
    return text.splitlines()


def anchors() -> dict[str, str]:
    """Return every MUST of the specifications: its id, and the rule that states it."""
    found: dict[str, str] = {}
    for name in SPECS:
        for line in bullets(name):
            for number in re.findall(r"\*\*\(([SDFCTRHQBM]-\d+)\)\*\*", line):
                assert number not in found, f"{name}: {number} stands twice"
                found[number] = line
    return found


def named_by_tests() -> set[str]:
    """Return every id that a test names."""
    found: set[str] = set()
    for folder in ("records", "token", "operate", "cli", "http", "node", "monitor"):
        for path in (ROOT / "tests" / folder).glob("test_*.py"):
            found.update(MUST.findall(path.read_text()))
    return found


def test_each_must_is_held_to_by_a_test_or_a_vector() -> None:
    tests, cases = named_by_tests(), {path.stem for path in CASES.glob("*.json")}
    for number, line in anchors().items():
        _, said, listed = line.partition("Vectors:")
        vectors = re.findall(r"`([a-z0-9-]+)`", listed) if said else []
        assert set(vectors) <= cases, f"{number} names vectors that are not there"
        assert vectors or number in tests, f"nothing tests {number}: {line[:80]}"


def test_each_id_that_a_test_names_stands_in_a_specification() -> None:
    assert named_by_tests() <= set(anchors())


def test_each_vector_is_named_by_the_specification() -> None:
    text = SPECS["token"].read_text()
    missing = [path.stem for path in CASES.glob("*.json") if f"`{path.stem}`" not in text]
    assert missing == []


@pytest.mark.parametrize("path", sorted(CASES.glob("*.json")), ids=lambda path: path.stem)
def test_a_vectors_failure_stands_beside_it_in_the_specification(path: Path) -> None:
    name = json.loads(path.read_bytes())["outcome"].get("name")
    lines = [line for line in bullets("token") if f"`{path.stem}`" in line]
    assert name is None or any(f"`{name}`" in line for line in lines), (path.stem, name)


@pytest.mark.parametrize("name", SPECS)
def test_the_examples_are_what_the_code_writes(name: str) -> None:
    text = SPECS[name].read_text()
    for _, example, found, _ in BLOCK.findall(text):
        assert found == EXAMPLES[example](), f"{name}.md: example {example!r}"


def test_every_kind_is_one_file_one_page_and_rules_that_tests_name() -> None:
    """What tests name is asked above, of every rule that a page states."""
    wanted = set(KINDS.by_name)
    files = {path.stem for path in (ROOT / "src/breakglass/records/kinds").glob("*.py")}
    pages = {path.stem for path in (ROOT / "docs/spec/kinds").glob("*.md")}
    assert files - {"__init__"} == wanted
    assert pages == wanted
    for name, rule in KINDS.by_name.items():
        assert rule.form.__module__ == rule.judge.__module__ == f"{kinds.__name__}.{name}"
        page = SPECS[f"kinds/{name}"].read_text()
        assert MUST.search(page), f"the page of {name!r} states no rule"
        assert f"<!-- example: kind {name} -->" in page


# --- examples -----------------------------------------------------------------------------------


def _words() -> str:
    rows = []
    for name, hint in vars(vocabulary).items():
        if typing.get_origin(hint) is not typing.Annotated:
            continue
        rule = hint.__metadata__[0]
        if isinstance(rule, vocabulary.Pattern):
            says = f"{rule.says}: ^{rule.expression}$"
        elif isinstance(rule, vocabulary.Prose):
            says = f"prose of {rule.least_characters} to {rule.most_characters} code points"
        else:
            says = f"padded base64 in its one spelling, {rule.most_characters} characters at most"
        rows.append(f"{name:16} {says}")
    door = presentation.Door.__metadata__[0]
    person = person_key.PersonKey.__metadata__[0]
    machine = card.MachineKey.__metadata__[0]
    rows += [f"Door             {door.says}: ^{door.expression}$"]
    rows += [f"PersonKey        {person.says}: ^{person.expression}$"]
    rows += [f"MachineKey       {machine.says}: ^{machine.expression}$"]
    rows += ["MaybeTime        a Time or nothing"]
    rows += ["Time             RFC 3339 in UTC with three digits: 2026-06-22T03:14:09.221Z"]
    rows += ["Count            integer 0 to 9007199254740991"]
    rows += ["Seconds          integer 1 to 43200"]
    rows += ["ScopeValues      list of Word, 1 to 64"]
    rows += ["Scope            object of Code to ScopeValues, 0 to 16"]
    rows += ["MaintainerKeys   list of SshKey, 1 to 8"]
    return "\n".join(sorted(rows)) + "\n"


def _request_form() -> str:
    rows = []
    for name, hint in sorted(vars(request_signature).items()):
        rule = hint.__metadata__[0] if typing.get_origin(hint) is typing.Annotated else None
        if isinstance(rule, request_signature.Shape):
            rows.append(f"{name:14} {rule.says}: ^{rule.expression}$")
    return _form(request_signature.RequestText, "RequestText") + "\n" + "\n".join(rows) + "\n"


def _unseen() -> str:
    ranges = vocabulary._UNSEEN_RANGES
    said = [f"U+{a:04X}" if a == b else f"U+{a:04X}-U+{b:04X}" for a, b in ranges]
    rows = [" ".join(said[at : at + 6]) for at in range(0, len(said), 6)]
    return "\n".join(rows) + "\n"


def _say(node: ast.expr) -> str:
    """Put an annotation into the words of the specification."""
    text = ast.unparse(node)
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Annotated":
        inner, rule = typing.cast("ast.Tuple", node.slice).elts
        limits = [ast.unparse(each) for each in typing.cast("ast.Call", rule).args]
        limits = [str(eval(each)) for each in limits]
        if ast.unparse(inner) == "int":
            return f"integer {limits[0]} to {limits[1]}"
        least = limits[1] if len(limits) > 1 else "0"
        return f"{_say(inner)}, {least} to {limits[0]}"
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "tuple":
        return f"list of {_say(typing.cast('ast.Tuple', node.slice).elts[0])}"
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Mapping":
        key, item = typing.cast("ast.Tuple", node.slice).elts
        return f"object of {_say(key)} to {_say(item)}"
    if isinstance(node, ast.BinOp):
        return f"{_say(node.left)} or {_say(node.right)}"
    return {"bool": "true or false", "datetime": "Time", "None": "null", "str": "text"}.get(
        text, text
    )


def _form(kind: Any, title: str) -> str:
    rows = [title]
    for field in fields(kind):
        said = _say(ast.parse(str(field.type), mode="eval").body)
        rows.append(f"  {field.name.rstrip('_'):20} {said}")
    return "\n".join(rows) + "\n"


def _enum(kind: type[StrEnum]) -> str:
    return f"{kind.__name__}: {', '.join(kind)}\n"


def _own_forms(rule: KindRule) -> list[str]:
    """Write the forms and enumerations that stand in a kind's file beside the kind itself."""
    others = [
        each
        for each in vars(sys.modules[rule.form.__module__]).values()
        if isinstance(each, type)
        and each.__module__ == rule.form.__module__
        and each is not rule.form
    ]
    forms = [_form(each, each.__name__) for each in others if is_dataclass(each)]
    return [*forms, "".join(_enum(each) for each in others if issubclass(each, StrEnum))]


def _kind(rule: KindRule) -> str:
    title = f"{rule.form.kind} ({', '.join(sorted(rule.by))}), since set {rule.since}"
    return "\n".join(each for each in [_form(rule.form, title), *_own_forms(rule)] if each)


def _shared_forms() -> str:
    rows = [_form(signature.Signed, "Signed"), _form(signature.SignedByPasskey, "SignedByPasskey")]
    rows += [_form(passkey.Assertion, "Assertion")]
    listed = (grant.Path, grant.EndedWhy, signature.Factor, card.Tier, statement.Target)
    return "\n".join(rows) + "\n" + "".join(map(_enum, listed))


def _statements() -> str:
    forms: dict[Any, list[str]] = {}
    for do, kind in statement._FORMS.items():
        forms.setdefault(kind, []).append(do.value)
    rows = [_form(kind, f"{kind.__name__}, do: {', '.join(do)}") for kind, do in forms.items()]
    enums = _enum(statement.Target) + _enum(statement.GateVerdict)
    return "\n".join([*rows, _form(statement.Why, "Why"), enums])


def _cards() -> str:
    listed = (card.Card, card.CardMint, card.Act, card.CardMachine)
    rows = [_form(kind, kind.__name__) for kind in listed]
    rows += [
        _form(kind, kind.__name__) for kind in (people_list.PeopleRoot, people_list.PersonLine)
    ]
    enums = (people_list.May, card.Tier, card.Output, signature.Factor)
    return "\n".join([*rows, *map(_enum, enums)])


def _org() -> Organisation:
    org = Organisation()
    org.begin()
    return org


def _statement() -> str:
    return statement.statement_text(Organisation().statement())


def _statement_ids() -> str:
    text = _statement()
    return f"SHA-256   {statement.digest_of(text)}\ngrant id  {statement.grant_id(text)}\n"


def _sshsig() -> str:
    org = Organisation()
    signed = org.sign(org.statement())
    assert isinstance(signed, signature.Signed)
    return armored(base64.b64decode(signed.sshsig))


def _token() -> str:
    org = _org()
    text = org.token(org.break_glass()).encoded()
    return "".join(line[:76] + ("…\n" if len(line) > 76 else "\n") for line in text.splitlines())


def _presentation() -> str:
    org = _org()
    said = org.presentation(org.break_glass(), "gate:deploy-approval", "42")
    return presentation.presentation_text(said)


def _record() -> str:
    return _org().log.notes[3].decode()


def _handout() -> str:
    from vectors.handout.make import Shop

    return Note.parse(Shop.begin().given().note.encode()).encoded().decode()


def _me_forms() -> str:
    forms: dict[Any, list[str]] = {}
    for do, kind in me._FORMS.items():
        forms.setdefault(kind, []).append(do.value)
    rows = [_form(kind, f"{kind.__name__}, do: {', '.join(do)}") for kind, do in forms.items()]
    rows += [_form(me.OwnChannel, "OwnChannel"), _enum(me.OwnType)]
    words = {"OwnName": me.OwnName, "ProcessKey": me.ProcessKey}
    for name, hint in words.items():
        rule = hint.__metadata__[0]
        rows.append(f"{name:14} {rule.says}: ^{rule.expression}$\n")
    return "\n".join(rows)


def _me() -> str:
    said = me.MyMute(
        me.MeDo.MUTE,
        reading.SESSION.log,
        str(reading.PROCESS.verifier),
        "sam",
        "mira",
        reading.SESSION.until,
        reading.SESSION.at,
        reading.SESSION.nonce,
    )
    return me.me_text(said)


def _permit() -> str:
    from vectors.permit.make import honest

    return permit.parse_permit(honest())[1].encoded().decode()


EXAMPLES: dict[str, Callable[[], str]] = {
    "words": _words,
    "unseen": _unseen,
    "statement-forms": _statements,
    "statement": _statement,
    "statement-ids": _statement_ids,
    "sshsig": _sshsig,
    "envelope": lambda: _form(Envelope, "the envelope"),
    "shared-forms": _shared_forms,
    "record": _record,
    "policy-note": lambda: _form(policy_note.PolicyNote, "PolicyNote"),
    "card-forms": _cards,
    "card": lambda: Note.parse(Organisation().card_note("orders-repair")).text,
    "token": _token,
    "presentation-form": lambda: _form(presentation.Presentation, "Presentation"),
    "presentation": _presentation,
    "handout-form": lambda: _form(handout.Handout, "Handout"),
    "handout": _handout,
    "me-forms": _me_forms,
    "me": _me,
    "permit-form": lambda: _form(permit.Permit, "Permit"),
    "permit": _permit,
    "trust": lambda: Organisation().trust_text(),
    "request-form": _request_form,
    "request": lambda: request_signature.request_text(reading.REQUEST_TEXT),
    "session-form": lambda: _form(session.Session, "Session"),
    "session": lambda: session.session_text(reading.SESSION),
    **{f"kind {name}": partial(_kind, rule) for name, rule in KINDS.by_name.items()},
}


def write() -> None:
    """Write every example of the specifications again."""
    for path in SPECS.values():
        text = path.read_text()
        path.write_text(BLOCK.sub(lambda found: found[1] + EXAMPLES[found[2]]() + found[4], text))


if __name__ == "__main__":
    write()
