"""A company of the size that the limits promise, from `policy check` to a broken glass."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from breakglass.policy.people import PEOPLE_AT_MOST

from .isolated import Person, running_up


def test_ten_thousand_people_with_two_keys_each_go_from_check_to_a_break(tmp_path: Path) -> None:
    mira = Person.at(tmp_path)
    assert mira.types("breakglass", "init", "org", "--as", "mira", "--key", str(mira.key)).code == 0
    with running_up(mira, "org"):
        mira.cwd = mira.cwd / "org"
        _hire(mira.cwd / "bundle", PEOPLE_AT_MOST - 2)
        for words in (
            ("policy", "check", "bundle"),
            ("policy", "sign", "--sign-here"),
            ("policy", "activate"),
        ):
            said = mira.types("breakglass", *words, within_s=300)
            assert said.code == 0, said.err
        said = mira.types("breakglass", "break", "hello", "--why", "all is red", "--json")
        assert said.code == 0, said.err
        grant = json.loads(said.out)["grant"]
        # The card has one root for all of them, so the token does not grow with the company.
        token = mira.types(
            "breakglass", "gate", "token", grant, "--gate", "hello-gate", "--for", "7"
        )
        assert 0 < len(token.out) < 12_000


def _hire(bundle: Path, many: int) -> None:
    names = [f"person-{number:05}" for number in range(many)]
    people = "".join(
        f'  {name}: {{name: {name}, keys: ["{_key()}", "{_key()}"]}}\n' for name in names
    )
    text = (bundle / "breakglass.yaml").read_text()
    text = re.sub(r"(?m)^version: 1\b", "version: 2", text, count=1)
    text = re.sub(r"(?m)^(people:.*\n)", lambda found: found[1] + people, text, count=1)
    text = text.replace("members: [mira]", f"members: [mira, {', '.join(names)}]")
    (bundle / "breakglass.yaml").write_text(text)
    commit = (
        "-c",
        "user.name=mira",
        "-c",
        "user.email=mira@shop.example",
        "commit",
        "-qam",
        "hire",
    )
    subprocess.run(["git", "-C", str(bundle), *commit], check=True)


def _key() -> str:
    public = Ed25519PrivateKey.generate().public_key()
    return public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
