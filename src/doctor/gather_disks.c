#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/mem.h"
#include "doctor/gather.h"

/* One file system is told about once, under the name that came first. */
static bool is_told(dev_t device, dev_t *devices, size_t *count)
{
	for (size_t i = 0; i < *count; i++)
		if (devices[i] == device)
			return true;
	devices[(*count)++] = device;
	return false;
}

static void look_at(struct facts *facts, const char *what, const char *path, const char *why, dev_t *devices,
                    size_t *device_count)
{
	struct stat st;
	struct statvfs fs = {0};
	if (why == NULL && (stat(path, &st) != 0 || statvfs(path, &fs) != 0))
		why = strerror(errno);
	else if (why == NULL && is_told(st.st_dev, devices, device_count))
		return;
	struct disk_facts *disk = facts_grow(facts, &facts->disks, &facts->disk_count, sizeof *disk);
	*disk = (struct disk_facts){.what = what,
	                            .path = facts_keep(facts, path),
	                            .why = facts_keep(facts, why),
	                            .free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize,
	                            .total_bytes = (uint64_t)fs.f_blocks * fs.f_frsize};
}

void gather_disks(struct facts *facts)
{
	const char *elsewhere = facts_is_remote(&facts->own) ? "the server is on another machine" : NULL;
	const char *datadir = facts_variable(&facts->own, "datadir"),
	           *log = facts_variable(&facts->own, "log_bin_basename");
	dev_t devices[3];
	size_t count = 0;
	if (datadir != NULL)
		look_at(facts, "the server's datadir", datadir, elsewhere, devices, &count);
	if (log != NULL && *log == '/') {
		char *folder = mem_strdup(log);
		*strrchr(folder, '/') = '\0';
		look_at(facts, "the binary log", *folder ? folder : "/", elsewhere, devices, &count);
		free(folder);
	}
	look_at(facts, "the daemon's state-dir", facts->settings->state_dir, NULL, devices, &count);
}
