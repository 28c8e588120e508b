"""Whether a bucket's policy denies what it must, judged without asking a cloud.

Only *denials that surely hold* are found: a statement with an element or an operator that is not
known here is taken to deny nothing. So the answer may be too gloomy, and not too rosy.
Source: AWS IAM user guide, «Policy evaluation logic» and «Condition operators».
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import translate
from typing import Any

from breakglass.errors import MalformedError

_SOME_OBJECT = f"{'0' * 64}/seg/{0:012d}"
_GOOD_PUT = {
    "s3:if-none-match": "*",
    "s3:object-lock-mode": "COMPLIANCE",
    "s3:object-lock-remaining-retention-days": "400",
}

_BAD_PUTS = (
    ("s3:if-none-match", "s3:PutObject without If-None-Match"),
    ("s3:object-lock-mode", "s3:PutObject without a lock in compliance mode"),
)

BUCKET_ACTIONS = (
    "s3:PutBucketPolicy",
    "s3:DeleteBucketPolicy",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutLifecycleConfiguration",
    "s3:PutBucketVersioning",
    "s3:DeleteBucket",
)
OBJECT_ACTIONS = ("s3:DeleteObject", "s3:DeleteObjectVersion", "s3:BypassGovernanceRetention")


@dataclass(frozen=True)
class PolicyQuestion:
    """One request: who, what, on what, and the condition keys that it carries."""

    principal: str  # ARN
    action: str
    resource: str
    keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class BucketPolicy:
    """The statements of a bucket policy, or of a service control policy."""

    statements: tuple[Mapping[str, Any], ...]

    @classmethod
    def parse(cls, text: str) -> BucketPolicy:
        """Read a policy document.

        Raises:
            MalformedError: no JSON, or not an object with statements.
        """
        try:
            value = json.loads(text)
            statements = value["Statement"]
        except (ValueError, RecursionError, KeyError, TypeError) as error:
            raise MalformedError("policy is no JSON object with a 'Statement'") from error
        found = statements if isinstance(statements, list) else [statements]
        if not all(isinstance(each, dict) and "Effect" in each for each in found):
            raise MalformedError("policy holds a statement without an 'Effect'")
        return cls(tuple(found))

    def denies(self, asked: PolicyQuestion) -> bool:
        """Say whether a statement denies this request for sure."""
        return any(each["Effect"] == "Deny" and _applies(each, asked) for each in self.statements)


def undenied(policy: BucketPolicy, bucket: str, *, aws: bool = True) -> Iterator[str]:
    """Name each thing that must be denied to everybody but the seal role, and is not.

    Asked for principals that no exception can name: a role and the root of an account, and a
    role of another one.

    Args:
        policy: the bucket's.
        bucket: its name.
        aws: whether the store knows AWS's condition keys. Where it is another, statements with
            conditions count for nothing (Ceph lets those of unknown keys deny nothing), and what
            can only be said by one is not asked.
    """
    arn = f"arn:aws:s3:::{bucket}"
    wanted: list[tuple[str, str, dict[str, str], str]]
    wanted = [(action, arn, {}, action) for action in BUCKET_ACTIONS]
    wanted += [(action, f"{arn}/{_SOME_OBJECT}", {}, action) for action in OBJECT_ACTIONS]
    if not aws:
        policy = BucketPolicy(tuple(each for each in policy.statements if "Condition" not in each))
    for missing, words in _BAD_PUTS if aws else ():
        keys = {key: value for key, value in _GOOD_PUT.items() if key != missing}
        wanted.append(("s3:PutObject", f"{arn}/{_SOME_OBJECT}", keys, words))
    everybody = (
        "arn:aws:iam::111122223333:role/somebody-9f1c",
        "arn:aws:iam::111122223333:root",
        "arn:aws:iam::444455556666:role/somebody-9f1c",
    )
    for action, resource, keys, words in wanted:
        if not all(policy.denies(PolicyQuestion(who, action, resource, keys)) for who in everybody):
            yield words


def denies_good_put(policy: BucketPolicy, bucket: str, principal: str) -> bool:
    """Say whether the policy denies the very put that an archiver makes."""
    resource = f"arn:aws:s3:::{bucket}/{_SOME_OBJECT}"
    return policy.denies(PolicyQuestion(principal, "s3:PutObject", resource, _GOOD_PUT))


_ELEMENTS = {
    "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource",
    "NotResource", "Condition",
}  # fmt: skip


def _applies(statement: Mapping[str, Any], asked: PolicyQuestion) -> bool:
    if statement.keys() - _ELEMENTS:
        return False
    if "Principal" in statement and not _is_principal(statement["Principal"], asked.principal):
        return False
    if "NotPrincipal" in statement and _is_principal(statement["NotPrincipal"], asked.principal):
        return False
    action, resource = asked.action.lower(), asked.resource
    if "NotAction" in statement:
        acts = not _matches(_texts(statement["NotAction"], lower=True), action)
    else:
        acts = _matches(_texts(statement.get("Action", []), lower=True), action)
    if "NotResource" in statement:
        lies = not _matches(_texts(statement["NotResource"]), resource)
    else:
        lies = _matches(_texts(statement.get("Resource", [])), resource)
    return acts and lies and _holds(statement.get("Condition", {}), asked)


def _is_principal(wanted: Any, principal: str) -> bool:
    if isinstance(wanted, dict):
        wanted = _texts(wanted.get("AWS", []))
    account = principal.split(":")[4]
    names = {"*", principal, account, f"arn:aws:iam::{account}:root"}
    return bool(names & set(_texts(wanted)))


def _holds(conditions: Any, asked: PolicyQuestion) -> bool:
    if not isinstance(conditions, dict):
        return False
    keys = {key.lower(): value for key, value in asked.keys.items()}
    keys["aws:principalarn"] = asked.principal
    return all(
        _condition(operator, _texts(values), keys.get(key.lower()))
        for operator, pairs in conditions.items()
        for key, values in (pairs.items() if isinstance(pairs, dict) else [("", [])])
    )


def _condition(operator: str, values: list[str], given: str | None) -> bool:
    name = operator.removesuffix("IfExists")
    if name == "Null":
        return values == [str(given is None).lower()]
    negated = name.replace("Not", "", 1) if "Not" in name else ""
    test = _OPERATORS.get(negated or name)
    if test is None:
        return False  # not known here, so nothing is claimed
    if given is None:
        # A key that is not there: true for the negated operators and for …IfExists.
        return bool(negated) or name != operator
    return any(test(given, value) for value in values) != bool(negated)


def _number(test: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    def compared(given: str, value: str) -> bool:
        try:
            return test(float(given), float(value))
        except ValueError:
            return False

    return compared


_OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda given, value: given == value,
    "StringLike": lambda given, value: _matches([value], given),
    "ArnEquals": lambda given, value: _matches([value], given),
    "ArnLike": lambda given, value: _matches([value], given),
    "Bool": lambda given, value: given.lower() == value.lower(),
    "NumericEquals": _number(lambda given, value: given == value),
    "NumericLessThan": _number(lambda given, value: given < value),
    "NumericLessThanEquals": _number(lambda given, value: given <= value),
    "NumericGreaterThan": _number(lambda given, value: given > value),
    "NumericGreaterThanEquals": _number(lambda given, value: given >= value),
}


def _matches(patterns: list[str], text: str) -> bool:
    # Only * and ? mean something in a policy; fnmatch's brackets do not.
    return any(
        re.fullmatch(translate(pattern.replace("[", "[[]")), text) is not None
        for pattern in patterns
    )


def _texts(value: Any, *, lower: bool = False) -> list[str]:
    found = [str(each) for each in (value if isinstance(value, list) else [value])]
    return [each.lower() for each in found] if lower else found
