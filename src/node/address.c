#include "node/address.h"

#include <arpa/inet.h>
#include <string.h>

enum address_kind address_kind(const char *text)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._";
	unsigned char ip[sizeof(struct in6_addr)];
	size_t size = strnlen(text, ADDRESS_BYTES_MAX + 1);
	if (size == 0 || size > ADDRESS_BYTES_MAX)
		return ADDRESS_NONE;
	if (inet_pton(AF_INET, text, ip) == 1 || inet_pton(AF_INET6, text, ip) == 1)
		return ADDRESS_IP;
	if (strspn(text, allowed) != size || strchr("-.", text[0]) != NULL || strstr(text, "..") != NULL)
		return ADDRESS_NONE;
	/* Digits at the end make a mistyped IPv4 address; no top-level domain is a number. */
	const char *last = strrchr(text, '.');
	last = last != NULL ? last + 1 : text;
	return *last != 0 && strspn(last, "0123456789") == strlen(last) ? ADDRESS_NONE : ADDRESS_NAME;
}
