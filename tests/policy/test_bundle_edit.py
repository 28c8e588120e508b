"""A small change to a policy keeps every other byte, or says where to write what."""

from __future__ import annotations

import pytest

from breakglass.errors import RefusedError
from breakglass.policy import bundle_edit
from breakglass.policy.bundle import MAIN_FILE
from breakglass.policy.folder import read_bundle
from breakglass.policy.parse import Bundle, parse_bundle
from breakglass.policy.starter import starter_bundle
from tests.kit.people import SoftPasskey
from tests.policy.kit import EXAMPLE

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILA99s7pMuL4aED0bzqXkto+PQ1OvA7ldyNk8uYabZS3"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILwExn8SfgNEsAi4nqTVAB04q+thDpga7xORI8bPBxh1"
THIRD = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEjzS3bCsQzI7oIW8vQyUHdcRYNzGlgUvWHnoCN7jMrz"


@pytest.fixture
def starter() -> str:
    files = starter_bundle(
        organisation="shop.example", person="mira", key=KEY, second="second", second_key=OTHER
    )
    return files[MAIN_FILE].decode()


@pytest.fixture
def example() -> str:
    return read_bundle(EXAMPLE)[MAIN_FILE].decode()


def read(text: str) -> Bundle:
    return parse_bundle({MAIN_FILE: text.encode()})


def changed(before: str, after: str) -> tuple[list[str], list[str]]:
    old, new = before.split("\n"), after.split("\n")
    return [each for each in old if each not in new], [each for each in new if each not in old]


def test_the_version_changes_and_its_comment_stays(starter):
    after = bundle_edit.with_version(starter, 12)
    assert read(after).version == 12
    gone, come = changed(starter, after)
    assert gone == ["version: 1                        # one more at each activation"]
    assert come == ["version: 12                        # one more at each activation"]


def test_a_person_joins_with_a_line_of_their_own_and_again_changes_nothing(starter):
    after = bundle_edit.with_person(starter, "kim", [f"{THIRD} kim@laptop"], "Kim")
    assert read(after).directory.people["kim"].keys == (THIRD,)
    assert changed(starter, after) == ([], [f'  kim: {{name: "Kim", keys: ["{THIRD}"]}}'])
    assert bundle_edit.with_person(after, "kim", [THIRD]) == after
    with pytest.raises(RefusedError, match=r"breakglass.yaml:\d+:\d+: .* changed by hand"):
        bundle_edit.with_person(after, "kim", [OTHER])


def test_a_passkey_is_the_same_with_its_comment_and_another_of_its_host_is_not(starter):
    ours, theirs = (SoftPasskey.of(name).public for name in ("kim", "eve"))
    after = bundle_edit.with_person(starter, "kim", [ours])
    assert bundle_edit.with_person(after, "kim", [f"{ours} kim's phone"]) == after
    with pytest.raises(RefusedError, match="changed by hand"):
        bundle_edit.with_person(after, "kim", [theirs])


def test_who_reads_every_grant_leaves_that_list_too(starter):
    text = starter.replace("kill: [mira, second]", "kill: [mira, second]\nreaders: [mira, kim]")
    text = bundle_edit.with_person(text, "kim", [THIRD])
    after = bundle_edit.without_person(text, "kim")
    assert read(after).readers == ("mira",)
    assert "kim" not in read(after).directory.people
    alone = text.replace("readers: [mira, kim]", "readers: [kim]")
    with pytest.raises(RefusedError, match="changed by hand"):
        bundle_edit.without_person(alone, "kim")


def test_a_person_leaves_every_list_and_nothing_else_changes(example):
    after = bundle_edit.without_person(example, "teo")
    policy = read(after)
    assert "teo" not in policy.directory.people
    assert policy.directory.groups["oncall-shop"].members == ("mira",)
    gone, come = changed(example, after)
    assert come == ["  oncall-shop: {members: [mira], certified: {by: sam, on: 2026-10-01}}"]
    assert len(gone) == 6  # the name, four fields, and the list
    assert bundle_edit.without_person(after, "teo") == after


@pytest.mark.parametrize(
    ("who", "place"),
    [("sam", "certified"), ("noor", "seal"), ("escrow", "seal")],
)
def test_who_has_a_place_of_their_own_gives_it_to_somebody_else_first(example, who, place):
    with pytest.raises(RefusedError) as caught:
        bundle_edit.without_person(example, who)
    assert caught.value.name == "by_hand"
    assert f"somebody else in the place of {who}" in caught.value.hint


def test_a_list_is_never_left_empty(starter):
    with pytest.raises(RefusedError, match=r"breakglass.yaml:\d+:\d+"):
        bundle_edit.without_person(starter.replace("kill: [mira, second]", "kill: [mira]"), "mira")


def test_maintainers_change_in_their_own_line(starter):
    text = bundle_edit.with_person(starter, "kim", [THIRD])
    after = bundle_edit.with_need(
        bundle_edit.with_people(text, "maintainers.of", ["kim", "mira", "second"]), 3
    )
    found = read(after).maintainers
    assert (found.need, found.of) == (3, ("kim", "mira", "second"))


def test_a_channel_takes_the_place_of_its_name_and_keeps_the_comment(starter):
    after = bundle_edit.with_channel(starter, "file-2", '{webhook: "secret:chat"}')
    assert read(after).channels["file-2"].secret == "chat"
    assert "# for trying out; before it matters" in after
    more = bundle_edit.with_channel(after, "audit", '{log_file: "audit.log"}')
    assert read(more).channels["audit"].target == "audit.log"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: bundle_edit.with_people(text, "kill", ["mira"]), "write there: kill: [mira]"),
        (lambda text: bundle_edit.with_version(text, 2), "write there: version: 2"),
    ],
)
def test_what_stands_in_another_form_is_said_with_the_line_to_write(starter, change, message):
    text = starter.replace("kill: [mira, second]", "kill:\n  - mira\n  - second")
    text = text.replace("version: 1 ", 'version: "1" ')
    with pytest.raises(RefusedError) as caught:
        change(text)
    assert caught.value.hint == message
