#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/demo.h"

static const char *colour(const char *code)
{
	const char *unwanted = getenv("NO_COLOR");
	return isatty(STDOUT_FILENO) && (unwanted == NULL || *unwanted == 0) ? code : "";
}

void demo_show_title(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	printf("\n%s", colour("\033[1m"));
	vprintf(format, args);
	printf("%s\n", colour("\033[0m"));
	fflush(stdout);
	va_end(args);
}

void demo_show_text(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	printf("            ");
	vprintf(format, args);
	printf("\n");
	fflush(stdout);
	va_end(args);
}

void demo_show_statement(const char *who, const char *statement, bool short_form)
{
	const char *line = statement;
	for (const char *end; *line != 0; line = *end != 0 ? end + 1 : end) {
		end = strchrnul(line, '\n');
		bool more = short_form && *end != 0;
		printf("  %-8s%s %.*s%s\n", line == statement ? who : "", line == statement ? ">" : " ", (int)(end - line),
		       line, more ? " …" : "");
		if (more)
			break;
	}
	fflush(stdout);
}

void demo_show_result(bool passed, const char *text)
{
	printf("  %s%s%s%s%s\n", colour(passed ? "\033[32m" : "\033[31m"), passed ? "passed" : "FAILED", colour("\033[0m"),
	       *text ? ": " : "", text);
	fflush(stdout);
}
