"""The policies that people copy from the how-to, judged and tried; and the judge itself."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from breakglass.archiver.bucket_policy import (
    BUCKET_ACTIONS,
    OBJECT_ACTIONS,
    BucketPolicy,
    PolicyQuestion,
    denies_good_put,
    undenied,
)
from breakglass.archiver.s3_store import S3ObjectStore
from breakglass.clock import SystemClock
from breakglass.errors import MalformedError
from tests.kit.s3 import client_for, made_bucket, settings_for, shared_ceph, with_keys
from tests.kit.strict_s3_server import running_strict_s3

PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/ledger-in-another-account.md"
BUCKET = "example-breakglass-archive"
ARCHIVER = "arn:aws:iam::444455556666:role/breakglass-archiver"
SEAL = "arn:aws:iam::444455556666:role/breakglass-archive-seal"
MALLORY = "arn:aws:iam::444455556666:role/administrator"
OBJECT = f"arn:aws:s3:::{BUCKET}/{'0' * 64}/seg/000000000000"
LOCKED = {
    "s3:if-none-match": "*",
    "s3:object-lock-mode": "COMPLIANCE",
    "s3:object-lock-remaining-retention-days": "2557",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def document(sid: str, which: int = 0) -> str:
    """The JSON document on the page that holds a statement of this name."""
    return [each for each in blocks("json") if f'"{sid}"' in each][which]


POLICY = document("NothingIsDeletedOrHidden")
CEPH_POLICY = document("NothingIsDeletedOrHidden", 1)
SCP = document("TheArchiveStays")


def test_every_document_on_the_page_parses_and_names_its_statements() -> None:
    sids = []
    for text in blocks("json"):
        value = json.loads(text)
        assert value["Version"] == "2012-10-17"
        assert all({"Sid", "Effect", "Action"} <= each.keys() for each in value["Statement"])
        sids.append([each["Sid"] for each in value["Statement"]])
    assert len(sids) == 7
    assert all(len(set(each)) == len(each) for each in sids)


def test_every_command_on_the_page_is_whole() -> None:
    for text in blocks("sh"):
        quotes = text.replace("\\\n", " ")
        assert quotes.count("'") % 2 == 0
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    named = set(re.findall(r"file\(\"\$\{path.module\}/(.*?)\"\)", "".join(blocks("hcl"))))
    named |= set(re.findall(r"file://(\S+)", "".join(blocks("sh"))))
    assert {name for name in named if f"`{name}`" not in PAGE.read_text()} == set()


@pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not installed")
def test_the_terraform_on_the_page_is_well_formed(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text("".join(blocks("hcl")))
    subprocess.run(["terraform", "fmt", "-check", "main.tf"], cwd=tmp_path, check=True, timeout=60)


def test_the_bucket_policy_denies_what_it_must_and_lets_the_archiver_put() -> None:
    policy = BucketPolicy.parse(POLICY)
    assert list(undenied(policy, BUCKET)) == []
    assert not denies_good_put(policy, BUCKET, ARCHIVER)
    assert denies_good_put(policy, BUCKET, MALLORY)
    assert not policy.denies(PolicyQuestion(MALLORY, "s3:GetObjectVersion", OBJECT))
    for action in BUCKET_ACTIONS:
        assert not policy.denies(PolicyQuestion(SEAL, action, f"arn:aws:s3:::{BUCKET}"))


@pytest.mark.parametrize(
    ("without", "allowed"),
    [
        ("NothingIsDeletedOrHidden", OBJECT_ACTIONS),
        ("TheBucketStaysAsItIs", BUCKET_ACTIONS),
    ],
)
def test_a_statement_that_lacks_is_missed(without: str, allowed: tuple[str, ...]) -> None:
    value = json.loads(POLICY)
    value["Statement"] = [each for each in value["Statement"] if each["Sid"] != without]
    assert list(undenied(BucketPolicy.parse(json.dumps(value)), BUCKET)) == [
        each for each in (*BUCKET_ACTIONS, *OBJECT_ACTIONS) if each in allowed
    ]


@pytest.mark.parametrize("key", sorted(LOCKED))
def test_the_archivers_own_keys_cannot_put_otherwise_than_it_does(key: str) -> None:
    policy = BucketPolicy.parse(POLICY)
    assert not policy.denies(PolicyQuestion(ARCHIVER, "s3:PutObject", OBJECT, LOCKED))
    worse = {
        "s3:if-none-match": None,
        "s3:object-lock-mode": "GOVERNANCE",
        "s3:object-lock-remaining-retention-days": "30",
    }
    keys = {name: value for name, value in {**LOCKED, key: worse[key]}.items() if value}
    assert policy.denies(PolicyQuestion(ARCHIVER, "s3:PutObject", OBJECT, keys))
    probe = f"arn:aws:s3:::{BUCKET}/doctor/20260622"
    day = {**LOCKED, "s3:object-lock-remaining-retention-days": "1"}
    assert not policy.denies(PolicyQuestion(ARCHIVER, "s3:PutObject", probe, day))


def test_the_control_policy_binds_root_and_keeps_roles_and_account() -> None:
    policy = BucketPolicy.parse(SCP)
    root = "arn:aws:iam::444455556666:root"
    for action in BUCKET_ACTIONS:
        assert policy.denies(PolicyQuestion(root, action, f"arn:aws:s3:::{BUCKET}")), action
    for action in OBJECT_ACTIONS:
        assert policy.denies(PolicyQuestion(root, action, OBJECT)), action
    for action in ("account:CloseAccount", "organizations:LeaveOrganization"):
        assert policy.denies(PolicyQuestion(SEAL, action, "*"))
    assert policy.denies(PolicyQuestion(MALLORY, "iam:UpdateAssumeRolePolicy", SEAL))
    assert not policy.denies(
        PolicyQuestion(MALLORY, "s3:DeleteObject", "arn:aws:s3:::another/thing")
    )


def test_on_the_strict_store_the_policy_holds_and_the_archiver_works(tmp_path: Path) -> None:
    with running_strict_s3() as (strict, address):
        kept = {"records_kept_days": 400, "recordings_kept_days": 400}
        settings = settings_for(tmp_path, address, "archiver", "s", **kept)
        owner = made_bucket(settings)
        strict.principals |= {"archiver": ARCHIVER, "mallory": MALLORY, "seal": SEAL}
        policy = POLICY.replace(BUCKET, settings.bucket)
        owner.put_bucket_policy(Bucket=settings.bucket, Policy=policy)
        store = S3ObjectStore(settings, SystemClock())
        assert store.put_if_absent("0a/seg/000000000000", b"one")
        assert store.get("0a/seg/000000000000") == b"one"
        mallory = client_for(with_keys(settings, tmp_path, "mallory", "s"))
        for who in (owner, mallory):
            for attempt in _attempts(who, settings.bucket):
                with pytest.raises(who.exceptions.ClientError, match="AccessDenied"):
                    attempt()


@pytest.mark.xdist_group("ceph")
def test_on_ceph_its_own_policy_holds_and_the_one_for_aws_would_not(tmp_path: Path) -> None:
    ceph = shared_ceph()
    settings = settings_for(tmp_path, ceph.endpoint, ceph.access, ceph.secret)
    owner = made_bucket(settings)
    mallory = client_for(with_keys(settings, tmp_path, *ceph.add_user("mallory")))
    aws = BucketPolicy.parse(POLICY)
    assert list(undenied(aws, BUCKET, aws=False)) == [*BUCKET_ACTIONS, *OBJECT_ACTIONS]
    assert list(undenied(BucketPolicy.parse(CEPH_POLICY), BUCKET, aws=False)) == []
    # Mallory is let in on purpose: only the denials are to be seen.
    value = json.loads(CEPH_POLICY.replace(BUCKET, settings.bucket))
    value["Statement"][0]["Principal"]["AWS"].append("arn:aws:iam:::user/mallory")
    text = json.dumps(value)
    owner.put_bucket_policy(Bucket=settings.bucket, Policy=text)
    store = S3ObjectStore(settings, SystemClock())
    assert store.put_if_absent("0a/seg/000000000000", b"one")
    for who in (owner, mallory):
        for attempt in _attempts(who, settings.bucket):
            with pytest.raises(who.exceptions.ClientError, match="AccessDenied"):
                attempt()
    with pytest.raises(mallory.exceptions.ClientError, match="AccessDenied"):
        mallory.put_object(Bucket=settings.bucket, Key="0a/seg/000000000001", Body=b"x")
    assert store.get("0a/seg/000000000000") == b"one"


def _attempts(who: Any, bucket: str) -> list[Any]:
    key = {"Bucket": bucket, "Key": "0a/seg/000000000000"}
    rule = {"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    lifecycle = {"Bucket": bucket, "LifecycleConfiguration": {"Rules": [rule]}}
    lock = {"Bucket": bucket, "ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}}
    return [
        lambda: who.delete_object(**key),
        lambda: who.put_bucket_policy(Bucket=bucket, Policy=POLICY.replace(BUCKET, bucket)),
        lambda: who.delete_bucket_policy(Bucket=bucket),
        lambda: who.put_bucket_lifecycle_configuration(**lifecycle),
        lambda: who.put_object_lock_configuration(**lock),
    ]


@pytest.mark.parametrize(
    ("statement", "denied"),
    [
        ({"Principal": "*", "Action": "*", "Resource": "*"}, True),
        ({"Principal": {"AWS": "*"}, "Action": "s3:delete*", "Resource": "*"}, True),
        ({"Principal": {"AWS": "444455556666"}, "Action": "s3:*", "Resource": "*"}, True),
        ({"Principal": {"AWS": SEAL}, "Action": "s3:*", "Resource": "*"}, False),
        ({"NotPrincipal": {"AWS": SEAL}, "Action": "s3:*", "Resource": "*"}, True),
        ({"NotPrincipal": {"AWS": MALLORY}, "Action": "s3:*", "Resource": "*"}, False),
        ({"Principal": "*", "NotAction": "s3:Get*", "Resource": "*"}, True),
        ({"Principal": "*", "NotAction": "s3:Delete*", "Resource": "*"}, False),
        ({"Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{BUCKET}"}, False),
        ({"Principal": "*", "Action": "s3:*", "NotResource": "*/doctor/*"}, True),
        ({"Principal": "*", "Action": "s3:*", "Resource": "*", "Unheard": 1}, False),
        ({"Condition": {"Null": {"s3:x": "true"}}}, True),
        ({"Condition": {"Null": {"s3:x": "false"}}}, False),
        ({"Condition": {"StringEquals": {"s3:x": "y"}}}, False),
        ({"Condition": {"StringEqualsIfExists": {"s3:x": "y"}}}, True),
        ({"Condition": {"StringNotEquals": {"s3:x": "y"}}}, True),
        ({"Condition": {"ArnNotLike": {"aws:PrincipalArn": "arn:*:role/admin*"}}}, False),
        ({"Condition": {"ArnNotEquals": {"aws:PrincipalArn": [SEAL]}}}, True),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}}, False),
        ({"Condition": {"ForAllValues:StringEquals": {"s3:x": "y"}}}, False),
        ({"Condition": {"NumericLessThan": {"s3:days": "365"}}}, False),
    ],
)
def test_a_denial_is_found_only_where_it_surely_holds(statement: Any, denied: bool) -> None:
    base = {"Effect": "Deny"}
    if "Condition" in statement:
        base |= {"Principal": "*", "Action": "s3:*", "Resource": "*"}
    policy = BucketPolicy.parse(json.dumps({"Statement": {**base, **statement}}))
    assert policy.denies(PolicyQuestion(MALLORY, "s3:DeleteObject", OBJECT)) is denied


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"Statement": [1]}', '{"Statement": [{}]}'])
def test_what_is_no_policy_is_said(text: str) -> None:
    with pytest.raises(MalformedError, match="policy"):
        BucketPolicy.parse(text)
