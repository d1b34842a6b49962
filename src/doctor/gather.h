/* Asks the servers for the facts that the checks judge. Reads only; opens its own connections and closes them again.
 *
 * A server that refuses a question, or a peer that isn't there, is a fact as well. Facts that only the machine knows
 * (disks) are looked up here, too; those about the daemon are the caller's to fill in. One thread.
 */
#ifndef SYNCLINE_DOCTOR_GATHER_H
#define SYNCLINE_DOCTOR_GATHER_H

#include "doctor/facts.h"

/* Fails only if this node's own server can't be reached: then nothing can be said. *ret_facts borrows the settings. */
enum err_code gather_facts(const struct settings *settings, struct facts *ret_facts, struct err *err) ERR_MUST_CHECK;

/* What this node keeps on disks; facts->own is there. */
void gather_disks(struct facts *facts);

#endif
