/* Policies for conflicts, as the settings have them: lines of [syncline]
 *
 *   conflict-policy = DB[.TABLE[.COLUMN[,COLUMN…]]]: POLICY [ARGUMENTS]
 *
 *   shop: first_update_wins             every column of every table
 *   shop.t: site_priority 2 1 3         node 2's value wins over node 1's, and so on
 *   shop.t: last_update_wins row        the row is one value: its columns win or lose together
 *   shop.t.street,town: last_update_wins    these two win or lose together
 *   shop.t.stock: delta_apply           max, min and delta_apply are for one column each
 *
 * The most specific line counts. A name with . : , or a blank in it stands in backticks. Tables' and databases' names
 * are compared by their bytes, columns' without regard to case. docs/conflicts.md says what the policies do.
 * Constant once loaded, so threads share it freely.
 */
#ifndef SYNCLINE_NODE_SETTINGS_POLICY_H
#define SYNCLINE_NODE_SETTINGS_POLICY_H

#include "base/err.h"
#include "merge/merge.h"

struct settings;

struct settings_policy {
	unsigned line; /* of the settings file */
	char *database;
	char *table; /* NULL: all */
	size_t column_count;
	char **columns; /* 0: all. Several: bound to each other */
	enum merge_policy policy;
	bool is_row; /* all columns that have no line of their own are bound to each other */
	uint32_t site_count;
	uint32_t *sites;
};

/* What stands behind conflict-policy =; the message goes on from the place in the file. */
enum err_code settings_policy_parse(const char *text, struct settings_policy *ret_policy, struct err *err)
    ERR_MUST_CHECK;
void settings_policy_free(struct settings_policy *policy); /* accepts a zeroed one */
/* Two lines that are about the same. Gives the column that is in both, NULL if it is whole tables or databases. */
bool settings_policy_collide(const struct settings_policy *a, const struct settings_policy *b, const char **ret_column);

/* Sets groups and policies of a table whose other members are set, and whose columns these are (column_count of them,
 * with names); both are NULL where no line is about it. ERR_CONFIG names the line and the column that can't have its
 * policy. The arrays are freed with settings_policies_free, the sites in them are the settings'. */
enum err_code settings_policies_fill(const struct settings *settings, const char *database, const char *table,
                                     const struct column *columns, struct merge_table *merge_table, struct err *err)
    ERR_MUST_CHECK;
void settings_policies_free(struct merge_table *merge_table);

/* The same on two nodes whose policies for this table are the same, however they are written down; else another, but for
 * a chance of 1 in 2^64. Nodes with different policies don't come out equal. */
uint64_t settings_policy_hash(const struct settings *settings, const char *database, const char *table);

#endif
