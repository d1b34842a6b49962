#include "node/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "node/private_server.h"

enum {
	FILE_BYTES_MAX = 1 << 20,
	LINE_BYTES_MAX = 1024, /* Connector/C cuts a line at 4,096 */
	DATABASE_NAME_MAX = 64,
	PORT_DEFAULT = 3306,
	SYNC_METADATA_PERIOD_DEFAULT = 5,
	SYNC_METADATA_PERIOD_MAX = 86400,
	OPTIONS_MAX = 24, /* rows in one group's table */
};

enum group_kind { GROUP_NONE, GROUP_NODE, GROUP_SERVER, GROUP_PEER, GROUP_MARIADBD };

struct group {
	enum group_kind kind;
	uint32_t peer; /* GROUP_PEER */
	unsigned line;
	unsigned seen[OPTIONS_MAX]; /* the line of each option there is */
	char *socket, *host;        /* a connection group's place */
	unsigned port, password_line;
};

struct parser {
	const char *file;
	char *dir; /* the file's folder, absolute */
	bool readable_by_others;
	unsigned line;
	struct group group;
	unsigned node_line, server_line, mariadbd_line, datadir_line;
	unsigned peer_lines[NODE_ID_MAX + 1];
	unsigned nodes_line, engine_line, http_line;
	bool nodes[NODE_ID_MAX + 1];
	uint32_t wanted; /* the peer whose options go to `connection`; 0: none's */
	struct settings_connection *connection;
	struct settings *settings;
	struct err *err;
};

struct option_row {
	const char *name; /* with -, not _ */
	enum err_code (*set)(struct parser *p, const char *name, const char *value);
	bool repeatable;
};

