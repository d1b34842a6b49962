/* src/link/schema: what becomes of a statement that a peer logged as text.
 *
 * A DDL that is left out stops the link at the next row; one that is run where it doesn't belong drops a table that
 * the peer's administrator never meant. Where the table is decides, never the database in which he stood.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "binlog/event.h"
#include "link/schema.h"

static char *databases[] = {"fact", "log"};
static const struct settings settings = {.node_id = 1, .database_count = 2, .databases = databases};

enum { ANSI_QUOTES = 4, LATIN1 = 8, SJIS = 13 };

struct row {
	const char *text;
	const char *expected; /* "apply", "ignore", "refuse: …part of why…", or the narrowed statement */
	const char *database; /* where the session stood; NULL: in both turns, replicated or not */
	uint8_t extra_flags;
	uint16_t charset;
	uint64_t sql_mode;
};

/* The texts lie in memory of exactly their size, for ASan. */
static enum err_code judge(const struct row *row, const char *database, struct schema_verdict *ret, struct err *err)
{
	size_t size = strlen(row->text);
	char *text = malloc(size ? size : 1);
	assert_non_null(text);
	memcpy(text, row->text, size);
	struct query_event query = {.database = database,
	                            .database_size = strlen(database),
	                            .statement = text,
	                            .statement_size = size,
	                            .has_sql_mode = row->sql_mode != 0,
	                            .sql_mode = row->sql_mode,
	                            .has_charset = row->charset != 0,
	                            .charset_client = row->charset};
	struct schema_change change = {.query = &query,
	                               .gtid = {.domain = 2, .server = 2, .seq = 7},
	                               .gtid_extra_flags = row->extra_flags,
	                               .settings = &settings};
	enum err_code code = schema_judge(&change, ret, err);
	free(text); /* the verdict doesn't borrow it */
	return code;
}

static bool is_as_expected(struct schema_verdict *v, const char *expected, struct buf *is)
{
	static const char refuse[] = "refuse: ";
	if (v->what == SCHEMA_REFUSE) {
		buf_printf(is, "%s%s; %s", refuse, v->why, v->mend);
		return strncmp(expected, refuse, sizeof refuse - 1) == 0 &&
		       strstr(v->why, expected + sizeof refuse - 1) != NULL && v->mend[0] != '\0';
	}
	buf_append_str(is, v->what == SCHEMA_IGNORE ? "ignore" : v->narrowed.size ? buf_str(&v->narrowed) : "apply");
	return strcmp(buf_str(is), expected) == 0;
}

static void check_row(const struct row *row, const char *database)
{
	struct schema_verdict verdict = {0};
	struct err err;
	struct buf is = {0};
	if (judge(row, database, &verdict, &err) != ERR_OK)
		fail_msg("%s: %s", row->text, err.message);
	if (!is_as_expected(&verdict, row->expected, &is))
		fail_msg("%s\n  in %s is: %s\n  expected: %s", row->text, database[0] ? database : "none", buf_str(&is),
		         row->expected);
	schema_verdict_free(&verdict);
	buf_free(&is);
}

static void check_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		check_row(&rows[i], rows[i].database ? rows[i].database : "fact");
		if (rows[i].database == NULL) {
			check_row(&rows[i], "other");
			check_row(&rows[i], "");
		}
	}
}

/* Text, what is expected, and if need be .database = …, .extra_flags = …, .charset = …, .sql_mode = … */
#define ROW(row_text, row_expected, ...)                                                                               \
	{                                                                                                                  \
		.text = (row_text), .expected = (row_expected), __VA_ARGS__                                                    \
	}

#define CHECK_ROWS(rows) check_rows(rows, sizeof(rows) / sizeof *(rows))

/* An administrator stands in `other`, or in nothing, and changes a table of `fact`: replicated. He stands in `fact`
 * and makes a scratch table elsewhere: his own matter. The default database counts only for names without one. */
