#include "node/membership.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "node/accounts.h"
#include "node/requests.h"

enum { POLL_MS = 200 };

#define WHO "CAST(SUBSTRING_INDEX(SUBSTRING_INDEX(USER(),'@',1),'-',-1) AS UNSIGNED)"
#define EXPIRED "this invitation has expired or was used; make another one with: syncline invite"

/* USER() is who calls, also in a procedure that runs as its definer. */
static const char prepare_sql[] =
    "SET SESSION sql_log_bin=0, SESSION sql_mode='';"
    "CREATE DATABASE IF NOT EXISTS " SYNCLINE_SCHEMA ";"
    "CREATE TABLE IF NOT EXISTS syncline.invitations ("
    " id INT UNSIGNED NOT NULL PRIMARY KEY,"
    " expires BIGINT NOT NULL,"
    " state ENUM('open','asked','admitted','joined','done','refused') NOT NULL DEFAULT 'open',"
    " offer TEXT NOT NULL, node INT UNSIGNED, address VARCHAR(255), authority TEXT, issuer VARCHAR(64),"
    " answer TEXT, vector VARCHAR(4000), latest INT UNSIGNED, why VARCHAR(500)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;"
    "CREATE OR REPLACE PROCEDURE syncline.hello() SQL SECURITY DEFINER BEGIN"
    " SELECT offer FROM syncline.invitations WHERE id=" WHO " AND (state<>'open' OR expires>UNIX_TIMESTAMP());"
    " END;"
    "CREATE OR REPLACE PROCEDURE syncline.ask(IN n INT UNSIGNED, IN a VARCHAR(255), IN pem TEXT) SQL SECURITY DEFINER "
    "BEGIN"
    " UPDATE syncline.invitations SET state='asked', node=n, address=a, authority=pem, why=NULL"
    "  WHERE id=" WHO
    " AND ((state='open' AND expires>UNIX_TIMESTAMP()) OR (state='admitted' AND node=n AND authority=pem));"
    " IF ROW_COUNT()=0 AND NOT EXISTS (SELECT 1 FROM syncline.invitations WHERE id=" WHO
    " AND state IN ('asked','joined','done') AND"
    "  node=n AND authority=pem) THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT='" EXPIRED "'; END IF;"
    " END;"
    "CREATE OR REPLACE PROCEDURE syncline.answer() SQL SECURITY DEFINER BEGIN"
    " SELECT state, COALESCE(answer,''), COALESCE(vector,''), COALESCE(latest,0), COALESCE(why,'') FROM "
    "syncline.invitations WHERE id=" WHO ";"
    " END;"
    "CREATE OR REPLACE PROCEDURE syncline.joined(IN v VARCHAR(4000)) SQL SECURITY DEFINER BEGIN"
    " UPDATE syncline.invitations SET state='joined', vector=v WHERE id=" WHO " AND state='admitted';"
    " END;"
    /* Issuer and subject as node/identity.h says. */
    "CREATE OR REPLACE PROCEDURE syncline.make_peer(IN n INT UNSIGNED, IN i VARCHAR(64)) SQL SECURITY DEFINER BEGIN"
    " DECLARE who TEXT DEFAULT CONCAT('''syncline-',n,'''@''%''');"
    " EXECUTE IMMEDIATE CONCAT('CREATE OR REPLACE USER ',who,' REQUIRE ISSUER ',QUOTE(CONCAT('/CN=',i)),' AND SUBJECT "
    "',"
    "QUOTE(CONCAT('/CN=syncline-',n)));"
    " EXECUTE IMMEDIATE CONCAT('GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO ',who);"
    " EXECUTE IMMEDIATE CONCAT('GRANT SELECT ON syncline.* TO ',who);"
    " EXECUTE IMMEDIATE CONCAT('GRANT EXECUTE ON PROCEDURE syncline.request TO ',who);"
    " EXECUTE IMMEDIATE CONCAT('GRANT EXECUTE ON PROCEDURE syncline.reply TO ',who);"
    " EXECUTE IMMEDIATE CONCAT('GRANT EXECUTE ON PROCEDURE syncline.said TO ',who);"
    " EXECUTE IMMEDIATE CONCAT('GRANT EXECUTE ON PROCEDURE syncline.cancel TO ',who);"
    " END;"
    "CREATE OR REPLACE PROCEDURE syncline.meet(IN n INT UNSIGNED, IN i VARCHAR(64)) SQL SECURITY DEFINER BEGIN"
    " CALL syncline.make_peer(n,i); FLUSH SSL;"
    " END;"
    "CREATE OR REPLACE PROCEDURE syncline.let_copy(IN n INT UNSIGNED, IN db TEXT) SQL SECURITY DEFINER BEGIN"
    " EXECUTE IMMEDIATE CONCAT('GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON `',REPLACE(REPLACE(REPLACE(REPLACE(db,"
    "'\\\\','\\\\\\\\'),'_','\\\\_'),'%','\\\\%'),'`','``'),'`.* TO ''syncline-',n,'''@''%''');"
    " EXECUTE IMMEDIATE CONCAT('GRANT SELECT ON mysql.proc TO ''syncline-',n,'''@''%''');"
    " END;"
    /* To compare rows. What a peer may read so it has itself, and may read in this server's log. */
    "CREATE OR REPLACE PROCEDURE syncline.let_look(IN n INT UNSIGNED, IN db TEXT) SQL SECURITY DEFINER BEGIN"
    " IF EXISTS (SELECT 1 FROM mysql.user WHERE User=CONCAT('syncline-',n) AND Host='%') THEN"
    " EXECUTE IMMEDIATE CONCAT('GRANT SELECT ON `',REPLACE(REPLACE(REPLACE(REPLACE(db,"
    "'\\\\','\\\\\\\\'),'_','\\\\_'),'%','\\\\%'),'`','``'),'`.* TO ''syncline-',n,'''@''%''');"
    " END IF; END;"
    "CREATE OR REPLACE PROCEDURE syncline.admit(IN inv INT UNSIGNED, IN i VARCHAR(64), IN a TEXT) SQL SECURITY DEFINER "
    "BEGIN"
    " DECLARE n INT UNSIGNED DEFAULT (SELECT node FROM syncline.invitations WHERE id=inv AND state='asked');"
    " IF n IS NOT NULL THEN"
    "  CALL syncline.make_peer(n,i); FLUSH SSL;"
    "  UPDATE syncline.invitations SET state='admitted', issuer=i, answer=a, why=NULL WHERE id=inv;"
    " END IF; END;"
    "CREATE OR REPLACE PROCEDURE syncline.finish(IN inv INT UNSIGNED, IN l INT UNSIGNED) SQL SECURITY DEFINER BEGIN"
    " DECLARE n INT UNSIGNED; DECLARE i VARCHAR(64);"
    " SELECT node, issuer INTO n, i FROM syncline.invitations WHERE id=inv AND state='joined';"
    " IF n IS NOT NULL THEN"
    "  CALL syncline.make_peer(n,i);"
    "  UPDATE syncline.invitations SET state='done', latest=l WHERE id=inv;"
    " END IF; END;"
    "CREATE OR REPLACE PROCEDURE syncline.sweep() SQL SECURITY DEFINER BEGIN"
    " DECLARE inv INT UNSIGNED DEFAULT (SELECT MIN(id) FROM syncline.invitations WHERE expires<=UNIX_TIMESTAMP() AND"
    "  state IN ('open','done','refused'));"
    " IF inv IS NOT NULL THEN"
    "  EXECUTE IMMEDIATE CONCAT('DROP USER IF EXISTS ''syncline-join-',inv,'''@''%''');"
    "  DELETE FROM syncline.invitations WHERE id=inv;"
    " END IF; END;"
    "SET SESSION sql_log_bin=1";

