/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "remover.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/log.h>

#include "storage.h"

#define REMOVER_NAME     "tenantd-remover"
#define REMOVER_NICE     19
#define NAME_BYTES       24
#define RENAME_TRIES_MAX 1000000

static bool is_self_or_parent(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/*
 * A directory that is not empty goes up to the top, under a number that is not taken there:
 * so there is never more than one level to be inside of, however deep a tenant has nested.
 */
static int raise_to_top(int top_fd, int from_fd, const char *name)
{
	static unsigned int number;
	char to[NAME_BYTES];

	for (int i = 0; i < RENAME_TRIES_MAX; i++) {
		(void)snprintf(to, sizeof(to), "%u", number++);
		if (renameat2(from_fd, name, top_fd, to, RENAME_NOREPLACE) == 0)
			return 0;
		if (errno != EEXIST)
			return -errno;
	}
	return -EEXIST;
}

static int entry_remove(int top_fd, int dir_fd, const char *name)
{
	if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	/* What unlink(2) says to a directory depends on the file system. */
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0)
		return 0;
	if (errno != ENOTEMPTY && errno != EEXIST)
		return -errno;
	return top_fd == dir_fd ? -ENOTEMPTY : raise_to_top(top_fd, dir_fd, name);
}

/* All that is in it, but for directories that have gone to @top_fd. Takes over @dir_fd. */
static int contents_remove(int top_fd, int dir_fd)
{
	DIR *dir = fdopendir(dir_fd);
	struct dirent *entry;
	int r = 0;

	if (dir == NULL) {
		(void)close(dir_fd);
		return -ENOMEM;
	}
	while (r == 0 && (entry = readdir(dir)) != NULL)
		if (!is_self_or_parent(entry->d_name))
			r = entry_remove(top_fd, dirfd(dir), entry->d_name);
	(void)closedir(dir);
	return r;
}

