/* syncline lab up: makes a lab. Either it is there and live at the end, or nothing is. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/lab.h"
#include "node/private_server.h"
#include "node/settings.h"

enum { LIVE_POLL_MS = 20, DATABASE_DEFAULT_COUNT = 1 };

static const char *const database_default[] = {"rfid_access_control"};

/* Checks that touch nothing */

static enum err_code check_options(const struct lab_wish *wish, struct err *err)
{
	for (size_t i = 0; i < wish->option_count; i++) {
		const char *equals = strchr(wish->options[i], '=');
		size_t size = equals ? (size_t)(equals - wish->options[i]) : strlen(wish->options[i]);
		char *name = mem_printf("%.*s", (int)size, wish->options[i]);
		enum err_code code = private_server_check_option(name, equals ? equals + 1 : NULL, err);
		free(name);
		if (code != ERR_OK) {
			err->code = ERR_USAGE;
			return err_wrap(err, "--server-option=%s", wish->options[i]);
		}
	}
	return ERR_OK;
}

static enum err_code check_dir(const char *dir, bool *ret_exists, struct err *err)
{
	DIR *open = opendir(dir);
	*ret_exists = open != NULL;
	if (open == NULL)
		return errno == ENOENT ? ERR_OK
		                       : err_set(err, ERR_CONFIG, "--dir=%s: %s; give a folder that does not exist yet", dir,
		                                 strerror(errno));
	bool empty = true, lab = false;
	for (struct dirent *entry; (entry = readdir(open)) != NULL;) {
		empty = empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
		lab = lab || strcmp(entry->d_name, "syncline-lab.json") == 0;
	}
	closedir(open);
	if (lab)
		return err_set(err, ERR_CONFIG,
		               "--dir=%s: a lab is there already; take it down with: syncline lab down --dir=%s", dir, dir);
	if (!empty)
		return err_set(err, ERR_CONFIG, "--dir=%s: the folder is not empty; give an empty or a new one", dir);
	return ERR_OK;
}

/* Steps */

static enum err_code make_dir(const struct lab *lab, bool exists, struct err *err)
{
	if ((exists ? chmod(lab->dir, 0700) : mkdir(lab->dir, 0700)) != 0)
		return err_set(err, ERR_IO, "%s: can't make the folder: %s; check the folder above it", lab->dir,
		               strerror(errno));
	enum err_code code = lab_save(lab, err);
	for (unsigned i = 0; i < lab->node_count && code == ERR_OK; i++)
		if (mkdir(lab->nodes[i].dir, 0700) != 0)
			code = err_set(err, ERR_IO, "%s: can't make the folder: %s; check the disk", lab->nodes[i].dir,
			               strerror(errno));
	return code;
}

/* Checked before anything is started: a database's name may be no good. */
static enum err_code configure_daemons(const struct lab *lab, struct err *err)
{
	enum err_code code = ERR_OK;
	for (unsigned i = 0; i < lab->node_count && code == ERR_OK; i++) {
		struct settings settings;
		code = lab_daemon_configure(lab, &lab->nodes[i], err);
		if (code == ERR_OK && (code = settings_load(lab->nodes[i].settings, &settings, err)) == ERR_OK)
			settings_free(&settings);
	}
	return code;
}

static enum err_code start_servers(const struct lab *lab, unsigned timeout_s, struct err *err)
{
	enum err_code code = ERR_OK;
	if (lab->network)
		code = lab_net_make_certificates(lab, err);
	for (unsigned i = 0; i < lab->node_count && code == ERR_OK; i++)
		code = lab_server_create(lab, &lab->nodes[i], i == 0 ? NULL : lab->nodes[0].datadir, err);
	for (unsigned i = 0; i < lab->node_count && code == ERR_OK; i++)
		code = lab_server_start(lab, &lab->nodes[i], err);
	for (unsigned i = 0; i < lab->node_count && code == ERR_OK; i++) {
		code = lab_server_wait(lab, &lab->nodes[i], timeout_s, err);
		if (code == ERR_OK && lab->network)
			code = lab_net_make_accounts(lab, &lab->nodes[i], err);
	}
	return code;
}

static enum err_code start_daemons(const struct lab *lab, unsigned timeout_s, struct err *err)
{
	enum err_code code = ERR_OK;
	for (unsigned i = 0; i < lab->node_count && code == ERR_OK; i++)
		code = lab_daemon_start(lab, &lab->nodes[i], err);
	for (unsigned i = 0; i < lab->node_count && code == ERR_OK; i++)
		code = lab_daemon_wait(&lab->nodes[i], timeout_s, err);
	return code;
}

