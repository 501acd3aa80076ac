/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "meter.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>

#include <base/fd.h>
#include <base/io.h>
#include <base/log.h>

#include "notify.h"

/* Linux 6.16 and later; a number of its own beside the headers of Debian 12. */
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

#define DIRECTORY     "meter"
#define FD_PREFIX     "meter-"
#define SOCKET        "meter.sock"
#define FRESH         ".new"
#define HOSTS_FILE    "hosts"
#define HOSTNAME_FILE "hostname"

static const char *const entries[] = { SOCKET,           SOCKET FRESH,  HOSTS_FILE,
	                               HOSTS_FILE FRESH, HOSTNAME_FILE, HOSTNAME_FILE FRESH };

struct meter_kept {
	struct id tenant;
	int fd; /* FD_NONE: asked for */
};

static void fd_name(const struct id *id, char ret[sizeof(FD_PREFIX) + ID_TEXT_BYTES])
{
	memcpy(ret, FD_PREFIX, sizeof(FD_PREFIX) - 1);
	id_format(id, ret + sizeof(FD_PREFIX) - 1);
}

static void drop_kept(const struct id *id)
{
	char name[sizeof(FD_PREFIX) + ID_TEXT_BYTES];

	fd_name(id, name);
	notify_drop_fd(name);
}

static void on_kept(void *context, const char *rest, int fd)
{
	struct meters *meters = context;
	struct meter_kept *kept;
	struct id id;

	if (fd < 0 || id_parse(rest, &id) < 0) {
		fd_closep(&fd);
		return;
	}
	kept = realloc(meters->kept, (meters->kept_n + 1) * sizeof(*kept));
	if (kept == NULL) {
		fd_closep(&fd);
		drop_kept(&id);
		return;
	}
	meters->kept = kept;
	kept[meters->kept_n++] = (struct meter_kept){ id, fd };
}

void meters_take_kept(struct meters *meters, int first)
{
	notify_kept_each(FD_PREFIX, first, on_kept, meters);
}