/* "FILE:LINE: message"; every message ends with what to do. */
static enum err_code fail_at(struct parser *p, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static enum err_code fail_at(struct parser *p, unsigned line, const char *format, ...)
{
	char text[600];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	return err_set(p->err, ERR_CONFIG, "%s:%u: %s", p->file, line, text);
}

#define fail(p, ...) fail_at((p), (p)->line, __VA_ARGS__)

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static char *trimmed(char *text)
{
	while (is_blank(*text))
		text++;
	char *end = text + strlen(text);
	while (end > text && is_blank(end[-1]))
		end--;
	*end = 0;
	return text;
}

static bool parse_number(const char *text, unsigned min, unsigned max, unsigned *ret)
{
	unsigned long value = 0;
	if (*text == 0 || strlen(text) > 9)
		return false;
	for (const char *c = text; *c != 0; c++) {
		if (*c < '0' || *c > '9')
			return false;
		value = value * 10 + (unsigned long)(*c - '0');
	}
	if (value < min || value > max)
		return false;
	*ret = (unsigned)value;
	return true;
}

/* [syncline] */

static enum err_code set_node_id(struct parser *p, const char *name, const char *value)
{
	unsigned id;
	if (!parse_number(value, 1, NODE_ID_MAX, &id))
		return fail(p, "%s is '%s'; give a whole number from 1 to %d, another one on each node", name, value,
		            NODE_ID_MAX);
	p->settings->node_id = id;
	return ERR_OK;
}

static enum err_code set_nodes(struct parser *p, const char *name, const char *value)
{
	char *copy = mem_strdup(value);
	enum err_code code = ERR_OK;
	p->nodes_line = p->line;
	for (char *item = copy, *next; item != NULL && code == ERR_OK; item = next) {
		unsigned id;
		next = strchr(item, ',');
		if (next != NULL)
			*next++ = 0;
		item = trimmed(item);
		if (!parse_number(item, 1, NODE_ID_MAX, &id))
			code = fail(p, "'%.40s' in %s is no node id; give whole numbers from 1 to %d with commas between them",
			            item, name, NODE_ID_MAX);
		else if (p->nodes[id])
			code = fail(p, "%s has node %u twice; every node has an id of its own", name, id);
		else
			p->nodes[id] = true;
	}
	free(copy);
	return code;
}

const char *settings_database_refusal(const char *database)
{
	static const char *const reserved[] = {"mysql", "information_schema", "performance_schema", "sys", "syncline"};
	if (database[0] == '\0')
		return "is no name";
	if (strlen(database) > DATABASE_NAME_MAX * 4)
		return "is longer than MariaDB's 64 characters";
	for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
		if (strcasecmp(database, reserved[i]) == 0)
			return "is each server's own and can't be replicated";
	return NULL;
}

static enum err_code set_database(struct parser *p, const char *name, const char *value)
{
	struct settings *s = p->settings;
	const char *refusal = settings_database_refusal(value);
	if (refusal != NULL)
		return fail(p, "%s '%.80s' %s; remove the line", name, value, refusal);
	if (settings_replicates(s, value))
		return fail(p, "%s '%s' is there twice; remove one of the lines", name, value);
	s->databases = mem_resize(s->databases, (s->database_count + 1) * sizeof *s->databases);
	s->databases[s->database_count++] = mem_strdup(value);
	return ERR_OK;
}

static enum err_code set_policy(struct parser *p, const char *name, const char *value)
{
	(void)name;
	struct settings *s = p->settings;
	struct settings_policy policy = {0};
	const char *column = NULL;
	if (settings_policy_parse(value, &policy, p->err) != ERR_OK)
		return err_wrap(p->err, "%s:%u", p->file, p->line);
	policy.line = p->line;
	s->policies = mem_resize(s->policies, (s->policy_count + 1) * sizeof *s->policies);
	s->policies[s->policy_count++] = policy;
	for (size_t i = 0; i + 1 < s->policy_count; i++)
		if (settings_policy_collide(&s->policies[i], &policy, &column))
			return column != NULL ? fail(p, "column '%.64s' has a policy already at line %u; remove one of them",
			                             column, s->policies[i].line)
			                      : fail(p, "there is a policy for the same already at line %u; remove one of them",
			                             s->policies[i].line);
	return ERR_OK;
}

static char *resolved_path(const struct parser *p, const char *value)
{
	return value[0] == '/' ? mem_strdup(value) : mem_printf("%s/%s", strcmp(p->dir, "/") == 0 ? "" : p->dir, value);
}

static enum err_code set_state_dir(struct parser *p, const char *name, const char *value)
{
	(void)name;
	p->settings->state_dir = resolved_path(p, value);
	return ERR_OK;
}

static enum err_code set_identity_dir(struct parser *p, const char *name, const char *value)
{
	(void)name;
	p->settings->identity_dir = resolved_path(p, value);
	return ERR_OK;
}

static enum err_code set_address(struct parser *p, const char *name, const char *value)
{
	(void)name;
	p->settings->address = mem_strdup(value);
	return ERR_OK;
}

static enum err_code set_slots(struct parser *p, const char *name, const char *value)
{
	unsigned slots;
	if (!parse_number(value, 1, NODE_ID_MAX, &slots))
		return fail(p, "%s is '%s'; give a whole number from 1 to %d, the same on each node", name, value, NODE_ID_MAX);
	p->settings->slots = slots;
	return ERR_OK;
}

static enum err_code set_datadir(struct parser *p, const char *name, const char *value)
{
	(void)name;
	p->settings->datadir = resolved_path(p, value);
	p->datadir_line = p->line;
	return ERR_OK;
}

static enum err_code set_log_level(struct parser *p, const char *name, const char *value)
{
	static const struct {
		const char *name;
		enum log_level level;
	} levels[] = {{"error", LOG_LEVEL_ERROR},
	              {"warning", LOG_LEVEL_WARNING},
	              {"info", LOG_LEVEL_INFO},
	              {"debug", LOG_LEVEL_DEBUG}};
	for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
		if (strcmp(value, levels[i].name) == 0) {
			p->settings->log_level = levels[i].level;
			return ERR_OK;
		}
	}
	return fail(p, "%s is '%s'; give error, warning, info or debug", name, value);
}

