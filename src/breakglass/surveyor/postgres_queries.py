"""What privileged access is, in PostgreSQL's catalogs: one query for each category.

Each returns name, holder and the templates that give the same, at most ``most`` rows. Every name
is written with its schema, since whoever writes at a target must not choose what we call.
Source: PostgreSQL's documentation, «System Catalogs» and «Predefined Roles».
"""

from __future__ import annotations

from collections.abc import Mapping

_ATTRIBUTE = """
select '{says}', r.rolname, array[]::pg_catalog.text[] from pg_catalog.pg_roles r
 where r.{column} and not (r.rolsuper and '{column}' <> 'rolsuper')
 order by r.rolname limit %(most)s
"""
_TEMPLATES = """array(select t.name from pg_catalog.unnest(%(templates)s::pg_catalog.text[]) t(name)
   join pg_catalog.pg_roles tr on tr.rolname = t.name where {gives} order by t.name)"""


def _attribute(column: str, says: str) -> str:
    return _ATTRIBUTE.format(column=column, says=says)


CLUSTER: Mapping[str, str] = {
    "superuser": _attribute("rolsuper", "superuser"),
    "create-role": _attribute("rolcreaterole", "may create roles"),
    "create-database": _attribute("rolcreatedb", "may create databases"),
    "replication": _attribute("rolreplication", "may read all by replication"),
    "bypass-row-security": _attribute("rolbypassrls", "row security does not hold it"),
    "login-without-end": """
select 'login without VALID UNTIL', r.rolname, array[]::pg_catalog.text[]
  from pg_catalog.pg_roles r
 where r.rolcanlogin and (r.rolvaliduntil is null or r.rolvaliduntil = 'infinity')
 order by r.rolname limit %(most)s""",
    # Of what pg_monitor gives, nothing changes or reads a table; PostgreSQL has its members alone.
    "powerful-member": f"""
select 'member of ' || g.rolname, m.rolname,
       {_TEMPLATES.format(gives="pg_catalog.pg_has_role(tr.oid, g.oid, 'member')")}
  from pg_catalog.pg_auth_members a
  join pg_catalog.pg_roles g on g.oid = a.roleid join pg_catalog.pg_roles m on m.oid = a.member
 where g.rolsuper or g.rolcreaterole or g.rolreplication or g.rolbypassrls or g.rolname in (
   'pg_read_all_data', 'pg_write_all_data', 'pg_execute_server_program', 'pg_read_server_files',
   'pg_write_server_files', 'pg_signal_backend', 'pg_create_subscription', 'pg_checkpoint',
   'pg_maintain', 'pg_use_reserved_connections')
 group by g.oid, g.rolname, m.rolname order by m.rolname, g.rolname limit %(most)s""",
    "role-administrator": """
select 'may grant ' || g.rolname, m.rolname, array[]::pg_catalog.text[]
  from pg_catalog.pg_auth_members a
  join pg_catalog.pg_roles g on g.oid = a.roleid join pg_catalog.pg_roles m on m.oid = a.member
 where a.admin_option group by g.rolname, m.rolname
 order by m.rolname, g.rolname limit %(most)s""",
    "database-owner": """
select 'owner of database ' || d.datname, r.rolname, array[]::pg_catalog.text[]
  from pg_catalog.pg_database d join pg_catalog.pg_roles r on r.oid = d.datdba
 where not r.rolsuper order by d.datname limit %(most)s""",
}
"""Once for the whole cluster."""

_OURS = "n.nspname <> 'information_schema' and n.nspname !~ '^pg_'"
DATABASE: Mapping[str, str] = {
    "schema-owner": f"""
select 'owner of things in schema ' || n.nspname, r.rolname, array[]::pg_catalog.text[]
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  join pg_catalog.pg_roles r on r.oid = c.relowner
 where not r.rolsuper and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and {_OURS}
 group by n.nspname, r.rolname order by n.nspname, r.rolname limit %(most)s""",
    # By membership too: whoever may become a role has what it has.
    "table-write": f"""
with given as (
  select c.oid, x.grantee, pg_catalog.lower(x.privilege_type) as privilege
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    cross join lateral pg_catalog.aclexplode(c.relacl) x
   where c.relkind in ('r', 'p', 'v', 'f') and {_OURS} and x.grantee <> c.relowner
     and x.privilege_type in ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')),
held as (
  select g.oid, r.oid as role, r.rolname::pg_catalog.text as holder, g.privilege
    from given g join pg_catalog.pg_roles r on r.rolcanlogin and not r.rolsuper
     and g.grantee <> 0 and pg_catalog.pg_has_role(r.oid, g.grantee, 'member')
  union select g.oid, 0, 'PUBLIC', g.privilege from given g where g.grantee = 0),
whole as (
  select h.oid, h.holder, pg_catalog.string_agg(distinct h.privilege, ', ') as rights,
         pg_catalog.array_agg(distinct h.privilege) as each
    from held h group by h.oid, h.holder)
select w.rights || ' on ' || w.oid::pg_catalog.regclass::pg_catalog.text, w.holder,
       {
        _TEMPLATES.format(
            gives='''not exists(
         select from pg_catalog.unnest(w.each) p(privilege)
          where not pg_catalog.has_table_privilege(tr.oid, w.oid, p.privilege))'''
        )
    }
  from whole w order by w.holder, w.oid limit %(most)s""",
    "create-for-public": f"""
select 'create in schema ' || n.nspname, 'PUBLIC', array[]::pg_catalog.text[]
  from pg_catalog.pg_namespace n
 where {_OURS} and exists(select from pg_catalog.aclexplode(n.nspacl) x
                           where x.grantee = 0 and x.privilege_type = 'CREATE')
 order by n.nspname limit %(most)s""",
    "definer-for-public": f"""
select p.oid::pg_catalog.regprocedure::pg_catalog.text, r.rolname, array[]::pg_catalog.text[]
  from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
  join pg_catalog.pg_roles r on r.oid = p.proowner
 where p.prosecdef and {_OURS} and exists(
   select from pg_catalog.aclexplode(coalesce(p.proacl,
     pg_catalog.acldefault('f', p.proowner))) x
    where x.grantee = 0 and x.privilege_type = 'EXECUTE')
 order by p.oid limit %(most)s""",
    "event-trigger": """
select t.evtname || ' on ' || t.evtevent, r.rolname, array[]::pg_catalog.text[]
  from pg_catalog.pg_event_trigger t join pg_catalog.pg_roles r on r.oid = t.evtowner
 where t.evtenabled <> 'D' order by t.evtname limit %(most)s""",
    "publication": """
select p.pubname, r.rolname, array[]::pg_catalog.text[] from pg_catalog.pg_publication p
  join pg_catalog.pg_roles r on r.oid = p.pubowner order by p.pubname limit %(most)s""",
    "subscription": """
select s.subname, r.rolname, array[]::pg_catalog.text[] from pg_catalog.pg_subscription s
  join pg_catalog.pg_roles r on r.oid = s.subowner
  join pg_catalog.pg_database d on d.oid = s.subdbid
 where d.datname = pg_catalog.current_database() order by s.subname limit %(most)s""",
    "user-mapping": """
select 'login at server ' || m.srvname, coalesce(m.usename, 'PUBLIC'),
       array[]::pg_catalog.text[]
  from pg_catalog.pg_user_mappings m order by m.srvname, m.usename limit %(most)s""",
}
"""In each database."""

