/* The address of a node's server as people give it: an IP address or a DNS name.
 *
 * What passes here is safe in an option file, in a certificate, in a shell and in a message. Pure.
 */
#ifndef SYNCLINE_NODE_ADDRESS_H
#define SYNCLINE_NODE_ADDRESS_H

#include <stddef.h>

enum { ADDRESS_BYTES_MAX = 253 };

enum address_kind { ADDRESS_NONE, ADDRESS_IP, ADDRESS_NAME };

/* ADDRESS_NONE for everything else: an empty text, an IPv6 zone (it means something on one machine only), *.example. */
enum address_kind address_kind(const char *text);

#endif
