/* The table of the conflict records (docs/conflict-record.md): what those who write it and those who read it agree on. */
#ifndef SYNCLINE_ADMIN_RECORD_TABLE_H
#define SYNCLINE_ADMIN_RECORD_TABLE_H

#define RECORD_TABLE "replication_conflicts"

enum { RECORD_VERSION = 1 };

#endif
