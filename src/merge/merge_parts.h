/* The parts of the merge engine, for merge*.c alone (merge.h tells what it is).
 *
 *   merge.c         the window: rows, their bases and writes; what comes in, what is settled
 *   merge_image.c   row images, and the values in them that tie rows together
 *   merge_record.c  which of this node's writes lost what
 *   merge_copy.c    a part of it, to try things on
 *   merge_show.c    what is to be shown: registers, unique values, references; the steps that lead there
 */
#ifndef SYNCLINE_MERGE_MERGE_PARTS_H
#define SYNCLINE_MERGE_MERGE_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#include <uthash.h>
#include <utlist.h>

#include "merge/merge.h"

/* ---- merge_image.c ---- */

/* A row's values, shared and never changed but by image_lose, which copies. NULL: no row. */
struct image {
	unsigned references;
	bool *gone; /* by reference of the table: gone with that parent. NULL: none */
	struct content values[];
};

struct image *image_new(const struct merge_table *table, const struct content *values);
/* Column by column from these images. */
struct image *image_compose(const struct merge_table *table, const struct image *const *sources);
struct image *image_keep(struct image *image); /* accepts NULL, as do the next two */
void image_release(struct image *image);
bool image_equal(const struct merge_table *table, const struct image *a, const struct image *b);
bool value_equal(const struct content *a, const struct content *b);
/* Its parent in this reference was deleted: the columns become NULL, or the row gone. *image is replaced. */
void image_lose(const struct merge_table *table, struct image **image, uint32_t reference);
bool image_is_gone(const struct merge_table *table, const struct image *image);

/* The value in a unique index, false if a part of it is NULL. */
bool image_unique(const struct merge_table *table, const struct image *image, uint32_t index, uint64_t *ret_what);
/* The key of the parent row, false if a part of it is NULL or the row is gone with it. */
bool image_parent(const struct merge_table *table, const struct image *image, uint32_t reference, uint64_t *ret_key);

/* Mentions of a parent are odd, unique values even: one bit of 64 less against chance. */
#define MENTION_OF_PARENT(key) ((key) | 1)
#define MENTION_OF_UNIQUE(hash) ((hash) & ~UINT64_C(1))
#define MENTION_IS_PARENT(what) (((what)&1) != 0)

/* ---- merge.c ---- */

/* What the writes of one transaction share. */
struct origin {
	size_t references;
	struct gtid gtid;
	struct stamp stamp;
	uint32_t count;
	struct gtid context[];
};

/* It was there when the other committed. */
bool origin_knew(const struct origin *origin, const struct origin *other);

enum {
	COLUMN_CHANGED = 1,
	COLUMN_BOUND = 2,    /* to one that changed */
	COLUMN_RECORDED = 4, /* as lost */
};

struct write {
	struct origin *origin;
	struct image *after; /* NULL: a delete */
	uint8_t *changed;    /* by column, COLUMN_ bits; NULL: a delete */
	struct image
	    *original; /* NULL, or `after` as it was before a parent that it refers to was deleted without knowing of it */
};

struct row {
	uint64_t key;
	const struct merge_table *table;
	struct image *identity; /* some version of it, for its primary key */
	struct image *base;     /* before the writes */
	struct write *writes;
	size_t write_count, prune_at;
	struct image *shown;             /* here */
	struct image *planned;           /* merge_show: what it plans to show, */
	bool in_plan;                    /* if it looks at this row */
	struct image *due;               /* what the writes make of it, as last computed; NULL: none */
	struct stamp *stamps;            /* of due, by column */
	struct origin **parent_deleters; /* who deleted a parent of some version */
	size_t parent_deleter_count;
	struct stamp gone_by; /* due is NULL since the parent is gone that this write gave it; none: another reason */
	bool lost;            /* a unique value of due is another row's */
	bool lost_mine;       /* … by a claim of this node's */
	bool hidden;          /* due and not shown: its children wait */
	bool in_step;         /* merge_show: to be shown as due */
	uint8_t member;       /* of the components with these bits */
	uint64_t *mentions;
	size_t mention_count;
	UT_hash_handle by_key;
	struct row *next, *prev; /* by the last write, oldest first */
};

struct value {
	uint64_t what;
	struct row **rows;
	size_t count;
	UT_hash_handle by_what;
};

struct merge;

enum {
	MEMBER_TOUCHED = 1,
	MEMBER_ALL = 2,
	MEMBER_NEXT = 4,
	MEMBER_LOST_MINE = 8,
	MEMBER_FAMILY = 16,
	MEMBER_OPEN = 32,
};

/* A set of rows; of two with one bit, a row is in one at most. */
struct component {
	uint8_t bit;
	struct row **rows;
	size_t count, capacity;
};

void component_add(struct component *component, struct row *row); /* once, but for bit 0 */
void component_clear(struct component *component);
void component_remove(struct component *component, struct row *row);
/* Adds the rows that have had a unique value in common with one that is in it, and those that had with these, … */
void component_grow(const struct merge *merge, struct component *component);
void component_free(struct component *component);

struct steps {
	struct merge_step *steps;
	struct image **images; /* that steps borrow from */
	size_t count, capacity, image_count, image_capacity;
};

void steps_clear(struct steps *steps);
/* Keeps the image until steps_clear. */
const struct content *steps_borrow(struct steps *steps, struct image *image);
void steps_free(struct steps *steps);

struct records {
	struct merge_record *records;
	size_t count, capacity;
};

struct merge {
	uint32_t me;
	struct row *rows;     /* by key */
	struct value *values; /* by what */
	struct row *oldest;
	size_t row_count, write_count;
	struct component open; /* touched since the last plan, or not shown as that had it */
	struct component lost_mine;
	struct steps steps; /* its images are the records', too */
	struct records records;
};

struct row *merge_find(const struct merge *merge, uint64_t key);
/* The parent that a mention is of. */
struct row *merge_find_mentioned(const struct merge *merge, uint64_t what);
/* Puts the row among the others. */
void merge_insert(struct merge *merge, struct row *row);
/* What leads to the row: every unique value that it has had, every parent. */
void merge_mention(struct merge *merge, struct row *row, uint64_t what);
void merge_enter(struct merge *merge, const struct merge_transaction *transaction, bool is_shown);

/* ---- merge_copy.c ---- */

/* Adds the rows that the transaction's are tied to, directly or by others. */
void component_tie(const struct merge *merge, const struct merge_transaction *transaction, struct component *component);

/* ---- merge_record.c ---- */

/* Somebody who knew of the write has changed the column since, or deleted the row. */
bool is_overwritten(const struct row *row, const struct write *write, uint32_t column);
void records_clear(struct records *records);
void records_free(struct records *records);
/* What this node's writes to the row have lost and isn't recorded yet. */
void record_losses(struct merge *merge, struct row *row);
/* For a row that lost a unique value by this node's claim. */
struct merge_record record_of_claim(struct merge *merge, const struct row *row);

/* ---- merge_show.c ---- */

/* The same on every node: by the primary key's bytes. */
int row_order(const struct row *a, const struct row *b);
/* Plans to show what the open rows, and those tied to them, are due; puts the steps and records into merge. */
void merge_show(struct merge *merge);

#endif
