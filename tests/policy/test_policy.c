/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* policy/policy.c: which files of a directory make a policy, and what names it. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/io.h>
#include <policy/document.h>
#include <policy/policy.h>

static char dir[] = "/tmp/tenantd-policy-XXXXXX";

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void make_dir(void)
{
	char path[64];

	cr_assert_not_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/tiers", dir);
	cr_assert_eq(mkdir(path, 0755), 0);
}

static void remove_dir(void)
{
	(void)nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

TestSuite(policy, .timeout = 20, .init = make_dir, .fini = remove_dir);

static void path_of(const char *name, char *path, size_t size)
{
	(void)snprintf(path, size, "%s/tiers/%s", dir, name);
}

static void put_bytes(const char *name, const char *text, size_t n, mode_t mode)
{
	char path[512];
	cleanup_fd int fd = FD_NONE;

	path_of(name, path, sizeof(path));
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	cr_assert_geq(fd, 0, "%s", path);
	cr_assert_eq(io_write_all(fd, text, n), 0);
	cr_assert_eq(fchmod(fd, mode), 0);
}

static void put(const char *name, const char *text)
{
	put_bytes(name, text, strlen(text), 0644);
}

static struct policy *load(void)
{
	struct policy *policy = NULL;
	struct tn_error err = { 0 };

	cr_assert_eq(policy_load(dir, &policy, &err), 0, "%s", err.msg);
	cr_expect_eq(err.code, TN_OK);
	return policy;
}

static void hash_of(char hex[static POLICY_HASH_HEX_SIZE])
{
	struct policy *policy = load();

	memcpy(hex, policy_hash_hex(policy), POLICY_HASH_HEX_SIZE);
	(void)policy_free(policy);
}

/* Loading fails with @r, @code and @message; nothing is returned. */
static void expect_failure(int r, enum tn_error_code code, const char *message)
{
	struct policy *untouched = (struct policy *)dir, *policy = untouched;
	struct tn_error err = { 0 };

	cr_assert_eq(policy_load(dir, &policy, &err), r, "%s", err.msg);
	cr_expect_eq(err.code, (int32_t)code);
	cr_expect_str_eq(err.msg, message);
	cr_expect_eq(policy, untouched, "a refused policy must change nothing");
}

Test(policy, holds_its_tiers_in_order_of_their_names)
{
	struct policy *policy;

	put("pro.yaml", "tier: pro\n");
	put("a.yaml", "tier: a\n");
	put("a-b.yaml", "tier: a-b\n");
	policy = load();

	cr_expect_str_eq(policy_tier_at(policy, 0)->name, "a");
	cr_expect_str_eq(policy_tier_at(policy, 1)->name, "a-b");
	cr_expect_str_eq(policy_tier_at(policy, 2)->name, "pro");
	cr_expect_null(policy_tier_at(policy, 3));
	cr_expect_null(policy_tier_at(policy, SIZE_MAX));
	cr_expect_eq(policy_tier(policy, "pro"), policy_tier_at(policy, 2));
	cr_expect_null(policy_tier(policy, "pr"));
	cr_expect_null(policy_tier(policy, ""));
	cr_expect_str_eq(policy_tier(policy, "pro")->file, "tiers/pro.yaml");
	cr_expect_null(policy_free(policy));
	cr_expect_null(policy_free(NULL));
}

Test(policy, leaves_other_files_alone)
{
	struct policy *policy;

	put("free.yaml", "tier: free\n");
	put("README", "not: [yaml");
	put("free.yaml~", "not: [yaml");
	put("free.yaml.rpmnew", "not: [yaml");
	put(".free.yaml", "not: [yaml");
	put(".yaml", "not: [yaml");
	put("yaml", "not: [yaml");
	policy = load();
	cr_expect_not_null(policy_tier_at(policy, 0));
	cr_expect_null(policy_tier_at(policy, 1));
	(void)policy_free(policy);
}

Test(policy, has_a_hash_that_others_can_compute)
{
	/* (printf '\0\0\0\0\0\0\0\017tiers/free.yaml'; printf '\0\0\0\0\0\0\0\013tier: free\n')
	 * | sha256sum */
	static const char expected[] =
		"8510a84604103e9c71a034033804308e83096b3960b501bbe2029526095d5b15";
	struct policy *policy;

	put("free.yaml", "tier: free\n");
	policy = load();
	cr_expect_str_eq(policy_hash_hex(policy), expected);
	for (size_t i = 0; i < POLICY_HASH_BYTES; i++) {
		char byte[3] = { expected[2 * i], expected[2 * i + 1], '\0' };

		cr_expect_eq(policy_hash(policy)[i], strtoul(byte, NULL, 16));
	}
	(void)policy_free(policy);
}

Test(policy, is_named_anew_whenever_content_or_a_name_changes)
{
	char first[POLICY_HASH_HEX_SIZE], again[POLICY_HASH_HEX_SIZE];
	char comment[POLICY_HASH_HEX_SIZE], renamed[POLICY_HASH_HEX_SIZE];
	char more[POLICY_HASH_HEX_SIZE];
	char path[512];

	put("free.yaml", "tier: free\n");
	hash_of(first);
	put("README", "no tier, no part of the policy");
	hash_of(again);
	cr_expect_str_eq(first, again);

	put("free.yaml", "tier: free\n#\n");
	hash_of(comment);
	cr_expect_str_neq(first, comment);

	put("pro.yaml", "tier: pro\n");
	hash_of(more);
	cr_expect_str_neq(comment, more);

	/* The same bytes in all, but for where one file ends and the next begins. */
	path_of("pro.yaml", path, sizeof(path));
	cr_assert_eq(unlink(path), 0);
	path_of("free.yaml", path, sizeof(path));
	cr_assert_eq(unlink(path), 0);
	put("fre2.yaml", "tier: fre2\n");
	hash_of(renamed);
	cr_expect_str_neq(first, renamed);
}

Test(policy, is_the_same_wherever_it_lies)
{
	char here[POLICY_HASH_HEX_SIZE], there[POLICY_HASH_HEX_SIZE];

	put("free.yaml", "tier: free\n");
	hash_of(here);
	remove_dir();
	(void)strcpy(dir, "/tmp/tenantd-policy-XXXXXX");
	make_dir();
	put("free.yaml", "tier: free\n");
	hash_of(there);
	cr_expect_str_eq(here, there);
}

Test(policy, is_refused_whole_for_one_bad_file)
{
	put("free.yaml", "tier: free\n");
	put("pro.yaml", "tier: pro\nlimits:\n  tasks_max: 0\n");
	expect_failure(-EINVAL, TN_INVALID,
	               "tiers/pro.yaml:3:14: tasks_max: '0' is out of range; "
	               "expected 4 to 4194304");
}

static void make_dropins(const char *name)
{
	char path[512];

	path_of(name, path, sizeof(path));
	cr_assert_eq(mkdir(path, 0755), 0);
}

static struct policy *loaded(void)
{
	struct policy *policy = NULL;
	struct tn_error err = { 0 };

	cr_assert_eq(policy_load(dir, &policy, &err), 0, "%s", err.msg);
	return policy;
}

static void expect_refusal(const char *message)
{
	struct policy *policy = NULL;
	struct tn_error err = { 0 };

	cr_expect_lt(policy_load(dir, &policy, &err), 0);
	cr_expect(strncmp(err.msg, message, strlen(message)) == 0, "%s", err.msg);
}

Test(policy, is_changed_by_files_in_a_directory_beside_a_tier_in_their_order)
{
	struct policy *before, *policy;
	const struct policy_tier *tier;

	put("free.yaml", "tier: free\nlimits: {tasks_max: 10, nofile_max: 64}\n");
	put("free2.yaml", "tier: free2\n");
	make_dropins("free.d");
	before = loaded();
	put("free.d/20-more.yaml", "limits: {tasks_max: 30}\n");
	put("free.d/10-some.yaml", "limits: {tasks_max: 20, nofile_max: 128}\n");
	put("free.d/.hidden.yaml", "nonsense");
	put("free.d/README", "nonsense");
	policy = loaded();
	tier = policy_tier(policy, "free");
	cr_assert_not_null(tier);
	cr_expect_eq(tier->limits.tasks_max, 30);
	cr_expect_eq(tier->limits.nofile_max, 128);
	cr_expect_eq(policy_tier(policy, "free2")->limits.tasks_max, 256);
	cr_expect_null(policy_tier_at(policy, 2));
	cr_expect_str_neq(policy_hash_hex(policy), policy_hash_hex(before));
	(void)policy_free(before);
	(void)policy_free(policy);
}

Test(policy, is_refused_whole_for_one_bad_file_beside_a_tier)
{
	char path[512], name[32];

	put("free.yaml", "tier: free\n");
	make_dropins("free.d");
	put("free.d/a.yaml", "limits: {tasks_max: 1}\n");
	expect_refusal("tiers/free.d/a.yaml:1:21: tasks_max: '1' is out of range");
	put("free.d/a.yaml", "tier: free\n");
	put("free.d/b.yml", "tier: free\n");
	expect_refusal("tiers/free.d/b.yml:1:1: file name ends in .yml; expected .yaml");
	path_of("free.d/b.yml", path, sizeof(path));
	cr_assert_eq(unlink(path), 0);
	make_dropins("gold.d");
	expect_refusal("tiers/gold.d:1:1: there is no tier for it to change; expected "
	               "tiers/gold.yaml");
	path_of("gold.d", path, sizeof(path));
	cr_assert_eq(rmdir(path), 0);
	path_of("free.d", path, sizeof(path));
	cr_assert_eq(chmod(path, 0777), 0);
	expect_refusal("tiers/free.d: writable by everyone");
	cr_assert_eq(chmod(path, 0755), 0);
	for (int i = 0; i < POLICY_DROPINS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "free.d/%02d.yaml", i);
		put(name, "tier: free\n");
	}
	expect_refusal("tiers/free.d/a.yaml: too many files change tiers/free.yaml; expected "
	               "at most 16");
}

