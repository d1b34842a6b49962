/* What is known of a node, its server and its peers at one moment: plain data, which the checks judge (check.h).
 *
 * gather.h asks the servers and fills it in; a unit test writes it down. Texts and arrays are borrowed by whoever
 * reads; those that gather.h made belong to the facts and go with facts_free. One thread. Pure.
 */
#ifndef SYNCLINE_DOCTOR_FACTS_H
#define SYNCLINE_DOCTOR_FACTS_H

#include "node/settings.h"

struct variable_facts {
	const char *name, *value;
};

/* One line of SHOW GRANTS: "SELECT, INSERT" on "*.*" or "`shop`.*". */
struct grant_facts {
	const char *privileges, *scope;
};

struct table_facts {
	const char *database, *name, *engine; /* engine "" where the server doesn't know it */
	bool has_key;                         /* a primary key, or a unique one of columns that are never NULL */
	const char *definition;               /* SHOW CREATE TABLE; NULL: it could not be read */
};

struct foreign_facts {
	const char *database, *name, *table, *columns; /* columns as SQL names them: `a`,`b` */
	const char *parent_database, *parent, *parent_columns;
	const char *on_delete, *on_update; /* as information_schema has them: "SET NULL" */
};

struct trigger_facts {
	const char *database, *name, *table;
};

struct event_facts {
	const char *database, *name, *status; /* "ENABLED", "DISABLED", "SLAVESIDE_DISABLED" */
};

struct sequence_facts {
	const char *database, *name;
	int64_t increment;
};

/* A replication connection of MariaDB's own from a peer, as engine = native has them. */
struct slave_facts {
	uint32_t peer;
	const char *name; /* "" in a pair */
	bool exists;      /* else the rest is empty */
	bool io_runs, sql_runs;
	bool uses_gtid;            /* from @@gtid_slave_pos */
	const char *error;         /* it stopped with; "" if by hand */
	const char *filter;        /* replicate_wild_do_table */
	const char *other_filters; /* "replicate_do_db = d", "" if there are none */
};

/* Whether a server starts replicating before anybody has set a filter. */
enum slave_start { SLAVE_START_UNKNOWN, SLAVE_START_BY_US, SLAVE_START_BY_ITSELF };

/* Of one server. A peer's has what its account may see. */
struct server_facts {
	uint32_t node;
	const char *where;   /* "/run/mysqld/mysqld.sock" or "192.168.10.2:3306" */
	const char *account; /* quoted: 'syncline'@'192.168.10.%' */
	bool is_reached;
	const char *why; /* not reached */
	bool is_encrypted;
	size_t variable_count, grant_count, database_count, table_count, foreign_count, trigger_count, event_count;
	size_t sequence_count, left_out_count;
	struct variable_facts *variables; /* global ones */
	struct grant_facts *grants;
	const char **databases; /* replicated ones that its account can see */
	struct table_facts *tables;
	struct foreign_facts *foreigns;
	struct trigger_facts *triggers;
	struct event_facts *events;
	struct sequence_facts *sequences;
	const char **left_out; /* replicated databases that its log filters leave out */
	/* What its daemon published when it was started, against our settings; has_policies: one ever ran. */
	bool has_policies;
	const char *policies_differ; /* "shop.t, shop.u" */
	size_t published_count;
	const char **published; /* the databases that it replicates */
	/* The mark of its last engine, "merge" or "native"; NULL: not known. */
	const char *engine;
	/* This node's own, with engine = native. */
	size_t slave_count;
	struct slave_facts *slaves;
	enum slave_start slave_start;
	/* Its clock minus this node's server's, and how far off that may be. */
	bool has_clock;
	int64_t clock_offset_us, clock_error_us;
};

/* A folder that must not run full. */
struct disk_facts {
	const char *what, *path;
	const char *why; /* it can't be looked at; NULL: it was */
	uint64_t free_bytes, total_bytes;
};

struct daemon_link_facts {
	uint32_t peer;
	bool is_paused;
	const char *state, *why, *transaction; /* "" where there is nothing to say */
};

struct daemon_facts {
	bool is_running;
	const char *why; /* it doesn't answer */
	const char *server_state, *server_why;
	const char *engine, *engine_why; /* that runs; why it isn't the one that was asked for, "" if it is */
	bool is_switching;
	size_t link_count;
	struct daemon_link_facts links[PEERS_MAX];
};

/* A question that a server refused or didn't answer: what it was about is not judged. */
struct question_facts {
	uint32_t node;
	const char *what, *why;
};

struct facts {
	const struct settings *settings; /* borrowed */
	struct server_facts own;
	size_t peer_count;
	struct server_facts peers[PEERS_MAX]; /* in the order of the settings */
	struct daemon_facts daemon;
	size_t disk_count, question_count;
	struct disk_facts *disks;
	struct question_facts *questions;
	size_t piece_count, piece_room;
	void **pieces; /* what is the facts' own */
};

/* A copy of the text that lives as long as the facts; NULL stays NULL. */
const char *facts_keep(struct facts *facts, const char *text);
/* Makes an array one longer and returns the new element, zeroed. *rows is NULL at first; the array is the facts'. */
void *facts_grow(struct facts *facts, void *rows, size_t *count, size_t size);
void facts_free(struct facts *facts); /* accepts a zeroed one */

/* The value of a global variable; NULL: this server has none of that name. */
const char *facts_variable(const struct server_facts *server, const char *name);
const struct table_facts *facts_table(const struct server_facts *server, const char *database, const char *name);
bool facts_sees_database(const struct server_facts *server, const char *database);
bool facts_has_published(const struct server_facts *server, const char *database);
/* The account has the privilege on everything, or on the whole of this database (NULL: on everything). */
bool facts_is_granted(const struct server_facts *server, const char *privilege, const char *database);
/* 1011 for "10.11.19-MariaDB", 0 if it isn't MariaDB. */
unsigned facts_version(const struct server_facts *server);
bool facts_is_on(const struct server_facts *server, const char *variable);
/* This node's engine is native: what runs, or else what ran last, or else what the settings say. */
bool facts_is_native(const struct facts *facts);
const struct slave_facts *facts_slave(const struct facts *facts, uint32_t peer); /* NULL: not known */
/* A peer that is reached through a network: neither by a socket nor by this machine's own address. */
bool facts_is_remote(const struct server_facts *server);

#endif
