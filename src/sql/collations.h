/* Key rules of text columns: how this server's collations compare, asked of the server itself.
 *
 * Weights are fetched once a collation and 256 characters and never change; the first ones come with the rule, the
 * others when a text has such characters (collations_learn). All threads may share one `collations`, each with a
 * connection of its own; the lock isn't held while a server is asked. Rules borrow their weights: `collations` outlives
 * them.
 */
#ifndef SYNCLINE_SQL_COLLATIONS_H
#define SYNCLINE_SQL_COLLATIONS_H

#include "binlog/table_map.h"
#include "merge/keyrule.h"
#include "sql/connection.h"

struct collations;

struct collations *collations_new(void);
void collations_free(struct collations *collations); /* accepts NULL */

/* For a column as part of a key; prefix_characters (bytes, if it is binary): how much of it the key has, 0: all. */
enum err_code collations_rule(struct collations *collations, struct connection *connection, const struct column *column,
                              unsigned prefix_characters, struct key_rule *ret, struct err *err) ERR_MUST_CHECK;
/* Fetches what the rule lacks for this content: to be called with each content before the merge engine gets it. Costs a
 * look at each character, and the server is asked only where a character of its page has never been seen. */
enum err_code collations_learn(struct collations *collations, struct connection *connection,
                               const struct key_rule *rule, const uint8_t *bytes, size_t size, struct err *err)
    ERR_MUST_CHECK;

#endif
