/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A backup that is made while others go on, and a policy of the node that holds. */
#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/backup.h>
#include <base/fd.h>
#include <base/io.h>
#include <policy/digest.h>

#include "rig.h"

TestSuite(backup, .timeout = 60);

static struct rig rig;
static struct varlink *admin;

static void begin(void)
{
	rig_init(&rig);
	rig_tenant(&rig, "acme");
	rig_tenant(&rig, "globex");
	admin = rig_connect(&rig);
}

static void finish(void)
{
	(void)varlink_free(admin);
	rig_done(&rig);
}

/* All of a backup, the caller's, which its trailer is right about. */
static char *read_backup(int fd, size_t *ret_n, size_t *ret_store_n)
{
	struct digest *digest = digest_new();
	char hex[DIGEST_HEX_SIZE];
	struct stat st;
	char *bytes, *trailer;

	cr_assert(digest != NULL);
	cr_assert_eq(fstat(fd, &st), 0);
	cr_expect_eq(st.st_nlink, 0);
	*ret_n = (size_t)st.st_size;
	bytes = malloc(*ret_n + 1);
	cr_assert(bytes != NULL);
	cr_assert_eq(io_read_all(fd, bytes, *ret_n + 1), (ssize_t)*ret_n);
	bytes[*ret_n] = '\0';
	trailer = bytes + *ret_n - BACKUP_TRAILER_BYTES;
	cr_expect_eq(strncmp(trailer, BACKUP_MAGIC, strlen(BACKUP_MAGIC)), 0);
	*ret_store_n = strtoul(trailer + strlen(BACKUP_MAGIC), NULL, 10);
	digest_add(digest, bytes, *ret_n - BACKUP_TRAILER_BYTES);
	digest_hex(digest, hex);
	(void)digest_free(digest);
	cr_expect_eq(strncmp(trailer + strlen(BACKUP_MAGIC) + BACKUP_OFFSET_DIGITS + 1, hex,
	                     BACKUP_HASH_DIGITS),
	             0);
	return bytes;
}

static int64_t count(const char *path, const char *sql)
{
	sqlite3_stmt *statement = NULL;
	int64_t n;
	sqlite3 *db;

	cr_assert_eq(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK, "%s",
	             sqlite3_errmsg(db));
	cr_assert_eq(sqlite3_step(statement), SQLITE_ROW);
	n = sqlite3_column_int64(statement, 0);
	(void)sqlite3_finalize(statement);
	(void)sqlite3_close(db);
	return n;
}

Test(backup, holds_the_store_the_ids_and_the_policy, .init = begin, .fini = finish)
{
	char path[2 * RIG_PATH_BYTES_MAX];
	cleanup_free char *bytes = NULL;
	cleanup_fd int fd = FD_NONE, file = FD_NONE;
	size_t n, store_n;
	json_t *answer;
	const json_t *about;

	rig_call(&rig, admin, "io.tenantd.Backup", json_object(), NULL);
	answer = rig_answer_fd(&rig, admin, &fd);
	about = json_object_get(answer, "parameters");
	cr_assert_geq(fd, 0);
	cr_expect_eq(rig_number(about, "tenants"), 2);
	bytes = read_backup(fd, &n, &store_n);
	cr_expect_eq(rig_number(about, "bytes"), (int64_t)n);
	cr_expect(strstr(bytes + store_n, "\nschema ") != NULL);
	cr_expect(strstr(bytes + store_n, " acme ") != NULL);
	cr_expect(strstr(bytes + store_n, " globex ") != NULL);
	cr_expect(strstr(bytes + store_n, "\nfile tiers/free.yaml ") != NULL);
	cr_expect(strstr(bytes + store_n, "\nfile tenantd.yaml 42\nretention: {") != NULL);
	cr_expect(strstr(bytes + store_n, rig_text(about, "policy_hash")) != NULL);
	json_decref(answer);

	/* It is a database as it lies there. */
	(void)snprintf(path, sizeof(path), "%s/backup", rig.dir);
	file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	cr_assert_eq(io_write_all(file, bytes, n), 0);
	cr_expect_eq(count(path, "SELECT count(*) FROM tenants"), 2);
	cr_expect_eq(count(path, "SELECT count(*) FROM pragma_integrity_check "
	                         "WHERE integrity_check <> 'ok'"),
	             0);
	(void)snprintf(path, sizeof(path), "%s/store/tenantd.db-copy", rig.dir);
	cr_expect_neq(access(path, F_OK), 0);
}

