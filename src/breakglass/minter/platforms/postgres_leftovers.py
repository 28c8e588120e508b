"""What a dead grant's role has made in one database: made harmless, and told.

Nothing is given to another owner: a view or a function runs with its owner's rights, and whoever
got it would lend it theirs. It stays the dead role's, which has no login, no membership and no
right but over its own things. What could still run with the rights of whoever touches it is made to
run as that role, and nobody else is let in, until an administrator has read it and hands it over.
Source: PostgreSQL's documentation of CREATE FUNCTION («SECURITY DEFINER») and «Rules and
Privileges».
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta

import psycopg
from psycopg.rows import scalar_row

from breakglass.clock import Deadline
from breakglass.minter.platforms.postgres_sessions import said
from breakglass.records.encoding.text_types import one_line

log = logging.getLogger("breakglass.minter")
_AT_A_TIME = 500
_WITHIN = timedelta(seconds=10)  # of shutting; then what there is is told
_CODE_AT_MOST = 40
_DEFINITION_AT_MOST = 300

# The trigger of somebody else's table, the index, the default and the view all call a function with
# the rights of whoever writes or reads there; a definer's function lends them none.
_OPEN_ROUTINES = b"""
select pg_catalog.format('alter routine %%s security definer', p.oid::pg_catalog.regprocedure)
  from pg_catalog.pg_proc p
 where p.proowner = %(oid)s and p.prokind in ('f', 'p') and not p.prosecdef
 order by p.oid limit %(most)s
"""
_OPEN_RIGHTS = b"""
with things(what, acl) as (
  select pg_catalog.format('routine %%s', p.oid::pg_catalog.regprocedure),
         coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))
    from pg_catalog.pg_proc p where p.proowner = %(oid)s
  union all
  select pg_catalog.format('%%s %%s', case c.relkind when 'S' then 'sequence' else 'table' end,
                           c.oid::pg_catalog.regclass), coalesce(a.attacl, c.relacl)
    from pg_catalog.pg_class c
    left join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attacl is not null
   where c.relowner = %(oid)s and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
  union all
  select pg_catalog.format('table %%s', c.oid::pg_catalog.regclass), c.relacl
    from pg_catalog.pg_class c
   where c.relowner = %(oid)s and c.relkind in ('r', 'p', 'v', 'm', 'f')
  union all
  select pg_catalog.format('type %%s', t.oid::pg_catalog.regtype),
         coalesce(t.typacl, pg_catalog.acldefault('T', t.typowner))
    from pg_catalog.pg_type t left join pg_catalog.pg_class c on c.oid = t.typrelid
   where t.typowner = %(oid)s and t.typtype in ('b', 'c', 'd', 'e', 'r') and t.typcategory <> 'A'
     and coalesce(c.relkind, 'c') = 'c'
  union all
  select pg_catalog.format('foreign server %%I', s.srvname), s.srvacl
    from pg_catalog.pg_foreign_server s where s.srvowner = %(oid)s
  union all
  select pg_catalog.format('large object %%s', l.oid), l.lomacl
    from pg_catalog.pg_largeobject_metadata l where l.lomowner = %(oid)s and l.lomacl is not null)
select distinct pg_catalog.format('revoke all on %%s from %%s cascade', t.what,
         coalesce(pg_catalog.quote_ident(r.rolname), 'public'))
  from things t cross join lateral pg_catalog.aclexplode(t.acl) x
  left join pg_catalog.pg_roles r on r.oid = x.grantee
 where x.grantee <> %(oid)s
 order by 1 limit %(most)s
"""
_RUNNING_SUBSCRIPTIONS = b"""
select pg_catalog.format('alter subscription %%I disable', s.subname)
  from pg_catalog.pg_subscription s join pg_catalog.pg_database d on d.oid = s.subdbid
 where s.subowner = %(oid)s and s.subenabled and d.datname = pg_catalog.current_database()
 limit %(most)s
"""
_FOREIGN_TRIGGERS = b"""
select p.oid::pg_catalog.regprocedure::pg_catalog.text, t.tgrelid,
       pg_catalog.left(pg_catalog.pg_get_triggerdef(t.oid), 2000),
       pg_catalog.left(pg_catalog.pg_get_functiondef(p.oid), 2000),
       exists(select from pg_catalog.pg_depend d
               where d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
                 and d.refobjid = p.oid
                 and d.classid <> 'pg_catalog.pg_trigger'::pg_catalog.regclass)
  from pg_catalog.pg_trigger t join pg_catalog.pg_proc p on p.oid = t.tgfoid
  join pg_catalog.pg_class c on c.oid = t.tgrelid
 where p.proowner = %(oid)s and c.relowner <> %(oid)s and t.tgparentid = 0
 order by t.oid limit %(most)s
"""
_WHO_HOLDS = b"""
select pg_catalog.format('pid %%s (%%s)', a.pid, a.usename)
  from pg_catalog.pg_locks l join pg_catalog.pg_stat_activity a on a.pid = l.pid
 where l.locktype = 'relation' and l.relation = %(oid)s and l.granted
   and l.database = (select d.oid from pg_catalog.pg_database d
                      where d.datname = pg_catalog.current_database())
   and a.pid <> pg_catalog.pg_backend_pid() limit %(most)s
