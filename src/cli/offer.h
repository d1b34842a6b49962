/* What an invited node is told of the others before it asks to come in: the databases, the number of slots, the policies. JSON between
 * two programs that may be of different versions; what isn't known is passed over.
 */
#ifndef SYNCLINE_CLI_OFFER_H
#define SYNCLINE_CLI_OFFER_H

#include "cli/command.h"
#include "node/settings.h"
#include "node/token.h"

struct offer {
	uint32_t node; /* who invites */
	unsigned slots;
	struct text_list databases; /* the texts are the offer's */
	char *policies;             /* conflict-policy lines, each ended */
};

/* Appends it. */
enum err_code offer_make(const struct settings *settings, struct buf *to, struct err *err) ERR_MUST_CHECK;
enum err_code offer_parse(const char *text, struct offer *ret, struct err *err) ERR_MUST_CHECK;
void offer_done(struct offer *offer); /* accepts a zeroed one */

/* Appends the token's secret as the account's password has it: hexadecimal digits. */
void offer_secret(const struct token *token, struct buf *to);

#endif