Test(policy, needs_a_tier)
{
	expect_failure(-EINVAL, TN_INVALID, "tiers: no tiers; expected at least one NAME.yaml");
}

Test(policy, needs_a_directory)
{
	char message[128], path[64];

	(void)snprintf(path, sizeof(path), "%s/tiers", dir);
	cr_assert_eq(rmdir(path), 0);
	(void)snprintf(message, sizeof(message), "open %s/tiers: No such file or directory",
	               dir);
	expect_failure(-ENOENT, TN_SYSTEM, message);
	cr_assert_eq(symlink("/etc", path), 0);
	(void)snprintf(message, sizeof(message), "open %s/tiers: Not a directory", dir);
	expect_failure(-ENOTDIR, TN_SYSTEM, message);
}

Test(policy, does_not_believe_what_anybody_may_write)
{
	char message[128], path[64];

	put_bytes("free.yaml", "tier: free\n", 11, 0666);
	expect_failure(-EINVAL, TN_INVALID,
	               "tiers/free.yaml:1:1: writable by everyone; expected mode 0644 or less");

	put("free.yaml", "tier: free\n");
	(void)snprintf(path, sizeof(path), "%s/tiers", dir);
	cr_assert_eq(chmod(path, 01777), 0);
	(void)snprintf(message, sizeof(message),
	               "%s/tiers: writable by everyone; expected mode 0755 or less", dir);
	expect_failure(-EINVAL, TN_INVALID, message);
}

