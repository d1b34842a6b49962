/* What MariaDB's own replication on this node is set up to do, and whether it does (engine = native). One thread. */
#ifndef SYNCLINE_DOCTOR_GATHER_NATIVE_H
#define SYNCLINE_DOCTOR_GATHER_NATIVE_H

#include "doctor/facts.h"
#include "sql/connection.h"

/* Its connections, one for each peer, and their filters; facts->own's variables are there. The session goes by another
 * default_master_connection afterwards. */
enum err_code gather_slaves(struct facts *facts, struct connection *connection, struct err *err) ERR_MUST_CHECK;
/* Whether this node's server starts replicating by itself. It has no variable for that: where its process runs here,
 * its arguments and option files are looked at. */
void gather_slave_start(struct facts *facts);

#endif
