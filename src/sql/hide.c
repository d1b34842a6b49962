#include "sql/hide.h"

#include <stdbool.h>
#include <string.h>

/* What stands ahead of the value and behind it in the English text (MariaDB sql/share/errmsg-utf8.txt); NULL: it goes
 * to the end. */
static const struct rule {
	unsigned number;
	const char *before, *after;
} rules[] = {
    {1062, "entry '", "' for key"},
    {1064, "near '", "' at line"},
    {1149, "near '", "' at line"},
    {1292, "value: '", "'"},
    {1300, "string: '", "'"},
    {1366, "value: '", "' for column"},
    {1367, "'", "' value found"},
    {1411, "value: '", "' for function"},
    {1525, "value: '", "'"},
    {1526, "for value ", NULL},
    {1586, "entry '", "' for key"},
    {1690, "in '", "'"},
    {1761, "record '", "' would lead"},
    {1762, "record '", "' would lead"},
    {1918, "value '", "' when converting"},
};

/* The value may have quotes and the like in it, so its end is the last one that could be. */
static const char *last(const char *text, const char *what)
{
	const char *found = NULL;
	for (const char *at = strstr(text, what); at != NULL; at = strstr(at + 1, what))
		found = at;
	return found;
}

void hide_values(unsigned number, const char *message, struct buf *to)
{
	const struct rule *rule = NULL;
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
		if (rules[i].number == number)
			rule = &rules[i];
	const char *from = rule != NULL ? strstr(message, rule->before) : NULL, *end = NULL;
	if (from != NULL) {
		from += strlen(rule->before);
		end = rule->after != NULL ? last(from, rule->after) : NULL;
	} else if (rule != NULL) { /* lc_messages is another language: all that is quoted goes */
		from = strchr(message, '\'');
		from = from != NULL ? from + 1 : NULL;
		end = from != NULL ? last(from, "'") : NULL;
	}
	if (from == NULL) {
		buf_append_str(to, rule != NULL ? "(the message isn't shown, since it may quote rows)" : message);
		return;
	}
	buf_append(to, message, (size_t)(from - message));
	buf_append_str(to, "…");
	if (end != NULL) /* else it was cut off within the value */
		buf_append_str(to, end);
}
