/* What the doctor found, and the codes that it has for it.
 *
 * A code never changes its number or its meaning, and one that is given up is not used again: people's scripts know
 * them. docs/doctor.md explains each; a unit test holds the two against each other. A finding is one line of cause and
 * one of fix. struct findings owns its texts and is used by one thread. Pure.
 */
#ifndef SYNCLINE_DOCTOR_FINDING_H
#define SYNCLINE_DOCTOR_FINDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum severity {
	SEVERITY_INFO,    /* good to know */
	SEVERITY_WARNING, /* something may be lost, differ or stop, under some circumstances */
	SEVERITY_ERROR,   /* replication doesn't run, stops, or loses something */
};

/* X(name, code, severity, title). Rows of sql/requirements.h have their variable for a title. */
#define FINDING_CODES(X)                                                                                               \
	X(FINDING_LOG_BIN, "SL001", ERROR, "log_bin")                                                                      \
	X(FINDING_BINLOG_FORMAT, "SL002", ERROR, "binlog_format")                                                          \
	X(FINDING_ROW_IMAGE, "SL003", ERROR, "binlog_row_image")                                                           \
	X(FINDING_ROW_METADATA, "SL004", ERROR, "binlog_row_metadata")                                                     \
	X(FINDING_SERVER_ID, "SL005", ERROR, "server_id")                                                                  \
	X(FINDING_DOMAIN_ID, "SL006", ERROR, "gtid_domain_id")                                                             \
	X(FINDING_SYNC_BINLOG, "SL007", WARNING, "sync_binlog")                                                            \
	X(FINDING_FLUSH_LOG, "SL008", WARNING, "innodb_flush_log_at_trx_commit")                                           \
	X(FINDING_INCREMENT, "SL009", ERROR, "auto_increment_increment")                                                   \
	X(FINDING_OFFSET, "SL010", ERROR, "auto_increment_offset")                                                         \
	X(FINDING_PACKET, "SL011", WARNING, "max_allowed_packet")                                                          \
	X(FINDING_TRUST_CREATORS, "SL012", WARNING, "log_bin_trust_function_creators")                                     \
	X(FINDING_LOG_EXPIRY, "SL013", WARNING, "binlog_expire_logs_seconds")                                              \
	X(FINDING_TRIGGERS_RUN_TWICE, "SL014", ERROR, "slave_run_triggers_for_rbr")                                        \
	X(FINDING_LOG_FILTER, "SL015", ERROR, "a replicated database is left out of the log")                              \
	X(FINDING_OLD_VERSION, "SL020", ERROR, "not MariaDB 10.11 or newer")                                               \
	X(FINDING_VERSION_PAIR, "SL021", WARNING, "a newer MariaDB writes to an older one")                                \
	X(FINDING_NO_NETWORK, "SL022", ERROR, "skip_networking with peers on the network")                                 \
	X(FINDING_BOUND_TO_LOOPBACK, "SL023", WARNING, "bind_address that peers can't reach")                              \
	X(FINDING_BOUND_ELSEWHERE, "SL024", INFO, "bind_address that local clients can't reach")                           \
	X(FINDING_NO_TLS, "SL025", WARNING, "no TLS with peers on the network")                                            \
	X(FINDING_NOT_ENCRYPTED, "SL026", WARNING, "the connection to a peer is not encrypted")                            \
	X(FINDING_OWN_PRIVILEGES, "SL027", ERROR, "this node's account lacks privileges")                                  \
	X(FINDING_PEER_PRIVILEGES, "SL028", ERROR, "the account on a peer lacks privileges")                               \
	X(FINDING_NO_KEY, "SL030", WARNING, "a table without a primary key")                                               \
	X(FINDING_ENGINE, "SL031", ERROR, "a table that is not InnoDB")                                                    \
	X(FINDING_CASCADE, "SL032", INFO, "a foreign key that cascades")                                                   \
	X(FINDING_CASCADES, "SL033", WARNING, "a cascade through two levels")                                              \
	X(FINDING_UPDATE_CASCADE, "SL034", WARNING, "a foreign key with ON UPDATE CASCADE or SET NULL")                    \
	X(FINDING_TRIGGER, "SL035", INFO, "a trigger")                                                                     \
	X(FINDING_EVENT, "SL036", INFO, "an event")                                                                        \
	X(FINDING_EVENT_ASLEEP, "SL037", WARNING, "an event, and the scheduler is off")                                    \
	X(FINDING_EVENT_TWICE, "SL038", WARNING, "an event that runs on two nodes")                                        \
	X(FINDING_SEQUENCE, "SL039", WARNING, "a sequence that gives one number on two nodes")                             \
	X(FINDING_NO_DATABASE, "SL040", INFO, "a replicated database that is not there")                                   \
	X(FINDING_UNREACHABLE, "SL050", WARNING, "a peer can't be reached")                                                \
	X(FINDING_SAME_SERVER_ID, "SL051", ERROR, "two nodes with one server_id")                                          \
	X(FINDING_SAME_DOMAIN_ID, "SL052", ERROR, "two nodes with one gtid_domain_id")                                     \
	X(FINDING_SAME_NUMBERS, "SL053", ERROR, "two nodes that give out one AUTO_INCREMENT number")                       \
	X(FINDING_POLICIES, "SL054", WARNING, "other conflict policies on a peer")                                         \
	X(FINDING_DATABASES, "SL055", WARNING, "a database that a peer doesn't replicate")                                 \
	X(FINDING_CLOCK, "SL056", WARNING, "clocks that differ")                                                           \
	X(FINDING_TABLE_MISSING, "SL057", ERROR, "a table that one node has")                                              \
	X(FINDING_TABLE_DIFFERS, "SL058", WARNING, "a table that differs")                                                 \
	X(FINDING_SCHEMA_HIDDEN, "SL059", INFO, "schemas that can't be compared")                                          \
	X(FINDING_NO_DAEMON, "SL060", ERROR, "the daemon doesn't run")                                                     \
	X(FINDING_LINK_STOPPED, "SL061", ERROR, "a link is stopped")                                                       \
	X(FINDING_LINK_PAUSED, "SL062", WARNING, "a link is paused")                                                       \
	X(FINDING_LINK_CONNECTING, "SL063", WARNING, "a link has no connection")                                           \
	X(FINDING_LOG_NOT_READ, "SL064", WARNING, "the daemon doesn't read this node's log")                               \
	X(FINDING_OLD_SETTINGS, "SL065", WARNING, "the daemon has other settings")                                         \
	X(FINDING_MUST_REJOIN, "SL066", ERROR, "this node must rejoin")                                                    \
	X(FINDING_DISK_LOW, "SL070", WARNING, "a disk that is nearly full")                                                \
	X(FINDING_DISK_FULL, "SL071", ERROR, "a disk that is full")                                                        \
	X(FINDING_DISK_HIDDEN, "SL072", INFO, "a disk that can't be looked at")                                            \
	X(FINDING_NOT_ASKED, "SL080", WARNING, "a server that didn't answer a question")                                   \
	X(FINDING_OTHER_ENGINE, "SL090", WARNING, "another engine than the one asked for")                                 \
	X(FINDING_NO_SLAVE_UPDATES, "SL091", WARNING, "log_slave_updates")                                                 \
	X(FINDING_SLAVE_START, "SL092", WARNING, "skip_slave_start")                                                       \
	X(FINDING_DUPLICATES, "SL093", ERROR, "gtid_ignore_duplicates")                                                    \
	X(FINDING_SLAVE_FILTER, "SL094", ERROR, "replication with another filter")                                         \
	X(FINDING_SLAVE_STOPPED, "SL095", ERROR, "replication that doesn't run")                                           \
	X(FINDING_SLAVE_NO_GTID, "SL096", ERROR, "replication without GTIDs")                                              \
	X(FINDING_POLICIES_IDLE, "SL097", INFO, "conflict-policy with an engine that resolves nothing")                    \
	X(FINDING_TWO_ENGINES, "SL098", INFO, "two nodes with different engines")                                          \
	X(FINDING_PEER_MERGE, "SL099", INFO, "an account on a peer that merge can't use")

