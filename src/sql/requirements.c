#include "sql/requirements.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* server_id and gtid_domain_id could be set while the server runs, but sessions that are open would go on writing under
 * the old ones, as another node. */
const struct requirement requirements[] = {
    {"server_id", REQUIREMENT_NODE_ID, NULL, NULL, true, true, false, true,
     "a node is known by it: two with one number pass over each other's writes"},
    {"log_bin", REQUIREMENT_TEXT, "ON", "mysql-bin", true, false, false, false,
     "what is not in the binary log reaches no other node"},
    {"binlog_format", REQUIREMENT_TEXT, "ROW", NULL, true, true, true, true,
     "a statement that is logged as text stops the links that read it"},
    {"binlog_row_image", REQUIREMENT_TEXT, "FULL", NULL, true, true, true, true,
     "without the whole row nobody can tell which write it overwrote"},
    {"binlog_row_metadata", REQUIREMENT_TEXT, "FULL", NULL, true, true, true, false,
     "rows go by the names of their columns, which are logged with FULL only"},
    {"gtid_domain_id", REQUIREMENT_NODE_ID, NULL, NULL, true, true, false, true,
     "each node counts its transactions in a domain of its own"},
    {"sync_binlog", REQUIREMENT_TEXT, "1", NULL, false, true, true, false,
     "a power cut may take transactions out of the log that other nodes have applied"},
    {"innodb_flush_log_at_trx_commit", REQUIREMENT_TEXT, "1", NULL, false, true, true, false,
     "a power cut may lose what the log says was committed"},
    {"auto_increment_increment", REQUIREMENT_NODES, NULL, NULL, false, true, true, true,
     "two nodes give out one AUTO_INCREMENT number and one of the two rows is lost"},
    {"auto_increment_offset", REQUIREMENT_NODE_ID, NULL, NULL, false, true, true, true,
     "two nodes give out one AUTO_INCREMENT number and one of the two rows is lost"},
    {"max_allowed_packet", REQUIREMENT_LEAST, "1073741824", "1G", false, true, true, true,
     "a row change that a peer could log may be too large for this server, which stops the link"},
    {"log_bin_trust_function_creators", REQUIREMENT_TEXT, "ON", NULL, false, true, true, false,
     "a stored function or trigger that a peer could create may be refused here, which stops the link"},
    {"binlog_expire_logs_seconds", REQUIREMENT_TEXT, "0", NULL, false, true, true, false,
     "a peer that is away for longer finds the log gone and can't go on; the daemon purges what no peer needs"},
    {"slave_run_triggers_for_rbr", REQUIREMENT_TEXT, "NO", NULL, false, true, true, false,
     "triggers would run again for rows that come from other nodes, whose logs have what they did already"},
};
const size_t requirement_count = sizeof requirements / sizeof *requirements;

/* ON and OFF as @@global has them. */
static const char *as_number(const char *value)
{
	return strcasecmp(value, "ON") == 0 ? "1" : strcasecmp(value, "OFF") == 0 ? "0" : value;
}

bool requirement_same_value(const char *a, const char *b)
{
	return strcasecmp(as_number(a), as_number(b)) == 0;
}

bool requirement_is_met(const struct requirement *r, const struct requirement_node *node, const char *value)
{
	char wanted[REQUIREMENT_VALUE_MAX];
	requirement_wanted(r, node, wanted);
	if (r->wants == REQUIREMENT_NODES || r->wants == REQUIREMENT_LEAST)
		return strtoull(value, NULL, 10) >= strtoull(wanted, NULL, 10);
	return requirement_same_value(value, wanted);
}

void requirement_wanted(const struct requirement *r, const struct requirement_node *node,
                        char ret_value[REQUIREMENT_VALUE_MAX])
{
	if (r->wants == REQUIREMENT_NODE_ID || r->wants == REQUIREMENT_NODES)
		snprintf(ret_value, REQUIREMENT_VALUE_MAX, "%u",
		         (unsigned)(r->wants == REQUIREMENT_NODES ? node->highest_id : node->id));
	else
		snprintf(ret_value, REQUIREMENT_VALUE_MAX, "%s", r->value);
}

void requirement_option(const struct requirement *r, const struct requirement_node *node,
                        char ret_value[REQUIREMENT_VALUE_MAX])
{
	if (r->option != NULL)
		snprintf(ret_value, REQUIREMENT_VALUE_MAX, "%s", r->option);
	else
		requirement_wanted(r, node, ret_value);
}
