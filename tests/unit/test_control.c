/* The control socket: answers, who may use it, and that no client can hold up the others or the daemon's end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "admin/control.h"
#include "base/mem.h"
#include "node/files.h"

enum { TIMEOUT_MS = 10000, LARGE = 3 * 1024 * 1024 };

static char dir[] = "/tmp/test_control_XXXXXX";
static char *state_dir, *socket_path;

static int set_up(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	state_dir = mem_printf("%s/state", dir);
	socket_path = mem_printf("%s/syncline.sock", state_dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	struct err err;
	free(socket_path);
	free(state_dir);
	return files_remove_tree(dir, &err) == ERR_OK ? 0 : -1;
}

static void answer(void *context, const char *command, struct buf *ret)
{
	(void)context;
	if (strcmp(command, "large") == 0)
		memset(buf_reserve(ret, LARGE), 'x', LARGE), ret->size += LARGE;
	else if (strcmp(command, "nothing") != 0)
		buf_printf(ret, "you said %s\n", command);
}

static struct control_server *start(void)
{
	struct control_server *server = NULL;
	struct err err = {0};
	if (control_server_start(state_dir, answer, NULL, &server, &err) != ERR_OK)
		fail_msg("%s", err.message);
	return server;
}

static void expect_answer(const char *command, const char *expected)
{
	struct buf text = {0};
	struct err err = {0};
	buf_append_str(&text, "before ");
	if (control_call(state_dir, command, TIMEOUT_MS, &text, &err) != ERR_OK)
		fail_msg("%s", err.message);
	assert_memory_equal(buf_str(&text), "before ", 7);
	assert_string_equal(buf_str(&text) + 7, expected);
	buf_free(&text);
}

static int connect_raw(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static void call_and_answer(void **state)
{
	(void)state;
	mode_t mask = umask(0); /* nobody else may connect even so */
	struct control_server *server = start();
	umask(mask);
	struct stat st;
	assert_int_equal(stat(socket_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(state_dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	expect_answer("status", "you said status\n");
	expect_answer("a b", "you said a b\n");
	struct buf text = {0};
	struct err err = {0};
	assert_int_equal(control_call(state_dir, "nothing", TIMEOUT_MS, &text, &err), ERR_DISCONNECTED);
	assert_int_equal(text.size, 0);
	control_server_stop(server);
	assert_int_not_equal(stat(socket_path, &st), 0);
	assert_int_equal(control_call(state_dir, "status", TIMEOUT_MS, &text, &err), ERR_DISCONNECTED);
	buf_free(&text);
	control_server_stop(NULL);
}

static void large_answer(void **state)
{
	(void)state;
	struct control_server *server = start();
	struct buf text = {0};
	struct err err = {0};
	assert_int_equal(control_call(state_dir, "large", TIMEOUT_MS, &text, &err), ERR_OK);
	assert_int_equal(text.size, LARGE);
	buf_free(&text);
	control_server_stop(server);
}

/* A daemon that hangs accepts nobody. Monitoring that asks it each minute fills its queue; from then on to connect
 * would take for ever, and the monitoring hangs, too, instead of telling. */
static void a_daemon_that_hangs(void **state)
{
	(void)state;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct buf text = {0};
	struct err err = {0};
	snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	unlink(socket_path);
	mkdir(state_dir, 0700);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(listener, 1), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(control_call(state_dir, "status", 30, &text, &err), ERR_TIMEOUT);
	assert_int_equal(text.size, 0);
	close(listener);
	unlink(socket_path);
	buf_free(&text);
}

/* Sixteen clients that say nothing take every slot; they lose it when their time is up, and the next one is served. */
static void silent_clients_lose_their_place(void **state)
{
	(void)state;
	struct control_server *server = start();
	int silent[16];
	for (int i = 0; i < 16; i++)
		silent[i] = connect_raw();
	expect_answer("status", "you said status\n");
	char byte;
	for (int i = 0; i < 16; i++) {
		assert_int_equal(recv(silent[i], &byte, 1, 0), 0); /* closed on it */
		close(silent[i]);
	}
	control_server_stop(server);
}

static void one_silent_client_holds_up_nobody(void **state)
{
	(void)state;
	struct control_server *server = start();
	int silent = connect_raw(), half = connect_raw(), gone = connect_raw();
	assert_int_equal(send(half, "sta", 3, MSG_NOSIGNAL), 3);
	close(gone);
	expect_answer("status", "you said status\n");
	assert_int_equal(send(half, "tus\n", 4, MSG_NOSIGNAL), 4);
	char text[64] = {0};
	assert_int_equal(recv(half, text, 16, MSG_WAITALL), 16);
	assert_string_equal(text, "you said status\n");
	control_server_stop(server); /* does not wait for the silent one */
	close(half);
	close(silent);
}

static void long_commands_are_refused(void **state)
{
	(void)state;
	struct control_server *server = start();
	char *command = mem_alloc(256);
	memset(command, 'x', 255);
	char *expected = mem_printf("you said %s\n", command);
	expect_answer(command, expected);
	free(expected);
	free(command);
	int fd = connect_raw();
	char bytes[256], text[64] = {0};
	memset(bytes, 'x', sizeof bytes);
	assert_int_equal(send(fd, bytes, sizeof bytes, MSG_NOSIGNAL), sizeof bytes);
	assert_true(recv(fd, text, sizeof text - 1, 0) > 0);
	assert_non_null(strstr(text, "too long"));
	close(fd);
	control_server_stop(server);
}

static void one_daemon_a_folder(void **state)
{
	(void)state;
	struct control_server *server = start(), *other = NULL;
	struct err err = {0};
	assert_int_equal(control_server_start(state_dir, answer, NULL, &other, &err), ERR_CONFIG);
	assert_non_null(strstr(err.message, "another syncline runs here"));
	assert_null(other);
	expect_answer("status", "you said status\n"); /* the first is none the worse */
	control_server_stop(server);
}

/* kill -9 leaves the socket file behind; the next daemon takes its place. */
static void stale_socket_is_replaced(void **state)
{
	(void)state;
	pid_t pid = fork();
	if (pid == 0) {
		struct control_server *server;
		struct err err;
		_exit(control_server_start(state_dir, answer, NULL, &server, &err) == ERR_OK ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(access(socket_path, F_OK), 0);
	struct control_server *server = start();
	expect_answer("status", "you said status\n");
	control_server_stop(server);
}

static void pausing(void **state)
{
	(void)state;
	struct err err;
	assert_false(control_is_paused(state_dir, 2));
	assert_int_equal(control_pause(state_dir, 2, &err), ERR_OK);
	assert_int_equal(control_pause(state_dir, 2, &err), ERR_OK);
	assert_true(control_is_paused(state_dir, 2));
	assert_false(control_is_paused(state_dir, 22));
	assert_int_equal(control_resume(state_dir, 2, &err), ERR_OK);
	assert_int_equal(control_resume(state_dir, 2, &err), ERR_OK);
	assert_false(control_is_paused(state_dir, 2));
	assert_int_equal(control_pause("/nowhere/at/all", 2, &err), ERR_IO);
}

static void too_long_a_path(void **state)
{
	(void)state;
	struct control_server *server = NULL;
	struct err err = {0};
	char *path = mem_printf("%s/%0100d", dir, 1);
	assert_int_equal(control_server_start(path, answer, NULL, &server, &err), ERR_CONFIG);
	assert_non_null(strstr(err.message, "shorter state-dir"));
	assert_int_not_equal(access(path, F_OK), 0); /* nothing was made */
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(call_and_answer),
	    cmocka_unit_test(a_daemon_that_hangs),
	    cmocka_unit_test(large_answer),
	    cmocka_unit_test(silent_clients_lose_their_place),
	    cmocka_unit_test(one_silent_client_holds_up_nobody),
	    cmocka_unit_test(long_commands_are_refused),
	    cmocka_unit_test(one_daemon_a_folder),
	    cmocka_unit_test(stale_socket_is_replaced),
	    cmocka_unit_test(pausing),
	    cmocka_unit_test(too_long_a_path),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