Test(backup, lets_everything_else_go_on, .init = begin, .fini = finish)
{
	struct varlink *other = rig_connect(&rig), *third = rig_connect(&rig);
	static union rig_message launch;
	char path[2 * RIG_PATH_BYTES_MAX];
	cleanup_fd int fd = FD_NONE;
	char why[RIG_WHY_BYTES_MAX];
	struct spec_exited exited;
	sqlite3 *db;

	/* Large enough for more steps than there are events in a turn. */
	(void)snprintf(path, sizeof(path), "%s/store/tenantd.db", rig.dir);
	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, "CREATE TABLE filler AS SELECT zeroblob(33554432)", NULL,
	                          NULL, NULL),
	             SQLITE_OK, "%s", sqlite3_errmsg(db));
	cr_assert_eq(sqlite3_close(db), SQLITE_OK);
	rig_call(&rig, admin, "io.tenantd.Backup", json_object(), NULL);
	rig_turn(&rig);
	cr_expect_not(rig_answered(&rig, admin));
	json_decref(rig_refused(&rig, third, "io.tenantd.Backup", json_object(), NULL,
	                        "io.tenantd.InvalidState"));
	rig_run_started(&rig, other, "acme", &launch);
	exited = rig_exited_of(&launch, 0, 1000);
	rig_exited(&rig, &exited);
	json_decref(rig_run_end(&rig, other, why));
	json_decref(rig_answer_fd(&rig, admin, &fd));
	cr_expect_geq(fd, 0);
	(void)varlink_free(third);
	(void)varlink_free(other);
}

Test(backup, is_given_up_when_nobody_wants_it_any_more, .init = begin, .fini = finish)
{
	struct varlink *other = rig_connect(&rig);
	char path[2 * RIG_PATH_BYTES_MAX];
	cleanup_fd int fd = FD_NONE;

	rig_call(&rig, other, "io.tenantd.Backup", json_object(), NULL);
	rig_turn(&rig);
	(void)varlink_free(other);
	rig_window(&rig);
	(void)snprintf(path, sizeof(path), "%s/store/tenantd.db-copy", rig.dir);
	cr_expect_neq(access(path, F_OK), 0);
	rig_call(&rig, admin, "io.tenantd.Backup", json_object(), NULL);
	json_decref(rig_answer_fd(&rig, admin, &fd));
	cr_expect_geq(fd, 0);
}

Test(backup, tells_tenantd_and_monitors_of_the_reserve, .init = begin, .fini = finish)
{
	struct spec_reserved reserved = { 0 };
	json_t *answer;

	cr_expect_eq(rig.reserve.memory_bytes, 512 << 20);
	cr_expect_eq(rig.reserve.cpu_usec, 10000);
	rig_write(&rig, "tenantd.yaml", "host_reserve: {memory: 1G, cpu: 0%}\n");
	answer = rig_ask(&rig, admin, "io.tenantd.DiffPolicy", json_object(), "more");
	cr_expect(json_is_null(json_object_get(json_object_get(answer, "change"), "tenant")));
	json_decref(answer);
	for (int i = 0; i < 3; i++)
		json_decref(rig_answer(&rig, admin));
	rig_call(&rig, admin, "io.tenantd.ReloadPolicy", json_object(), NULL);
	for (int i = 0; i < 2; i++) {
		static union rig_message message;

		rig_take(&rig, SPEC_TENANT_APPLY, &message);
		rig_reply(&rig, &message, TN_OK);
	}
	json_decref(rig_answer(&rig, admin));
	cr_expect_eq(rig.reserve.memory_bytes, 1 << 30);
	cr_expect_eq(rig.reserve.cpu_usec, 0);

	reserved.error.code = TN_SYSTEM;
	(void)snprintf(reserved.error.msg, sizeof(reserved.error.msg), "no systemd");
	rig_send(&rig, SPEC_RESERVED, 0, &reserved.head, sizeof(reserved));
	rig_turn(&rig);
	answer = rig_ask(&rig, admin, "io.tenantd.GetStatus", json_object(), NULL);
	cr_expect_str_eq(rig_text(answer, "health"), "degraded");
	cr_expect_str_eq(
		json_string_value(json_array_get(json_object_get(answer, "degraded"), 0)),
		"the host's reserve is not held: no systemd");
	json_decref(answer);
	reserved.error = (struct tn_error){ 0 };
	rig_send(&rig, SPEC_RESERVED, 0, &reserved.head, sizeof(reserved));
	rig_turn(&rig);
	answer = rig_ask(&rig, admin, "io.tenantd.GetStatus", json_object(), NULL);
	cr_expect_eq(json_array_size(json_object_get(answer, "degraded")), 0);
	json_decref(answer);
}

Test(backup, books_within_the_window_that_the_policy_says, .init = begin, .fini = finish)
{
	static union rig_message launch;
	char why[RIG_WHY_BYTES_MAX];
	struct spec_exited exited;

	rig_write(&rig, "tenantd.yaml", "commit_window: 10s\n");
	rig_call(&rig, admin, "io.tenantd.ReloadPolicy", json_object(), NULL);
	for (int i = 0; i < 2; i++) {
		static union rig_message message;

		rig_take(&rig, SPEC_TENANT_APPLY, &message);
		rig_reply(&rig, &message, TN_OK);
	}
	json_decref(rig_answer(&rig, admin));
	rig_run_started(&rig, admin, "acme", &launch);
	exited = rig_exited_of(&launch, 0, 1000);
	rig_exited(&rig, &exited);
	json_decref(rig_run_end(&rig, admin, why));
	rig_window(&rig);
	/* What has not been booked is not settled. */
	cr_expect(rig_silent(&rig));
	/* A list has it booked. */
	json_decref(rig_ask(&rig, admin, "io.tenantd.ListExecutions",
	                    json_pack("{s:b}", "all", 1), "more"));
	rig_take(&rig, SPEC_SETTLED, &launch);
}
