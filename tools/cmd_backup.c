/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tenantctl backup: what the daemon has made is written with the rights of who asks, beside
 * its name and then in one step under it, so that a file of that name is a whole backup.
 */
#include "cmd.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/err.h>
#include <base/fd.h>
#include <tenant/backup.h>

#include "backup_file.h"
#include "output.h"

#define PATH_BYTES_MAX 4096
#define HASH_SHOWN     12

static int show_file(const struct ctl *ctl, const struct backup_file *file)
{
	struct jout out = { .file = stdout };
	char at[OUTPUT_CELL_BYTES_MAX], size[OUTPUT_CELL_BYTES_MAX];

	if (!ctl->json) {
		(void)printf("whole: of %s, by tenantd %s, %s\n",
		             output_instant(file->created_at, at), file->version,
		             output_bytes(file->bytes, size));
		(void)printf("%-14s %zu\n%-14s %.*s, %zu files\n%-14s %lld\n", "tenants",
		             file->slots_n, "policy", HASH_SHOWN, file->policy_hash,
		             file->files_n, "schema", (long long)file->schema);
		return 0;
	}
	jout_begin(&out, NULL, '{');
	jout_int(&out, "created_at", file->created_at);
	jout_text(&out, "version", file->version);
	jout_int(&out, "bytes", file->bytes);
	jout_int(&out, "schema", file->schema);
	jout_int(&out, "tenants", (int64_t)file->slots_n);
	jout_text(&out, "policy_hash", file->policy_hash);
	jout_int(&out, "policy_files", (int64_t)file->files_n);
	jout_text(&out, "sha256", file->digest);
	jout_end(&out, '}');
	(void)putchar('\n');
	return 0;
}

static int verify(const struct ctl *ctl, struct tn_error *err)
{
	struct backup_file file = { .fd = FD_NONE };
	int r = backup_file_open(ctl->operands[0], &file, err);

	if (r == 0)
		r = show_file(ctl, &file);
	backup_file_close(&file);
	return r;
}

/* Beside @path, hidden, readable by us alone; *ret_fd is the caller's. */
static int beside_open(const char *path, char *beside, int *ret_fd, struct tn_error *err)
{
	const char *slash = strrchr(path, '/');
	const int dir_n = slash != NULL ? (int)(slash + 1 - path) : 0;
	int n = snprintf(beside, PATH_BYTES_MAX, "%.*s.%s.XXXXXX", dir_n, path, path + dir_n);

	if (path[dir_n] == '\0' || n < 0 || n >= PATH_BYTES_MAX)
		return err_refuse(err, TN_INVALID, "%.64s: no name for a file", path);
	*ret_fd = mkostemp(beside, O_CLOEXEC);
	return *ret_fd < 0 ? err_errno(err, "write %s: %s", path, strerror(errno)) : 0;
}

static int put_in_place(const char *beside, const char *path, bool force, struct tn_error *err)
{
	if (renameat2(AT_FDCWD, beside, AT_FDCWD, path, force ? 0 : RENAME_NOREPLACE) == 0)
		return 0;
	if (errno == EEXIST)
		return err_refuse(err, TN_EXISTS,
		                  "%s is there already; --force has it replaced", path);
	return err_errno(err, "write %s: %s", path, strerror(errno));
}

static int to_file(int backup_fd, const char *path, bool force, struct tn_error *err)
{
	cleanup_fd int fd = FD_NONE;
	char beside[PATH_BYTES_MAX];
	int r = beside_open(path, beside, &fd, err);

	if (r < 0)
		return r;
	r = backup_file_copy(backup_fd, fd, path, err);
	if (r == 0 && fsync(fd) < 0)
		r = err_errno(err, "write %s: %s", path, strerror(errno));
	if (r == 0)
		r = put_in_place(beside, path, force, err);
	if (r < 0)
		(void)unlink(beside);
	return r;
}

/* Before the work is done, which is done again if somebody is quicker. */
static int check_path(const struct ctl *ctl, const char *path, struct tn_error *err)
{
	struct stat st;

	if (strcmp(path, "-") == 0 && isatty(STDOUT_FILENO) == 1)
		return err_refuse(err, TN_INVALID, "a terminal is no place for a backup");
	if (strcmp(path, "-") != 0 && !ctl->force && lstat(path, &st) == 0)
		return err_refuse(err, TN_EXISTS,
		                  "%s is there already; --force has it replaced", path);
	return 0;
}

static void show_made(const struct ctl *ctl, const struct tn_backup_about *about)
{
	char size[OUTPUT_CELL_BYTES_MAX];

	if (ctl->json)
		output_json(stdout, tn_backup_about_fields(), about);
	else
		(void)printf("%s: %s, %lld tenants, policy %.*s\n", ctl->operands[0],
		             output_bytes(about->bytes, size), (long long)about->tenants,
		             HASH_SHOWN, about->policy_hash);
}

int cmd_backup(struct ctl *ctl, struct tn_error *err)
{
	const char *path = ctl->operands[0];
	struct tn_backup_about about = { 0 };
	cleanup_fd int fd = FD_NONE;
	const bool to_stdout = strcmp(path, "-") == 0;
	int r;

	if (ctl->verify)
		return verify(ctl, err);
	r = check_path(ctl, path, err);
	if (r == 0)
		r = tn_client_open(ctl->socket, &ctl->client, err);
	if (r == 0)
		r = tn_backup(ctl->client, &fd, &about, err);
	if (r < 0)
		return r;
	r = to_stdout ? backup_file_copy(fd, STDOUT_FILENO, "standard output", err)
	              : to_file(fd, path, ctl->force, err);
	if (r == 0 && !to_stdout)
		show_made(ctl, &about);
	tn_backup_about_done(&about);
	return r;
}