Test(policy, reads_regular_files_only)
{
	char path[512];

	path_of("free.yaml", path, sizeof(path));
	cr_assert_eq(symlink("/dev/null", path), 0);
	expect_failure(-EINVAL, TN_INVALID,
	               "tiers/free.yaml:1:1: a symbolic link; expected a regular file");
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(mkdir(path, 0755), 0);
	expect_failure(-EINVAL, TN_INVALID,
	               "tiers/free.yaml:1:1: not a file; expected a regular file");
	cr_assert_eq(rmdir(path), 0);
	/* Nobody writes to it: reading it would take for ever. */
	cr_assert_eq(mkfifo(path, 0644), 0);
	expect_failure(-EINVAL, TN_INVALID,
	               "tiers/free.yaml:1:1: not a file; expected a regular file");
}

Test(policy, refuses_a_file_that_looks_like_a_tier_and_would_not_be_read)
{
	put("free.yaml", "tier: free\n");
	put("pro.yml", "tier: pro\n");
	expect_failure(-EINVAL, TN_INVALID,
	               "tiers/pro.yml:1:1: file name ends in .yml; expected .yaml");
}

Test(policy, refuses_file_names_that_are_no_tier_names)
{
	static const char *const names[] = { "Free", "a b", "free_tier",   "-a",
		                             "a-",   "a.b", "caf\xc3\xa9", "a\nb" };
	static const char *const shown[] = { "Free", "a b", "free_tier", "-a",
		                             "a-",   "a.b", "caf??",     "a?b" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char file[64], path[512], message[256];

		(void)snprintf(file, sizeof(file), "%s.yaml", names[i]);
		put(file, "tier: free\n");
		(void)snprintf(
			message, sizeof(message),
			"tiers/%s.yaml:1:1: file name is not a tier's; expected " NAME_RULE
			", then .yaml",
			shown[i]);
		expect_failure(-EINVAL, TN_INVALID, message);
		path_of(file, path, sizeof(path));
		cr_assert_eq(unlink(path), 0);
	}
}

