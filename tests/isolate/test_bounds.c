/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* isolate/bounds.c: what the file may say, and whose file it may be. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <base/fd.h>
#include <isolate/bounds.h>

#include "rig.h"

TestSuite(bounds, .timeout = 30);

#define P50  "/aaaaaaaaa/aaaaaaaaa/aaaaaaaaa/aaaaaaaaa/aaaaaaaaa"
#define P250 P50 P50 P50 P50 P50

/* The parser changes its text, so it gets a copy on the heap, where ASan guards the end. */
static int parse(const char *text, size_t n, struct bounds *ret, struct tn_error *err)
{
	char *copy = malloc(n + 1);
	int r;

	cr_assert(copy != NULL);
	memcpy(copy, text, n);
	copy[n] = '\0';
	r = bounds_parse(copy, n, ret, err);
	free(copy);
	return r;
}

static struct bounds parsed(const char *text)
{
	struct bounds bounds = { 0 };
	struct tn_error err = { 0 };

	cr_assert_eq(parse(text, strlen(text), &bounds, &err), 0, "'%s': %s", text, err.msg);
	return bounds;
}

Test(bounds, has_a_default_for_every_key)
{
	static const char *const empty[] = { "", "\n", "# nothing\n", " \t \n\r\n  # x" };

	for (size_t i = 0; i < ARRAY_LEN(empty); i++) {
		struct bounds bounds = parsed(empty[i]);

		cr_expect_eq(bounds.uid_base, INT64_C(2147483648));
		cr_expect_eq(bounds.slots_max, 10000);
		cr_expect_eq(bounds.executions_max, 10000);
		cr_expect_eq(bounds.memory_max_bytes, INT64_MAX);
		cr_expect_eq(bounds.tasks_max, 65536);
		cr_expect_eq(bounds.nofile_max, 1048576);
		cr_expect_eq(bounds.core_bytes_max, 1073741824);
		cr_expect_eq(bounds.reserve_memory_bytes, 0);
		cr_expect_eq(bounds.reserve_cpu_percent, 0);
		cr_expect_str_eq(bounds.cgroup_root,
		                 "/sys/fs/cgroup/tenants.slice/tenantd-tenants.service");
		cr_expect_str_eq(bounds.storage_root, "/var/lib/tenantd/tenants");
		cr_expect_str_eq(bounds.bind_root, "/srv");
	}
}

Test(bounds, takes_every_key_in_any_order_and_spacing)
{
	struct bounds bounds = parsed("# who may have how much\n"
	                              "storage_root=/srv/t\n"
	                              "bind_root = /home/shared\n"
	                              "\tcgroup_root  =  /sys/fs/cgroup/x.service  # ours\r\n"
	                              "core_max = 0\n"
	                              "\n"
	                              "nofile_max = 16\n"
	                              "tasks_max = 100#tasks\n"
	                              "memory_max = 1073741824\n"
	                              "executions_max = 3\n"
	                              "slots_max = 60000\n"
	                              "uid_base = 65536");

	cr_expect_str_eq(bounds.storage_root, "/srv/t");
	cr_expect_str_eq(bounds.bind_root, "/home/shared");
	cr_expect_str_eq(bounds.cgroup_root, "/sys/fs/cgroup/x.service");
	cr_expect_eq(bounds.core_bytes_max, 0);
	cr_expect_eq(bounds.nofile_max, 16);
	cr_expect_eq(bounds.tasks_max, 100);
	cr_expect_eq(bounds.memory_max_bytes, 1073741824);
	cr_expect_eq(bounds.executions_max, 3);
	cr_expect_eq(bounds.slots_max, 60000);
	cr_expect_eq(bounds.uid_base, 65536);
}

