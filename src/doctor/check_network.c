/* Can the nodes talk to each other: versions, addresses, TLS, privileges. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"
#include "doctor/check.h"
#include "sql/server.h"

enum { VERSION_LEAST = 1011, VERSION_SUPER_SPLIT = 1100 };

/* ---- Versions ---- */

static void check_version(const struct server_facts *s, struct findings *to)
{
	const char *version = facts_variable(s, "version");
	if (version == NULL || facts_version(s) >= VERSION_LEAST)
		return;
	finding_set_fix(findings_add(to, FINDING_OLD_VERSION, s->node, "version",
	                             "the server is %s, which Syncline doesn't know how to replicate", version),
	                "install MariaDB 10.11 or newer on node %u", (unsigned)s->node);
}

static void check_version_pair(const struct server_facts *own, const struct server_facts *peer, struct findings *to)
{
	unsigned a = facts_version(own), b = facts_version(peer);
	if (a == 0 || b == 0 || a == b)
		return;
	const struct server_facts *older = a < b ? own : peer, *newer = a < b ? peer : own;
	finding_set_fix(
	    findings_add(to, FINDING_VERSION_PAIR, older->node, "version",
	                 "node %u (%s) writes to node %u (%s), which is older: what only the newer one knows (types, "
	                 "collations, statements) stops the link",
	                 (unsigned)newer->node, facts_variable(newer, "version"), (unsigned)older->node,
	                 facts_variable(older, "version")),
	    "upgrade MariaDB on node %u; until then use nothing that it doesn't know", (unsigned)older->node);
}

/* ---- Addresses ---- */

static bool has_remote_peer(const struct facts *facts)
{
	for (size_t i = 0; i < facts->peer_count; i++)
		if (facts_is_remote(&facts->peers[i]))
			return true;
	return false;
}

static bool is_loopback(const char *address, size_t size)
{
	return (size > 4 && strncmp(address, "127.", 4) == 0) || (size == 3 && strncmp(address, "::1", 3) == 0) ||
	       (size == 9 && strncasecmp(address, "localhost", 9) == 0);
}

static bool is_everywhere(const char *address, size_t size)
{
	return size == 0 || (size == 1 && *address == '*') || (size == 2 && strncmp(address, "::", 2) == 0) ||
	       (size == 7 && strncmp(address, "0.0.0.0", 7) == 0);
}

/* bind_address may be a list. */
static void judge_addresses(const char *list, bool *ret_local, bool *ret_outside)
{
	*ret_local = *ret_outside = false;
	for (const char *at = list;; at++) {
		at += strspn(at, " ");
		size_t size = strcspn(at, ", ");
		*ret_local |= is_everywhere(at, size) || (size == 9 && strncasecmp(at, "localhost", 9) == 0) ||
		              (size == 9 && strncmp(at, "127.0.0.1", 9) == 0);
		*ret_outside |= is_everywhere(at, size) || !is_loopback(at, size);
		at = strchr(at, ',');
		if (at == NULL)
			return;
	}
}

static void check_address(const struct facts *facts, struct findings *to)
{
	const struct server_facts *own = &facts->own;
	const char *address = facts_variable(own, "bind_address");
	bool has_remote = has_remote_peer(facts), is_local, is_outside;
	if (facts_is_on(own, "skip_networking")) {
		if (has_remote)
			finding_set_fix(findings_add(to, FINDING_NO_NETWORK, own->node, "skip_networking",
			                             "skip_networking is ON: no peer can reach this server"),
			                "take skip_networking out of MariaDB's option files and restart it");
		return;
	}
	if (address == NULL)
		return;
	judge_addresses(address, &is_local, &is_outside);
	if (!is_outside && has_remote)
		finding_set_fix(findings_add(to, FINDING_BOUND_TO_LOOPBACK, own->node, "bind_address",
		                             "bind_address is %s: peers can't reach this server but through a tunnel", address),
		                "put bind_address = 0.0.0.0, or this node's address, under [mysqld] and restart MariaDB");
	if (!is_local)
		finding_set_fix(
		    findings_add(to, FINDING_BOUND_ELSEWHERE, own->node, "bind_address",
		                 "bind_address is %s: clients on this machine that use 127.0.0.1 are locked out, the "
		                 "socket works",
		                 address),
		    "let them use the socket, or put bind_address = %s,127.0.0.1 under [mysqld] and restart MariaDB", address);
}

static void check_tls(const struct facts *facts, struct findings *to)
{
	const char *have = facts_variable(&facts->own, "have_ssl");
	if (have != NULL && strcasecmp(have, "YES") != 0 && has_remote_peer(facts))
		finding_set_fix(findings_add(to, FINDING_NO_TLS, facts->own.node, "have_ssl",
		                             "have_ssl is %s: peers read this node's rows in clear text", have),
		                "put ssl_ca, ssl_cert and ssl_key under [mysqld] and restart MariaDB");
	for (size_t i = 0; i < facts->peer_count; i++) {
		const struct server_facts *peer = &facts->peers[i];
		if (peer->is_reached && facts_is_remote(peer) && !peer->is_encrypted)
			finding_set_fix(findings_add(to, FINDING_NOT_ENCRYPTED, peer->node, "TLS",
			                             "the connection to node %u (%s) is not encrypted: rows travel in clear text",
			                             (unsigned)peer->node, peer->where),
			                "put ssl-ca and ssl-verify-server-cert = 1 under [syncline-peer-%u] in %s",
			                (unsigned)peer->node, facts->settings->file);
	}
}

