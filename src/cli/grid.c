#include "cli/grid.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { GAP = 2, NARROWEST = 6 };

/* ---- Text ---- */

/* The code point at text and how many bytes it has; 0 bytes: it is no UTF-8. */
static uint32_t code_point(const uint8_t *text, size_t *ret_size)
{
	static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
	size_t size = text[0] < 0x80 ? 1 : text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
	*ret_size = 0;
	if (size > 1 && (text[0] < 0xc2 || text[0] > 0xf4))
		return 0;
	uint32_t code = size == 1 ? text[0] : text[0] & (0x7fu >> size);
	for (size_t i = 1; i < size; i++) {
		if ((text[i] & 0xc0) != 0x80) /* the NUL at the end, too */
			return 0;
		code = code << 6 | (text[i] & 0x3f);
	}
	if (code < least[size] || code > 0x10ffff)
		return 0;
	*ret_size = size;
	return code;
}

struct range {
	uint32_t first, last;
};

static bool is_in(uint32_t code, const struct range *ranges, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (code >= ranges[i].first && code <= ranges[i].last)
			return true;
	return false;
}

/* As far as people's names and emoji need it: Unicode's East Asian Width, W and F, and its marks without a width. */
static unsigned code_width(uint32_t code)
{
	static const struct range none[] = {{0x300, 0x36f},   {0x483, 0x489},   {0x591, 0x5bd},   {0x610, 0x61a},
	                                    {0x64b, 0x65f},   {0xe31, 0xe31},   {0xe34, 0xe3a},   {0xe47, 0xe4e},
	                                    {0x200b, 0x200d}, {0x20d0, 0x20f0}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}};
	static const struct range two[] = {{0x1100, 0x115f},  {0x2e80, 0x303e},   {0x3041, 0xa4cf},   {0xa960, 0xa97c},
	                                   {0xac00, 0xd7a3},  {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},
	                                   {0xffe0, 0xffe6},  {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff},
	                                   {0x20000, 0x3fffd}};
	if (is_in(code, none, sizeof none / sizeof *none))
		return 0;
	return is_in(code, two, sizeof two / sizeof *two) ? 2 : 1;
}

/* What would act on a terminal: controls of both kinds, marks that turn the direction of writing, line separators. */
static bool is_control(uint32_t code)
{
	static const struct range controls[] = {{0, 0x1f},        {0x7f, 0x9f},     {0x200e, 0x200f},
	                                        {0x2028, 0x202e}, {0x2066, 0x2069}, {0xd800, 0xdfff}};
	return is_in(code, controls, sizeof controls / sizeof *controls);
}

void grid_append_clean(struct buf *to, const char *text)
{
	for (const uint8_t *at = (const uint8_t *)text; *at != '\0';) {
		size_t size;
		uint32_t code = code_point(at, &size);
		if (size == 0)
			buf_printf(to, "\\x%02x", *at);
		else if (code == '\n' || code == '\t' || code == '\r')
			buf_printf(to, "\\%c", code == '\n' ? 'n' : code == '\t' ? 't' : 'r');
		else if (is_control(code))
			buf_printf(to, code < 0x100 ? "\\x%02x" : "\\u%04x", (unsigned)code);
		else
			buf_append(to, at, size);
		at += size > 0 ? size : 1;
	}
}

/* How many bytes of a clean text have at most this width; *ret_width is what they have. */
static size_t fitting(const char *text, unsigned width, unsigned *ret_width)
{
	size_t at = 0, size;
	*ret_width = 0;
	while (text[at] != '\0') {
		uint32_t code = code_point((const uint8_t *)text + at, &size);
		unsigned more = size > 0 ? code_width(code) : 1;
		if (*ret_width + more > width)
			break;
		*ret_width += more;
		at += size > 0 ? size : 1;
	}
	return at;
}

unsigned grid_text_width(const char *text)
{
	unsigned width;
	fitting(text, UINT32_MAX, &width);
	return width;
}

/* ---- Cells ---- */

void grid_add(struct grid *grid, const char *text)
{
	struct buf clean = {0};
	grid_append_clean(&clean, text);
	grid->cells = mem_resize(grid->cells, (grid->cell_count + 1) * sizeof *grid->cells);
	grid->cells[grid->cell_count++] = mem_strdup(buf_str(&clean));
	buf_free(&clean);
}

void grid_free(struct grid *grid)
{
	for (size_t i = 0; i < grid->cell_count; i++)
		free(grid->cells[i]);
	free(grid->cells);
	grid->cells = NULL;
	grid->cell_count = 0;
}

/* Each column's width: what its widest cell has, then, as long as all of them are too wide, one less of the widest. */
static void choose_widths(const struct grid *grid, unsigned width, unsigned *widths)
{
	unsigned sum = GAP * (grid->column_count - 1);
	for (size_t i = 0; i < grid->cell_count; i++) {
		unsigned needed = grid_text_width(grid->cells[i]), *column = &widths[i % grid->column_count];
		*column = needed > *column ? needed : *column;
	}
	for (unsigned c = 0; c < grid->column_count; c++) {
		widths[c] = widths[c] < width ? widths[c] : width;
		sum += widths[c];
	}
	while (sum > width) {
		unsigned widest = 0;
		for (unsigned c = 1; c < grid->column_count; c++)
			if (widths[c] > widths[widest])
				widest = c;
		if (widths[widest] <= NARROWEST)
			return;
		widths[widest]--;
		sum--;
	}
}

/* Cut with an ellipsis, or filled up with blanks unless nothing follows. */
static void append_cell(struct buf *to, const char *text, unsigned width, bool is_last)
{
	unsigned used, whole = grid_text_width(text);
	size_t size = fitting(text, whole > width ? width - 1 : width, &used);
	buf_append(to, text, size);
	if (whole > width) {
		buf_append_str(to, "…");
		used++;
	}
	for (unsigned i = used; !is_last && i < width + GAP; i++)
		buf_append_str(to, " ");
}

void grid_format(const struct grid *grid, unsigned width, struct buf *to)
{
	unsigned widths[GRID_COLUMNS_MAX] = {0}, count = grid->column_count;
	choose_widths(grid, width, widths);
	for (size_t i = 0; i < grid->cell_count; i += count) {
		unsigned last = count;
		while (last > 1 && grid->cells[i + last - 1][0] == '\0')
			last--;
		for (unsigned c = 0; c < last; c++)
			append_cell(to, grid->cells[i + c], widths[c], c + 1 == last);
		buf_append_str(to, "\n");
	}
}
