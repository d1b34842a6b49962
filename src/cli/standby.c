#include "cli/standby.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/control.h"
#include "node/files.h"

enum { FILE_BYTES_MAX = 4096 };

enum err_code standby_load(const struct this_node *node, const char *command, struct standby *ret, struct err *err)
{
	struct standby s = {0};
	struct buf text = {0};
	unsigned read_only = 0, events = 0;
	char *path = control_standby_path(node->settings.state_dir);
	enum err_code code = ERR_OK;
	if (access(path, F_OK) == 0) {
		code = files_read_tail(path, FILE_BYTES_MAX, &text, err);
		if (code == ERR_OK && sscanf(buf_str(&text), "%15s stage=%u read_only=%u events=%u own=%" SCNu64, s.command,
		                             &s.stage, &read_only, &events, &s.own) != 5)
			code = err_set(err, ERR_MALFORMED, "%s: can't be read; remove it, and look at SELECT @@read_only", path);
		else if (code == ERR_OK && strcmp(s.command, command) != 0)
			code = err_set(err, ERR_CONFIG, "%s: `syncline %s` is at work here, or was interrupted; run that again",
			               path, s.command);
	}
	s.read_only = read_only != 0;
	s.has_events = events != 0;
	if (code == ERR_OK)
		*ret = s;
	buf_free(&text);
	free(path);
	return code;
}

enum err_code standby_save(const struct this_node *node, const struct standby *s, struct err *err)
{
	struct buf text = {0};
	char *path = control_standby_path(node->settings.state_dir);
	buf_printf(&text, "%s stage=%u read_only=%u events=%u own=%" PRIu64 "\n", s->command, s->stage,
	           (unsigned)s->read_only, (unsigned)s->has_events, s->own);
	enum err_code code = files_write(path, &text, err);
	buf_free(&text);
	free(path);
	return code;
}

static enum err_code note(const struct this_node *node, const char *command, struct standby *s, struct err *err)
{
	struct buf text = {0};
	enum err_code code = this_node_value(node, "SELECT @@read_only+2*(@@event_scheduler='ON')", &text, err);
	unsigned long bits = strtoul(buf_str(&text), NULL, 10);
	buf_free(&text);
	if (code != ERR_OK)
		return code;
	*s = (struct standby){.read_only = (bits & 1) != 0, .has_events = (bits & 2) != 0};
	snprintf(s->command, sizeof s->command, "%s", command);
	return standby_save(node, s, err);
}

enum err_code standby_begin(const struct this_node *node, const char *command, struct standby *s, struct err *err)
{
	enum err_code code = *s->command != 0 ? ERR_OK : note(node, command, s, err);
	if (code == ERR_OK)
		code = connection_run(node->server, "SET GLOBAL read_only=1", err);
	if (code == ERR_OK && s->has_events)
		code = connection_run(node->server, "SET GLOBAL event_scheduler=OFF", err);
	return code;
}

enum err_code standby_end(const struct this_node *node, const struct standby *s, struct err *err)
{
	char *path = control_standby_path(node->settings.state_dir);
	enum err_code code =
	    connection_run(node->server, s->read_only ? "SET GLOBAL read_only=1" : "SET GLOBAL read_only=0", err);
	if (code == ERR_OK && s->has_events)
		code = connection_run(node->server, "SET GLOBAL event_scheduler=ON", err);
	if (code == ERR_OK && unlink(path) != 0 && errno != ENOENT)
		code = err_set(err, ERR_IO, "%s: can't remove it: %s; run this as root", path, strerror(errno));
	free(path);
	return code;
}
