/* The statements that set up MariaDB's own replication: what they say, whatever stands in the settings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sql/native.h"

static void check_source(const struct native_source *source, const char *expected)
{
	struct buf sql = {0};
	native_append_change_master(source, &sql);
	assert_string_equal(buf_str(&sql), expected);
	buf_free(&sql);
}

/* An option that is left out of the statement keeps the value of an earlier one: a pair whose certificates were
 * given up would go on asking for them, and one whose transactions were once filtered by domain would lose them in
 * silence. */
static void every_option_is_said(void **state)
{
	(void)state;
	check_source(
	    &(struct native_source){.host = "192.168.10.2", .user = "syncline"},
	    "CHANGE MASTER TO MASTER_HOST='192.168.10.2', MASTER_PORT=3306, MASTER_USER='syncline', MASTER_PASSWORD='', "
	    "MASTER_SSL_CA='', MASTER_SSL_CAPATH='', MASTER_SSL_CERT='', MASTER_SSL_KEY='', MASTER_SSL_CRL='', "
	    "MASTER_SSL_CRLPATH='', MASTER_SSL_CIPHER='', MASTER_SSL=0, MASTER_SSL_VERIFY_SERVER_CERT=0, "
	    "MASTER_CONNECT_RETRY=2, MASTER_HEARTBEAT_PERIOD=1, MASTER_USE_GTID=slave_pos, IGNORE_DOMAIN_IDS=(), "
	    "DO_DOMAIN_IDS=()");
}

/* The password of somebody who likes quotes ends the literal, and what stands behind it is run as SQL by root. */
static void values_are_quoted(void **state)
{
	(void)state;
	check_source(
	    &(struct native_source){.host = "h",
	                            .user = "u'v",
	                            .password = "a'b\\c\"",
	                            .port = 3307,
	                            .ssl_ca = "/etc/ca.pem",
	                            .ssl_verify = true},
	    "CHANGE MASTER TO MASTER_HOST='h', MASTER_PORT=3307, MASTER_USER='u\\'v', MASTER_PASSWORD='a\\'b\\\\c\"', "
	    "MASTER_SSL_CA='/etc/ca.pem', MASTER_SSL_CAPATH='', MASTER_SSL_CERT='', MASTER_SSL_KEY='', "
	    "MASTER_SSL_CRL='', MASTER_SSL_CRLPATH='', MASTER_SSL_CIPHER='', MASTER_SSL=1, "
	    "MASTER_SSL_VERIFY_SERVER_CERT=1, MASTER_CONNECT_RETRY=2, MASTER_HEARTBEAT_PERIOD=1, "
	    "MASTER_USE_GTID=slave_pos, IGNORE_DOMAIN_IDS=(), DO_DOMAIN_IDS=()");
}

/* `_` is a wildcard: the filter for gate_log would let gateXlog in, which is another application's. */
static void patterns_mean_the_names(void **state)
{
	(void)state;
	char *databases[] = {"gate_log", "100%", "it's"};
	struct buf sql = {0};
	native_append_filter(databases, 3, &sql);
	const char *last = strstr(buf_str(&sql), "SET GLOBAL replicate_wild_do_table=");
	assert_non_null(last);
	assert_string_equal(last, "SET GLOBAL replicate_wild_do_table='gate\\\\_log.%,100\\\\%.%,it\\'s.%'");
	assert_non_null(strstr(buf_str(&sql), "SET GLOBAL replicate_do_db='';"));
	assert_non_null(strstr(buf_str(&sql), "SET GLOBAL replicate_wild_ignore_table='';"));
	buf_free(&sql);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_option_is_said),
	    cmocka_unit_test(values_are_quoted),
	    cmocka_unit_test(patterns_mean_the_names),
	};
	return cmocka_run_group_tests_name("native", tests, NULL, NULL);
}