Test(policy, refuses_a_long_file_name_without_cutting_the_reason)
{
	char name[256], message[512];

	memset(name, 'a', sizeof(name));
	memcpy(name + 250, ".yaml", 6);
	put(name, "tier: free\n");
	(void)snprintf(message, sizeof(message),
	               "tiers/%s:1:1: file name is not a tier's; expected " NAME_RULE
	               ", then .yaml",
	               name);
	expect_failure(-EINVAL, TN_INVALID, message);
}

Test(policy, refuses_a_file_that_is_too_large)
{
	size_t n = DOCUMENT_BYTES_MAX * 4;
	cleanup_free char *text = malloc(n);

	memset(text, '#', n);
	put_bytes("free.yaml", text, n, 0644);
	expect_failure(-EINVAL, TN_INVALID,
	               "tiers/free.yaml:1:1: larger than 65536 bytes; expected at most that");
}

Test(policy, holds_as_many_tiers_as_there_is_room_for_and_no_more)
{
	char file[32], text[32];
	struct policy *policy;

	for (int i = 0; i < POLICY_TIERS_MAX; i++) {
		(void)snprintf(file, sizeof(file), "t%d.yaml", i);
		(void)snprintf(text, sizeof(text), "tier: t%d\n", i);
		put(file, text);
	}
	policy = load();
	cr_expect_not_null(policy_tier_at(policy, POLICY_TIERS_MAX - 1));
	(void)policy_free(policy);
	put("one-more.yaml", "tier: one-more\n");
	expect_failure(-EINVAL, TN_INVALID, "tiers: too many files; expected at most 256");
}

Test(policy, accepts_the_tiers_that_are_installed)
{
	static const struct {
		const char *name;
		const char *display_name;
		struct policy_limits limits;
	} expected[] = {
		{ "enterprise",
		  "Enterprise",
		  { 800000, 500, INT64_C(16) << 30, INT64_C(15) << 30, 0, INT64_C(8) << 30,
		    8192, 128, INT64_C(86400000000), POLICY_UNLIMITED, 65536, 0,
		    INT64_C(100) << 30, POLICY_OOM_GROUP, INT64_C(16) << 20,
		    INT64_C(10000000) } },
		{ "free",
		  "Free",
		  { 50000, 50, INT64_C(256) << 20, POLICY_UNLIMITED, 0, INT64_C(128) << 20, 64,
		    2, INT64_C(600000000), POLICY_UNLIMITED, 512, 0, INT64_C(256) << 20,
		    POLICY_OOM_GROUP, INT64_C(16) << 20, INT64_C(10000000) } },
		{ "professional",
		  "Professional",
		  { 200000, 200, INT64_C(2) << 30, INT64_C(1800) << 20, 0, INT64_C(1) << 30,
		    512, 16, INT64_C(3600000000), POLICY_UNLIMITED, 4096, 0, INT64_C(10) << 30,
		    POLICY_OOM_GROUP, INT64_C(16) << 20, INT64_C(10000000) } },
	};
	struct policy *policy = NULL;
	struct tn_error err = { 0 };

	cr_assert_eq(policy_load(TEST_SOURCE_ROOT "/tools/etc", &policy, &err), 0, "%s",
	             err.msg);
	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		const struct policy_tier *tier = policy_tier_at(policy, i);

		cr_assert_not_null(tier);
		cr_expect_str_eq(tier->name, expected[i].name);
		cr_expect_str_eq(tier->display_name, expected[i].display_name);
		cr_expect_eq(memcmp(&tier->limits, &expected[i].limits, sizeof(tier->limits)),
		             0, "%s", tier->name);
		cr_expect_eq(tier->binds_allow_n, 0);
	}
	cr_expect_null(policy_tier_at(policy, ARRAY_LEN(expected)));
	(void)policy_free(policy);
}

