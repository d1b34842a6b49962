#include "cli/show_copy.h"

#include <stdio.h>
#include <sys/ioctl.h>
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
	enum err_code code = copy_run(&wish, ret, err);
	progress_end(&shown.progress, &shown.text);
	write_shown(&shown);
	buf_free(&shown.text);
	return code;
}
