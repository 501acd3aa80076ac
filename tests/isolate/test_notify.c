/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/fd.h>
#include <isolate/notify.h>

#include "rig.h"

TestSuite(notify, .timeout = 20, .init = rig_dir_make, .fini = rig_dir_remove);

/* systemd's end: a socket of @name, whose first byte '@' stands for NUL. */
static int listener(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(address.sun_path, name, strlen(name));
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	cr_assert_eq(bind(fd, (struct sockaddr *)&address,
	                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
	             0);
	cr_assert_eq(setenv("NOTIFY_SOCKET", name, 1), 0);
	return fd;
}

static void told(int fd, const char *expected)
{
	char text[64] = "";
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	cr_assert_geq(n, 0, "nothing was told");
	cr_expect_str_eq(text, expected);
}

Test(notify, tells_systemd_by_a_path_or_an_abstract_name)
{
	char name[64];
	int fd = listener(rig_path("notify"));

	notify("READY=1");
	told(fd, "READY=1");
	(void)snprintf(name, sizeof(name), "@tn-notify-%d", (int)getpid());
	fd = listener(name);
	notify("STATUS=3 tenants\nWATCHDOG=1");
	told(fd, "STATUS=3 tenants\nWATCHDOG=1");
}

/* The text is the controller's, which is not trusted. */
Test(notify, lets_nobody_say_more_than_a_status_or_hold_us_up)
{
	int fd = listener(rig_path("notify"));
	char text[64];

	notify_status("fine\nMAINPID=1\x7f\xff");
	told(fd, "STATUS=fine?MAINPID=1??");
	/* Far more than the socket takes. */
	for (int i = 0; i < 100000; i++)
		notify_status("busy");
	cr_expect_gt(recv(fd, text, sizeof(text), 0), 0);
}

Test(notify, is_silent_when_nobody_listens)
{
	char text[200];
	int fd = listener(rig_path("notify"));

	(void)unsetenv("NOTIFY_SOCKET");
	notify("READY=1");
	(void)setenv("NOTIFY_SOCKET", "relative", 1);
	notify("READY=1");
	memset(text, 'x', sizeof(text) - 1);
	text[0] = '/';
	text[sizeof(text) - 1] = '\0';
	(void)setenv("NOTIFY_SOCKET", text, 1);
	notify("READY=1");
	cr_expect_lt(recv(fd, text, sizeof(text), 0), 0);
	cr_expect_eq(errno, EAGAIN);
}

Test(notify, feeds_the_watchdog_twice_as_often_as_is_due)
{
	static const char *const none[] = { "", "0", "x", "-5", "30s" };

	(void)unsetenv("WATCHDOG_USEC");
	cr_expect_eq(notify_watchdog_usec(), 0);
	(void)setenv("WATCHDOG_USEC", "30000000", 1);
	cr_expect_eq(notify_watchdog_usec(), 15000000);
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		(void)setenv("WATCHDOG_USEC", none[i], 1);
		cr_expect_eq(notify_watchdog_usec(), 0, "'%s'", none[i]);
	}
}

Test(notify, hands_a_descriptor_over_to_be_kept)
{
	int fd = listener(rig_path("notify")), got = FD_NONE;
	int file = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	const struct cmsghdr *head;
	char text[128] = "", control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { text, sizeof(text) - 1 };
	struct msghdr message = { .msg_iov = &iov,
		                  .msg_iovlen = 1,
		                  .msg_control = control,
		                  .msg_controllen = sizeof(control) };
	char byte = 'x';

	notify_keep_fd("control", file);
	cr_assert_gt(recvmsg(fd, &message, MSG_CMSG_CLOEXEC), 0);
	cr_expect_str_eq(text, "FDSTORE=1\nFDNAME=control");
	head = CMSG_FIRSTHDR(&message);
	if (head != NULL)
		memcpy(&got, CMSG_DATA(head), sizeof(got));
	cr_assert_geq(got, 0, "no descriptor came");
	cr_expect_eq(read(got, &byte, 1), 1);
	cr_expect_eq(byte, 0);
	(void)close(got);
	(void)close(file);
	(void)close(fd);
}

Test(notify, has_a_kept_descriptor_closed)
{
	int fd = listener(rig_path("notify"));

	notify_drop_fd("control");
	told(fd, "FDSTOREREMOVE=1\nFDNAME=control");
	(void)close(fd);
}

/* As systemd starts a service: with these variables, and descriptors from 3 on. */
static void be_given(int pid, const char *count)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%d", pid);
	(void)setenv("LISTEN_PID", text, 1);
	(void)setenv("LISTEN_FDS", count, 1);
	(void)setenv("LISTEN_FDNAMES", "stdin:control", 1);
}

/* In a process of its own, whose descriptors are nobody else's. The number of the first check
 * that fails, or 0. */
static int finds_what_was_kept(void)
{
	int null = fcntl(open("/dev/null", O_RDONLY), F_DUPFD, 20);
	int zero = fcntl(open("/dev/zero", O_RDONLY), F_DUPFD, 20), fd;
	char byte = 'x';

	if (dup2(null, 3) != 3 || dup2(zero, 4) != 4)
		return 1;
	be_given(getppid(), "2");
	if (notify_kept_fd("control", 30) != FD_NONE)
		return 2;
	be_given(getpid(), "2");
	if (notify_kept_fd("contro", 30) != FD_NONE)
		return 3;
	be_given(getpid(), "1");
	if (notify_kept_fd("control", 30) != FD_NONE)
		return 4;
	be_given(getpid(), "2");
	fd = notify_kept_fd("control", 30);
	if (fd < 30 || read(fd, &byte, 1) != 1 || byte != 0)
		return 5;
	if ((fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0)
		return 6;
	/* Moved, not copied; and nothing else has been touched. */
	return fcntl(4, F_GETFD) == -1 && fcntl(3, F_GETFD) != -1 ? 0 : 7;
}

Test(notify, finds_what_was_kept_by_its_name)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0)
		_exit(finds_what_was_kept());
	cr_assert(pid > 0 && waitpid(pid, &status, 0) == pid);
	cr_expect(WIFEXITED(status));
	cr_expect_eq(WEXITSTATUS(status), 0, "check %d", WEXITSTATUS(status));
}