/* A whole number with K, M, G or T behind it. */
static enum err_code parse_bytes(struct parser *p, const char *name, const char *value, uint64_t *ret)
{
	static const char units[] = "KMGT";
	uint64_t number = 0, max = (uint64_t)1 << 60;
	const char *c = value, *unit = NULL;
	for (; *c >= '0' && *c <= '9' && number < max; c++)
		number = number * 10 + (uint64_t)(*c - '0');
	if (c > value && *c != 0 && c[1] == 0)
		unit = strchr(units, *c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
	unsigned shift = unit != NULL ? 10 * (unsigned)(unit - units + 1) : 0;
	if (c == value || (*c != 0 && unit == NULL) || number > max >> shift)
		return fail(p, "%s is '%.40s'; give a number of bytes, with K, M, G or T behind it if you like: 4G", name,
		            value);
	*ret = number << shift;
	return ERR_OK;
}

static enum err_code set_retention_bytes(struct parser *p, const char *name, const char *value)
{
	return parse_bytes(p, name, value, &p->settings->retention_bytes);
}

static enum err_code set_retention_free_bytes(struct parser *p, const char *name, const char *value)
{
	return parse_bytes(p, name, value, &p->settings->retention_free_bytes);
}

static const char *const engine_names[] = {[ENGINE_MERGE] = "merge", [ENGINE_NATIVE] = "native"};

const char *settings_engine_name(enum settings_engine engine)
{
	return engine_names[engine];
}

bool settings_engine_parse(const char *name, enum settings_engine *ret_engine)
{
	for (size_t i = 0; i < sizeof engine_names / sizeof *engine_names; i++) {
		if (strcmp(name, engine_names[i]) != 0)
			continue;
		*ret_engine = (enum settings_engine)i;
		return true;
	}
	return false;
}

static enum err_code set_engine(struct parser *p, const char *name, const char *value)
{
	if (!settings_engine_parse(value, &p->settings->engine))
		return fail(p, "%s is '%s'; give merge, or native for MariaDB's own replication", name, value);
	p->engine_line = p->line;
	return ERR_OK;
}

static enum err_code set_sync_metadata_period(struct parser *p, const char *name, const char *value)
{
	char *end;
	unsigned long number = strtoul(value, &end, 10);
	if (*value < '0' || *value > '9' || *end != '\0' || number > SYNC_METADATA_PERIOD_MAX)
		return fail(p, "%s is '%.40s'; give a number of seconds up to %d, or 0 to have the table left alone", name,
		            value, SYNC_METADATA_PERIOD_MAX);
	p->settings->sync_metadata_period_s = (uint32_t)number;
	return ERR_OK;
}

static enum err_code set_http_listen(struct parser *p, const char *name, const char *value)
{
	p->http_line = p->line;
	if (!listen_parse(value, &p->settings->http_listen))
		return fail(p, "%s is '%.60s'; give an address in numbers and a port: 127.0.0.1:8047 or [::1]:8047", name,
		            value);
	return ERR_OK;
}

static enum err_code set_http_token_file(struct parser *p, const char *name, const char *value)
{
	(void)name;
	p->settings->http_token_file = resolved_path(p, value);
	return ERR_OK;
}

static const struct option_row node_options[] = {
    {"node-id", set_node_id, false},
    {"nodes", set_nodes, false},
    {"replicate-do-db", set_database, true},
    {"state-dir", set_state_dir, false},
    {"datadir", set_datadir, false},
    {"log-level", set_log_level, false},
    {"conflict-policy", set_policy, true},
    {"slots", set_slots, false},
    {"address", set_address, false},
    {"identity-dir", set_identity_dir, false},
    {"retention-bytes", set_retention_bytes, false},
    {"retention-free-bytes", set_retention_free_bytes, false},
    {"engine", set_engine, false},
    {"sync-metadata-period", set_sync_metadata_period, false},
    {"http-listen", set_http_listen, false},
    {"http-token-file", set_http_token_file, false},
};

/* [syncline-server] and [syncline-peer-N]: checked here, used by Connector/C */

static enum err_code check_text(struct parser *p, const char *name, const char *value)
{
	(void)p, (void)name, (void)value;
	return ERR_OK;
}

static enum err_code check_path(struct parser *p, const char *name, const char *value)
{
	if (value[0] != '/')
		return fail(p, "%s is '%s'; give the whole path, starting with /", name, value);
	return ERR_OK;
}

static enum err_code set_socket(struct parser *p, const char *name, const char *value)
{
	if (strlen(value) >= sizeof((struct sockaddr_un *)NULL)->sun_path)
		return fail(p, "%s is longer than the %zu bytes that a socket's path may have; use a shorter one", name,
		            sizeof((struct sockaddr_un *)NULL)->sun_path - 1);
	p->group.socket = mem_strdup(value);
	return check_path(p, name, value);
}

static enum err_code set_host(struct parser *p, const char *name, const char *value)
{
	if (strcmp(value, "localhost") == 0)
		return fail(p, "%s 'localhost' means the client's default socket; give socket = PATH, or 127.0.0.1 for TCP",
		            name);
	p->group.host = mem_strdup(value);
	return ERR_OK;
}

static enum err_code set_port(struct parser *p, const char *name, const char *value)
{
	if (!parse_number(value, 1, 65535, &p->group.port))
		return fail(p, "%s is '%s'; give a whole number from 1 to 65535", name, value);
	return ERR_OK;
}

static enum err_code set_password(struct parser *p, const char *name, const char *value)
{
	(void)name, (void)value;
	p->group.password_line = p->line;
	if (p->readable_by_others)
		return fail(p, "this file holds a password and others may read it; run: chmod 600 '%s'", p->file);
	return ERR_OK;
}

static enum err_code check_boolean(struct parser *p, const char *name, const char *value)
{
	if (strcmp(value, "0") != 0 && strcmp(value, "1") != 0) /* Connector/C takes anything else for 0 */
		return fail(p, "%s is '%s'; give 1 or 0", name, value);
	return ERR_OK;
}

static enum err_code check_fingerprint(struct parser *p, const char *name, const char *value)
{
	if (value[strspn(value, "0123456789abcdefABCDEF:")] != 0)
		return fail(p, "%s is no fingerprint; give the certificate's in hexadecimal digits", name);
	return ERR_OK;
}

static const struct option_row connection_options[] = {
    {"socket", set_socket, false},
    {"host", set_host, false},
    {"port", set_port, false},
    {"user", check_text, false},
    {"password", set_password, false},
    {"ssl-ca", check_path, false},
    {"ssl-capath", check_path, false},
    {"ssl-cert", check_path, false},
    {"ssl-key", check_path, false},
    {"ssl-crl", check_path, false},
    {"ssl-crlpath", check_path, false},
    {"ssl-cipher", check_text, false},
    {"ssl-fp", check_fingerprint, false},
    {"ssl-fplist", check_path, false},
    {"ssl-passphrase", set_password, false},
    {"ssl-verify-server-cert", check_boolean, false},
    {"tls-version", check_text, false},
    {"bind-address", check_text, false},
    {"plugin-dir", check_path, false},
    {"default-auth", check_text, false},
};

/* What CHANGE MASTER has a word for. */
static const struct connection_text {
	const char *name;
	size_t offset;
} connection_texts[] = {
    {"host", offsetof(struct settings_connection, host)},
    {"user", offsetof(struct settings_connection, user)},
    {"password", offsetof(struct settings_connection, password)},
    {"ssl-ca", offsetof(struct settings_connection, ssl_ca)},
    {"ssl-capath", offsetof(struct settings_connection, ssl_capath)},
    {"ssl-cert", offsetof(struct settings_connection, ssl_cert)},
    {"ssl-key", offsetof(struct settings_connection, ssl_key)},
    {"ssl-crl", offsetof(struct settings_connection, ssl_crl)},
    {"ssl-crlpath", offsetof(struct settings_connection, ssl_crlpath)},
    {"ssl-cipher", offsetof(struct settings_connection, ssl_cipher)},
};

static enum err_code take_connection_option(struct parser *p, const char *name, const char *value)
{
	struct settings_connection *c = p->connection;
	for (size_t i = 0; i < sizeof connection_texts / sizeof *connection_texts; i++) {
		if (strcmp(name, connection_texts[i].name) != 0)
			continue;
		*(char **)(void *)((char *)c + connection_texts[i].offset) = mem_strdup(value);
		return ERR_OK;
	}
	if (strcmp(name, "port") == 0)
		c->port = p->group.port;
	else if (strcmp(name, "ssl-verify-server-cert") == 0)
		c->ssl_verify = value[0] == '1';
	else if (strcmp(name, "plugin-dir") != 0 && strcmp(name, "default-auth") != 0)
		return fail(p, "MariaDB's own replication has no %s; remove the line, or set engine = merge", name);
	return ERR_OK;
}

/* Groups */

static enum err_code settle_place(struct parser *p, char **ret_where)
{
	struct group *g = &p->group;
	if (g->socket == NULL && g->host == NULL)
		return fail_at(p, g->line, "this group has neither socket nor host; say where the server is");
	if (g->socket != NULL && g->host != NULL)
		return fail_at(p, g->line, "this group has both socket and host; keep one of them");
	if (g->socket != NULL && g->port != 0)
		return fail_at(p, g->line, "a port goes with a host, not with a socket; remove one of them");
	if (g->socket != NULL)
		*ret_where = mem_strdup(g->socket);
	else
		*ret_where = mem_printf(strchr(g->host, ':') ? "[%s]:%u" : "%s:%u", g->host, g->port ? g->port : PORT_DEFAULT);
	return ERR_OK;
}

static enum err_code close_server_group(struct parser *p)
{
	p->settings->server_group = mem_strdup("syncline-server");
	return settle_place(p, &p->settings->server_where);
}

static enum err_code close_peer_group(struct parser *p)
{
	struct settings *s = p->settings;
	struct settings_peer *peer = &s->peers[s->peer_count++];
	peer->node_id = p->group.peer;
	peer->group = mem_printf("syncline-peer-%u", (unsigned)p->group.peer);
	return settle_place(p, &peer->where);
}

static enum err_code close_group(struct parser *p)
{
	enum err_code code = ERR_OK;
	if (p->group.kind == GROUP_SERVER)
		code = close_server_group(p);
	else if (p->group.kind == GROUP_PEER)
		code = close_peer_group(p);
	free(p->group.socket);
	free(p->group.host);
	p->group = (struct group){0};
	return code;
}

static enum err_code open_peer_group(struct parser *p, const char *number)
{
	unsigned id;
	if (!parse_number(number, 1, NODE_ID_MAX, &id) || number[0] == '0')
		return fail(p, "'%s' in [syncline-peer-%s] is no node id; give a whole number from 1 to %d", number, number,
		            NODE_ID_MAX);
	if (p->peer_lines[id] != 0)
		return fail(p, "[syncline-peer-%u] is there already at line %u; every node has an id of its own", id,
		            p->peer_lines[id]);
	if (p->settings->peer_count == PEERS_MAX)
		return fail(p, "more than %d peers; remove some", PEERS_MAX);
	p->peer_lines[id] = p->line;
	p->group.kind = GROUP_PEER;
	p->group.peer = id;
	return ERR_OK;
}

static enum err_code open_group(struct parser *p, const char *name)
{
	static const struct {
		const char *name;
		enum group_kind kind;
		size_t line_offset;
	} groups[] = {
	    {"syncline", GROUP_NODE, offsetof(struct parser, node_line)},
	    {"syncline-server", GROUP_SERVER, offsetof(struct parser, server_line)},
	    {"mariadbd", GROUP_MARIADBD, offsetof(struct parser, mariadbd_line)},
	};
	p->group.line = p->line;
	if (strncmp(name, "syncline-peer-", 14) == 0)
		return open_peer_group(p, name + 14);
	for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
		if (strcmp(name, groups[i].name) != 0)
			continue;
		unsigned *line = (unsigned *)(void *)((char *)p + groups[i].line_offset);
		if (*line != 0)
			return fail(p, "[%s] is there already at line %u; put its options together", name, *line);
		*line = p->line;
		p->group.kind = groups[i].kind;
		return ERR_OK;
	}
	return fail(p, "unknown group [%s]; there are [syncline], [syncline-server], [syncline-peer-N] and [mariadbd]",
	            name);
}

