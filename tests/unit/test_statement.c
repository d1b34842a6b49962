/* src/sql/statement: what a statement logged as text is, and in which databases its objects are.
 *
 * A row is a statement and what is to be found in it, written as one line:
 *
 *     kind, or VERB OBJECT and its names      flags
 *
 * A name is database.name, with (database) if the text doesn't say it, so that it is the session's. In front of it >
 * says that it is a new name, @ a trigger's table, % a table that trades places with a partition, ~ one that is only
 * read; behind it * says that it has letters that can't be read. The session stands in the database `fact` unless the
 * row says otherwise. "Logged" rows are as they stood in the binlog of MariaDB 10.11.19.
 * Every row is also parsed cut off at every byte, in memory that ends there, under each sql_mode that matters.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "sql/statement.h"

enum { ANSI_QUOTES = 1 << 2, MSSQL = 1 << 10, NO_BACKSLASH_ESCAPES = 1 << 20 };
enum { BIG5 = 1, LATIN1 = 8, SJIS = 13, GBK = 28, CP1251 = 51, BINARY = 63, UTF8MB4 = 45 };

struct row {
	const char *text;
	const char *expected;
	const char *database; /* NULL: fact */
	uint64_t sql_mode;
	uint16_t charset;
};

static void append_names(const struct statement *st, struct buf *to)
{
	static const char *const marks[] = {
	    [ROLE_OBJECT] = "", [ROLE_NEW_NAME] = ">", [ROLE_TABLE] = "@", [ROLE_PARTITION] = "%", [ROLE_LIKE] = "~"};
	for (size_t i = 0; i < st->name_count; i++) {
		const struct statement_name *name = &st->names[i];
		buf_printf(to, name->qualified ? " %s%s" : " %s(%s)", marks[name->role], name->database);
		if (name->name[0] != '\0')
			buf_printf(to, ".%s", name->name);
		if (name->unreadable)
			buf_append_str(to, "*");
	}
}

static void append_flags(const struct statement *st, struct buf *to)
{
	const struct {
		bool set;
		const char *text;
	} flags[] = {{st->if_exists, " if-exists"},
	             {st->if_not_exists, " if-not-exists"},
	             {st->or_replace, " or-replace"},
	             {st->temporary, " temporary"},
	             {st->like, " like"},
	             {st->select_follows, " select"},
	             {st->tablespace, " tablespace"}};
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
		if (flags[i].set)
			buf_append_str(to, flags[i].text);
}

static void describe(const struct statement *st, struct buf *to)
{
	if (st->kind == STATEMENT_DDL) {
		buf_printf(to, "%s %s", statement_verb_name(st->verb), statement_object_name(st->object));
		append_names(st, to);
		append_flags(st, to);
		return;
	}
	if (st->kind != STATEMENT_XA)
		buf_append_str(to, statement_kind_name(st->kind));
	if (st->verb != VERB_NONE)
		buf_printf(to, "%s%s", st->kind == STATEMENT_XA ? "" : " ", statement_verb_name(st->verb));
}

static struct statement_context context_of(const struct row *row)
{
	const char *database = row->database ? row->database : "fact";
	return (struct statement_context){.database = database,
	                                  .database_size = strlen(database),
	                                  .sql_mode = row->sql_mode,
	                                  .charset_client = row->charset};
}

/* What holds of every answer, whatever the text. */
static void check_invariants(const struct statement *st)
{
	assert_true((st->kind == STATEMENT_DDL) == (st->name_count > 0));
	assert_true((st->kind == STATEMENT_UNKNOWN) == (st->note != NULL));
	for (size_t i = 0; i < st->name_count; i++) {
		assert_true(st->names[i].database[0] != '\0');
		assert_true((st->names[i].name[0] == '\0') == (st->object == OBJECT_DATABASE));
	}
}

static void check_prefixes(const struct row *row)
{
	static const uint64_t modes[] = {0, ANSI_QUOTES, NO_BACKSLASH_ESCAPES, MSSQL | ANSI_QUOTES};
	struct statement_context context = context_of(row);
	size_t size = strlen(row->text);
	for (size_t cut = 0; cut <= size; cut++)
		for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
			char *text = malloc(cut ? cut : 1);
			memcpy(text, row->text, cut);
			context.sql_mode = modes[m];
			struct statement st = {0};
			if (statement_parse(text, cut, &context, &st, NULL) == ERR_OK)
				check_invariants(&st);
			statement_free(&st);
			free(text);
		}
}

static void check_row(const struct row *row)
{
	struct statement_context context = context_of(row);
	struct statement st = {0};
	struct err err = {0};
	struct buf line = {0};
	enum err_code code = statement_parse(row->text, strlen(row->text), &context, &st, &err);
	if (code != ERR_OK)
		buf_append_str(&line, err_text(code));
	else
		describe(&st, &line);
	if (strcmp(buf_str(&line), row->expected) != 0) {
		print_error("%s\n", row->text);
		if (st.note)
			print_error("  note: %s\n", st.note);
	}
	assert_string_equal(buf_str(&line), row->expected);
	check_invariants(code == ERR_OK ? &st : &(struct statement){.note = "", .kind = STATEMENT_UNKNOWN});
	statement_free(&st);
	buf_free(&line);
	check_prefixes(row);
}

/* Text, what is expected, and if need be .database = …, .sql_mode = …, .charset = … */
#define ROW(row_text, row_expected, ...)                                                                               \
	{                                                                                                                  \
		.text = (row_text), .expected = (row_expected), __VA_ARGS__                                                    \
	}

#define CHECK_ROWS(rows)                                                                                               \
	for (size_t row_index = 0; row_index < sizeof(rows) / sizeof *(rows); row_index++)                                 \
	check_row(&(rows)[row_index])

/* An administrator who stands in another database, or in none, changes a table of the replicated one: MariaDB's own
 * replicate-do-db goes by where he stands, and drops the statement; the peers then stop at the first row for a table
 * that they don't have. The other way round, a scratch table would appear on every node. */
static void test_the_database_is_the_tables_not_the_sessions(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    ROW("create table t (a int)", "CREATE TABLE (fact).t"),
	    ROW("create table fact.t (a int)", "CREATE TABLE fact.t", .database = "other"),
	    ROW("create table other.t (a int)", "CREATE TABLE other.t"),
	    ROW("create table t (a int)", "CREATE TABLE (other).t", .database = "other"),
	    ROW("create table dd.a(id int primary key)", "CREATE TABLE dd.a", .database = ""),
	    ROW("alter table fact.t add column a int", "ALTER TABLE fact.t", .database = "other"),
	    ROW("drop table fact.a, b", "DROP TABLE fact.a (other).b", .database = "other"),
	    ROW("truncate fact.t", "TRUNCATE TABLE fact.t", .database = ""),
	    ROW("create index i on fact.t(a)", "CREATE INDEX fact.t", .database = "other"),
	    ROW("drop index i on fact.t", "DROP INDEX fact.t", .database = "other"),
	    ROW("rename table fact.a to fact.b", "RENAME TABLE fact.a >fact.b", .database = "other"),
	    ROW("CREATE DEFINER=`root`@`localhost` PROCEDURE `fact`.`p`()\nselect 1", "CREATE PROCEDURE fact.p",
	        .database = "other"),
	    ROW("create table t (a int, constraint fk foreign key (a) references other.par(id))", "CREATE TABLE (fact).t"),
	    ROW("alter table t add constraint fk foreign key (a) references other.par(id), comment 'x'",
	        "ALTER TABLE (fact).t"),
	};
	CHECK_ROWS(rows);
}

/* A name without a database where the session had none can't have been logged; a guess would put the table anywhere. */
static void test_an_unqualified_name_needs_a_default_database(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    ROW("create table t (a int)", "unknown", .database = ""),
	    ROW("drop table a.b, c", "unknown", .database = ""),
	    ROW("alter table fact.t rename t2", "unknown", .database = ""),
	    ROW("alter database default charset = utf8", "unknown", .database = ""),
	    ROW("create table .t (a int)", "unknown", .database = ""),
	    ROW("drop database d", "DROP DATABASE d", .database = ""),
	};
	CHECK_ROWS(rows);
}

