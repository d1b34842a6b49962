

#include "node/dropin.h"

#include <stdio.h>
#include <string.h>

#include "node/settings.h"

void dropin_append_replication(struct buf *to, uint32_t node_id, uint32_t slots, const char *log_bin)
{
	unsigned id = (unsigned)node_id;
	buf_printf(to,
	           "server_id = %u\n"
	           "gtid_domain_id = %u\n"
	           "auto_increment_increment = %u\n"
	           "auto_increment_offset = %u\n",
	           id, id, (unsigned)slots, id);
	settings_append_option(to, "log_bin", log_bin);
	buf_append_str(to, "binlog_format = ROW\n"
	                   "binlog_row_image = FULL\n"
	                   "binlog_row_metadata = FULL\n"
	                   "log_slave_updates = ON\n"
	                   "skip_slave_start = ON\n" /* syncline starts it, once it has set its filter */
	                   "log_bin_trust_function_creators = ON\n"
	                   "sync_binlog = 1\n"
	                   "innodb_flush_log_at_trx_commit = 1\n"
	                   "max_allowed_packet = 1G\n");
}

void dropin_append_bind(struct buf *to, const char *address)
{
	char addresses[300];
	snprintf(addresses, sizeof addresses, "127.0.0.1,%s", address);
	settings_append_option(to, "bind_address", addresses);
}

bool dropin_replace(struct buf *text, const char *name, const char *line)
{
	struct buf whole = {0};
	size_t size = strlen(name);
	bool found = false;
	for (const char *at = buf_str(text), *next; *at != 0; at = next) {
		const char *end = strchr(at, '\n');
		next = end ? end + 1 : at + strlen(at);
		bool is_it = strncmp(at, name, size) == 0 && (at[size] == ' ' || at[size] == '=');
		if (is_it && !found)
			buf_append_str(&whole, line);
		else if (!is_it)
			buf_append(&whole, at, (size_t)(next - at));
		found = found || is_it;
	}
	buf_free(text);
	*text = whole;
	return found;
}

void dropin_append(struct buf *to, const struct dropin *d)
{
	buf_printf(to,
	           "# Written by `syncline init` for node %u. It is read after 50-server.cnf, so what stands here counts.\n"
	           "[mariadbd]\n",
	           (unsigned)d->node_id);
	dropin_append_replication(to, d->node_id, d->slots, d->log_bin);
	buf_append_str(to, "# What a peer lacks is kept; syncline removes the rest.\n"
	                   "expire_logs_days = 0\n"
	                   "binlog_expire_logs_seconds = 0\n"
	                   "# Peers reach this node here, local clients as before.\n");
	dropin_append_bind(to, d->address);
	settings_append_option(to, "ssl_ca", d->tls_ca);
	settings_append_option(to, "ssl_cert", d->tls_cert);
	settings_append_option(to, "ssl_key", d->tls_key);
	buf_append_str(to, "tls_version = TLSv1.2,TLSv1.3\n");
}
