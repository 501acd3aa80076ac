/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "copy.h"

#include <stdlib.h>
#include <unistd.h>

#include <base/err.h>
#include <base/fd.h>
#include <base/io.h>

#define INSIDE "/data"

static int refuse_path(const char *path, struct tn_error *err)
{
	return err_refuse(err, TN_INVALID,
	                  "'%.200s' is no path below " INSIDE ": " INSIDE
	                  "/... or a path relative to it, without '..', of fewer "
	                  "than %d bytes was expected",
	                  path, DATA_PATH_BYTES_MAX);
}

/* The path as the server takes it: without what says nothing. */
static int path_normalize(const char *text, struct copying *c, struct tn_error *err)
{
	const char *at = text;
	size_t length = 0, n;

	if (strncmp(at, INSIDE, strlen(INSIDE)) == 0 &&
	    (at[strlen(INSIDE)] == '/' || at[strlen(INSIDE)] == '\0'))
		at += strlen(INSIDE);
	else if (*at == '/')
		return refuse_path(text, err);
	for (; *at != '\0'; at += n) {
		at += strspn(at, "/");
		n = strcspn(at, "/");
		c->contents_only = n == 1 && *at == '.';
		if (n == 0 || c->contents_only)
			continue;
		if (!data_name_valid(at, n) || length + n + 2 > sizeof(c->root))
			return refuse_path(text, err);
		length += (size_t)snprintf(c->root + length, sizeof(c->root) - length, "%s%.*s",
		                           length > 0 ? "/" : "", (int)n, at);
	}
	return 0;
}

int copying_begin(struct copying *c, struct tn_client *client, const struct tn_copy_spec *spec,
                  bool writable, struct tn_copy_result *result, struct tn_error *err)
{
	int r;

	*result = (struct tn_copy_result){ 0 };
	c->spec = spec;
	c->result = result;
	c->link.client = client;
	c->link.tenant = spec->tenant;
	c->link.writable = writable;
	c->link.sock = c->link.fd = FD_NONE;
	r = path_normalize(spec->path, c, err);
	if (r < 0)
		return r;
	c->buf = malloc(COPY_BUF_BYTES);
	if (c->buf == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "copy");
	(void)snprintf(c->path, sizeof(c->path), "%s", c->root);
	c->link.path = c->root;
	return data_link_open(&c->link, err);
}

void copying_done(struct copying *c)
{
	data_link_close(&c->link);
	free(c->buf);
	c->buf = NULL;
}

size_t path_length(const struct copying *c)
{
	return strlen(c->path);
}

int path_push(struct copying *c, const char *name, struct tn_error *err)
{
	const size_t length = strlen(c->path), n = strlen(name);

	if (!data_name_valid(name, n))
		return err_refuse(err, TN_PROTOCOL, "a name that is none");
	if (length + n + 2 > sizeof(c->path))
		return err_set(err, TN_STATE, ENAMETOOLONG,
		               INSIDE "/%.200s...: its path has more than %d bytes", c->path,
		               DATA_PATH_BYTES_MAX - 1);
	(void)snprintf(c->path + length, sizeof(c->path) - length, "%s%s",
	               length > 0 ? "/" : "", name);
	return 0;
}

void path_pop(struct copying *c, size_t length)
{
	c->path[length] = '\0';
}

/* What is meant by it here, where it is not what strerror() says. */
static const struct {
	int error;
	enum tn_error_code code;
	const char *text; /* NULL: what strerror() says */
} reasons[] = {
	{ ENOENT, TN_NOT_FOUND, NULL },
	{ EACCES, TN_NOT_PERMITTED, NULL },
	{ EPERM, TN_NOT_PERMITTED, NULL },
	{ ELOOP, TN_STATE, "a symbolic link is in the way; none is followed" },
	{ EXDEV, TN_STATE, "it is on another file system" },
	{ EISDIR, TN_STATE, "there is a directory" },
	{ ENOTDIR, TN_STATE, "what is to be a directory is none" },
	{ EINVAL, TN_STATE, "it is no regular file" },
	{ ENAMETOOLONG, TN_STATE, NULL },
	{ E2BIG, TN_STATE, "the directory has too many entries" },
	{ EAGAIN, TN_STATE, "it is renamed all the time" },
	{ EDQUOT, TN_QUOTA, NULL },
	{ EOPNOTSUPP, TN_UNSUPPORTED,
	  "the file system of the tenants' data knows no files without a name (O_TMPFILE)" },
};