static void put_top(const char *name, const char *text, mode_t mode)
{
	char path[512];
	cleanup_fd int fd = FD_NONE;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	cr_assert_geq(fd, 0, "%s", path);
	cr_assert_eq(io_write_all(fd, text, strlen(text)), 0);
	cr_assert_eq(fchmod(fd, mode), 0);
}

Test(policy, takes_what_is_said_of_the_node_as_a_part_of_it)
{
	char without[POLICY_HASH_HEX_SIZE], with[POLICY_HASH_HEX_SIZE], text[64];
	struct policy *policy, *again = NULL;
	struct policy_file files[2];
	struct tn_error err = { 0 };

	put("free.yaml", "tier: free\n");
	hash_of(without);
	policy = load();
	cr_expect_eq(policy_daemon(policy)->settings.commit_window_usec, 20000);
	cr_expect_eq(policy_daemon(policy)->settings.sample_interval_usec, 1000000);
	cr_expect_eq(policy_daemon(policy)->settings.retention_events_usec,
	             INT64_C(90) * 86400 * 1000000);
	cr_expect_eq(policy_daemon(policy)->settings.reserve_memory_bytes, 512 << 20);
	cr_expect_eq(policy_daemon(policy)->settings.reserve_cpu_usec, 10000);
	policy_daemon_source(policy_daemon(policy), 0, text, sizeof(text));
	cr_expect_str_eq(text, "default");
	(void)policy_free(policy);

	put_top("tenantd.yaml",
	        "commit_window: 5ms\nretention:\n  executions: max\nhost_reserve: {cpu: 0%}\n"
	        "sample_interval: 100ms\n",
	        0644);
	hash_of(with);
	cr_expect_str_neq(with, without);
	policy = load();
	cr_expect_eq(policy_daemon(policy)->settings.commit_window_usec, 5000);
	cr_expect_eq(policy_daemon(policy)->settings.sample_interval_usec, 100000);
	cr_expect_eq(policy_daemon(policy)->settings.retention_executions_usec,
	             POLICY_UNLIMITED);
	cr_expect_eq(policy_daemon(policy)->settings.reserve_cpu_usec, 0);
	cr_expect_eq(policy_daemon(policy)->settings.reserve_memory_bytes, 512 << 20);
	cr_expect_str_eq(policy_daemon_key(2), "retention.executions");
	policy_daemon_text(policy_daemon(policy), 2, text, sizeof(text));
	cr_expect_str_eq(text, "max");
	policy_daemon_source(policy_daemon(policy), 2, text, sizeof(text));
	cr_expect_str_eq(text, "tenantd.yaml:3");

	/* It is kept and made again with the tiers. */
	for (size_t i = 0; i < 2; i++)
		files[i] = *policy_file_at(policy, i);
	cr_assert_null(policy_file_at(policy, 2));
	cr_expect_str_eq(files[1].name, "tenantd.yaml");
	cr_assert_eq(policy_build(files, 2, &again, &err), 0, "%s", err.msg);
	cr_expect_str_eq(policy_hash_hex(again), with);
	cr_expect_eq(policy_daemon(again)->settings.commit_window_usec, 5000);
	cr_expect(policy_file_name_valid("tenantd.yaml"));
	(void)policy_free(again);
	(void)policy_free(policy);
}

