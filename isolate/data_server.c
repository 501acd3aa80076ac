/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "data_server.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <base/data.h>
#include <base/fd.h>
#include <base/fdpass.h>

#include "spec.h"

#define SERVER_NAME "tenantd-data"
/* What it has open at a time is less. */
#define SERVER_NOFILE 32
/* A rename beside a look-up has it begin anew; one that is disturbed so often is disturbed on
 * purpose. */
#define RESOLVE_TRIES_MAX 16
#define NAME_TRIES_MAX    64
#define NAME_BYTES        32
#define SEND_SEC_MAX      60

static_assert(DATA_REPLY_BYTES_MAX <= FDPASS_MSG_BYTES_MAX, "a reply is one message");

/* One request, taken apart. */
struct asked {
	struct data_request head;
	char path[DATA_PATH_BYTES_MAX];
	char target[DATA_PATH_BYTES_MAX];
	int fd; /* that came with it */
};

struct answer {
	struct data_reply head;
	char payload[DATA_PAYLOAD_BYTES_MAX];
	int fd; /* that goes with it */
};

/* A directory that is being told. */
struct listing {
	DIR *dir;                /* NULL: none is */
	char kept[NAME_MAX + 1]; /* a name that had no more room; "": none */
};

struct serving {
	const struct data_server *server;
	struct listing listing;
	struct asked asked;
	struct answer answer;
};

