/* CREATE TABLE … SELECT: one transaction that makes a table and fills it.
 *
 * Its group holds the CREATE as text, then the rows. Run one after the other they would be two transactions under one GTID, and
 * a crash between them would lose the rows. So the rows go into a table of our own first, unlogged, and then one
 * CREATE TABLE … SELECT from there makes and fills the table, as it was at the origin; the log gets a group of the same shape.
 *
 *   stage_begin        the CREATE was read; it is copied
 *   stage_table_map    the table map of its rows, told to the applier under the staging table's name
 *   stage_finish       the group's end: runs the CREATE, with what was staged
 *
 * A staging table left by a crash is dropped when the next one is made. One thread.
 */
#ifndef SYNCLINE_LINK_STAGE_H
#define SYNCLINE_LINK_STAGE_H

#include "binlog/event.h"
#include "sql/apply.h"

struct stage;
struct schema_change;

struct stage *stage_new(uint32_t peer);
void stage_free(struct stage *stage); /* accepts NULL */
void stage_reset(struct stage *stage);
bool stage_is_open(const struct stage *stage);

/* query_event: plain (uncompressed). */
void stage_begin(struct stage *stage, const struct event *query_event);
enum err_code stage_table_map(struct stage *stage, struct apply *apply, const struct event *table_map, struct err *err)
    ERR_MUST_CHECK;
/* Sends what was gathered. */
enum err_code stage_flush(struct stage *stage, struct apply *apply, struct err *err) ERR_MUST_CHECK;
/* change: as for any DDL, but for its query, which is the one that was copied. */
enum err_code stage_finish(struct stage *stage, struct apply *apply, const struct schema_change *change,
                           const char *who, struct err *err) ERR_MUST_CHECK;

#endif