static int directory_open(int at_fd, const char *name)
{
	int fd = openat(at_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? -errno : fd;
}

static int directory_remove(int top_fd, const char *name)
{
	int fd = directory_open(top_fd, name);
	int r = fd < 0 ? fd : contents_remove(top_fd, fd);

	if (r == 0 && unlinkat(top_fd, name, AT_REMOVEDIR) < 0)
		r = -errno;
	return r;
}

/* One turn over what is at the top: 1 if there was something, 0, or -errno. */
static int top_turn(int top_fd)
{
	/* A descriptor of its own: with a place in the list that starts anew. */
	int fd = directory_open(top_fd, ".");
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int r = 0, found = 0;

	if (dir == NULL)
		return fd < 0 ? fd : -ENOMEM;
	while (r == 0 && (entry = readdir(dir)) != NULL) {
		if (is_self_or_parent(entry->d_name))
			continue;
		found = 1;
		r = entry_remove(top_fd, top_fd, entry->d_name);
		if (r == -ENOTEMPTY)
			r = directory_remove(top_fd, entry->d_name);
	}
	(void)closedir(dir);
	return r < 0 ? r : found;
}

int remover_remove(int dir_fd, const char *name)
{
	cleanup_fd int top_fd = directory_open(dir_fd, name);
	int r = top_fd < 0 ? top_fd : 1;

	if (r == -ENOENT)
		return 0;
	while (r > 0)
		r = top_turn(top_fd);
	if (r == 0 && unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		r = -errno;
	return r;
}

static int discarded_remove(const char *root, const struct id *tenant, struct tn_error *err)
{
	cleanup_fd int dir_fd = storage_discarded_open(root, err);
	char name[ID_TEXT_BYTES];
	int r;

	if (dir_fd < 0)
		return dir_fd == -ENOENT ? 0 : dir_fd;
	id_format(tenant, name);
	r = remover_remove(dir_fd, name);
	/* Or a loss of power could bring it back, when another tenant has its ids. Also where
	 * it was gone: who removed it may not have come to this. */
	if (r == 0 && fsync(dir_fd) < 0)
		r = -errno;
	return r < 0 ? err_set(err, TN_SYSTEM, -r, "remove %s of %s", name, root) : 0;
}

/* In a process of its own, at a low priority: nobody waits for it. */
static void run(const struct remover *remover, const struct id *tenant, pid_t parent)
	__attribute__((noreturn));
static void run(const struct remover *remover, const struct id *tenant, pid_t parent)
{
	struct tn_error err = { 0 };

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	(void)prctl(PR_SET_NAME, REMOVER_NAME, 0, 0, 0);
	(void)setpriority(PRIO_PROCESS, 0, REMOVER_NICE);
	/* Or we would keep, for as long as this takes, what others are done with: namespaces,
	 * terminals, cgroups. */
	if (getppid() != parent || close_range(STDERR_FILENO + 1, ~0u, 0) < 0)
		_exit(1);
	if (discarded_remove(remover->storage_root, tenant, &err) == 0)
		_exit(0);
	log_event(LOG_ERR, "what a deleted tenant stored cannot be removed",
	          LF_STR("error", err.msg), LF_END);
	_exit(1);
}

static int process_start(struct remover *remover, const struct id *tenant, struct tn_error *err)
{
	const pid_t self = getpid();

	remover->pid = fork();
	if (remover->pid == 0)
		run(remover, tenant, self);
	if (remover->pid < 0) {
		remover->pid = 0;
		return err_errno(err, "fork a remover");
	}
	remover->source.fd = (int)syscall(SYS_pidfd_open, remover->pid, 0);
	return remover->source.fd < 0 ? err_errno(err, "a remover's descriptor")
	                              : loop_add(remover->loop, &remover->source, EPOLLIN, err);
}

/* Its files are gone: another tenant may have the ids. */
static void slot_give_back(struct remover *remover)
{
	struct tn_error err = { 0 };

	if (slots_free(remover->slots, remover->slot, &err) == 0)
		return;
	remover->failed = true;
	log_event(LOG_ERR, "a deleted tenant's ids cannot be given back",
	          LF_STR("error", err.msg), LF_END);
}

static void process_forget(struct remover *remover)
{
	loop_remove(remover->loop, &remover->source);
	fd_closep(&remover->source.fd);
	remover->pid = 0;
}

static void next_from(struct remover *remover, int64_t from);

static void on_ended(void *context, uint32_t events)
{
	struct remover *remover = context;
	int64_t from = remover->slot + 1;
	int status = 0;
	bool gone;

	(void)events;
	gone = waitpid(remover->pid, &status, 0) == remover->pid && WIFEXITED(status) &&
	       WEXITSTATUS(status) == 0;
	process_forget(remover);
	if (gone)
		slot_give_back(remover);
	else
		remover->failed = true;
	/* What could not be removed is tried again when there is more to do, or later. */
	if (remover->look_anew)
		from = 0;
	remover->look_anew = false;
	next_from(remover, from);
}

/* Nothing is left that has not been tried. */
static void rest(struct remover *remover)
{
	const bool failed = remover->failed;

	remover->failed = false;
	if (remover->tried != NULL)
		remover->tried(remover->context, failed);
}

static void next_from(struct remover *remover, int64_t from)
{
	struct tn_error err = { 0 };
	struct id tenant;

	remover->slot = slots_retired(remover->slots, from, &tenant);
	if (remover->slot < 0) {
		rest(remover);
		return;
	}
	remover->source.ready = on_ended;
	remover->source.context = remover;
	if (process_start(remover, &tenant, &err) == 0)
		return;
	log_event(LOG_ERR, "nobody removes what a deleted tenant stored",
	          LF_STR("error", err.msg), LF_END);
	remover_stop(remover);
	remover->failed = true;
	rest(remover);
}

void remover_wake(struct remover *remover)
{
	if (remover->pid != 0)
		remover->look_anew = true;
	else
		next_from(remover, 0);
}

void remover_stop(struct remover *remover)
{
	if (remover->pid == 0)
		return;
	(void)kill(remover->pid, SIGKILL);
	(void)waitpid(remover->pid, NULL, 0);
	process_forget(remover);
}
