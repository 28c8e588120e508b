"""The schema for editors is the readers' own form: every field of theirs, and no other."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from breakglass.cli.main import breakglass
from breakglass.errors import MalformedError
from breakglass.policy.bundle import MAIN_FILE
from breakglass.policy.editor_schema import EDITOR_LINE, SCHEMA_FILE, editor_schema
from breakglass.policy.folder import read_bundle
from breakglass.policy.parse import parse_bundle
from breakglass.policy.starter import starter_bundle
from breakglass.policy.yaml_nodes import Fields, Items, Node, parse_yaml
from tests.kit.people import SoftKey
from tests.policy.kit import EXAMPLE, files_of, tables_of_readers

SCHEMA = editor_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
FILES = read_bundle(EXAMPLE)
STARTER = starter_bundle(
    organisation="me.example", person="mira", key=SoftKey.of("mira").public,
    second="second", second_key=SoftKey.of("second").public,
)  # fmt: skip
NUMBERS = files_of(
    "example",
    (
        "database: orders, template: breakglass_orders_repair",
        "database: 2024, template: breakglass_orders_repair",
    ),
    ("organisation: shop.example", "organisation: 7.5"),
    (
        "fail: closed\n    could_not_evaluate_after: 20s\n    siblings: [deploy-freeze]",
        "fail: closed\n    siblings: [2024]",
    ),
    ("protects: production deploys need two sign-offs", "protects: true"),
)
BUNDLES = {"example": FILES, "demo": files_of("demo"), "starter": STARTER, "numbers": NUMBERS}


def plain(node: Node) -> Any:
    """Return a node as an editor reads it: numbers and flags where they stand without quotes."""
    if isinstance(node, Fields):
        return {key: plain(each) for key, each in node.entries.items()}
    if isinstance(node, Items):
        return [plain(each) for each in node.items]
    if node.plain and re.fullmatch(r"[0-9]+(\.[0-9]+)?", node.text):
        return float(node.text) if "." in node.text else int(node.text)
    return {"true": True, "false": False}.get(node.text, node.text) if node.plain else node.text


def read(files: Mapping[str, bytes]) -> Any:
    return plain(parse_yaml(MAIN_FILE, files[MAIN_FILE]))


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(CliRunner().invoke(breakglass, ["policy", "schema"]).stdout) == SCHEMA


@pytest.mark.parametrize("name", BUNDLES)
def test_every_valid_bundle_fits(name: str) -> None:
    parse_bundle(BUNDLES[name])
    assert [each.message for each in VALIDATOR.iter_errors(read(BUNDLES[name]))] == []


def at(schema: Any, path: str) -> Any:
    """Walk the schema to a path of a bundle."""
    for part in re.findall(r"[^.\[\]]+|\[\d+\]", path):
        if part.startswith("["):
            schema = schema["items"]
        elif part in schema.get("properties", {}):
            schema = schema["properties"][part]
        else:
            assert isinstance(schema["additionalProperties"], dict), path
            schema = schema["additionalProperties"]
    return schema


def test_each_readers_table_of_fields_is_the_schemas(monkeypatch: pytest.MonkeyPatch) -> None:
    found = tables_of_readers(monkeypatch)
    assert len(found) > 40
    for path, (need, may) in found.items():
        here = at(SCHEMA, path)
        assert set(here["properties"]) == need | may, path
        assert set(here["required"]) == need, path
        assert here["additionalProperties"] is False, path


def test_an_unknown_key_is_refused_by_both_wherever_it_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paths = tables_of_readers(monkeypatch)
    text = FILES[MAIN_FILE].decode()
    tried = 0
    for path in paths:
        if path and path not in parse_bundle(FILES).places:
            continue
        document = read(FILES)
        below = document
        for part in re.findall(r"[^.\[\]]+|\[\d+\]", path):
            below = below[int(part[1:-1]) if part.startswith("[") else part]
        below["zzz"] = "x"
        assert not VALIDATOR.is_valid(document), path
        with pytest.raises(MalformedError) as caught:
            parse_bundle({**FILES, MAIN_FILE: json.dumps(document).encode()})
        assert caught.value.name == "unknown_key", path
        tried += 1
    assert tried > 40
    assert "zzz" not in text


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (("blast_radius: severe", "blast_radius: huge"), "huge"),
        (("for: 20m", "for: 20 minutes"), "20 minutes"),
        (("version: 7", "version: seven"), "seven"),
        (("passkeys: approve", "passkeys: some"), "some"),
        (("until: 2026-12-31", "until: December"), "December"),
        (("  orders-repair:\n", "  Orders-Repair:\n"), "Orders-Repair"),
    ],
)
def test_what_an_editor_underlines_no_reader_takes(change: tuple[str, str], where: str) -> None:
    files = files_of("example", change)
    assert any(where in each.message for each in VALIDATOR.iter_errors(read(files)))
    with pytest.raises(MalformedError):
        parse_bundle(files)


def test_a_new_bundle_names_its_schema_and_the_file_is_no_part_of_it() -> None:
    assert STARTER[MAIN_FILE].decode().splitlines()[0] == EDITOR_LINE
    assert SCHEMA_FILE not in STARTER
