/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "squeeze.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <syslog.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/io.h>
#include <base/log.h>

#include "spec.h"

#define SQUEEZE_NAME   "tenantd-squeeze"
#define HIGH_FILE      "memory.high"
#define HIGH_BYTES_MAX 32
/* Only who has CAP_SYS_ADMIN sees it, or writes it. */
#define BEFORE_XATTR "trusted.tenantd.memory_high"

static void high_format(int64_t high_bytes, char text[static HIGH_BYTES_MAX])
{
	if (high_bytes == SPEC_UNLIMITED)
		(void)snprintf(text, HIGH_BYTES_MAX, "max");
	else
		(void)snprintf(text, HIGH_BYTES_MAX, "%" PRId64, high_bytes);
}

/* Extended attributes need more than a path to the node. */
static int node_open(int node_fd, struct tn_error *err)
{
	int fd = openat(node_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? err_errno(err, "open the tenant's cgroup") : fd;
}

/* What it was before the first of several that follow each other is what counts. */
static int before_keep(int node_fd, struct tn_error *err)
{
	cleanup_fd int fd = node_open(node_fd, err);
	char text[HIGH_BYTES_MAX];
	ssize_t n;

	if (fd < 0)
		return fd;
	n = io_read_file_at(fd, HIGH_FILE, text, sizeof(text));
	if (n < 0)
		return err_set(err, TN_SYSTEM, (int)-n, "read " HIGH_FILE);
	n = (ssize_t)strcspn(text, "\n");
	if (fsetxattr(fd, BEFORE_XATTR, text, (size_t)n, XATTR_CREATE) < 0 && errno != EEXIST)
		return err_errno(err, "note what " HIGH_FILE " is");
	return 0;
}

/* It is to be so much. */
static int before_set(int node_fd, int64_t high_bytes, struct tn_error *err)
{
	cleanup_fd int fd = node_open(node_fd, err);
	char text[HIGH_BYTES_MAX];

	if (fd < 0)
		return fd;
	high_format(high_bytes, text);
	if (fsetxattr(fd, BEFORE_XATTR, text, strlen(text), 0) < 0)
		return err_errno(err, "note what " HIGH_FILE " is");
	return 0;
}

/* Forget it, and with @back put it back first: 1 if there was something, 0, or -errno. */
static int before_end(int node_fd, bool back, struct tn_error *err)
{
	cleanup_fd int fd = node_open(node_fd, err);
	char text[HIGH_BYTES_MAX] = "";
	ssize_t n;
	int r = 0;

	if (fd < 0)
		return fd;
	n = fgetxattr(fd, BEFORE_XATTR, text, sizeof(text) - 1);
	if (n < 0 && (errno == ENODATA || errno == ENOTSUP))
		return 0;
	if (n < 0)
		return err_errno(err, "what " HIGH_FILE " was");
	/* It is not below what is in use: nothing is taken back for it, and nobody waits. */
	if (back)
		r = io_write_file_at(fd, HIGH_FILE, text);
	if (r < 0)
		return err_set(err, TN_SYSTEM, -r, "write '%s' to " HIGH_FILE, text);
	if (fremovexattr(fd, BEFORE_XATTR) < 0)
		return err_errno(err, "forget what " HIGH_FILE " was");
	return 1;
}

int squeeze_recover(int node_fd, struct tn_error *err)
{
	return before_end(node_fd, true, err);
}

static void run(int node_fd, int64_t high_bytes, pid_t parent) __attribute__((noreturn));
static void run(int node_fd, int64_t high_bytes, pid_t parent)
{
	char text[HIGH_BYTES_MAX];
	int fd;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	(void)prctl(PR_SET_NAME, SQUEEZE_NAME, 0, 0, 0);
	high_format(high_bytes, text);
	fd = openat(node_fd, HIGH_FILE, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	/* Nothing of tenantd's is kept open for as long as this takes. */
	if (fd < 0 || getppid() != parent || dup2(fd, STDIN_FILENO) < 0 ||
	    close_range(STDERR_FILENO + 1, ~0u, 0) < 0)
		_exit(1);
	_exit(write(STDIN_FILENO, text, strlen(text)) < 0);
}

static void before_put_back(const struct squeeze *squeeze)
{
	struct tn_error err = { 0 };

	if (before_end(squeeze->node_fd, true, &err) < 0)
		log_event(LOG_ERR, "a tenant's " HIGH_FILE " is lower than its limits say",
		          LF_STR("error", err.msg), LF_END);
}

static void process_forget(struct squeeze *squeeze)
{
	loop_remove(squeeze->loop, &squeeze->source);
	fd_closep(&squeeze->source.fd);
	squeeze->pid = 0;
}

static void on_ended(void *context, uint32_t events)
{
	struct squeeze *squeeze = context;

	(void)events;
	(void)waitpid(squeeze->pid, NULL, 0);
	process_forget(squeeze);
	/* Its write may have come after the one that put things right. */
	if (!squeeze->held)
		before_put_back(squeeze);
}

static int process_start(struct squeeze *squeeze, int64_t high_bytes, struct tn_error *err)
{
	const pid_t self = getpid();

	squeeze->pid = fork();
	if (squeeze->pid == 0)
		run(squeeze->node_fd, high_bytes, self);
	if (squeeze->pid < 0) {
		squeeze->pid = 0;
		return err_errno(err, "fork a process to lower " HIGH_FILE);
	}
	squeeze->source = (struct loop_source){ (int)syscall(SYS_pidfd_open, squeeze->pid, 0),
		                                on_ended, squeeze };
	return squeeze->source.fd < 0 ? err_errno(err, "watch who lowers " HIGH_FILE)
	                              : loop_add(squeeze->loop, &squeeze->source, EPOLLIN, err);
}

void squeeze_stop(struct squeeze *squeeze)
{
	if (squeeze->pid == 0)
		return;
	(void)kill(squeeze->pid, SIGKILL);
	(void)waitpid(squeeze->pid, NULL, 0);
	process_forget(squeeze);
}

void squeeze_undo(struct squeeze *squeeze)
{
	if (!squeeze->held)
		return;
	squeeze->held = false;
	/* It may be about to write: what was is put back when it has ended. */
	if (squeeze->pid > 0)
		(void)kill(squeeze->pid, SIGKILL);
	else
		before_put_back(squeeze);
}

void squeeze_end(struct squeeze *squeeze, int64_t high_bytes)
{
	struct tn_error err = { 0 };
	int r;

	if (!squeeze->held)
		return;
	squeeze->held = false;
	if (squeeze->pid == 0) {
		r = before_end(squeeze->node_fd, false, &err);
	} else {
		/* What is to be put right once it has ended. */
		(void)kill(squeeze->pid, SIGKILL);
		r = before_set(squeeze->node_fd, high_bytes, &err);
	}
	if (r < 0)
		log_event(LOG_ERR, "a tenant's " HIGH_FILE " may come to be another",
		          LF_STR("error", err.msg), LF_END);
}

int squeeze_begin(struct squeeze *squeeze, int64_t high_bytes, struct tn_error *err)
{
	int r;

	if (squeeze->pid > 0)
		return err_set(err, TN_STATE, EBUSY, "memory is being taken back already");
	r = before_keep(squeeze->node_fd, err);
	if (r < 0)
		return r;
	squeeze->held = true;
	r = process_start(squeeze, high_bytes, err);
	if (r < 0) {
		squeeze_stop(squeeze);
		squeeze_undo(squeeze);
	}
	return r;
}
