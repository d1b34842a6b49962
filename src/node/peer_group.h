/* The lines of a group [syncline-peer-N]: how this node reaches node N, which it knows by its authority (node/identity.h). Pure. */
#ifndef SYNCLINE_NODE_PEER_GROUP_H
#define SYNCLINE_NODE_PEER_GROUP_H

#include <stdint.h>

#include "base/buf.h"

enum { PEER_PORT = 3306 };

void peer_group_append(struct buf *to, const char *identity_dir, uint32_t me, uint32_t peer, const char *address);

#endif
