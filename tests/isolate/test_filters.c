/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* isolate/filters.c: each filter once, for as long as somebody has it, over restarts too. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <base/fd.h>
#include <isolate/filters.h>

#include "rig.h"

static struct floors floors;
static struct filters filters;
static struct tn_error err;

static void set_up(void)
{
	rig_dir_make();
	floors_make(&floors);
	filters = (struct filters){ .floors = &floors,
		                    .dir_fd = open(rig_dir.path,
		                                   O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
}

static void tear_down(void)
{
	fd_closep(&filters.dir_fd);
	rig_dir_remove();
}

TestSuite(filters, .timeout = 20, .init = set_up, .fini = tear_down);

/* That of a policy whose last word is @k. */
static struct filter *join(uint32_t k)
{
	struct sock_filter code = { .code = BPF_RET | BPF_K, .k = k };
	const struct sock_fprog policy = { .len = 1, .filter = &code };
	struct filter *filter = NULL;

	cr_assert_eq(filters_join(&filters, &policy, &filter, &err), 0, "%s", err.msg);
	return filter;
}

/* As a tenantd that begins finds it. */
static void restart(void)
{
	const int dir_fd = filters.dir_fd;

	filters = (struct filters){ .floors = &floors, .dir_fd = dir_fd };
}

Test(filters, has_what_is_alike_once)
{
	struct filter *one = join(1), *two = join(2), *again = join(1);

	cr_expect_eq(one, again);
	cr_expect_neq(one, two);
	cr_expect_neq(one->number, two->number);
	cr_expect_eq(rig_entries_n(), 2u);
	cr_expect_eq(one->usual.filter[one->usual.len - 1].k, 1u);
	cr_expect_gt(one->host_files.len, one->usual.len, "its floor refuses more");
	cr_expect_null(filter_put(one));
	cr_expect_eq(rig_entries_n(), 2u, "somebody has it still");
	cr_expect_null(filter_put(again));
	cr_expect_eq(rig_entries_n(), 1u);
	cr_expect_null(filter_put(two));
	cr_expect_eq(rig_entries_n(), 0u);
	cr_expect_null(filters.first);
	cr_expect_null(filter_put(NULL));
}

Test(filters, finds_it_again_after_a_restart_whatever_the_floor_is_then)
{
	struct filter *filter = join(7), *found;
	const uint64_t number = filter->number;
	const struct sock_fprog before = filter->usual;

	restart();
	floors.usual.code[FLOOR_INSNS_MAX - 1].k ^= 1;
	found = filters_find(&filters, number);
	cr_assert_not_null(found);
	cr_expect_eq(found->usual.len, before.len);
	cr_expect_eq(
		memcmp(found->usual.filter, before.filter, before.len * sizeof(*before.filter)),
		0);
	cr_expect_eq(filters_find(&filters, number), found);
	cr_expect_eq(found->users, 2u);
	cr_expect_null(filters_find(&filters, number + 1));
}

Test(filters, gives_a_taken_number_to_nobody_else)
{
	struct filter *filter = join(7), *other;
	char name[17];

	/* As if another program had the same sum. */
	(void)snprintf(name, sizeof(name), "%016lx", (unsigned long)filter->number);
	rig_put(name, "something else that is not ours", 0600);
	restart();
	other = join(7);
	cr_expect_eq(other->number, filter->number, "what is no filter is replaced");
	restart();
	cr_assert_eq(renameat(filters.dir_fd, name, filters.dir_fd, "x"), 0);
	filter = join(8);
	(void)snprintf(name, sizeof(name), "%016lx", (unsigned long)filter->number);
	restart();
	cr_assert_eq(renameat(filters.dir_fd, "x", filters.dir_fd, name), 0);
	other = join(8);
	cr_expect_eq(other->number, filter->number + 1);
	cr_expect_eq(filters_find(&filters, other->number), other);
}

Test(filters, believes_no_file_that_is_not_whole)
{
	const uint64_t number = join(7)->number;
	char name[17];
	cleanup_fd int fd = FD_NONE;

	(void)snprintf(name, sizeof(name), "%016lx", (unsigned long)number);
	restart();
	fd = openat(filters.dir_fd, name, O_WRONLY | O_CLOEXEC);
	cr_assert_eq(ftruncate(fd, 100), 0);
	cr_expect_null(filters_find(&filters, number));
	cr_assert_eq(ftruncate(fd, 4), 0);
	cr_expect_null(filters_find(&filters, number));
}

Test(filters, sweeps_what_nobody_has_any_more)
{
	const uint64_t kept = join(1)->number;

	(void)join(2);
	rig_put("litter", "", 0600);
	restart();
	cr_assert_not_null(filters_find(&filters, kept));
	filters_sweep(&filters);
	cr_expect_eq(rig_entries_n(), 1u);
	cr_expect_not_null(filters_find(&filters, kept));
}

Test(filters, fails_when_it_cannot_be_kept)
{
	struct sock_filter code = { .code = BPF_RET | BPF_K };
	const struct sock_fprog policy = { .len = 1, .filter = &code };
	struct filter *filter = NULL;

	fd_closep(&filters.dir_fd);
	filters.dir_fd = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_expect_lt(filters_join(&filters, &policy, &filter, &err), 0);
	cr_expect_null(filter);
	cr_expect_null(filters.first);
}
