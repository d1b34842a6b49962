#include "cli/command.h"

#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

enum { OPTION_ROWS_MAX = 16, HELP_VALUE = 1000 };

volatile bool command_interrupted;

static void interrupt(int signal)
{
	(void)signal;
	command_interrupted = true;
}

void command_catch_signals(void)
{
	struct sigaction action = {.sa_handler = interrupt}; /* no SA_RESTART: waits end */
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

int command_fail(const char *command, int status, const char *format, ...)
{
	char text[1024];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	for (char *c = text; *c != 0; c++) /* a server's message may hold line breaks */
		if (*c == '\n')
			*c = ' ';
	fflush(stdout);
	fprintf(stderr, "%s: %s\n", command, text);
	return status;
}

int command_fail_err(const char *command, const struct err *err)
{
	return command_fail(command, err->code == ERR_USAGE ? EXIT_USAGE : EXIT_FAILED, "%s", err->message);
}

/* Dispatch */

static int list_commands(const char *name, const struct command *rows, const char *about)
{
	printf("%s\n\nUsage: %s COMMAND [OPTION]…\n\nCommands:\n", about, name);
	for (const struct command *c = rows; c->name != NULL; c++)
		if (c->summary != NULL)
			printf("  %-10s %s\n", c->name, c->summary);
	printf("\n%s COMMAND --help tells more. Exit status: 0 done, 1 failed, 2 wrong use.\n", name);
	return EXIT_OK;
}

int command_dispatch(const struct command *rows, const char *about, int argc, char **argv)
{
	const char *name = argv[0];
	if (argc < 2)
		return command_fail(name, EXIT_USAGE, "no command given; see %s --help", name);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
		return list_commands(name, rows, about);
	for (const struct command *c = rows; c->name != NULL; c++) {
		if (strcmp(argv[1], c->name) != 0)
			continue;
		char *full = mem_printf("%s %s", name, c->name);
		argv[1] = full;
		int status = c->run(argc - 1, argv + 1);
		free(full);
		return status;
	}
	const char *kind = argv[1][0] == '-' ? "option" : "command";
	return command_fail(name, EXIT_USAGE, "unknown %s '%s'; see %s --help", kind, argv[1], name);
}

/* Options */

static int show_help(const char *name, const struct options *options)
{
	printf("%s\n\nUsage: %s%s%s\n\nOptions:\n", options->summary, name, *options->arguments ? " " : "",
	       options->arguments);
	for (const struct option_row *row = options->rows; row->name != NULL; row++) {
		char left[80];
		snprintf(left, sizeof left, "--%s%s%s", row->name, row->value ? "=" : "", row->value ? row->value : "");
		printf("  %-28s %s\n", left, row->help);
	}
	printf("  %-28s %s\n", "--help", "this text");
	return EXIT_OK;
}

static int set_number(const char *command, const struct option_row *row, const char *value)
{
	char *end;
	unsigned long number = strtoul(value, &end, 10);
	if (*value < '0' || *value > '9' || *end != 0 || number < row->min || number > row->max)
		return command_fail(command, EXIT_USAGE, "--%s is '%s'; give a whole number from %u to %u", row->name, value,
		                    row->min, row->max);
	*(unsigned *)row->to = (unsigned)number;
	return -1;
}

static int set_option(const char *command, const struct option_row *row, const char *value, bool again)
{
	if (again && row->kind != OPTION_LIST)
		return command_fail(command, EXIT_USAGE, "--%s is given twice; remove one", row->name);
	if (value != NULL && *value == 0)
		return command_fail(command, EXIT_USAGE, "--%s is empty; give %s", row->name, row->value);
	struct text_list *list = row->to;
	switch (row->kind) {
	case OPTION_FLAG:
		*(bool *)row->to = true;
		return -1;
	case OPTION_TEXT:
		*(const char **)row->to = value;
		return -1;
	case OPTION_NUMBER:
		return set_number(command, row, value);
	case OPTION_LIST:
		if (list->count == sizeof list->texts / sizeof *list->texts)
			return command_fail(command, EXIT_USAGE, "--%s is given more than %zu times; remove some", row->name,
			                    list->count);
		list->texts[list->count++] = value;
		return -1;
	}
	return -1;
}

static int check_rest(const struct options *o, const char *command, const bool *seen, int count)
{
	for (int i = 0; o->rows[i].name != NULL; i++)
		if (o->rows[i].required && !seen[i])
			return command_fail(command, EXIT_USAGE, "--%s=%s is missing; see %s --help", o->rows[i].name,
			                    o->rows[i].value, command);
	if (count < o->arguments_min || (o->arguments_max >= 0 && count > o->arguments_max))
		return command_fail(command, EXIT_USAGE, "wrong number of arguments; it is: %s %s", command, o->arguments);
	return -1;
}

int options_parse(const struct options *options, int argc, char **argv, int *ret_count)
{
	struct option table[OPTION_ROWS_MAX + 2] = {{0}};
	bool seen[OPTION_ROWS_MAX] = {false};
	int rows = 0, found;
	for (; options->rows[rows].name != NULL; rows++)
		table[rows] =
		    (struct option){options->rows[rows].name, options->rows[rows].value ? required_argument : no_argument, NULL,
		                    rows + HELP_VALUE + 1};
	table[rows] = (struct option){"help", no_argument, NULL, HELP_VALUE};
	opterr = 0;
	optind = 0; /* glibc: start anew */
	const char *shape = options->arguments_max < 0 ? "+:h" : ":h";
	while ((found = getopt_long(argc, argv, shape, table, NULL)) != -1) {
		if (found == HELP_VALUE || found == 'h')
			return show_help(argv[0], options);
		if (found == ':')
			return command_fail(argv[0], EXIT_USAGE, "%s needs a value; see %s --help", argv[optind - 1], argv[0]);
		if (found == '?')
			return command_fail(argv[0], EXIT_USAGE, "unknown option '%s'; see %s --help", argv[optind - 1], argv[0]);
		int row = found - HELP_VALUE - 1;
		int status = set_option(argv[0], &options->rows[row], optarg, seen[row]);
		if (status >= 0)
			return status;
		seen[row] = true;
	}
	int count = argc - optind;
	memmove(argv + 1, argv + optind, (size_t)count * sizeof *argv);
	argv[1 + count] = NULL;
	*ret_count = count;
	return check_rest(options, argv[0], seen, count);
}

enum err_code command_act_as_owner(const char *file, struct err *err)
{
	struct stat st;
	if (geteuid() != 0 || stat(file, &st) != 0 || st.st_uid == 0) /* who reads the file says what is wrong with it */
		return ERR_OK;
	const struct passwd *user = getpwuid(st.st_uid);
	if (user == NULL || initgroups(user->pw_name, user->pw_gid) != 0 || setgid(user->pw_gid) != 0 ||
	    setuid(user->pw_uid) != 0)
		return err_set(err, ERR_CONFIG,
		               "%s: its owner can't be taken for the user that the daemon runs as; run: chown syncline %s",
		               file, file);
	return ERR_OK;
}
