"""What the catalogues of a whole cluster still say of roles that are gone.

The server itself tells which of its columns name a role (``pg_get_catalog_foreign_keys``) and
which hold an access list, so a newer server is read whole too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg

from tests.kit.postgres import Postgres

_KEYS = """
select fktable::text, fkcols[1], is_array from pg_get_catalog_foreign_keys()
 where pktable = 'pg_authid'::regclass and array_length(fkcols, 1) = 1
"""
_LISTS = """
select c.oid::regclass::text, a.attname from pg_attribute a join pg_class c on c.oid = a.attrelid
 where a.atttypid = 'aclitem[]'::regtype and c.relkind = 'r'
   and c.relnamespace = 'pg_catalog'::regnamespace
"""
_OTHERS = {
    "pg_shdepend": "select refobjid from pg_shdepend where refclassid = 'pg_authid'::regclass"
    " and refobjid <> 0",
    "pg_shdepend of it": "select objid from pg_shdepend where classid = 'pg_authid'::regclass",
    "pg_shdescription": "select objoid from pg_shdescription"
    " where classoid = 'pg_authid'::regclass",
    "pg_shseclabel": "select objoid from pg_shseclabel where classoid = 'pg_authid'::regclass",
}


def gone_roles_remains(server: Postgres) -> list[str]:
    """Return each place of each database that names a role which does not exist, in words.

    Prepared transactions are told whoever owns them, since their owner is a name.
    """
    found = [f"pg_prepared_xacts: {each}" for each in server.column("select gid from"
             " pg_prepared_xacts")]  # fmt: skip
    for database in server.column("select datname from pg_database where datallowconn"):
        with server.connected(dbname=database) as session:
            found += [f"{database}: {each}" for each in _remains(session)]
    return found


def _remains(session: psycopg.Connection[Any]) -> Iterator[str]:
    queries = dict(_OTHERS)
    for table, column, many in session.execute(_KEYS.encode()).fetchall():
        one = f"unnest({column})" if many else column
        queries[f"{table}.{column}"] = f"select {one} from {table}"
    for table, column in session.execute(_LISTS.encode()).fetchall():
        for whose in ("grantee", "grantor"):
            name = f"{table}.{column} {whose}"
            queries[name] = f"select x.{whose} from {table}, aclexplode({column}) x"
    for name, query in queries.items():
        gone = f"select distinct id from ({query}) t(id) where id <> 0 and not exists"
        rows = session.execute(
            f"{gone} (select from pg_authid r where r.oid = id)".encode()
        ).fetchall()
        yield from (f"{name}: {oid}" for (oid,) in rows)
