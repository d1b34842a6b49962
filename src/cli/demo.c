/* syncline demo: two nodes and the guide's four tests, shown. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/demo.h"

/* A new folder for the lab. Heap. */
static enum err_code make_temporary(char **ret_dir, struct err *err)
{
	const char *above = getenv("TMPDIR");
	char *dir = mem_printf("%s/syncline-demo-XXXXXX", above && *above == '/' && strlen(above) < 60 ? above : "/tmp");
	if (mkdtemp(dir) == NULL) {
		err_set(err, ERR_IO, "%s: can't make the folder: %s; give one with --dir=DIR", dir, strerror(errno));
		free(dir);
		return err->code;
	}
	*ret_dir = dir;
	return ERR_OK;
}

/* With network namespaces where this user can make them, else without. */
static enum err_code start_lab(struct demo *demo, const char *dir, bool network, struct err *err)
{
	struct lab_wish wish = {.dir = dir, .node_count = 2, .network = network, .timeout_s = LAB_TIMEOUT_S};
	int64_t start = clock_monotonic_ms();
	printf("Two MariaDB servers that are both written to, kept equal by syncline. They are in %s\n", dir);
	fflush(stdout);
	enum err_code code = lab_up(&wish, &demo->lab, err);
	if (code == ERR_UNSUPPORTED && network) {
		printf("No network interfaces of our own here (%s), so UNIX sockets instead.\n", err->message);
		fflush(stdout);
		wish.network = false;
		code = lab_up(&wish, &demo->lab, err);
	}
	if (code != ERR_OK)
		return code;
	if (demo->lab.network)
		printf("Each has a network interface of its own, 192.168.10.1 and 192.168.10.2, and they talk TLS.\n");
	printf("Started and live after %.1f s.\n", (double)(clock_monotonic_ms() - start) / 1000);
	return ERR_OK;
}

static enum err_code connect_nodes(struct demo *demo, struct err *err)
{
	enum err_code code = ERR_OK;
	for (int i = 0; i < 2; i++) {
		demo->connections[i] = connection_new();
		if (code == ERR_OK)
			code = lab_connect(&demo->lab.nodes[i], demo->connections[i], err);
	}
	return code;
}

static void show_kept(const struct demo *demo)
{
	const char *dir = demo->lab.dir;
	printf("\nThe lab goes on. Connect to a node, look at it, take it down:\n");
	printf("  syncline lab sql --dir='%s' 1\n  syncline lab sql --dir='%s' 2\n", dir, dir);
	printf("  syncline lab status --dir='%s'\n  syncline lab down --dir='%s'\n", dir, dir);
}

/* Returns when the lab is down again, or is kept. */
static enum err_code run_demo(struct demo *demo, const char *dir, bool network, bool keep, struct err *err)
{
	enum err_code code = start_lab(demo, dir, network, err);
	if (code != ERR_OK)
		return code;
	code = connect_nodes(demo, err);
	if (code == ERR_OK)
		code = demo_run_tests(demo, err);
	for (int i = 0; i < 2; i++)
		connection_free(demo->connections[i]);
	if (keep && !command_interrupted) {
		show_kept(demo);
		return code;
	}
	struct err down_err;
	enum err_code down_code = lab_down(&demo->lab, false, &down_err);
	if (code == ERR_OK && down_code != ERR_OK) {
		*err = down_err;
		code = down_code;
	}
	return code;
}

int command_demo(int argc, char **argv)
{
	const char *dir = NULL;
	bool keep = false, without_network = false;
	const struct option_row rows[] = {
	    {"keep", OPTION_FLAG, &keep, NULL, "leave the two nodes running, and say how to connect", false, 0, 0},
	    {"dir", OPTION_TEXT, &dir, "DIR", "where they are: a folder that is empty or not there yet", false, 0, 0},
	    {"without-network", OPTION_FLAG, &without_network, NULL,
	     "UNIX sockets even where network namespaces can be made", false, 0, 0},
	    {0},
	};
	struct options options = {
	    "[--keep] [--dir=DIR]",
	    "Starts two nodes, runs the guide's four tests on them and shows what arrives after how many "
	    "milliseconds.",
	    rows, 0, 0};
	int count, status = options_parse(&options, argc, argv, &count);
	if (status >= 0)
		return status;
	command_catch_signals();
	struct demo demo = {0};
	struct err err = {0};
	char *temporary = NULL;
	enum err_code code = dir == NULL ? make_temporary(&temporary, &err) : ERR_OK;
	if (code == ERR_OK)
		code = run_demo(&demo, dir ? dir : temporary, !without_network, keep, &err);
	if (temporary != NULL)
		rmdir(temporary); /* there only if the lab never was */
	free(temporary);
	lab_free(&demo.lab);
	if (code != ERR_OK)
		return command_fail_err(argv[0], &err);
	if (demo.failed > 0 && !keep)
		printf("\nThe logs are gone with the lab; syncline demo --keep keeps them.");
	printf("\n%u passed, %u failed\n", demo.passed, demo.failed);
	return demo.failed == 0 ? EXIT_OK : EXIT_FAILED;
}
