"""What nobody can meet is told before anybody signs."""

from __future__ import annotations

from pathlib import Path

import pytest

from breakglass.errors import MalformedError
from breakglass.operate.maintainer_signing import sign_policy
from breakglass.policy.folder import read_bundle
from breakglass.policy.parse import parse_bundle
from breakglass.policy.unmet_conditions import unmet_conditions
from tests.kit.organisation import NOW
from tests.policy.kit import EXAMPLE


def test_a_condition_that_nobody_can_meet_is_told_before_anybody_signs(tmp_path: Path) -> None:
    files = read_bundle(EXAMPLE)
    found = list(unmet_conditions(parse_bundle(files)))
    assert [each.path for each in found] == ["glasses.key-deletion.when", "glasses.aws-root.when"]
    assert all(each.level.value == "error" for each in found)
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(MalformedError, match="asks for an incident from outside") as caught:
        sign_policy(tmp_path, "ledger.example/one", "-", [], NOW)
    assert caught.value.name == "lint"
    assert not (tmp_path / "signed").exists()
    text = files["breakglass.yaml"].decode().replace(", incident_source: outside", "")
    assert list(unmet_conditions(parse_bundle({**files, "breakglass.yaml": text.encode()}))) == []
