/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The wait for a daemon that went away, and its end. */
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <client/rejoin.h>

#include "daemon.h"

TestSuite(rejoin, .timeout = 30);

static struct rejoin rejoin = REJOIN_INIT;

static void lose(void)
{
	(void)snprintf(socket_path, sizeof(socket_path), "/tmp/test-rejoin-%d.sock", getpid());
	rejoin.path = strdup(socket_path);
	cr_assert_eq(rejoin_begin(&rejoin, 0, &err), 0, "%s", err.msg);
}

/* When it is time. */
static int try_again(struct varlink **ret)
{
	struct pollfd ready = { .fd = rejoin.epoll_fd, .events = POLLIN };

	cr_assert_eq(poll(&ready, 1, 5000), 1);
	return rejoin_try(&rejoin, FAKE_EXECUTION_ID, ret, &err);
}

static void expect_given_up(int r)
{
	cr_expect_eq(r, -EPIPE);
	cr_expect_eq(err.code, TN_UNREACHABLE);
	cr_expect_neq(strstr(err.msg, "has not come back within 60 s"), NULL, "%s", err.msg);
}

Test(rejoin, tries_until_the_time_is_over)
{
	int before = fds_open();
	struct varlink *link = NULL;

	lose();
	for (int i = 0; i < 3; i++)
		cr_expect_eq(try_again(&link), 0);
	rejoin.deadline = 0;
	expect_given_up(try_again(&link));
	cr_expect_null(link);
	rejoin_done(&rejoin);
	cr_expect_eq(fds_open(), before);
}

Test(rejoin, waits_first_for_as_long_as_it_is_told_to)
{
	struct pollfd ready = { .events = POLLIN };
	struct varlink *link = NULL;

	cr_assert_eq(rejoin_begin(&rejoin, 3600000, &err), 0, "%s", err.msg);
	ready.fd = rejoin.epoll_fd;
	cr_expect_eq(poll(&ready, 1, 200), 0);
	cr_expect_eq(rejoin_try(&rejoin, FAKE_EXECUTION_ID, &link, &err), 0);
	rejoin_done(&rejoin);
}

/* As systemd keeps it open for a daemon that does not start. */
Test(rejoin, does_not_wait_for_ever_on_a_socket_that_nobody_reads)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct pollfd ready = { .events = POLLIN };
	struct varlink *link = NULL;
	int fd;

	lose();
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	memcpy(address.sun_path, socket_path, strlen(socket_path));
	cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(listen(fd, 4), 0);
	cr_assert_eq(try_again(&link), 1);
	cr_expect_eq(rejoin_check(&rejoin, &err), 0);
	rejoin.deadline = 0;
	/* It is woken for that. */
	ready.fd = rejoin.epoll_fd;
	cr_expect_eq(poll(&ready, 1, 5000), 1);
	expect_given_up(rejoin_check(&rejoin, &err));
	varlink_free(link);
	rejoin_done(&rejoin);
	(void)close(fd);
	(void)unlink(socket_path);
}
