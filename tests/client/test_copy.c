/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copies to and from what a tenant has stored, served by the product's own server. */
#include <tenant/copy.h>

#include <limits.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <base/io.h>

#include "daemon.h"

#define BIG (3 * 1024 * 1024 + 5)

static char host[64]; /* a directory outside */
static char text[4096];
static struct tn_copy_result result;

/* What was told. */
static struct {
	size_t n;
	char last[PATH_MAX];
	char why[TN_ERROR_MSG_BYTES];
	int end;
} told;

static const char *outside(const char *name)
{
	static char paths[2][PATH_MAX];
	static unsigned int i;

	i = !i;
	(void)snprintf(paths[i], sizeof(paths[i]), "%s/%s", host, name);
	return paths[i];
}

static const char *inside(const char *name)
{
	static char paths[2][PATH_MAX];
	static unsigned int i;

	i = !i;
	(void)snprintf(paths[i], sizeof(paths[i]), "%s.data/%s", socket_path, name);
	return paths[i];
}

static void begin(void)
{
	set_up();
	(void)umask(022);
	(void)snprintf(host, sizeof(host), "/tmp/test-copy-%d", getpid());
	cr_assert_eq(mkdir(host, 0700), 0);
	cr_assert_eq(mkdir(inside(""), 0700), 0);
}

static void remove_all(const char *path)
{
	char command[PATH_MAX];

	(void)snprintf(command, sizeof(command), "chmod -R u+rwx %s; rm -rf %s", path, path);
	cr_expect_eq(system(command), 0);
}

static void end(void)
{
	tear_down();
	remove_all(host);
	remove_all(inside(""));
}

TestSuite(copy, .init = begin, .fini = end, .timeout = 120);

static void put(const char *path, const char *content, mode_t mode)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	cr_assert_geq(fd, 0, "%s", path);
	cr_assert_eq(io_write_all(fd, content, strlen(content)), 0);
	cr_assert_eq(fchmod(fd, mode), 0);
}

static const char *get(const char *path)
{
	ssize_t n = io_read_file_at(AT_FDCWD, path, text, sizeof(text));

	cr_assert_geq(n, 0, "%s: %s", path, strerror(-(int)n));
	return text;
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 ? st.st_mode : 0;
}

static int on_copied(const struct tn_copied *copied, void *userdata)
{
	(void)userdata;
	told.n++;
	(void)snprintf(told.last, sizeof(told.last), "%s", copied->path);
	if (copied->kind == TN_COPIED_NOTHING)
		(void)snprintf(told.why, sizeof(told.why), "%s", copied->why->msg);
	return told.end;
}

static struct tn_copy_spec spec_of(const char *tenant, const char *path, const char *host_path)
{
	told.n = 0;
	return (struct tn_copy_spec){
		.tenant = tenant, .path = path, .host_path = host_path, .each = on_copied
	};
}

static int in(const char *host_path, const char *path)
{
	const struct tn_copy_spec spec = spec_of("acme", path, host_path);

	return tn_copy_in(client, &spec, &result, &err);
}

static int out(const char *path, const char *host_path)
{
	const struct tn_copy_spec spec = spec_of("acme", path, host_path);

	return tn_copy_out(client, &spec, &result, &err);
}

static size_t entries_n(const char *path)
{
	char command[PATH_MAX];
	unsigned int n = 0;
	FILE *pipe;

	(void)snprintf(command, sizeof(command), "ls -A %s | wc -l", path);
	pipe = popen(command, "r");
	cr_assert_not_null(pipe);
	cr_assert_eq(fscanf(pipe, "%u", &n), 1);
	(void)pclose(pipe);
	return n;
}

Test(copy, of_a_file_keeps_what_it_is)
{
	const struct timespec times[] = { { .tv_nsec = UTIME_OMIT }, { 1000000000, 7 } };
	struct stat st;

	put(outside("note"), "hello", 04751);
	cr_assert_eq(utimensat(AT_FDCWD, outside("note"), times, 0), 0);
	cr_assert_eq(in(outside("note"), "/data/copy"), 0, "%s", err.msg);
	cr_expect_str_eq(get(inside("copy")), "hello");
	cr_assert_eq(stat(inside("copy"), &st), 0);
	cr_expect_eq(st.st_mode, S_IFREG | 0751, "%o", st.st_mode);
	cr_expect_eq(st.st_mtim.tv_sec, 1000000000);
	cr_expect_eq(st.st_mtim.tv_nsec, 7);
	cr_expect_eq(result.files, 1);
	cr_expect_eq(result.bytes, 5);
	cr_expect_str_eq(told.last, "/data/copy");

	cr_assert_eq(chmod(inside("copy"), 06777), 0);
	cr_assert_eq(out("/data/copy", outside("back")), 0, "%s", err.msg);
	cr_expect_str_eq(get(outside("back")), "hello");
	cr_assert_eq(stat(outside("back"), &st), 0);
	/* Narrowed by the umask. */
	cr_expect_eq(st.st_mode, S_IFREG | 0755, "%o", st.st_mode);
	cr_expect_eq(st.st_mtim.tv_sec, 1000000000);
	cr_expect_eq(entries_n(host), 2);
}