/* The server writes these itself. One not understood stops the link of every user who drops a table. */
static void test_what_the_server_writes(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    ROW("DROP TABLE `d1`,`d2`,`c2` /* generated by server */", "DROP TABLE (fact).d1 (fact).d2 (fact).c2"),
	    ROW("DROP TABLE IF EXISTS `nono`,`nono2` /* generated by server */",
	        "DROP TABLE (fact).nono (fact).nono2 if-exists"),
	    ROW("DROP TABLE `fact`.`px3` /* generated by server */", "DROP TABLE fact.px3", .database = "other"),
	    ROW("DROP TABLE /* c */ `w` /* generated by server */", "DROP TABLE (fact).w"),
	    ROW("DROP TABLE `t ``q` /* generated by server */", "DROP TABLE (fact).t `q"),
	    ROW("DROP TABLE \"a\"\"b\" /* generated by server */", "DROP TABLE (fact).a\"b", .sql_mode = ANSI_QUOTES),
	    ROW("DROP TABLE IF EXISTS `px2`,`z1`", "DROP TABLE (other).px2 (other).z1 if-exists", .database = "other"),
	    ROW("DROP SEQUENCE `s` /* generated by server */", "DROP SEQUENCE (fact).s"),
	    ROW("DROP SEQUENCE `fact`.`ttt`,`fact`.`uuu` /* generated by server */", "DROP SEQUENCE fact.ttt fact.uuu",
	        .database = ""),
	    ROW("DROP TEMPORARY SEQUENCE IF EXISTS `fact`.`ts` /* generated by server */",
	        "DROP SEQUENCE fact.ts if-exists temporary"),
	    ROW("DROP TEMPORARY TABLE IF EXISTS `fact`.`tt` /* generated by server */",
	        "DROP TABLE fact.tt if-exists temporary"),
	    ROW("DROP TEMPORARY TABLE `other`.`tv` /* generated by server */", "DROP TABLE other.tv temporary"),
	    ROW("DROP /*!40005 TEMPORARY */ TABLE IF EXISTS `tu`", "DROP TABLE (fact).tu if-exists temporary"),
	    ROW("DROP TABLE IF EXISTS `fact`.`cf`/* Generated to handle failed CREATE OR REPLACE */",
	        "DROP TABLE fact.cf if-exists"),
	    ROW("TRUNCATE TABLE `fact`.`mem` /* generated by server for memory table after a restart */",
	        "TRUNCATE TABLE fact.mem", .database = ""),
	    ROW("DROP EVENT `fact`.`ev1`", "DROP EVENT fact.ev1", .database = "fact"),
	    ROW("CREATE TABLE `c` (\n  `id` int(11) NOT NULL,\n  `a` int(11) DEFAULT NULL\n)", "CREATE TABLE (fact).c"),
	    ROW("CREATE OR REPLACE TABLE `fact`.`c o` (\n  `x` int(11) DEFAULT NULL,\n  `y` int(1) NOT NULL\n)",
	        "CREATE TABLE fact.c o or-replace", .database = "other"),
	    ROW("CREATE TABLE `lk8` (\n  `a` int(11) DEFAULT NULL\n) WITH SYSTEM VERSIONING", "CREATE TABLE (fact).lk8"),
	    ROW("# Dummy event replacing event type 160 that slave cannot handle.", "empty"),
	    ROW("COMMIT", "transaction COMMIT"),
	    ROW("ROLLBACK", "transaction ROLLBACK"),
	    ROW("SAVEPOINT `a b`", "transaction SAVEPOINT"),
	    ROW("ROLLBACK TO `a b`", "transaction ROLLBACK TO"),
	    ROW("XA END X'7832',X'71',7", "XA END"),
	    ROW("XA COMMIT X'7831',X'',1", "XA COMMIT"),
	    ROW("XA ROLLBACK X'7832',X'71',7", "XA ROLLBACK"),
	};
	CHECK_ROWS(rows);
}

/* A view, routine, trigger or event is logged behind its definer, in every form that a definer has. Where the object's
 * word isn't found behind it, no peer gets the object, and the application's CALL fails there. */
static void test_definers(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    /* logged */
	    ROW("CREATE DEFINER=`root`@`localhost` trigger tr before insert on t for each row set new.a=new.a+1",
	        "CREATE TRIGGER (fact).tr @(fact).t"),
	    ROW("CREATE OR REPLACE DEFINER=\"root\"@\"localhost\" trigger tro before insert on t for each row begin null; "
	        "end",
	        "CREATE TRIGGER (fact).tro @(fact).t or-replace", .sql_mode = ANSI_QUOTES),
	    ROW("CREATE DEFINER=`root`@`localhost` PROCEDURE `p`()\ninsert into t values(260,1)",
	        "CREATE PROCEDURE (fact).p"),
	    ROW("CREATE OR REPLACE DEFINER=`root`@`localhost` PROCEDURE `p p`(in a int, out b varchar(10))\n"
	        "    COMMENT 'x'\nselect 1",
	        "CREATE PROCEDURE (fact).p p or-replace"),
	    ROW("CREATE DEFINER=`root`@`localhost` FUNCTION IF NOT EXISTS `fact`.`f1`() RETURNS int(11)\nreturn 1",
	        "CREATE FUNCTION fact.f1 if-not-exists"),
	    ROW("CREATE DEFINER=`root`@`localhost` AGGREGATE FUNCTION `ag`(x int) RETURNS int(11)\nbegin declare continue "
	        "handler for not found return 1; loop fetch group next row; end loop; end",
	        "CREATE FUNCTION (fact).ag"),
	    ROW("CREATE OR REPLACE DEFINER=\"root\"@\"localhost\" PROCEDURE \"po\"(a int)\nas begin null; end",
	        "CREATE PROCEDURE (fact).po or-replace", .sql_mode = ANSI_QUOTES),
	    ROW("CREATE DEFINER=`root`@`localhost` event e on schedule every 1 day do delete from t",
	        "CREATE EVENT (fact).e"),
	    ROW("CREATE ALGORITHM=UNDEFINED DEFINER=`root`@`localhost` SQL SECURITY DEFINER VIEW `v` AS select * from t",
	        "CREATE VIEW (fact).v"),
	    ROW("CREATE OR REPLACE ALGORITHM=UNDEFINED DEFINER=`r1` SQL SECURITY INVOKER VIEW `v` AS select 1",
	        "CREATE VIEW (fact).v or-replace"),
	    ROW("CREATE ALGORITHM=UNDEFINED DEFINER=`x y`@`localhost` SQL SECURITY DEFINER VIEW `v10` AS select 1",
	        "CREATE VIEW (fact).v10"),
	    ROW("ALTER ALGORITHM=UNDEFINED DEFINER=`root`@`localhost` SQL SECURITY DEFINER VIEW `v` AS select 2",
	        "ALTER VIEW (fact).v"),
	    ROW("alter definer=root@localhost event ev3 disable on slave", "ALTER EVENT (fact).ev3"),
	    /* as it may be written */
	    ROW("create definer = root@192.168.1.1 event e on schedule every 1 day do begin select ';'; end",
	        "CREATE EVENT (fact).e"),
	    ROW("create definer=current_user procedure p() select 1", "CREATE PROCEDURE (fact).p"),
	    ROW("create definer=current_user() procedure p() select 1", "CREATE PROCEDURE (fact).p"),
	    ROW("create definer=current_role ( ) procedure p() select 1", "CREATE PROCEDURE (fact).p"),
	    ROW("create definer='o''x'@'%' sql security invoker view v as select 1", "CREATE VIEW (fact).v"),
	    ROW("create or replace algorithm merge view v as select 1", "CREATE VIEW (fact).v or-replace"),
	    ROW("create definer=view@trigger trigger view before insert on event for each row set @a=1",
	        "CREATE TRIGGER (fact).view @(fact).event"),
	};
	CHECK_ROWS(rows);
}

