#include "node/listen.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { PORT_MAX = 65535, PORT_DIGITS_MAX = 5 };

static bool parse_port(const char *text, uint16_t *ret_port)
{
	size_t size = strlen(text);
	if (size == 0 || size > PORT_DIGITS_MAX || text[strspn(text, "0123456789")] != '\0')
		return false;
	unsigned long port = strtoul(text, NULL, 10);
	*ret_port = (uint16_t)port;
	return port >= 1 && port <= PORT_MAX;
}

bool listen_parse(const char *text, struct listen_place *ret_place)
{
	struct listen_place place = {.is_ipv6 = *text == '['};
	const char *start = place.is_ipv6 ? text + 1 : text, *end = strchr(start, place.is_ipv6 ? ']' : ':');
	const char *colon = place.is_ipv6 && end != NULL ? end + 1 : end;
	struct in_addr ipv4;
	struct in6_addr ipv6;
	if (end == NULL || *colon != ':' || (size_t)(end - start) >= sizeof place.host ||
	    !parse_port(colon + 1, &place.port))
		return false;
	memcpy(place.host, start, (size_t)(end - start));
	if (inet_pton(place.is_ipv6 ? AF_INET6 : AF_INET, place.host, place.is_ipv6 ? (void *)&ipv6 : (void *)&ipv4) != 1)
		return false;
	place.is_loopback = place.is_ipv6 ? IN6_IS_ADDR_LOOPBACK(&ipv6) : ntohl(ipv4.s_addr) >> 24 == IN_LOOPBACKNET;
	*ret_place = place;
	return true;
}