void membership_row_done(struct membership_row *row)
{
	free(row->state);
	free(row->address);
	free(row->authority);
	free(row->vector);
	*row = (struct membership_row){0};
}

enum err_code membership_prepare(struct connection *connection, struct err *err)
{
	enum err_code code = connection_run(connection, prepare_sql, err);
	if (code == ERR_OK)
		code = requests_prepare(connection, err);
	return code == ERR_OK ? ERR_OK : err_wrap(err, "can't make what invitations need in the schema " SYNCLINE_SCHEMA);
}

/* As mysql_native_password stores it: SHA1(SHA1(secret)) in hexadecimal digits (MariaDB's manual, PASSWORD). */
static void append_hash(struct buf *sql, const char *secret)
{
	unsigned char once[EVP_MAX_MD_SIZE], twice[EVP_MAX_MD_SIZE];
	unsigned size = 0;
	EVP_Digest(secret, strlen(secret), once, &size, EVP_sha1(), NULL);
	EVP_Digest(once, size, twice, &size, EVP_sha1(), NULL);
	buf_append_str(sql, "'*");
	for (unsigned i = 0; i < size; i++)
		buf_printf(sql, "%02X", twice[i]);
	buf_append_str(sql, "'");
}

enum err_code membership_invite(struct connection *connection, const char *secret, unsigned valid_s, const char *offer,
                                uint32_t *ret, struct err *err)
{
	static const char next[] = "SELECT COALESCE(MAX(id),0)+1 FROM syncline.invitations";
	struct buf text = {0}, sql = {0};
	enum err_code code = connection_value(connection, next, sizeof next - 1, &text, NULL, err);
	unsigned id = code == ERR_OK ? (unsigned)strtoul(buf_str(&text), NULL, 10) : 0;
	buf_printf(&sql, "SET SESSION sql_log_bin=0;CREATE OR REPLACE USER 'syncline-join-%u'@'%%' IDENTIFIED BY PASSWORD ",
	           id);
	append_hash(&sql, secret);
	buf_printf(&sql,
	           " REQUIRE SSL;"
	           "GRANT EXECUTE ON PROCEDURE syncline.hello TO 'syncline-join-%u'@'%%';"
	           "GRANT EXECUTE ON PROCEDURE syncline.ask TO 'syncline-join-%u'@'%%';"
	           "GRANT EXECUTE ON PROCEDURE syncline.answer TO 'syncline-join-%u'@'%%';"
	           "GRANT EXECUTE ON PROCEDURE syncline.joined TO 'syncline-join-%u'@'%%';"
	           "INSERT INTO syncline.invitations (id, expires, offer) VALUES (%u, UNIX_TIMESTAMP()+%u, ",
	           id, id, id, id, id, valid_s);
	sql_append_text(&sql, offer);
	buf_append_str(&sql, ");SET SESSION sql_log_bin=1");
	if (code == ERR_OK)
		code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	if (code == ERR_OK)
		*ret = id;
	buf_free(&sql);
	buf_free(&text);
	return code;
}

