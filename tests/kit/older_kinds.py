"""The release of breakglass that knows set 1 of the kinds alone, as a start module.

    python -m tests.kit.older_kinds broker FOLDER

``of_set_1`` makes any process that release; nothing else can ask for it.
"""

from __future__ import annotations

import sys
from importlib import import_module

from breakglass.records import all_kinds, kind_sets
from breakglass.records.fold.kind_registry import Registry

SET_1 = Registry(tuple(each for each in all_kinds.KINDS.rules if each.since == 1))


def of_set_1() -> None:
    """Make this process the earlier release, before anything imports the fold."""
    kind_sets.NEWEST = 1
    all_kinds.KINDS = SET_1


if __name__ == "__main__":
    of_set_1()
    from breakglass.process.serving import process_main

    room = sys.argv[1]
    sys.exit(process_main(sys.argv[2:], import_module(f"breakglass.{room}.app").build, room))
