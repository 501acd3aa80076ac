/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A fake daemon per test, gone with the test's process. */
#ifndef TESTS_CLIENT_DAEMON_H
#define TESTS_CLIENT_DAEMON_H

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/wait.h>

#include <criterion/criterion.h>

#include <base/fd.h>
#include <fake/fake.h>
#include <tenant/run.h>

static struct tn_error err;
static char socket_path[64];
static pid_t daemon_pid;
static struct tn_client *client;

static inline void daemon_start(void)
{
	daemon_pid = fake_start(socket_path);
	cr_assert_gt(daemon_pid, 0);
}

static inline void daemon_stop(void)
{
	(void)kill(daemon_pid, SIGKILL);
	(void)waitpid(daemon_pid, NULL, 0);
	(void)unlink(socket_path);
}

static inline void set_up(void)
{
	(void)snprintf(socket_path, sizeof(socket_path), "/tmp/test-client-%d.sock", getpid());
	daemon_start();
	cr_assert_eq(tn_client_open(socket_path, &client, &err), 0, "%s", err.msg);
}

static inline void tear_down(void)
{
	client = tn_client_free(client);
	daemon_stop();
}

static inline int fds_open(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

#endif
