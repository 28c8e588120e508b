"""README's picture is the recording, drawn; ``tests/demo`` holds the recording to the demo."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from tests.kit.picture import drawing, recorded

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"


def test_the_picture_is_what_the_script_draws_of_the_recording() -> None:
    drawn = drawing().draw(recorded())
    assert (ROOT / "docs" / "pictures" / "demo.svg").read_text("utf-8") == drawn


def test_every_word_of_the_recording_can_be_read_in_the_picture() -> None:
    tree = ET.fromstring((ROOT / "docs" / "pictures" / "demo.svg").read_text("utf-8"))
    lines = ["".join(each.itertext()) for each in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert lines == recorded()
    assert any("granted    orders-repair" in line for line in lines)
    assert any("refused" in line for line in lines)


def test_the_readme_begins_with_the_picture_and_the_two_commands() -> None:
    first_screen = README.read_text("utf-8").split("\n## ")[:2]
    text = "".join(first_screen)
    assert "docs/pictures/demo.svg" in text
    assert "make demo" in text
    assert "make test" in text