Test(copy, goes_into_a_directory_that_is_there)
{
	put(outside("note"), "hello", 0644);
	cr_assert_eq(mkdir(inside("dir"), 0700), 0);
	cr_assert_eq(in(outside("note"), "/data/dir"), 0, "%s", err.msg);
	cr_expect_str_eq(get(inside("dir/note")), "hello");
	cr_assert_eq(in(outside("note"), "/data"), 0, "%s", err.msg);
	cr_expect_str_eq(get(inside("note")), "hello");
	cr_assert_eq(in(outside("note"), ""), 0, "%s", err.msg);
	cr_assert_eq(mkdir(outside("to"), 0700), 0);
	cr_assert_eq(out("dir/note", outside("to")), 0, "%s", err.msg);
	cr_expect_str_eq(get(outside("to/note")), "hello");
	cr_assert_eq(out("/data", outside("to")), 0, "%s", err.msg);
	cr_expect_str_eq(get(outside("to/data/dir/note")), "hello");
	cr_expect_eq(result.files, 2);
	cr_expect_eq(result.directories, 2);
}

Test(copy, of_a_directory_has_all_that_is_in_it)
{
	cr_assert_eq(mkdir(outside("tree"), 0750), 0);
	cr_assert_eq(mkdir(outside("tree/sub"), 0700), 0);
	put(outside("tree/sub/a"), "a", 0600);
	put(outside("tree/b"), "b", 0400);
	cr_assert_eq(symlink("/etc", outside("tree/link")), 0);
	cr_assert_eq(chmod(outside("tree/sub"), 0555), 0);
	cr_assert_eq(in(outside("tree"), "/data/tree"), 0, "%s", err.msg);
	cr_expect_eq(result.files, 2);
	cr_expect_eq(result.directories, 2);
	cr_expect_eq(result.links, 1);
	cr_expect_eq(result.left_out_n, 0);
	cr_expect_str_eq(get(inside("tree/sub/a")), "a");
	cr_expect_eq(mode_of(inside("tree/sub")), S_IFDIR | 0555);
	cr_expect_eq(mode_of(inside("tree")), S_IFDIR | 0750);
	cr_expect(S_ISLNK(mode_of(inside("tree/link"))));

	cr_assert_eq(out("/data/tree/", outside("back")), 0, "%s", err.msg);
	cr_expect_str_eq(get(outside("back/sub/a")), "a");
	cr_expect_eq(mode_of(outside("back/sub")), S_IFDIR | 0555);
	cr_expect_eq(mode_of(outside("back/b")), S_IFREG | 0400);
	cr_expect(S_ISLNK(mode_of(outside("back/link"))));
	cr_expect_eq(result.files, 2);
	/* Its contents, into one that is there. */
	cr_assert_eq(out("/data/tree/sub/.", outside("back")), 0, "%s", err.msg);
	cr_expect_str_eq(get(outside("back/a")), "a");
	cr_assert_eq(in(outside("tree/sub/."), "/data"), 0, "%s", err.msg);
	cr_expect_str_eq(get(inside("a")), "a");
}

Test(copy, to_and_from_a_descriptor_is_one_file)
{
	int ends[2];
	struct tn_copy_spec spec = spec_of("acme", "/data/piped", NULL);

	cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
	cr_assert_eq(io_write_all(ends[1], "piped", 5), 0);
	(void)close(ends[1]);
	spec.fd = ends[0];
	cr_assert_eq(tn_copy_in(client, &spec, &result, &err), 0, "%s", err.msg);
	(void)close(ends[0]);
	cr_expect_str_eq(get(inside("piped")), "piped");
	cr_expect_eq(mode_of(inside("piped")), S_IFREG | 0644);

	cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
	spec.fd = ends[1];
	cr_assert_eq(tn_copy_out(client, &spec, &result, &err), 0, "%s", err.msg);
	(void)close(ends[1]);
	cr_expect_eq(read(ends[0], text, sizeof(text)), 5);
	cr_expect_eq(memcmp(text, "piped", 5), 0);
	(void)close(ends[0]);
	spec.path = "/data";
	cr_expect_eq(tn_copy_out(client, &spec, &result, &err), -EBUSY);
	cr_expect_not_null(strstr(err.msg, "is a directory"), "%s", err.msg);
	cr_expect_lt(tn_copy_in(client, &spec, &result, &err), 0);
}

