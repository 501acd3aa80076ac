/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/fd.h>
#include <isolate/slots.h>

#include "rig.h"

#define SLOT_BYTES 128

static void init(void)
{
	rig_dir_make();
	rig_need_root();
}

TestSuite(slots, .timeout = 30, .init = init, .fini = rig_dir_remove);

static struct id id_of(uint8_t n)
{
	struct id id = { { 0xaa } };

	id.bytes[15] = n;
	return id;
}

static struct slots *slots_ok(int64_t max)
{
	struct slots *slots = NULL;
	struct tn_error err = { 0 };

	cr_assert_eq(slots_open(rig_path("slots"), max, &slots, &err), 0, "%s", err.msg);
	return slots;
}

static int64_t take(struct slots *slots, uint8_t n, const char *name)
{
	struct tn_error err = { 0 };
	struct id id = id_of(n);
	int64_t slot = slots_take(slots, &id, name, &err);

	cr_assert_geq(slot, 0, "%s", err.msg);
	return slot;
}

static int64_t find(const struct slots *slots, uint8_t n)
{
	struct id id = id_of(n);

	return slots_find(slots, &id);
}

static void take_refused(struct slots *slots, uint8_t n, const char *name,
                         enum tn_error_code code, const char *message)
{
	struct tn_error err = { 0 };
	struct id id = id_of(n);

	cr_expect_lt(slots_take(slots, &id, name, &err), 0);
	cr_expect_eq(err.code, (int32_t)code);
	cr_expect_str_eq(err.msg, message);
}

Test(slots, gives_each_tenant_one_slot_and_keeps_it)
{
	struct slots *slots = slots_ok(4);

	cr_expect_eq(find(slots, 1), -ENOENT);
	cr_expect_eq(take(slots, 1, "acme"), 0);
	cr_expect_eq(take(slots, 2, "globex"), 1);
	cr_expect_eq(take(slots, 1, "acme"), 0, "the same again");
	cr_expect_eq(find(slots, 2), 1);
	cr_expect_str_eq(slots_name(slots, 0), "acme");
	cr_expect_str_eq(slots_name(slots, 1), "globex");
	cr_expect_eq(find(slots, 3), -ENOENT);
	(void)slots_close(slots);
}

