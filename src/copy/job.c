#include "copy/job.h"

#include "base/clock.h"
#include "copy/session.h"

enum { TELL_MS = 100, WAIT_SLICE_MS = 100, BURST_US = 500000 };

static bool is_cancelled(const struct copy_job *job)
{
	return job->wish->cancelled != NULL && *job->wish->cancelled;
}

enum err_code job_step(struct copy_job *job, bool is_due, struct err *err)
{
	int64_t now = clock_monotonic_ms();
	if (is_cancelled(job))
		return err_set(err, ERR_CANCELLED, "the copy was interrupted; run it again to go on where it was");
	if (job->wish->progress == NULL || (!is_due && now - job->told_ms < TELL_MS))
		return ERR_OK;
	job->told_ms = now;
	job->state.elapsed_ms = now - job->started_ms;
	job->wish->progress(job->wish->context, &job->state);
	return ERR_OK;
}

enum err_code job_pace(struct copy_job *job, uint64_t bytes, struct err *err)
{
	job->state.bytes_sent += bytes;
	enum err_code code = job_step(job, false, err);
	uint64_t rate = job->wish->rate_limit_kib_s;
	if (rate == 0)
		return code;
	/* While chunks are compared little is sent: what could have been sent then is not made up for. */
	int64_t now = clock_monotonic_us();
	if (job->paid_us < now - BURST_US)
		job->paid_us = now - BURST_US;
	job->paid_us += (int64_t)(bytes * 1000000 / 1024 / rate);
	for (int64_t left; code == ERR_OK && (left = (job->paid_us - clock_monotonic_us()) / 1000) > 0;) {
		clock_sleep_ms(left < WAIT_SLICE_MS ? left : WAIT_SLICE_MS);
		code = job_step(job, false, err);
	}
	return code;
}

enum err_code job_source_error(struct copy_job *job, enum err_code code, const struct err *err)
{
	if (code == ERR_SERVER && err != NULL && session_is_altered(err))
		job->is_altered = true;
	return code;
}
