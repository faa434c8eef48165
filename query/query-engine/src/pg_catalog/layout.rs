//! Columns of the catalog relations: `name:kind`, in PostgreSQL 15's order.
//!
//! Kinds: `o` oid, `p` regproc, `n` name, `t` text, `c` "char", `b` bool, `2 4 8` integers, `f` float4, `T` text[], `O` oid[],
//! `S` int2[]. Relations without a line here do not exist.

const RELATIONS: &[(&str, &str, &str)] = &[
    (
        "pg_catalog",
        "pg_class",
        "oid:o relname:n relnamespace:o reltype:o reloftype:o relowner:o relam:o relfilenode:o reltablespace:o relpages:4 reltuples:f relallvisible:4 reltoastrelid:o relhasindex:b relisshared:b relpersistence:c relkind:c relnatts:2 relchecks:2 relhasrules:b relhastriggers:b relhassubclass:b relrowsecurity:b relforcerowsecurity:b relispopulated:b relreplident:c relispartition:b relrewrite:o relfrozenxid:o relminmxid:o relacl:T reloptions:T relpartbound:t tableoid:o",
    ),
    ("pg_catalog", "pg_namespace", "oid:o nspname:n nspowner:o nspacl:T tableoid:o"),
    (
        "pg_catalog",
        "pg_attribute",
        "attrelid:o attname:n atttypid:o attstattarget:4 attlen:2 attnum:2 attndims:4 attcacheoff:4 atttypmod:4 attbyval:b attalign:c attstorage:c attcompression:c attnotnull:b atthasdef:b atthasmissing:b attidentity:c attgenerated:c attisdropped:b attislocal:b attinhcount:4 attcollation:o attacl:T attoptions:T attfdwoptions:T attmissingval:t",
    ),
    (
        "pg_catalog",
        "pg_database",
        "oid:o datname:n datdba:o encoding:4 datlocprovider:c datistemplate:b datallowconn:b datconnlimit:4 datfrozenxid:o datminmxid:o dattablespace:o datcollate:t datctype:t daticulocale:t datcollversion:t datacl:T tableoid:o",
    ),
    (
        "pg_catalog",
        "pg_type",
        "oid:o typname:n typnamespace:o typowner:o typlen:2 typbyval:b typtype:c typcategory:c typispreferred:b typisdefined:b typdelim:c typrelid:o typsubscript:o typelem:o typarray:o typinput:p typoutput:p typreceive:p typsend:p typmodin:p typmodout:p typanalyze:p typalign:c typstorage:c typnotnull:b typbasetype:o typtypmod:4 typndims:4 typcollation:o typdefaultbin:t typdefault:t typacl:T tableoid:o",
    ),
    (
        "pg_catalog",
        "luma_bad_records",
        "relid:o relname:n bad_records:8 last_partition:4 last_offset:8 last_reason:t",
    ),
    ("pg_catalog", "pg_cursors", "name:t statement:t is_holdable:b is_binary:b is_scrollable:b"),
    ("pg_catalog", "pg_am", "oid:o amname:n amhandler:p amtype:c"),
    (
        "pg_catalog",
        "pg_roles",
        "rolname:n rolsuper:b rolinherit:b rolcreaterole:b rolcreatedb:b rolcanlogin:b rolreplication:b rolconnlimit:4 rolpassword:t rolvaliduntil:t rolbypassrls:b rolconfig:T oid:o",
    ),
    (
        "pg_catalog",
        "pg_user",
        "usename:n usesysid:o usecreatedb:b usesuper:b userepl:b usebypassrls:b passwd:t valuntil:t useconfig:T",
    ),
    (
        "pg_catalog",
        "pg_authid",
        "oid:o rolname:n rolsuper:b rolinherit:b rolcreaterole:b rolcreatedb:b rolcanlogin:b rolreplication:b rolbypassrls:b rolconnlimit:4 rolpassword:t rolvaliduntil:t",
    ),
    ("pg_catalog", "pg_auth_members", "roleid:o member:o grantor:o admin_option:b"),
    (
        "pg_catalog",
        "pg_tables",
        "schemaname:n tablename:n tableowner:n tablespace:n hasindexes:b hasrules:b hastriggers:b rowsecurity:b",
    ),
    ("pg_catalog", "pg_views", "schemaname:n viewname:n viewowner:n definition:t"),
    (
        "pg_catalog",
        "pg_matviews",
        "schemaname:n matviewname:n matviewowner:n tablespace:n hasindexes:b ispopulated:b definition:t",
    ),
    ("pg_catalog", "pg_indexes", "schemaname:n tablename:n indexname:n tablespace:n indexdef:t"),
    (
        "pg_catalog",
        "pg_settings",
        "name:t setting:t unit:t category:t short_desc:t extra_desc:t context:t vartype:t source:t min_val:t max_val:t enumvals:T boot_val:t reset_val:t sourcefile:t sourceline:4 pending_restart:b",
    ),
    (
        "pg_catalog",
        "pg_index",
        "indexrelid:o indrelid:o indnatts:2 indnkeyatts:2 indisunique:b indnullsnotdistinct:b indisprimary:b indisexclusion:b indimmediate:b indisclustered:b indisvalid:b indcheckxmin:b indisready:b indislive:b indisreplident:b indkey:S indcollation:O indclass:O indoption:S indexprs:t indpred:t",
    ),
    (
        "pg_catalog",
        "pg_constraint",
        "oid:o conname:n connamespace:o contype:c condeferrable:b condeferred:b convalidated:b conrelid:o contypid:o conindid:o conparentid:o confrelid:o confupdtype:c confdeltype:c confmatchtype:c conislocal:b coninhcount:4 connoinherit:b conkey:S confkey:S conpfeqop:O conppeqop:O conffeqop:O confdelsetcols:S conexclop:O conbin:t tableoid:o",
    ),
    ("pg_catalog", "pg_attrdef", "oid:o adrelid:o adnum:2 adbin:t"),
    (
        "pg_catalog",
        "pg_collation",
        "oid:o collname:n collnamespace:o collowner:o collprovider:c collisdeterministic:b collencoding:4 collcollate:t collctype:t colliculocale:t collversion:t",
    ),
    ("pg_catalog", "pg_description", "objoid:o classoid:o objsubid:4 description:t"),
    ("pg_catalog", "pg_shdescription", "objoid:o classoid:o description:t"),
    (
        "pg_catalog",
        "pg_policy",
        "oid:o polname:n polrelid:o polcmd:c polpermissive:b polroles:O polqual:t polwithcheck:t",
    ),
    (
        "pg_catalog",
        "pg_statistic_ext",
        "oid:o stxrelid:o stxname:n stxnamespace:o stxowner:o stxstattarget:4 stxkeys:S stxkind:T stxexprs:t",
    ),
    (
        "pg_catalog",
        "pg_publication",
        "oid:o pubname:n pubowner:o puballtables:b pubinsert:b pubupdate:b pubdelete:b pubtruncate:b pubviaroot:b",
    ),
    ("pg_catalog", "pg_publication_namespace", "oid:o pnpubid:o pnnspid:o"),
    ("pg_catalog", "pg_publication_rel", "oid:o prpubid:o prrelid:o prqual:t prattrs:S"),
    (
        "pg_catalog",
        "pg_subscription",
        "oid:o subdbid:o subskiplsn:t subname:n subowner:o subenabled:b subconninfo:t subslotname:n subsynccommit:t subpublications:T",
    ),
    (
        "pg_catalog",
        "pg_trigger",
        "oid:o tgrelid:o tgparentid:o tgname:n tgfoid:o tgtype:2 tgenabled:c tgisinternal:b tgconstrrelid:o tgconstrindid:o tgconstraint:o tgdeferrable:b tginitdeferred:b tgnargs:2 tgattr:S tgargs:t tgqual:t tgoldtable:n tgnewtable:n tableoid:o",
    ),
    ("pg_catalog", "pg_inherits", "inhrelid:o inhparent:o inhseqno:4 inhdetachpending:b"),
    (
        "pg_catalog",
        "pg_partitioned_table",
        "partrelid:o partstrat:c partnatts:2 partdefid:o partattrs:S partclass:O partcollation:O partexprs:t",
    ),
    (
        "pg_catalog",
        "pg_proc",
        "oid:o proname:n pronamespace:o proowner:o prolang:o procost:f prorows:f provariadic:o prosupport:o prokind:c prosecdef:b proleakproof:b proisstrict:b proretset:b provolatile:c proparallel:c pronargs:2 pronargdefaults:2 prorettype:o proargtypes:O proallargtypes:O proargmodes:T proargnames:T proargdefaults:t protrftypes:O prosrc:t probin:t prosqlbody:t proconfig:T proacl:T tableoid:o",
    ),
    (
        "pg_catalog",
        "pg_operator",
        "oid:o oprname:n oprnamespace:o oprowner:o oprkind:c oprcanmerge:b oprcanhash:b oprleft:o oprright:o oprresult:o oprcom:o oprnegate:o oprcode:o oprrest:o oprjoin:o",
    ),
    (
        "pg_catalog",
        "pg_opclass",
        "oid:o opcmethod:o opcname:n opcnamespace:o opcowner:o opcfamily:o opcintype:o opcdefault:b opckeytype:o tableoid:o",
    ),
    (
        "pg_catalog",
        "pg_opfamily",
        "oid:o opfmethod:o opfname:n opfnamespace:o opfowner:o tableoid:o",
    ),
    (
        "pg_catalog",
        "pg_cast",
        "oid:o castsource:o casttarget:o castfunc:o castcontext:c castmethod:c",
    ),
    (
        "pg_catalog",
        "pg_conversion",
        "oid:o conname:n connamespace:o conowner:o conforencoding:4 contoencoding:4 conproc:o condefault:b",
    ),
    (
        "pg_catalog",
        "pg_language",
        "oid:o lanname:n lanowner:o lanispl:b lanpltrusted:b lanplcallfoid:o laninline:o lanvalidator:o lanacl:T tableoid:o",
    ),
    (
        "pg_catalog",
        "pg_rewrite",
        "oid:o rulename:n ev_class:o ev_type:c ev_enabled:c is_instead:b ev_qual:t ev_action:t tableoid:o",
    ),
    ("pg_catalog", "pg_enum", "oid:o enumtypid:o enumsortorder:f enumlabel:n"),
    (
        "pg_catalog",
        "pg_range",
        "rngtypid:o rngsubtype:o rngmultitypid:o rngcollation:o rngsubopc:o rngcanonical:o rngsubdiff:o",
    ),
    (
        "pg_catalog",
        "pg_sequence",
        "seqrelid:o seqtypid:o seqstart:8 seqincrement:8 seqmax:8 seqmin:8 seqcache:8 seqcycle:b",
    ),
    (
        "pg_catalog",
        "pg_sequences",
        "schemaname:n sequencename:n sequenceowner:n data_type:o start_value:8 min_value:8 max_value:8 increment_by:8 cycle:b cache_size:8 last_value:8",
    ),
    (
        "pg_catalog",
        "pg_extension",
        "oid:o extname:n extowner:o extnamespace:o extrelocatable:b extversion:t extconfig:O extcondition:T",
    ),
    (
        "pg_catalog",
        "pg_available_extensions",
        "name:n default_version:t installed_version:t comment:t",
    ),
    ("pg_catalog", "pg_tablespace", "oid:o spcname:n spcowner:o spcacl:T spcoptions:T"),
    (
        "pg_catalog",
        "pg_depend",
        "classid:o objid:o objsubid:4 refclassid:o refobjid:o refobjsubid:4 deptype:c",
    ),
    ("pg_catalog", "pg_db_role_setting", "setdatabase:o setrole:o setconfig:T"),
    (
        "pg_catalog",
        "pg_default_acl",
        "oid:o defaclrole:o defaclnamespace:o defaclobjtype:c defaclacl:T",
    ),
    (
        "pg_catalog",
        "pg_event_trigger",
        "oid:o evtname:n evtevent:n evtowner:o evtfoid:o evtenabled:c evttags:T",
    ),
    (
        "pg_catalog",
        "pg_foreign_server",
        "oid:o srvname:n srvowner:o srvfdw:o srvtype:t srvversion:t srvacl:T srvoptions:T",
    ),
    (
        "pg_catalog",
        "pg_foreign_data_wrapper",
        "oid:o fdwname:n fdwowner:o fdwhandler:o fdwvalidator:o fdwacl:T fdwoptions:T",
    ),
    ("pg_catalog", "pg_foreign_table", "ftrelid:o ftserver:o ftoptions:T"),
    ("pg_catalog", "pg_user_mapping", "oid:o umuser:o umserver:o umoptions:T"),
    ("pg_catalog", "pg_largeobject_metadata", "oid:o lomowner:o lomacl:T"),
    ("pg_catalog", "pg_ts_config", "oid:o cfgname:n cfgnamespace:o cfgowner:o cfgparser:o"),
    (
        "pg_catalog",
        "pg_ts_dict",
        "oid:o dictname:n dictnamespace:o dictowner:o dicttemplate:o dictinitoption:t",
    ),
    (
        "pg_catalog",
        "pg_ts_parser",
        "oid:o prsname:n prsnamespace:o prsstart:o prstoken:o prsend:o prsheadline:o prslextype:o",
    ),
    ("pg_catalog", "pg_ts_template", "oid:o tmplname:n tmplnamespace:o tmplinit:o tmpllexize:o"),
    ("pg_catalog", "pg_aggregate", "aggfnoid:p aggkind:c aggnumdirectargs:2"),
    ("pg_catalog", "pg_locks", "locktype:t database:o relation:o pid:4 mode:t granted:b"),
    (
        "pg_catalog",
        "pg_stat_activity",
        "datid:o datname:n pid:4 usesysid:o usename:n application_name:t client_addr:t state:t query:t",
    ),
    (
        "pg_catalog",
        "pg_stat_user_tables",
        "relid:o schemaname:n relname:n seq_scan:8 n_live_tup:8 n_dead_tup:8",
    ),
    (
        "information_schema",
        "schemata",
        "catalog_name:n schema_name:n schema_owner:n default_character_set_catalog:n default_character_set_schema:n default_character_set_name:n sql_path:t",
    ),
    (
        "information_schema",
        "tables",
        "table_catalog:n table_schema:n table_name:n table_type:t self_referencing_column_name:n reference_generation:t user_defined_type_catalog:n user_defined_type_schema:n user_defined_type_name:n is_insertable_into:t is_typed:t commit_action:t",
    ),
    (
        "information_schema",
        "columns",
        "table_catalog:n table_schema:n table_name:n column_name:n ordinal_position:4 column_default:t is_nullable:t data_type:t character_maximum_length:4 character_octet_length:4 numeric_precision:4 numeric_precision_radix:4 numeric_scale:4 datetime_precision:4 udt_catalog:n udt_schema:n udt_name:n is_identity:t is_generated:t is_updatable:t",
    ),
    (
        "information_schema",
        "views",
        "table_catalog:n table_schema:n table_name:n view_definition:t check_option:t is_updatable:t",
    ),
    (
        "information_schema",
        "table_constraints",
        "constraint_catalog:n constraint_schema:n constraint_name:n table_catalog:n table_schema:n table_name:n constraint_type:t is_deferrable:t initially_deferred:t",
    ),
    (
        "information_schema",
        "key_column_usage",
        "constraint_catalog:n constraint_schema:n constraint_name:n table_catalog:n table_schema:n table_name:n column_name:n ordinal_position:4 position_in_unique_constraint:4",
    ),
    (
        "information_schema",
        "routines",
        "routine_catalog:n routine_schema:n routine_name:n routine_type:t data_type:t",
    ),
];

