/* The tables of this node's server, as it describes them; one for all threads, so that they speak of a table by one pointer.
 *
 * A table is asked for when it is first met, and again when the schema's generation has moved (DDL was seen in this server's log) or
 * after a few seconds (DDL that isn't logged moves no generation). What it was before stays, since rows in the history may be of
 * that shape: a description lives as long as the registry. Any thread, each with a connection of its own.
 */
#ifndef SYNCLINE_LINK_REGISTRY_H
#define SYNCLINE_LINK_REGISTRY_H

#include "node/settings.h"
#include "sql/description.h"

struct registry;

struct registry *registry_new(const struct settings *settings); /* borrowed: the policies are in it */
void registry_free(struct registry *registry);                  /* accepts NULL */

/* The table as it is now; NULL if there is none. `generation`: of the schema, as it was before this call. */
enum err_code registry_find(struct registry *registry, struct connection *connection, const char *database,
                            const char *table, uint64_t generation, const struct description **ret, struct err *err)
    ERR_MUST_CHECK;

/* The table as it was last, which is gone now; NULL if nobody has asked for it since the daemon started. */
const struct description *registry_last(struct registry *registry, const char *database, const char *table);

/* To be given every content that stands in a key, before the merge engine gets it. Locks itself. */
struct collations *registry_collations(struct registry *registry);
/* Each table is asked for anew: somebody may have altered it by hand. */
void registry_refresh(struct registry *registry);

#endif