enum finding_code {
#define X(name, code, severity, title) name,
	FINDING_CODES(X)
#undef X
	    FINDING_CODE_COUNT
};

struct finding {
	enum finding_code code;
	uint32_t node;   /* that it is about */
	char *subject;   /* the variable, the table, the link: what tells two findings of one code apart */
	char *cause;     /* one line */
	char *fix;       /* one line: a statement, or an option and where it goes; "" where nothing is to be done */
	char *statement; /* what --fix runs on this node's server; NULL: nothing */
	char *permanent; /* and what makes that outlive a restart */
};

struct findings {
	size_t count;
	struct finding *rows;
};

/* Adds one; a line break in a text becomes a blank. What is returned is borrowed until the next is added. */
struct finding *findings_add(struct findings *findings, enum finding_code code, uint32_t node, const char *subject,
                             const char *format, ...) __attribute__((format(printf, 5, 6)));
void finding_set_fix(struct finding *finding, const char *format, ...) __attribute__((format(printf, 2, 3)));
void findings_free(struct findings *findings); /* accepts a zeroed one */
/* Errors first, then warnings; among these by code, node and subject. */
void findings_sort(struct findings *findings);
size_t findings_count(const struct findings *findings, enum severity severity);
/* 2: at least one error, 1: warnings, 0: neither. */
int findings_exit_status(const struct findings *findings);

const char *finding_code_text(enum finding_code code); /* "SL001" */
const char *finding_code_title(enum finding_code code);
enum severity finding_code_severity(enum finding_code code);
const char *severity_text(enum severity severity); /* "error" */
/* The code of a requirement on this variable; FINDING_CODE_COUNT if it has none. */
enum finding_code finding_code_of(const char *variable);

#endif
