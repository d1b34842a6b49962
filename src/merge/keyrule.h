/* When two values are one value of a key: how a column's content is turned into bytes that are equal exactly if a
 * server's index takes the contents for equal.
 *
 * Most contents are what they mean: integers, DECIMAL (the server stores no -0), temporal types, BIT, ENUM, SET, UUID,
 * binary strings. Not so
 *   FLOAT, DOUBLE      -0 is 0
 *   text               its collation's weights count, not its bytes: 'a1' is 'A1' to a _ci collation; in most
 *                      collations (PAD SPACE) blanks at the end don't count
 *   an index on a prefix of a column: what is behind doesn't count
 *
 * What is not exact: contractions, several characters that have a weight together ("ch" in Spanish and Czech, "aa" in
 * Danish, vowels before their consonant in Thai): each character is taken by itself. And CHAR of a NOPAD collation,
 * where a server compares the blanks that it fills up with: 'ß' and 'ss' differ in their number, here they are one key.
 * What a server showed stands in tests/binlog/test_keys.py, what follows from a mistake in docs/conflicts.md.
 *
 * Plain data; pure. A rule outlives the tables that refer to it, its weights outlive the rule. */
#ifndef SYNCLINE_MERGE_KEYRULE_H
#define SYNCLINE_MERGE_KEYRULE_H

#include "base/buf.h"
#include "merge/charset.h"
#include "merge/weights.h"

enum key_form {
	KEY_BYTES, /* a zeroed rule: the content as it is */
	KEY_REAL,  /* FLOAT, DOUBLE */
	KEY_TEXT,
};

struct key_rule {
	enum key_form form;
	uint32_t prefix_characters; /* how many of its characters (bytes, of KEY_BYTES) the key has; 0: all */
	/* Of KEY_TEXT: */
	enum charset charset;
	bool pad_space;                /* blanks at the end don't count */
	const struct weights *weights; /* with page 0; NULL: characters are equal if their bytes are, a _bin collation */
};

/* Is there a character in the content whose weights are missing? Then their page is to be added (sql/collations.h). */
bool key_rule_missing(const struct key_rule *rule, const uint8_t *bytes, size_t size, uint32_t *ret_page);
/* No weights are missing. */
void key_rule_append(const struct key_rule *rule, const uint8_t *bytes, size_t size, struct buf *to);

#endif