/* ---- The daemon's side ---- */

struct looking {
	bool any;
	struct membership_row row;
};

static char *copy_of(const char *text)
{
	return mem_strdup(text ? text : "");
}

static void look(void *context, unsigned count, const char *const *c)
{
	struct looking *l = context;
	if (count < 6)
		return;
	l->any = true;
	if (l->row.node != 0 || (strcmp(c[1], "asked") != 0 && strcmp(c[1], "joined") != 0))
		return;
	l->row = (struct membership_row){.invitation = (uint32_t)strtoul(c[0], NULL, 10),
	                                 .state = copy_of(c[1]),
	                                 .node = c[2] ? (uint32_t)strtoul(c[2], NULL, 10) : 0,
	                                 .address = copy_of(c[3]),
	                                 .authority = copy_of(c[4]),
	                                 .vector = copy_of(c[5])};
}

enum err_code membership_next(struct connection *connection, bool *ret_any, struct membership_row *ret, struct err *err)
{
	struct looking looking = {0};
	enum err_code code =
	    connection_run(connection, "SET SESSION sql_log_bin=0; CALL syncline.sweep(); SET SESSION sql_log_bin=1", err);
	if (code == ERR_OK)
		code = connection_query(connection,
		                        "SELECT id, state, node, address, authority, vector FROM syncline.invitations"
		                        " WHERE state NOT IN ('done','refused') ORDER BY state<>'joined', id",
		                        look, &looking, err);
	if (code != ERR_OK) {
		membership_row_done(&looking.row);
		return code;
	}
	*ret_any = looking.any;
	*ret = looking.row;
	return ERR_OK;
}

