/* Makes databases on one server equal to those on another, and prints what src/copy tells.
 *
 *   copy_tool [--rate=KIB_S] [--timeout=S] [--progress] [--from-file=FILE --from-group=GROUP] FROM TO DATABASE…
 *   copy_tool --look TO DATABASE…
 *
 * FROM and TO are sockets; with --from-file the source is reached as its group says, and FROM is its name. The last
 * line is JSON: the result, or with --look the rows of each table. With --progress a line of JSON for each call of it,
 * then the bar's line if one is due. A test tool: an error goes to standard error, and its code is the exit status.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copy/copy.h"
#include "copy/progress.h"

static volatile bool cancelled;

static void on_signal(int number)
{
	(void)number;
	cancelled = true;
}

static void on_progress(void *context, const struct copy_state *state)
{
	struct buf line = {0};
	printf("{\"table\": \"%s\", \"done\": %" PRIu64 ", \"total\": %" PRIu64 ", \"rows\": %" PRIu64
	       ", \"sent\": %" PRIu64 ", \"elapsed_ms\": %" PRId64 "}\n",
	       state->table ? state->table : "", state->done, state->total, state->rows_done, state->bytes_sent,
	       state->elapsed_ms);
	if (progress_draw(context, state, &line))
		fputs(buf_str(&line), stdout);
	fflush(stdout);
	buf_free(&line);
}

static void on_held(void *context, const char *database, const char *table, uint64_t rows)
{
	bool *is_first = context;
	printf("%s\"%s.%s\": %" PRIu64, *is_first ? "" : ", ", database, table, rows);
	*is_first = false;
}

static int fail(enum err_code code, const struct err *err)
{
	fprintf(stderr, "%s\n", err->message);
	return (int)code;
}

static int look(const char *socket, int count, char **databases)
{
	struct err err;
	bool is_first = true;
	struct connection_target to = {.socket = socket, .name = "the target"};
	printf("{");
	enum err_code code = copy_look(&to, (size_t)count, (const char *const *)databases, on_held, &is_first, &err);
	printf("}\n");
	return code == ERR_OK ? 0 : fail(code, &err);
}

/* The most memory it had, in KiB; getrusage counts that of the program before exec, too. */
static unsigned long memory_peak(void)
{
	char line[128];
	unsigned long kib = 0;
	FILE *status = fopen("/proc/self/status", "r");
	while (status != NULL && fgets(line, sizeof line, status) != NULL)
		if (strncmp(line, "VmHWM:", 6) == 0)
			kib = strtoul(line + 6, NULL, 10);
	if (status != NULL)
		fclose(status);
	return kib;
}

static int copy(struct copy_wish *wish)
{
	struct err err;
	struct copy_result result;
	struct buf vector = {0};
	enum err_code code = copy_run(wish, &result, &err);
	if (code != ERR_OK)
		return fail(code, &err);
	vector_format(&result.vector, &vector);
	printf("{\"vector\": \"%s\", \"tables\": %" PRIu64 ", \"rows\": %" PRIu64 ", \"bytes\": %" PRIu64
	       ", \"chunks_equal\": %" PRIu64 ", \"chunks_copied\": %" PRIu64 ", \"snapshots\": %u, \"memory_kib\": %lu}\n",
	       buf_str(&vector), result.tables, result.rows_copied, result.bytes_copied, result.chunks_equal,
	       result.chunks_copied, result.snapshots, memory_peak());
	buf_free(&vector);
	return 0;
}

int main(int argc, char **argv)
{
	struct connection_target from = {.name = "the source"}, to = {.name = "the target"};
	struct progress progress;
	struct copy_wish wish = {.from = &from, .to = &to, .cancelled = &cancelled, .context = &progress};
	int i = 1;
	bool is_look = false;
	for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
		if (strncmp(argv[i], "--rate=", 7) == 0)
			wish.rate_limit_kib_s = (unsigned)strtoul(argv[i] + 7, NULL, 10);
		else if (strncmp(argv[i], "--timeout=", 10) == 0)
			from.read_timeout_s = (unsigned)strtoul(argv[i] + 10, NULL, 10);
		else if (strncmp(argv[i], "--from-file=", 12) == 0)
			from.file = argv[i] + 12;
		else if (strncmp(argv[i], "--from-group=", 13) == 0)
			from.group = argv[i] + 13;
		else if (strcmp(argv[i], "--progress") == 0)
			wish.progress = on_progress;
		else
			is_look = strcmp(argv[i], "--look") == 0;
	}
	if (argc - i < (is_look ? 2 : 3)) {
		fputs("usage: copy_tool [options] FROM TO DATABASE…\n", stderr);
		return 100;
	}
	signal(SIGTERM, on_signal);
	progress_init(&progress, false, 0);
	if (is_look)
		return look(argv[i], argc - i - 1, argv + i + 1);
	if (from.file == NULL)
		from.socket = argv[i];
	to.socket = argv[i + 1];
	wish.databases = (const char *const *)(argv + i + 2);
	wish.database_count = (size_t)(argc - i - 2);
	return copy(&wish);
}
