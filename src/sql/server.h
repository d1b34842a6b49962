/* What Syncline needs a server to be, and what it keeps there.
 *
 * server_check asks a server for the settings that replication stands on and says which one is wrong and how to mend it.
 * server_prepare makes the schema `syncline` (never logged: each node has its own):
 *   syncline.links   one row a peer: `position`, the peer's vector up to which this node has applied everything (the cursor),
 *                    and the manifest of the last batch, both written in the batch's own transaction.
 */
#ifndef SYNCLINE_SQL_SERVER_H
#define SYNCLINE_SQL_SERVER_H

#include "binlog/gtid.h"
#include "sql/connection.h"

#define SYNCLINE_SCHEMA "syncline"
#define SYNCLINE_LINKS_TABLE "links"

/* node_id: whose server it should be. `name` is for messages. */
enum err_code server_check(struct connection *connection, const char *name, uint32_t node_id, struct err *err)
    ERR_MUST_CHECK;
enum err_code server_prepare(struct connection *connection, struct err *err) ERR_MUST_CHECK;
/* Waits until no other session applies this peer's log here, and keeps others out for as long as this session lives: one
 * that was left behind may still be committing, and only then does the vector tell the truth. ERR_BUSY: try again. */
enum err_code server_lock_link(struct connection *connection, uint32_t peer, struct err *err) ERR_MUST_CHECK;
/* @@gtid_binlog_pos: what is in the server's log. */
enum err_code server_vector(struct connection *connection, struct vector *ret_vector, struct err *err) ERR_MUST_CHECK;
/* The cursor of the link from this peer; empty if there is none yet. */
enum err_code server_load_position(struct connection *connection, uint32_t peer, struct vector *ret_position,
                                   struct err *err) ERR_MUST_CHECK;
/* Saves the cursor where no batch did; not logged, since it is nobody else's matter. */
enum err_code server_save_position(struct connection *connection, uint32_t peer, const struct vector *position,
                                   struct err *err) ERR_MUST_CHECK;

#endif