static void test_where_the_table_is_decides(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    ROW("create table fact.t (a int primary key)", "apply"),
	    ROW("create table other.t (a int primary key)", "ignore"),
	    ROW("create table t (a int primary key)", "apply", .database = "fact"),
	    ROW("create table t (a int primary key)", "ignore", .database = "other"),
	    ROW("alter table fact.t add b int", "apply"),
	    ROW("alter table log.t add b int", "apply"),
	    ROW("alter table other.t add b int", "ignore"),
	    ROW("alter table t add b int", "apply", .database = "log"),
	    ROW("truncate table fact.t", "apply"),
	    ROW("truncate table other.t", "ignore"),
	    ROW("drop table fact.t", "apply"),
	    ROW("drop table fact.t, log.u", "apply"),
	    ROW("drop table other.t", "ignore"),
	    ROW("rename table fact.a to log.b", "apply"),
	    ROW("rename table other.a to other.b", "ignore"),
	    ROW("create index i on fact.t (a)", "apply"),
	    ROW("drop index i on other.t", "ignore"),
	    ROW("create sequence fact.s", "apply"),
	    ROW("CREATE ALGORITHM=UNDEFINED DEFINER=`r`@`%` SQL SECURITY DEFINER VIEW `fact`.`v` AS select 1 from other.t",
	        "apply"),
	    ROW("CREATE ALGORITHM=UNDEFINED DEFINER=`r`@`%` SQL SECURITY DEFINER VIEW `other`.`v` AS select 1 from fact.t",
	        "ignore"),
	    ROW("CREATE DEFINER=`r`@`%` PROCEDURE `fact`.`p`()\ndelete from other.t", "apply"),
	    ROW("CREATE DEFINER=`r`@`%` trigger fact.tr before insert on fact.t for each row set new.a=1", "apply"),
	    ROW("CREATE DEFINER=`r`@`%` event other.e on schedule every 1 day do delete from fact.t", "ignore"),
	    ROW("create database fact", "apply"),
	    ROW("create database other", "ignore"),
	    ROW("drop database fact", "apply"),
	    ROW("drop database if exists other", "ignore"),
	    ROW("alter database log character set utf8mb4", "apply"),
	    ROW("alter database character set utf8mb4", "apply", .database = "fact"),
	    ROW("alter database character set utf8mb4", "ignore", .database = "other"),
	    ROW("create table other.t like fact.t", "ignore"),
	    ROW("create table fact.t like log.t", "apply"),
	    /* a name's letters count as they are */
	    ROW("create table FACT.t (a int)", "ignore"),
	    ROW("create table fact2.t (a int)", "ignore"),
	    ROW("create table `fact`.`other.t` (a int)", "apply"),
	    ROW("create table \"fact\".t (a int)", "apply", .sql_mode = ANSI_QUOTES),
	};
	CHECK_ROWS(rows);
}

/* Half of it belongs here. Run as it is, it fails or touches what isn't replicated; left out, a table is missing.
 * Nobody but a person can tell. */
static void test_mixed_statements_are_refused(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    ROW("rename table fact.a to other.a", "refuse: databases that are replicated and others at once"),
	    ROW("rename table other.a to fact.a", "refuse: databases that are replicated and others at once"),
	    ROW("rename table fact.a to fact.b, other.a to other.b", "refuse: at once"),
	    ROW("alter table fact.t rename other.t", "refuse: at once"),
	    ROW("alter table t rename other.t", "refuse: at once", .database = "fact"),
	    ROW("alter table fact.t exchange partition p with table other.t", "refuse: at once"),
	    ROW("create table fact.t like other.t", "refuse: at once"),
	    ROW("create table t like fact.t", "ignore", .database = "other"),
	};
	CHECK_ROWS(rows);
}

/* DROP TABLE of several is what scripts do. Only what is replicated may go here, and whatever the names hold, no
 * other table may: exactly these texts are run with all rights. */
