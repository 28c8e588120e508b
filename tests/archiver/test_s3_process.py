"""A whole archiver process on a bucket: settings, cosignatures, evidence, and rebuilding."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.archiver.app import build
from breakglass.archiver.rebuild import main
from breakglass.archiver.s3_settings import S3Settings
from breakglass.clock import SystemClock
from breakglass.errors import MisconfiguredError
from breakglass.ledger.export import export
from breakglass.submit.outbox import Outbox
from breakglass.tlog.checkpoint import parse_checkpoint
from tests.kit.processes import LogSet, draft, make_log_set
from tests.kit.s3 import CEPH, bucket_on, client_for


def with_bucket(made: LogSet, settings: S3Settings) -> None:
    """Let the archiver put into this bucket."""
    table = {
        "bucket": settings.bucket,
        "endpoint": settings.endpoint,
        "path_style": True,
        "credentials": str(settings.credentials),
        "prefix": settings.prefix,
        "records_kept_days": 2,
    }
    lines = ['ledger = "../ledger"', "[s3]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    (made.archiver.folder / "settings.toml").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("kind", ["strict", CEPH])
def test_a_ledger_with_its_archive_in_a_bucket_gives_the_same_tree_back(
    kind: str, tmp_path: Path
) -> None:
    with bucket_on(kind, tmp_path / "keys") as settings:
        made = make_log_set(
            tmp_path / "set", witnesses=1, needed=1, ledger_settings="ask_within_s = 10"
        )
        with_bucket(made, settings)
        (tmp_path / "outbox").mkdir()
        sender = Outbox(
            made.ledger.neighbour(), made.submitters[0], tmp_path / "outbox", SystemClock()
        )
        try:
            made.start()
            picture = b"a picture" * 1000
            for number, attached in enumerate([(), (picture,), ()]):
                # The quorum asks for the archiver: a receipt means that it has stored.
                sender.append(
                    [draft(f"record-{number}", attachments=attached)], timedelta(seconds=30)
                )
            # Somebody puts another history over the first segment; the archiver starts anew.
            client = client_for(settings)
            listed = client.list_object_versions(Bucket=settings.bucket, Prefix=settings.prefix)
            keys = [each["Key"] for each in listed["Versions"]]
            (segment,) = [key for key in keys if key.endswith("/seg/000000000000")]
            head = client.head_object(Bucket=settings.bucket, Key=segment)
            assert head["ObjectLockMode"] == "COMPLIANCE"
            client.put_object(Bucket=settings.bucket, Key=segment, Body=b"another history")
            made.archiver.stop()
            made.archiver.start()
            sender.append([draft("record-3")], timedelta(seconds=30))
            told = made.archiver.neighbour().get("/healthz").json()
            assert told["tampering"] == 1
        finally:
            sender.close()
            made.kill()
        kept = (made.archiver.folder / "data" / "evidence.jsonl").read_text()
        line = json.loads(kept)
        assert (line["kind"], line["name"]) == ("second_version", segment)
        rebuilt, exported = tmp_path / "rebuilt", tmp_path / "exported"
        assert main([str(made.archiver.folder), "--to", str(rebuilt)]) == 0
        assert export(made.ledger.folder, exported, policy_text=made.policy.text) == 4
        for path in sorted(exported.rglob("*")):
            name = path.relative_to(exported)
            if path.is_file() and name.parts[0] in ("tile", "attachment"):
                assert (rebuilt / name).read_bytes() == path.read_bytes(), name
        heads = [
            parse_checkpoint((each / "checkpoint").read_bytes())[0] for each in (rebuilt, exported)
        ]
        assert heads[0] == heads[1]


def test_two_places_for_one_archive_are_refused(tmp_path: Path) -> None:
    made = make_log_set(tmp_path / "set", witnesses=1, needed=1)
    settings = made.archiver.folder / "settings.toml"
    settings.write_text('ledger = "../ledger"\nstore = "here"\n[s3]\nbucket = "there"\n')
    with pytest.raises(MisconfiguredError, match="'store' and 's3' are two places; name one"):
        build(made.archiver.folder, SystemClock())
    settings.write_text('ledger = "../ledger"\n[s3]\nbucket = "b"\nrecords_kept_days = 0\n')
    with pytest.raises(MisconfiguredError, match="at least 1 day"):
        build(made.archiver.folder, SystemClock())
