"""Who signs a policy sees what it changes, from the bytes that are in force."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from breakglass.cli.client import find
from breakglass.cli.policy_difference import tell_difference
from breakglass.clock import to_milliseconds
from breakglass.policy.bundle import pack_bundle
from tests.kit.lying_broker import SoftOrganisation, responder
from tests.kit.people import SoftKey

FILES = {"breakglass.yaml": b"version: 7\nglasses:\n  a: {for: 10m}\n", "x.cedar": b"permit;\n"}
NEXT = {"breakglass.yaml": b"version: 8\nglasses:\n  a: {for: 12h}\n", "y.cedar": b"forbid;\n"}


def organisation() -> SoftOrganisation:
    now = to_milliseconds(datetime.now(UTC))
    people = {"mira": SoftKey.of("mira with a key file"), "sam": SoftKey.of("sam")}
    return SoftOrganisation(now=now, bundle=pack_bundle(FILES), people=dict(people))


def test_every_line_that_changes_is_shown(tmp_path: Path) -> None:
    with responder(tmp_path, organisation()) as mira:
        client = find(str(tmp_path))
        assert tell_difference(client, FILES) == ["the policy in force says the very same"]
        told = tell_difference(client, NEXT)
        for line in ("-  a: {for: 10m}", "+  a: {for: 12h}", "-permit;", "+forbid;"):
            assert line in told
        assert "--- in force: breakglass.yaml" in told
        digest = mira.broker.org.policy_digest
        mira.broker.org.log.attachments[digest] = pack_bundle(NEXT)  # a broker that lies
        (said,) = tell_difference(client, NEXT)
        assert said.startswith(
            "no difference to the policy in force can be shown: the broker gives"
        )
    (said,) = tell_difference(client, NEXT)
    assert said.startswith("no difference to the policy in force can be shown: 'broker' at ")
