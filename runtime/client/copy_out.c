/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tn_copy_out(): from a tenant to the host. Each directory on the host is held open while what
 * is in it is made, and the next one is opened in it without following a link: so whatever was
 * copied before, or is put there meanwhile, leads nowhere else.
 */
#include "copy.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <base/err.h>
#include <base/fd.h>

#include "host_file.h"

/* Where a copy is to be: a name in a directory that is held open. */
struct place {
	int parent_fd;
	char name[NAME_MAX + 1];
};

static int host_error(const struct copying *c, int error, const char *what,
                      struct tn_error *err)
{
	return err_set(err, error == EDQUOT ? TN_QUOTA : TN_SYSTEM, error,
	               "copy of /data/%.200s: %s: %s", c->path, what, strerror(error));
}

static const struct timespec *times_of(const struct data_stat *stat, struct timespec times[2])
{
	times[0] = (struct timespec){ .tv_nsec = UTIME_OMIT };
	times[1] = (struct timespec){ .tv_sec = (time_t)stat->mtime_sec,
		                      .tv_nsec = (long)stat->mtime_nsec };
	return times;
}

static int open_read(struct copying *c, int *ret_fd, struct data_stat *ret_stat,
                     struct tn_error *err)
{
	int r = copy_ask(c, DATA_READ, err);

	if (r == 0)
		r = copy_take_fd(c, ret_fd, err);
	if (r == 0)
		*ret_stat = c->link.reply.stat;
	return r;
}

static int file_out(struct copying *c, int parent_fd, const char *name, struct tn_error *err)
{
	cleanup_fd int from = FD_NONE;
	struct host_file file;
	struct data_stat stat = { 0 };
	struct timespec times[2];
	int64_t bytes = 0;
	int r = open_read(c, &from, &stat, err);

	if (r < 0)
		return r;
	r = host_file_make(&file, parent_fd, stat.mode & DATA_MODE_MASK);
	if (r < 0)
		return host_error(c, -r, "make it", err);
	r = copy_contents(c, from, file.fd, &bytes, err);
	if (r < 0)
		r = err_wrap(err, r, "/data/%.200s", c->path);
	else if (futimens(file.fd, times_of(&stat, times)) < 0)
		r = host_error(c, errno, "set its time", err);
	else if ((r = host_file_commit(&file, name)) < 0)
		r = host_error(c, -r, name, err);
	host_file_done(&file);
	return r < 0 ? r : copy_tell(c, TN_COPIED_FILE, bytes, err);
}

static int link_out(struct copying *c, int parent_fd, const char *name, struct tn_error *err)
{
	char target[DATA_PATH_BYTES_MAX];
	struct timespec times[2];
	size_t n;
	int r = copy_ask(c, DATA_STAT, err);

	if (r < 0)
		return r;
	n = c->link.reply.payload_bytes;
	if (!S_ISLNK(c->link.reply.stat.mode) || n >= sizeof(target))
		return copy_error(c, EAGAIN, err);
	memcpy(target, c->link.payload, n);
	target[n] = '\0';
	r = host_link_make(parent_fd, name, target);
	if (r < 0)
		return host_error(c, -r, name, err);
	(void)utimensat(parent_fd, name, times_of(&c->link.reply.stat, times),
	                AT_SYMLINK_NOFOLLOW);
	return copy_tell(c, TN_COPIED_LINK, 0, err);
}

static int entry_out(struct copying *c, int parent_fd, const char *name,
                     const struct data_stat *stat, struct tn_error *err);

static int contents_out(struct copying *c, int dir_fd, struct tn_error *err)
{
	const size_t length = path_length(c);
	struct data_entries entries = { 0 };
	struct data_entry entry;
	const char *name;
	size_t at = 0;
	int r = data_link_list(&c->link, c->path, &entries, err);
	if (r > 0)
		r = copy_error(c, r, err);
	c->depth++;
	while (r == 0 && data_entries_next(&entries, &at, &entry, &name)) {
		r = path_push(c, name, err);
		if (r == 0)
			r = entry_out(c, dir_fd, name, &entry.stat, err);
		if (r < 0)
			r = copy_leave_out(c, r, err);
		path_pop(c, length);
	}
	data_entries_done(&entries);
	c->depth--;
	return r;
}

/* Only a directory that we have made gets the mode and time of the other. */
static int directory_out(struct copying *c, int parent_fd, const char *name,
                         const struct data_stat *stat, struct tn_error *err)
{
	const mode_t mode = stat->mode & DATA_MODE_MASK;
	cleanup_fd int fd = FD_NONE;
	struct timespec times[2];
	struct stat st;
	bool made;
	int r = copy_check_depth(c, err);

	if (r < 0)
		return r;
	made = mkdirat(parent_fd, name, mode | 0700) == 0;
	if (!made && errno != EEXIST)
		return host_error(c, errno, name, err);
	fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return host_error(c, errno, name, err);
	r = copy_tell(c, TN_COPIED_DIRECTORY, 0, err);
	if (r == 0)
		r = contents_out(c, fd, err);
	if (r < 0 || !made)
		return r;
	/* What the umask has left of it. */
	if (fstat(fd, &st) < 0 || fchmod(fd, st.st_mode & mode) < 0 ||
	    futimens(fd, times_of(stat, times)) < 0)
		return host_error(c, errno, name, err);
	return 0;
}

