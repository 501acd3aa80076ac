/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * isolate/data_server.c as tenantd starts it: what a client can do through it, and what neither
 * he nor the tenant can have it do.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/data.h>
#include <base/fd.h>
#include <base/fdpass.h>
#include <base/io.h>
#include <isolate/data_server.h>
#include <isolate/spec.h>

#include "rig.h"

#define UID_FIRST 3000000
#define WORKLOAD  (UID_FIRST + SPEC_WORKLOAD_UID)
#define LOW_FDS   32 /* the server arranges its own there */

static struct {
	int sock;
	pid_t pid;
	int user_ns_fd;
	/* The last answer. */
	struct data_reply reply;
	char payload[DATA_PAYLOAD_BYTES_MAX + 1];
	int fd;
} at = { .sock = FD_NONE, .user_ns_fd = FD_NONE, .fd = FD_NONE };

static int high(int fd)
{
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, LOW_FDS);

	cr_assert_geq(moved, LOW_FDS);
	(void)close(fd);
	return moved;
}

static void map_put(pid_t pid, const char *file)
{
	char path[64], map[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	(void)snprintf(map, sizeof(map), "0 %d %d", UID_FIRST, SPEC_UIDS_PER_TENANT);
	cr_assert_eq(io_write_file_at(AT_FDCWD, path, map), 0);
}

/* As a tenant's: all of its ids, and nobody else's. */
static int user_ns_make(void)
{
	int ready[2], release[2], fd;
	char path[64], byte = 0;
	pid_t pid;

	cr_assert_eq(pipe2(ready, O_CLOEXEC), 0);
	cr_assert_eq(pipe2(release, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		(void)close(release[1]);
		if (unshare(CLONE_NEWUSER) < 0 || write(ready[1], &byte, 1) != 1)
			_exit(1);
		(void)!read(release[0], &byte, 1);
		_exit(0);
	}
	cr_assert_eq(read(ready[0], &byte, 1), 1);
	map_put(pid, "uid_map");
	map_put(pid, "gid_map");
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	for (int i = 0; i < 2; i++) {
		(void)close(ready[i]);
		(void)close(release[i]);
	}
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
	return high(fd);
}

static void start(const char *path, bool writable)
{
	int root_fd = high(open(rig_path("data"), O_PATH | O_DIRECTORY | O_CLOEXEC));
	const pid_t self = getpid();
	int ends[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	ends[1] = high(ends[1]);
	at.pid = fork();
	if (at.pid == 0)
		data_enter(&(struct data_entry_request){ ends[1], root_fd, at.user_ns_fd,
		                                         writable, path },
		           self);
	(void)close(ends[1]);
	(void)close(root_fd);
	at.sock = ends[0];
}

static int end(void)
{
	int status = -1;

	fd_closep(&at.sock);
	fd_closep(&at.fd);
	cr_assert_eq(waitpid(at.pid, &status, 0), at.pid);
	return status;
}

static void init(void)
{
	rig_dir_make();
	rig_need_root();
	cr_assert_eq(chmod(rig_dir.path, 0700), 0);
	cr_assert_eq(mkdir(rig_path("data"), 0700), 0);
	cr_assert_eq(chown(rig_path("data"), WORKLOAD, WORKLOAD), 0);
	rig_put("secret", "of the host", 0644);
	at.user_ns_fd = user_ns_make();
}

TestSuite(data_server, .timeout = 60, .init = init, .fini = rig_dir_remove);

/* Returns the error. */
static int ask_raw(const void *message, size_t n, int fd)
{
	char buf[DATA_REPLY_BYTES_MAX];
	struct tn_error err = { 0 };
	size_t fds_n = 0;
	int r;

	fd_closep(&at.fd);
	cr_assert_eq(fdpass_send(at.sock, message, n, &fd, fd >= 0, &err), 0, "%s", err.msg);
	r = fdpass_recv(at.sock, buf, sizeof(buf), &at.fd, 1, &fds_n, &err);
	cr_assert_geq(r, (int)sizeof(at.reply), "%s", err.msg);
	memcpy(&at.reply, buf, sizeof(at.reply));
	cr_assert_eq((size_t)r, sizeof(at.reply) + at.reply.payload_bytes);
	memcpy(at.payload, buf + sizeof(at.reply), at.reply.payload_bytes);
	at.payload[at.reply.payload_bytes] = '\0';
	return at.reply.error;
}

static int ask(enum data_kind kind, const char *path, const char *target, int fd)
{
	char message[DATA_REQUEST_BYTES_MAX];
	struct data_request head = { .kind = kind,
		                     .mode = 0107640,
		                     .mtime_sec = 1000000000,
		                     .mtime_nsec = 5,
		                     .path_bytes = (uint32_t)strlen(path),
		                     .target_bytes = (uint32_t)strlen(target) };

	memcpy(message, &head, sizeof(head));
	memcpy(message + sizeof(head), path, head.path_bytes);
	memcpy(message + sizeof(head) + head.path_bytes, target, head.target_bytes);
	return ask_raw(message, sizeof(head) + head.path_bytes + head.target_bytes, fd);
}

static int ask_path(enum data_kind kind, const char *path)
{
	return ask(kind, path, "", FD_NONE);
}

static void of_workload(const char *name)
{
	cr_assert_eq(lchown(rig_path(name), WORKLOAD, WORKLOAD), 0);
}

static void file_put(const char *name, const char *text, mode_t mode)
{
	rig_put(name, text, mode);
	of_workload(name);
}

static const char *text_of(int fd)
{
	static char text[64];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	cr_assert_geq(n, 0);
	text[n] = '\0';
	return text;
}

Test(data_server, hands_out_a_file_to_be_read_and_nothing_else)
{
	file_put("data/note", "hello", 0600);
	start("", false);
	cr_assert_eq(ask_path(DATA_READ, "note"), 0);
	cr_expect_str_eq(text_of(at.fd), "hello");
	cr_expect_eq(fcntl(at.fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK | O_PATH), O_RDONLY);
	cr_expect_eq(at.reply.stat.size, 5);
	cr_expect_eq(at.reply.stat.mode, S_IFREG | 0600);
	cr_expect_eq(ask_path(DATA_READ, ""), EISDIR);
	cr_expect_lt(at.fd, 0);
	cr_expect_eq(ask_path(DATA_LIST, ""), 0);
	cr_expect_lt(at.fd, 0);
	cr_expect_eq(end(), 0);
}

Test(data_server, reads_what_any_user_of_the_tenant_has_kept_and_nobody_elses)
{
	rig_put("data/of_other", "seven", 0600);
	cr_assert_eq(chown(rig_path("data/of_other"), UID_FIRST + 7, UID_FIRST + 7), 0);
	rig_put("data/of_root", "none of yours", 0600);
	start("", false);
	cr_assert_eq(ask_path(DATA_READ, "of_other"), 0);
	cr_expect_str_eq(text_of(at.fd), "seven");
	cr_expect_eq(ask_path(DATA_READ, "of_root"), EACCES);
	cr_expect_eq(end(), 0);
}

Test(data_server, gives_a_file_its_name_when_it_is_whole)
{
	struct stat st;

	file_put("data/there", "old", 0644);
	start("", true);
	cr_assert_eq(ask_path(DATA_CREATE, "there"), 0);
	{
		cleanup_fd int fd = dup(at.fd);

		cr_assert_eq(io_write_all(fd, "new", 3), 0);
		cr_expect_str_eq(rig_get("data/there"), "old");
		cr_expect_eq(ask(DATA_COMMIT, "there", "", fd), 0);
		cr_expect_str_eq(rig_get("data/there"), "new");
		/* As one does whose answer was lost. */
		cr_expect_eq(ask(DATA_COMMIT, "there", "", fd), 0);
		/* But it has one name now, and no second. */
		cr_expect_eq(ask(DATA_COMMIT, "other", "", fd), EPERM);
	}
	cr_assert_eq(stat(rig_path("data/there"), &st), 0);
	cr_expect_eq(st.st_mode, S_IFREG | 0640, "%o", st.st_mode);
	cr_expect_eq(st.st_uid, WORKLOAD);
	cr_expect_eq(st.st_gid, WORKLOAD);
	cr_expect_eq(st.st_mtim.tv_sec, 1000000000);
	cr_expect_eq(st.st_mtim.tv_nsec, 5);
	cr_expect_eq(st.st_nlink, 1);
	cr_expect_eq(ask_path(DATA_LIST, ""), 0);
	cr_expect_eq(at.reply.entries_n, 1);
	cr_expect_eq(end(), 0);
}

Test(data_server, leaves_nothing_of_a_file_that_is_not_committed)
{
	start("", true);
	cr_assert_eq(ask_path(DATA_CREATE, "half"), 0);
	cr_assert_eq(io_write_all(at.fd, "half", 4), 0);
	cr_assert_eq(kill(at.pid, SIGKILL), 0);
	(void)end();
	start("", true);
	cr_expect_eq(ask_path(DATA_LIST, ""), 0);
	cr_expect_eq(at.reply.entries_n, 0);
	cr_expect_eq(end(), 0);
}

/* Its client has been asked to wait for another one meanwhile. */
Test(data_server, gives_a_name_to_what_another_one_has_made)
{
	cleanup_fd int fd = FD_NONE;

	start("", true);
	cr_assert_eq(ask_path(DATA_CREATE, "file"), 0);
	fd = fd_take(&at.fd);
	cr_assert_eq(io_write_all(fd, "whole", 5), 0);
	cr_expect_eq(end(), 0);
	start("", true);
	cr_expect_eq(ask(DATA_COMMIT, "file", "", fd), 0);
	cr_expect_str_eq(rig_get("data/file"), "whole");
	cr_expect_eq(end(), 0);
}

Test(data_server, gives_no_name_to_what_is_not_the_workloads)
{
	int ends[2];

	cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
	start("", true);
	{
		cleanup_fd int of_root = open(rig_dir.path, O_TMPFILE | O_RDWR | O_CLOEXEC,
		                              0666);
		cleanup_fd int named = open(rig_path("secret"), O_RDONLY | O_CLOEXEC);
		cleanup_fd int dir = open(rig_dir.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		cr_assert_geq(of_root, 0);
		cr_expect_eq(ask(DATA_COMMIT, "file", "", of_root), EPERM);
		cr_expect_eq(ask(DATA_COMMIT, "file", "", named), EPERM);
		cr_expect_eq(ask(DATA_COMMIT, "file", "", dir), EPERM);
		cr_expect_eq(ask(DATA_COMMIT, "file", "", ends[0]), EPERM);
		cr_expect_eq(ask_path(DATA_COMMIT, "file"), EBADMSG);
		cr_expect_eq(ask(DATA_STAT, "file", "", named), EBADMSG);
	}
	cr_expect_not(rig_exists("data/file"));
	cr_expect_eq(end(), 0);
}

Test(data_server, follows_no_link_on_the_way_nor_at_the_end)
{
	cr_assert_eq(symlink("/", rig_path("data/root")), 0);
	cr_assert_eq(symlink("..", rig_path("data/up")), 0);
	cr_assert_eq(symlink("/etc/shadow", rig_path("data/shadow")), 0);
	cr_assert_eq(symlink("/proc/self/root", rig_path("data/magic")), 0);
	of_workload("data/root");
	start("", true);
	cr_expect_eq(ask_path(DATA_READ, "root/etc/passwd"), ELOOP);
	cr_expect_eq(ask_path(DATA_READ, "up/secret"), ELOOP);
	cr_expect_eq(ask_path(DATA_READ, "magic/etc/passwd"), ELOOP);
	cr_expect_eq(ask_path(DATA_READ, "shadow"), EINVAL);
	cr_expect_eq(ask_path(DATA_LIST, "root"), ELOOP);
	cr_expect_eq(ask_path(DATA_CREATE, "root/tmp/x"), ELOOP);
	cr_expect_eq(ask_path(DATA_MKDIR, "up/x"), ELOOP);
	cr_expect_eq(ask_path(DATA_MKDIR, "up"), ELOOP);
	cr_expect_eq(ask(DATA_SYMLINK, "up/x", "y", FD_NONE), ELOOP);
	cr_expect_eq(ask_path(DATA_SET, "up"), ELOOP);
	cr_expect_eq(ask_path(DATA_STAT, "shadow"), 0);
	cr_expect_str_eq(at.payload, "/etc/shadow");
	cr_expect(S_ISLNK(at.reply.stat.mode));
	cr_expect_eq(end(), 0);
	cr_expect_not(rig_exists("x"));
}

Test(data_server, replaces_a_link_and_not_what_it_leads_to)
{
	struct stat st;

	cr_assert_eq(symlink("../secret", rig_path("data/x")), 0);
	of_workload("data/x");
	start("", true);
	cr_assert_eq(ask_path(DATA_CREATE, "x"), 0);
	{
		cleanup_fd int fd = dup(at.fd);

		cr_expect_eq(ask(DATA_COMMIT, "x", "", fd), 0);
	}
	cr_assert_eq(lstat(rig_path("data/x"), &st), 0);
	cr_expect(S_ISREG(st.st_mode));
	cr_expect_str_eq(rig_get("secret"), "of the host");
	cr_expect_eq(ask(DATA_SYMLINK, "x", "elsewhere", FD_NONE), 0);
	cr_expect_eq(ask_path(DATA_STAT, "x"), 0);
	cr_expect_str_eq(at.payload, "elsewhere");
	cr_expect_eq(end(), 0);
}

Test(data_server, takes_no_path_that_is_none)
{
	static const char *const bad[] = { "/etc/passwd",    "..",   "../secret",
		                           "a/../../secret", "a//b", "./note",
		                           "note/",          "." };
	char *longest = malloc(2 * PATH_MAX);

	file_put("data/note", "hello", 0600);
	start("", true);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		cr_expect_eq(ask_path(DATA_READ, bad[i]), EINVAL, "%s", bad[i]);
		cr_expect_eq(ask_path(DATA_CREATE, bad[i]), EINVAL, "%s", bad[i]);
	}
	memset(longest, 'a', 2 * PATH_MAX);
	longest[DATA_PATH_BYTES_MAX] = '\0';
	cr_expect_eq(ask_path(DATA_STAT, longest), ENAMETOOLONG);
	longest[NAME_MAX + 1] = '\0';
	cr_expect_eq(ask_path(DATA_STAT, longest), EINVAL);
	cr_expect_eq(end(), 0);
	free(longest);
}

Test(data_server, serves_nothing_beside_what_was_asked_for)
{
	cr_assert_eq(mkdir(rig_path("data/a"), 0700), 0);
	of_workload("data/a");
	file_put("data/a/in", "in", 0600);
	file_put("data/ab", "beside", 0600);
	start("a", false);
	cr_expect_eq(ask_path(DATA_READ, "a/in"), 0);
	cr_expect_eq(ask_path(DATA_LIST, "a"), 0);
	cr_expect_eq(ask_path(DATA_READ, "ab"), EPERM);
	cr_expect_eq(ask_path(DATA_LIST, ""), EPERM);
	/* And to be read only. */
	cr_expect_eq(ask_path(DATA_CREATE, "a/new"), EPERM);
	cr_expect_eq(ask_path(DATA_MKDIR, "a/new"), EPERM);
	cr_expect_eq(ask(DATA_SYMLINK, "a/new", "x", FD_NONE), EPERM);
	cr_expect_eq(ask_path(DATA_SET, "a"), EPERM);
	cr_expect_eq(ask(DATA_COMMIT, "a/new", "", at.sock), EPERM);
	cr_expect_eq(end(), 0);
}

Test(data_server, is_not_held_up_by_a_fifo_and_opens_none)
{
	int fd;

	cr_assert_eq(mkfifo(rig_path("data/fifo"), 0666), 0);
	of_workload("data/fifo");
	start("", true);
	cr_expect_eq(ask_path(DATA_READ, "fifo"), EINVAL);
	cr_expect_eq(ask_path(DATA_STAT, "fifo"), 0);
	cr_expect(S_ISFIFO(at.reply.stat.mode));
	/* Nobody has it open to read. */
	fd = open(rig_path("data/fifo"), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	cr_expect_lt(fd, 0);
	cr_expect_eq(errno, ENXIO);
	cr_expect_eq(end(), 0);
}

Test(data_server, tells_all_of_a_long_directory_once)
{
	enum {
		FILES = 1000
	};
	static bool seen[FILES];
	size_t n = 0;
	char name[64];

	for (int i = 0; i < FILES; i++) {
		(void)snprintf(name, sizeof(name), "data/a name of some length %d", i);
		rig_put(name, "", 0600);
	}
	start("", false);
	cr_assert_eq(ask_path(DATA_LIST, ""), 0);
	for (;;) {
		const char *p = at.payload;

		cr_assert_gt(at.reply.entries_n, 0);
		for (uint32_t i = 0; i < at.reply.entries_n; i++) {
			struct data_entry entry;
			int number = -1;

			memcpy(&entry, p, sizeof(entry));
			p += sizeof(entry);
			(void)snprintf(name, sizeof(name), "%.*s", (int)entry.name_bytes, p);
			p += entry.name_bytes + 1;
			cr_assert_eq(sscanf(name, "a name of some length %d", &number), 1);
			cr_assert(number >= 0 && number < FILES && !seen[number]);
			seen[number] = true;
			n++;
		}
		cr_assert_eq(p, at.payload + at.reply.payload_bytes);
		if (at.reply.more == 0)
			break;
		cr_assert_eq(ask_path(DATA_MORE, ""), 0);
	}
	cr_expect_eq(n, FILES);
	cr_expect_eq(ask_path(DATA_MORE, ""), EBADF);
	cr_expect_eq(end(), 0);
}

Test(data_server, makes_directories_and_says_which_were_there)
{
	struct stat st;

	start("", true);
	cr_expect_eq(ask_path(DATA_MKDIR, "new"), 0);
	cr_expect_eq(at.reply.more, 0);
	cr_expect_eq(ask_path(DATA_MKDIR, "new"), 0);
	cr_expect_eq(at.reply.more, 1);
	cr_expect_eq(ask_path(DATA_SET, "new"), 0);
	cr_assert_eq(stat(rig_path("data/new"), &st), 0);
	cr_expect_eq(st.st_mode, S_IFDIR | 0640, "%o", st.st_mode);
	cr_expect_eq(st.st_uid, WORKLOAD);
	cr_expect_eq(st.st_mtim.tv_sec, 1000000000);
	cr_expect_eq(ask_path(DATA_MKDIR, "none/below"), ENOENT);
	cr_expect_eq(ask_path(DATA_CREATE, "new"), EISDIR);
	cr_expect_eq(end(), 0);
}

Test(data_server, is_not_broken_by_what_is_no_request)
{
	const struct data_request kinds[] = {
		{ .kind = 0 },
		{ .kind = DATA_KINDS_END },
		{ .kind = UINT32_MAX },
		{ .kind = DATA_STAT, .path_bytes = 1 },
		{ .kind = DATA_STAT, .path_bytes = UINT32_MAX, .target_bytes = 1 },
		{ .kind = DATA_STAT, .target_bytes = UINT32_MAX },
	};
	struct {
		struct data_request head;
		char path[4];
	} nul = { { .kind = DATA_STAT, .path_bytes = 4 }, "a\0b" };

	start("", true);
	cr_expect_eq(ask_raw("x", 1, FD_NONE), EBADMSG);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		cr_expect_eq(ask_raw(&kinds[i], sizeof(kinds[i]), FD_NONE), EBADMSG, "%zu", i);
	cr_expect_eq(ask_raw(&nul, sizeof(nul.head) + sizeof(nul.path), FD_NONE), EINVAL);
	cr_expect_eq(ask_path(DATA_STAT, ""), 0);
	cr_expect_eq(end(), 0);
}

Test(data_server, ends_when_nobody_asks_for_anything)
{
	int ends[2], status = -1;
	char byte;
	pid_t pid;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	pid = fork();
	if (pid == 0) {
		(void)close(ends[0]);
		_exit(data_serve(&(struct data_server){ .sock = ends[1], .idle_msec = 50 }) !=
		      0);
	}
	(void)close(ends[1]);
	cr_expect_eq(read(ends[0], &byte, 1), 0);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect_eq(status, 0);
	(void)close(ends[0]);
}

/* Its client could not be told what else he has. */
Test(data_server, has_no_right_on_the_host)
{
	char path[64], text[4096];
	const char *line;

	start("", true);
	cr_assert_eq(ask_path(DATA_STAT, ""), 0);
	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)at.pid);
	cr_assert_gt(io_read_file_at(AT_FDCWD, path, text, sizeof(text)), 0);
	line = strstr(text, "\nUid:");
	cr_assert_not_null(line);
	(void)snprintf(path, sizeof(path), "\nUid:\t%d\t%d\t%d\t%d\n", WORKLOAD, WORKLOAD,
	               WORKLOAD, WORKLOAD);
	cr_expect_eq(strncmp(line, path, strlen(path)), 0, "%.60s", line);
	line = strstr(text, "\nCapEff:");
	cr_assert_not_null(line);
	cr_expect_eq(strncmp(line, "\nCapEff:\t0000000000000004\n", 26), 0, "%.40s", line);
	cr_expect_not_null(strstr(text, "\nNoNewPrivs:\t1\n"));
	cr_expect_eq(end(), 0);
}