Test(copy, replaces_in_one_step)
{
	put(outside("a"), "new", 0644);
	put(inside("a"), "old", 0600);
	cr_assert_eq(in(outside("a"), "/data/a"), 0, "%s", err.msg);
	cr_expect_str_eq(get(inside("a")), "new");
	cr_expect_eq(entries_n(inside("")), 1);
	put(inside("a"), "newer", 0644);
	cr_assert_eq(out("a", outside("a")), 0, "%s", err.msg);
	cr_expect_str_eq(get(outside("a")), "newer");
	cr_expect_eq(entries_n(host), 1);
}

Test(copy, leaves_holes_where_they_are)
{
	cleanup_fd int fd = open(inside("holes"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	struct stat st;

	cr_assert_eq(pwrite(fd, "x", 1, (off_t)1 << 32), 1);
	cr_assert_eq(ftruncate(fd, (off_t)1 << 33), 0);
	cr_assert_eq(out("holes", outside("holes")), 0, "%s", err.msg);
	cr_assert_eq(stat(outside("holes"), &st), 0);
	cr_expect_eq(st.st_size, (off_t)1 << 33);
	cr_expect_lt(st.st_blocks, 2048);
	cr_assert_eq(in(outside("holes"), "/data/again"), 0, "%s", err.msg);
	cr_assert_eq(stat(inside("again"), &st), 0);
	cr_expect_eq(st.st_size, (off_t)1 << 33);
	cr_expect_lt(st.st_blocks, 2048);
}

Test(copy, follows_no_link_inside)
{
	put(outside("secret"), "of the host", 0600);
	cr_assert_eq(symlink(host, inside("way")), 0);
	cr_assert_eq(symlink(outside("secret"), inside("file")), 0);
	cr_expect_eq(out("/data/way/secret", outside("x")), -ELOOP);
	cr_expect_not_null(strstr(err.msg, "symbolic link"), "%s", err.msg);
	cr_expect_eq(in(outside("secret"), "/data/way/new"), -ELOOP);
	cr_expect_eq(in(outside("secret"), "/data/way"), -EBUSY);
	/* A link is what it is. */
	cr_assert_eq(out("/data/file", outside("x")), 0, "%s", err.msg);
	cr_expect(S_ISLNK(mode_of(outside("x"))));
	cr_expect_eq(entries_n(host), 2);
}

/* One that an earlier copy has left: what is in the directory of that name now goes nowhere. */
Test(copy, follows_no_link_that_was_copied_before)
{
	cr_assert_eq(mkdir(outside("victim"), 0700), 0);
	cr_assert_eq(mkdir(outside("to"), 0700), 0);
	cr_assert_eq(mkdir(inside("tree"), 0700), 0);
	cr_assert_eq(symlink(outside("victim"), inside("tree/x")), 0);
	cr_assert_eq(out("tree", outside("to")), 0, "%s", err.msg);
	cr_assert_eq(unlink(inside("tree/x")), 0);
	cr_assert_eq(mkdir(inside("tree/x"), 0700), 0);
	put(inside("tree/x/passwd"), "evil", 0600);
	put(inside("tree/other"), "good", 0600);
	cr_assert_eq(out("tree", outside("to")), 0, "%s", err.msg);
	cr_expect_eq(result.left_out_n, 1);
	cr_expect_eq(entries_n(outside("victim")), 0);
	cr_expect_str_eq(get(outside("to/tree/other")), "good");
	/* A file where a link to one is replaces the link. */
	put(outside("victim/file"), "as it was", 0600);
	cr_assert_eq(symlink(outside("victim/file"), outside("to/tree/y")), 0);
	put(inside("tree/y"), "new", 0600);
	cr_assert_eq(out("tree", outside("to")), 0, "%s", err.msg);
	cr_expect_str_eq(get(outside("victim/file")), "as it was");
	cr_expect_str_eq(get(outside("to/tree/y")), "new");
}

/* The same at the top: what it leads to was the tenant's choice. */
Test(copy, goes_into_no_link_unless_that_is_said)
{
	char slash[PATH_MAX];

	cr_assert_eq(mkdir(outside("victim"), 0700), 0);
	cr_assert_eq(symlink(outside("victim"), inside("out")), 0);
	cr_assert_eq(out("out", outside("back")), 0, "%s", err.msg);
	cr_assert_eq(unlink(inside("out")), 0);
	cr_assert_eq(mkdir(inside("out"), 0700), 0);
	put(inside("out/f"), "evil", 0600);
	cr_expect_eq(out("out", outside("back")), -EBUSY);
	cr_expect_not_null(strstr(err.msg, "is a symbolic link"), "%s", err.msg);
	cr_expect_eq(out("out/.", outside("back")), -EBUSY);
	cr_expect_eq(out("out/f", outside("back")), -EBUSY);
	cr_expect_eq(entries_n(outside("victim")), 0);
	(void)snprintf(slash, sizeof(slash), "%s/", outside("back"));
	cr_assert_eq(out("out/f", slash), 0, "%s", err.msg);
	cr_expect_str_eq(get(outside("victim/f")), "evil");
}

Test(copy, leaves_out_what_is_special_and_says_so)
{
	cr_assert_eq(mkdir(inside("tree"), 0700), 0);
	cr_assert_eq(mkfifo(inside("tree/fifo"), 0600), 0);
	put(inside("tree/file"), "file", 0600);
	cr_assert_eq(out("tree", outside("to")), 0, "%s", err.msg);
	cr_expect_eq(result.left_out_n, 1);
	cr_expect_eq(result.files, 1);
	cr_expect_not_null(strstr(told.why, "/data/tree/fifo is a FIFO"), "%s", told.why);
	cr_expect_eq(out("tree/fifo", outside("x")), -EBUSY);
	cr_expect_not_null(strstr(err.msg, "is a FIFO"), "%s", err.msg);
	cr_assert_eq(mkfifo(outside("to/fifo"), 0600), 0);
	cr_assert_eq(in(outside("to"), "/data/back"), 0, "%s", err.msg);
	cr_expect_eq(result.left_out_n, 1);
	cr_expect_eq(in(outside("to/fifo"), "/data/x"), -EBUSY);
	/* Nor is one replaced that the caller names. */
	cr_expect_eq(out("tree/file", outside("to/fifo")), -EBUSY);
	cr_expect(S_ISFIFO(mode_of(outside("to/fifo"))));
	cr_expect_eq(out("tree/file", "/dev/null"), -EBUSY);
	cr_expect(S_ISCHR(mode_of("/dev/null")));
}

Test(copy, says_what_is_wrong_with_a_path)
{
	static const char *const bad[] = { "/etc/passwd", "/data/../etc", "..", "/database" };

	put(outside("a"), "a", 0600);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		cr_expect_eq(out(bad[i], outside("x")), -EINVAL, "%s", bad[i]);
		cr_expect_eq(in(outside("a"), bad[i]), -EINVAL, "%s", bad[i]);
		cr_expect_not_null(strstr(err.msg, bad[i]), "%s", err.msg);
	}
	cr_expect_eq(out("/data/none", outside("x")), -ENOENT);
	cr_expect_not_null(strstr(err.msg, "/data/none"), "%s", err.msg);
	cr_expect_eq(err.code, TN_NOT_FOUND);
	cr_expect_eq(in(outside("a"), "/data/none/a"), -ENOENT);
	cr_expect_eq(in(outside("a"), "/data/none/"), -ENOENT);
	cr_expect_eq(in(outside("none"), "/data/x"), -ENOENT);
	cr_assert_eq(in(outside("a"), "/data/a"), 0);
	cr_expect_eq(in(host, "/data/a"), -EBUSY);
	cr_expect_eq(out("/data/a", outside("none/x")), -ENOENT);
	cr_expect_eq(out("/data/a", outside("none/")), -ENOENT);
	cr_expect_eq(out("/data/a/.", outside("x")), -ENOTDIR);
	cr_expect_eq(entries_n(host), 1);
}

Test(copy, tells_the_daemons_refusal)
{
	struct tn_copy_spec spec = spec_of("nobody", "/data/x", outside("x"));

	cr_expect_eq(tn_copy_out(client, &spec, &result, &err), -ENOENT);
	cr_expect_str_eq(err.msg, "about nobody");
	spec.tenant = "forbidden";
	cr_expect_eq(tn_copy_out(client, &spec, &result, &err), -EPERM);
	spec.tenant = "../x";
	cr_expect_eq(tn_copy_out(client, &spec, &result, &err), -EINVAL);
}

Test(copy, ends_when_no_more_is_wanted)
{
	put(outside("a"), "a", 0600);
	put(outside("b"), "b", 0600);
	told.end = 1;
	cr_expect_eq(in(host, "/data/tree"), -ECANCELED);
	cr_expect_eq(told.n, 1);
	told.end = 0;
}

static void big_put(const char *path)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	static char block[BIG];

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (char)(i * 7 + i / 251);
	cr_assert_eq(io_write_all(fd, block, sizeof(block)), 0);
}