/* A name that is read wrongly is a table on the wrong side of the settings, or another table than the one whose rows a
 * DROP takes away. */
static void test_names(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    /* logged */
	    ROW("create table fact . `sp` (a int)", "CREATE TABLE fact.sp", .database = "other"),
	    ROW("create table fact.`a.b` (a int)", "CREATE TABLE fact.a.b"),
	    ROW("create table .dot (a int)", "CREATE TABLE (fact).dot"),
	    ROW("create table fact.1dig (a int)", "CREATE TABLE fact.1dig"),
	    ROW("create table fact.123 (a int)", "CREATE TABLE fact.123"),
	    ROW("create table fact.1e5 (a int)", "CREATE TABLE fact.1e5"),
	    ROW("create table 1dig2 (a int)", "CREATE TABLE (fact).1dig2"),
	    ROW("create table $x$ (a int)", "CREATE TABLE (fact).$x$"),
	    ROW("create table `if` (a int)", "CREATE TABLE (fact).if"),
	    ROW("create table fact.table (a int)", "CREATE TABLE fact.table"),
	    ROW("create table wait(a int)", "CREATE TABLE (fact).wait"),
	    ROW("rename table wait to nowait, nowait wait 3 to wait",
	        "RENAME TABLE (fact).wait >(fact).nowait (fact).nowait >(fact).wait"),
	    ROW("create table tables (a int)", "CREATE TABLE (fact).tables"),
	    ROW("create table \"fact\".\"a\"\"b\" (\"x\" int)", "CREATE TABLE fact.a\"b", .sql_mode = ANSI_QUOTES),
	    ROW("create table [x y] (a int)", "CREATE TABLE (fact).x y", .sql_mode = MSSQL | ANSI_QUOTES),
	    ROW("create table größe (a int)", "CREATE TABLE (fact).größe", .charset = UTF8MB4),
	    ROW("create database `dbö`", "CREATE DATABASE dbö", .charset = UTF8MB4),
	    ROW("create table `or replace` (`select` int) comment 'select'", "CREATE TABLE (fact).or replace"),
	    /* as it may be written */
	    ROW("drop table`a`.`b`,`c``d`.```e```", "DROP TABLE a.b c`d.`e`"),
	    ROW("drop table \"a\"", "unknown"),
	    ROW("drop table [a]", "unknown"),
	    ROW("drop table 'a'", "unknown"),
	    ROW("drop table `a", "unknown"),
	    ROW("drop table ``", "unknown"),
	    ROW("drop table a.b.c", "unknown"),
	    ROW("drop table a.", "unknown"),
	    ROW("drop table @a", "unknown"),
	    ROW("drop table 12", "unknown"),
	    ROW("drop table `a\xff`", "unknown"),
	    ROW("drop table `\xe2\x82`", "unknown"),
	    ROW("drop table `\xe2\x82 `", "unknown"),
	    ROW("drop table `\xc0\xaf`", "unknown"),
	    ROW("drop table `\xed\xa0\x80`", "unknown"),
	    ROW("drop table `\xe2\x82\xac`", "DROP TABLE (fact).€"),
	};
	CHECK_ROWS(rows);
}

/* mysqldump, ORMs and proxies wrap and tag what they send. A comment taken for code, or code taken for a comment, makes
 * another statement of it: TEMPORARY overlooked is a real table dropped on every peer. */
static void test_comments(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    /* logged */
	    ROW("/* app:foo */ create table oc1 (a int)", "CREATE TABLE (fact).oc1"),
	    ROW("create /* 50701 or replace */ table oc2 (a int)", "CREATE TABLE (fact).oc2"),
	    ROW("create /*!100000 or replace */ table oc3 (a int)", "CREATE TABLE (fact).oc3 or-replace"),
	    ROW("create /*! or replace */ table oc4 (a /* in /* ner */ int)", "CREATE TABLE (fact).oc4 or-replace"),
	    ROW("create /*!50000 table /*!40101 oc5 */ (a int)", "CREATE TABLE (fact).oc5"),
	    ROW("/*!50000 create table /* c */ oc6 (a int) */", "CREATE TABLE (fact).oc6"),
	    ROW("/*M!100100 create */ /*!50000 or replace */ table cc2 (a int)", "CREATE TABLE (fact).cc2 or-replace"),
	    ROW("create /*M 999999 temporary */ table cc5(a int)", "CREATE TABLE (fact).cc5"),
	    ROW("create /* 99999 a (* b *) c */ table oc9(a int)", "CREATE TABLE (fact).oc9"),
	    ROW("create table/**/ cc6(a int)", "CREATE TABLE (fact).cc6"),
	    ROW("create table trl (a int) --", "CREATE TABLE (fact).trl"),
	    ROW("create table trm (a int) --\x01 x", "CREATE TABLE (fact).trm"),
	    ROW("create table trn (a int) #", "CREATE TABLE (fact).trn"),
	    ROW("create table trt (a int) ; # x", "CREATE TABLE (fact).trt"),
	    ROW("create table tru (a int) /*!*/", "CREATE TABLE (fact).tru"),
	    ROW("create table trv (a int /*!50000*/)", "CREATE TABLE (fact).trv"),
	    ROW("create table trx (/*!050000a*/ int)", "CREATE TABLE (fact).trx"),
	    ROW("create or replace table oc7 (a int) /* trailing */", "CREATE TABLE (fact).oc7 or-replace"),
	    /* logged, too: the server keeps a comment before the first name, its code as well; no replica can run that */
	    ROW("DROP TABLE IF EXISTS /*!40000 xe1, start */ `xe1`,`start` /* generated by server */", "unknown"),
	    /* as it may be written */
	    ROW("\n\t -- a comment\n# drop table x\n/* drop */ DROP -- x\n TABLE # y\n a /* z */ , b",
	        "DROP TABLE (fact).a (fact).b"),
	    ROW("create /*!100000temporary*/table t(a int)", "CREATE TABLE (fact).t temporary"),
	    ROW("create /*!5000 temporary */ table t (a int)", "unknown"),
	    ROW("drop table a--b", "unknown"),
	    ROW("drop table a -- , b", "DROP TABLE (fact).a"),
	    ROW("drop table `a/*`, `b*/`, `-- c`, `#`", "DROP TABLE (fact).a/* (fact).b*/ (fact).-- c (fact).#"),
	    ROW("create table t (a int) comment '/*' /* ' */", "CREATE TABLE (fact).t"),
	    ROW("drop table a /* b", "unknown"),
	    ROW("drop table a /*! , b", "unknown"),
	    ROW("drop table a */", "unknown"),
	    ROW("/* nothing */ -- at all", "empty"),
	    ROW("", "empty"),
	    ROW(" \t\r\n\v\f", "empty"),
	};
	CHECK_ROWS(rows);
}

/* Where a string ends decides what is code behind it: wrongly ended, a column's default or comment could rename a table
 * out of the replicated database, or hide that it does. */
static void test_strings(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    ROW("alter table t comment 'x, rename to z', rename to z, add column zz int", "ALTER TABLE (fact).t >(fact).z"),
	    ROW("alter table t comment 'it''s, rename to z'", "ALTER TABLE (fact).t"),
	    ROW("alter table t comment 'it\\'s, rename to z'", "ALTER TABLE (fact).t"),
	    ROW("alter table t comment \"it\\\"s, rename to z\"", "ALTER TABLE (fact).t"),
	    ROW("alter table t comment '\\', rename to z, comment '\\''", "ALTER TABLE (fact).t"),
	    ROW("alter table t comment '\\', rename to z", "ALTER TABLE (fact).t >(fact).z",
	        .sql_mode = NO_BACKSLASH_ESCAPES),
	    ROW("create table nb (a varchar(9) default '\\') comment 'a\\'", "CREATE TABLE (fact).nb",
	        .sql_mode = NO_BACKSLASH_ESCAPES),
	    ROW("alter table t comment '\\\\', rename to z", "ALTER TABLE (fact).t >(fact).z"),
	    ROW("alter table t rename to \"z\\\", comment 'x'", "ALTER TABLE (fact).t >(fact).z\\",
	        .sql_mode = ANSI_QUOTES),
	    ROW("create table pq(a int, v varchar(10)) comment 'x;y'", "CREATE TABLE (fact).pq"),
	    ROW("alter table t comment 'x", "unknown"),
	    ROW("alter table t comment 'x\\'", "unknown"),
	};
	CHECK_ROWS(rows);
}

