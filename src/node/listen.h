/* An address and a port that a server listens on, as people write them: 127.0.0.1:8047, [fd00::1]:8047. Numbers only: what a name
 * stands for may change, and whether it is this machine alone must not. Pure.
 */
#ifndef SYNCLINE_NODE_LISTEN_H
#define SYNCLINE_NODE_LISTEN_H

#include <stdbool.h>
#include <stdint.h>

struct listen_place {
	char host[46]; /* "127.0.0.1", "::1"; for inet_pton; "": nowhere */
	uint16_t port;
	bool is_ipv6;
	bool is_loopback; /* nobody outside this machine gets there */
};

bool listen_parse(const char *text, struct listen_place *ret_place);

#endif