static bool same(const char *a, const char *b)
{
	char command[PATH_MAX];

	(void)snprintf(command, sizeof(command), "cmp -s %s %s", a, b);
	return system(command) == 0;
}

static void there_and_back(const char *tenant)
{
	char name[64], tree_path[128] = "", back_path[128] = "";
	const struct tn_copy_spec to = spec_of(tenant, "/data/tree", tree_path);
	const struct tn_copy_spec back = spec_of(tenant, "/data/tree", back_path);

	(void)snprintf(tree_path, sizeof(tree_path), "%s", outside("tree"));
	(void)snprintf(back_path, sizeof(back_path), "%s", outside("back"));
	cr_assert_eq(mkdir(outside("tree"), 0700), 0);
	for (int i = 0; i < 200; i++) {
		(void)snprintf(name, sizeof(name), "tree/a name that takes some room %d", i);
		put(outside(name), name, 0600);
	}
	big_put(outside("tree/big"));
	cr_assert_eq(tn_copy_in(client, &to, &result, &err), 0, "%s", err.msg);
	cr_expect_eq(result.files, 201, "%s", told.why);
	cr_expect(same(outside("tree/big"), inside("tree/big")));
	cr_expect_eq(entries_n(inside("tree")), 201);
	cr_assert_eq(tn_copy_out(client, &back, &result, &err), 0, "%s", err.msg);
	cr_expect_eq(result.files, 201);
	cr_expect_eq(result.left_out_n, 0);
	cr_expect(same(outside("tree/big"), outside("back/big")));
}