/* The text is in the client's character set. In some, the second byte of a letter is a backquote or a backslash; in all
 * but UTF-8, a name must be translated before it is compared with the settings or with a row event's table. */
static void test_character_sets(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    /* logged */
	    ROW("create table g\xf6\xdf"
	        "e (a int)",
	        "CREATE TABLE (fact).göße", .charset = LATIN1),
	    ROW("DROP TABLE `g\xf6\xdf"
	        "e` /* generated by server */",
	        "DROP TABLE (fact).göße", .charset = LATIN1),
	    ROW("create table `\x80\x81` (a int)", "CREATE TABLE (fact).€\xc2\x81", .charset = LATIN1),
	    ROW("create database db\xf6l1", "CREATE DATABASE dböl1", .charset = LATIN1),
	    ROW("create\xa0table nb1 (a int)", "CREATE TABLE (fact).nb1", .charset = LATIN1),
	    ROW("create table \x83`y (a int)", "CREATE TABLE (fact).??y*", .charset = SJIS),
	    ROW("create table `\x81`x` (a int)", "CREATE TABLE (fact).??x*", .charset = GBK),
	    ROW("create table \xd0\xd1 (a int)", "CREATE TABLE (fact).??*", .charset = CP1251),
	    ROW("DROP TABLE `\xd0\xd1` /* generated by server */", "DROP TABLE (fact).??*", .charset = CP1251),
	    /* as it may be written */
	    ROW("drop table `\xa4`, `x`", "DROP TABLE (fact).?* (fact).x", .charset = SJIS),
	    ROW("drop table `\x80`, `x`", "DROP TABLE (fact).?* (fact).x", .charset = GBK),
	    ROW("drop table `\xa4`x`.y", "not supported", .charset = BIG5),
	    ROW("drop table `\xa4\x5cx`", "DROP TABLE (fact).??x*", .charset = BIG5),
	    ROW("alter table t comment '\x83\\', rename to z", "ALTER TABLE (fact).t >(fact).z", .charset = SJIS),
	    ROW("alter table t comment '\x83\\', rename to z", "unknown", .charset = LATIN1),
	    ROW("alter table t comment '\x83\\', rename to z", "ALTER TABLE (fact).t >(fact).z", .charset = SJIS + 1024),
	    ROW("drop table fact.`\xd0`, `x`", "DROP TABLE fact.?* (fact).x", .charset = CP1251),
	    ROW("drop table `\xd0`.t", "not supported", .charset = CP1251),
	    ROW("drop database `\xd0`", "not supported", .charset = CP1251),
	    ROW("drop table `\xc3\xb6`.t", "DROP TABLE ö.t", .charset = BINARY),
	    ROW("drop table `\xc3\xb6`.t", "DROP TABLE ö.t", .charset = 2304),
	    ROW("drop table `\xc3\xb6`.t", "DROP TABLE ö.t", .charset = UTF8MB4 + 1024),
	    ROW("create table t (a varchar(9) default '\xd0\xff')", "CREATE TABLE (fact).t", .charset = CP1251),
	    ROW("insert into `\xd0`.t values (1)", "DML", .charset = CP1251),
	};
	CHECK_ROWS(rows);
}

/* A table that moves between databases is a table to be created or dropped on the peers. The new name without a
 * database is in the session's, not in the old name's: the reader who thinks otherwise keeps a table that has left. */
static void test_renames(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    /* logged */
	    ROW("alter table fact.t rename t2", "ALTER TABLE fact.t >(other).t2", .database = "other"),
	    ROW("rename table t2 to fact.t", "RENAME TABLE (other).t2 >fact.t", .database = "other"),
	    ROW("rename table rb to rc, rc to rb", "RENAME TABLE (fact).rb >(fact).rc (fact).rc >(fact).rb"),
	    ROW("rename table if exists nono to nono2", "RENAME TABLE (fact).nono >(fact).nono2 if-exists"),
	    ROW("rename table w wait 2 to w2", "RENAME TABLE (fact).w >(fact).w2"),
	    ROW("rename table fact.vv to fact.ww", "RENAME TABLE fact.vv >fact.ww", .database = ""),
	    ROW("alter table px2 rename other.px2", "ALTER TABLE (fact).px2 >other.px2"),
	    ROW("alter table t rename = tren", "ALTER TABLE (fact).t >(fact).tren"),
	    ROW("alter table other.tz rename as fact.t", "ALTER TABLE other.tz >fact.t"),
	    ROW("alter table t rename key x to y, rename column a to b, rename to other.tz",
	        "ALTER TABLE (fact).t >other.tz"),
	    ROW("alter table z add column (q int, r int), rename t", "ALTER TABLE (fact).z >(fact).t"),
	    ROW("alter table t2p add unique(a), rename to fact.t3p", "ALTER TABLE (fact).t2p >fact.t3p"),
	    ROW("alter event fact.ev rename to ev2", "ALTER EVENT fact.ev >(other).ev2", .database = "other"),
	    ROW("alter event fact.e3 on completion preserve rename to fact.e4 disable comment 'y' do begin alter table a "
	        "rename to b; end",
	        "ALTER EVENT fact.e3 >fact.e4", .database = ""),
	    ROW("alter event fact.e4 on completion preserve disable do rename table a to b", "ALTER EVENT fact.e4"),
	    /* as it may be written */
	    ROW("rename tables a to b", "RENAME TABLE (fact).a >(fact).b"),
	    ROW("alter table t rename index a to b, rename column c to d", "ALTER TABLE (fact).t"),
	    ROW("alter table t add column `rename` int, drop column `to`", "ALTER TABLE (fact).t"),
	    ROW("alter table t wait 3 rename u", "ALTER TABLE (fact).t >(fact).u"),
	    ROW("alter table t add column (a int default (f(1), rename to x))", "ALTER TABLE (fact).t"),
	    ROW("alter event e on schedule at @@timestamp + @x rename to f", "ALTER EVENT (fact).e >(fact).f"),
	    ROW("alter event e do alter table a rename to b.c", "ALTER EVENT (fact).e"),
	    ROW("rename table a to b, c", "unknown"),
	    ROW("rename table a b", "unknown"),
	    ROW("rename view a to b", "unknown"),
	};
	CHECK_ROWS(rows);
}

/* A partition that trades places with a table of another database carries rows across the settings' border. */
static void test_partitions(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    /* logged */
	    ROW("alter table pt exchange partition p0 with table px3", "ALTER TABLE (fact).pt %(fact).px3"),
	    ROW("alter table fact.pt exchange partition p0 with table px3", "ALTER TABLE fact.pt %(other).px3",
	        .database = "other"),
	    ROW("alter table fact.pt convert partition p1 to table cpx", "ALTER TABLE fact.pt %(other).cpx",
	        .database = "other"),
	    ROW("alter table pt truncate partition p0", "ALTER TABLE (fact).pt"),
	    ROW("alter table z partition by hash(id) partitions 2", "ALTER TABLE (fact).z"),
	    ROW("alter table t remove partitioning", "ALTER TABLE (fact).t"),
	    ROW("alter table pt analyze partition all", "server"),
	    ROW("alter table pt optimize partition all", "server"),
	    ROW("alter table tsx discard tablespace", "ALTER TABLE (fact).tsx tablespace"),
	    /* as it may be written */
	    ROW("alter table pt check partition p0", "server"),
	    ROW("alter table pt repair partition p0", "server"),
	    ROW("alter table pt import tablespace", "ALTER TABLE (fact).pt tablespace"),
	    ROW("alter table pt convert table a.x to partition p2 values less than (5)", "ALTER TABLE (fact).pt %a.x"),
	    ROW("alter table t convert to character set utf8mb4", "ALTER TABLE (fact).t"),
	    ROW("alter table t exchange partition p0 with t2", "unknown"),
	    ROW("alter table t add check (a > 0), exchange = 1", "ALTER TABLE (fact).t"),
	};
	CHECK_ROWS(rows);
}