Test(bounds, takes_the_last_value_in_range)
{
	static const char *const good[] = {
		"uid_base = 65536\nslots_max = 1\n",
		/* The 65536 ids of the one slot end where "no id" begins. */
		"uid_base = 4294901759\nslots_max = 1\n",
		"slots_max = 1\n",
		"executions_max = 1\n",
		"executions_max = 100000\n",
		"memory_max = 1\n",
		"memory_max = 9223372036854775807\n",
		"tasks_max = 1\n",
		"tasks_max = 4194304\n",
		"nofile_max = 1048576\n",
		"core_max = 9223372036854775807\n",
		"reserve_memory = 9223372036854775807\n",
		"reserve_cpu = 1000000\n",
		"cgroup_root = /a\n",
		"cgroup_root = /..a/.b/c..\n",
		"storage_root = " P250 "/aaaa\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		(void)parsed(good[i]);
}

static const struct refusal {
	const char *text;
	uint32_t line;
	const char *message;
} refusals[] = {
	/* clang-format off */
	{ "slots_max", 1, "expected 'key = value'" },
	{ "\n\n slots_max : 5\n", 3, "expected 'key = value'" },
	{ "[bounds]\n", 1, "expected 'key = value'" },
	{ "# slots\nslot_max = 5\n", 2, "unknown key 'slot_max'" },
	{ "Slots_max = 5\n", 1, "unknown key 'Slots_max'" },
	{ "= 5\n", 1, "unknown key ''" },
	{ "slots max = 5\n", 1, "unknown key 'slots max'" },
	{ "slots_max = 5\nuid_base = 65536\nslots_max = 5\n", 3, "key 'slots_max' is set twice" },
	{ "cgroup_root = /a\ncgroup_root = /a\n", 2, "key 'cgroup_root' is set twice" },
	{ "uid_base = 65535\n", 1, "uid_base: '65535' is not an integer from 65536 to 4294967295" },
	{ "uid_base = 4294967296\n", 1, "uid_base: '4294967296' is not an integer from 65536 to 4294967295" },
	{ "slots_max = 0\n", 1, "slots_max: '0' is not an integer from 1 to 65535" },
	{ "slots_max = 65536\n", 1, "slots_max: '65536' is not an integer from 1 to 65535" },
	{ "slots_max =\n", 1, "slots_max: '' is not an integer from 1 to 65535" },
	{ "slots_max = -1\n", 1, "slots_max: '-1' is not an integer from 1 to 65535" },
	{ "slots_max = +1\n", 1, "slots_max: '+1' is not an integer from 1 to 65535" },
	{ "slots_max = 0x10\n", 1, "slots_max: '0x10' is not an integer from 1 to 65535" },
	{ "slots_max = 5 5\n", 1, "slots_max: '5 5' is not an integer from 1 to 65535" },
	{ "slots_max = \"5\"\n", 1, "slots_max: '\"5\"' is not an integer from 1 to 65535" },
	{ "slots_max = = 5\n", 1, "slots_max: '= 5' is not an integer from 1 to 65535" },
	{ "executions_max = 0\n", 1, "executions_max: '0' is not an integer from 1 to 100000" },
	{ "executions_max = 100001\n", 1, "executions_max: '100001' is not an integer from 1 to 100000" },
	{ "memory_max = 0\n", 1, "memory_max: '0' is not an integer from 1 to 9223372036854775807" },
	{ "memory_max = 9223372036854775808\n", 1, "memory_max: '9223372036854775808' is not an integer from 1 to 9223372036854775807" },
	{ "memory_max = 1G\n", 1, "memory_max: '1G' is not an integer from 1 to 9223372036854775807" },
	{ "memory_max = max\n", 1, "memory_max: 'max' is not an integer from 1 to 9223372036854775807" },
	{ "tasks_max = 0\n", 1, "tasks_max: '0' is not an integer from 1 to 4194304" },
	{ "tasks_max = 4194305\n", 1, "tasks_max: '4194305' is not an integer from 1 to 4194304" },
	{ "nofile_max = 15\n", 1, "nofile_max: '15' is not an integer from 16 to 1048576" },
	{ "nofile_max = 1048577\n", 1, "nofile_max: '1048577' is not an integer from 16 to 1048576" },
	{ "core_max = -1\n", 1, "core_max: '-1' is not an integer from 0 to 9223372036854775807" },
	{ "reserve_memory = -1\n", 1, "reserve_memory: '-1' is not an integer from 0 to 9223372036854775807" },
	{ "reserve_cpu = 1000001\n", 1, "reserve_cpu: '1000001' is not an integer from 0 to 1000000" },
	{ "cgroup_root =\n", 1, "cgroup_root: '' is not an absolute, plain path" },
	{ "cgroup_root = a/b\n", 1, "cgroup_root: 'a/b' is not an absolute, plain path" },
	{ "cgroup_root = /\n", 1, "cgroup_root: '/' is not an absolute, plain path" },
	{ "cgroup_root = //\n", 1, "cgroup_root: '//' is not an absolute, plain path" },
	{ "cgroup_root = /a/\n", 1, "cgroup_root: '/a/' is not an absolute, plain path" },
	{ "cgroup_root = /a//b\n", 1, "cgroup_root: '/a//b' is not an absolute, plain path" },
	{ "cgroup_root = /..\n", 1, "cgroup_root: '/..' is not an absolute, plain path" },
	{ "cgroup_root = /.\n", 1, "cgroup_root: '/.' is not an absolute, plain path" },
	{ "cgroup_root = /a/../b\n", 1, "cgroup_root: '/a/../b' is not an absolute, plain path" },
	{ "cgroup_root = /../b\n", 1, "cgroup_root: '/../b' is not an absolute, plain path" },
	{ "cgroup_root = /a/..\n", 1, "cgroup_root: '/a/..' is not an absolute, plain path" },
	{ "cgroup_root = /a/./b\n", 1, "cgroup_root: '/a/./b' is not an absolute, plain path" },
	{ "cgroup_root = /a/.\n", 1, "cgroup_root: '/a/.' is not an absolute, plain path" },
	{ "storage_root = " P250 "/aaaaa\n", 1, "storage_root: '" P250 "/aaaaa' is not an absolute, plain path" },
	{ "uid_base = 4294901760\nslots_max = 1\n", 0, "uid_base and slots_max reach beyond the last uid" },
	{ "slots_max = 40000\n", 0, "uid_base and slots_max reach beyond the last uid" },
	/* clang-format on */
};

Test(bounds, names_what_is_wrong_and_the_line)
{
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		const struct refusal *row = &refusals[i];
		struct bounds bounds = { .slots_max = 77 };
		struct tn_error err = { 0 };

		cr_expect_eq(parse(row->text, strlen(row->text), &bounds, &err), -EINVAL,
		             "'%s'", row->text);
		cr_expect_eq(err.code, TN_INVALID, "'%s'", row->text);
		cr_expect_eq(err.line, row->line, "'%s': line %u", row->text, err.line);
		cr_expect_str_eq(err.msg, row->message);
		cr_expect_eq(bounds.slots_max, 77, "'%s' was written", row->text);
	}
}

