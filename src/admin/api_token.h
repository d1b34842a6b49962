/* The token of the HTTP API: who knows it may change something. Only its hash is kept. Pure but for api_token_load. */
#ifndef SYNCLINE_ADMIN_API_TOKEN_H
#define SYNCLINE_ADMIN_API_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { API_TOKEN_MIN = 16, API_TOKEN_MAX = 256 };

struct api_token {
	bool is_set; /* else nothing matches */
	uint8_t digest[32];
};

/* A file of the daemon's user's or root's own that nobody else may read (mode 0600), with the token on its only line. */
enum err_code api_token_load(const char *path, struct api_token *ret_token, struct err *err) ERR_MUST_CHECK;
/* 16 to 256 printable characters without blanks. */
bool api_token_make(const char *text, size_t size, struct api_token *ret_token);
/* Whether an Authorization header ("Bearer TOKEN"; NULL: there is none) has it. Takes the same time wherever they differ. */
bool api_token_matches(const struct api_token *token, const char *authorization);

#endif
