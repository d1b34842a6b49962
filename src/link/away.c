#include "link/away.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

enum { NOTED_S = 60 };

static char *path_of(const struct away *a)
{
	return mem_printf("%s/offline-%u", a->state_dir, (unsigned)a->peer);
}

void away_load(struct away *a, const char *state_dir, uint32_t peer, int64_t now_s)
{
	*a = (struct away){.state_dir = state_dir, .peer = peer};
	char *path = path_of(a);
	FILE *file = fopen(path, "re");
	int64_t since = 0;
	if (file != NULL && fscanf(file, "%" SCNd64, &since) == 1 && since > 0) {
		a->since_s = since < now_s ? since : now_s; /* the clock may have been set back */
		a->is_noted = true;
	}
	if (file != NULL)
		fclose(file);
	free(path);
}

void away_lost(struct away *a, int64_t reached_s, int64_t now_s)
{
	if (a->since_s == 0)
		a->since_s = reached_s != 0 && reached_s < now_s ? reached_s : now_s;
	if (a->is_noted || now_s - a->since_s < NOTED_S)
		return;
	char *path = path_of(a);
	FILE *file = fopen(path, "we");
	if (file != NULL) {
		fprintf(file, "%" PRId64 "\n", a->since_s);
		fclose(file);
	}
	a->is_noted = true; /* or it can't be: then a restart counts anew, and that is all */
	free(path);
}

void away_reached(struct away *a)
{
	if (a->is_noted) {
		char *path = path_of(a);
		unlink(path);
		free(path);
	}
	a->since_s = 0;
	a->is_noted = false;
}