/* Lines */

/* Takes the quotes off and resolves the escapes, as Connector/C's ma_default.c does. In place. */
static enum err_code unquote(struct parser *p, char **value)
{
	static const char escapes[] = "n\nt\tr\rb\bs \"\"''\\\\";
	char *from = *value, *end = from + strlen(from);
	if (*from == '\'' || *from == '"') {
		if (end - from < 2 || end[-1] != *from)
			return fail(p, "a quote is not closed; put the value between two %c", *from);
		from++;
		*--end = 0;
	} else if (strstr(from, " #") != NULL || strstr(from, "\t#") != NULL) {
		return fail(p, "a comment must be on a line of its own; if the # belongs to the value, quote the value");
	}
	char *to = *value;
	for (; from < end; from++) {
		const char *escape = NULL;
		if (*from == '\\' && from + 1 < end)
			for (escape = escapes; *escape != 0 && *escape != from[1]; escape += 2)
				;
		if (escape != NULL && *escape != 0) {
			*to++ = escape[1];
			from++;
		} else {
			*to++ = *from;
		}
	}
	*to = 0;
	return ERR_OK;
}

static enum err_code add_server_option(struct parser *p, const char *name, const char *value)
{
	struct settings *s = p->settings;
	enum err_code code = private_server_check_option(name, value, p->err);
	if (code != ERR_OK)
		return err_wrap(p->err, "%s:%u", p->file, p->line);
	s->server_options = mem_resize(s->server_options, (s->server_option_count + 1) * sizeof *s->server_options);
	s->server_options[s->server_option_count++] = value ? mem_printf("%s=%s", name, value) : mem_strdup(name);
	return ERR_OK;
}

