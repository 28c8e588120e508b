"""docs/how-to/a-minter-of-your-own.md, typed as it stands, at a real Redis."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.embedded.isolated import Person, Typed, running_up
from tests.kit.processes import until
from tests.kit.redis_server import RedisTarget, redis_target
from tests.kit.typed_page import Act, acts_of

PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/a-minter-of-your-own.md"
PROGRAM = "/usr/local/bin/redis-minter --settings /etc/redis-minter.json"
_EXAMPLE = "g-7kq3m2x4p5ab"


@pytest.fixture
def redis() -> Iterator[RedisTarget]:
    with redis_target() as target:
        target.admin().run("SET", "checkout:7", "stale")
        target.admin().run("SET", "cart:7", "full")
        yield target


@pytest.fixture
def mira(tmp_path: Path) -> Person:
    person = Person.at(tmp_path)
    said = person.types("breakglass", "init", "org", "--as", "mira", "--key", str(person.key))
    assert said.code == 0, said.err
    return person


def put_in(person: Person, act: Act) -> None:
    assert act.file == "glass"
    file = person.cwd / "org" / "bundle" / "breakglass.yaml"
    text = file.read_text().replace("version: 1 ", "version: 2 ", 1)
    file.write_text(text.replace("\nchannels:", f"\n{act.text}\nchannels:", 1))
    git = ["git", "-C", str(file.parent), "-c", "user.name=mira", "-c", "user.email=m@x"]
    subprocess.run([*git, "commit", "-qam", "a cache"], check=True)


def types(person: Person, act: Act, redis: RedisTarget, grant: str) -> Typed:
    line = act.text.replace(PROGRAM, shlex.join(redis.argv)).replace(_EXAMPLE, grant or _EXAMPLE)
    said = person.types(*shlex.split(line))
    assert said.code == 0, f"{line}: {said.err}"
    return said


def test_every_line_of_the_page_can_be_typed(mira: Person, redis: RedisTarget) -> None:
    acts = acts_of(PAGE)
    made = next(number for number, each in enumerate(acts) if "minter add" in each.text)
    with running_up(mira):
        for act in acts[: made + 1]:
            types(mira, act, redis, "")
    grant = ""
    with running_up(mira):
        for act in acts[made + 1 :]:
            if act.file:
                put_in(mira, act)
                continue
            said = types(mira, act, redis, grant)
            grant = said.row("grant") if " break " in act.text else grant
            if " run " in act.text:
                assert said.out.strip() == "1"  # one key less
                assert redis.admin().run("GET", "cart:7") == "$4"
        until(lambda: not [line for line in redis.admin().lines("ACL", "LIST") if "bg_" in line])