int meters_open(struct meters *meters, const char *run_dir, struct tn_error *err)
{
	if (snprintf(meters->path, sizeof(meters->path), "%s/" DIRECTORY, run_dir) >=
	    (int)sizeof(meters->path))
		return err_refuse(err, TN_INVALID, "%s is too long", run_dir);
	/* What is in the tenants' directories is for everybody who comes to it, and that is
	 * who has one of them as a mount. */
	if (mkdir(meters->path, 0700) < 0 && errno != EEXIST)
		return err_errno(err, "create %s", meters->path);
	meters->dir_fd = open(meters->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return meters->dir_fd < 0 ? err_errno(err, "open %s", meters->path) : 0;
}

static int directory_open(const struct meters *meters, const struct id *id)
{
	char name[ID_TEXT_BYTES];

	id_format(id, name);
	return openat(meters->dir_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/* Whole or not at all: sandboxes look at it, and a tenantd before us may have been cut short.
 */
static int text_put(int dir_fd, const char *name, const char *content, struct tn_error *err)
{
	char fresh[sizeof(HOSTNAME_FILE FRESH)];
	cleanup_fd int fd = FD_NONE;
	int r;

	(void)snprintf(fresh, sizeof(fresh), "%s" FRESH, name);
	fd = openat(dir_fd, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return err_errno(err, "create /run/tenant/%s", name);
	r = io_write_all(fd, content, strlen(content));
	if (r < 0)
		return err_set(err, TN_SYSTEM, -r, "write /run/tenant/%s", name);
	return renameat(dir_fd, fresh, dir_fd, name) < 0
	               ? err_errno(err, "put /run/tenant/%s in its place", name)
	               : 0;
}

static int directory_make(const struct meters *meters, const struct id *id, const char *name,
                          struct tn_error *err)
{
	char text[ID_TEXT_BYTES], hosts[256];
	cleanup_fd int fd = FD_NONE;
	int r;

	id_format(id, text);
	if (mkdirat(meters->dir_fd, text, 0755) < 0 && errno != EEXIST)
		return err_errno(err, "create %s/%s", meters->path, text);
	fd = directory_open(meters, id);
	if (fd < 0)
		return err_errno(err, "open %s/%s", meters->path, text);
	(void)snprintf(hosts, sizeof(hosts), "127.0.0.1 localhost %s\n::1 localhost\n", name);
	r = text_put(fd, HOSTS_FILE, hosts, err);
	if (r == 0)
		r = text_put(fd, HOSTNAME_FILE, name, err);
	return r < 0 ? r : fd_take(&fd);
}

/* Made under another name and moved into place. Its path may be longer than an address is. */
static int socket_bind(int fd, int dir_fd, struct tn_error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const int none = 0;

	(void)snprintf(address.sun_path, sizeof(address.sun_path),
	               "/proc/self/fd/%d/" SOCKET FRESH, dir_fd);
	if (unlinkat(dir_fd, SOCKET FRESH, 0) < 0 && errno != ENOENT)
		return err_errno(err, "remove an old socket");
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return err_errno(err, "bind");
	/* Whoever takes a descriptor of a workload's would be the last to have its file, and
	 * pay for its end. */
	(void)setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &none, sizeof(none));
	if (fchmodat(dir_fd, SOCKET FRESH, 0666, 0) < 0 || listen(fd, METER_BACKLOG) < 0 ||
	    renameat(dir_fd, SOCKET FRESH, dir_fd, SOCKET) < 0)
		return err_errno(err, "listen");
	return 0;
}

static int socket_make(int dir_fd, struct tn_error *err)
{
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r = fd < 0 ? err_errno(err, "make a socket") : socket_bind(fd, dir_fd, err);

	return r < 0 ? r : fd_take(&fd);
}

bool meter_is_shut(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLRDHUP };

	return poll(&pollfd, 1, 0) != 0 &&
	       (pollfd.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0;
}

/* Of use, and still what the path leads to. */
static int kept_take(struct meters *meters, const struct id *id, int dir_fd)
{
	for (size_t i = 0; i < meters->kept_n; i++) {
		cleanup_fd int fd = FD_NONE;

		if (meters->kept[i].fd < 0 || !id_equal(&meters->kept[i].tenant, id))
			continue;
		fd = fd_take(&meters->kept[i].fd);
		if (!meter_is_shut(fd) &&
		    faccessat(dir_fd, SOCKET, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return fd_take(&fd);
		drop_kept(id);
	}
	return FD_NONE;
}

int meter_make(struct meters *meters, const struct id *id, const char *name, int *ret_fd,
               struct tn_error *err)
{
	cleanup_fd int dir_fd = directory_make(meters, id, name, err);
	char fd_text[sizeof(FD_PREFIX) + ID_TEXT_BYTES];
	int fd;

	if (dir_fd < 0)
		return err_wrap(err, dir_fd, "/run/tenant of '%s'", name);
	fd = kept_take(meters, id, dir_fd);
	if (fd < 0) {
		fd = socket_make(dir_fd, err);
		if (fd < 0)
			return err_wrap(err, fd, "meter socket of '%s'", name);
		fd_name(id, fd_text);
		notify_keep_fd(fd_text, fd);
	}
	meters->open_n++;
	*ret_fd = fd;
	return 0;
}

void meter_end(struct meters *meters, const struct id *id, int *fd)
{
	cleanup_fd int dir_fd = FD_NONE;

	if (*fd < 0)
		return;
	meters->open_n--;
	drop_kept(id);
	dir_fd = directory_open(meters, id);
	if (dir_fd >= 0)
		(void)unlinkat(dir_fd, SOCKET, 0);
	fd_closep(fd);
}

void meter_path(const struct meters *meters, const struct id *id, char *ret, size_t size)
{
	char text[ID_TEXT_BYTES];

	id_format(id, text);
	(void)snprintf(ret, size, "%s/%s", meters->path, text);
}

int meter_forget(struct meters *meters, const struct id *id, struct tn_error *err)
{
	cleanup_fd int dir_fd = directory_open(meters, id);
	char text[ID_TEXT_BYTES];

	id_format(id, text);
	if (dir_fd < 0)
		return errno == ENOENT ? 0 : err_errno(err, "open %s/%s", meters->path, text);
	for (size_t i = 0; i < ARRAY_LEN(entries); i++)
		if (unlinkat(dir_fd, entries[i], 0) < 0 && errno != ENOENT)
			return err_errno(err, "remove %s/%s/%s", meters->path, text,
			                 entries[i]);
	return unlinkat(meters->dir_fd, text, AT_REMOVEDIR) < 0
	               ? err_errno(err, "remove %s/%s", meters->path, text)
	               : 0;
}

/* Nobody has them any more, or has had a use for them. */
static void kept_drop(struct meters *meters)
{
	for (size_t i = 0; i < meters->kept_n; i++) {
		struct meter_kept *kept = &meters->kept[i];
		cleanup_fd int dir_fd = FD_NONE;

		if (kept->fd < 0)
			continue;
		drop_kept(&kept->tenant);
		dir_fd = directory_open(meters, &kept->tenant);
		if (dir_fd >= 0)
			(void)unlinkat(dir_fd, SOCKET, 0);
		fd_closep(&kept->fd);
	}
	free(meters->kept);
	meters->kept = NULL;
	meters->kept_n = 0;
}

void meters_sweep(struct meters *meters, bool (*is_known)(void *context, const struct id *id),
                  void *context)
{
	int list_fd = openat(meters->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = list_fd < 0 ? NULL : fdopendir(list_fd);
	struct tn_error err = { 0 };
	const struct dirent *entry;
	struct id id;

	kept_drop(meters);
	if (dir == NULL)
		fd_closep(&list_fd);
	while (dir != NULL && (entry = readdir(dir)) != NULL)
		if (id_parse(entry->d_name, &id) == 0 && !is_known(context, &id) &&
		    meter_forget(meters, &id, &err) < 0)
			log_event(LOG_WARNING, "what a deleted tenant's sandboxes saw is left",
			          LF_STR("error", err.msg), LF_END);
	if (dir != NULL)
		(void)closedir(dir);
}
