#include "node/requests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "sql/server.h"

enum { POLL_MS = 200 };

static const char *const kinds[] = {"copy", "leave", "address", "moved"};
static const char *const states[] = {"asked", "ready", "said", "done", "refused", "cancelled"};

/* USER() is who calls, also in a procedure that runs as its definer. */
#define WHO "CAST(SUBSTRING_INDEX(SUBSTRING_INDEX(USER(),'@',1),'-',-1) AS UNSIGNED)"

/* syncline.steps has a row while sessions are left that give out ids in narrower steps (cli/slots.c); MEMORY: they end with the server. */
static const char prepare_sql[] =
    "SET SESSION sql_log_bin=0, SESSION sql_mode='';"
    "CREATE TABLE IF NOT EXISTS syncline.requests ("
    " node INT UNSIGNED NOT NULL,"
    " kind ENUM('copy','leave','address','moved') NOT NULL,"
    " state ENUM('asked','ready','said','done','refused','cancelled') NOT NULL DEFAULT 'asked',"
    " text VARCHAR(4000) NOT NULL, number INT UNSIGNED NOT NULL, answer TEXT NOT NULL DEFAULT '',"
    " why VARCHAR(500) NOT NULL DEFAULT '', latest INT UNSIGNED NOT NULL DEFAULT 0,"
    " seen BIGINT NOT NULL DEFAULT 0, PRIMARY KEY (node, kind)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;"
    "CREATE TABLE IF NOT EXISTS syncline.steps ("
    " slots INT UNSIGNED NOT NULL, mark BIGINT UNSIGNED NOT NULL) ENGINE=MEMORY;"
    "CREATE OR REPLACE PROCEDURE syncline.request(IN k VARCHAR(16), IN t VARCHAR(4000), IN n INT UNSIGNED)"
    " SQL SECURITY DEFINER BEGIN"
    " REPLACE INTO syncline.requests (node, kind, text, number, seen) VALUES (" WHO ",k,t,n,UNIX_TIMESTAMP());"
    " END;"
    "CREATE OR REPLACE PROCEDURE syncline.reply(IN k VARCHAR(16)) SQL SECURITY DEFINER BEGIN"
    " SELECT state, answer, why, latest, UNIX_TIMESTAMP()-seen FROM syncline.requests WHERE node=" WHO " AND kind=k;"
    " END;"
    "CREATE OR REPLACE PROCEDURE syncline.said(IN k VARCHAR(16), IN t VARCHAR(4000)) SQL SECURITY DEFINER BEGIN"
    " UPDATE syncline.requests SET state='said', text=t, seen=UNIX_TIMESTAMP()"
    "  WHERE node=" WHO " AND kind=k AND state='ready';"
    " IF ROW_COUNT()=0 AND NOT EXISTS (SELECT 1 FROM syncline.requests WHERE node=" WHO
    " AND kind=k AND state IN ('said','done') AND text=t)"
    " THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT='this was not asked for; run the command again'; END IF;"
    " END;"
    "CREATE OR REPLACE PROCEDURE syncline.cancel(IN k VARCHAR(16)) SQL SECURITY DEFINER BEGIN"
    " UPDATE syncline.requests SET state='cancelled' WHERE node=" WHO " AND kind=k AND state IN ('asked','ready');"
    " END;"
    /* The account isn't made anew: its node asks at this moment. 1141, 1147: there is no such grant. */
    "CREATE OR REPLACE PROCEDURE syncline.end_copy(IN n INT UNSIGNED) SQL SECURITY DEFINER BEGIN"
    " DECLARE d VARCHAR(200) CHARACTER SET utf8mb3 COLLATE utf8mb3_bin DEFAULT '';"
    " DECLARE who TEXT DEFAULT CONCAT('''syncline-',n,'''@''%''');"
    " DECLARE CONTINUE HANDLER FOR 1141, 1147 BEGIN END;"
    " granted: LOOP"
    "  SET d=(SELECT MIN(Db) FROM mysql.db WHERE User=CONCAT('syncline-',n) AND Db<>'syncline' AND Db>d);"
    "  IF d IS NULL THEN LEAVE granted; END IF;"
    "  EXECUTE IMMEDIATE CONCAT('REVOKE SHOW VIEW, TRIGGER, EVENT ON `',REPLACE(d,'`','``'),'`.* FROM ',who);"
    " END LOOP;"
    " EXECUTE IMMEDIATE CONCAT('REVOKE SELECT ON mysql.proc FROM ',who);"
    " END;"
    "CREATE OR REPLACE PROCEDURE syncline.drop_peer(IN n INT UNSIGNED) SQL SECURITY DEFINER BEGIN"
    " EXECUTE IMMEDIATE CONCAT('DROP USER IF EXISTS ''syncline-',n,'''@''%''');"
    " EXECUTE IMMEDIATE CONCAT('KILL USER ''syncline-',n,'''');"
    " DELETE FROM syncline.links WHERE peer=n;"
    " DELETE FROM syncline.requests WHERE node=n;"
    " DELETE FROM syncline.seed WHERE peer=n;"
    " UPDATE syncline.members SET state='leaving' WHERE node=n AND state<>'left';"
    " FLUSH SSL;"
    " END;"
    "SET SESSION sql_log_bin=1";

