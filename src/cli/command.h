/* Commands and their options: one table is dispatch and usage.
 *
 * A command gets what follows its name, with argv[0] set to its full name ("syncline lab up"), and returns the exit status.
 * Errors are one line on standard error.
 */
#ifndef SYNCLINE_CLI_COMMAND_H
#define SYNCLINE_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Where init and join put the settings. */
#define SETTINGS_FILE "/etc/syncline/syncline.cnf"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *arguments;
	const char *summary; /* NULL: not shown in the list */
};

/* Runs the row that argv[1] names. `about` opens the help text. The last row has no name. */
int command_dispatch(const struct command *rows, const char *about, int argc, char **argv);

enum option_kind {
	OPTION_FLAG,   /* bool */
	OPTION_TEXT,   /* const char * */
	OPTION_LIST,   /* struct text_list, the option may be repeated */
	OPTION_NUMBER, /* unsigned, from `min` to `max` */
};

struct text_list {
	size_t count;
	const char *texts[64];
};

struct option_row {
	const char *name;
	enum option_kind kind;
	void *to;
	const char *value; /* its name in the help text */
	const char *help;
	bool required;
	unsigned min, max; /* OPTION_NUMBER */
};

struct options {
	const char *arguments; /* as in struct command */
	const char *summary;
	const struct option_row *rows;    /* the last has no name */
	int arguments_min, arguments_max; /* arguments_max -1: any number, and options end at the first */
};

/* Fills the rows' targets. Returns -1 to go on, with the arguments that are no options in argv[1]… and their number in
 * *ret_count; else the exit status: --help was asked for, or something is wrong, and that has been said. */
int options_parse(const struct options *options, int argc, char **argv, int *ret_count);

/* "syncline lab up: message" on standard error. Returns status. */
int command_fail(const char *command, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same for an error that came from below. Returns EXIT_FAILED, or EXIT_USAGE for ERR_USAGE. */
int command_fail_err(const char *command, const struct err *err);

/* root goes on as the user that owns this settings file: the daemon's, whom the server knows by its socket (node/accounts.h). For
 * good; who isn't root stays who it is. */
enum err_code command_act_as_owner(const char *file, struct err *err) ERR_MUST_CHECK;

/* SIGINT, SIGTERM and SIGHUP set it, from command_catch_signals on; whoever waits looks at it and cleans up. */
extern volatile bool command_interrupted;
void command_catch_signals(void);

#endif
