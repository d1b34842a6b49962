#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static enum log_level level_max = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
	level_max = level;
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

void log_line(enum log_level level, const char *who, const char *format, ...)
{
	if (level > level_max)
		return;
	char line[1536];
	int n;
	if (getenv("JOURNAL_STREAM") != NULL) {
		n = snprintf(line, sizeof line, "<%d>%.64s: ", (int)level, who);
	} else {
		struct timespec now;
		struct tm utc;
		char when[32];
		clock_gettime(CLOCK_REALTIME, &now);
		gmtime_r(&now.tv_sec, &utc);
		strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &utc);
		n = snprintf(line, sizeof line, "%s.%03ldZ %s %.64s: ", when, now.tv_nsec / 1000000, level_name(level), who);
	}
	va_list args;
	va_start(args, format);
	int m = vsnprintf(line + n, sizeof line - (size_t)n - 1, format, args);
	va_end(args);
	size_t size = (size_t)n + (m < 0 ? 0 : (size_t)m);
	if (size > sizeof line - 2)
		size = sizeof line - 2;
	for (size_t i = 0; i < size; i++) /* an error text from a server may hold line breaks */
		if (line[i] == '\n' || line[i] == '\r')
			line[i] = ' ';
	line[size++] = '\n';
	ssize_t ignored = write(STDERR_FILENO, line, size); /* one write, so lines of several threads stay whole */
	(void)ignored;
}