enum err_code membership_admit(struct connection *connection, const struct membership_row *row, const char *issuer,
                               const char *answer, size_t database_count, char *const *databases, struct err *err)
{
	struct buf sql = {0};
	buf_printf(&sql, "SET SESSION sql_log_bin=0;CALL syncline.admit(%u,", (unsigned)row->invitation);
	sql_append_text(&sql, issuer);
	buf_append_str(&sql, ",");
	sql_append_text(&sql, answer);
	buf_append_str(&sql, ")");
	for (size_t i = 0; i < database_count; i++) {
		buf_printf(&sql, ";CALL syncline.let_copy(%u,", (unsigned)row->node);
		sql_append_text(&sql, databases[i]);
		buf_append_str(&sql, ")");
	}
	buf_append_str(&sql, ";SET SESSION sql_log_bin=1");
	enum err_code code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	buf_free(&sql);
	return code;
}

enum err_code membership_refuse(struct connection *connection, uint32_t invitation, const char *why, struct err *err)
{
	struct buf sql = {0};
	buf_append_str(&sql, "SET SESSION sql_log_bin=0;UPDATE syncline.invitations SET state='refused', why=");
	sql_append_text(&sql, why);
	buf_printf(&sql, " WHERE id=%u;SET SESSION sql_log_bin=1", (unsigned)invitation);
	enum err_code code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	buf_free(&sql);
	return code;
}

enum err_code membership_tell(struct connection *connection, uint32_t invitation, const char *what, struct err *err)
{
	struct buf sql = {0};
	buf_append_str(&sql, "SET SESSION sql_log_bin=0;UPDATE syncline.invitations SET why=LEFT(");
	sql_append_text(&sql, what);
	buf_printf(&sql, ",500) WHERE id=%u AND state='asked';SET SESSION sql_log_bin=1", (unsigned)invitation);
	enum err_code code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	buf_free(&sql);
	return code;
}

enum err_code membership_meet(struct connection *connection, uint32_t node, const char *issuer, struct err *err)
{
	struct buf sql = {0};
	buf_printf(&sql, "SET SESSION sql_log_bin=0;CALL syncline.meet(%u,", (unsigned)node);
	sql_append_text(&sql, issuer);
	buf_append_str(&sql, ");SET SESSION sql_log_bin=1");
	enum err_code code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	buf_free(&sql);
	return code;
}

enum err_code membership_finish(struct connection *connection, const struct membership_row *row, uint32_t latest,
                                struct err *err)
{
	char sql[160];
	snprintf(sql, sizeof sql, "SET SESSION sql_log_bin=0;CALL syncline.finish(%u,%u);SET SESSION sql_log_bin=1",
	         (unsigned)row->invitation, (unsigned)latest);
	return connection_run(connection, sql, err);
}

enum err_code membership_let_look(struct connection *connection, uint32_t node, size_t database_count,
                                  char *const *databases, struct err *err)
{
	enum { NO_SUCH_PROCEDURE = 1305 };
	struct buf sql = {0};
	struct err own;
	buf_append_str(&sql, "SET SESSION sql_log_bin=0");
	for (size_t i = 0; i < database_count; i++) {
		buf_printf(&sql, ";CALL syncline.let_look(%u,", (unsigned)node);
		sql_append_text(&sql, databases[i]);
		buf_append_str(&sql, ")");
	}
	buf_append_str(&sql, ";SET SESSION sql_log_bin=1");
	enum err_code code = connection_run_n(connection, buf_str(&sql), sql.size, &own);
	buf_free(&sql);
	if (code == ERR_SERVER && own.server_errno == NO_SUCH_PROCEDURE)
		return connection_run(connection, "SET SESSION sql_log_bin=1", err);
	if (code != ERR_OK && err != NULL)
		*err = own;
	return code;
}

