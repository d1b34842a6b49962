#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifdef HAVE_SYSTEMD
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>
#endif

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

static enum log_level level_max = LOG_LEVEL_INFO;
static enum log_target target_set = LOG_TARGET_UNKNOWN;
static uint32_t node_id;

void log_set_level(enum log_level level)
{
	level_max = level;
}

void log_set_node(uint32_t node)
{
	node_id = node;
}

void log_set_target(enum log_target target)
{
	target_set = target;
}

static const char *level_name(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return "error";
	case LOG_LEVEL_WARNING:
		return "warning";
	case LOG_LEVEL_INFO:
		return "info";
	case LOG_LEVEL_DEBUG:
		return "debug";
	}
	return "?";
}

/* systemd.exec(5): the variable is inherited by whoever redirects standard error elsewhere, so its file counts. */
static enum log_target find_target(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;
	if (target_set != LOG_TARGET_UNKNOWN)
		return target_set;
	if (stream == NULL || sscanf(stream, "%llu:%llu", &device, &inode) != 2 || fstat(STDERR_FILENO, &st) != 0 ||
	    st.st_dev != device || st.st_ino != inode)
		return LOG_TARGET_PEOPLE;
	return access(JOURNAL_SOCKET, W_OK) == 0 ? LOG_TARGET_JOURNAL : LOG_TARGET_PRIORITIES;
}

static void add(struct log_entry *e, const char *name, const char *value)
{
	if (value != NULL && e->count < LOG_ENTRY_FIELDS_MAX)
		snprintf(e->fields[e->count++], sizeof e->fields[0], "%s=%s", name, value);
}

void log_entry_fill(struct log_entry *e, enum log_level level, const char *who, const struct log_fields *fields)
{
	char number[16];
	*e = (struct log_entry){0};
	snprintf(number, sizeof number, "%d", (int)level);
	add(e, "PRIORITY", number);
	add(e, "SYSLOG_IDENTIFIER", "syncline");
	snprintf(number, sizeof number, "%u", (unsigned)node_id);
	add(e, "SYNCLINE_NODE", node_id != 0 ? number : NULL);
	add(e, "SYNCLINE_PART", who);
	add(e, "SYNCLINE_PEER", strncmp(who, "link ", 5) == 0 ? who + 5 : NULL);
	add(e, "SYNCLINE_GTID", fields != NULL ? fields->gtid : NULL);
	add(e, "MESSAGE_ID", fields != NULL ? fields->message_id : NULL);
}

/* False if this build can't. */
static bool send_entry(enum log_level level, const char *who, const struct log_fields *fields, const char *text)
{
#ifdef HAVE_SYSTEMD
	struct log_entry e;
	struct iovec parts[LOG_ENTRY_FIELDS_MAX + 1];
	char message[LOG_LINE_BYTES_MAX + 16];
	log_entry_fill(&e, level, who, fields);
	for (unsigned i = 0; i < e.count; i++)
		parts[i] = (struct iovec){.iov_base = e.fields[i], .iov_len = strlen(e.fields[i])};
	snprintf(message, sizeof message, "MESSAGE=%s", text);
	parts[e.count] = (struct iovec){.iov_base = message, .iov_len = strlen(message)};
	return sd_journal_sendv(parts, (int)e.count + 1) == 0;
#else
	(void)level, (void)who, (void)fields, (void)text;
	return false;
#endif
}

/* What stands ahead of the text; returns its length. */
static int start_line(char *line, size_t size, enum log_level level, enum log_target target)
{
	struct timespec now;
	struct tm utc;
	char when[32];
	if (target != LOG_TARGET_PEOPLE)
		return snprintf(line, size, "<%d>", (int)level);
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &utc);
	return snprintf(line, size, "%s.%03ldZ %s ", when, now.tv_nsec / 1000000, level_name(level));
}

static void log_text(enum log_level level, const char *who, const struct log_fields *fields, const char *format,
                     va_list args)
{
	if (level > level_max)
		return;
	enum log_target target = find_target();
	char line[LOG_LINE_BYTES_MAX];
	int start = start_line(line, sizeof line, level, target);
	int n = start + snprintf(line + start, sizeof line - (size_t)start, "%.64s: ", who);
	int m = vsnprintf(line + n, sizeof line - (size_t)n - 1, format, args);
	size_t size = (size_t)n + (m < 0 ? 0 : (size_t)m);
	if (size > sizeof line - 2)
		size = sizeof line - 2;
	for (size_t i = 0; i < size; i++) /* an error text from a server may hold line breaks */
		if (line[i] == '\n' || line[i] == '\r')
			line[i] = ' ';
	line[size] = '\0';
	if (target == LOG_TARGET_JOURNAL && send_entry(level, who, fields, line + start))
		return;
	line[size++] = '\n';
	ssize_t ignored = write(STDERR_FILENO, line, size); /* one write, so lines of several threads stay whole */
	(void)ignored;
}

void log_line(enum log_level level, const char *who, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	log_text(level, who, NULL, format, args);
	va_end(args);
}

void log_event(enum log_level level, const char *who, const struct log_fields *fields, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	log_text(level, who, fields, format, args);
	va_end(args);
}
