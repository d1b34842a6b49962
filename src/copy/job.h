/* What the files of this folder share while a copy runs; nobody else includes it. One thread. */
#ifndef SYNCLINE_COPY_JOB_H
#define SYNCLINE_COPY_JOB_H

#include "copy/copy.h"
#include "copy/objects.h"

struct copy_job {
	const struct copy_wish *wish;
	struct connection *source, *target;
	struct copy_result result;
	struct copy_state state;
	int64_t started_ms, told_ms;
	int64_t paid_us;       /* until when what was sent takes, at the rate that is allowed */
	uint64_t tables_done;  /* of state.done: tables that are through */
	uint64_t packet_bytes; /* the target's max_allowed_packet */
	bool is_altered;       /* the source refused because of DDL since the snapshot */
};

/* After each step that may take long: ERR_CANCELLED if that is wished, else tells the progress if it is due. */
enum err_code job_step(struct copy_job *job, bool is_due, struct err *err) ERR_MUST_CHECK;
/* Counts what came from the source and waits as the rate limit says. */
enum err_code job_pace(struct copy_job *job, uint64_t bytes, struct err *err) ERR_MUST_CHECK;
/* Notes whether it was DDL that made the source refuse. */
enum err_code job_source_error(struct copy_job *job, enum err_code code, const struct err *err);

#endif