/* The words around the names: how long to wait, what to do if it is there, how to do it. Taken for names, they are
 * tables that nobody has. */
static void test_tables(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    /* logged */
	    ROW("create table if not exists v1 (a int)", "CREATE TABLE (fact).v1 if-not-exists"),
	    ROW("create temporary table other.tu(a int)", "CREATE TABLE other.tu temporary"),
	    ROW("alter table w wait 5 add column b int", "ALTER TABLE (fact).w"),
	    ROW("alter table if exists w2 nowait comment 'x'", "ALTER TABLE (fact).w2 if-exists"),
	    ROW("alter online ignore table lk7 add column d int", "ALTER TABLE (fact).lk7"),
	    ROW("create offline index i on t (a)", "CREATE INDEX (fact).t"),
	    ROW("alter table t order by id, q", "ALTER TABLE (fact).t"),
	    ROW("truncate c", "TRUNCATE TABLE (fact).c"),
	    ROW("truncate table m", "TRUNCATE TABLE (fact).m"),
	    ROW("truncate w2 nowait", "TRUNCATE TABLE (fact).w2"),
	    ROW("truncate table fact.t2 wait 1.5", "TRUNCATE TABLE fact.t2"),
	    ROW("truncate table fact.t2 wait 1e1", "TRUNCATE TABLE fact.t2"),
	    ROW("create table pt(a int) partition by range(a) (partition p0 values less than (10), partition p1 values "
	        "less "
	        "than maxvalue)",
	        "CREATE TABLE (fact).pt"),
	    ROW("create table seluni (a int) engine=merge union=(mm1,mm2) insert_method=last",
	        "CREATE TABLE (fact).seluni"),
	    /* as it may be written */
	    ROW("DrOp TaBlEs If ExIsTs A, wait WAIT 3 CASCADE", "DROP TABLE (fact).A (fact).wait if-exists"),
	    ROW("drop table a restrict;", "DROP TABLE (fact).a"),
	    ROW("drop table a wait", "unknown"),
	    ROW("drop table a,", "unknown"),
	    ROW("drop table a cascade restrict", "unknown"),
	    ROW("truncate", "unknown"),
	    ROW("truncate a, b", "unknown"),
	};
	CHECK_ROWS(rows);
}

/* CREATE TABLE … SELECT as text fills the table from what each node has: the peers' rows would differ from the first
 * moment. LIKE reads a table that may not be there. */
static void test_select_and_like(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    /* logged, the first with binlog_format=STATEMENT */
	    ROW("create table fact.co3 as select * from fact.t", "CREATE TABLE fact.co3 select", .database = "other"),
	    ROW("create table lk like t", "CREATE TABLE (fact).lk ~(fact).t like"),
	    ROW("create table lk (like t)", "CREATE TABLE (fact).lk ~(fact).t like"),
	    ROW("create table fact.lk like px3", "CREATE TABLE fact.lk ~(other).px3 like", .database = "other"),
	    ROW("create table lk7 (a int) with system versioning", "CREATE TABLE (fact).lk7"),
	    ROW("create table selp (a int) partition by list(a) (partition values1 values in (1,2))",
	        "CREATE TABLE (fact).selp"),
	    ROW("create table selq (`values` int) comment='with select values'", "CREATE TABLE (fact).selq"),
	    ROW("create table sel (a int default 1 check (a in (1,2)), b int as (a+1))", "CREATE TABLE (fact).sel"),
	    /* as it may be written */
	    ROW("create table t select 1", "CREATE TABLE (fact).t select"),
	    ROW("create table t (select 1 as a)", "CREATE TABLE (fact).t select"),
	    ROW("create table t ((select 1 as a))", "CREATE TABLE (fact).t select"),
	    ROW("create table t (a int) as (select 1 as a)", "CREATE TABLE (fact).t select"),
	    ROW("create table t (a int) ((select 1 as a))", "CREATE TABLE (fact).t select"),
	    ROW("create table t engine=innodb ignore values (1),(2)", "CREATE TABLE (fact).t select"),
	    ROW("create table t with w as (select 1 as a) select * from w", "CREATE TABLE (fact).t select"),
	    ROW("create table t (with w as (select 1 as a) select * from w)", "CREATE TABLE (fact).t select"),
	    ROW("create table t with system as (select 1 as a) select * from system", "CREATE TABLE (fact).t select"),
	    ROW("create table t (a int) with system versioning as select 1 as a", "CREATE TABLE (fact).t select"),
	    ROW("create table t (a int) /*! select 1 as a */", "CREATE TABLE (fact).t select"),
	    ROW("create table t (a int check (a in (select 1)))", "CREATE TABLE (fact).t"),
	    ROW("create temporary table tt as select * from t", "CREATE TABLE (fact).tt temporary select"),
	    ROW("create table a like b, c", "unknown"),
	    ROW("create table a (like b", "unknown"),
	};
	CHECK_ROWS(rows);
}

/* A database is dropped with all that is in it: the name must be the right one, and ALTER DATABASE may go without. */
static void test_databases(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    /* logged */
	    ROW("create database if not exists fact2", "CREATE DATABASE fact2 if-not-exists", .database = "fact2"),
	    ROW("create database `d4` comment 'x'", "CREATE DATABASE d4"),
	    ROW("create or replace database d4 charset utf8", "CREATE DATABASE d4 or-replace"),
	    ROW("drop schema dd", "DROP DATABASE dd"),
	    ROW("drop database if exists fact2", "DROP DATABASE fact2 if-exists"),
	    ROW("alter database fact2 charset latin1", "ALTER DATABASE fact2"),
	    ROW("alter database default charset utf8", "ALTER DATABASE (other)", .database = "other"),
	    ROW("alter database comment 'x'", "ALTER DATABASE (other)", .database = "other"),
	    ROW("alter database comment='x'", "ALTER DATABASE (other)", .database = "other"),
	    ROW("alter database character set utf8", "ALTER DATABASE (other)", .database = "other"),
	    ROW("alter database collate utf8_bin", "ALTER DATABASE (other)", .database = "other"),
	    ROW("alter schema other default collate = utf8_bin", "ALTER DATABASE other"),
	    ROW("alter database charset charset utf8", "ALTER DATABASE charset"),
	    /* as it may be written */
	    ROW("alter database comment comment 'x'", "ALTER DATABASE comment"),
	    ROW("alter database char set utf8", "ALTER DATABASE (fact)"),
	    ROW("alter database `#mysql50#a-b` upgrade data directory name", "ALTER DATABASE #mysql50#a-b"),
	    ROW("drop database a b", "unknown"),
	    ROW("drop database a.b", "unknown"),
	};
	CHECK_ROWS(rows);
}

/* Indexes, views, sequences, triggers, routines, events: each has its own place for the database. The bodies hold any
 * words at all, and any number of semicolons. */
