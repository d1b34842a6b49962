/* Drives a fuzz target's entry point without libFuzzer, so that every build tests what the fuzzer has found.
 *
 *   fuzz_NAME [--mutate N] [--seed S] FOLDER
 *
 * Runs all files of the folder, and N mutations of each, made from the seed alone: the same call does the same on any
 * machine. Before each input its name and mutation are kept for a last line if the target crashes.
 */
#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILES_MAX = 10000 };

struct input {
	char name[256];
	struct buf bytes;
};

static char current[512];

static void on_crash(int signal_number)
{
	/* Before the default action ends the process: which input it was. */
	ssize_t ignored = write(STDERR_FILENO, current, strlen(current));
	(void)ignored;
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

/* splitmix64: small, and the same everywhere. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static size_t below(uint64_t *state, size_t limit)
{
	return limit == 0 ? 0 : (size_t)(next_random(state) % limit);
}

static void cut_out(struct buf *buf, size_t at, size_t size)
{
	memmove(buf->data + at, buf->data + at + size, buf->size - at - size);
	buf->size -= size;
}

static void put_in(struct buf *buf, size_t at, const uint8_t *bytes, size_t size)
{
	buf_reserve(buf, size);
	memmove(buf->data + at + size, buf->data + at, buf->size - at);
	memcpy(buf->data + at, bytes, size);
	buf->size += size;
}

/* One change: a bit, a byte, an interesting integer, a piece cut out, doubled or taken from another input, the end cut
 * off. */
static void mutate_once(struct buf *buf, const struct input *other, uint64_t *state)
{
	static const uint32_t interesting[] = {0, 1, 0x7f, 0x80, 0xfb, 0xfc, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0xffffffff};
	if (buf->size == 0)
		return;
	size_t at = below(state, buf->size), left = buf->size - at, size = below(state, left < 64 ? left : 64);
	uint32_t value = interesting[below(state, sizeof interesting / sizeof *interesting)];
	switch (below(state, 7)) {
	case 0:
		buf->data[at] ^= (uint8_t)(1u << below(state, 8));
		break;
	case 1:
		buf->data[at] = (uint8_t)next_random(state);
		break;
	case 2:
		for (size_t i = 0; i < 4 && i < left; i++)
			buf->data[at + i] = (uint8_t)(value >> (8 * i));
		break;
	case 3:
		cut_out(buf, at, size);
		break;
	case 4: {
		uint8_t piece[64];
		memcpy(piece, buf->data + at, size);
		put_in(buf, below(state, buf->size), piece, size);
		break;
	}
	case 5:
		if (other->bytes.size > 64)
			put_in(buf, at, other->bytes.data + below(state, other->bytes.size - 64), size);
		break;
	default:
		buf->size = at;
	}
}

static void run(const struct buf *buf, const char *name, unsigned long mutation, uint64_t seed)
{
	snprintf(current, sizeof current, "\nfuzz_main: crashed on %.250s, mutation %lu of seed %llu\n", name, mutation,
	         (unsigned long long)seed);
	LLVMFuzzerTestOneInput(buf->data, buf->size);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct input *)a)->name, ((const struct input *)b)->name);
}

static bool read_input(const char *folder, const char *name, struct input *ret)
{
	char path[1024];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *file = fopen(path, "rb");
	if (file == NULL)
		return false;
	*ret = (struct input){0};
	snprintf(ret->name, sizeof ret->name, "%.250s", name);
	for (size_t n = 1; n > 0; ret->bytes.size += n)
		n = fread(buf_reserve(&ret->bytes, 4096), 1, 4096, file);
	fclose(file);
	return true;
}

static size_t read_folder(const char *folder, struct input *inputs)
{
	DIR *dir = opendir(folder);
	size_t count = 0;
	if (dir == NULL)
		return 0;
	for (struct dirent *entry; (entry = readdir(dir)) != NULL && count < FILES_MAX;)
		if (entry->d_name[0] != '.' && read_input(folder, entry->d_name, &inputs[count]))
			count++;
	closedir(dir);
	qsort(inputs, count, sizeof *inputs, by_name);
	return count;
}

static void run_mutations(const struct input *inputs, size_t count, size_t i, unsigned long mutations, uint64_t seed)
{
	for (unsigned long m = 1; m <= mutations; m++) {
		uint64_t state = seed ^ (uint64_t)i << 40 ^ m;
		struct buf buf = {0};
		buf_append(&buf, inputs[i].bytes.data, inputs[i].bytes.size);
		for (size_t changes = 1 + below(&state, 8); changes > 0; changes--)
			mutate_once(&buf, &inputs[below(&state, count)], &state);
		run(&buf, inputs[i].name, m, seed);
		buf_free(&buf);
	}
}

static unsigned long long option(int argc, char **argv, const char *name, unsigned long long otherwise)
{
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return strtoull(argv[i + 1], NULL, 10);
	return otherwise;
}

int main(int argc, char **argv)
{
	static struct input inputs[FILES_MAX];
	unsigned long mutations = (unsigned long)option(argc, argv, "--mutate", 0);
	uint64_t seed = option(argc, argv, "--seed", 1);
	size_t count = argc > 1 ? read_folder(argv[argc - 1], inputs) : 0;
	if (count == 0) {
		fprintf(stderr, "fuzz_main: no input; usage: [--mutate N] [--seed S] FOLDER\n");
		return 2;
	}
	signal(SIGABRT, on_crash);
	signal(SIGSEGV, on_crash);
	for (size_t i = 0; i < count; i++) {
		run(&inputs[i].bytes, inputs[i].name, 0, seed);
		run_mutations(inputs, count, i, mutations, seed);
	}
	for (size_t i = 0; i < count; i++)
		buf_free(&inputs[i].bytes);
	printf("%zu inputs and %lu mutations of each, seed %llu\n", count, mutations, (unsigned long long)seed);
	return 0;
}
