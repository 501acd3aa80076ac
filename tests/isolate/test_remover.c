/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * isolate/remover.c: what a tenant can have made of its directory, all of it goes and nothing
 * beside it; and a range of ids is nobody's before that.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/fd.h>
#include <isolate/remover.h>
#include <isolate/spec.h>
#include <isolate/storage.h>

#include "rig.h"

#define NESTED 3000 /* directories: more than there are descriptors */
#define FILES  2000
#define NAME   "0a000000-0000-4000-8000-00000000000a"

static void init(void)
{
	rig_dir_make();
	rig_need_root();
}

TestSuite(remover, .timeout = 60, .init = init, .fini = rig_dir_remove);

static int dir_open(int at_fd, const char *name)
{
	int fd = openat(at_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	cr_assert_geq(fd, 0, "%s", name);
	return fd;
}

static void file_make(int at_fd, const char *name)
{
	int fd = openat(at_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	cr_assert_geq(fd, 0, "%s", name);
	(void)close(fd);
}

static void nest(int at_fd, unsigned int depth)
{
	int fd = dup(at_fd);

	for (unsigned int i = 0; i < depth; i++) {
		int next;

		cr_assert_eq(mkdirat(fd, "d", 0700), 0);
		file_make(fd, "f");
		next = dir_open(fd, "d");
		(void)close(fd);
		fd = next;
	}
	(void)close(fd);
}

static int removed(const char *name)
{
	cleanup_fd int dir_fd = dir_open(AT_FDCWD, rig_dir.path);

	return remover_remove(dir_fd, name);
}

Test(remover, removes_what_is_nested_deeper_than_there_are_descriptors)
{
	const struct rlimit few = { 32, 32 };
	cleanup_fd int fd = FD_NONE;

	cr_assert_eq(mkdir(rig_path("top"), 0700), 0);
	fd = dir_open(AT_FDCWD, rig_path("top"));
	nest(fd, NESTED);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	cr_expect_eq(removed("top"), 0);
	cr_expect_not(rig_exists("top"));
}

Test(remover, removes_every_kind_of_file_and_follows_none)
{
	cleanup_fd int fd = FD_NONE;
	char name[32];

	rig_put("kept", "kept", 0600);
	cr_assert_eq(mkdir(rig_path("beside"), 0700), 0);
	rig_put("beside/kept", "kept", 0600);
	cr_assert_eq(mkdir(rig_path("top"), 0700), 0);
	fd = dir_open(AT_FDCWD, rig_path("top"));
	for (int i = 0; i < FILES; i++) {
		(void)snprintf(name, sizeof(name), "%d", i);
		file_make(fd, name);
	}
	/* Numbers are what directories on their way out are called. */
	cr_assert_eq(mkdirat(fd, "dir", 0), 0);
	for (int i = 0; i < 3; i++) {
		(void)snprintf(name, sizeof(name), "dir/%d", i);
		cr_assert_eq(mkdirat(fd, name, 0700), 0);
		(void)snprintf(name, sizeof(name), "dir/%d/x", i);
		cr_assert_eq(mkdirat(fd, name, 0), 0);
	}
	cr_assert_eq(symlinkat("../beside", fd, "link"), 0);
	cr_assert_eq(symlinkat("../kept", fd, "dir/link"), 0);
	cr_assert_eq(linkat(AT_FDCWD, rig_path("kept"), fd, "hard", 0), 0);
	cr_assert_eq(mkfifoat(fd, "fifo", 0600), 0);
	cr_assert_eq(mknodat(fd, "sock", S_IFSOCK | 0600, 0), 0);
	file_make(fd, "\n\xff -rf *");
	cr_expect_eq(removed("top"), 0);
	cr_expect_not(rig_exists("top"));
	cr_expect_str_eq(rig_get("kept"), "kept");
	cr_expect_str_eq(rig_get("beside/kept"), "kept");
}

Test(remover, is_content_with_what_is_gone_and_says_what_is_no_directory)
{
	cr_expect_eq(removed("none"), 0);
	rig_put("file", "", 0600);
	cr_expect_eq(removed("file"), -ENOTDIR);
	cr_assert_eq(symlink("beside", rig_path("link")), 0);
	cr_expect_eq(removed("link"), -ENOTDIR);
	cr_expect(rig_exists("file"));
}

/* The loop, until nothing is to be removed any more. */
static void turn(struct remover *remover)
{
	while (remover->pid != 0) {
		struct pollfd end = { .fd = remover->source.fd, .events = POLLIN };

		cr_assert_eq(poll(&end, 1, 20000), 1);
		remover->source.ready(remover->source.context, POLLIN);
	}
}

Test(remover, gives_a_range_back_when_the_last_file_with_its_ids_is_gone)
{
	struct tn_error err = { 0 };
	struct slots *slots = NULL;
	struct loop loop;
	struct remover remover = { .loop = &loop,
		                   .storage_root = rig_dir.path,
		                   .source.fd = FD_NONE };
	struct id tenant, other = { { 7 } }, found;
	int64_t slot;

	cr_assert_eq(id_parse(NAME, &tenant), 0);
	cr_assert_eq(loop_init(&loop, &err), 0);
	cr_assert_eq(slots_open(rig_path("slots"), 4, &slots, &err), 0, "%s", err.msg);
	remover.slots = slots;
	slot = slots_take(slots, &tenant, "acme", &err);
	cr_assert_geq(slot, 0);
	cr_assert_eq(storage_make(rig_dir.path, &tenant, 655360, &err), 0);
	rig_put(NAME "/data/file", "stored", 0600);
	remover_wake(&remover);
	cr_expect_eq(remover.pid, 0, "nothing has been discarded");

	cr_assert_eq(storage_discard(rig_dir.path, &tenant, &err), 1, "%s", err.msg);
	cr_expect_not(rig_exists(NAME));
	cr_assert_eq(slots_retire(slots, slot, &err), 0, "%s", err.msg);
	cr_expect_eq(slots_find(slots, &tenant), -ENOENT);
	cr_expect_eq(slots_retired(slots, 0, &found), slot);
	/* The name is free, the range is not. */
	cr_expect_neq(slots_take(slots, &other, "acme", &err), slot, "%s", err.msg);
	cr_expect_lt(slots_take(slots, &tenant, "globex", &err), 0);
	remover_wake(&remover);
	cr_assert_neq(remover.pid, 0);
	turn(&remover);
	cr_expect_not(rig_exists(".deleted/" NAME));
	cr_expect_eq(slots_retired(slots, 0, &found), -ENOENT);
	cr_expect_eq(slots_take(slots, &tenant, "globex", &err), slot, "%s", err.msg);
	(void)slots_close(slots);
	loop_done(&loop);
}

/* A crash between any two steps of a deletion, and then all of them again. */
Test(remover, goes_on_with_what_was_begun_before_a_restart)
{
	struct tn_error err = { 0 };
	struct slots *slots = NULL;
	struct id tenant, found;
	int64_t slot;

	cr_assert_eq(id_parse(NAME, &tenant), 0);
	cr_assert_eq(slots_open(rig_path("slots"), 4, &slots, &err), 0, "%s", err.msg);
	slot = slots_take(slots, &tenant, "acme", &err);
	cr_assert_eq(storage_make(rig_dir.path, &tenant, 655360, &err), 0);
	cr_expect_eq(storage_check_empty(rig_dir.path, &tenant, &err), 0);
	rig_put(NAME "/data/file", "stored", 0600);
	cr_expect_eq(storage_check_empty(rig_dir.path, &tenant, &err), -ENOTEMPTY);
	cr_expect_str_eq(err.msg, "the tenant has stored data");
	cr_assert_eq(storage_discard(rig_dir.path, &tenant, &err), 1);
	cr_expect_eq(storage_discard(rig_dir.path, &tenant, &err), 1, "it is there still");
	cr_assert_eq(slots_retire(slots, slot, &err), 0);
	(void)slots_close(slots);
	cr_assert_eq(slots_open(rig_path("slots"), 4, &slots, &err), 0, "%s", err.msg);
	cr_expect_eq(slots_retired(slots, 0, &found), slot);
	cr_expect(id_equal(&found, &tenant));
	cr_expect_eq(slots_retired(slots, slot + 1, &found), -ENOENT);
	cr_expect_eq(removed(".deleted/" NAME), 0);
	cr_expect_eq(storage_discard(rig_dir.path, &tenant, &err), 0, "now there is none");
	(void)slots_close(slots);
}
