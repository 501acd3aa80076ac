/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tn_copy_in(): from the host to a tenant. What is read is opened in the directory it was seen
 * in, and only if it is still what it was; what is made goes by its whole path, in which the
 * server follows no link.
 */
#include "copy.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <base/err.h>
#include <base/fd.h>

/* So often may tenantd be restarted while one file is copied. */
#define COMMITS_MAX 4

/* What is copied on the host: a name in a directory, to be opened without following it. */
struct source {
	int dir_fd;
	const char *name;
};

static int host_error(int error, const char *name, struct tn_error *err)
{
	return err_set(err,
	               error == ENOENT                     ? TN_NOT_FOUND
	               : error == EACCES || error == EPERM ? TN_NOT_PERMITTED
	                                                   : TN_SYSTEM,
	               error, "%.300s: %s", name, strerror(error));
}

static struct data_request request_of(enum data_kind kind, const struct stat *st)
{
	return (struct data_request){
		.kind = kind,
		.mode = st->st_mode & DATA_MODE_MASK,
		.mtime_sec = st->st_mtim.tv_sec,
		.mtime_nsec = st->st_mtim.tv_nsec,
	};
}

static int create(struct copying *c, int *ret, struct tn_error *err)
{
	int r = copy_ask(c, DATA_CREATE, err);

	return r < 0 ? r : copy_take_fd(c, ret, err);
}

/*
 * The restarted tenantd has another mount of the same file system, over which no name can be
 * given to what came from the first: then it is written once more.
 */
static int create_again(struct copying *c, int *fd, struct tn_error *err)
{
	cleanup_fd int again = FD_NONE;
	int64_t bytes;
	int r = create(c, &again, err);

	if (r == 0)
		r = copy_contents(c, *fd, again, &bytes, err);
	if (r < 0)
		return r;
	fd_closep(fd);
	*fd = fd_take(&again);
	return 0;
}

static int commit(struct copying *c, int *fd, const struct stat *st, struct tn_error *err)
{
	const struct data_request request = request_of(DATA_COMMIT, st);
	int r = copy_request(c, &request, "", *fd, err);

	for (int i = 0; r == -EXDEV && i < COMMITS_MAX; i++) {
		r = create_again(c, fd, err);
		if (r == 0)
			r = copy_request(c, &request, "", *fd, err);
	}
	return r;
}

static int file_in(struct copying *c, const struct source *source, struct tn_error *err)
{
	/* Should it be a FIFO by now, nobody waits for its other end. */
	cleanup_fd int from = openat(source->dir_fd, source->name,
	                             O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);
	cleanup_fd int to = FD_NONE;
	struct stat st;
	int64_t bytes = 0;
	int r;

	if (from < 0 || fstat(from, &st) < 0)
		return host_error(errno, source->name, err);
	if (!S_ISREG(st.st_mode))
		return copy_refuse_type(c, st.st_mode, err);
	r = create(c, &to, err);
	if (r < 0)
		return r;
	r = copy_contents(c, from, to, &bytes, err);
	if (r < 0)
		return err_wrap(err, r, "/data/%.200s", c->path);
	r = commit(c, &to, &st, err);
	return r < 0 ? r : copy_tell(c, TN_COPIED_FILE, bytes, err);
}

static int link_in(struct copying *c, const struct source *source, const struct stat *st,
                   struct tn_error *err)
{
	const struct data_request request = request_of(DATA_SYMLINK, st);
	char target[DATA_PATH_BYTES_MAX];
	ssize_t n = readlinkat(source->dir_fd, source->name, target, sizeof(target));
	int r;

	if (n < 0)
		return host_error(errno, source->name, err);
	if (n == (ssize_t)sizeof(target))
		return host_error(ENAMETOOLONG, source->name, err);
	target[n] = '\0';
	r = copy_request(c, &request, target, FD_NONE, err);
	return r < 0 ? r : copy_tell(c, TN_COPIED_LINK, 0, err);
}

static int entry_in(struct copying *c, const struct source *source, struct tn_error *err);

static int one_in(struct copying *c, int dir_fd, const char *name, struct tn_error *err)
{
	const size_t length = path_length(c);
	int r = path_push(c, name, err);

	if (r == 0)
		r = entry_in(c, &(struct source){ dir_fd, name }, err);
	if (r < 0)
		r = copy_leave_out(c, r, err);
	path_pop(c, length);
	return r;
}

