/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guard.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/err.h>
#include <base/fd.h>

#include "signals.h"

void guard_note_started(struct guard *guard, const char *id)
{
	(void)snprintf(guard->shared->id, sizeof(guard->shared->id), "%s", id);
	guard->shared->started = true;
}

const char *guard_id(const struct guard *guard)
{
	return guard->shared != NULL && guard->shared->started ? guard->shared->id : NULL;
}

int guard_raw(struct guard *guard, struct tn_error *err)
{
	/* Before, so that there is no moment in which nobody would know. */
	guard->shared->raw = guard->terminal.present;
	return terminal_raw(&guard->terminal, err);
}

void guard_restore(struct guard *guard)
{
	if (guard->shared == NULL || !guard->shared->raw)
		return;
	terminal_restore(&guard->terminal);
	guard->shared->raw = false;
}

void guard_done(struct guard *guard)
{
	if (guard->shared != NULL)
		(void)munmap(guard->shared, sizeof(*guard->shared));
	guard->shared = NULL;
	fd_closep(&guard->signal_fd);
}

/* A pipe that is full has a reader that is beyond help: then the signal is lost. */
static void pass_signals(struct guard *guard, int signal_fd, int to)
{
	struct signalfd_siginfo info;

	while (read(signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (!signals_mean_us(&info)) {
			(void)!write(to, &info, sizeof(info));
			continue;
		}
		guard_restore(guard);
		signals_take_default((int)info.ssi_signo);
	}
}

/* Until the process of @pid_fd has ended. */
static void watch(struct guard *guard, int pid_fd, int signal_fd, int to)
{
	struct pollfd fds[] = {
		{ .fd = pid_fd, .events = POLLIN },
		{ .fd = signal_fd, .events = POLLIN },
	};

	while (fds[0].revents == 0) {
		if (poll(fds, ARRAY_LEN(fds), -1) < 0)
			continue;
		if (fds[1].revents != 0)
			pass_signals(guard, signal_fd, to);
	}
}

static int wait_for(struct guard *guard, pid_t pid, int signal_fd, int to, int *ret_status,
                    struct tn_error *err)
{
	cleanup_fd int pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	int status = 0;

	if (pid_fd < 0) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, &status, 0);
		return err_errno(err, "watch over the terminal: %s", strerror(errno));
	}
	watch(guard, pid_fd, signal_fd, to);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	guard_restore(guard);
	if (!WIFEXITED(status))
		return err_set(
			err, TN_SYSTEM, EPIPE,
			"the process that held the terminal was killed by signal %d, and "
			"the run ended with it",
			WTERMSIG(status));
	*ret_status = WEXITSTATUS(status);
	return 1;
}

int guard_fork(struct guard *guard, int signal_fd, int *ret_status, struct tn_error *err)
{
	cleanup_fd int from = FD_NONE, to = FD_NONE;
	void *shared = mmap(NULL, sizeof(*guard->shared), PROT_READ | PROT_WRITE,
	                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int ends[2];
	pid_t pid;

	guard->signal_fd = FD_NONE;
	if (shared == MAP_FAILED || pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_errno(err, "watch over the terminal: %s", strerror(errno));
	guard->shared = shared;
	from = ends[0];
	to = ends[1];
	/* Who ignores it, as our caller may, has nothing to wait for. */
	(void)signal(SIGCHLD, SIG_DFL);
	pid = fork();
	if (pid < 0)
		return err_errno(err, "watch over the terminal: %s", strerror(errno));
	if (pid > 0) {
		fd_closep(&from);
		return wait_for(guard, pid, signal_fd, to, ret_status, err);
	}
	guard->signal_fd = fd_take(&from);
	return 0;
}