Test(bounds, refuses_a_nul_byte_wherever_it_stands)
{
	static const char text[] = "slots_max = 5\0 0\n", first[] = "\0";
	struct bounds bounds;
	struct tn_error err = { 0 };

	cr_expect_eq(parse(text, sizeof(text) - 1, &bounds, &err), -EINVAL);
	cr_expect_str_eq(err.msg, "a NUL byte in the file");
	cr_expect_eq(parse(first, sizeof(first) - 1, &bounds, &err), -EINVAL);
}

TestSuite(bounds_file, .timeout = 30, .init = rig_dir_make, .fini = rig_dir_remove);

/* The bounds.conf in the directory: loaded, or refused with @code and @what in the text. */
static void load_expect(enum tn_error_code code, const char *what)
{
	const char *path = rig_path("bounds.conf");
	struct bounds bounds = { .slots_max = 77 };
	struct tn_error err = { 0 };
	int r = bounds_load(path, &bounds, &err);

	if (code == TN_OK) {
		cr_expect_eq(r, 0, "%s", err.msg);
		cr_expect_eq(bounds.slots_max, 5);
		return;
	}
	cr_expect_lt(r, 0, "'%s' was expected", what);
	cr_expect_eq(err.code, (int32_t)code, "%s", err.msg);
	cr_expect_eq(strncmp(err.msg, path, strlen(path)), 0, "names no file: %s", err.msg);
	cr_expect(strstr(err.msg, what) != NULL, "'%s' in: %s", what, err.msg);
	cr_expect_eq(bounds.slots_max, 77, "written only on success");
}

Test(bounds_file, must_be_writable_by_root_alone)
{
	static const struct {
		mode_t mode;
		bool good;
	} modes[] = { { 0600, true },  { 0644, true },  { 0444, true },  { 0755, true },
		      { 0620, false }, { 0602, false }, { 0664, false }, { 0646, false },
		      { 0666, false }, { 0777, false } };

	rig_need_root();
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		char what[64];

		(void)snprintf(what, sizeof(what), "(it is uid 0, mode %04o)", modes[i].mode);
		rig_put("bounds.conf", "slots_max = 5\n", modes[i].mode);
		load_expect(modes[i].good ? TN_OK : TN_NOT_PERMITTED, what);
	}
}

