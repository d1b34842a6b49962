#include "node/accounts.h"

#include "node/identity.h"
#include "sql/connection.h"

/* What a peer may call: node/requests.h. */
static const char *const accounts_procedures[] = {"request", "reply", "said", "cancel"};

/* In a GRANT, _ and % of a database's name stand for others (MariaDB's manual, GRANT, "Database privileges"). */
static void append_database(struct buf *sql, const char *name)
{
	struct buf escaped = {0};
	for (const char *c = name; *c != 0; c++)
		buf_printf(&escaped, "%s%c", *c == '_' || *c == '%' || *c == '\\' ? "\\" : "", *c);
	sql_append_name(sql, buf_str(&escaped));
	buf_free(&escaped);
}

void accounts_append_local(struct buf *sql, const char *user, size_t database_count, const char *const *databases)
{
	struct buf who = {0};
	sql_append_name(&who, user);
	buf_append_str(&who, "@'localhost'");
	buf_printf(sql, "CREATE OR REPLACE USER %s IDENTIFIED VIA unix_socket", buf_str(&who));
	/* REPLICATION SLAVE and BINLOG MONITOR: to read this server's own log. BINLOG REPLAY: transactions under their origins' GTIDs, and
	 * BINLOG. BINLOG ADMIN: what isn't logged, and PURGE. READ_ONLY ADMIN: writes also while applications may not. SET USER: views, triggers and the like of whoever defined them. PROCESS:
	 * InnoDB's list of foreign keys (information_schema.innodb_sys_foreign), the only one that tells quickly who refers to a table. */
	buf_printf(sql,
	           ";GRANT REPLICATION SLAVE, BINLOG MONITOR, BINLOG REPLAY, BINLOG ADMIN, READ_ONLY ADMIN, SET USER, "
	           "PROCESS ON *.* TO %s;"
	           "GRANT ALL PRIVILEGES ON syncline.* TO %s;"
	           "GRANT ALL PRIVILEGES ON `syncline\\_already\\_%%`.* TO %s", /* link/already.h */
	           buf_str(&who), buf_str(&who), buf_str(&who));
	for (size_t i = 0; i < database_count; i++) {
		buf_append_str(sql, ";GRANT ALL PRIVILEGES ON ");
		append_database(sql, databases[i]);
		buf_printf(sql, ".* TO %s", buf_str(&who));
	}
	buf_free(&who);
}

void accounts_append_native(struct buf *sql, const char *user, bool is_native)
{
	buf_printf(sql, "%s REPLICATION SLAVE ADMIN, SLAVE MONITOR, RELOAD ON *.* %s ", is_native ? "GRANT" : "REVOKE",
	           is_native ? "TO" : "FROM");
	sql_append_name(sql, user);
	buf_append_str(sql, "@'localhost'");
}

void accounts_append_peer(struct buf *sql, const struct tls_authority_id *peer)
{
	unsigned n = (unsigned)peer->node_id;
	buf_printf(sql, "CREATE OR REPLACE USER 'syncline-%u'@'%%'", n);
	identity_append_require(sql, peer);
	buf_printf(sql,
	           ";GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO 'syncline-%u'@'%%';"
	           "GRANT SELECT ON syncline.* TO 'syncline-%u'@'%%'",
	           n, n);
	for (size_t i = 0; i < sizeof accounts_procedures / sizeof *accounts_procedures; i++)
		buf_printf(sql, ";GRANT EXECUTE ON PROCEDURE syncline.%s TO 'syncline-%u'@'%%'", accounts_procedures[i], n);
}
