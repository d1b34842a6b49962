/* What a server's variables must be for replication: one table, for all who ask.
 *
 * server_check refuses a server that lacks what replication can't do without (`must`); the doctor tells about every
 * row. A new requirement is one more row, and one more in the doctor's list of codes. Constant, so any thread may read
 * it.
 */
#ifndef SYNCLINE_SQL_REQUIREMENTS_H
#define SYNCLINE_SQL_REQUIREMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum requirement_wants {
	REQUIREMENT_NODE_ID, /* the node's number */
	REQUIREMENT_NODES,   /* the highest number of a node, or more */
	REQUIREMENT_TEXT,    /* `value`; ON and 1 are the same */
	REQUIREMENT_LEAST,   /* `value`, or a larger number */
};

struct requirement {
	const char *variable;
	enum requirement_wants wants;
	const char *value;
	const char *option; /* what stands in the option file, where that isn't the value */
	bool must;          /* no link reads the log of a server without it */
	bool is_dynamic;    /* SET GLOBAL can change it */
	bool is_safe;       /* and doing so under load harms nothing */
	bool is_session;    /* sessions that are open keep the value that they have */
	const char *why;    /* what happens without; goes on after "since" */
};

/* Whose server it should be. */
struct requirement_node {
	uint32_t id, highest_id;
};

enum { REQUIREMENT_VALUE_MAX = 32 };

extern const struct requirement requirements[];
extern const size_t requirement_count;

/* `value` as SHOW GLOBAL VARIABLES or @@global has it. */
bool requirement_is_met(const struct requirement *r, const struct requirement_node *node, const char *value);
/* What it should be on this node, as SET GLOBAL takes it. */
void requirement_wanted(const struct requirement *r, const struct requirement_node *node,
                        char ret_value[REQUIREMENT_VALUE_MAX]);
/* What stands for it in an option file, behind NAME =. */
void requirement_option(const struct requirement *r, const struct requirement_node *node,
                        char ret_value[REQUIREMENT_VALUE_MAX]);
/* Two texts that mean the same value of a variable: case doesn't count, ON is 1 and OFF is 0. */
bool requirement_same_value(const char *a, const char *b);

#endif