TRUST = """
select pg_catalog.format('line %%s: %%s', h.line_number, pg_catalog.concat_ws(' ', h.type,
         pg_catalog.array_to_string(h.database, ','),
         pg_catalog.array_to_string(h.user_name, ','), h.address, h.netmask)),
       pg_catalog.array_to_string(h.user_name, ','), array[]::pg_catalog.text[]
  from pg_catalog.pg_hba_file_rules h
 where h.auth_method = 'trust' order by h.line_number limit %(most)s
"""
"""Of pg_hba.conf: who is let in without any password. A superuser grants the right to read it."""

SCHEDULERS = """
select e.extname from pg_catalog.pg_extension e
 where e.extname in ('pg_cron', 'pg_timetable', 'pgagent') order by e.extname
"""

_GIVEN = "x.grantee <> 0 and pg_catalog.pg_has_role(x.grantee, 'member')"
COULD_WRITE = f"""
select case
  when r.rolsuper then 'it is a superuser'
  when r.rolcreaterole then 'it may create roles'
  when r.rolcreatedb then 'it may create databases'
  when r.rolreplication then 'it may replicate'
  when r.rolbypassrls then 'row security does not hold it'
  end from pg_catalog.pg_roles r where r.rolname = current_user
union all
select 'it is a member of ' || g.rolname from pg_catalog.pg_roles g
 where g.rolname <> current_user and pg_catalog.pg_has_role(g.oid, 'member')
   and (g.rolsuper or g.rolcreaterole or g.rolcreatedb or g.rolreplication or g.rolname in (
     'pg_write_all_data', 'pg_read_all_data', 'pg_execute_server_program', 'pg_write_server_files',
     'pg_read_server_files', 'pg_signal_backend', 'pg_create_subscription', 'pg_checkpoint',
     'pg_maintain'))
union all
select 'it may grant ' || g.rolname from pg_catalog.pg_auth_members a
  join pg_catalog.pg_roles g on g.oid = a.roleid
 where a.admin_option and pg_catalog.pg_has_role(a.member, 'member')
union all
select 'it owns ' || pg_catalog.pg_describe_object(s.classid, s.objid, s.objsubid)
  from pg_catalog.pg_shdepend s join pg_catalog.pg_roles r on r.oid = s.refobjid
 where s.deptype = 'o' and s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
   and r.rolname = current_user
   and s.dbid in (0, (select d.oid from pg_catalog.pg_database d
                       where d.datname = pg_catalog.current_database()))
union all
select 'it may create in database ' || pg_catalog.current_database()
 where pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create')
union all
select 'it may create in schema ' || n.nspname from pg_catalog.pg_namespace n
 where {_OURS} and (pg_catalog.pg_has_role(n.nspowner, 'member') or exists(
   select from pg_catalog.aclexplode(n.nspacl) x where x.privilege_type = 'CREATE' and {_GIVEN}))
union all
select 'it may write ' || c.oid::pg_catalog.regclass::pg_catalog.text
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'p', 'v', 'f') and {_OURS}
   and (pg_catalog.pg_has_role(c.relowner, 'member') or exists(
     select from pg_catalog.aclexplode(c.relacl) x where {_GIVEN}
      and x.privilege_type in ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER'))
    or exists(select from pg_catalog.pg_attribute a
               cross join lateral pg_catalog.aclexplode(a.attacl) x
               where a.attrelid = c.oid and {_GIVEN}
                 and x.privilege_type in ('INSERT', 'UPDATE')))
"""
"""Why our own role could change something here; rows that are null say nothing.

What PUBLIC may is no reason: everybody may it, and it is just what a survey has to find. The
session is read-only all the same.
"""