"""
# Cut at the server: a body may have a gigabyte.
_CODE = b"""
select c.kind, c.name, pg_catalog.left(c.text, 2000) from (
  select 'function' as kind, p.oid::pg_catalog.regprocedure::pg_catalog.text as name,
         case when p.prokind in ('f', 'p') then pg_catalog.pg_get_functiondef(p.oid) else '' end
           as text
    from pg_catalog.pg_proc p where p.proowner = %(oid)s
  union all
  select case c.relkind when 'v' then 'view' else 'materialized view' end,
         c.oid::pg_catalog.regclass::pg_catalog.text, pg_catalog.pg_get_viewdef(c.oid)
    from pg_catalog.pg_class c where c.relowner = %(oid)s and c.relkind in ('v', 'm')
  union all
  select 'trigger', t.tgname::pg_catalog.text, pg_catalog.pg_get_triggerdef(t.oid)
    from pg_catalog.pg_trigger t join pg_catalog.pg_class c on c.oid = t.tgrelid
   where c.relowner = %(oid)s and not t.tgisinternal
  union all
  select 'rule', w.rulename::pg_catalog.text, pg_catalog.pg_get_ruledef(w.oid)
    from pg_catalog.pg_rewrite w join pg_catalog.pg_class c on c.oid = w.ev_class
   where c.relowner = %(oid)s and w.rulename <> '_RETURN'
  union all
  select 'policy', pg_catalog.format('%%I on %%s', p.polname, p.polrelid::pg_catalog.regclass),
         coalesce(pg_catalog.pg_get_expr(p.polqual, p.polrelid),
                  pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid), '')
    from pg_catalog.pg_policy p join pg_catalog.pg_class c on c.oid = p.polrelid
   where c.relowner = %(oid)s
  union all
  select 'constraint', o.conname::pg_catalog.text, pg_catalog.format('on %%s: %%s',
         o.conrelid::pg_catalog.regclass, pg_catalog.pg_get_constraintdef(o.oid))
    from pg_catalog.pg_constraint o join pg_catalog.pg_class c on c.oid = o.conrelid
    join pg_catalog.pg_class f on f.oid = o.confrelid
   where c.relowner = %(oid)s and f.relowner <> %(oid)s
) c limit %(most)s
"""
# Sorts are told apart before anything is named: to name 200,000 objects takes longer than we have.
_OWNED = b"""
with owned as (
  select s.classid, s.objid,
         pg_catalog.count(*) over sort as total,
         pg_catalog.row_number() over (sort order by s.objid) as number
    from pg_catalog.pg_shdepend s
    left join pg_catalog.pg_class c
      on c.oid = s.objid and s.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
    left join pg_catalog.pg_proc p
      on p.oid = s.objid and s.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
   where s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass and s.refobjid = %(oid)s
     and s.deptype = 'o' and s.dbid in (0, (select d.oid from pg_catalog.pg_database d
                                             where d.datname = pg_catalog.current_database()))
     and s.classid not in ('pg_catalog.pg_default_acl'::pg_catalog.regclass,
                           'pg_catalog.pg_user_mapping'::pg_catalog.regclass)
  window sort as (partition by s.classid, c.relkind, p.prokind))
select i.type, o.total, pg_catalog.array_agg(i.identity order by o.objid)
  from owned o cross join lateral pg_catalog.pg_identify_object(o.classid, o.objid, 0) i
 where o.number <= 5
 group by i.type, o.total order by i.type
"""
# What somebody else granted, and DROP OWNED by us took not: the right, the thing, and by whom.
_HELD = b"""
select pg_catalog.format('%%s on %%s, granted by %%s',
         coalesce(pg_catalog.string_agg(distinct pg_catalog.lower(x.privilege_type), ', '),
                  'a right'),
         pg_catalog.pg_describe_object(s.classid, s.objid, s.objsubid),
         coalesce(r.rolname, 'its owner'))
  from pg_catalog.pg_shdepend s
  left join pg_catalog.pg_class c on c.oid = s.objid and s.objsubid = 0
        and s.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
  left join pg_catalog.pg_attribute a on a.attrelid = s.objid and a.attnum = s.objsubid
        and s.objsubid <> 0 and s.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
  left join pg_catalog.pg_proc p on p.oid = s.objid
        and s.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
  left join pg_catalog.pg_type t on t.oid = s.objid
        and s.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
  left join pg_catalog.pg_namespace n on n.oid = s.objid
        and s.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
  left join pg_catalog.pg_database d on d.oid = s.objid
        and s.classid = 'pg_catalog.pg_database'::pg_catalog.regclass
  left join pg_catalog.pg_default_acl e on e.oid = s.objid
        and s.classid = 'pg_catalog.pg_default_acl'::pg_catalog.regclass
  left join lateral pg_catalog.aclexplode(coalesce(c.relacl, a.attacl, p.proacl, t.typacl,
        n.nspacl, d.datacl, e.defaclacl)) x on x.grantee = s.refobjid
  left join pg_catalog.pg_roles r on r.oid = x.grantor
 where s.deptype = 'a' and s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
   and s.refobjid = %(oid)s and (%(shared)s and s.dbid = 0
        or s.dbid = (select h.oid from pg_catalog.pg_database h
                      where h.datname = pg_catalog.current_database()))
 group by s.classid, s.objid, s.objsubid, r.rolname
 order by 1 limit %(most)s
