#include "doctor/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const struct code {
	const char *text;
	enum severity severity;
	const char *title;
} codes[] = {
#define X(name, code, severity, title) {code, SEVERITY_##severity, title},
    FINDING_CODES(X)
#undef X
};

const char *finding_code_text(enum finding_code code)
{
	return codes[code].text;
}

const char *finding_code_title(enum finding_code code)
{
	return codes[code].title;
}

enum severity finding_code_severity(enum finding_code code)
{
	return codes[code].severity;
}

const char *severity_text(enum severity severity)
{
	static const char *const texts[] = {"info", "warning", "error"};
	return texts[severity];
}

enum finding_code finding_code_of(const char *variable)
{
	for (size_t i = 0; i < FINDING_CODE_COUNT; i++)
		if (strcmp(codes[i].title, variable) == 0)
			return (enum finding_code)i;
	return FINDING_CODE_COUNT;
}

static char *one_line(const char *format, va_list args)
{
	va_list again;
	va_copy(again, args);
	size_t size = (size_t)vsnprintf(NULL, 0, format, again) + 1;
	va_end(again);
	char *text = mem_alloc(size);
	vsnprintf(text, size, format, args);
	for (char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c < ' ')
			*c = ' ';
	return text;
}

struct finding *findings_add(struct findings *f, enum finding_code code, uint32_t node, const char *subject,
                             const char *format, ...)
{
	va_list args;
	va_start(args, format);
	f->rows = mem_resize(f->rows, (f->count + 1) * sizeof *f->rows);
	struct finding *finding = &f->rows[f->count++];
	*finding = (struct finding){.code = code,
	                            .node = node,
	                            .subject = mem_strdup(subject),
	                            .cause = one_line(format, args),
	                            .fix = mem_strdup("")};
	va_end(args);
	return finding;
}

void finding_set_fix(struct finding *finding, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	free(finding->fix);
	finding->fix = one_line(format, args);
	va_end(args);
}

void findings_free(struct findings *f)
{
	for (size_t i = 0; i < f->count; i++) {
		free(f->rows[i].subject);
		free(f->rows[i].cause);
		free(f->rows[i].fix);
		free(f->rows[i].statement);
		free(f->rows[i].permanent);
	}
	free(f->rows);
	*f = (struct findings){0};
}

static int compare(const void *left, const void *right)
{
	const struct finding *a = left, *b = right;
	int by_severity = (int)codes[b->code].severity - (int)codes[a->code].severity;
	if (by_severity != 0)
		return by_severity;
	if (a->code != b->code)
		return a->code < b->code ? -1 : 1;
	if (a->node != b->node)
		return a->node < b->node ? -1 : 1;
	return strcmp(a->subject, b->subject);
}

void findings_sort(struct findings *f)
{
	if (f->count > 0)
		qsort(f->rows, f->count, sizeof *f->rows, compare);
}

size_t findings_count(const struct findings *f, enum severity severity)
{
	size_t count = 0;
	for (size_t i = 0; i < f->count; i++)
		count += codes[f->rows[i].code].severity == severity;
	return count;
}

int findings_exit_status(const struct findings *f)
{
	return findings_count(f, SEVERITY_ERROR) > 0 ? 2 : findings_count(f, SEVERITY_WARNING) > 0 ? 1 : 0;
}