Test(copy, goes_on_whoever_serves_it)
{
	there_and_back("hasty");
}

/* As after a restart of tenantd: what was made by one cannot be given a name by the next. */
Test(copy, writes_once_more_what_another_one_cannot_name)
{
	const struct tn_copy_spec spec = spec_of("moving", "/data/big", outside("big"));
	char mark[PATH_MAX];

	(void)snprintf(mark, sizeof(mark), "%s.data.moved", socket_path);
	cr_assert_eq(geteuid(), 0, "this takes mount namespaces");
	big_put(outside("big"));
	cr_expect_eq(tn_copy_in(client, &spec, &result, &err), 0, "%s", err.msg);
	cr_expect_eq(unlink(mark), 0, "it has moved");
	cr_expect(same(outside("big"), inside("big")));
	cr_expect_eq(entries_n(inside("")), 1);
}

Test(copy, leaves_out_what_is_nested_too_deep)
{
	const struct rlimit few = { 1024, 1024 };
	int fd = open(inside(""), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	for (int i = 0; i < 5000; i++) {
		int next;

		cr_assert_eq(mkdirat(fd, "d", 0700), 0);
		next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		(void)close(fd);
		fd = next;
	}
	(void)close(fd);
	put(inside("beside"), "beside", 0600);
	cr_assert_eq(out("/data", outside("to")), 0, "%s", err.msg);
	cr_expect_eq(result.left_out_n, 1);
	cr_expect_eq(result.directories, TN_COPY_DEPTH_MAX);
	cr_expect_not_null(strstr(told.why, "256 directories"), "%s", told.why);
	cr_expect_str_eq(get(outside("to/beside")), "beside");
}

Test(copy, leaks_no_descriptor)
{
	const int before = fds_open();

	put(outside("a"), "a", 0600);
	cr_assert_eq(in(host, "/data/tree"), 0, "%s", err.msg);
	cr_assert_eq(out("/data/tree", outside("back")), 0, "%s", err.msg);
	cr_expect_lt(out("/data/none", outside("back")), 0);
	cr_expect_lt(in(outside("a"), "/data/none/x"), 0);
	cr_expect_eq(fds_open(), before);
}