"""
_HELD_AT_MOST = 20


class Leftovers:
    """The things of one role in one database; calling again goes on from where they stand.

    Args:
        session: the minter's own, at that database.
        oid: of the role.
    """

    def __init__(self, session: psycopg.Connection, oid: int) -> None:
        self._session = session
        self._of = {"oid": oid}
        self._deadline = Deadline(_WITHIN)

    def shut(self) -> list[str]:
        """Let nothing of the role's run with another's rights, and nobody else use it.

        Returns what could not be shut, and what was taken from tables of others.

        Raises:
            psycopg.Error: the target went away; call again.
        """
        left: list[str] = []
        # (1) Code runs as the dead role. A crash before this leaves what the grant itself was
        #     allowed to leave; after it, code that may do nothing.
        left += self._all("made harmless", _OPEN_ROUTINES)
        # (2) Nobody but the role is let in; no definer's function lends even what the role owns.
        left += self._all("shut to others", _OPEN_RIGHTS)
        # (3) Nothing of it goes on working by itself.
        left += self._all("stopped", _RUNNING_SUBSCRIPTIONS)
        # (4) A trigger on a table of others would go on seeing rows after the grant's end.
        left += self._drop_foreign_triggers()
        return left

    def owned(self) -> list[str]:
        """Return what the role owns here, code with its definition first, in bounded lines."""
        kinds = self._session.execute(_OWNED, self._of).fetchall()
        lines = []
        if kinds:
            found = self._session.execute(_CODE, {**self._of, "most": _CODE_AT_MOST}).fetchall()
            lines = [
                f"{kind} {name}: {one_line(str(text), _DEFINITION_AT_MOST)}"
                for kind, name, text in found
            ]
        for kind, count, names in kinds:
            more = ", …" if count > len(names) else ""
            lines.append(f"{count} of type {kind}: {', '.join(map(str, names))}{more}")
        return lines

    def held(self, shared: bool) -> list[str]:
        """Return which rights of the role somebody else gave it, and we may not take.

        Args:
            shared: those on things of the whole cluster too.
        """
        with self._session.cursor(row_factory=scalar_row) as cursor:
            cursor.execute(_HELD, {**self._of, "most": _HELD_AT_MOST, "shared": shared})
            return [f"not taken: {each}" for each in cursor.fetchall()]

    def _all(self, what: str, query: bytes) -> list[str]:
        """Run the statements that a query writes, until it writes none."""
        refused: dict[str, str] = {}
        while todo := [each for each in self._statements(query) if each not in refused]:
            if self._deadline.over:
                refused["the rest"] = "too much for one time; each sweep goes on"
                break
            try:
                self._session.execute("; ".join(todo).encode())
            except psycopg.Error:
                if self._session.closed:
                    raise
                refused |= self._one_by_one(todo)
        return [f"not {what}: {each}: {why}" for each, why in refused.items()]

    def _one_by_one(self, statements: list[str]) -> dict[str, str]:
        refused = {}
        for each in statements:
            try:
                self._session.execute(each.encode())
            except psycopg.Error as error:
                if self._session.closed:
                    raise
                refused[each] = said(error)
        return refused

    def _statements(self, query: bytes) -> list[str]:
        with self._session.cursor(row_factory=scalar_row) as cursor:
            cursor.execute(query, {**self._of, "most": _AT_A_TIME})
            return [str(each) for each in cursor.fetchall()]

    def _drop_foreign_triggers(self) -> Iterator[str]:
        rows = self._session.execute(_FOREIGN_TRIGGERS, {**self._of, "most": _AT_A_TIME}).fetchall()
        dropped: set[str] = set()
        for function, table, trigger, code, used in rows:
            text = f"{one_line(trigger, 160)}: {one_line(code, _DEFINITION_AT_MOST)}"
            if used:
                yield f"left, since others use its function too: {text}"
                continue
            if function not in dropped:
                # A crash behind the drop loses the line of ``dead``; so the text stands here too.
                log.warning("ending: dropping a dead grant's trigger: %s", text)
                try:
                    self._session.execute(f"drop function {function} cascade".encode())
                except psycopg.errors.LockNotAvailable:
                    yield f"still there, its table is locked by {self._holders(table)}: {text}"
                    continue
                dropped.add(function)
            yield f"dropped: {text}"

    def _holders(self, table: int) -> str:
        with self._session.cursor(row_factory=scalar_row) as cursor:
            cursor.execute(_WHO_HOLDS, {"oid": table, "most": 5})
            return ", ".join(map(str, cursor.fetchall())) or "somebody, a moment ago"