static void test_other_objects(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    /* logged */
	    ROW("create unique index if not exists i on px2(a)", "CREATE INDEX (fact).px2 if-not-exists"),
	    ROW("create index i on w2(a) wait 3", "CREATE INDEX (fact).w2"),
	    ROW("drop index if exists i on px2", "DROP INDEX (fact).px2 if-exists"),
	    ROW("drop index i on w2 nowait", "DROP INDEX (fact).w2"),
	    ROW("drop view if exists v, v2", "DROP VIEW (fact).v (fact).v2 if-exists"),
	    ROW("drop view if exists fact.ww cascade", "DROP VIEW fact.ww if-exists"),
	    ROW("create sequence s cache 1", "CREATE SEQUENCE (fact).s"),
	    ROW("create temporary sequence ts", "CREATE SEQUENCE (fact).ts temporary"),
	    ROW("create or replace sequence fact.sss start with 3", "CREATE SEQUENCE fact.sss or-replace"),
	    ROW("alter sequence s restart 50", "ALTER SEQUENCE (fact).s"),
	    ROW("CREATE DEFINER=`root`@`localhost` trigger fact.tr2 before insert on t for each row set new.a=1",
	        "CREATE TRIGGER fact.tr2 @(fact).t", .database = "other"),
	    ROW("drop trigger if exists nodb.x", "DROP TRIGGER nodb.x if-exists"),
	    ROW("drop trigger tr", "DROP TRIGGER (fact).tr"),
	    ROW("alter procedure `p p` comment 'y'", "ALTER PROCEDURE (fact).p p"),
	    ROW("alter function fact.f1 sql security invoker", "ALTER FUNCTION fact.f1"),
	    ROW("drop procedure if exists fact.`p p`", "DROP PROCEDURE fact.p p if-exists"),
	    ROW("drop function ag", "DROP FUNCTION (fact).ag"),
	    ROW("drop event if exists ev3", "DROP EVENT (fact).ev3 if-exists"),
	    ROW("alter event ev3 on schedule every 2 day enable", "ALTER EVENT (fact).ev3"),
	    ROW("CREATE OR REPLACE DEFINER=\"root\"@\"localhost\" PACKAGE \"pk\" as procedure p1(); end",
	        "CREATE PACKAGE (fact).pk or-replace", .sql_mode = ANSI_QUOTES),
	    ROW("CREATE OR REPLACE DEFINER=\"root\"@\"localhost\" PACKAGE BODY \"pk\" as procedure p1() as begin insert "
	        "into t "
	        "values (700,1); end; end",
	        "CREATE PACKAGE BODY (fact).pk or-replace", .sql_mode = ANSI_QUOTES),
	    ROW("drop package body pk", "DROP PACKAGE BODY (fact).pk"),
	    ROW("drop package pk", "DROP PACKAGE (fact).pk"),
	    /* as it may be written */
	    ROW("create fulltext index `i` on a.`on` (a)", "CREATE INDEX a.on"),
	    ROW("create spatial index i using rtree on t (g)", "CREATE INDEX (fact).t"),
	    ROW("create vector index i on t (v)", "CREATE INDEX (fact).t"),
	    ROW("create index i using btree on t (a)", "CREATE INDEX (fact).t"),
	    ROW("create index i (a)", "unknown"),
	    ROW("create trigger tr before insert for each row set @a=1", "unknown"),
	    ROW("create trigger if not exists a.tr after update on a.t for each row follows x begin drop table y; end",
	        "CREATE TRIGGER a.tr @a.t if-not-exists"),
	    ROW("drop package body", "DROP PACKAGE (fact).body"),
	    ROW("drop package body if exists body", "DROP PACKAGE BODY (fact).body if-exists"),
	    ROW("create package body.x as end", "CREATE PACKAGE body.x"),
	    ROW("create package body is end", "CREATE PACKAGE (fact).body"),
	    ROW("create function if not exists f(a text) returns text return concat(a, ';')",
	        "CREATE FUNCTION (fact).f if-not-exists"),
	    ROW("create procedure p() begin select 'unfinished; end", "CREATE PROCEDURE (fact).p"),
	};
	CHECK_ROWS(rows);
}

/* In a transaction's group only its real end may end it: a ROLLBACK TO a savepoint taken for a ROLLBACK loses the
 * transaction on every peer. */
static void test_transactions(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    ROW("BEGIN", "transaction BEGIN"),
	    ROW("begin work", "transaction BEGIN"),
	    ROW("START TRANSACTION READ WRITE", "transaction BEGIN"),
	    ROW("commit and no chain release", "transaction COMMIT"),
	    ROW("rollback work", "transaction ROLLBACK"),
	    ROW("rollback work to savepoint `a b`", "transaction ROLLBACK TO"),
	    ROW("ROLLBACK TO SAVEPOINT to", "transaction ROLLBACK TO"),
	    ROW("release savepoint `a b`", "transaction RELEASE SAVEPOINT"),
	    ROW("xa start 'x1'", "XA START"),
	    ROW("xa begin 'x1' join", "XA START"),
	    ROW("xa prepare 'x2','q',7", "XA PREPARE"),
	    ROW("commit; drop table t", "unknown"),
	    ROW("rollback; drop table t", "unknown"),
	    ROW("xa recover", "unknown"),
	    ROW("release x", "unknown"),
	};
	CHECK_ROWS(rows);
}

/* Rows changed by text are rows that no conflict is ever found for. The link must see that they are there. */
static void test_dml(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    /* logged with binlog_format=STATEMENT */
	    ROW("insert into t values(200,1)", "DML"),
	    ROW("insert into t values( NAME_CONST('x',280),1)", "DML"),
	    ROW("SELECT `fact`.`g`()", "DML"),
	    ROW("analyze update t set a=a+1", "DML"),
	    ROW("set statement binlog_format=statement for insert into t values(210,1)", "DML"),
	    ROW("LOAD DATA INFILE '/tmp/load.csv' INTO TABLE `t` FIELDS TERMINATED BY ',' ENCLOSED BY '' ESCAPED BY '\\\\' "
	        "LINES TERMINATED BY '\\n' (`id`, `a`)",
	        "DML"),
	    ROW("replace into t values (1,1)", "DML"),
	    ROW("update t set a=2 where id=600", "DML"),
	    ROW("delete from t where id= NAME_CONST('x',280)", "DML"),
	    /* as it may be written */
	    ROW("delete history from t", "DML"),
	    ROW("call pp(280)", "DML"),
	    ROW("do g()", "DML"),
	    ROW("set @x=g()", "DML"),
	    ROW("(select g())", "DML"),
	    ROW("with w as (select g()) select * from w", "DML"),
	    ROW("values (g())", "DML"),
	    ROW("begin not atomic drop table t; end", "DML"),
	    ROW("execute immediate 'drop table t'", "DML"),
	    ROW("handler t open", "DML"),
	    ROW("binlog 'AAAA'", "DML"),
	    ROW("load xml infile 'x' into table t", "DML"),
	};
	CHECK_ROWS(rows);
}

/* Accounts belong to a server, not to a database: a GRANT on the replicated database must not overwrite what the peer's
 * administrator has set, and must not stop the link either. */
static void test_accounts(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    /* logged */
	    ROW("create user u@localhost identified by 'pw'", "account"),
	    ROW("create user if not exists u@localhost identified by 'pw2'", "account"),
	    ROW("grant select on fact.* to u@localhost", "account"),
	    ROW("grant r to v@localhost", "account"),
	    ROW("SET PASSWORD FOR 'u'@'localhost'='*B69027D44F6E5EDC07F1AEAD1477967B16F28227'", "account"),
	    ROW("alter user u@localhost account lock", "account"),
	    ROW("rename user u@localhost to v@localhost", "account"),
	    ROW("revoke all on fact.* from v@localhost", "account"),
	    ROW("create role r", "account"),
	    ROW("SET DEFAULT ROLE 'r' FOR 'v'@'localhost'", "account"),
	    ROW("drop role r", "account"),
	    ROW("drop user if exists v@localhost", "account"),
	    /* as it may be written */
	    ROW("create or replace user u@'%' identified via unix_socket", "account"),
	    ROW("create or replace role r with admin u", "account"),
	    ROW("set role none", "account"),
	};
	CHECK_ROWS(rows);
}

/* Each server's own upkeep: a peer that flushed, repaired or loaded a library because another node did would be a
 * nuisance; a link that stopped for it, an outage. */