/// OIDs of PostgreSQL's own relations. <https://github.com/postgres/postgres/tree/REL_15_STABLE/src/include/catalog>
pub(super) const SYSTEM_OIDS: &[(&str, u32)] = &[
    ("pg_default_acl", 826),
    ("pg_tablespace", 1213),
    ("pg_type", 1247),
    ("pg_attribute", 1249),
    ("pg_proc", 1255),
    ("pg_class", 1259),
    ("pg_authid", 1260),
    ("pg_auth_members", 1261),
    ("pg_database", 1262),
    ("pg_foreign_server", 1417),
    ("pg_user_mapping", 1418),
    ("pg_sequence", 2224),
    ("pg_foreign_data_wrapper", 2328),
    ("pg_shdescription", 2396),
    ("pg_aggregate", 2600),
    ("pg_am", 2601),
    ("pg_attrdef", 2604),
    ("pg_cast", 2605),
    ("pg_constraint", 2606),
    ("pg_conversion", 2607),
    ("pg_depend", 2608),
    ("pg_description", 2609),
    ("pg_index", 2610),
    ("pg_inherits", 2611),
    ("pg_language", 2612),
    ("pg_namespace", 2615),
    ("pg_opclass", 2616),
    ("pg_operator", 2617),
    ("pg_rewrite", 2618),
    ("pg_trigger", 2620),
    ("pg_opfamily", 2753),
    ("pg_db_role_setting", 2964),
    ("pg_largeobject_metadata", 2995),
    ("pg_extension", 3079),
    ("pg_foreign_table", 3118),
    ("pg_policy", 3256),
    ("pg_partitioned_table", 3350),
    ("pg_statistic_ext", 3381),
    ("pg_collation", 3456),
    ("pg_event_trigger", 3466),
    ("pg_enum", 3501),
    ("pg_range", 3541),
    ("pg_ts_dict", 3600),
    ("pg_ts_parser", 3601),
    ("pg_ts_config", 3602),
    ("pg_ts_template", 3764),
    ("pg_subscription", 6100),
    ("pg_publication", 6104),
    ("pg_publication_rel", 6106),
    ("pg_publication_namespace", 6237),
];

/// `(column, kind)` pairs.
pub(super) fn layout(space: &str, name: &str) -> Option<Vec<(&'static str, char)>> {
    let (_, _, columns) =
        RELATIONS.iter().find(|(schema, relation, _)| *schema == space && *relation == name)?;
    let pairs = columns.split(' ').filter_map(|column| {
        let (name, kind) = column.split_once(':')?;
        Some((name, kind.chars().next()?))
    });
    Some(pairs.collect())
}
