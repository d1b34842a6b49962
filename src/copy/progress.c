#include "copy/progress.h"

#include <inttypes.h>

enum { TERMINAL_MS = 200, LINE_MS = 10000, WIDTH_DEFAULT = 80, WIDTH_MAX = 400, BAR_MIN = 8, MEMORY_S = 15 };

void progress_init(struct progress *progress, bool is_terminal, unsigned width)
{
	*progress = (struct progress){.is_terminal = is_terminal, .drawn_ms = -1, .verb = "sent"};
	progress->width = width == 0 ? WIDTH_DEFAULT : width > WIDTH_MAX ? WIDTH_MAX : width;
}

static void append_size(struct buf *to, double bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	size_t i = 0;
	for (; bytes >= 1000 && i + 1 < sizeof units / sizeof *units; i++)
		bytes /= 1024;
	buf_printf(to, i > 0 && bytes < 9.95 ? "%.1f %s" : "%.0f %s", bytes, units[i]);
}

static void append_time(struct buf *to, uint64_t seconds)
{
	if (seconds >= 3600)
		buf_printf(to, "%" PRIu64 ":%02u:%02u", seconds / 3600, (unsigned)(seconds / 60 % 60),
		           (unsigned)(seconds % 60));
	else
		buf_printf(to, "%u:%02u", (unsigned)(seconds / 60), (unsigned)(seconds % 60));
}

static void learn_rates(struct progress *p, const struct copy_state *state)
{
	double seconds = (double)(state->elapsed_ms - p->last.elapsed_ms) / 1000;
	if (seconds <= 0)
		return;
	/* A copy that begins anew counts from zero again. */
	double sent = state->bytes_sent > p->last.bytes_sent ? (double)(state->bytes_sent - p->last.bytes_sent) : 0;
	double done = state->done > p->last.done ? (double)(state->done - p->last.done) : 0;
	double old = p->last.elapsed_ms == 0 ? 0 : MEMORY_S / (MEMORY_S + seconds);
	p->sent_rate = p->sent_rate * old + sent / seconds * (1 - old);
	p->done_rate = p->done_rate * old + done / seconds * (1 - old);
	p->last = *state;
}

static double part_of(const struct copy_state *state)
{
	if (state->total == 0)
		return 0;
	return state->done >= state->total ? 1 : (double)state->done / (double)state->total;
}

/* " 42%  1.2 GiB sent, 11 MiB/s, 3:20 left  shop.orders" without the bar. */
static void append_figures(const struct progress *p, const struct copy_state *state, struct buf *to)
{
	buf_printf(to, "  ");
	append_size(to, (double)state->bytes_sent);
	buf_printf(to, " %s, ", p->verb);
	append_size(to, p->sent_rate);
	buf_append_str(to, "/s, ");
	if (part_of(state) >= 1)
		append_time(to, (uint64_t)(state->elapsed_ms / 1000));
	else if (p->done_rate > 0)
		append_time(to, (uint64_t)((double)(state->total - state->done) / p->done_rate + 0.5));
	else
		buf_append_str(to, "?");
	buf_append_str(to, part_of(state) >= 1 ? " in all" : " left");
	if (state->table != NULL)
		buf_printf(to, "  %s.%s", state->database, state->table);
}

static void append_bar(struct buf *to, double part, unsigned width)
{
	unsigned full = (unsigned)(part * width);
	buf_append_str(to, " [");
	for (unsigned i = 0; i < width; i++)
		buf_append_u8(to, i < full ? '#' : '.');
	buf_append_str(to, "]");
}

static void append_terminal(const struct progress *p, const struct copy_state *state, struct buf *to)
{
	enum { PERCENT = 4, BRACKETS = 3, BAR_MAX = 30 };
	struct buf figures = {0};
	append_figures(p, state, &figures);
	unsigned room = p->width - 1; /* in the last column some terminals go to the next line */
	unsigned used = PERCENT + (unsigned)figures.size;
	unsigned bar = room > used + BRACKETS + BAR_MIN ? room - used - BRACKETS : 0;
	size_t start = to->size;
	buf_printf(to, "%3u%%", (unsigned)(part_of(state) * 100));
	if (bar > 0)
		append_bar(to, part_of(state), bar > BAR_MAX ? BAR_MAX : bar);
	buf_append(to, figures.data, figures.size);
	if (to->size - start > room) {
		to->size = start + room;
		while ((to->data[to->size] & 0xc0) == 0x80) /* not within a letter */
			to->size--;
	}
	while (to->size - start < room) /* over what is left of a longer line */
		buf_append_u8(to, ' ');
	buf_free(&figures);
}

bool progress_draw(struct progress *p, const struct copy_state *state, struct buf *to)
{
	bool is_end = state->total > 0 && state->done >= state->total && state->table == NULL;
	int64_t pause = p->is_terminal ? TERMINAL_MS : LINE_MS;
	bool is_first = p->drawn_ms < 0;
	/* Elsewhere than on a terminal what takes less than a while is not worth a line before its end. */
	bool is_due = is_first ? p->is_terminal || state->elapsed_ms >= LINE_MS : state->elapsed_ms - p->drawn_ms >= pause;
	if (!is_due && !is_end)
		return false;
	learn_rates(p, state);
	p->drawn_ms = state->elapsed_ms;
	if (p->is_terminal) {
		buf_append_u8(to, '\r');
		append_terminal(p, state, to);
	} else {
		buf_printf(to, "%3u%%", (unsigned)(part_of(state) * 100));
		append_figures(p, state, to);
		buf_append_u8(to, '\n');
	}
	return true;
}

void progress_end(struct progress *p, struct buf *to)
{
	if (p->is_terminal && p->drawn_ms >= 0)
		buf_append_u8(to, '\n');
	p->drawn_ms = -1;
}
