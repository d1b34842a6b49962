/* The parts of the merge engine, for merge*.c alone (merge.h tells what it is).
 *
 *   merge.c         the window: rows, their bases and writes; what comes in, what is settled
 *   merge_image.c   row images, and the values in them that tie rows together
 *   merge_policy.c  which of the writes to a column is shown, or what their sum is
 *   merge_number.c  numbers of any column, to be added up
 *   merge_record.c  which of this node's writes lost what
 *   merge_copy.c    a part of it, to try things on
 *   merge_net.c     what a transaction did to each row, all in all
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
/* Less than 0 if a comes before b: by what counts of the primary key, so that every node says the same. */
int image_key_order(const struct merge_table *table, const struct image *a, const struct image *b);
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

/* The same image but for one value. */
struct image *image_replace(const struct merge_table *table, const struct image *image, uint32_t column,
                            struct content value);

/* ---- merge_number.c ---- */

/* Of any integer or DECIMAL column, without its point, and sums of many: two's complement, the lowest word first. */
struct number {
	uint32_t words[8];
};

void number_add(struct number *to, const struct number *other);
void number_subtract(struct number *from, const struct number *other);
int number_compare(const struct number *a, const struct number *b);
struct number number_of(const struct merge_number_type *type, const struct content *value); /* NULL is 0 */
/* As a content of this size; false if the column can't hold it: then it is the nearest that it can. */
bool number_write(const struct merge_number_type *type, struct number number, uint32_t size, uint8_t *bytes);

/* ---- merge.c ---- */

/* What the writes of one transaction share. */
struct origin {
	size_t references;
	struct gtid gtid;
	struct stamp stamp;
	bool drops_table;
	uint32_t count;
	struct gtid context[];
};

/* It was there when the other committed. */
bool origin_knew(const struct origin *origin, const struct origin *other);
/* It has the higher stamp. Who knew the other has, also where this node's log doesn't tell the stamp: a pair's transactions that met
 * nothing are in it without their manifests, so with another time and a context that has too much. They were in conflict with
 * nothing, so whatever writes the row before or after is known to them or knows of them. */
bool origin_follows(const struct origin *origin, const struct origin *other);

enum {
	COLUMN_CHANGED = 1,
	COLUMN_BOUND = 2,    /* to one that changed */
	COLUMN_RECORDED = 4, /* as lost */
};

struct write {
	struct origin *origin;
	struct image *after; /* NULL: a delete */
	bool replaces;       /* the row was deleted and inserted again */
	uint8_t *changed;    /* by column, COLUMN_ bits; NULL: a delete */
	struct image
	    *original; /* NULL, or `after` as it was before a parent that it refers to was deleted without knowing of it */
	struct number *deltas; /* by column, what it adds to those with DELTA_APPLY; NULL: the table has none */
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
	bool has_excess;      /* a sum is more than its column can hold: only the writes tell how much */
	bool must_go;   /* a delete of what is shown came in, or a replacement: children that are here are to go, too */
	bool lost;      /* a unique value of due is another row's */
	bool lost_mine; /* … by a claim of this node's */
	bool hidden;    /* due and not shown: its children wait */
	bool in_step;   /* merge_show: to be shown as due */
	uint8_t member; /* of the components with these bits */
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
	MEMBER_TOLD = 64,
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
	struct steps images; /* that they borrow from; no steps */
};

struct merge {
	uint32_t me;
	uint64_t speaks;      /* for these other domains, too: bit N-1 */
	struct row *rows;     /* by key */
	struct value *values; /* by what */
	struct row *oldest;
	size_t row_count, write_count;
	struct component open; /* touched since the last plan, or not shown as that had it */
	struct component lost_mine;
	struct component told; /* rows that the transaction at hand changes, or children of such */
	struct steps steps;
	struct records records; /* of losses that the last plan didn't tell */
	bool records_told;      /* or that it told: the next one to be found is the first of new ones */
};

struct row *merge_find(const struct merge *merge, uint64_t key);
/* The parent that a mention is of. */
struct row *merge_find_mentioned(const struct merge *merge, uint64_t what);
/* Rows of which some version refers to this one; NULL: there are none. */
const struct value *merge_children_of(const struct merge *merge, uint64_t parent);
/* Puts the row among the others. */
void merge_insert(struct merge *merge, struct row *row);
/* What leads to the row: every unique value that it has had, every parent. */
void merge_mention(struct merge *merge, struct row *row, uint64_t what);
void merge_enter(struct merge *merge, const struct merge_transaction *transaction, bool is_shown);

/* A write survives if every delete of its key is in its context. */
bool survives(const struct row *row, const struct write *write);
bool has_delete(const struct row *row);
bool is_insert(const struct merge_table *table, const struct write *write);

/* ---- merge_policy.c ---- */

enum merge_policy policy_of(const struct merge_table *table, uint32_t column);
/* The write whose value is shown, with DELTA_APPLY the newest that counts; NULL: the base's. */
const struct write *policy_choose(const struct row *row, uint32_t column);
/* By what it adds to each column; before NULL: to nothing. NULL if no column has DELTA_APPLY. */
struct number *policy_deltas(const struct merge_change *change);
/* *image has the newest value: replaces it by the sum. False if the column can't hold that. */
bool policy_add_up(const struct row *row, uint32_t column, struct image **image);
/* The insert that started the row anew, so that what this write adds counts no more; NULL: it counts. */
const struct write *policy_voided_by(const struct row *row, const struct write *write);
/* Adds what this write, of which others knew, adds to the columns to one of these. False: it is to be kept. */
bool policy_fold(struct row *row, const struct write *write);

/* ---- merge_net.c ---- */

/* One change for each row: between transactions alone can be told who knew of what. A row that was deleted and inserted again, as
 * REPLACE does, was updated: else two nodes that replace one row would both delete what the other inserted. What went with it when it
 * was deleted is gone all the same. Borrows from the transaction; the caller frees `changes`. */
struct net_change {
	struct merge_change change;
	bool replaces; /* deleted in between */
};
struct net_changes {
	size_t count;
	struct net_change *changes;
};
struct net_changes net_changes_of(const struct merge_transaction *transaction);

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

/* Column by column what its policy chooses of the surviving writes that changed it. */
void make_due(struct row *row);
/* Of the rows that are due this value in this unique index: whose claim to it stays. */
const struct row *first_claimant(const struct merge *merge, uint32_t index, uint64_t what);
/* The same on every node: by the primary key's bytes. */
int row_order(const struct row *a, const struct row *b);
/* Plans to show what the open rows, and those tied to them, are due; puts the steps and records into merge. */
void merge_show(struct merge *merge);

bool merge_is_mine(const struct merge *m, uint32_t domain);

#endif