enum err_code requests_prepare(struct connection *connection, struct err *err)
{
	enum err_code code = server_prepare(connection, err);
	return code == ERR_OK ? connection_run(connection, prepare_sql, err) : code;
}

static char *copy_of(const char *text)
{
	return mem_strdup(text ? text : "");
}

static int index_of(const char *const *names, int count, const char *name)
{
	for (int i = 0; i < count; i++)
		if (name != NULL && strcmp(names[i], name) == 0)
			return i;
	return -1;
}

#define INDEX_OF(names, name) index_of(names, (int)(sizeof(names) / sizeof *(names)), name)

/* Runs it without a trace in the log. */
static enum err_code run_unlogged(struct connection *connection, struct buf *sql, struct err *err)
{
	struct buf whole = {0};
	buf_append_str(&whole, "SET SESSION sql_log_bin=0;");
	buf_append(&whole, sql->data, sql->size);
	buf_append_str(&whole, ";SET SESSION sql_log_bin=1");
	enum err_code code = connection_run_n(connection, buf_str(&whole), whole.size, err);
	buf_free(&whole);
	buf_free(sql);
	return code;
}

/* ---- The daemon's side ---- */

static void take_request(void *context, unsigned count, const char *const *c)
{
	struct request_list *list = context;
	if (count < 6 || list->count == REQUESTS_MAX)
		return;
	int kind = INDEX_OF(kinds, c[1]), state = INDEX_OF(states, c[2]);
	if (kind < 0 || state < 0)
		return;
	list->requests[list->count++] = (struct request){.node = (uint32_t)strtoul(c[0], NULL, 10),
	                                                 .kind = (enum request_kind)kind,
	                                                 .state = (enum request_state)state,
	                                                 .text = copy_of(c[3]),
	                                                 .number = (uint32_t)strtoul(c[4], NULL, 10),
	                                                 .why = copy_of(c[5])};
}

enum err_code request_list(struct connection *connection, struct request_list *ret, struct err *err)
{
	struct request_list list = {0};
	enum err_code code = connection_query(connection,
	                                      "SELECT node, kind, state, text, number, why FROM syncline.requests"
	                                      " WHERE state IN ('asked','said','cancelled') ORDER BY node, kind",
	                                      take_request, &list, err);
	if (code == ERR_OK)
		*ret = list;
	else
		request_list_done(&list);
	return code;
}

void request_list_done(struct request_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->requests[i].text);
		free(list->requests[i].why);
	}
	*list = (struct request_list){0};
}

/* The node may have asked for something else meanwhile: then this is about what is past. */
static void append_which(struct buf *sql, const struct request *r)
{
	buf_printf(sql, " WHERE node=%u AND kind='%s' AND state='%s' AND text=", (unsigned)r->node, kinds[r->kind],
	           states[r->state]);
	sql_append_text(sql, r->text);
}

enum err_code request_seen(struct connection *connection, const struct request *r, const char *why, struct err *err)
{
	struct buf sql = {0};
	buf_append_str(&sql, "UPDATE syncline.requests SET seen=UNIX_TIMESTAMP(), why=LEFT(");
	sql_append_text(&sql, why);
	buf_append_str(&sql, ",500)");
	append_which(&sql, r);
	return run_unlogged(connection, &sql, err);
}

enum err_code request_answer(struct connection *connection, const struct request *r, enum request_state state,
                             const char *text, uint32_t latest, struct err *err)
{
	struct buf sql = {0};
	buf_printf(&sql, "UPDATE syncline.requests SET seen=UNIX_TIMESTAMP(), state='%s', latest=%u, why='', %s=LEFT(",
	           states[state], (unsigned)latest, state == REQUEST_REFUSED ? "why" : "answer");
	sql_append_text(&sql, text);
	buf_printf(&sql, ",%d)", state == REQUEST_REFUSED ? 500 : 60000);
	append_which(&sql, r);
	return run_unlogged(connection, &sql, err);
}

