/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/fd.h>
#include <isolate/record.h>

#include "rig.h"

TestSuite(record, .timeout = 30, .init = rig_dir_make, .fini = rig_dir_remove);

#define ID_A "0a000000-0000-4000-8000-00000000000a"
#define ID_B "0b000000-0000-4000-8000-00000000000b"
#define ID_C "0c000000-0000-4000-8000-00000000000c"

static struct record record_of(const char *id)
{
	struct record record = { .magic = RECORD_MAGIC, .pid = 42, .started_unix_usec = 1000 };

	cr_assert_eq(id_parse(id, &record.execution), 0);
	return record;
}

static int create(const struct record *record)
{
	struct tn_error err = { 0 };
	int fd = FD_NONE;

	cr_assert_eq(record_create(rig_dir.fd, record, NULL, &fd, &err), 0, "%s", err.msg);
	return fd;
}

static mode_t mode_of(const char *name)
{
	struct stat st;

	cr_assert_eq(fstatat(rig_dir.fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_mode & 07777;
}

Test(record, is_two_files_for_its_owner_alone)
{
	struct record record = record_of(ID_A);
	int fd = create(&record);

	cr_expect_eq(rig_entries_n(), 2);
	cr_expect_eq(mode_of(ID_A), 0600);
	cr_expect_eq(mode_of(ID_A ".status"), 0600);
	cr_expect_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	record_remove(rig_dir.fd, &record.execution);
	cr_expect_eq(rig_entries_n(), 0);
	/* Those missing are no error. */
	record_remove(rig_dir.fd, &record.execution);
}

Test(record, is_not_created_twice)
{
	struct record record = record_of(ID_A);
	struct tn_error err = { 0 };
	int fd = FD_NONE;

	(void)create(&record);
	cr_expect_eq(record_create(rig_dir.fd, &record, NULL, &fd, &err), -EEXIST);
	cr_expect_eq(fd, FD_NONE, "written only on success");
	cr_expect_eq(rig_entries_n(), 2, "the first is left alone");
}

Test(record, leaves_nothing_when_one_of_its_files_cannot_be_made)
{
	struct record record = record_of(ID_A);
	struct tn_error err = { 0 };
	int fd = FD_NONE;

	/* Who put a link there wants another file overwritten. */
	rig_put("victim", "kept", 0600);
	cr_assert_eq(symlinkat("victim", rig_dir.fd, ID_A), 0);
	cr_expect_eq(record_create(rig_dir.fd, &record, NULL, &fd, &err), -ELOOP);
	cr_expect_str_eq(rig_get("victim"), "kept");
	cr_expect_not(rig_exists(ID_A ".status"));
	cr_expect_eq(fd, FD_NONE);
}

struct seen {
	size_t n;
	struct record last;
};

static void see(const struct record *record, void *context)
{
	struct seen *seen = context;

	seen->n++;
	seen->last = *record;
}

static struct seen each(void)
{
	struct seen seen = { 0 };
	struct tn_error err = { 0 };

	cr_assert_eq(record_each(rig_dir.fd, see, &seen, &err), 0, "%s", err.msg);
	return seen;
}

Test(record, is_read_as_it_was_last_written)
{
	struct record record = record_of(ID_A);
	struct tn_error err = { 0 };
	struct seen seen;

	(void)create(&record);
	seen = each();
	cr_expect_eq(seen.n, 1);
	cr_expect_eq(memcmp(&seen.last, &record, sizeof(record)), 0);
	record.final = 1;
	record.exited.wall_usec = 77;
	record.exited.counters.io_read_bytes = SPEC_ABSENT;
	cr_assert_eq(record_write(rig_dir.fd, &record, &err), 0, "%s", err.msg);
	seen = each();
	cr_expect_eq(seen.n, 1);
	cr_expect_eq(memcmp(&seen.last, &record, sizeof(record)), 0);
}

Test(record, that_a_crash_left_without_its_other_file_is_removed)
{
	struct record whole = record_of(ID_A);

	(void)create(&whole);
	rig_put(ID_B ".status", "", 0600);
	cr_expect_eq(each().n, 1);
	cr_expect_not(rig_exists(ID_B ".status"));
	cr_expect(rig_exists(ID_A ".status"), "its record is there");
}

Test(record, that_is_unsound_is_removed_and_the_others_are_visited)
{
	struct record good = record_of(ID_A), other = record_of(ID_B);
	struct seen seen;

	(void)create(&good);
	rig_put("README", "not a record", 0600);
	/* Cut short; without its magic; under another's name. */
	rig_put_bytes(ID_B, &other, sizeof(other) - 1, 0600);
	rig_put(ID_B ".status", "", 0600);
	rig_put_bytes(ID_C, &other, sizeof(other), 0600);
	seen = each();
	cr_expect_eq(seen.n, 1);
	cr_expect(id_equal(&seen.last.execution, &good.execution));
	cr_expect(rig_exists(ID_A));
	cr_expect_not(rig_exists(ID_B));
	cr_expect_not(rig_exists(ID_B ".status"));
	cr_expect_not(rig_exists(ID_C));
	cr_expect(rig_exists("README"));

	other.magic = 0;
	rig_put_bytes(ID_B, &other, sizeof(other), 0600);
	cr_expect_eq(each().n, 1);
	cr_expect_not(rig_exists(ID_B));
}

Test(record, that_is_a_link_is_no_record)
{
	struct record record = record_of(ID_B);

	rig_put_bytes("elsewhere", &record, sizeof(record), 0600);
	cr_assert_eq(symlinkat("elsewhere", rig_dir.fd, ID_B), 0);
	cr_expect_eq(each().n, 0);
	cr_expect_not(rig_exists(ID_B));
	cr_expect(rig_exists("elsewhere"));
}

static void status_put(int fd, uint32_t magic, uint32_t kind, int32_t wait_status)
{
	struct init_status status = { .magic = magic,
		                      .kind = kind,
		                      .wait_status = wait_status };

	cr_assert_eq(write(fd, &status, sizeof(status)), (ssize_t)sizeof(status));
}

Test(record, believes_the_first_status_and_no_later_one)
{
	struct record record = record_of(ID_A);
	int fd = create(&record), again;
	struct init_status status;

	cr_expect_not(record_status_read(fd, &status), "there is none yet");
	status_put(fd, INIT_STATUS_MAGIC, INIT_STATUS_NOT_EXECUTED, 0);
	/* Whoever holds the file can only append to it. */
	cr_assert_eq(lseek(fd, 0, SEEK_SET), 0);
	status_put(fd, INIT_STATUS_MAGIC, INIT_STATUS_WAITED, 0x7f00);
	cr_assert(record_status_read(fd, &status));
	cr_expect_eq(status.kind, INIT_STATUS_NOT_EXECUTED);

	again = record_status_open(rig_dir.fd, &record.execution);
	cr_assert_geq(again, 0);
	cr_assert(record_status_read(again, &status));
	cr_expect_eq(status.kind, INIT_STATUS_NOT_EXECUTED);
	cr_expect_eq(write(again, "x", 1), -1, "it is for reading");
}

Test(record, takes_no_status_without_sense)
{
	static const struct {
		uint32_t magic, kind;
		bool sound;
	} rows[] = {
		{ INIT_STATUS_MAGIC, INIT_STATUS_WAITED, true },
		{ INIT_STATUS_MAGIC, INIT_STATUS_FAILED, true },
		{ INIT_STATUS_MAGIC, 0, false },
		{ INIT_STATUS_MAGIC, INIT_STATUS_FAILED + 1, false },
		{ INIT_STATUS_MAGIC, UINT32_MAX, false },
		{ INIT_STATUS_MAGIC ^ 1, INIT_STATUS_WAITED, false },
		{ 0, INIT_STATUS_WAITED, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct record record = record_of(ID_A);
		cleanup_fd int fd = create(&record);
		struct init_status status;

		status_put(fd, rows[i].magic, rows[i].kind, 0);
		cr_expect_eq(record_status_read(fd, &status), rows[i].sound, "row %zu", i);
		cr_assert_eq(ftruncate(fd, sizeof(status) - 1), 0);
		cr_expect_not(record_status_read(fd, &status), "cut short: row %zu", i);
		record_remove(rig_dir.fd, &record.execution);
	}
}

Test(record, has_no_status_to_open_once_it_is_removed)
{
	struct record record = record_of(ID_A);

	cr_expect_eq(record_status_open(rig_dir.fd, &record.execution), -ENOENT);
	cr_assert_eq(symlinkat("/etc/passwd", rig_dir.fd, ID_A ".status"), 0);
	cr_expect_eq(record_status_open(rig_dir.fd, &record.execution), -ELOOP);
}

Test(record, keeps_of_a_launch_what_it_holds)
{
	struct spec_launch launch = { .execution = { .bytes = { 1 } },
		                      .limits = { .nofile_max = 7 },
		                      .flags = SPEC_LAUNCH_READ_ONLY,
		                      .env_n = 2,
		                      .env_bytes = 8,
		                      .env = "A=B\0C=D",
		                      .binds_n = 1,
		                      .binds = { { .target = "/mnt/a", .writable = 1 } },
		                      .uid = 1000,
		                      .tmpfs_n = 1,
		                      .tmpfs = { { .target = "/mnt/b", .bytes_max = 9 } } };
	struct record record = { .magic = RECORD_MAGIC, .execution = launch.execution };
	static struct spec_launch read;
	struct tn_error err = { 0 };
	char name[ID_TEXT_BYTES];
	cleanup_fd int fd = FD_NONE;

	cr_assert_eq(record_create(rig_dir.fd, &record, &launch, &fd, &err), 0, "%s", err.msg);
	/* It stays where the record is written again. */
	record.started = 1;
	cr_assert_eq(record_write(rig_dir.fd, &record, &err), 0, "%s", err.msg);
	cr_assert_eq(record_launch(rig_dir.fd, &launch.execution, &read, &err), 0, "%s",
	             err.msg);
	cr_expect_eq(memcmp(&read, &launch, sizeof(launch)), 0);

	id_format(&launch.execution, name);
	cr_assert_eq(truncate(rig_path(name), sizeof(struct record) + 100), 0);
	cr_expect_eq(record_launch(rig_dir.fd, &launch.execution, &read, &err), -EBADMSG);
	record_remove(rig_dir.fd, &launch.execution);
	cr_expect_eq(record_launch(rig_dir.fd, &launch.execution, &read, &err), -ENOENT);
}

Test(record, keeps_room_for_its_end_on_a_file_system_that_becomes_full)
{
	struct record record = record_of(ID_A), other = record_of(ID_B);
	const struct init_status status = { .magic = INIT_STATUS_MAGIC,
		                            .kind = INIT_STATUS_WAITED,
		                            .wait_status = 5 << 8 };
	static const struct spec_launch launch = { 0 };
	static const char page[4096] = "full";
	struct init_status read_back;
	struct tn_error err = { 0 };
	int fd = FD_NONE, filler;

	rig_need_root();
	cr_assert_eq(unshare(CLONE_NEWNS), 0);
	cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	cr_assert_eq(mount("small", rig_dir.path, "tmpfs", 0, "size=64k"), 0);
	fd_closep(&rig_dir.fd);
	rig_dir.fd = open(rig_dir.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cr_assert_eq(record_create(rig_dir.fd, &record, &launch, &fd, &err), 0, "%s", err.msg);
	filler = openat(rig_dir.fd, "filler", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (write(filler, page, sizeof(page)) == (ssize_t)sizeof(page))
		;
	(void)close(filler);
	cr_expect_eq(write(fd, &status, sizeof(status)), (ssize_t)sizeof(status), "%s",
	             strerror(errno));
	cr_expect(record_status_read(fd, &read_back));
	(void)close(fd);
	record.final = 1;
	cr_expect_eq(record_write(rig_dir.fd, &record, &err), 0, "%s", err.msg);
	/* One more is refused, and leaves nothing. */
	cr_expect_eq(record_create(rig_dir.fd, &other, &launch, &fd, &err), -ENOSPC, "%s",
	             err.msg);
	cr_expect_not(rig_exists(ID_B));
	cr_expect_not(rig_exists(ID_B ".status"));
	cr_assert_eq(unlinkat(rig_dir.fd, "filler", 0), 0);
	cr_expect_eq(record_create(rig_dir.fd, &other, &launch, &fd, &err), 0, "%s", err.msg);
	(void)close(fd);
}