/* The only way in which a path of a request becomes a descriptor. */
static int resolve(const struct data_server *server, const char *path, int flags)
{
	const struct open_how how = {
		.flags = (uint64_t)(unsigned int)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
		           RESOLVE_NO_XDEV,
	};
	int fd = -1;

	for (int i = 0; i < RESOLVE_TRIES_MAX; i++) {
		fd = (int)syscall(SYS_openat2, server->root_fd, *path == '\0' ? "." : path,
		                  &how, sizeof(how));
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	return fd < 0 ? -errno : fd;
}

/* The directory that @path is in, and *ret_name in it; /data itself is in none. */
static int parent_open(const struct data_server *server, const char *path,
                       const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	char parent[DATA_PATH_BYTES_MAX];

	if (*path == '\0')
		return -EISDIR;
	(void)snprintf(parent, sizeof(parent), "%.*s", slash == NULL ? 0 : (int)(slash - path),
	               path);
	*ret_name = slash == NULL ? path : slash + 1;
	return resolve(server, parent, O_PATH | O_DIRECTORY);
}

static void stat_tell(const struct stat *st, struct data_stat *ret)
{
	*ret = (struct data_stat){
		.mode = st->st_mode,
		.size = st->st_size,
		.mtime_sec = st->st_mtim.tv_sec,
		.mtime_nsec = st->st_mtim.tv_nsec,
	};
}

/* Of the file that @fd, an O_PATH descriptor, stands for. */
static int fd_path(const struct data_server *server, int fd, int flags)
{
	char number[NAME_BYTES];
	int opened;

	(void)snprintf(number, sizeof(number), "%d", fd);
	opened = openat(server->fds_fd, number, flags | O_CLOEXEC | O_NOCTTY);
	return opened < 0 ? -errno : opened;
}

static int do_stat(struct serving *s)
{
	cleanup_fd int fd = resolve(s->server, s->asked.path, O_PATH | O_NOFOLLOW);
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	stat_tell(&st, &s->answer.head.stat);
	if (!S_ISLNK(st.st_mode))
		return 0;
	n = readlinkat(fd, "", s->answer.payload, sizeof(s->answer.payload));
	if (n < 0)
		return -errno;
	if (n >= DATA_PATH_BYTES_MAX)
		return -ENAMETOOLONG;
	s->answer.head.payload_bytes = (uint32_t)n;
	return 0;
}

static void listing_end(struct listing *listing)
{
	if (listing->dir != NULL)
		(void)closedir(listing->dir);
	*listing = (struct listing){ 0 };
}

/* 1, 0 if there is no room for it, or -errno. */
static int entry_tell(struct answer *answer, int dir_fd, const char *name)
{
	const size_t name_n = strlen(name);
	struct data_entry entry = { .name_bytes = (uint32_t)name_n };
	char *end = answer->payload + answer->head.payload_bytes;
	struct stat st;

	if (answer->head.payload_bytes + sizeof(entry) + name_n >= sizeof(answer->payload))
		return 0;
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 1 : -errno;
	stat_tell(&st, &entry.stat);
	memcpy(end, &entry, sizeof(entry));
	memcpy(end + sizeof(entry), name, name_n + 1);
	answer->head.payload_bytes += (uint32_t)(sizeof(entry) + name_n + 1);
	answer->head.entries_n++;
	return 1;
}

/* The name that is to be told next: 1, 0 at the end, or -errno. */
static int name_next(struct listing *listing, const char **ret)
{
	struct dirent *entry;

	if (listing->kept[0] != '\0') {
		*ret = listing->kept;
		return 1;
	}
	do {
		errno = 0;
		entry = readdir(listing->dir);
		if (entry == NULL)
			return -errno;
	} while (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
	*ret = entry->d_name;
	return 1;
}

static int do_more(struct serving *s)
{
	struct listing *listing = &s->listing;
	const char *name = "";
	int r;

	if (listing->dir == NULL)
		return -EBADF;
	while ((r = name_next(listing, &name)) == 1) {
		r = entry_tell(&s->answer, dirfd(listing->dir), name);
		if (r < 0)
			break;
		if (r == 0) {
			if (name != listing->kept)
				(void)snprintf(listing->kept, sizeof(listing->kept), "%s",
				               name);
			s->answer.head.more = 1;
			return 0;
		}
		listing->kept[0] = '\0';
	}
	listing_end(listing);
	return r;
}

static int do_list(struct serving *s)
{
	cleanup_fd int fd = resolve(s->server, s->asked.path, O_RDONLY | O_DIRECTORY);

	listing_end(&s->listing);
	if (fd < 0)
		return fd;
	s->listing.dir = fdopendir(fd);
	if (s->listing.dir == NULL)
		return -errno;
	(void)fd_take(&fd);
	return do_more(s);
}

/* Looked at before it is opened: that alone would be felt by a FIFO's other end, or a device.
 */
static int do_read(struct serving *s)
{
	cleanup_fd int fd = resolve(s->server, s->asked.path, O_PATH | O_NOFOLLOW);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	/* A lease of the tenant's makes this wait a while: for us alone. */
	s->answer.fd = fd_path(s->server, fd, O_RDONLY);
	stat_tell(&st, &s->answer.head.stat);
	return s->answer.fd < 0 ? s->answer.fd : 0;
}

/* Nobody but its holder can open it before it has a name, and then its mode says who. */
static int do_create(struct serving *s)
{
	const char *name;
	cleanup_fd int parent_fd = parent_open(s->server, s->asked.path, &name);
	struct stat st;

	if (parent_fd < 0)
		return parent_fd;
	if (fstatat(parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
		return -EISDIR;
	s->answer.fd = openat(parent_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (s->answer.fd >= 0)
		return 0;
	/* How file systems say that they have no such files. */
	return errno == EISDIR || errno == ENOENT ? -EOPNOTSUPP : -errno;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static void spare_name(char *name)
{
	static unsigned int number;

	(void)snprintf(name, NAME_BYTES, ".tenantd-%d-%u", (int)getpid(), number++);
}

/* Have what stands under a name of our own in @parent_fd replace @name there. */
static int replace(int parent_fd, const char *spare, const char *name)
{
	int r = renameat(parent_fd, spare, parent_fd, name) < 0 ? -errno : 0;

	if (r < 0)
		(void)unlinkat(parent_fd, spare, 0);
	return r;
}

/*
 * Give @fd the name @name: at once if it is free, else under a spare one, which replaces it.
 * Who is killed between the two leaves the spare one, of a whole file; there is no call for
 * both.
 */
static int name_give(const struct data_server *server, int fd, int parent_fd, const char *name)
{
	char number[NAME_BYTES], spare[NAME_BYTES];

	(void)snprintf(number, sizeof(number), "%d", fd);
	if (linkat(server->fds_fd, number, parent_fd, name, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	for (int i = 0; errno == EEXIST && i < NAME_TRIES_MAX; i++) {
		spare_name(spare);
		if (linkat(server->fds_fd, number, parent_fd, spare, AT_SYMLINK_FOLLOW) == 0)
			return replace(parent_fd, spare, name);
	}
	return -errno;
}

static int times_set(int fd, const struct data_request *head)
{
	const struct timespec times[] = {
		{ .tv_nsec = UTIME_OMIT },
		{ .tv_sec = (time_t)head->mtime_sec, .tv_nsec = (long)head->mtime_nsec },
	};

	return futimens(fd, times) < 0 ? -errno : 0;
}

/*
 * What comes back need not be what DATA_CREATE gave, nor by this process: it counts if it
 * is a file of the workload's without a name, as all of those are.
 */
static int do_commit(struct serving *s)
{
	const struct asked *asked = &s->asked;
	const char *name;
	cleanup_fd int parent_fd = parent_open(s->server, asked->path, &name);
	struct stat st, there;

	if (parent_fd < 0)
		return parent_fd;
	if (fstat(asked->fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != s->server->owner)
		return -EPERM;
	/* It has been done, and only the answer was lost. */
	if (st.st_nlink != 0 && (fstatat(parent_fd, name, &there, AT_SYMLINK_NOFOLLOW) < 0 ||
	                         !same_file(&st, &there)))
		return -EPERM;
	if (fchmod(asked->fd, asked->head.mode & DATA_MODE_MASK) < 0)
		return -errno;
	if (times_set(asked->fd, &asked->head) < 0)
		return -errno;
	return st.st_nlink != 0 ? 0 : name_give(s->server, asked->fd, parent_fd, name);
}

static int do_mkdir(struct serving *s)
{
	const char *name;
	cleanup_fd int parent_fd = FD_NONE;
	struct stat st;

	/* /data is always there. */
	s->answer.head.more = *s->asked.path == '\0';
	if (s->answer.head.more != 0)
		return 0;
	parent_fd = parent_open(s->server, s->asked.path, &name);
	if (parent_fd < 0)
		return parent_fd;
	/* What is to come into it comes from us, whatever its mode is going to be. */
	if (mkdirat(parent_fd, name, (s->asked.head.mode & DATA_MODE_MASK) | 0700) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	if (fstatat(parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	s->answer.head.more = 1;
	if (S_ISDIR(st.st_mode))
		return 0;
	return S_ISLNK(st.st_mode) ? -ELOOP : -ENOTDIR;
}

static int link_make(int parent_fd, const char *name, const char *target)
{
	char spare[NAME_BYTES];

	if (symlinkat(target, parent_fd, name) == 0)
		return 0;
	for (int i = 0; errno == EEXIST && i < NAME_TRIES_MAX; i++) {
		spare_name(spare);
		if (symlinkat(target, parent_fd, spare) == 0)
			return replace(parent_fd, spare, name);
	}
	return -errno;
}

static int do_symlink(struct serving *s)
{
	const char *name;
	cleanup_fd int parent_fd = parent_open(s->server, s->asked.path, &name);

	return parent_fd < 0 ? parent_fd : link_make(parent_fd, name, s->asked.target);
}

static int do_set(struct serving *s)
{
	cleanup_fd int fd = resolve(s->server, s->asked.path, O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		return fd;
	if (fchmod(fd, s->asked.head.mode & DATA_MODE_MASK) < 0)
		return -errno;
	return times_set(fd, &s->asked.head);
}

static const struct row {
	int (*handle)(struct serving *s);
	bool writes;
	bool with_fd;
} rows[DATA_KINDS_END] = {
	[DATA_STAT] = { do_stat, false, false },
	[DATA_LIST] = { do_list, false, false },
	[DATA_MORE] = { do_more, false, false },
	[DATA_READ] = { do_read, false, false },
	[DATA_CREATE] = { do_create, true, false },
	[DATA_COMMIT] = { do_commit, true, true },
	[DATA_MKDIR] = { do_mkdir, true, false },
	[DATA_SYMLINK] = { do_symlink, true, false },
	[DATA_SET] = { do_set, true, false },
};

/* A text of the message, as a string. */
static int text_take(const char *from, size_t n, char *ret)
{
	if (n >= DATA_PATH_BYTES_MAX)
		return -ENAMETOOLONG;
	if (memchr(from, '\0', n) != NULL)
		return -EINVAL;
	memcpy(ret, from, n);
	ret[n] = '\0';
	return 0;
}

static int asked_parse(struct serving *s, const char *message, size_t n)
{
	struct asked *asked = &s->asked;
	struct data_request *head = &asked->head;
	const char *text = message + sizeof(*head);
	int r;

	if (n < sizeof(*head))
		return -EBADMSG;
	memcpy(head, message, sizeof(*head));
	if ((uint64_t)head->path_bytes + head->target_bytes != n - sizeof(*head))
		return -EBADMSG;
	r = text_take(text, head->path_bytes, asked->path);
	if (r == 0)
		r = text_take(text + head->path_bytes, head->target_bytes, asked->target);
	if (r < 0)
		return r;
	if (head->kind == 0 || head->kind >= DATA_KINDS_END ||
	    rows[head->kind].with_fd != (asked->fd >= 0))
		return -EBADMSG;
	if (!data_path_valid(asked->path))
		return -EINVAL;
	if (!data_path_beneath(asked->path, s->server->path))
		return -EPERM;
	return rows[head->kind].writes && !s->server->writable ? -EPERM : 0;
}

static int answer_send(const struct serving *s)
{
	const struct answer *answer = &s->answer;
	struct tn_error err = { 0 };

	return fdpass_send(s->server->sock, answer,
	                   sizeof(answer->head) + answer->head.payload_bytes, &answer->fd,
	                   answer->fd >= 0, &err);
}

/* 1: there has been a request; 0: the client is done; or -errno. */
static int request_serve(struct serving *s)
{
	char message[DATA_REQUEST_BYTES_MAX];
	struct tn_error err = { 0 };
	size_t fds_n = 0;
	int r, n;

	s->asked.fd = FD_NONE;
	n = fdpass_recv(s->server->sock, message, sizeof(message), &s->asked.fd, 1, &fds_n,
	                &err);
	if (n < 0)
		return n == -EPIPE || n == -ECONNRESET ? 0 : n;
	s->answer.head = (struct data_reply){ 0 };
	s->answer.fd = FD_NONE;
	r = asked_parse(s, message, (size_t)n);
	if (r == 0)
		r = rows[s->asked.head.kind].handle(s);
	if (r < 0)
		s->answer.head = (struct data_reply){ .error = -r };
	r = answer_send(s);
	fd_closep(&s->answer.fd);
	fd_closep(&s->asked.fd);
	return r < 0 ? r : 1;
}

int data_serve(const struct data_server *server)
{
	const struct timeval patience = { .tv_sec = SEND_SEC_MAX };
	struct serving *s = calloc(1, sizeof(*s));
	struct pollfd request = { .fd = server->sock, .events = POLLIN };
	int r = 1;

	if (s == NULL)
		return -ENOMEM;
	s->server = server;
	/* For a client that reads no answers nobody waits for ever. */
	(void)setsockopt(server->sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	while (r > 0) {
		r = poll(&request, 1, server->idle_msec);
		if (r > 0)
			r = request_serve(s);
		else if (r < 0 && errno == EINTR)
			r = 1;
	}
	listing_end(&s->listing);
	free(s);
	return r;
}

/* In this order, the lowest that there are. */
enum data_fd {
	DATA_FD_SOCK = STDERR_FILENO + 1,
	DATA_FD_ROOT,
	DATA_FD_USER_NS,
	DATA_FD_FDS,
};

/* tenantd's own lie above these. */
static int fds_arrange(const struct data_entry_request *request)
{
	int fds_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fds_fd < 0 || dup3(request->sock, DATA_FD_SOCK, O_CLOEXEC) < 0 ||
	    dup3(request->root_fd, DATA_FD_ROOT, O_CLOEXEC) < 0 ||
	    dup3(request->user_ns_fd, DATA_FD_USER_NS, O_CLOEXEC) < 0 ||
	    dup3(fds_fd, DATA_FD_FDS, O_CLOEXEC) < 0)
		return -1;
	return close_range(DATA_FD_FDS + 1, ~0u, 0);
}

static int signals_default(void)
{
	sigset_t none;

	(void)sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL);
}

static int limits_set(void)
{
	const struct rlimit files = { SERVER_NOFILE, SERVER_NOFILE }, core = { 0, 0 };

	return prlimit(0, RLIMIT_NOFILE, &files, NULL) < 0
	               ? -1
	               : prlimit(0, RLIMIT_CORE, &core, NULL);
}

static int root_enter(void)
{
	return fchdir(DATA_FD_ROOT) < 0 || chroot(".") < 0 || chdir("/") < 0 ? -1 : 0;
}

/* The workload, in its user namespace, and able to read what is any of the tenant's users'. */
static int become_tenant(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3] = { 0 };
	const uint32_t bit = CAP_TO_MASK(CAP_DAC_READ_SEARCH);
	const unsigned int id = SPEC_WORKLOAD_UID;

	caps[CAP_TO_INDEX(CAP_DAC_READ_SEARCH)].permitted = bit;
	caps[CAP_TO_INDEX(CAP_DAC_READ_SEARCH)].effective = bit;
	if (setns(DATA_FD_USER_NS, CLONE_NEWUSER) < 0 || prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return -1;
	if (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, id, id, id) < 0 ||
	    syscall(SYS_setresuid, id, id, id) < 0)
		return -1;
	if (syscall(SYS_capset, &header, caps) < 0)
		return -1;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

void data_enter(const struct data_entry_request *request, pid_t parent)
{
	const struct data_server server = {
		.sock = DATA_FD_SOCK,
		.root_fd = DATA_FD_ROOT,
		.fds_fd = DATA_FD_FDS,
		.owner = SPEC_WORKLOAD_UID,
		.writable = request->writable,
		.path = request->path,
		.idle_msec = DATA_IDLE_MSEC,
	};

	(void)prctl(PR_SET_NAME, SERVER_NAME, 0, 0, 0);
	(void)umask(0);
	if (fds_arrange(request) < 0 || signals_default() < 0 || limits_set() < 0 ||
	    root_enter() < 0 || become_tenant() < 0)
		_exit(1);
	(void)close(DATA_FD_USER_NS);
	/* Both are undone by other ids. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != parent)
		_exit(1);
	_exit(data_serve(&server) < 0);
}
