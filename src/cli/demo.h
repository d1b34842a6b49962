/* The demo: the guide's steps and tests on a lab of two nodes, with what arrives shown. */
#ifndef SYNCLINE_CLI_DEMO_H
#define SYNCLINE_CLI_DEMO_H

#include <stdbool.h>

#include "cli/lab.h"

struct demo {
	struct lab lab;
	struct connection *connections[2]; /* node 1, node 2 */
	unsigned passed, failed;
	bool current_failed; /* something in the part that is being shown */
};

/* demo_tests.c: runs and shows every part, counting. ERR_CANCELLED when interrupted. */
enum err_code demo_run_tests(struct demo *demo, struct err *err) ERR_MUST_CHECK;

/* demo_show.c: plain text, with colours on a terminal only */
void demo_show_title(const char *format, ...) __attribute__((format(printf, 1, 2)));
void demo_show_text(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A statement as it is written, after who runs it ("node 1 (SQL)"); `short_form` stops after its first line. */
void demo_show_statement(const char *who, const char *statement, bool short_form);
void demo_show_result(bool passed, const char *text);

#endif
