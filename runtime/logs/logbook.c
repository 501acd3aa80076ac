/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "logbook.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/fdpass.h>

#include "handover.h"

#define LOGBOOK_DIR "logs"

int logbook_init(struct logbook *logbook, const char *store_dir, const char *socket,
                 struct tn_error *err)
{
	cleanup_fd int store_fd = open(store_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	*logbook = (struct logbook){ .dir_fd = FD_NONE,
		                     .socket = socket != NULL ? socket : LOGGER_SOCKET_PATH };
	if (store_fd < 0 || (mkdirat(store_fd, LOGBOOK_DIR, 0700) < 0 && errno != EEXIST))
		return err_errno(err, "%s/" LOGBOOK_DIR ": %s", store_dir, strerror(errno));
	logbook->dir_fd = openat(store_fd, LOGBOOK_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (logbook->dir_fd < 0)
		return err_errno(err, "%s/" LOGBOOK_DIR ": %s", store_dir, strerror(errno));
	return 0;
}

void logbook_done(struct logbook *logbook)
{
	fd_closep(&logbook->dir_fd);
}

static int tenant_open(const struct logbook *logbook, const struct id *tenant)
{
	char name[ID_TEXT_BYTES];

	id_format(tenant, name);
	return openat(logbook->dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* How many there are, and which began first. */
static size_t oldest_find(int dir_fd, char ret[static ID_TEXT_BYTES])
{
	const int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;
	struct statx stat, first = { 0 };
	size_t n = 0;

	if (dir == NULL) {
		if (fd >= 0)
			(void)close(fd);
		return 0;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (strlen(entry->d_name) != ID_TEXT_BYTES - 1 ||
		    statx(dir_fd, entry->d_name, AT_SYMLINK_NOFOLLOW, STATX_BTIME | STATX_INO,
		          &stat) < 0)
			continue;
		if (n++ > 0 && (stat.stx_btime.tv_sec > first.stx_btime.tv_sec ||
		                (stat.stx_btime.tv_sec == first.stx_btime.tv_sec &&
		                 stat.stx_btime.tv_nsec >= first.stx_btime.tv_nsec)))
			continue;
		first = stat;
		memcpy(ret, entry->d_name, ID_TEXT_BYTES);
	}
	(void)closedir(dir);
	return n;
}

static void make_room(int dir_fd)
{
	char oldest[ID_TEXT_BYTES] = "";

	while (oldest_find(dir_fd, oldest) >= LOGBOOK_KEPT_MAX)
		if (unlinkat(dir_fd, oldest, 0) < 0)
			return;
}

static int file_make(const struct logbook *logbook, const struct ring_about *about,
                     struct tn_error *err)
{
	char tenant[ID_TEXT_BYTES], execution[ID_TEXT_BYTES];
	cleanup_fd int dir_fd = FD_NONE;
	cleanup_fd int fd = FD_NONE;
	int r;

	id_format(&about->tenant, tenant);
	id_format(&about->execution, execution);
	if (mkdirat(logbook->dir_fd, tenant, 0700) < 0 && errno != EEXIST)
		return err_errno(err, "make a log: %s", strerror(errno));
	dir_fd = tenant_open(logbook, &about->tenant);
	if (dir_fd >= 0) {
		make_room(dir_fd);
		/* Of a controller that died before it was launched, if there is one. */
		(void)unlinkat(dir_fd, execution, 0);
		fd = openat(dir_fd, execution, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	}
	if (fd < 0)
		return err_errno(err, "make a log: %s", strerror(errno));
	r = ring_create(fd, about, err);
	if (r == 0)
		return fd_take(&fd);
	(void)unlinkat(dir_fd, execution, 0);
	return r;
}

static int hand_over(const struct logbook *logbook, const int fds[static HANDOVER_FDS_N],
                     struct tn_error *err)
{
	const struct handover message = { .magic = HANDOVER_MAGIC };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", logbook->socket);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return err_set(err, TN_STATE, errno,
		               "nobody keeps the output of detached executions: %s: %s; see: "
		               "systemctl status tenantd-logger",
		               logbook->socket, strerror(errno));
	return fdpass_send(fd, &message, sizeof(message), fds, HANDOVER_FDS_N, err);
}

int logbook_begin(const struct logbook *logbook, const struct ring_about *about,
                  int ret_fds[static 3], struct tn_error *err)
{
	int out[2] = { FD_NONE, FD_NONE }, errors[2] = { FD_NONE, FD_NONE };
	cleanup_fd int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int file_fd = file_make(logbook, about, err);
	int r = file_fd;

	if (r >= 0 && (null_fd < 0 || pipe2(out, O_CLOEXEC) < 0 ||
	               pipe2(errors, O_CLOEXEC) < 0 || fcntl(out[0], F_SETFL, O_NONBLOCK) < 0 ||
	               fcntl(errors[0], F_SETFL, O_NONBLOCK) < 0))
		r = err_errno(err, "pipes for the output: %s", strerror(errno));
	if (r >= 0)
		r = hand_over(logbook,
		              (const int[HANDOVER_FDS_N]){ out[0], errors[0], file_fd }, err);
	if (r < 0 && file_fd >= 0)
		logbook_drop(logbook, &about->tenant, &about->execution);
	fd_closep(&file_fd);
	fd_closep(&out[0]);
	fd_closep(&errors[0]);
	if (r < 0) {
		fd_closep(&out[1]);
		fd_closep(&errors[1]);
		return r;
	}
	ret_fds[0] = fd_take(&null_fd);
	ret_fds[1] = out[1];
	ret_fds[2] = errors[1];
	return 0;
}

void logbook_drop(const struct logbook *logbook, const struct id *tenant,
                  const struct id *execution)
{
	cleanup_fd int dir_fd = tenant_open(logbook, tenant);
	char name[ID_TEXT_BYTES];

	id_format(execution, name);
	if (dir_fd >= 0)
		(void)unlinkat(dir_fd, name, 0);
}

int logbook_open(const struct logbook *logbook, const struct id *tenant,
                 const struct id *execution, struct tn_error *err)
{
	cleanup_fd int dir_fd = tenant_open(logbook, tenant);
	char name[ID_TEXT_BYTES];
	int fd = FD_NONE;

	id_format(execution, name);
	if (dir_fd >= 0)
		fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	if (errno != ENOENT)
		return err_errno(err, "open the log of %s: %s", name, strerror(errno));
	return err_refuse(err, TN_NOT_FOUND,
	                  "there is no log of execution %s: only detached ones have one, and "
	                  "the last %d of each tenant are kept",
	                  name, LOGBOOK_KEPT_MAX);
}

int logbook_forget(const struct logbook *logbook, const struct id *tenant, struct tn_error *err)
{
	cleanup_fd int dir_fd = tenant_open(logbook, tenant);
	char name[ID_TEXT_BYTES], oldest[ID_TEXT_BYTES];

	if (dir_fd < 0)
		return errno == ENOENT ? 0 : err_errno(err, "remove logs: %s", strerror(errno));
	while (oldest_find(dir_fd, oldest) > 0)
		if (unlinkat(dir_fd, oldest, 0) < 0)
			return err_errno(err, "remove logs: %s", strerror(errno));
	id_format(tenant, name);
	if (unlinkat(logbook->dir_fd, name, AT_REMOVEDIR) < 0)
		return err_errno(err, "remove logs: %s", strerror(errno));
	return 0;
}
