/* Taking over a pair that somebody set up by hand, with MariaDB's replication by file and position, into engine =
 * native.
 *
 * adopt_look finds out whether that can be done and what would change, and changes nothing; adopt_do does it, on this
 * node only. docs/native.md says why no write is lost or applied twice. The daemon must not run meanwhile. The struct
 * is the caller's, and used by one thread.
 */
#ifndef SYNCLINE_LINK_ADOPT_H
#define SYNCLINE_LINK_ADOPT_H

#include "node/settings.h"
#include "sql/native.h"

enum { ADOPT_CHANGES_MAX = 16 };

struct adopt_change {
	const char *variable;
	char is[64], wants[64];
	bool waits; /* for a restart of the server; else it is set while the server runs */
};

struct adopt {
	const struct settings *settings;
	struct connection *here, *there;
	struct native_status slave;
	bool is_done; /* the server is adopted: nothing to do but to start the daemon */
	size_t change_count;
	struct adopt_change changes[ADOPT_CHANGES_MAX];
};

enum err_code adopt_look(const struct settings *settings, struct adopt *ret_adopt, struct err *err) ERR_MUST_CHECK;
enum err_code adopt_do(struct adopt *adopt, struct err *err) ERR_MUST_CHECK;
void adopt_done(struct adopt *adopt); /* accepts a zeroed one */

#endif