static enum err_code set_option(struct parser *p, const struct option_row *rows, size_t count, const char *name,
                                const char *value)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(name, rows[i].name) != 0)
			continue;
		if (value == NULL || *value == 0)
			return fail(p, "%s has no value; write %s = VALUE", name, name);
		if (p->group.seen[i] != 0 && !rows[i].repeatable)
			return fail(p, "%s is there already at line %u; remove one of them", name, p->group.seen[i]);
		p->group.seen[i] = p->line;
		return rows[i].set(p, name, value);
	}
	struct buf known = {0};
	for (size_t i = 0; i < count; i++)
		buf_printf(&known, "%s%s", i ? ", " : "", rows[i].name);
	enum err_code code = fail(p, "unknown option '%.60s'; this group has %s", name, buf_str(&known));
	buf_free(&known);
	return code;
}

static enum err_code parse_option(struct parser *p, char *line)
{
	char *value = strchr(line, '=');
	if (value != NULL) {
		*value++ = 0;
		value = trimmed(value);
		enum err_code code = unquote(p, &value);
		if (code != ERR_OK)
			return code;
	}
	char *name = trimmed(line);
	for (char *c = name; *c != 0; c++)
		if (*c == '_')
			*c = '-';
	switch (p->group.kind) {
	case GROUP_NODE:
		return set_option(p, node_options, sizeof node_options / sizeof *node_options, name, value);
	case GROUP_SERVER:
	case GROUP_PEER: {
		enum err_code code =
		    set_option(p, connection_options, sizeof connection_options / sizeof *connection_options, name, value);
		bool wanted = p->group.kind == GROUP_PEER && p->wanted == p->group.peer;
		return code == ERR_OK && wanted ? take_connection_option(p, name, value) : code;
	}
	case GROUP_MARIADBD:
		return add_server_option(p, name, value);
	case GROUP_NONE:
		break;
	}
	return fail(p, "'%.60s' stands before the first group; put [syncline] above it", name);
}