Test(bounds_file, must_belong_to_root)
{
	rig_need_root();
	rig_put("bounds.conf", "slots_max = 5\n", 0600);
	cr_assert_eq(chown(rig_path("bounds.conf"), 65534, 0), 0);
	load_expect(TN_NOT_PERMITTED, "(it is uid 65534, mode 0600)");
	/* The group has no word in it. */
	cr_assert_eq(chown(rig_path("bounds.conf"), 0, 65534), 0);
	load_expect(TN_OK, NULL);
}

Test(bounds_file, must_be_a_file_and_no_link_to_one)
{
	rig_need_root();
	load_expect(TN_SYSTEM, "bounds.conf");
	rig_put("real", "slots_max = 5\n", 0600);
	cr_assert_eq(symlink("real", rig_path("bounds.conf")), 0);
	load_expect(TN_SYSTEM, "bounds.conf");
	cr_assert_eq(unlink(rig_path("bounds.conf")), 0);
	cr_assert_eq(mkdir(rig_path("bounds.conf"), 0700), 0);
	load_expect(TN_INVALID, "not a regular file");
	cr_assert_eq(rmdir(rig_path("bounds.conf")), 0);
	/* Nobody writes to it: to open it must not wait for one who does. */
	cr_assert_eq(mkfifo(rig_path("bounds.conf"), 0600), 0);
	load_expect(TN_INVALID, "not a regular file");
}

Test(bounds_file, is_small)
{
	char text[BOUNDS_FILE_BYTES_MAX + 2] = "slots_max = 5\n#";

	rig_need_root();
	memset(text + strlen(text), 'x', sizeof(text) - 1 - strlen(text));
	text[sizeof(text) - 1] = '\0';
	rig_put("bounds.conf", text, 0600);
	load_expect(TN_INVALID, "more than 4096 bytes");
	text[BOUNDS_FILE_BYTES_MAX] = '\0';
	rig_put("bounds.conf", text, 0600);
	load_expect(TN_OK, NULL);
}

Test(bounds_file, is_named_with_its_line_when_it_is_wrong)
{
	rig_need_root();
	rig_put("bounds.conf", "slots_max = 5\n\nslots = 5\n", 0600);
	load_expect(TN_INVALID, "bounds.conf:3: unknown key 'slots'");
	/* What no single line is to blame for has no number. */
	rig_put("bounds.conf", "uid_base = 4294901760\n", 0600);
	load_expect(TN_INVALID, "bounds.conf: uid_base and slots_max reach");
}

static int loaded_with_bind_root(const char *path, struct tn_error *err)
{
	struct bounds bounds;
	char text[512];

	(void)snprintf(text, sizeof(text), "bind_root = %s\n", path);
	rig_put("bounds.conf", text, 0644);
	*err = (struct tn_error){ 0 };
	return bounds_load(rig_path("bounds.conf"), &bounds, err);
}

Test(bounds, wants_a_bind_root_whose_names_root_alone_gives, .init = rig_dir_make,
     .fini = rig_dir_remove)
{
	struct tn_error err;

	rig_need_root();
	cr_expect_eq(loaded_with_bind_root("/usr/share", &err), 0, "%s", err.msg);
	cr_expect_eq(loaded_with_bind_root("/usr/share/not/there", &err), 0, "%s", err.msg);
	cr_expect_eq(loaded_with_bind_root("/proc/self/x", &err), -EINVAL);
	cr_expect(strstr(err.msg, "bind_root: /proc/self is not a directory") != NULL, "%s",
	          err.msg);
	cr_expect_eq(loaded_with_bind_root("/etc/passwd", &err), -EINVAL);
	/* Anybody could put a directory of this name there. */
	cr_expect_eq(loaded_with_bind_root("/tmp/shared", &err), -EPERM);
	cr_expect(strstr(err.msg, "bind_root: others than root can write to /tmp") != NULL,
	          "%s", err.msg);
	cr_assert_eq(chmod(rig_dir.path, 0777), 0);
	cr_expect_eq(loaded_with_bind_root(rig_dir.path, &err), -EPERM);
}
