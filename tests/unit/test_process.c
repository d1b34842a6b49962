/* Processes are found by program, verb and one exact argument, and nothing else is ever signalled. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "node/files.h"
#include "node/process.h"

static char dir[] = "/tmp/test_process_XXXXXX";
static char *log_path;

static int set_up(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	log_path = mem_printf("%s/log", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	struct err err;
	free(log_path);
	return files_remove_tree(dir, &err) == ERR_OK ? 0 : -1;
}

/* A shell that sleeps, with our folder as one of its arguments. */
static pid_t start_sleeper(const char *argument)
{
	const char *argv[] = {"/bin/sh", "-c", "while :; do sleep 60; done", argument, NULL};
	pid_t pid = 0;
	struct err err = {0};
	if (process_start(&(struct process_start){.argv = argv, .log = log_path}, &pid, &err) != ERR_OK)
		fail_msg("%s", err.message);
	return pid;
}

static void found_by_what_it_is(void **state)
{
	(void)state;
	struct err err;
	char *longer = mem_printf("%s2", dir);
	pid_t pid = start_sleeper(dir);
	assert_int_equal(process_find(&(struct process_name){"sh", "-c", dir}), pid);
	assert_int_equal(process_find(&(struct process_name){"sh", NULL, dir}), pid);
	assert_int_equal(process_find(&(struct process_name){"sh", "-x", dir}), 0);
	assert_int_equal(process_find(&(struct process_name){"ash", "-c", dir}), 0);
	assert_int_equal(process_find(&(struct process_name){"sh", "-c", longer}), 0);
	assert_int_equal(process_stop(&(struct process_name){"sh", "-c", longer}, SIGKILL, 1000, &err), ERR_OK);
	assert_true(process_is_alive(pid));
	assert_int_equal(process_stop(&(struct process_name){"sh", "-c", dir}, SIGKILL, 10000, &err), ERR_OK);
	assert_false(process_is_alive(pid));
	assert_int_equal(process_find(&(struct process_name){"sh", "-c", dir}), 0);
	free(longer);
}

static void all_of_a_name_are_stopped(void **state)
{
	(void)state;
	struct err err;
	pid_t one = start_sleeper(dir), two = start_sleeper(dir);
	assert_int_equal(process_stop(&(struct process_name){"sh", "-c", dir}, SIGTERM, 10000, &err), ERR_OK);
	assert_false(process_is_alive(one));
	assert_false(process_is_alive(two));
}

static void deaf_process_is_said(void **state)
{
	(void)state;
	const char *argv[] = {"/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 60; done", dir, NULL};
	pid_t pid = 0;
	struct err err = {0};
	struct buf text = {0};
	unlink(log_path);
	assert_int_equal(process_start(&(struct process_start){.argv = argv, .log = log_path}, &pid, &err), ERR_OK);
	while (strcmp(buf_str(&text), "ready\n") != 0)
		assert_int_equal(files_read_tail(log_path, 100, &text, &err), ERR_OK);
	assert_int_equal(process_stop(&(struct process_name){"sh", "-c", dir}, SIGTERM, 20, &err), ERR_TIMEOUT);
	assert_int_equal(process_stop(&(struct process_name){"sh", "-c", dir}, SIGKILL, 10000, &err), ERR_OK);
	buf_free(&text);
}

static void run_gives_the_status(void **state)
{
	(void)state;
	const char *argv[] = {"/bin/sh", "-c", "echo \"$(pwd) $0\"; exit 3", "two words", NULL};
	struct err err = {0};
	struct buf text = {0};
	int status = 0;
	unlink(log_path);
	assert_int_equal(
	    process_run(&(struct process_start){.argv = argv, .log = log_path, .dir = dir}, NULL, &status, &err), ERR_OK);
	assert_int_equal(status, 3);
	assert_int_equal(files_read_tail(log_path, 100, &text, &err), ERR_OK);
	char *expected = mem_printf("%s two words\n", dir);
	assert_string_equal(buf_str(&text), expected);
	struct stat st;
	assert_int_equal(stat(log_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	free(expected);
	buf_free(&text);
}

static void missing_program_is_said(void **state)
{
	(void)state;
	const char *argv[] = {"/nowhere/program", NULL};
	struct err err = {0};
	pid_t pid = 0;
	assert_int_equal(process_start(&(struct process_start){.argv = argv, .log = log_path}, &pid, &err), ERR_IO);
	assert_non_null(strstr(err.message, "/nowhere/program"));
	assert_null(process_program_path("no-such-program-anywhere"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(found_by_what_it_is),     cmocka_unit_test(all_of_a_name_are_stopped),
	    cmocka_unit_test(deaf_process_is_said),    cmocka_unit_test(run_gives_the_status),
	    cmocka_unit_test(missing_program_is_said),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
