"""Who signs a policy reads what it changes for whom, from the bytes that are in force."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from click.testing import CliRunner

from breakglass.cli.client import find
from breakglass.cli.main import breakglass
from breakglass.cli.policy_difference import tell_difference
from breakglass.clock import to_milliseconds
from breakglass.policy.bundle import MAIN_FILE, pack_bundle
from tests.kit.lying_broker import SoftOrganisation, responder
from tests.kit.people import SoftKey
from tests.policy.kit import files_of

FILES: dict[str, bytes] = files_of("demo") | {"x.cedar": b"permit;\n"}
NEXT: dict[str, bytes] = files_of("demo", ("version: 1", "version: 2"), ("for: 20m", "for: 12h"))
NEXT |= {"y.cedar": b"forbid;\n"}


def organisation() -> SoftOrganisation:
    now = to_milliseconds(datetime.now(UTC))
    people = {"mira": SoftKey.of("mira with a key file"), "sam": SoftKey.of("sam")}
    return SoftOrganisation(now=now, bundle=pack_bundle(FILES), people=dict(people))


def folder_of(place: Path, files: Mapping[str, bytes]) -> str:
    place.mkdir()
    for name, content in files.items():
        (place / name).write_bytes(content)
    return str(place)


def test_every_line_that_changes_is_shown(tmp_path: Path) -> None:
    with responder(tmp_path, organisation()) as mira:
        client = find(str(tmp_path))
        assert tell_difference(client, FILES) == ["policy 1 stays as it is: the very same text"]
        told = tell_difference(client, NEXT)
        words = "widens    orders-repair: lasts at most 12h (before: 20m)"
        assert told[0].startswith("policy 1 -> 2: what widens power 3,")
        assert told[1] == words
        for line in ("-    for: 20m", "+    for: 12h", "-permit;", "+forbid;"):
            assert told.index(line) > told.index(words)
        assert "--- before: breakglass.yaml" in told
        digest = mira.broker.org.policy_digest
        mira.broker.org.log.attachments[digest] = pack_bundle(NEXT)  # a broker that lies
        (said,) = tell_difference(client, NEXT)
        assert said.startswith(
            "no difference to the policy in force can be shown: the broker gives"
        )
    (said,) = tell_difference(client, NEXT)
    assert said.startswith("no difference to the policy in force can be shown: 'broker' at ")


def test_many_lines_are_cut_and_the_command_that_shows_all_is_named(tmp_path: Path) -> None:
    long = {**FILES, "x.cedar": b"".join(b"permit %d;\n" % n for n in range(200))}
    with responder(tmp_path, organisation()):
        told = tell_difference(find(str(tmp_path)), long)
    assert told[-1] == "… and 144 lines more: breakglass policy diff --in-force --lines"
    assert len(told) < 80


def test_diff_compares_two_folders_or_one_with_what_is_in_force(tmp_path: Path) -> None:
    old, new = folder_of(tmp_path / "old", FILES), folder_of(tmp_path / "new", NEXT)
    run = CliRunner()
    said = run.invoke(breakglass, ["policy", "diff", old, new])
    assert said.exit_code == 0
    assert said.output.splitlines()[1] == "widens    orders-repair: lasts at most 12h (before: 20m)"
    lines = run.invoke(breakglass, ["policy", "diff", old, new, "--lines"]).output.splitlines()
    assert "+    for: 12h" in lines
    read = json.loads(run.invoke(breakglass, ["policy", "diff", old, new, "--json"]).output)
    assert read["version"] == 2
    assert read["changes"][0] == {
        "effect": "widens", "text": "orders-repair: lasts at most 12h (before: 20m)"
    }  # fmt: skip
    with responder(tmp_path, organisation()):
        here = ["policy", "diff", "--in-force", new, "--org", str(tmp_path)]
        assert run.invoke(breakglass, here).stdout == said.stdout
    none = run.invoke(breakglass, ["policy", "diff"])
    assert none.exit_code == 2
    assert "give OLD and NEW, or --in-force and NEW" in none.output


def test_what_moves_a_terminals_cursor_is_shown_by_its_code(tmp_path: Path) -> None:
    old = folder_of(tmp_path / "old", FILES)
    new = folder_of(tmp_path / "new", {**FILES, "x.cedar": b"permit;\x1b[2K\n"})
    said = CliRunner().invoke(breakglass, ["policy", "diff", old, new, "--lines"]).output
    assert "\x1b" not in said
    assert "permit;\\x1b[2K" in said


def test_a_bundle_that_cannot_be_read_is_told_before_its_lines(tmp_path: Path) -> None:
    broken = {MAIN_FILE: b"version: 2\n"}
    with responder(tmp_path, organisation()):
        told = tell_difference(find(str(tmp_path)), broken)
    assert told[0].startswith("no words for what changes: breakglass.yaml:1:1:")
    assert "+version: 2" not in told[0]
    assert "-version: 1" in told
