/* One line an event, to standard error: the journal or a log file takes it from there.
 *
 * Where standard error is the journal (JOURNAL_STREAM names it), a line is an entry with fields: MESSAGE, PRIORITY,
 * SYNCLINE_NODE, SYNCLINE_PART, for a link SYNCLINE_PEER, and what the event has of SYNCLINE_GTID and MESSAGE_ID
 * (docs/logs.md). Without libsystemd, or where its socket is out of reach, it starts with <N>, syslog's priority.
 * Elsewhere it starts with the time in UTC and the level. Never a password; never row contents, but at the level
 * debug. Any thread may log; lines don't interleave.
 */
#ifndef SYNCLINE_BASE_LOG_H
#define SYNCLINE_BASE_LOG_H

#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };
enum log_target { LOG_TARGET_UNKNOWN, LOG_TARGET_PEOPLE, LOG_TARGET_PRIORITIES, LOG_TARGET_JOURNAL };

/* 32 hexadecimal digits each, which never change: docs/logs.md. */
#define LOG_ID_LINK_LIVE "5d1bfae2c0a94a7e8d3f0f6c6f3c1a01"
#define LOG_ID_PEER_OFFLINE "5d1bfae2c0a94a7e8d3f0f6c6f3c1a02"
#define LOG_ID_LINK_STOPPED "5d1bfae2c0a94a7e8d3f0f6c6f3c1a03"
#define LOG_ID_MUST_REJOIN "5d1bfae2c0a94a7e8d3f0f6c6f3c1a04"

/* What an event is about; borrowed. NULL: nothing to say. */
struct log_fields {
	const char *gtid;
	const char *message_id;
};

/* Before threads start. */
void log_set_level(enum log_level level); /* INFO unless set */
void log_set_node(uint32_t node);
void log_set_target(enum log_target target); /* UNKNOWN, as at first: found out at each line */

/* `who` is the part that speaks: "link 2", "tail", "main". */
void log_line(enum log_level level, const char *who, const char *format, ...) __attribute__((format(printf, 3, 4)));
void log_event(enum log_level level, const char *who, const struct log_fields *fields, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The entry's fields as "NAME=value" lines, each ended, the message last: what the journal is given. For log.c and its
 * test. */
enum { LOG_ENTRY_FIELDS_MAX = 8, LOG_LINE_BYTES_MAX = 1536 };
struct log_entry {
	unsigned count;
	char fields[LOG_ENTRY_FIELDS_MAX][96];
};
void log_entry_fill(struct log_entry *entry, enum log_level level, const char *who, const struct log_fields *fields);

#endif