enum err_code request_let_copy(struct connection *connection, uint32_t node, size_t database_count,
                               char *const *databases, struct err *err)
{
	struct buf sql = {0};
	for (size_t i = 0; i < database_count; i++) {
		buf_printf(&sql, "%sCALL syncline.let_copy(%u,", i ? ";" : "", (unsigned)node);
		sql_append_text(&sql, databases[i]);
		buf_append_str(&sql, ")");
	}
	return run_unlogged(connection, &sql, err);
}

enum err_code request_end_copy(struct connection *connection, uint32_t node, struct err *err)
{
	struct buf sql = {0};
	buf_printf(&sql, "CALL syncline.end_copy(%u)", (unsigned)node);
	return run_unlogged(connection, &sql, err);
}

enum err_code request_drop_peer(struct connection *connection, uint32_t node, struct err *err)
{
	struct buf sql = {0};
	buf_printf(&sql, "CALL syncline.drop_peer(%u)", (unsigned)node);
	return run_unlogged(connection, &sql, err);
}

/* ---- The node's side ---- */

void request_reply_done(struct request_reply *reply)
{
	free(reply->answer);
	free(reply->why);
	*reply = (struct request_reply){0};
}

static enum err_code call(struct connection *connection, const char *procedure, enum request_kind kind,
                          const char *text, const char *rest, struct err *err)
{
	struct buf sql = {0};
	buf_printf(&sql, "CALL syncline.%s('%s'", procedure, kinds[kind]);
	if (text != NULL) {
		buf_append_str(&sql, ",");
		sql_append_text(&sql, text);
	}
	buf_printf(&sql, "%s)", rest);
	enum err_code code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	buf_free(&sql);
	return code;
}

enum err_code request_ask(struct connection *connection, enum request_kind kind, const char *text, uint32_t number,
                          struct err *err)
{
	char rest[16];
	snprintf(rest, sizeof rest, ",%u", (unsigned)number);
	return call(connection, "request", kind, text, rest, err);
}

enum err_code request_say(struct connection *connection, enum request_kind kind, const char *text, struct err *err)
{
	return call(connection, "said", kind, text, "", err);
}

enum err_code request_cancel(struct connection *connection, enum request_kind kind, struct err *err)
{
	return call(connection, "cancel", kind, NULL, "", err);
}

struct replying {
	bool found;
	struct request_reply reply;
};

static void take_reply(void *context, unsigned count, const char *const *c)
{
	struct replying *r = context;
	int state = count >= 5 ? INDEX_OF(states, c[0]) : -1;
	if (r->found || state < 0)
		return;
	r->found = true;
	r->reply = (struct request_reply){.state = (enum request_state)state,
	                                  .answer = copy_of(c[1]),
	                                  .why = copy_of(c[2]),
	                                  .latest = (uint32_t)strtoul(c[3] ? c[3] : "", NULL, 10),
	                                  .age_s = strtoll(c[4] ? c[4] : "", NULL, 10)};
}

static enum err_code look(struct connection *connection, enum request_kind kind, struct request_reply *ret,
                          struct err *err)
{
	char sql[64];
	struct replying replying = {0};
	snprintf(sql, sizeof sql, "CALL syncline.reply('%s')", kinds[kind]);
	enum err_code code = connection_query(connection, sql, take_reply, &replying, err);
	if (code == ERR_OK && !replying.found)
		code = err_set(err, ERR_SERVER, "the other node knows nothing of this any more; run the command again");
	if (code == ERR_OK)
		*ret = replying.reply;
	else
		request_reply_done(&replying.reply);
	return code;
}

enum err_code request_wait(struct connection *connection, enum request_kind kind, enum request_state state,
                           int64_t patience_ms, const volatile bool *cancelled, struct request_reply *ret,
                           struct err *err)
{
	int64_t fine_ms = clock_monotonic_ms();
	for (;;) {
		struct request_reply r = {0};
		enum err_code code = look(connection, kind, &r, err);
		if (code == ERR_OK && r.state == state) {
			*ret = r;
			return ERR_OK;
		}
		if (code == ERR_OK && *r.why == 0)
			fine_ms = clock_monotonic_ms();
		if (code == ERR_OK && r.state == REQUEST_REFUSED)
			code = err_set(err, ERR_SERVER, "the other node refuses: %s", r.why);
		else if (code == ERR_OK && r.age_s * 1000 > patience_ms)
			code = err_set(err, ERR_TIMEOUT, "the other node's daemon doesn't answer; start it there");
		else if (code == ERR_OK && clock_monotonic_ms() - fine_ms > patience_ms)
			code = err_set(err, ERR_TIMEOUT, "%s", r.why);
		else if (code == ERR_OK && *cancelled)
			code = err_set(err, ERR_CANCELLED, "interrupted");
		request_reply_done(&r);
		if (code != ERR_OK)
			return code;
		clock_sleep_ms(POLL_MS);
	}
}