static void test_a_mixed_drop_is_narrowed(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    ROW("drop table fact.a, other.b", "DROP TABLE IF EXISTS `fact`.`a`"),
	    ROW("drop table other.b, fact.a", "DROP TABLE IF EXISTS `fact`.`a`"),
	    ROW("drop table if exists other.b, fact.a, log.c, other.d, fact.e",
	        "DROP TABLE IF EXISTS `fact`.`a`, `log`.`c`, `fact`.`e`"),
	    ROW("drop table a, other.b", "DROP TABLE IF EXISTS `fact`.`a`", .database = "fact"),
	    ROW("drop table a, fact.b", "DROP TABLE IF EXISTS `fact`.`b`", .database = "other"),
	    ROW("DROP TABLE `fact`.`a`,`other`.`b` /* generated by server */", "DROP TABLE IF EXISTS `fact`.`a`"),
	    ROW("drop table fact.a, other.b wait 3 cascade", "DROP TABLE IF EXISTS `fact`.`a`"),
	    ROW("drop view fact.v, other.v", "DROP VIEW IF EXISTS `fact`.`v`"),
	    ROW("drop sequence other.s, fact.s", "DROP SEQUENCE IF EXISTS `fact`.`s`"),
	    ROW("drop table fact.`a``b`, other.`c`", "DROP TABLE IF EXISTS `fact`.`a``b`"),
	    ROW("drop table fact.`a, other.b`, other.c", "DROP TABLE IF EXISTS `fact`.`a, other.b`"),
	    ROW("drop table fact.\"a\"\"`; drop table x\", other.c", "DROP TABLE IF EXISTS `fact`.`a\"``; drop table x`",
	        .sql_mode = ANSI_QUOTES),
	};
	CHECK_ROWS(rows);
}

/* A temporary table is its session's own. The peer's DROP TEMPORARY TABLE run here as a DROP TABLE would take the
 * real table of that name, with all its rows, and only on this node. */
static void test_temporary_tables_are_nobody_elses_matter(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    ROW("create temporary table fact.t (a int)", "ignore"),
	    ROW("create temporary table t (a int)", "ignore", .database = "fact"),
	    ROW("create or replace temporary table fact.t as select 1", "ignore"),
	    ROW("drop temporary table fact.t", "ignore"),
	    ROW("DROP /*!40005 TEMPORARY */ TABLE IF EXISTS `fact`.`t`", "ignore"),
	    ROW("DROP TEMPORARY TABLE IF EXISTS `fact`.`t`,`log`.`u` /* generated by server */", "ignore"),
	    ROW("drop temporary table fact.a, other.b", "ignore"),
	    ROW("DROP TEMPORARY TABLE IF EXISTS `other`.`b`,`fact`.`a` /* generated by server */", "ignore"),
	    ROW("create temporary table fact.t like other.t", "ignore"),
	    ROW("drop temporary sequence fact.s, other.s", "ignore"),
	};
	CHECK_ROWS(rows);
}

/* The event of a two-phase ALTER's first half has the same text as an ALTER; run, the table would be altered
 * although the second half takes it back. Outside it is nobody's matter here. */
static void test_two_phase_alter(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    ROW("alter table fact.t add b int", "refuse: one half of a two-phase", .extra_flags = GTID_EXTRA_START_ALTER),
	    ROW("alter table fact.t add b int", "refuse: one half of a two-phase", .extra_flags = GTID_EXTRA_COMMIT_ALTER),
	    ROW("alter table fact.t add b int", "refuse: one half of a two-phase",
	        .extra_flags = GTID_EXTRA_ROLLBACK_ALTER),
	    ROW("alter table fact.t add b int", "refuse: one half of a two-phase",
	        .extra_flags = GTID_EXTRA_COMMIT_ALTER | GTID_EXTRA_MULTI_ENGINE),
	    ROW("alter table fact.t add b int", "apply", .extra_flags = GTID_EXTRA_MULTI_ENGINE),
	    ROW("alter table other.t add b int", "ignore", .extra_flags = GTID_EXTRA_START_ALTER),
	};
	CHECK_ROWS(rows);
}

/* Rows that come or go without a row event: applied, the tables differ by them from then on. */
static void test_rows_that_are_in_no_event(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    ROW("create table fact.t (a int) as select 1 as a", "refuse: CREATE TABLE … SELECT logged as a statement"),
	    ROW("create table other.t as select * from fact.t", "ignore"),
	    ROW("alter table fact.t discard tablespace", "refuse: moves a table's data file"),
	    ROW("alter table fact.t import tablespace", "refuse: moves a table's data file"),
	    ROW("alter table other.t import tablespace", "ignore"),
	};
	CHECK_ROWS(rows);
}

/* binlog_format=STATEMENT in one session of the application: which rows it changed can't be known from the text,
 * whatever table it names, since triggers and functions reach any other. */
