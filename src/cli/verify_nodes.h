/* What verify and repair have in common: the node's settings, the nodes that are compared, the options that say how.
 *
 * One thread; owned by the command.
 */
#ifndef SYNCLINE_CLI_VERIFY_NODES_H
#define SYNCLINE_CLI_VERIFY_NODES_H

#include "cli/command.h"
#include "node/settings.h"
#include "verify/verify.h"

/* Rows a second that are read on each node unless --rate says otherwise: docs/verify.md has what it costs writers. */
#define VERIFY_RATE_DEFAULT "100000"

struct verify_nodes {
	struct settings settings;
	struct verify_node nodes[PEERS_MAX + 1]; /* this one first */
	struct verify_wish wish;                 /* all but the callbacks */
};

/* "100000": rows a second, "20M": bytes a second (K, M, G: 1024 and so on), "0": no limit. */
enum err_code verify_parse_rate(const char *text, uint64_t *ret_rows, uint64_t *ret_bytes, struct err *err)
    ERR_MUST_CHECK;
/* Loads the settings and fills the wish. verify_nodes_close also after an error. */
enum err_code verify_nodes_open(struct verify_nodes *n, const char *file, const char *rate,
                                const struct text_list *tables, unsigned patience_s, struct err *err) ERR_MUST_CHECK;
void verify_nodes_close(struct verify_nodes *n); /* accepts a zeroed one */
/* The daemon, if it runs, says that no row of this node is held back or being decided about. */
bool verify_nodes_settled(const struct verify_nodes *n);

#endif