static int entry_out(struct copying *c, int parent_fd, const char *name,
                     const struct data_stat *stat, struct tn_error *err)
{
	if (S_ISREG(stat->mode))
		return file_out(c, parent_fd, name, err);
	if (S_ISDIR(stat->mode))
		return directory_out(c, parent_fd, name, stat, err);
	if (S_ISLNK(stat->mode))
		return link_out(c, parent_fd, name, err);
	return copy_refuse_type(c, stat->mode, err);
}

static int place_refuse(const char *path, int error, struct tn_error *err)
{
	return err_set(err, error == ENOENT ? TN_NOT_FOUND : TN_SYSTEM, error, "%.300s: %s",
	               path, strerror(error));
}

static int parent_open(const char *path, int *ret, struct tn_error *err)
{
	*ret = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? place_refuse(path, errno, err) : 0;
}

/* The name @path has in its directory, which is opened. */
static int place_beside(const char *path, struct place *ret, struct tn_error *err)
{
	cleanup_free char *copy = strdup(path);
	char *slash, *name;
	size_t n;

	if (copy == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "copy");
	for (n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--)
		copy[n - 1] = '\0';
	slash = strrchr(copy, '/');
	name = slash != NULL ? slash + 1 : copy;
	if (!data_name_valid(name, strlen(name)))
		return err_refuse(err, TN_INVALID, "'%.300s' ends in no name", path);
	(void)snprintf(ret->name, sizeof(ret->name), "%s", name);
	if (slash == NULL)
		return parent_open(".", &ret->parent_fd, err);
	*name = '\0';
	return parent_open(copy, &ret->parent_fd, err);
}

/* Into a directory that is there under the name it has inside; else it gets @path itself. */
static int place_find(const struct copying *c, bool directory, struct place *ret,
                      struct tn_error *err)
{
	const char *path = c->spec->host_path, *slash = strrchr(c->root, '/');
	struct stat st;

	if (stat(path, &st) < 0) {
		if (errno != ENOENT ||
		    (!directory && path[0] != '\0' && path[strlen(path) - 1] == '/'))
			return place_refuse(path, errno, err);
		return place_beside(path, ret, err);
	}
	if (S_ISDIR(st.st_mode)) {
		(void)snprintf(ret->name, sizeof(ret->name), "%s",
		               slash != NULL      ? slash + 1
		               : *c->root != '\0' ? c->root
		                                  : "data");
		return parent_open(path, &ret->parent_fd, err);
	}
	if (!S_ISREG(st.st_mode) || directory)
		return err_refuse(err, TN_STATE, "%.300s is %s, which is not replaced by %s",
		                  path, copy_type_name(st.st_mode),
		                  directory ? "a directory" : "a file");
	return place_beside(path, ret, err);
}

static int stream_out(struct copying *c, const struct data_stat *stat, struct tn_error *err)
{
	cleanup_fd int from = FD_NONE;
	struct data_stat opened = { 0 };
	int64_t bytes = 0;
	int r;

	if (!S_ISREG(stat->mode))
		return err_refuse(err, TN_STATE,
		                  "/data/%.300s is %s; only a file can be written out as one",
		                  c->path, copy_type_name(stat->mode));
	r = open_read(c, &from, &opened, err);
	if (r == 0)
		r = copy_stream(c, from, c->spec->fd, opened.size, &bytes, err);
	return r < 0 ? r : copy_tell(c, TN_COPIED_FILE, bytes, err);
}

/*
 * An earlier copy may have left it there, with the tenant's choice of where it leads. With a
 * slash behind it, whoever calls says that he knows of it.
 */
static int link_refuse(const char *path, struct tn_error *err)
{
	struct stat st;

	if (lstat(path, &st) < 0 || !S_ISLNK(st.st_mode))
		return 0;
	return err_refuse(err, TN_STATE,
	                  "%.200s is a symbolic link, which is not followed; a directory that "
	                  "it leads to is %.200s/",
	                  path, path);
}

static bool is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* What is in a directory, into one that is there. */
static int into_out(struct copying *c, struct tn_error *err)
{
	cleanup_fd int fd = open(c->spec->host_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? place_refuse(c->spec->host_path, errno, err) : contents_out(c, fd, err);
}

static int copy_out(struct copying *c, struct tn_error *err)
{
	struct place place = { .parent_fd = FD_NONE };
	struct data_stat stat = { 0 };
	int r = copy_ask(c, DATA_STAT, err);

	if (r < 0)
		return r;
	stat = c->link.reply.stat;
	if (c->spec->host_path == NULL)
		return stream_out(c, &stat, err);
	r = link_refuse(c->spec->host_path, err);
	if (r < 0)
		return r;
	if (c->contents_only && !S_ISDIR(stat.mode))
		return copy_error(c, ENOTDIR, err);
	if (c->contents_only && is_directory(c->spec->host_path))
		return into_out(c, err);
	r = place_find(c, S_ISDIR(stat.mode), &place, err);
	if (r == 0)
		r = entry_out(c, place.parent_fd, place.name, &stat, err);
	fd_closep(&place.parent_fd);
	return r;
}

int tn_copy_out(struct tn_client *client, const struct tn_copy_spec *spec,
                struct tn_copy_result *ret, struct tn_error *err)
{
	struct copying *c = calloc(1, sizeof(*c));
	int r;

	if (c == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "copy");
	r = copying_begin(c, client, spec, false, ret, err);
	if (r == 0)
		r = copy_out(c, err);
	copying_done(c);
	free(c);
	return r;
}