/* ERR_OK when every link of the node is live, ERR_BUSY while one is not, ERR_SERVER when one has stopped. */
static enum err_code check_live(const struct lab_node *node, struct err *err)
{
	struct node_status status;
	enum err_code code = node_status_get(node->state_dir, &status, err);
	if (code != ERR_OK)
		return code == ERR_DISCONNECTED && !lab_daemon_is_running(node) ? lab_daemon_wait(node, 1, err) : ERR_BUSY;
	if (strcmp(status.server_state, "live") != 0)
		code = err_set(err, ERR_BUSY, "node %u does not read its own log: %s %s", (unsigned)node->id,
		               status.server_state, status.server_why);
	for (size_t i = 0; i < status.link_count && code == ERR_OK; i++) {
		const struct link_status *link = &status.links[i];
		if (strcmp(link->state, "live") == 0)
			continue;
		bool stopped =
		    (strcmp(link->state, "stopped") == 0 || strcmp(link->state, "must rejoin") == 0) && !link->paused;
		code = err_set(err, stopped ? ERR_SERVER : ERR_BUSY, "the link of node %u from node %u is %s%s%s",
		               (unsigned)node->id, (unsigned)link->peer, link->paused ? "paused" : link->state,
		               *link->why ? ": " : "", link->why);
	}
	node_status_free(&status);
	return code;
}

enum err_code lab_wait_live(const struct lab *lab, unsigned timeout_s, struct err *err)
{
	int64_t deadline = clock_monotonic_ms() + (int64_t)timeout_s * 1000;
	for (;;) {
		enum err_code code = ERR_OK;
		for (unsigned i = 0; i < lab->node_count && code == ERR_OK; i++)
			code = check_live(&lab->nodes[i], err);
		if (code != ERR_BUSY)
			return code;
		if (command_interrupted)
			return err_set(err, ERR_CANCELLED, "interrupted");
		if (clock_monotonic_ms() > deadline)
			return err_wrap(err, "not all links are live after %u s", timeout_s);
		clock_sleep_ms(LIVE_POLL_MS);
	}
}

/* The whole */

static enum err_code make_lab(const struct lab *lab, bool exists, unsigned timeout_s, struct err *err)
{
	enum err_code code = make_dir(lab, exists, err);
	if (code == ERR_OK)
		code = configure_daemons(lab, err);
	if (code == ERR_OK && lab->network)
		code = lab_net_start(lab, err);
	if (code == ERR_OK)
		code = start_servers(lab, timeout_s, err);
	if (code == ERR_OK)
		code = start_daemons(lab, timeout_s, err);
	if (code == ERR_OK)
		code = lab_wait_live(lab, timeout_s, err);
	if (code == ERR_OK && command_interrupted)
		code = err_set(err, ERR_CANCELLED, "interrupted");
	return code;
}

static void take_wish(struct lab *lab, const struct lab_wish *wish)
{
	size_t count = wish->database_count ? wish->database_count : DATABASE_DEFAULT_COUNT;
	const char *const *names = wish->database_count ? wish->databases : database_default;
	lab->shape = wish->shape;
	lab->network = wish->network;
	for (size_t i = 0; i < count && i < LAB_TEXTS_MAX; i++)
		lab->databases[lab->database_count++] = mem_strdup(names[i]);
	for (size_t i = 0; i < wish->option_count && i < LAB_TEXTS_MAX; i++)
		lab->options[lab->option_count++] = mem_strdup(wish->options[i]);
}

static void undo(const struct lab *lab, bool existed, struct err *err)
{
	struct err down_err;
	char *see = strstr(err->message, "; see ");
	if (see != NULL)
		*see = 0; /* the log goes as well */
	if (lab_down(lab, false, &down_err) != ERR_OK) {
		size_t size = strlen(err->message);
		snprintf(err->message + size, sizeof err->message - size, "; and not all could be undone: %s",
		         down_err.message);
	} else if (existed && mkdir(lab->dir, 0700) != 0) {
		err_wrap(err, "the empty folder is gone");
	}
}

enum err_code lab_up(const struct lab_wish *wish, struct lab *ret_lab, struct err *err)
{
	struct lab lab = {0};
	bool exists = false;
	enum err_code code = check_options(wish, err);
	if (code == ERR_OK)
		code = private_server_check_installed(err);
	if (code == ERR_OK)
		code = lab_init(wish->dir, wish->node_count, &lab, err);
	if (code == ERR_OK)
		code = check_dir(lab.dir, &exists, err);
	if (code != ERR_OK) {
		lab_free(&lab);
		return code;
	}
	take_wish(&lab, wish);
	code = make_lab(&lab, exists, wish->timeout_s, err);
	if (code == ERR_OK) {
		*ret_lab = lab;
		return code;
	}
	undo(&lab, exists, err);
	lab_free(&lab);
	return code;
}

