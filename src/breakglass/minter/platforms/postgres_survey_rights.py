"""What a minter's role could read that only a survey needs: two identities, or none is least.

Whoever mints writes at the target. A role that also reads who is let in without a password, or
every row, is a map for whoever takes it over; the surveyor has that, and can write nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
from psycopg.rows import scalar_row

from breakglass.minter.platforms.platform import Finding
from breakglass.minter.platforms.postgres_setup import quoted

_RULES = "pg_hba_file_rules"
_MAY_READ = b"""
select r.rolname from pg_catalog.pg_roles r
 where r.rolname in ('pg_monitor', 'pg_read_all_data', 'pg_read_all_settings')
   and pg_catalog.pg_has_role(r.oid, 'member')
union all
select 'pg_hba_file_rules'
 where pg_catalog.has_function_privilege('pg_catalog.pg_hba_file_rules()', 'execute')
   and pg_catalog.has_table_privilege('pg_catalog.pg_hba_file_rules', 'select')
 order by 1
"""


def survey_findings(session: psycopg.Connection, role: str) -> Iterator[Finding]:
    """Say what ``role``, the session's own and no superuser, could read beyond what minting needs.

    Raises:
        psycopg.Error: the target went away.
    """
    with session.cursor(row_factory=scalar_row) as cursor:
        found = [str(each) for each in cursor.execute(_MAY_READ).fetchall()]
    for each in found:
        rules = each == _RULES
        yield Finding(
            f"the minter's role {role!r} may read what only a survey needs: {each}",
            f"revoke execute on function pg_catalog.{_RULES}() from {quoted(role)}"
            if rules
            else f"revoke {each} from {quoted(role)}; a surveyor has a role of its own",
        )