static void test_server_matters(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    /* logged */
	    ROW("optimize table t", "server"),
	    ROW("analyze table t persistent for all", "server"),
	    ROW("repair table m", "server"),
	    ROW("flush tables", "server"),
	    ROW("flush privileges", "server"),
	    ROW("flush user_resources", "server"),
	    /* as it may be written */
	    ROW("analyze no_write_to_binlog tables a, b", "server"),
	    ROW("analyze local table a", "server"),
	    ROW("create function lib returns string soname 'nono.so'", "server"),
	    ROW("create or replace aggregate function if not exists lib returns real soname 'nono.so'", "server"),
	    ROW("create server srv foreign data wrapper mysql options (host 'x')", "server"),
	    ROW("alter server srv options (host 'y')", "server"),
	    ROW("drop server if exists srv", "server"),
	    ROW("drop prepare s", "server"),
	    ROW("install soname 'x'", "server"),
	    ROW("uninstall plugin x", "server"),
	    ROW("purge binary logs to 'bin.000002'", "server"),
	    ROW("reset master", "server"),
	    ROW("change master to master_host='x'", "server"),
	    ROW("start slave", "server"),
	    ROW("stop all slaves", "server"),
	    ROW("load index into cache m", "server"),
	    ROW("cache index m in default", "server"),
	    ROW("check table t", "server"),
	    ROW("checksum table t", "server"),
	    ROW("kill query 1", "server"),
	    ROW("lock tables t write", "server"),
	    ROW("unlock tables", "server"),
	    ROW("use other", "server"),
	    ROW("show tables", "server"),
	    ROW("shutdown", "server"),
	    ROW("backup stage start", "server"),
	    ROW("help 'x'", "server"),
	    ROW("explain select 1", "server"),
	    ROW("describe t", "server"),
	    ROW("desc t", "server"),
	    ROW("prepare s from 'select 1'", "server"),
	    ROW("deallocate prepare s", "server"),
	};
	CHECK_ROWS(rows);
}

/* SET STATEMENT stands before a statement of any kind and is logged with it. Taken for a SET, it would hide a DROP. */
static void test_set_statement(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    /* logged */
	    ROW("set statement max_statement_time=10, lock_wait_timeout=3 for create table sst(a int)",
	        "CREATE TABLE (fact).sst"),
	    ROW("set statement lock_wait_timeout=(select 1 for update) for create table sq2 (a int default 1)",
	        "CREATE TABLE (fact).sq2"),
	    ROW("set statement lock_wait_timeout=3 for set statement lock_wait_timeout=3 for create table sq3 (a int "
	        "default 1)",
	        "CREATE TABLE (fact).sq3"),
	    ROW("set statement sql_mode='ansi_quotes' for create table sq1 (a int default 1)", "CREATE TABLE (fact).sq1"),
	    /* as it may be written */
	    ROW("set statement character_set_client=' for drop table a' for alter table b comment ''",
	        "ALTER TABLE (fact).b"),
	    ROW("set statement a=1 for grant all on *.* to x", "account"),
	    ROW("set statement a=1", "unknown"),
	    ROW("set statement a=1; drop table t", "unknown"),
	    ROW("set statement a=1 for", "unknown"),
	};
	CHECK_ROWS(rows);
}

/* What isn't known is said to be unknown. A guess would apply, or leave out, what nobody has looked at. */
static void test_the_unknown(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    ROW("create table a (a int); drop table b", "unknown"),
	    ROW("drop table a; drop database fact", "unknown"),
	    ROW("create view v as select 1; drop table a", "unknown"),
	    ROW("alter table t add a int; rename table t to x.t", "unknown"),
	    ROW("alter table", "unknown"),
	    ROW("create", "unknown"),
	    ROW("create or table t (a int)", "unknown"),
	    ROW("create tables t (a int)", "unknown"),
	    ROW("create tablespace x", "unknown"),
	    ROW("create logfile group x", "unknown"),
	    ROW("create definer table t (a int)", "unknown"),
	    ROW("create definer=5 view v as select 1", "unknown"),
	    ROW("create definer=current_user(x) view v as select 1", "unknown"),
	    ROW("create sql view v as select 1", "unknown"),
	    ROW("create catalog c", "unknown"),
	    ROW("alter instance reload", "unknown"),
	    ROW("alter trigger t", "unknown"),
	    ROW("drop foo bar", "unknown"),
	    ROW("drop table if a", "unknown"),
	    ROW("merge into t", "unknown"),
	    ROW("x: begin end", "unknown"),
	    ROW("`create` table t (a int)", "unknown"),
	    ROW("createtable t (a int)", "unknown"),
	    ROW("\xef\xbb\xbf"
	        "create table t (a int)",
	        "unknown"),
	    ROW(";", "unknown"),
	    ROW("*/", "unknown"),
	    ROW("'create table'", "unknown"),
	};
	CHECK_ROWS(rows);
}

static struct statement parse(const char *text, size_t size, const char *database)
{
	struct statement_context context = {.database = database, .database_size = strlen(database)};
	struct statement st = {0};
	struct err err;
	assert_int_equal(statement_parse(text, size, &context, &st, &err), ERR_OK);
	check_invariants(&st);
	return st;
}

static bool is_replicated(const char *database, void *context)
{
	return strcmp(database, (const char *)context) == 0;
}

/* Inside is applied, outside is left out. Mixed is neither: a table renamed into the replicated database has rows
 * that the peers have never seen, one renamed out of it must go from them. LIKE only reads, so a copy made outside
 * is nobody's business, but one made inside needs its model. */
static void test_scopes(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum statement_scope scope;
	} rows[] = {
	    {"create table in1.t (a int)", SCOPE_INSIDE},
	    {"create table t (a int)", SCOPE_OUTSIDE},
	    {"drop table in1.a, in1.b", SCOPE_INSIDE},
	    {"drop table in1.a, b", SCOPE_MIXED},
	    {"rename table in1.a to b", SCOPE_MIXED},
	    {"rename table a to in1.b", SCOPE_MIXED},
	    {"alter table in1.a rename b", SCOPE_MIXED},
	    {"alter table in1.a exchange partition p with table b", SCOPE_MIXED},
	    {"create table in1.a like b", SCOPE_MIXED},
	    {"create table in1.a like in1.b", SCOPE_INSIDE},
	    {"create table a like in1.b", SCOPE_OUTSIDE},
	    {"create trigger in1.tr before insert on t for each row set @a = 1", SCOPE_INSIDE},
	    {"drop database in1", SCOPE_INSIDE},
	    {"drop database IN1", SCOPE_OUTSIDE},
	    {"alter database comment 'x'", SCOPE_OUTSIDE},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct statement st = parse(rows[i].text, strlen(rows[i].text), "out");
		assert_int_equal(st.kind, STATEMENT_DDL);
		if (statement_scope(&st, is_replicated, "in1") != rows[i].scope)
			print_error("%s\n", rows[i].text);
		assert_int_equal(statement_scope(&st, is_replicated, "in1"), rows[i].scope);
		statement_free(&st);
	}
}

/* A NUL within a name would cut it short for us and not for the server. MariaDB itself logs one at the text's end. */
static void test_nul_bytes(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		size_t size;
		enum statement_kind kind;
	} rows[] = {
	    {"create table nul1 (a int) \0", 27, STATEMENT_DDL},       /* logged */
	    {"create table nul2 (a int) /* \0 */", 33, STATEMENT_DDL}, /* logged */
	    {"drop table `a\0b`", 16, STATEMENT_UNKNOWN},
	    {"drop table a\0, b", 16, STATEMENT_UNKNOWN},
	    {"drop\0table a", 12, STATEMENT_UNKNOWN},
	    {"drop table `b\0`.`a`", 19, STATEMENT_UNKNOWN},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct statement st = parse(rows[i].text, rows[i].size, "fact");
		assert_int_equal(st.kind, rows[i].kind);
		statement_free(&st);
	}
	struct statement_context context = {.database = "a\0b", .database_size = 3};
	struct statement st = {0};
	assert_int_equal(statement_parse("drop table t", 12, &context, &st, NULL), ERR_OK);
	assert_int_equal(st.kind, STATEMENT_UNKNOWN);
}