static void test_dml_is_refused(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    ROW("insert into fact.t values (1)", "refuse: a change of rows logged as a statement"),
	    ROW("insert into other.t values (1)", "refuse: a change of rows logged as a statement"),
	    ROW("update fact.t set a = rand()", "refuse: a change of rows"),
	    ROW("delete from fact.t limit 1", "refuse: a change of rows"),
	    ROW("replace into fact.t values (1)", "refuse: a change of rows"),
	    ROW("SELECT `fact`.`g`()", "refuse: a change of rows"),
	    ROW("call fact.p()", "refuse: a change of rows"),
	    ROW("load data infile '/tmp/x' into table fact.t", "refuse: a change of rows"),
	    ROW("XA START X'61',X'62',1", "refuse: an XA transaction"),
	    ROW("XA COMMIT X'61',X'62',1", "refuse: an XA transaction"),
	    ROW("frobnicate table fact.t", "refuse: not understood"),
	    ROW("drop table", "refuse: not understood"),
	    ROW("drop table fact.t; drop table fact.u", "refuse: not understood"),
	};
	CHECK_ROWS(rows);
}

/* ROLLBACK TO SAVEPOINT is logged only if a table that can't roll back was changed: its rows stay there, and here
 * they were left out. The other words are the frame of a transaction. */
static void test_transactions(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    ROW("ROLLBACK TO `s`", "refuse: rolled back in part"),
	    ROW("SAVEPOINT `s`", "ignore"),
	    ROW("BEGIN", "ignore"),
	    ROW("COMMIT", "ignore"),
	    ROW("ROLLBACK", "ignore"),
	};
	CHECK_ROWS(rows);
}

/* Users, plugins, FLUSH: each server has its own. A GRANT run here would give the users of the door system the same
 * rights on every gate's server. */
static void test_each_servers_own_matters(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    ROW("create user u identified by 'x'", "ignore"),
	    ROW("grant all on fact.* to u", "ignore"),
	    ROW("revoke select on fact.t from u", "ignore"),
	    ROW("drop user u", "ignore"),
	    ROW("set password for u = 'x'", "ignore"),
	    ROW("create role r", "ignore"),
	    ROW("flush tables fact.t", "ignore"),
	    ROW("analyze table fact.t", "ignore"),
	    ROW("optimize table fact.t", "ignore"),
	    ROW("install soname 'x'", "ignore"),
	    ROW("create function lib returns string soname 'x.so'", "ignore", .database = "other"),
	    ROW("", "ignore"),
	    ROW("# Dummy event replacing event type 160 that slave cannot handle.", "ignore"),
	    ROW("/* nothing */", "ignore"),
	};
	CHECK_ROWS(rows);
}

/* A database named in a character set that isn't known here could be any database: said, and nothing kept that
 * leaks. */
static void test_a_database_that_cannot_be_read(void **state)
{
	(void)state;
	struct row row = {.text = "drop table `\xa4`.t", .charset = SJIS};
	struct schema_verdict verdict = {0};
	struct err err;
	assert_int_equal(judge(&row, "fact", &verdict, &err), ERR_UNSUPPORTED);
	assert_true(err.message[0] != '\0');
	schema_verdict_free(&verdict);
	schema_verdict_free(&verdict);
	/* In latin1 it is: the name is the one in UTF-8. */
	struct row latin1 = ROW("drop table `gr\xfcn`.t", "ignore", .charset = LATIN1);
	check_row(&latin1, "fact");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_where_the_table_is_decides),
	    cmocka_unit_test(test_mixed_statements_are_refused),
	    cmocka_unit_test(test_a_mixed_drop_is_narrowed),
	    cmocka_unit_test(test_temporary_tables_are_nobody_elses_matter),
	    cmocka_unit_test(test_two_phase_alter),
	    cmocka_unit_test(test_rows_that_are_in_no_event),
	    cmocka_unit_test(test_dml_is_refused),
	    cmocka_unit_test(test_transactions),
	    cmocka_unit_test(test_each_servers_own_matters),
	    cmocka_unit_test(test_a_database_that_cannot_be_read),
	};
	return cmocka_run_group_tests_name("schema", tests, NULL, NULL);
}
