/* Row changes of a log as the merge engine takes them: by the table here, full images in its columns' order.
 *
 * changes_of_event walks over a rows event; an update that changes the primary key is given as a delete and an insert. A list
 * keeps copies of changes. One thread.
 */
#ifndef SYNCLINE_LINK_CHANGES_H
#define SYNCLINE_LINK_CHANGES_H

#include "binlog/rows.h"
#include "link/tables.h"
#include "merge/merge.h"

/* = {0} but for the first three, then changes_reader_free. */
struct changes_reader {
	struct collations *collations; /* both borrowed: what texts in keys are asked by; */
	struct connection *connection; /* open when an event is read */
	/* Rows that have no place in the table as it is now are passed by: this node's own log may tell of a table that was dropped and
	 * made again since. Else they are an error. */
	bool passes_by;
	struct rows_iter rows;
	struct content *values;
	size_t capacity;
	struct buf scratch; /* values that had to be uncompressed or widened */
	uint64_t seen;      /* row changes of the last event */
};
void changes_reader_free(struct changes_reader *reader);

/* `number`: of the row change in the event, from 0. What it is given is borrowed for the call. */
typedef enum err_code on_change(void *context, const struct merge_change *change, uint64_t number, struct err *err);
/* Of a table that isn't here (tables_describe), or has no primary key, nothing is given; its row changes are counted all the same.
 * timestamp: the event's. */
enum err_code changes_of_event(struct changes_reader *reader, const struct table *table, const struct rows_event *rows,
                               uint32_t timestamp, on_change *call, void *context, struct err *err) ERR_MUST_CHECK;

/* To be done with a row that doesn't come of changes_of_event before the merge engine's functions get it: they compare keys without asking
 * anybody. */
enum err_code changes_learn_row(struct collations *collations, struct connection *connection,
                                const struct merge_table *table, const struct content *values, struct err *err)
    ERR_MUST_CHECK;

/* Copies. = {0}, then change_list_free. Steps are changes and one flag more. */
struct change_list {
	size_t count, capacity;
	struct merge_step *steps;
	struct merge_change *changes; /* the same, as changes */
	struct content **blocks;      /* that both borrow from */
};
void change_list_add(struct change_list *list, const struct merge_change *change, bool no_cascade);
/* The same for changes_of_event; context: the list. */
on_change change_list_keep, change_list_keep_no_cascade;
void change_list_clear(struct change_list *list);
void change_list_free(struct change_list *list);

#endif