/* 1, 0 at the end, or -errno. */
static int name_next(DIR *dir, const char **ret, struct tn_error *err)
{
	const struct dirent *entry;

	do {
		errno = 0;
		entry = readdir(dir);
	} while (entry != NULL &&
	         (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
	if (entry == NULL)
		return errno == 0 ? 0 : err_errno(err, "read a directory");
	*ret = entry->d_name;
	return 1;
}

/* Takes over @fd. */
static int contents_in(struct copying *c, int fd, struct tn_error *err)
{
	DIR *dir = fdopendir(fd);
	const char *name = NULL;
	int r = 0;

	if (dir == NULL) {
		r = host_error(errno, c->path, err);
		(void)close(fd);
		return r;
	}
	c->depth++;
	while (r == 0 && (r = name_next(dir, &name, err)) > 0)
		r = one_in(c, dirfd(dir), name, err);
	(void)closedir(dir);
	c->depth--;
	return r;
}

/* Only a directory that was made for it gets the mode and time of the other. */
static int directory_in(struct copying *c, const struct source *source, struct tn_error *err)
{
	cleanup_fd int fd = openat(source->dir_fd, source->name,
	                           O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct data_request request;
	struct stat st;
	bool made;
	int r = copy_check_depth(c, err);

	if (r < 0)
		return r;
	if (fd < 0 || fstat(fd, &st) < 0)
		return host_error(errno, source->name, err);
	request = request_of(DATA_MKDIR, &st);
	r = copy_request(c, &request, "", FD_NONE, err);
	if (r < 0)
		return r;
	made = c->link.reply.more == 0;
	r = copy_tell(c, TN_COPIED_DIRECTORY, 0, err);
	if (r == 0)
		r = contents_in(c, fd_take(&fd), err);
	if (r < 0 || !made)
		return r;
	request.kind = DATA_SET;
	return copy_request(c, &request, "", FD_NONE, err);
}

static int entry_in(struct copying *c, const struct source *source, struct tn_error *err)
{
	struct stat st;

	if (fstatat(source->dir_fd, source->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return host_error(errno, source->name, err);
	if (S_ISREG(st.st_mode))
		return file_in(c, source, err);
	if (S_ISDIR(st.st_mode))
		return directory_in(c, source, err);
	if (S_ISLNK(st.st_mode))
		return link_in(c, source, &st, err);
	return copy_refuse_type(c, st.st_mode, err);
}

/* The last name of the path on the host, without slashes behind it; "": it ends in none. */
static void host_name(const char *path, char name[static NAME_MAX + 1])
{
	size_t end = strlen(path), begin;

	while (end > 1 && path[end - 1] == '/')
		end--;
	for (begin = end; begin > 0 && path[begin - 1] != '/'; begin--)
		;
	if (!data_name_valid(path + begin, end - begin))
		end = begin;
	(void)snprintf(name, NAME_MAX + 1, "%.*s", (int)(end - begin), path + begin);
}

/*
 * Where it is to be: @is_directory is of what is copied. *ret_into: the contents alone, into
 * what is there.
 */
static int place_find(struct copying *c, bool is_directory, const char *name, bool *ret_into,
                      struct tn_error *err)
{
	const struct data_request request = { .kind = DATA_STAT };
	const size_t n = strlen(c->spec->path);
	int r = data_link_ask(&c->link, &request, c->path, "", FD_NONE, err);

	*ret_into = false;
	if (r < 0)
		return r;
	if (r == ENOENT && !is_directory &&
	    (c->contents_only || (n > 0 && c->spec->path[n - 1] == '/')))
		return copy_error(c, ENOENT, err);
	if (r != 0)
		return r == ENOENT ? 0 : copy_error(c, r, err);
	if (S_ISDIR(c->link.reply.stat.mode)) {
		*ret_into = is_directory && *name == '\0';
		return *name == '\0' ? 0 : path_push(c, name, err);
	}
	if (S_ISREG(c->link.reply.stat.mode) && !is_directory)
		return 0;
	return err_refuse(err, TN_STATE, "/data/%.300s is %s, which is not replaced by %s",
	                  c->path, copy_type_name(c->link.reply.stat.mode),
	                  is_directory ? "a directory" : "a file or link");
}

static int copy_in(struct copying *c, struct tn_error *err)
{
	const struct source source = { AT_FDCWD, c->spec->host_path };
	char name[NAME_MAX + 1];
	struct stat st;
	bool into = false;
	int r, fd;

	if (fstatat(source.dir_fd, source.name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return host_error(errno, source.name, err);
	host_name(source.name, name);
	r = place_find(c, S_ISDIR(st.st_mode), name, &into, err);
	if (r < 0)
		return r;
	if (!into)
		return entry_in(c, &source, err);
	fd = open(source.name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? host_error(errno, source.name, err) : contents_in(c, fd, err);
}

/* One file of what is read from the caller's descriptor. */
static int stream_in(struct copying *c, struct tn_error *err)
{
	struct stat st = { .st_mode = 0644 };
	cleanup_fd int to = FD_NONE;
	int64_t bytes = 0;
	bool into;
	int r = place_find(c, false, "", &into, err);

	if (r == 0)
		r = create(c, &to, err);
	if (r == 0)
		r = copy_stream(c, c->spec->fd, to, INT64_MAX, &bytes, err);
	if (r < 0)
		return r;
	(void)clock_gettime(CLOCK_REALTIME, &st.st_mtim);
	r = commit(c, &to, &st, err);
	return r < 0 ? r : copy_tell(c, TN_COPIED_FILE, bytes, err);
}

int tn_copy_in(struct tn_client *client, const struct tn_copy_spec *spec,
               struct tn_copy_result *ret, struct tn_error *err)
{
	struct copying *c = calloc(1, sizeof(*c));
	int r;

	if (c == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "copy");
	r = copying_begin(c, client, spec, true, ret, err);
	if (r == 0)
		r = spec->host_path != NULL ? copy_in(c, err) : stream_in(c, err);
	copying_done(c);
	free(c);
	return r;
}
