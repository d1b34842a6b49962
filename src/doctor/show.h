/* Findings for people and, as docs/doctor.md describes it, for programs. Pure. */
#ifndef SYNCLINE_DOCTOR_SHOW_H
#define SYNCLINE_DOCTOR_SHOW_H

#include "base/buf.h"
#include "doctor/facts.h"
#include "doctor/finding.h"

/* What --fix did: the finding's texts, copied. */
struct repair {
	enum finding_code code;
	char *statement, *permanent; /* what was run, and what makes it last */
	char *why;                   /* the server refused it; NULL: done */
};

struct repairs {
	size_t count;
	struct repair *rows;
};

/* Takes the texts over. */
void repairs_add(struct repairs *repairs, struct repair repair);
void repairs_free(struct repairs *repairs); /* accepts a zeroed one */

void show_text(const struct facts *facts, const struct findings *findings, const struct repairs *repairs,
               struct buf *to);
void show_json(const struct facts *facts, const struct findings *findings, const struct repairs *repairs,
               struct buf *to);

#endif
