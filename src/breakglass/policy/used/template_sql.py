"""The SQL beside a proposal: a narrower template role, or what an old one loses.

The new role is never wider than the old ones, whatever a log says: each right is given by a
function that looks first whether an old template has it, and PUBLIC has not. Rights whose use no
log shows (schemas, sequences, functions, settings, predefined roles that are not about all data)
are carried over as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from breakglass.policy.used.proposal import DATABASES, TEMPLATES, Proposal

_GIVE = """\
create function pg_temp.give(wanted text[], relation text) returns void language plpgsql as $give$
declare
  found pg_catalog.oid := pg_catalog.to_regclass(relation);
  each text;
  template text;
  col text;
begin
  if found is null then
    raise notice 'no relation % any more', relation;
    return;
  end if;
  if exists (select from pg_catalog.pg_policy p, {old} as t(name)
             where p.polrelid = found and exists
               (select from pg_catalog.unnest(p.polroles) r where r <> 0
                 and pg_catalog.pg_has_role(t.name, r, 'usage'))) then
    raise exception 'row security of % names the old template', relation
      using hint = 'name the new template in its policies first, then take it out of this list';
  end if;
  foreach each in array wanted loop
    if pg_catalog.has_table_privilege('public', found, each) then
      continue;
    end if;
    for template in select t.name from {old} as t(name) loop
      if pg_catalog.has_table_privilege(template, found, each) then
        execute pg_catalog.format(
          'grant %s on table %s to {role}', each, found::pg_catalog.regclass);
      else
        for col in select a.attname from pg_catalog.pg_attribute a
          where a.attrelid = found and a.attnum > 0 and not a.attisdropped
            and each in ('select', 'insert', 'update')
            and pg_catalog.has_column_privilege(template, found, a.attnum, each) loop
          execute pg_catalog.format(
            'grant %s (%I) on table %s to {role}', each, col, found::pg_catalog.regclass);
        end loop;
      end if;
    end loop;
  end loop;
end $give$"""

_CARRY = """\
do $carry$
declare given record;
begin
  for given in
    select pg_catalog.format('usage on schema %I', n.nspname) as what
      from pg_catalog.pg_namespace n, {old} as t(name)
     where n.nspname !~ '^pg_' and pg_catalog.has_schema_privilege(t.name, n.oid, 'usage')
       and not pg_catalog.has_schema_privilege('public', n.oid, 'usage')
    union select pg_catalog.format('%s on sequence %s', p.name, c.oid::pg_catalog.regclass)
      from pg_catalog.pg_class c, {old} as t(name),
           (values ('usage'), ('select'), ('update')) as p(name)
     where c.relkind = 'S' and pg_catalog.has_sequence_privilege(t.name, c.oid, p.name)
       and not pg_catalog.has_sequence_privilege('public', c.oid, p.name)
    union select pg_catalog.format('execute on routine %s', f.oid::pg_catalog.regprocedure)
      from pg_catalog.pg_proc f, {old} as t(name)
     where pg_catalog.has_function_privilege(t.name, f.oid, 'execute')
       and not pg_catalog.has_function_privilege('public', f.oid, 'execute')
  loop
    execute pg_catalog.format('grant %s to {role}', given.what);
  end loop;
end $carry$"""

_TRUNCATE = """\
do $truncate$
declare given record;
begin
  for given in select distinct c.oid::pg_catalog.regclass as relation
      from pg_catalog.pg_class c, {old} as t(name)
     where c.relkind in ('r', 'p', 'f')
       and pg_catalog.has_table_privilege(t.name, c.oid, 'truncate')
  loop
    execute pg_catalog.format('grant truncate on table %s to {role}', given.relation);
  end loop;
end $truncate$"""

# What belongs to the whole cluster: who may hand the role out, predefined roles, settings.
_CLUSTER = """\
do $cluster$
declare
  given record;
  newer boolean := pg_catalog.current_setting('server_version_num')::int >= 160000;
