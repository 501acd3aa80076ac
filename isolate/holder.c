/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tenantd-holder: the process that keeps the delegated tree alive.
 *
 * systemd delegates only units that have a process, and restarting a delegated unit
 * over live tenants fails. So the tree belongs to a unit of its own whose one process
 * moves out of the unit's cgroup into .holder and sleeps; tenantd comes and goes
 * beside it. Stopping this process ends every tenant, so it does nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <base/io.h>
#include <base/log.h>

#include "notify.h"

#define HOLDER_CGROUP ".holder"

/* The directory of our own cgroup v2, from the line "0::PATH". */
static int own_cgroup_open(const char *mount)
{
	char text[4096], path[4200];
	ssize_t n = io_read_file_at(AT_FDCWD, "/proc/self/cgroup", text, sizeof(text));
	char *line, *end;

	if (n < 0)
		return (int)n;
	line = strstr(text, "0::");
	if (line == NULL)
		return -ENOENT;
	end = strchr(line, '\n');
	if (end != NULL)
		*end = '\0';
	(void)snprintf(path, sizeof(path), "%s%s", mount, line + strlen("0::"));

	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int move_to_own_leaf(void)
{
	cleanup_fd int dir = own_cgroup_open("/sys/fs/cgroup");

	if (dir < 0)
		return dir;
	if (mkdirat(dir, HOLDER_CGROUP, 0755) < 0 && errno != EEXIST)
		return -errno;
	return io_write_file_at(dir, HOLDER_CGROUP "/cgroup.procs", "0");
}

int main(void)
{
	sigset_t wanted;
	int signal, r = move_to_own_leaf();

	if (r < 0) {
		log_event(LOG_ERR, "cannot move into the holder's cgroup",
		          LF_STR("error", strerror(-r)), LF_END);
		return 1;
	}
	(void)sigemptyset(&wanted);
	(void)sigaddset(&wanted, SIGTERM);
	(void)sigaddset(&wanted, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &wanted, NULL);
	notify("READY=1");
	(void)sigwait(&wanted, &signal);
	return 0;
}
