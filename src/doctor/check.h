/* The doctor's judgement: facts in, findings out.
 *
 * Pure: nothing is asked and nothing changed here, so a unit test can put any state of a node in. What could not be
 * looked at is missing from the facts, and then nothing is said about it but that it could not be looked at.
 */
#ifndef SYNCLINE_DOCTOR_CHECK_H
#define SYNCLINE_DOCTOR_CHECK_H

#include "base/buf.h"
#include "doctor/facts.h"
#include "doctor/finding.h"

/* All of what follows, sorted. */
void check_all(const struct facts *facts, struct findings *to);

void check_settings(const struct facts *facts, struct findings *to); /* the servers' variables */
void check_network(const struct facts *facts, struct findings *to);  /* versions, addresses, TLS, privileges */
void check_tables(const struct facts *facts, struct findings *to);   /* what is in the replicated databases */
void check_cascades(const struct facts *facts, struct findings *to); /* and its foreign keys */
void check_peers(const struct facts *facts, struct findings *to); /* what must not, or must, be the same on two nodes */
void check_schemas(const struct facts *facts, struct findings *to); /* tables that differ between nodes */
void check_native(const struct facts *facts, struct findings *to);  /* the engines, MariaDB's own replication */
void check_daemon(const struct facts *facts, struct findings *to);
void check_disks(const struct facts *facts, struct findings *to);

/* The first line in which two definitions of a table differ, and NULL where one has ended; false if they are the same.
 * What the next AUTO_INCREMENT number is doesn't count. The lines are borrowed from the texts and end
 * at a line break. */
bool check_first_difference(const char *a, const char *b, const char **ret_a, const char **ret_b);

enum { CHECK_PLACE_MAX = 600 };
/* Where an option goes: into the file that MariaDB reads, or into ours for a private server. */
void check_option_place(const struct settings *settings, uint32_t node, char ret_text[CHECK_PLACE_MAX]);

/* `sh\_op`.*, as GRANT wants it, where _ alone would be any character. */
void check_append_scope(struct buf *to, const char *database);

#endif
