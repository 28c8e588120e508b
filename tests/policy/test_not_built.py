"""What this version cannot do is one table, refused where it stands, and written on one page."""

from __future__ import annotations

from breakglass.policy.bundle import MAIN_FILE
from breakglass.policy.folder import read_bundle
from breakglass.policy.not_built import NOT_BUILT, PAGE, page, refused_fields
from breakglass.policy.parse import parse_bundle
from tests.kit.not_built_page import ROOT
from tests.policy.kit import EXAMPLE

FILES = read_bundle(EXAMPLE)


def test_the_page_is_the_table():
    assert (ROOT / PAGE).read_text() == page()


def test_the_example_asks_for_every_part_and_each_place_is_named_by_line_and_column():
    bundle = parse_bundle(FILES)
    assert all(each.places(bundle) for each in NOT_BUILT)
    found = [str(each) for each in refused_fields(bundle)]
    lines = FILES[MAIN_FILE].decode().splitlines()
    for path, key in (
        ("glasses.aws-root.seal", "seal:"),
        ("glasses.deploy-rollback.mint.kubernetes", "kubernetes:"),
        ("machines.rollback-on-5xx.glass", "glass: deploy-rollback"),
    ):
        (said,) = [each for each in found if f" {path}: " in each]
        file, line, column, _ = said.split(":", 3)
        assert file == MAIN_FILE
        assert lines[int(line) - 1][int(column) - 1 :].startswith(key), said
        assert "not built yet: " in said
    assert found == sorted(found, key=lambda each: int(each.split(":")[1]))


def test_an_incident_from_anywhere_is_not_one_from_outside():
    text = FILES[MAIN_FILE].replace(b"incident_source: outside", b"incident_source: any")
    bundle = parse_bundle({**FILES, MAIN_FILE: text})
    assert not [each for each in refused_fields(bundle) if each.path.endswith("incident_source")]


def test_what_is_only_kept_is_refused_nowhere():
    refused = {each.path for each in refused_fields(parse_bundle(FILES))}
    kept = [each for each in NOT_BUILT if not each.refused]
    assert kept
    assert all(refused.isdisjoint(each.places(parse_bundle(FILES))) for each in kept)


def test_networks_are_refused_where_the_platform_does_not_bind_to_them():
    source = (
        b"minter: orders-db, database: orders, may_create: true, template: breakglass_orders_ddl"
    )
    ssh = b"minter: orders-db, host: web-1, account: deploy"
    text = FILES[MAIN_FILE]
    assert text.count(source) == 1
    swapped = text.replace(source, ssh)
    at = swapped.rindex(b"postgres:", 0, swapped.index(ssh))
    swapped = swapped[:at] + swapped[at:].replace(b"postgres:", b"ssh:", 1)
    for bundle, refused in ((text, True), (swapped, False)):
        found = refused_fields(parse_bundle({**FILES, MAIN_FILE: bundle}))
        assert any(each.path.endswith(".source") for each in found) == refused