/* ---- Privileges ---- */

static const char *const peer_privileges[] = {"REPLICATION SLAVE", "BINLOG MONITOR", NULL};
/* To read this node's log, to write under another node's GTID without logging or with its definers, and to see InnoDB's
 * foreign keys. */
static const char *const own_privileges[] = {
    "REPLICATION SLAVE", "BINLOG MONITOR", "BINLOG ADMIN", "BINLOG REPLAY", "SET USER", "PROCESS", NULL};
/* What engine = native sets up and watches takes besides; and SUPER, to keep a password out of the server's log of
 * statements, if a peer's account has one. */
static const char *const own_native_privileges[] = {"REPLICATION SLAVE ADMIN", "SLAVE MONITOR", "RELOAD", NULL};
/* MariaDB's own replication from a peer takes the first; what the merge engine takes besides is no fault before. */
static const char *const peer_native_privileges[] = {"REPLICATION SLAVE", NULL};
static const char *const own_database_privileges[] = {
    "SELECT",     "INSERT",      "UPDATE",         "DELETE",        "CREATE", "DROP",    "ALTER", "INDEX",
    "REFERENCES", "CREATE VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "EVENT",  "TRIGGER", NULL};

/* Before 11.0 SUPER was enough for what has privileges of its own now (MDEV-29668). */
static bool is_in_super(const struct server_facts *s, const char *privilege)
{
	return facts_version(s) < VERSION_SUPER_SPLIT && facts_is_granted(s, "SUPER", NULL) &&
	       (strncmp(privilege, "BINLOG ", 7) == 0 || strcmp(privilege, "SET USER") == 0 ||
	        strcmp(privilege, "REPLICATION SLAVE ADMIN") == 0 || strcmp(privilege, "SLAVE MONITOR") == 0);
}

static void append_missing(const struct server_facts *s, const char *const *privileges, const char *database,
                           struct buf *to)
{
	for (; *privileges != NULL; privileges++)
		if (!facts_is_granted(s, *privileges, database) && !is_in_super(s, *privileges))
			buf_printf(to, "%s%s", to->size > 0 ? ", " : "", *privileges);
}

void check_append_scope(struct buf *to, const char *database)
{
	buf_append_u8(to, '`');
	for (; *database != '\0'; database++) {
		if (*database == '_' || *database == '%' || *database == '\\')
			buf_append_u8(to, '\\');
		if (*database == '`')
			buf_append_u8(to, '`');
		buf_append_u8(to, (uint8_t)*database);
	}
	buf_append_str(to, "`.*");
}

static void add_missing(const struct server_facts *s, enum finding_code code, struct buf *missing, const char *database,
                        struct findings *to)
{
	struct buf scope = {0};
	char *subject = mem_printf("%s.*", database != NULL ? database : "*");
	if (missing->size > 0) {
		if (database != NULL)
			check_append_scope(&scope, database);
		else
			buf_append_str(&scope, "*.*");
		struct finding *f =
		    findings_add(to, code, s->node, subject, "the account %s lacks %s on %s%s", s->account, buf_str(missing),
		                 subject, code == FINDING_PEER_MERGE ? ", which engine = merge would want" : "");
		finding_set_fix(f, "on node %u: GRANT %s ON %s TO %s", (unsigned)s->node, buf_str(missing), buf_str(&scope),
		                s->account);
	}
	free(subject);
	buf_free(&scope);
	buf_clear(missing);
}

static void check_privileges(const struct facts *facts, struct findings *to)
{
	struct buf missing = {0};
	const struct server_facts *own = &facts->own;
	if (own->grant_count > 0) {
		append_missing(own, own_privileges, NULL, &missing);
		if (facts_is_native(facts))
			append_missing(own, own_native_privileges, NULL, &missing);
		add_missing(own, FINDING_OWN_PRIVILEGES, &missing, NULL, to);
		for (size_t i = 0; i <= facts->settings->database_count; i++) {
			const char *database = i > 0 ? facts->settings->databases[i - 1] : SYNCLINE_SCHEMA;
			append_missing(own, own_database_privileges, database, &missing);
			add_missing(own, FINDING_OWN_PRIVILEGES, &missing, database, to);
		}
	}
	for (size_t i = 0; i < facts->peer_count; i++) {
		const struct server_facts *peer = &facts->peers[i];
		if (!peer->is_reached || peer->grant_count == 0)
			continue;
		enum finding_code code = FINDING_PEER_PRIVILEGES;
		if (facts_is_native(facts)) {
			append_missing(peer, peer_native_privileges, NULL, &missing);
			if (missing.size > 0) {
				add_missing(peer, code, &missing, NULL, to);
				continue;
			}
			code = FINDING_PEER_MERGE;
		}
		append_missing(peer, peer_privileges, NULL, &missing);
		add_missing(peer, code, &missing, NULL, to);
		append_missing(peer, (const char *const[]){"SELECT", NULL}, SYNCLINE_SCHEMA, &missing);
		add_missing(peer, code, &missing, SYNCLINE_SCHEMA, to);
	}
	buf_free(&missing);
}

void check_network(const struct facts *facts, struct findings *to)
{
	check_version(&facts->own, to);
	for (size_t i = 0; i < facts->peer_count; i++) {
		if (!facts->peers[i].is_reached)
			continue;
		check_version(&facts->peers[i], to);
		check_version_pair(&facts->own, &facts->peers[i], to);
	}
	check_address(facts, to);
	check_tls(facts, to);
	check_privileges(facts, to);
}
