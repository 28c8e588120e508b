"""The page on asking, and the help, typed as they stand by people at a real organisation."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tests.broker.shop import Shop
from tests.cli.commands import help_of
from tests.cli.test_ask_terminals import NIGHT_S, mira, sam, shop, two
from tests.embedded.isolated import Person
from tests.kit.pty_terminal import at_terminal
from tests.kit.typed_page import acts_of

__all__ = ["mira", "sam", "shop", "two"]
PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/ask-and-approve.md"
_EXAMPLE = "g-7kq3m2x4p5ab"


def test_every_line_of_the_page_can_be_typed(shop: Shop, mira: Person, sam: Person) -> None:
    people, grant, typed = {"mira": mira, "sam": sam}, "", []
    for act in acts_of(PAGE):
        words = shlex.split(act.text.replace(_EXAMPLE, grant or _EXAMPLE))
        if words[1] == "requests" and act.who == "sam":
            # The first was taken back above; somebody asks again.
            again = mira.types(*words[:1], "ask", "orders-repair", *_WORDS, "--no-wait")
            grant = again.row("asked").split(",")[0]
        if words[1] == "ask" and "--again" not in words:
            with at_terminal(mira, *words) as screen:
                screen.shows("waiting; Ctrl-C", NIGHT_S)
                grant = screen.row("asked").split(",")[0]
                screen.interrupts()
                assert screen.ends(NIGHT_S) == 130
        else:
            said = people[act.who].types(*words)
            assert said.code == 0, f"{act.text}: {said.err}"
        typed.append(words[1])
    assert typed == ["ask", "ask", "requests", "withdraw", "requests", "refuse"]
    assert shop.void() == []


_WORDS = ("--incident", "INC-4821", "--why", "checkout 5xx after 7c118")


def test_help_and_what_is_printed_lead_to_the_everyday_credential(
    shop: Shop, mira: Person, sam: Person
) -> None:
    """Nobody has read a page: one command asks, and every further line is printed."""
    (line,) = re.findall(r"^ +(breakglass ask .*)$", help_of(""), re.MULTILINE)
    with at_terminal(mira, *shlex.split(line)) as screen:
        screen.shows("waiting; Ctrl-C", NIGHT_S)
        listed = sam.types("breakglass", "requests")
        (answer,) = re.findall(r"(breakglass approve g-\w+)", listed.err)
        with at_terminal(sam, *answer.split()) as other:
            other.shows("[y/N]", NIGHT_S)
            other.types("y")
            assert other.ends(NIGHT_S) == 0, other.seen
        assert screen.ends(NIGHT_S) == 0, screen.seen
    grant = screen.row("grant")
    assert f"next: breakglass psql {grant}" in screen.seen
    login = mira.types("breakglass", "run", grant, "--", "printenv", "PGUSER")
    assert login.out.strip().startswith("bg_"), login.err
    assert mira.types("breakglass", "done", grant).code == 0
