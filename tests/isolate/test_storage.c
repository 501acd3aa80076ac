/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/fd.h>
#include <isolate/spec.h>
#include <isolate/storage.h>

#include "rig.h"

#define UID_FIRST 655360
#define ID        "0a000000-0000-4000-8000-00000000000a"

static struct id tenant;

static void init(void)
{
	rig_dir_make();
	rig_need_root();
	cr_assert_eq(id_parse(ID, &tenant), 0);
}

TestSuite(storage, .timeout = 20, .init = init, .fini = rig_dir_remove);

static void make(void)
{
	struct tn_error err = { 0 };

	cr_assert_eq(storage_make(rig_dir.path, &tenant, UID_FIRST, &err), 0, "%s", err.msg);
}

static void expect(const char *name, uid_t owner)
{
	struct stat st;

	cr_assert_eq(lstat(rig_path(name), &st), 0, "%s", name);
	cr_expect_eq(st.st_mode, S_IFDIR | 0700, "%s: %o", name, st.st_mode);
	cr_expect_eq(st.st_uid, owner, "%s", name);
	cr_expect_eq(st.st_gid, owner, "%s", name);
}

Test(storage, is_the_workloads_below_a_directory_of_roots)
{
	make();
	expect(ID, 0);
	expect(ID "/data", UID_FIRST + SPEC_WORKLOAD_UID);
}

Test(storage, is_left_as_it_is_when_it_is_there)
{
	make();
	rig_put(ID "/data/file", "kept", 0600);
	/* As after a crash between mkdir and chown. */
	cr_assert_eq(chown(rig_path(ID "/data"), 0, 0), 0);
	make();
	expect(ID "/data", UID_FIRST + SPEC_WORKLOAD_UID);
	cr_expect_str_eq(rig_get(ID "/data/file"), "kept");
}

Test(storage, goes_only_when_nothing_is_stored)
{
	struct tn_error err = { 0 };

	make();
	rig_put(ID "/data/file", "x", 0600);
	cr_expect_eq(storage_remove_empty(rig_dir.path, &tenant, &err), -ENOTEMPTY);
	cr_expect_eq(err.code, TN_STATE);
	cr_expect(rig_exists(ID "/data/file"));
	cr_assert_eq(unlink(rig_path(ID "/data/file")), 0);
	cr_expect_eq(storage_remove_empty(rig_dir.path, &tenant, &err), 0, "%s", err.msg);
	cr_expect_eq(rig_entries_n(), 0);
	cr_expect_eq(storage_remove_empty(rig_dir.path, &tenant, &err), 0, "it is gone: %s",
	             err.msg);
}

Test(storage, follows_no_link_that_stands_where_a_directory_should)
{
	struct tn_error err = { 0 };
	struct stat st;

	cr_assert_eq(mkdir(rig_path("victim"), 0755), 0);
	cr_assert_eq(symlink("victim", rig_path(ID)), 0);
	cr_expect_lt(storage_make(rig_dir.path, &tenant, UID_FIRST, &err), 0);
	cr_expect_not(rig_exists("victim/data"));

	cr_assert_eq(unlink(rig_path(ID)), 0);
	cr_assert_eq(mkdir(rig_path(ID), 0700), 0);
	cr_assert_eq(symlink("../victim", rig_path(ID "/data")), 0);
	(void)storage_make(rig_dir.path, &tenant, UID_FIRST, &err);
	cr_assert_eq(stat(rig_path("victim"), &st), 0);
	cr_expect_eq(st.st_uid, 0, "another's directory was given away");
}

Test(storage, needs_its_root)
{
	struct tn_error err = { 0 };

	cr_expect_eq(storage_make(rig_path("none"), &tenant, UID_FIRST, &err), -ENOENT);
	cr_expect(strstr(err.msg, "storage root ") != NULL, "%s", err.msg);
	cr_expect_eq(storage_remove_empty(rig_path("none"), &tenant, &err), -ENOENT);
}