begin
  for given in select distinct m.member::pg_catalog.regrole as minter
      from pg_catalog.pg_auth_members m join pg_catalog.pg_roles r on r.oid = m.roleid
     where m.admin_option and r.rolname in (select t.name from {old} as t(name))
  loop
    execute pg_catalog.format('grant {role} to %s with admin ', given.minter)
      || case when newer then 'true, inherit false, set false' else 'option' end;
  end loop;
  for given in select distinct r.rolname from pg_catalog.pg_roles r, {old} as t(name)
     where r.rolname ~ '^pg_' and r.rolname not in
           ('pg_read_all_data', 'pg_write_all_data', 'pg_database_owner')
       and pg_catalog.pg_has_role(t.name, r.oid, 'usage')
       and not (select s.rolsuper from pg_catalog.pg_roles s where s.rolname = t.name)
  loop
    execute pg_catalog.format('grant %I to {role}', given.rolname);
  end loop;
  for given in select distinct p.parname, w.name as how
      from pg_catalog.pg_parameter_acl p, {old} as t(name),
           (values ('set'), ('alter system')) as w(name)
     where pg_catalog.has_parameter_privilege(t.name, p.parname, w.name)
  loop
    execute pg_catalog.format('grant %s on parameter %I to {role}', given.how, given.parname);
  end loop;
end $cluster$"""


@dataclass(frozen=True)
class TargetStatement:
    """One statement, and the database that it runs in."""

    sql: str
    database: str


def target_statements(proposal: Proposal) -> tuple[TargetStatement, ...]:
    """Return what an administrator of the target runs before the policy takes force; maybe nothing.

    Args:
        proposal: of a PostgreSQL; of another platform nothing has to be run.
    """
    if proposal.mint.platform != "postgres" or not proposal.narrows:
        return ()
    return tuple(_new(proposal) if proposal.template else _less(proposal))


def target_script(statements: Sequence[TargetStatement]) -> str:
    """Return statements as a script for psql: each database's in one transaction."""
    lines = ["\\set ON_ERROR_STOP on"]
    for database, each in groupby(statements, lambda one: one.database):
        lines += [f"\\connect {quoted(database)}", "begin;"]
        lines += [f"{one.sql};" for one in each]
        lines.append("commit;")
    return "\n".join(lines) + "\n"


def quoted(name: str) -> str:
    """Return a name as an identifier of SQL.

    >>> quoted('a"b')
    '"a""b"'
    """
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as a literal of SQL.

    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def _new(proposal: Proposal) -> Iterator[TargetStatement]:
    role = quoted(proposal.template)
    names = ", ".join(f"({literal(each)})" for each in proposal.mint.scope[TEMPLATES])
    old = f"(values {names})"

    def filled(text: str) -> str:
        # Inside format() and a quoted text of SQL, % and ' of a name stand twice.
        return text.replace("{old}", old).replace(
            "{role}", role.replace("%", "%%").replace("'", "''")
        )

    first = proposal.scope[DATABASES][0]
    yield TargetStatement(f"create role {role} nologin", first)
    for database in proposal.scope[DATABASES]:
        yield TargetStatement(f"grant connect on database {quoted(database)} to {role}", first)
    yield TargetStatement(filled(_CLUSTER), first)
    for database in proposal.scope[DATABASES]:
        yield TargetStatement(filled(_GIVE), database)
        mine = [each for each in proposal.rights if each.database == database]
        for relation, rights in groupby(mine, lambda each: each.relation):
            wanted = ", ".join(each.right for each in rights)
            give = f"select pg_temp.give('{{{wanted}}}', {literal(relation)})"
            yield TargetStatement(give, database)
        if database in proposal.truncated:
            yield TargetStatement(filled(_TRUNCATE), database)
        yield TargetStatement(filled(_CARRY), database)


def _less(proposal: Proposal) -> Iterator[TargetStatement]:
    """Take the login to what goes from the old templates; else the minter refuses them as wider."""
    first = proposal.scope[DATABASES][0]
    for database in sorted({*proposal.mint.scope[DATABASES]} - {*proposal.scope[DATABASES]}):
        for template in proposal.mint.scope[TEMPLATES]:
            yield TargetStatement(
                f"revoke connect on database {quoted(database)} from {quoted(template)}", first
            )
