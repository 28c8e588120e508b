-- What mariadb-minter needs at its server; run it as root, then let its login in:
--   ALTER USER breakglass_minter@'%' IDENTIFIED BY '...' ACCOUNT UNLOCK;
-- and give it each role that it may hand out:
--   GRANT orders_repair TO breakglass_minter@'%' WITH ADMIN OPTION;
create schema if not exists breakglass;
create table if not exists breakglass.accounts(handle varchar(63) primary key,
  minter varchar(40) not null, session varchar(200) not null) engine=innodb;
create or replace sql security definer view breakglass.standing as
  select User handle, coalesce(json_value(Priv, '$.account_locked'), 0) locked
  from mysql.global_priv where User like 'bg\_%' and Host = '%';
create or replace sql security definer view breakglass.sessions as
  select user handle from information_schema.processlist where user like 'bg\_%';
create or replace sql security definer view breakglass.left_behind as
  select definer, concat('view ', table_schema, '.', table_name) thing
    from information_schema.views where definer like 'bg\_%'
  union all select definer, concat(lower(routine_type), ' ', routine_schema, '.', routine_name)
    from information_schema.routines where definer like 'bg\_%'
  union all select definer, concat('trigger ', trigger_schema, '.', trigger_name)
    from information_schema.triggers where definer like 'bg\_%'
  union all select definer, concat('event ', event_schema, '.', event_name)
    from information_schema.events where definer like 'bg\_%';
create user if not exists breakglass_minter@'%' account lock;
grant create user, connection admin on *.* to breakglass_minter@'%';
grant event on breakglass.* to breakglass_minter@'%';
grant select, insert, delete on breakglass.accounts to breakglass_minter@'%';
grant select on breakglass.standing to breakglass_minter@'%';
grant select on breakglass.sessions to breakglass_minter@'%';
grant select on breakglass.left_behind to breakglass_minter@'%';