int copy_error(const struct copying *c, int error, struct tn_error *err)
{
	const char *slash = *c->path == '\0' ? "" : "/";

	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (reasons[i].error == error)
			return err_set(err, reasons[i].code, error, INSIDE "%s%.300s: %s",
			               slash, c->path,
			               reasons[i].text != NULL ? reasons[i].text
			                                       : strerror(error));
	return err_set(err, TN_SYSTEM, error, INSIDE "%s%.300s: %s", slash, c->path,
	               strerror(error));
}

int copy_request(struct copying *c, const struct data_request *request, const char *target,
                 int fd, struct tn_error *err)
{
	int r = data_link_ask(&c->link, request, c->path, target, fd, err);

	return r > 0 ? copy_error(c, r, err) : r;
}

int copy_ask(struct copying *c, enum data_kind kind, struct tn_error *err)
{
	const struct data_request request = { .kind = kind };

	return copy_request(c, &request, "", FD_NONE, err);
}

int copy_take_fd(struct copying *c, int *ret, struct tn_error *err)
{
	struct stat st;

	if (c->link.fd < 0 || fstat(c->link.fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_refuse(err, TN_PROTOCOL,
		                  "who serves the tenant's data sent no file");
	*ret = fd_take(&c->link.fd);
	return 0;
}

const char *copy_type_name(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "a file";
	case S_IFDIR:
		return "a directory";
	case S_IFLNK:
		return "a symbolic link";
	case S_IFIFO:
		return "a FIFO";
	case S_IFSOCK:
		return "a socket";
	case S_IFBLK:
	case S_IFCHR:
		return "a device";
	default:
		return "of no known type";
	}
}

int copy_refuse_type(const struct copying *c, uint32_t mode, struct tn_error *err)
{
	return err_refuse(err, TN_STATE,
	                  INSIDE "/%.300s is %s; only files, directories and symbolic links "
	                         "are copied",
	                  c->path, copy_type_name(mode));
}

static int tell(struct copying *c, struct tn_copied *copied, struct tn_error *err)
{
	char path[sizeof(INSIDE "/") + DATA_PATH_BYTES_MAX];

	if (c->spec->each == NULL)
		return 0;
	(void)snprintf(path, sizeof(path), INSIDE "%s%s", *c->path == '\0' ? "" : "/", c->path);
	copied->path = path;
	if (c->spec->each(copied, c->spec->userdata) == 0)
		return 0;
	return err_set(err, TN_STATE, ECANCELED, "the copy was ended by who wanted it");
}

int copy_tell(struct copying *c, enum tn_copied_kind kind, int64_t bytes, struct tn_error *err)
{
	struct tn_copied copied = { .kind = kind, .bytes = bytes };

	c->result->files += kind == TN_COPIED_FILE;
	c->result->directories += kind == TN_COPIED_DIRECTORY;
	c->result->links += kind == TN_COPIED_LINK;
	c->result->bytes += bytes;
	return tell(c, &copied, err);
}

/* What the next file will meet as well. */
static bool is_of_all(const struct tn_error *err)
{
	switch (err->sys_errno) {
	case ECANCELED:
	case EDQUOT:
	case EIO:
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ENOSPC:
	case EOPNOTSUPP:
	case EROFS:
		return true;
	default:
		return err->code == TN_UNREACHABLE || err->code == TN_PROTOCOL;
	}
}

int copy_leave_out(struct copying *c, int r, struct tn_error *err)
{
	struct tn_copied copied = { .kind = TN_COPIED_NOTHING, .why = err };
	struct tn_error ended = { 0 };

	if (c->depth == 0 || is_of_all(err))
		return r;
	c->result->left_out_n++;
	r = tell(c, &copied, &ended);
	if (r < 0)
		*err = ended;
	return r;
}

int copy_check_depth(const struct copying *c, struct tn_error *err)
{
	if (c->depth < TN_COPY_DEPTH_MAX)
		return 0;
	return err_set(err, TN_STATE, ENAMETOOLONG,
	               INSIDE "/%.200s...: more than %d directories lie one in the other",
	               c->path, TN_COPY_DEPTH_MAX);
}

static int read_failed(struct tn_error *err)
{
	return err_errno(err, "read: %s", strerror(errno));
}

static int write_failed(int error, struct tn_error *err)
{
	return err_set(err, error == EDQUOT ? TN_QUOTA : TN_SYSTEM, error, "write: %s",
	               strerror(error));
}

/* As it comes. */
static int stream(struct copying *c, int from, int to, int64_t bytes, int64_t *ret_bytes,
                  struct tn_error *err)
{
	while (*ret_bytes < bytes) {
		const int64_t left = bytes - *ret_bytes;
		ssize_t n = read(from, c->buf,
		                 left < COPY_BUF_BYTES ? (size_t)left : COPY_BUF_BYTES);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return read_failed(err);
		if (n == 0)
			break;
		r = io_write_all(to, c->buf, (size_t)n);
		if (r < 0)
			return write_failed(-r, err);
		*ret_bytes += n;
	}
	return 0;
}

/* From where both stand, @bytes of what is no hole; 1 if the file ends before. */
static int stretch(struct copying *c, int from, int to, int64_t bytes, struct tn_error *err)
{
	int64_t copied = 0;
	int r = stream(c, from, to, bytes, &copied, err);

	return r == 0 && copied < bytes ? 1 : r;
}

/* A file that the tenant lengthens all the while is no longer than it was when it was opened.
 */
static int sparse(struct copying *c, int from, int to, int64_t bytes, int64_t *ret_bytes,
                  struct tn_error *err)
{
	struct stat st;
	int r = 0;

	for (int64_t at = 0; r == 0 && at < bytes;) {
		int64_t data = lseek(from, at, SEEK_DATA), hole;

		if (data < 0 && errno == ENXIO)
			break;
		hole = data < 0 ? bytes : lseek(from, data, SEEK_HOLE);
		/* A file system that knows of none. */
		if (data < 0)
			data = at;
		if (hole < 0 || hole > bytes)
			hole = bytes;
		if (data >= bytes)
			break;
		if (lseek(from, data, SEEK_SET) < 0 || lseek(to, data, SEEK_SET) < 0)
			return read_failed(err);
		r = stretch(c, from, to, hole - data, err);
		at = hole;
	}
	if (r < 0)
		return r;
	*ret_bytes = bytes;
	/* Or shorter, if it is by now. */
	if (r == 1 && fstat(from, &st) == 0 && st.st_size < bytes)
		*ret_bytes = st.st_size;
	return ftruncate(to, *ret_bytes) < 0 ? write_failed(errno, err) : 0;
}

int copy_contents(struct copying *c, int from, int to, int64_t *ret_bytes, struct tn_error *err)
{
	struct stat st;

	*ret_bytes = 0;
	if (fstat(from, &st) < 0)
		return read_failed(err);
	/* So do files of procfs say that do not know how long they are. */
	if (st.st_size == 0 && c->link.writable)
		return stream(c, from, to, INT64_MAX, ret_bytes, err);
	return sparse(c, from, to, st.st_size, ret_bytes, err);
}

int copy_stream(struct copying *c, int from, int to, int64_t bytes, int64_t *ret_bytes,
                struct tn_error *err)
{
	*ret_bytes = 0;
	return stream(c, from, to, bytes, ret_bytes, err);
}
