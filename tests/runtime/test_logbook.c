/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* runtime/logs/logbook.c: which logs there are, and how one begins. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/fdpass.h>
#include <logs/handover.h>
#include <logs/logbook.h>

static char dir[] = "/tmp/tn-logbook-XXXXXX";
static char socket_path[64];
static struct logbook book;
static int listen_fd = FD_NONE;

static void begin(void)
{
	struct tn_error err = { 0 };

	cr_assert_not_null(mkdtemp(dir));
	(void)snprintf(socket_path, sizeof(socket_path), "%s/logger", dir);
	cr_assert_eq(logbook_init(&book, dir, socket_path, &err), 0, "%s", err.msg);
}

static void end(void)
{
	char command[64];

	logbook_done(&book);
	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	cr_expect_eq(system(command), 0);
}

TestSuite(logbook, .timeout = 20, .init = begin, .fini = end);

static void logger_listen(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	memcpy(address.sun_path, socket_path, strlen(socket_path) + 1);
	listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(listen(listen_fd, 512), 0);
}

static struct ring_about about(uint8_t number)
{
	return (struct ring_about){ .tenant = { { 9 } },
		                    .execution = { { number } },
		                    .bytes_max = RING_BYTES_MIN };
}

static int begin_one(uint8_t number, int fds[static 3])
{
	const struct ring_about it = about(number);
	struct tn_error err = { 0 };

	return logbook_begin(&book, &it, fds, &err);
}

static bool is_there(uint8_t number)
{
	const struct ring_about it = about(number);
	struct tn_error err = { 0 };
	int fd = logbook_open(&book, &it.tenant, &it.execution, &err);

	cr_expect(fd >= 0 || err.code == TN_NOT_FOUND, "%s", err.msg);
	if (fd >= 0)
		(void)close(fd);
	return fd >= 0;
}

Test(logbook, hands_over_what_an_execution_will_write_and_where_it_goes)
{
	struct handover message = { 0 };
	struct tn_error err = { 0 };
	struct ring ring;
	int fds[3], taken[HANDOVER_FDS_N], fd;
	size_t n = 0;
	char text[8] = "";

	logger_listen();
	cr_assert_eq(begin_one(1, fds), 0);
	/* Whoever asked may be gone by the time that it is taken. */
	fd = accept(listen_fd, NULL, NULL);
	cr_assert_eq(
		fdpass_recv(fd, &message, sizeof(message), taken, HANDOVER_FDS_N, &n, &err),
		(int)sizeof(message), "%s", err.msg);
	cr_assert_eq(n, HANDOVER_FDS_N);
	cr_expect_eq(message.magic, HANDOVER_MAGIC);
	cr_assert_eq(write(fds[1], "o", 1), 1);
	cr_assert_eq(write(fds[2], "e", 1), 1);
	cr_expect_eq(read(taken[HANDOVER_STDOUT], text, 8), 1);
	cr_expect_eq(text[0], 'o');
	cr_expect_eq(read(taken[HANDOVER_STDERR], text, 8), 1);
	cr_expect_eq(text[0], 'e');
	cr_expect_eq(read(fds[0], text, 8), 0, "it reads nothing");
	cr_assert_eq(ring_open(&ring, taken[HANDOVER_FILE], &err), 0);
	cr_expect_eq(ring.about.execution.bytes[0], 1);
	cr_expect(is_there(1));
	cr_expect_not(is_there(2));
}

Test(logbook, leaves_nothing_where_there_is_no_logger_or_no_launch)
{
	const struct ring_about it = about(1);
	struct tn_error err = { 0 };
	int fds[3];

	cr_expect_lt(logbook_begin(&book, &it, fds, &err), 0);
	cr_expect_eq(err.code, TN_STATE);
	cr_expect_not_null(strstr(err.msg, "tenantd-logger"), "%s", err.msg);
	cr_expect_not(is_there(1));
	logger_listen();
	cr_assert_eq(begin_one(1, fds), 0);
	cr_expect(is_there(1));
	logbook_drop(&book, &it.tenant, &it.execution);
	cr_expect_not(is_there(1));
}

/* By a client that asks again, after a controller that died in between. */
Test(logbook, begins_anew_what_was_begun_and_never_launched)
{
	const struct ring_about it = about(1);
	struct tn_error err = { 0 };
	struct ring ring;
	int fds[3], fd;

	logger_listen();
	cr_assert_eq(begin_one(1, fds), 0);
	fd = logbook_open(&book, &it.tenant, &it.execution, &err);
	cr_assert_eq(begin_one(1, fds), 0, "%s", err.msg);
	cr_assert_eq(ring_open(&ring, fd, &err), 0, "who reads the old one is not disturbed");
	cr_expect(is_there(1));
	(void)close(fd);
}

Test(logbook, keeps_the_last_of_a_tenant_and_forgets_all_of_one)
{
	const struct ring_about it = about(1);
	struct tn_error err = { 0 };
	int fds[3];

	logger_listen();
	for (int i = 1; i <= LOGBOOK_KEPT_MAX + 2; i++) {
		cr_assert_eq(begin_one((uint8_t)i, fds), 0);
		for (int k = 0; k < 3; k++)
			(void)close(fds[k]);
	}
	cr_expect_not(is_there(1));
	cr_expect_not(is_there(2));
	cr_expect(is_there(3));
	cr_expect(is_there(LOGBOOK_KEPT_MAX + 2));
	cr_assert_eq(logbook_forget(&book, &it.tenant, &err), 0, "%s", err.msg);
	cr_expect_not(is_there(3));
	cr_expect_eq(logbook_forget(&book, &it.tenant, &err), 0, "again");
}
