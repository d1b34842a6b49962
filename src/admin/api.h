/* The HTTP API (docs/http.md) without HTTP: what a request asks, as plain data, and what is answered. No socket, no clock and no
 * database: those are behind the calls. So it is tested and fuzzed by itself. Any thread, if the calls may be made by any.
 *
 * Every byte of a request is hostile. What is let through:
 *   through a local door (the UNIX socket, a loopback address) whoever gets there may read, if its Host is this machine's: a page
 *   of somebody else's whose name suddenly means 127.0.0.1 (DNS rebinding) sends its own
 *   through a door to the network only who shows the token may, but for the page's own files, which are the same everywhere
 *   through any door only who shows the token may change something
 */
#ifndef SYNCLINE_ADMIN_API_H
#define SYNCLINE_ADMIN_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "admin/api_token.h"
#include "base/buf.h"
#include "base/err.h"

enum { API_PARAMETERS_MAX = 8, API_CONFLICTS_MAX = 100 };

struct api_request {
	const char *method, *path;        /* the path decoded, without the query */
	const char *host, *authorization; /* headers; NULL: none */
	bool has_body;
	size_t parameter_count; /* more than API_PARAMETERS_MAX: those that there was no room for are counted only */
	struct api_parameter {
		const char *name, *value; /* decoded; a value may be NULL */
	} parameters[API_PARAMETERS_MAX];
};

struct api_response {
	unsigned status;
	const char *type;  /* of the body */
	const char *allow; /* the methods, with 405; else NULL */
	bool wants_token;  /* with 401 */
	struct buf body;   /* the caller's to free */
};

struct api_conflicts {
	const char *database; /* NULL: the first that has any */
	bool only_open;
	int64_t id;     /* this one alone, with all that it has; 0: a page of them, newest first */
	int64_t before; /* those with lower ids; 0: from the newest on */
	unsigned limit; /* 1 to API_CONFLICTS_MAX */
};

/* What is asked of the daemon. `status` appends docs/status.md's document. An error's code tells the status: ERR_CONFIG that there
 * is no such thing. */
struct api_calls {
	void (*status)(void *context, struct buf *json);
	void (*samples)(void *context, int64_t since, struct buf *json);
	enum err_code (*conflicts)(void *context, const struct api_conflicts *which, struct buf *json, struct err *err);
	enum err_code (*hold)(void *context, uint32_t peer, bool paused, struct err *err);
	void (*wake)(void *context);
};

struct api {
	bool is_local; /* the door */
	const struct api_token *token;
	const struct api_calls *calls;
	void *context; /* of the calls */
};

/* Always answers. */
void api_answer(const struct api *api, const struct api_request *request, struct api_response *ret_response);

/* "localhost", 127.0.0.0/8 or [::1], with a port or without. */
bool api_host_is_local(const char *host);

#endif