Test(policy, refuses_what_is_said_of_the_node_where_it_is_wrong)
{
	put("free.yaml", "tier: free\n");
	put_top("tenantd.yaml", "commit_window: 11s\n", 0644);
	expect_failure(
		-EINVAL, TN_INVALID,
		"tenantd.yaml:1:16: commit_window: '11s' is out of range; expected 1ms to "
		"10s");
	put_top("tenantd.yaml", "sample_interval: 99ms\n", 0644);
	expect_failure(-EINVAL, TN_INVALID,
	               "tenantd.yaml:1:18: sample_interval: '99ms' is out of range; expected "
	               "100ms to 1h");
	put_top("tenantd.yaml", "retention: {tenants: 1d}\n", 0644);
	expect_failure(-EINVAL, TN_INVALID,
	               "tenantd.yaml:1:13: unknown key 'tenants' in retention; this version "
	               "enforces: executions, events");
	put_top("tenantd.yaml", "commit_window: 5ms\n", 0646);
	expect_failure(-EINVAL, TN_INVALID,
	               "tenantd.yaml:1:1: writable by everyone; expected mode 0644 or less");
	put_top("tenantd.yaml", "commit_window: 5ms\n", 0644);
	put_top("tenantd.yml", "commit_window: 5ms\n", 0644);
	expect_failure(-EINVAL, TN_INVALID,
	               "tenantd.yml:1:1: file name ends in .yml; expected .yaml");
}

Test(policy, has_the_hash_of_its_tiers_without_meters_and_prices)
{
	/* Of "tiers/free.yaml" and its content, each after its length, as sha256sum says. */
	char hex[POLICY_HASH_HEX_SIZE];

	put("free.yaml", "tier: free\n");
	hash_of(hex);
	cr_expect_str_eq(hex,
	                 "8510a84604103e9c71a034033804308e83096b3960b501bbe2029526095d5b15");
}

static void put_book(const char *name, const char *text)
{
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/prices", dir);
	cr_assert(mkdir(path, 0755) == 0 || errno == EEXIST);
	(void)snprintf(path, sizeof(path), "prices/%s", name);
	put_top(path, text, 0644);
}

#define BOOK(name) "book: " name "\ncurrency: EUR\nvalid_from: 2026-01-01\nprices: {}\n"

Test(policy, holds_meters_and_price_books_after_the_tiers)
{
	static const char *const order[] = { "tiers/free.yaml", "meters.yaml", "tenantd.yaml",
		                             "prices/a.yaml", "prices/b.yaml" };
	struct policy_file files[ARRAY_LEN(order)];
	struct policy *policy, *again = NULL;
	struct tn_error err = { 0 };
	char hash[POLICY_HASH_HEX_SIZE], other[POLICY_HASH_HEX_SIZE];

	put("free.yaml", "tier: free\nquotas: {documents: {limit: 5}}\n");
	put_top("meters.yaml", "meters: {documents: {kind: gauge}, mails: {kind: counter}}\n",
	        0644);
	put_top("tenantd.yaml", "commit_window: 5ms\n", 0644);
	put_book("b.yaml", "book: b\ncurrency: USD\nvalid_from: 2026-01-01\n"
	                   "prices: {mails: {price: 0.5}}\n");
	put_book("a.yaml", BOOK("a"));
	put_book(".c.yaml", "not: [yaml");
	hash_of(hash);
	policy = load();
	cr_expect_eq(policy_meters(policy)->custom_n, 2);
	cr_expect_str_eq(policy_tier(policy, "free")->quotas[0].text, "5, hard");
	cr_expect_str_eq(policy_book(policy, 1)->prices[0].meter, "mails");
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		cr_assert_not_null(policy_file_at(policy, i));
		files[i] = *policy_file_at(policy, i);
		cr_expect_str_eq(files[i].name, order[i]);
		cr_expect(policy_file_name_valid(files[i].name));
	}
	cr_expect_null(policy_file_at(policy, ARRAY_LEN(order)));
	cr_assert_eq(policy_build(files, ARRAY_LEN(order), &again, &err), 0, "%s", err.msg);
	cr_expect_str_eq(policy_hash_hex(again), hash);
	(void)policy_free(again);
	(void)policy_free(policy);

	put_book("a.yaml", BOOK("a") "# changed\n");
	hash_of(other);
	cr_expect_str_neq(hash, other);
	cr_expect_not(policy_file_name_valid("prices/A.yaml"));
	cr_expect_not(policy_file_name_valid("prices/a/b.yaml"));
	cr_expect_not(policy_file_name_valid("prices/../a.yaml"));
	cr_expect_not(policy_file_name_valid("prices/a.yml"));
	cr_expect_not(policy_file_name_valid("meters.yml"));
}

