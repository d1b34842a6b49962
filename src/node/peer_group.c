#include "node/peer_group.h"

#include <stdlib.h>

#include "node/identity.h"
#include "node/settings.h"

static void append_path(struct buf *to, const char *name, char *path)
{
	settings_append_option(to, name, path);
	free(path);
}

void peer_group_append(struct buf *to, const char *identity_dir, uint32_t me, uint32_t peer, const char *address)
{
	settings_append_option(to, "host", address);
	buf_printf(to, "port = %u\nuser = syncline-%u\n", (unsigned)PEER_PORT, (unsigned)me);
	append_path(to, "ssl-ca", identity_peer_path(identity_dir, peer));
	append_path(to, "ssl-cert", identity_path(identity_dir, IDENTITY_NODE));
	append_path(to, "ssl-key", identity_path(identity_dir, IDENTITY_NODE_KEY));
	buf_append_str(to, "ssl-verify-server-cert = 1\n");
}