static enum err_code parse_line(struct parser *p, char *line)
{
	line = trimmed(line);
	if (*line == 0 || *line == '#' || *line == ';')
		return ERR_OK;
	if (strlen(line) > LINE_BYTES_MAX)
		return fail(p, "a line of more than %d bytes; shorten it", LINE_BYTES_MAX);
	for (const char *c = line; *c != 0; c++)
		if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7f)
			return fail(p, "a control character; is this an option file? Remove the character");
	if (*line == '!')
		return fail(p, "%.20s is not for this file; put the options here", line);
	if (*line != '[')
		return parse_option(p, line);
	enum err_code code = close_group(p);
	if (code != ERR_OK)
		return code;
	char *end = strchr(line, ']');
	if (end == NULL || end[1] != 0)
		return fail(p, "'%.60s' is no group; write [NAME] and nothing else on the line", line);
	*end = 0;
	return open_group(p, line + 1); /* blanks inside the brackets count for Connector/C, so they do here */
}

static enum err_code parse_text(struct parser *p, char *text)
{
	for (char *line = text, *next; line != NULL; line = next) {
		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = 0;
		p->line++;
		enum err_code code = parse_line(p, line);
		if (code != ERR_OK)
			return code;
	}
	return close_group(p);
}

/* The whole */

static enum err_code check_places(struct parser *p)
{
	const struct settings *s = p->settings;
	for (size_t i = 0; i < s->peer_count; i++) {
		const struct settings_peer *a = &s->peers[i];
		unsigned line = p->peer_lines[a->node_id];
		if (a->node_id == s->node_id)
			return fail_at(p, line, "peer %u has this node's own node-id; every node has an id of its own",
			               (unsigned)s->node_id);
		if (strcmp(a->where, s->server_where) == 0)
			return fail_at(p, line, "peer %u is this node's own server (%s); give the peer's", (unsigned)a->node_id,
			               a->where);
		for (size_t j = 0; j < i; j++)
			if (strcmp(a->where, s->peers[j].where) == 0)
				return fail_at(p, line, "peers %u and %u are the same server (%s); correct one of them",
				               (unsigned)s->peers[j].node_id, (unsigned)a->node_id, a->where);
	}
	return ERR_OK;
}

/* Without `nodes` they are this node and its peers. */
static enum err_code settle_nodes(struct parser *p)
{
	struct settings *s = p->settings;
	bool given = p->nodes_line != 0;
	if (given && !p->nodes[s->node_id])
		return fail_at(p, p->nodes_line, "nodes lacks %u, this node's own node-id; add it", (unsigned)s->node_id);
	p->nodes[s->node_id] = true;
	for (size_t i = 0; i < s->peer_count; i++) {
		unsigned id = s->peers[i].node_id;
		if (given && !p->nodes[id])
			return fail_at(p, p->nodes_line, "nodes lacks %u, which has a group [syncline-peer-%u]; add it", id, id);
		p->nodes[id] = true;
	}
	for (uint32_t id = 1; id <= NODE_ID_MAX; id++)
		if (p->nodes[id])
			s->nodes[s->node_count++] = id;
	return ERR_OK;
}

