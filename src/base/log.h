/* One line an event, to standard error: the journal or a log file takes it from there.
 *
 * A line starts with <N>, syslog's priority, when standard error is the journal (JOURNAL_STREAM is set), else with the
 * time in UTC and the level. Never a password, never row contents. Any thread may log; lines don't interleave.
 */
#ifndef SYNCLINE_BASE_LOG_H
#define SYNCLINE_BASE_LOG_H

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

void log_set_level(enum log_level level); /* before threads start; INFO unless set */
/* `who` is the part that speaks: "link 2", "tail", "main". */
void log_line(enum log_level level, const char *who, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