/* ---- The invited node's side ---- */

enum err_code membership_hello(struct connection *connection, struct buf *ret, struct err *err)
{
	static const char sql[] = "CALL syncline.hello()";
	bool found;
	enum err_code code = connection_value(connection, sql, sizeof sql - 1, ret, &found, err);
	return code == ERR_OK && !found ? err_set(err, ERR_SERVER, EXPIRED) : code;
}

enum err_code membership_ask(struct connection *connection, uint32_t node, const char *address, const char *authority,
                             struct err *err)
{
	struct buf sql = {0};
	buf_printf(&sql, "CALL syncline.ask(%u,", (unsigned)node);
	sql_append_text(&sql, address);
	buf_append_str(&sql, ",");
	sql_append_text(&sql, authority);
	buf_append_str(&sql, ")");
	enum err_code code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	buf_free(&sql);
	return code;
}

static void take_answer(void *context, unsigned count, const char *const *c)
{
	struct membership_answer *a = context;
	if (count < 5 || a->state != NULL)
		return;
	a->state = copy_of(c[0]);
	a->answer = copy_of(c[1]);
	a->vector = copy_of(c[2]);
	a->latest = c[3] ? (uint32_t)strtoul(c[3], NULL, 10) : 0;
	a->why = copy_of(c[4]);
}

void membership_answer_done(struct membership_answer *a)
{
	free(a->state);
	free(a->answer);
	free(a->vector);
	free(a->why);
	*a = (struct membership_answer){0};
}

static bool is_answer(const struct membership_answer *a, const char *state)
{
	return strcmp(a->state, state) == 0 || strcmp(a->state, "done") == 0;
}

enum err_code membership_wait(struct connection *connection, const struct membership_wish *wish,
                              struct membership_answer *ret, struct err *err)
{
	int64_t now = clock_monotonic_ms(), silent = now + wish->silent_ms, deadline = now + wish->timeout_ms;
	for (;; now = clock_monotonic_ms()) {
		struct membership_answer a = {0};
		enum err_code code = connection_query(connection, "CALL syncline.answer()", take_answer, &a, err);
		if (code == ERR_OK && a.state != NULL && is_answer(&a, wish->state)) {
			*ret = a;
			return ERR_OK;
		}
		bool says = code == ERR_OK && a.state != NULL && *a.why != 0;
		if (code == ERR_OK && a.state == NULL)
			code = err_set(err, ERR_SERVER, EXPIRED);
		else if (says && strcmp(a.state, "refused") == 0)
			code = err_set(err, ERR_SERVER, "the other node refuses: %s", a.why);
		else if (code == ERR_OK && says && now > deadline)
			code = err_set(err, ERR_TIMEOUT, "the other node is still %s", a.why);
		else if (code == ERR_OK && !says && now > silent)
			code = err_set(err, ERR_TIMEOUT,
			               "the other node's daemon doesn't answer; does it run there? See: syncline status");
		else if (code == ERR_OK && *wish->cancelled)
			code = err_set(err, ERR_CANCELLED, "interrupted");
		else if (says)
			wish->says(wish->context, a.why);
		membership_answer_done(&a);
		if (code != ERR_OK)
			return code;
		clock_sleep_ms(POLL_MS);
	}
}

enum err_code membership_joined(struct connection *connection, const struct vector *vector, struct err *err)
{
	struct buf sql = {0}, text = {0};
	vector_format(vector, &text);
	buf_append_str(&sql, "CALL syncline.joined(");
	sql_append_text(&sql, buf_str(&text));
	buf_append_str(&sql, ")");
	enum err_code code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	buf_free(&sql);
	buf_free(&text);
	return code;
}