static enum err_code check_policies(struct parser *p)
{
	const struct settings *s = p->settings;
	for (size_t i = 0; i < s->policy_count; i++)
		if (!settings_replicates(s, s->policies[i].database))
			return fail_at(p, s->policies[i].line,
			               "database '%.64s' isn't replicated; correct the name or add replicate-do-db = %.64s",
			               s->policies[i].database, s->policies[i].database);
	return ERR_OK;
}

static enum err_code check_whole(struct parser *p)
{
	const struct settings *s = p->settings;
	if (p->node_line == 0)
		return fail(p, "there is no [syncline] group; start the file with it and node-id = N");
	if (s->node_id == 0)
		return fail_at(p, p->node_line, "[syncline] has no node-id; add node-id = N, another number on each node");
	if (s->database_count == 0)
		return fail_at(p, p->node_line,
		               "[syncline] has no replicate-do-db; add replicate-do-db = NAME for each database");
	if (s->state_dir == NULL)
		return fail_at(p, p->node_line,
		               "[syncline] has no state-dir; add state-dir = DIR, a folder of this node's own");
	if (p->server_line == 0)
		return fail(p, "there is no [syncline-server] group; add it, with this node's socket or host");
	if (s->datadir != NULL && s->server_where[0] != '/')
		return fail_at(p, p->server_line, "a private server (datadir) is reached by its socket; give socket = PATH");
	if (s->datadir == NULL && p->mariadbd_line != 0)
		return fail_at(p, p->mariadbd_line,
		               "[mariadbd] is for a private server; add datadir = DIR to [syncline] or remove it");
	if (s->http_listen.port != 0 && !s->http_listen.is_loopback && s->http_token_file == NULL)
		return fail_at(p, p->http_line,
		               "other machines reach this address, so a token is needed; add http-token-file = PATH, or listen "
		               "on 127.0.0.1");
	enum err_code code = check_policies(p);
	if (code == ERR_OK)
		code = check_places(p);
	if (code == ERR_OK)
		code = settle_nodes(p);
	if (code == ERR_OK && settings_check_engine(s, s->engine, p->err) != ERR_OK)
		code = err_wrap(p->err, "%s:%u", p->file, p->engine_line);
	return code;
}

enum err_code settings_check_engine(const struct settings *s, enum settings_engine engine, struct err *err)
{
	for (size_t i = 0; engine == ENGINE_NATIVE && i < s->peer_count; i++)
		if (s->peers[i].where[0] == '/')
			return err_set(
			    err, ERR_CONFIG,
			    "engine = native can't reach peer %u by its socket (%s), since MariaDB's own replication uses "
			    "TCP only; give host = ADDRESS in [%s], or use engine = merge",
			    (unsigned)s->peers[i].node_id, s->peers[i].where, s->peers[i].group);
	if (engine == ENGINE_NATIVE && s->node_count != s->peer_count + 1)
		return err_set(
		    err, ERR_CONFIG,
		    "engine = native is for nodes that are all each other's peers; add the missing [syncline-peer-N], or use "
		    "engine = merge");
	for (size_t i = 0; engine == ENGINE_NATIVE && i < s->database_count; i++)
		if (strchr(s->databases[i], ',') != NULL)
			return err_set(
			    err, ERR_CONFIG,
			    "engine = native can't filter by a database with a comma in its name ('%.64s'); use engine = "
			    "merge",
			    s->databases[i]);
	return ERR_OK;
}

static enum err_code read_file(struct parser *p, struct buf *text)
{
	struct stat st;
	enum err_code code = ERR_OK;
	int fd = open(p->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) != 0) {
		code = err_set(p->err, ERR_CONFIG, "%s: can't read the settings: %s; name the file with --defaults-file=FILE",
		               p->file, strerror(errno));
		goto cleanup;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > FILE_BYTES_MAX) {
		code = err_set(p->err, ERR_CONFIG, "%s: this is no option file; name the settings with --defaults-file=FILE",
		               p->file);
		goto cleanup;
	}
	p->readable_by_others = (st.st_mode & (S_IROTH | S_IWOTH)) != 0;
	ssize_t n;
	while ((n = read(fd, buf_reserve(text, 4096), 4096)) > 0 && text->size <= FILE_BYTES_MAX)
		text->size += (size_t)n;
	if (n < 0)
		code = err_set(p->err, ERR_IO, "%s: can't read: %s; check the disk", p->file, strerror(errno));
	else if (memchr(text->data, 0, text->size) != NULL)
		code = err_set(p->err, ERR_CONFIG,
		               "%s: a NUL byte: this is no option file; name the settings with "
		               "--defaults-file=FILE",
		               p->file);