Test(policy, is_checked_with_a_file_that_is_not_there_as_if_it_were)
{
	struct policy_file meters = { "meters.yaml", NULL, 0 };
	struct policy_file tier = { "tiers/abc.yaml", NULL, 0 };
	struct policy *policy = NULL;
	struct tn_error err = { 0 };
	char hash[POLICY_HASH_HEX_SIZE];
	char text[] = "meters: {mails: {kind: counter}}\n", tier_text[] = "tier: abc\n";

	put("free.yaml", "tier: free\n");
	put_top("tenantd.yaml", "commit_window: 5ms\n", 0644);
	put_book("a.yaml", "book: a\ncurrency: EUR\nvalid_from: 2026-01-01\n"
	                   "prices: {mails: {price: 1}}\n");
	cr_expect_eq(policy_load(dir, &policy, &err), -EINVAL, "there is no such meter");
	err = (struct tn_error){ 0 };
	meters.text = text;
	meters.n = strlen(text);
	cr_assert_eq(policy_load_with(dir, &meters, &policy, &err), 0, "%s", err.msg);
	cr_expect_str_eq(policy_file_at(policy, 1)->name, "meters.yaml");
	(void)snprintf(hash, sizeof(hash), "%s", policy_hash_hex(policy));
	(void)policy_free(policy);
	put_top("meters.yaml", text, 0644);
	policy = load();
	cr_expect_str_eq(policy_hash_hex(policy), hash);
	(void)policy_free(policy);

	tier.text = tier_text;
	tier.n = strlen(tier_text);
	cr_assert_eq(policy_load_with(dir, &tier, &policy, &err), 0, "%s", err.msg);
	cr_expect_str_eq(policy_file_at(policy, 0)->name, "tiers/abc.yaml");
	cr_expect_not_null(policy_tier(policy, "abc"));
	(void)policy_free(policy);
}

Test(policy, says_where_a_quota_is_not_whole_once_all_is_read)
{
	char path[512];

	put("free.yaml", "tier: free\nquotas: {tokens: {limit: 5}}\n");
	expect_failure(-EINVAL, TN_INVALID,
	               "tiers/free.yaml:2:10: tokens: per is missing; expected hour, day, week "
	               "or month, as it is a counter");
	path_of("free.d", path, sizeof(path));
	cr_assert_eq(mkdir(path, 0755), 0);
	put("free.d/x.yaml", "quotas: {tokens: {per: day}}\n");
	(void)policy_free(load());
}

Test(policy, refuses_meters_and_price_books_that_are_not_to_be_believed)
{
	char path[512];

	put("free.yaml", "tier: free\n");
	put_top("meters.yml", "meters: {}\n", 0644);
	expect_failure(-EINVAL, TN_INVALID,
	               "meters.yml:1:1: file name ends in .yml; expected .yaml");
	(void)snprintf(path, sizeof(path), "%s/meters.yml", dir);
	(void)unlink(path);
	put_top("meters.yaml", "meters: {}\n", 0646);
	expect_failure(-EINVAL, TN_INVALID,
	               "meters.yaml:1:1: writable by everyone; expected mode 0644 or less");
	put_top("meters.yaml", "meters: {}\n", 0644);
	put_book("a.yml", BOOK("a"));
	expect_failure(-EINVAL, TN_INVALID,
	               "prices/a.yml:1:1: file name ends in .yml; expected .yaml");
	(void)snprintf(path, sizeof(path), "%s/prices/a.yml", dir);
	(void)unlink(path);
	put_book("A.yaml", BOOK("A"));
	expect_failure(-EINVAL, TN_INVALID,
	               "prices/A.yaml:1:1: file name is not a price book's; expected " NAME_RULE
	               ", then .yaml");
	(void)snprintf(path, sizeof(path), "%s/prices/A.yaml", dir);
	(void)unlink(path);
	put_book("a.yaml", BOOK("a"));
	put_book("b.yaml", BOOK("b"));
	expect_failure(-EINVAL, TN_INVALID,
	               "prices/b.yaml:3:1: valid_from: another book for EUR still holds then "
	               "(prices/a.yaml:3:1); expected one book at a time");
}
