/* A mapping: how rows that a peer's table has are written to the table here, where the two have other columns: one was added,
 * dropped, moved or widened on one side, and the statement for it hasn't come to the other, or never will.
 *
 *   here and there      contents move by name, into a wider type, too
 *   here, not there     an insert gets what an INSERT without the column would: the server's own doing for plain defaults
 *                       (column_default_is_plain), the event's time for CURRENT_TIMESTAMP (a DATETIME by the server's clock as it stands
 *                       now), the text for a TEXT or BLOB; for AUTO_INCREMENT and other expressions there is nothing that both
 *                       nodes would agree on, so that insert is an error. An update leaves the column alone; but it is an error if
 *                       the column is generated and stored, since that can go stale
 *   there, not here     the value is dropped, and the caller is told that something was lost
 *   differs             no mapping: its values might be others here
 *
 * When the ALTER comes to the other node after all, its server gives the row there what the default is then. With a plain default or a
 * text that is the same value; CURRENT_TIMESTAMP is the time of the ALTER there and of the row here.
 *
 * Made from a peer's table map and a description of the table here; used with table maps of which rowkey_columns is the same. One
 * thread at a time; counted references.
 */
#ifndef SYNCLINE_SQL_MAPPING_H
#define SYNCLINE_SQL_MAPPING_H

#include "binlog/rows.h"
#include "binlog/value.h"
#include "sql/description.h"

struct mapping;

/* The description is borrowed and outlives the mapping. Asks the server about character sets and defaults, if there is a need. ERR_UNSUPPORTED says
 * which column of which table doesn't fit, and how to mend it. */
enum err_code mapping_new(struct connection *connection, const struct table_map *theirs,
                          const struct description *description, struct mapping **ret, struct err *err) ERR_MUST_CHECK;
struct mapping *mapping_ref(struct mapping *mapping);
void mapping_unref(struct mapping *mapping); /* accepts NULL */

const struct description *mapping_description(const struct mapping *mapping);
/* Their events can be passed on as they are. */
bool mapping_is_same(const struct mapping *mapping);
/* Appends the names of their columns that aren't here, with commas between. */
void mapping_append_homeless(const struct mapping *mapping, const struct table_map *theirs, struct buf *to);

/* The table map here, with this number; borrowed. */
const struct table_map *mapping_map(struct mapping *mapping, uint64_t table_id);
/* Appends rows events for the table here, a row for each row of theirs, to be read by rows_writer_next: a plain rows event gives one,
 * only rows without any column give one each. *ret_lost: a value was dropped that a row now had for the first time. */
enum err_code mapping_rewrite(struct mapping *mapping, const struct table_map *theirs, const struct event *event,
                              struct buf *to, bool *ret_lost, struct err *err) ERR_MUST_CHECK;

/* A row change as contents of the table here: arrays of map.column_count, before and after as the change has them. What their image
 * doesn't have and what has a plain default is_absent. Contents that had to be uncompressed or widened are appended to `memory` and
 * borrowed until it is touched, the others are borrowed from the event. timestamp: the event's. */
enum err_code mapping_contents(struct mapping *mapping, const struct table_map *theirs, uint32_t timestamp,
                               const struct row_change *change, struct content *before, struct content *after,
                               struct buf *memory, struct err *err) ERR_MUST_CHECK;

#endif
