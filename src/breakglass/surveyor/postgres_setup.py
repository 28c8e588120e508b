"""The SQL that an administrator runs once, so that a surveyor may read and can do nothing else."""

from __future__ import annotations

from collections.abc import Sequence


def setup_statements(role: str, databases: Sequence[str], password: str = "") -> tuple[str, ...]:
    """Return what an administrator runs once, in order; no right to read any table is among it.

    Args:
        role: the role that the surveyor logs in as; it must not exist yet.
        databases: those that let nobody in without being told.
        password: of ``role``, better as a SCRAM verifier; empty where it is set afterwards.

    >>> for each in setup_statements("surveyor", ["orders"]):
    ...     print(each)
    create role "surveyor" login
    grant connect on database "orders" to "surveyor"
    grant execute on function pg_catalog.pg_hba_file_rules() to "surveyor"
    grant select on pg_catalog.pg_hba_file_rules to "surveyor"
    """
    who = _quoted(role)
    secret = f" password '{password.replace(chr(39), chr(39) * 2)}'" if password else ""
    return (
        f"create role {who} login{secret}",
        *(f"grant connect on database {_quoted(each)} to {who}" for each in databases),
        # Functions of pg_catalog are granted in one database; the surveyor asks in the first one.
        f"grant execute on function pg_catalog.pg_hba_file_rules() to {who}",
        f"grant select on pg_catalog.pg_hba_file_rules to {who}",
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