/* The character set's error names the statement and the way out, and leaves the caller's statement as it was. */
static void test_the_error_says_what_to_do(void **state)
{
	(void)state;
	struct statement_context context = {.database = "fact", .database_size = 4, .charset_client = CP1251};
	struct statement st = {.kind = STATEMENT_XA};
	struct err err = {0};
	assert_int_equal(statement_parse("drop table `\xd0`.t, u", 20, &context, &st, &err), ERR_UNSUPPORTED);
	assert_non_null(strstr(err.message, "DROP TABLE"));
	assert_non_null(strstr(err.message, "SET NAMES utf8mb4"));
	assert_int_equal(st.kind, STATEMENT_XA);
}

static struct statement parse_repeated(const char *head, const char *unit, size_t count, const char *tail)
{
	struct buf text = {0};
	buf_append_str(&text, head);
	for (size_t i = 0; i < count; i++)
		buf_append_str(&text, unit);
	buf_append_str(&text, tail);
	struct statement st = parse((const char *)text.data, text.size, "fact");
	buf_free(&text);
	return st;
}

/* A name longer than any that MariaDB takes, or a list longer than any that a person writes, comes from a broken or
 * hostile peer: it mustn't cost memory. */
static void test_limits(void **state)
{
	(void)state;
	static const struct {
		const char *head, *unit, *tail;
		size_t count;
		enum statement_kind kind;
	} rows[] = {
	    {"drop table ", "x", "", STATEMENT_IDENTIFIER_MAX, STATEMENT_DDL},
	    {"drop table ", "x", "", STATEMENT_IDENTIFIER_MAX + 1, STATEMENT_UNKNOWN},
	    {"drop table `", "``", "`", STATEMENT_IDENTIFIER_MAX, STATEMENT_DDL},
	    {"drop table `", "ö", "`.t", STATEMENT_IDENTIFIER_MAX / 2, STATEMENT_DDL},
	    {"drop table `", "ö", "`.t", STATEMENT_IDENTIFIER_MAX / 2 + 1, STATEMENT_UNKNOWN},
	    {"drop table a", ",a", "", STATEMENT_NAMES_MAX - 1, STATEMENT_DDL},
	    {"drop table a", ",a", "", STATEMENT_NAMES_MAX, STATEMENT_UNKNOWN},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct statement st = parse_repeated(rows[i].head, rows[i].unit, rows[i].count, rows[i].tail);
		assert_int_equal(st.kind, rows[i].kind);
		statement_free(&st);
	}
}

/* A few megabytes must take milliseconds: each of these would take minutes if the time went with the square of the
 * size, and the link would look hung. */
static void test_time_is_linear(void **state)
{
	(void)state;
	static const struct {
		const char *head, *unit, *tail;
		enum statement_kind kind;
	} rows[] = {
	    {"create table t ", "(", "", STATEMENT_DDL},
	    {"create table t ", "with ", "", STATEMENT_DDL},
	    {"create table t (", "'x''\\'',", ")", STATEMENT_DDL},
	    {"alter table t ", "rename column a to b,", "force", STATEMENT_DDL},
	    {"alter table t ", "check,", "force", STATEMENT_DDL},
	    {"alter table t ", "check", " 'x'", STATEMENT_DDL},
	    {"", "/*!99999", "", STATEMENT_UNKNOWN},
	    {"", "/*x*/", "drop table t", STATEMENT_DDL},
	    {"", "/", "", STATEMENT_UNKNOWN},
	    {"/", "*", "", STATEMENT_UNKNOWN},
	    {"", "#\n", "drop table t", STATEMENT_DDL},
	    {"", "set statement a=1 for ", "drop table t", STATEMENT_DDL},
	    {"set ", "statement ", "drop table t", STATEMENT_UNKNOWN},
	    {"create ", "or replace ", "table t (a int)", STATEMENT_DDL},
	    {"create ", "definer=a@b ", "table t (a int)", STATEMENT_DDL},
	    {"alter event e ", "x ", "rename to y", STATEMENT_DDL},
	    {"drop table ", "`", "", STATEMENT_UNKNOWN},
	    {"create trigger a before ", "@a.b ", "on t", STATEMENT_DDL},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct statement st = parse_repeated(rows[i].head, rows[i].unit, 1 << 19, rows[i].tail);
		if (st.kind != rows[i].kind)
			print_error("%s%s… %s\n", rows[i].head, rows[i].unit, st.note ? st.note : "");
		assert_int_equal(st.kind, rows[i].kind);
		statement_free(&st);
	}
}

/* An event that isn't marked runs on every node; a mark in the wrong place makes a statement that can't be run. */
static void test_where_an_event_is_marked(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int what;
		const char *before, *said;
	} rows[] = {
	    {"create event e on schedule every 1 day do select 'do enable'", EVENT_UNSAID,
	     "create event e on schedule every 1 day ", ""},
	    {"create event `do` on schedule at @enable + interval 1 day on completion not preserve enable comment 'x' do "
	     "do 1",
	     EVENT_ENABLED, "create event `do` on schedule at @enable + interval 1 day on completion not preserve ",
	     "enable"},
	    {"create event e on schedule every 1 day comment 'enable' do do 1", EVENT_UNSAID,
	     "create event e on schedule every 1 day ", ""},
	    {"create event e on schedule every 1 day disable  on /* */ slave do do 1", EVENT_DISABLED,
	     "create event e on schedule every 1 day ", "disable  on /* */ slave"},
	    {"create event e on schedule every 1 day disable do do 1", EVENT_DISABLED,
	     "create event e on schedule every 1 day ", "disable"},
	    {"alter event e rename to enable enable", EVENT_ENABLED, "alter event e rename to enable ", "enable"},
	    {"alter event e comment 'x'", EVENT_UNSAID, "alter event e ", ""},
	    {"alter event e on completion preserve", EVENT_UNSAID, "alter event e on completion preserve", ""},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct statement_context context = {.database = "d", .database_size = 1};
		struct statement st;
		assert_int_equal(statement_parse(rows[i].text, strlen(rows[i].text), &context, &st, NULL), ERR_OK);
		assert_int_equal(st.kind, STATEMENT_DDL);
		assert_int_equal(st.event_status.what, rows[i].what);
		assert_int_equal(st.event_status.at, strlen(rows[i].before));
		assert_int_equal(st.event_status.size, strlen(rows[i].said));
		assert_memory_equal(rows[i].text, rows[i].before, st.event_status.at);
		assert_memory_equal(rows[i].text + st.event_status.at, rows[i].said, st.event_status.size);
		statement_free(&st);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_where_an_event_is_marked),
	    cmocka_unit_test(test_the_database_is_the_tables_not_the_sessions),
	    cmocka_unit_test(test_an_unqualified_name_needs_a_default_database),
	    cmocka_unit_test(test_what_the_server_writes),
	    cmocka_unit_test(test_definers),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_comments),
	    cmocka_unit_test(test_strings),
	    cmocka_unit_test(test_character_sets),
	    cmocka_unit_test(test_renames),
	    cmocka_unit_test(test_partitions),
	    cmocka_unit_test(test_tables),
	    cmocka_unit_test(test_select_and_like),
	    cmocka_unit_test(test_databases),
	    cmocka_unit_test(test_other_objects),
	    cmocka_unit_test(test_transactions),
	    cmocka_unit_test(test_dml),
	    cmocka_unit_test(test_accounts),
	    cmocka_unit_test(test_server_matters),
	    cmocka_unit_test(test_set_statement),
	    cmocka_unit_test(test_the_unknown),
	    cmocka_unit_test(test_scopes),
	    cmocka_unit_test(test_nul_bytes),
	    cmocka_unit_test(test_the_error_says_what_to_do),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_time_is_linear),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