static void show(const struct lab *lab)
{
	for (unsigned i = 0; i < lab->node_count; i++)
		printf("node %u  mariadb --socket='%s' --user=root%s%s\n", (unsigned)lab->nodes[i].id, lab->nodes[i].socket,
		       lab->network ? "  eth0 " : "", lab->network ? lab->nodes[i].address : "");
	printf("All links of the %s are live. Replicated:", lab_shape_name(lab->shape));
	for (size_t i = 0; i < lab->database_count; i++)
		printf("%s %s", i ? "," : "", lab->databases[i]);
	printf(". Take it down with: syncline lab down --dir='%s'\n", lab->dir);
}

/* Before anything is made. Returns -1 if they are all right. */
static int check_databases(const char *command, const struct text_list *databases)
{
	for (size_t i = 0; i < databases->count; i++) {
		const char *name = databases->texts[i], *refusal = settings_database_refusal(name);
		if (refusal != NULL)
			return command_fail(command, EXIT_USAGE, "--database '%.80s' %s; give another one", name, refusal);
		for (size_t j = 0; j < i; j++)
			if (strcmp(databases->texts[j], name) == 0)
				return command_fail(command, EXIT_USAGE, "--database '%.80s' is there twice; give it once", name);
	}
	return -1;
}

int command_lab_up(int argc, char **argv)
{
	const char *dir = NULL, *shape_name = lab_shape_name(LAB_MESH);
	enum lab_shape shape;
	unsigned nodes = 2, timeout_s = LAB_TIMEOUT_S;
	bool network = false;
	struct text_list databases = {0}, options_given = {0};
	const struct option_row rows[] = {
	    {"dir", OPTION_TEXT, &dir, "DIR", "a folder that is empty or not there yet", true, 0, 0},
	    {"nodes", OPTION_NUMBER, &nodes, "N", "how many nodes, 2 to 9 (2)", false, LAB_NODES_MIN, LAB_NODES_MAX},
	    {"shape", OPTION_TEXT, &shape_name, "SHAPE",
	     "mesh: each with each; ring; star: node 1 with each; chain: 1-2-3-… (mesh)", false, 0, 0},
	    {"database", OPTION_LIST, &databases, "NAME", "a database to replicate; again for more (rfid_access_control)",
	     false, 0, 0},
	    {"server-option", OPTION_LIST, &options_given, "NAME=VALUE",
	     "an option for every MariaDB server; again for more", false, 0, 0},
	    {"network", OPTION_FLAG, &network, NULL, "network namespaces, TCP and TLS instead of UNIX sockets", false, 0,
	     0},
	    {"timeout", OPTION_NUMBER, &timeout_s, "S", "seconds for each step (120)", false, 1, 86400},
	    {0},
	};
	struct options options = {
	    "--dir=DIR [--nodes=N] [--shape=SHAPE] [OPTION]…",
	    "Makes N private MariaDB servers and N daemons and links them. Returns when all links are live.\n"
	    "The databases are only named here; create them on any node.",
	    rows, 0, 0};
	int count, status = options_parse(&options, argc, argv, &count);
	if (status >= 0)
		return status;
	if (nodes < LAB_NODES_MIN)
		return command_fail(argv[0], EXIT_USAGE, "--nodes is %u; give a number from %d to %d", nodes, LAB_NODES_MIN,
		                    LAB_NODES_MAX);
	if (!lab_shape_parse(shape_name, &shape))
		return command_fail(argv[0], EXIT_USAGE, "--shape is '%.80s'; give mesh, ring, star or chain", shape_name);
	status = check_databases(argv[0], &databases);
	if (status >= 0)
		return status;
	command_catch_signals();
	struct lab lab = {0};
	struct err err;
	struct lab_wish wish = {
	    .dir = dir,
	    .node_count = nodes,
	    .shape = shape,
	    .network = network,
	    .database_count = databases.count,
	    .option_count = options_given.count,
	    .databases = databases.texts,
	    .options = options_given.texts,
	    .timeout_s = timeout_s,
	};
	if (lab_up(&wish, &lab, &err) != ERR_OK)
		return command_fail_err(argv[0], &err);
	show(&lab);
	lab_free(&lab);
	return EXIT_OK;
}
