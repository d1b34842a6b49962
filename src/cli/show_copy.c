#include "cli/show_copy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cli/command.h"
#include "copy/progress.h"

struct shown {
	struct progress progress;
	struct buf text;
};

static void write_shown(struct shown *s)
{
	fwrite(s->text.data, 1, s->text.size, stdout);
	fflush(stdout);
	buf_clear(&s->text);
}

static void show_progress(void *context, const struct copy_state *state)
{
	struct shown *s = context;
	if (progress_draw(&s->progress, state, &s->text))
		write_shown(s);
}

/* What the databases take on a server, and where it keeps its data. */
static enum err_code ask_size(const struct connection_target *target, size_t database_count,
                              const char *const *databases, uint64_t *ret_bytes, struct buf *datadir, struct err *err)
{
	struct connection *c = connection_new();
	struct buf sql = {0}, bytes = {0};
	buf_append_str(&sql, "SELECT COALESCE(SUM(data_length+index_length),0) FROM information_schema.tables WHERE "
	                     "table_schema IN (''");
	for (size_t i = 0; i < database_count; i++) {
		buf_append_str(&sql, ",");
		sql_append_text(&sql, databases[i]);
	}
	buf_append_str(&sql, ")");
	enum err_code code = connection_open(c, target, err);
	if (code == ERR_OK)
		code = connection_value(c, buf_str(&sql), sql.size, &bytes, NULL, err);
	if (code == ERR_OK)
		code = connection_value(c, "SELECT @@datadir", strlen("SELECT @@datadir"), datadir, NULL, err);
	*ret_bytes = code == ERR_OK ? strtoull(buf_str(&bytes), NULL, 10) : 0;
	buf_free(&sql);
	buf_free(&bytes);
	connection_free(c);
	return code;
}

/* MariaDB doesn't survive a full disk: it aborts in the middle of the copy, and can't start again before there is room. */
static enum err_code check_room(const struct connection_target *from, const struct connection_target *to,
                                size_t database_count, const char *const *databases, struct err *err)
{
	enum { MIB = 1 << 20, MARGIN_PART = 8 };
	uint64_t there = 0, here = 0;
	struct buf datadir = {0};
	struct statvfs fs;
	enum err_code code = ask_size(from, database_count, databases, &there, &datadir, err);
	buf_clear(&datadir);
	if (code == ERR_OK)
		code = ask_size(to, database_count, databases, &here, &datadir, err);
	if (code == ERR_OK && there > here && statvfs(buf_str(&datadir), &fs) == 0) {
		uint64_t wanted = there - here + (there - here) / MARGIN_PART, has = (uint64_t)fs.f_bavail * fs.f_frsize;
		if (wanted > has)
			code = err_set(err, ERR_CONFIG,
			               "the data to be copied take about %" PRIu64 " MiB and %" PRIu64
			               " MiB are free in %s; make room there and run it again",
			               wanted / MIB, has / MIB, buf_str(&datadir));
	}
	buf_free(&datadir);
	return code;
}

enum err_code show_copy(const struct connection_target *from, const struct connection_target *to, size_t database_count,
                        const char *const *databases, struct copy_result *ret, struct err *err)
{
	struct shown shown = {0};
	struct winsize size = {0};
	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	progress_init(&shown.progress, isatty(STDOUT_FILENO), size.ws_col);
	struct copy_wish wish = {.from = from,
	                         .to = to,
	                         .database_count = database_count,
	                         .databases = databases,
	                         .cancelled = &command_interrupted,
	                         .progress = show_progress,
	                         .context = &shown};
	enum err_code code = check_room(from, to, database_count, databases, err);
	if (code == ERR_OK)
		code = copy_run(&wish, ret, err);
	progress_end(&shown.progress, &shown.text);
	write_shown(&shown);
	buf_free(&shown.text);
	return code;
}
