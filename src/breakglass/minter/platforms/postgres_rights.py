"""What a template lets a holder leave behind in a database, as the server itself judges it.

A grant that may create can leave code that others run. So such a template is refused, unless the
maintainers signed that this glass may create (``may`` in the scope of its card).
"""

from __future__ import annotations

import psycopg
from psycopg.rows import scalar_row

_SHOWN_AT_MOST = 3

# Rights that make something which outlives a session: objects, triggers on tables of others, files
# and programs of the server's machine, rights that are handed on. Temporary objects die with their
# session; large objects and default privileges are data of the role's own, and whoever may log in
# may make those.
_MAY_LEAVE = b"""
select pg_catalog.format('create on database %%I', pg_catalog.current_database())
 where pg_catalog.has_database_privilege(%(role)s, pg_catalog.current_database(), 'create')
union all
select pg_catalog.format('create on schema %%I', n.nspname) from pg_catalog.pg_namespace n
 where n.nspname !~ '^pg_(temp|toast)'
   and pg_catalog.has_schema_privilege(%(role)s, n.oid, 'create')
union all
select pg_catalog.format('trigger on %%s', c.oid::pg_catalog.regclass) from pg_catalog.pg_class c
 where c.relkind in ('r', 'p', 'v', 'f') and c.relacl is not null
   and pg_catalog.has_table_privilege(%(role)s, c.oid, 'trigger')
union all
select pg_catalog.format('usage on foreign data wrapper %%I', w.fdwname)
  from pg_catalog.pg_foreign_data_wrapper w
 where pg_catalog.has_foreign_data_wrapper_privilege(%(role)s, w.oid, 'usage')
union all
select pg_catalog.format('it owns %%s',
                         pg_catalog.pg_describe_object(s.classid, s.objid, s.objsubid))
  from pg_catalog.pg_shdepend s
 where s.deptype = 'o' and s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
   and s.dbid in (0, (select d.oid from pg_catalog.pg_database d
                       where d.datname = pg_catalog.current_database()))
   and s.refobjid in (select r.oid from pg_catalog.pg_roles r
                       where pg_catalog.pg_has_role(%(role)s, r.oid, 'usage'))
union all
select pg_catalog.format('it is a member of %%I', r.rolname) from pg_catalog.pg_roles r
 where (r.rolname in ('pg_write_server_files', 'pg_execute_server_program',
                      'pg_create_subscription') or r.rolsuper)
   and pg_catalog.pg_has_role(%(role)s, r.oid, 'usage')
union all
select pg_catalog.format('%%s on %%s with grant option', pg_catalog.lower(x.privilege_type),
                         pg_catalog.pg_describe_object(s.classid, s.objid, s.objsubid))
  from pg_catalog.pg_shdepend s
  left join pg_catalog.pg_class c on c.oid = s.objid and s.objsubid = 0
        and s.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
  left join pg_catalog.pg_attribute a on a.attrelid = s.objid and a.attnum = s.objsubid
        and s.objsubid <> 0 and s.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
  left join pg_catalog.pg_proc p on p.oid = s.objid
        and s.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
  left join pg_catalog.pg_namespace n on n.oid = s.objid
        and s.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
  left join pg_catalog.pg_database d on d.oid = s.objid
        and s.classid = 'pg_catalog.pg_database'::pg_catalog.regclass
  cross join lateral pg_catalog.aclexplode(
    coalesce(c.relacl, a.attacl, p.proacl, n.nspacl, d.datacl)) x
 where s.deptype = 'a' and s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
   and s.dbid in (0, (select h.oid from pg_catalog.pg_database h
                       where h.datname = pg_catalog.current_database()))
   and s.refobjid in (select r.oid from pg_catalog.pg_roles r
                       where pg_catalog.pg_has_role(%(role)s, r.oid, 'usage'))
   and x.grantee = s.refobjid and x.is_grantable
union all
select pg_catalog.format('it may grant %%s', m.roleid::pg_catalog.regrole)
  from pg_catalog.pg_auth_members m
 where m.admin_option and pg_catalog.pg_has_role(%(role)s, m.member, 'usage')
limit %(most)s
"""


def may_leave(session: psycopg.Connection, role: str) -> str:
    """Return by which rights ``role`` can leave something behind in the session's database.

    Empty where it can leave nothing that others would run.

    Raises:
        psycopg.errors.UndefinedObject: no such role.
    """
    with session.cursor(row_factory=scalar_row) as cursor:
        cursor.execute(_MAY_LEAVE, {"role": role, "most": _SHOWN_AT_MOST}, prepare=True)
        return ", ".join(str(each)[:100] for each in cursor.fetchall())