cleanup:
	if (fd >= 0)
		close(fd);
	return code;
}

/* The file's folder made absolute; the file itself may be a symbolic link. */
static void locate(struct parser *p)
{
	char *copy = mem_strdup(p->file), *copy2 = mem_strdup(p->file);
	char *real = realpath(dirname(copy), NULL);
	p->dir = real != NULL ? real : mem_strdup(".");
	p->settings->file = mem_printf("%s/%s", strcmp(p->dir, "/") == 0 ? "" : p->dir, basename(copy2));
	free(copy);
	free(copy2);
}

/* `connection` takes the options of peer `wanted`; NULL and 0 for none. */
static enum err_code load(const char *file, uint32_t wanted, struct settings_connection *connection,
                          struct settings *ret_settings, struct err *err)
{
	struct settings settings = {.log_level = LOG_LEVEL_INFO,
	                            .retention_free_bytes = SETTINGS_FREE_BYTES_DEFAULT,
	                            .sync_metadata_period_s = SYNC_METADATA_PERIOD_DEFAULT};
	struct parser p = {.file = file, .wanted = wanted, .connection = connection, .settings = &settings, .err = err};
	struct buf text = {0};
	enum err_code code = read_file(&p, &text);
	if (code == ERR_OK) {
		buf_str(&text);
		locate(&p);
		code = parse_text(&p, (char *)text.data);
	}
	if (code == ERR_OK)
		code = check_whole(&p);
	if (code == ERR_OK)
		*ret_settings = settings;
	else
		settings_free(&settings);
	free(p.group.socket);
	free(p.group.host);
	free(p.dir);
	if (text.data != NULL)
		explicit_bzero(text.data, text.capacity); /* it may have held a password */
	buf_free(&text);
	return code;
}

enum err_code settings_load(const char *file, struct settings *ret_settings, struct err *err)
{
	return load(file, 0, NULL, ret_settings, err);
}

enum err_code settings_connection_load(const struct settings *s, const struct settings_peer *peer,
                                       struct settings_connection *ret_connection, struct err *err)
{
	struct settings again = {0};
	struct settings_connection connection = {0};
	enum err_code code = load(s->file, peer->node_id, &connection, &again, err);
	if (code == ERR_OK && (connection.host == NULL || connection.user == NULL))
		code = err_set(err, ERR_CONFIG, "%s: [%s] has no %s; MariaDB's own replication needs it", s->file, peer->group,
		               connection.host == NULL ? "host" : "user");
	settings_free(&again);
	if (code == ERR_OK)
		*ret_connection = connection;
	else
		settings_connection_free(&connection);
	return code;
}

void settings_connection_free(struct settings_connection *c)
{
	if (c->password != NULL)
		explicit_bzero(c->password, strlen(c->password));
	for (size_t i = 0; i < sizeof connection_texts / sizeof *connection_texts; i++)
		free(*(char **)(void *)((char *)c + connection_texts[i].offset));
	*c = (struct settings_connection){0};
}

void settings_free(struct settings *s)
{
	free(s->file);
	for (size_t i = 0; i < s->database_count; i++)
		free(s->databases[i]);
	free(s->databases);
	for (size_t i = 0; i < s->policy_count; i++)
		settings_policy_free(&s->policies[i]);
	free(s->policies);
	free(s->address);
	free(s->identity_dir);
	free(s->state_dir);
	free(s->http_token_file);
	free(s->datadir);
	free(s->server_group);
	free(s->server_where);
	for (size_t i = 0; i < s->peer_count; i++) {
		free(s->peers[i].group);
		free(s->peers[i].where);
	}
	for (size_t i = 0; i < s->server_option_count; i++)
		free(s->server_options[i]);
	free(s->server_options);
	*s = (struct settings){0};
}

void settings_append_option(struct buf *to, const char *name, const char *value)
{
	buf_printf(to, "%s = \"", name);
	for (const char *c = value; *c != 0; c++)
		buf_printf(to, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
	buf_append_str(to, "\"\n");
}

bool settings_replicates(const struct settings *s, const char *database)
{
	for (size_t i = 0; i < s->database_count; i++)
		if (strcmp(s->databases[i], database) == 0)
			return true;
	return false;
}