Test(slots, is_the_same_after_a_restart)
{
	struct slots *slots = slots_ok(4);
	struct tn_error err = { 0 };
	struct stat st;

	(void)take(slots, 1, "acme");
	(void)take(slots, 2, "globex");
	(void)take(slots, 3, "initech");
	cr_assert_eq(slots_free(slots, 1, &err), 0, "%s", err.msg);
	(void)slots_close(slots);
	cr_assert_eq(stat(rig_path("slots"), &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0600, "%o", st.st_mode);
	cr_expect_eq(st.st_size, 3 * SLOT_BYTES);

	/* Also with more room than before. */
	slots = slots_ok(9);
	cr_expect_eq(find(slots, 1), 0);
	cr_expect_eq(find(slots, 2), -ENOENT);
	cr_expect_eq(find(slots, 3), 2);
	cr_expect_str_eq(slots_name(slots, 2), "initech");
	(void)slots_close(slots);
}

Test(slots, refuses_one_tenant_too_many_until_a_slot_is_free)
{
	struct slots *slots = slots_ok(2);
	struct tn_error err = { 0 };

	(void)take(slots, 1, "acme");
	(void)take(slots, 2, "globex");
	take_refused(slots, 3, "initech", TN_QUOTA, "all 2 slots of bounds.conf are taken");
	cr_expect_eq(take(slots, 2, "globex"), 1, "who has one is not refused");
	cr_assert_eq(slots_free(slots, 0, &err), 0, "%s", err.msg);
	cr_expect_eq(find(slots, 1), -ENOENT);
	cr_expect_eq(take(slots, 3, "initech"), 0);
	(void)slots_close(slots);
}

Test(slots, never_lets_two_tenants_share_a_name_or_one_have_two)
{
	struct slots *slots = slots_ok(4);
	struct tn_error err = { 0 };

	(void)take(slots, 1, "acme");
	take_refused(slots, 2, "acme", TN_EXISTS, "another tenant's slot is named 'acme'");
	take_refused(slots, 1, "globex", TN_INVALID, "the tenant's slot is named 'acme'");
	cr_expect_eq(find(slots, 2), -ENOENT, "a refusal takes nothing");
	cr_expect_eq(take(slots, 3, "acme-2"), 1, "a prefix is another name");
	/* Once freed, the name can be another's. */
	cr_assert_eq(slots_free(slots, 0, &err), 0, "%s", err.msg);
	cr_expect_eq(take(slots, 2, "acme"), 0);
	(void)slots_close(slots);
}

static void open_refused(int64_t max, enum tn_error_code code, const char *what)
{
	struct slots *slots = NULL;
	struct tn_error err = { 0 };
	int r = slots_open(rig_path("slots"), max, &slots, &err);

	cr_expect_lt(r, 0, "'%s' was expected", what);
	cr_expect_eq(err.code, (int32_t)code, "%s", err.msg);
	cr_expect(strstr(err.msg, what) != NULL, "'%s' in: %s", what, err.msg);
	cr_expect_eq(strncmp(err.msg, "slot table /", 12), 0, "%s", err.msg);
	cr_expect_null(slots);
}

static void damage(off_t offset, const void *bytes, size_t n)
{
	cleanup_fd int fd = open(rig_path("slots"), O_WRONLY);

	cr_assert_eq(pwrite(fd, bytes, n, offset), (ssize_t)n);
}

static void two_taken(void)
{
	struct slots *slots = slots_ok(4);

	(void)take(slots, 1, "acme");
	(void)take(slots, 2, "globex");
	(void)slots_close(slots);
}

Test(slots, refuses_a_damaged_table_rather_than_guess_whose_ids_are_whose)
{
	char names[64];

	two_taken();
	damage(SLOT_BYTES, "\x01\x02\x03\x04", 4);
	open_refused(4, TN_SYSTEM, "slot 1 is damaged");

	(void)unlink(rig_path("slots"));
	two_taken();
	memset(names, 'a', sizeof(names));
	damage(24, names, sizeof(names));
	open_refused(4, TN_SYSTEM, "slot 0 is damaged");

	(void)unlink(rig_path("slots"));
	two_taken();
	damage(SLOT_BYTES + 24, "../x", 5);
	open_refused(4, TN_SYSTEM, "slot 1 is damaged");

	/* Cut off within the second record, before its name. */
	(void)unlink(rig_path("slots"));
	two_taken();
	cr_assert_eq(truncate(rig_path("slots"), SLOT_BYTES + 24), 0);
	open_refused(4, TN_SYSTEM, "slot 1 is damaged");
}

Test(slots, refuses_a_table_with_more_slots_than_bounds_allow)
{
	two_taken();
	open_refused(1, TN_INVALID, "holds more slots than slots_max in bounds.conf");
	(void)slots_close(slots_ok(2));
}

Test(slots, refuses_a_table_that_another_than_root_could_have_written)
{
	two_taken();
	cr_assert_eq(chmod(rig_path("slots"), 0620), 0);
	open_refused(4, TN_NOT_PERMITTED, "must be root's, writable by root alone");
	cr_assert_eq(chmod(rig_path("slots"), 0602), 0);
	open_refused(4, TN_NOT_PERMITTED, "must be root's, writable by root alone");
	cr_assert_eq(chmod(rig_path("slots"), 0600), 0);
	cr_assert_eq(chown(rig_path("slots"), 65534, 0), 0);
	open_refused(4, TN_NOT_PERMITTED, "must be root's, writable by root alone");
	cr_assert_eq(chown(rig_path("slots"), 0, 0), 0);
	(void)slots_close(slots_ok(4));

	cr_assert_eq(rename(rig_path("slots"), rig_path("real")), 0);
	cr_assert_eq(symlink("real", rig_path("slots")), 0);
	open_refused(4, TN_SYSTEM, "open");
}

Test(slots, closes_what_was_never_opened)
{
	cr_expect_null(slots_close(NULL));
}

/* Mounts a file system of two pages over the directory, in a mount namespace of this test
 * alone.
 */
static void small_file_system(void)
{
	cr_assert_eq(unshare(CLONE_NEWNS), 0);
	cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	cr_assert_eq(mount("small", rig_dir.path, "tmpfs", 0, "size=8k,nr_inodes=8"), 0);
}

Test(slots, that_cannot_be_written_are_not_taken_and_are_when_there_is_room)
{
	char page[4096] = "full";
	struct slots *slots;
	struct tn_error err = { 0 };
	struct id id = id_of(40);
	int64_t slot;
	int fd, r;

	small_file_system();
	slots = slots_ok(64);
	/* One page of slots, and of the rest somebody else has made use. */
	for (uint8_t i = 0; i < 32; i++)
		(void)take(slots, i,
		           (char[]){ 't', (char)('a' + i / 16), (char)('a' + i % 16), 0 });
	fd = open(rig_path("other"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	cr_assert_eq(write(fd, page, sizeof(page)), (ssize_t)sizeof(page));
	cr_expect_eq(slots_take(slots, &id, "late", &err), -ENOSPC, "%s", err.msg);
	cr_expect_eq(find(slots, 40), -ENOENT);
	(void)slots_close(slots);
	slots = slots_ok(64);
	cr_expect_eq(find(slots, 40), -ENOENT, "nor after a restart");
	r = ftruncate(fd, 0);
	cr_assert_eq(r, 0);
	(void)close(fd);
	slot = take(slots, 40, "late");
	(void)slots_close(slots);
	slots = slots_ok(64);
	cr_expect_eq(find(slots, 40), slot);
	(void)slots_close(slots);
}

Test(slots, are_read_where_nothing_can_be_written_and_written_when_it_can)
{
	struct slots *slots;
	struct tn_error err = { 0 };
	struct id id = id_of(2);

	small_file_system();
	slots = slots_ok(8);
	(void)take(slots, 1, "acme");
	(void)slots_close(slots);
	cr_assert_eq(mount(NULL, rig_dir.path, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	slots = slots_ok(8);
	cr_expect_eq(find(slots, 1), 0);
	cr_expect_eq(slots_take(slots, &id, "globex", &err), -EROFS, "%s", err.msg);
	cr_expect_eq(find(slots, 2), -ENOENT);
	cr_assert_eq(mount(NULL, rig_dir.path, NULL, MS_REMOUNT, NULL), 0);
	cr_expect_eq(take(slots, 2, "globex"), 1);
	(void)slots_close(slots);
}
