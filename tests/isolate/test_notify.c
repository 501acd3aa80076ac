/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
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
