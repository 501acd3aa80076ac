/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tenantctl restore: a backup becomes the state of a node whose daemon is stopped. Three things
 * are put in place: the store, the table that says whose each range of ids is, without
 * which files that tenants have stored would be somebody else's, and the policy. All is looked
 * at before anything is changed, and nothing that was there is thrown away.
 */
#include "cmd.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <base/backup.h>
#include <base/clock.h>
#include <base/err.h>
#include <base/fd.h>
#include <base/io.h>
#include <base/slot.h>

#include "backup_file.h"
#include "jout.h"
#include "restore_slots.h"

#define STATE_DIR            "/var/lib/tenantd"
#define DAEMON_USER          "tenantd"
#define PATH_BYTES_MAX       512
#define ASIDE_BYTES_MAX      48
#define ASIDE_PATH_BYTES_MAX (PATH_BYTES_MAX + 8 + ASIDE_BYTES_MAX)
#define STORE_FILES_N        3
#define NEW_SUFFIX           ".restoring"
#define PIECE_BYTES          262144
#define EXIT_NOT_RUN         127

enum policy_file_state {
	FILE_SAME,
	FILE_ABSENT,
	FILE_DIFFERS,
};

/* A path that something new may come to. */
struct replaced {
	char path[PATH_BYTES_MAX + 8];
	bool was_there; /* and is put aside */
};

struct restore {
	const struct ctl *ctl;
	struct backup_file backup;
	const char *config, *state;
	char store_dir[PATH_BYTES_MAX];
	char store[PATH_BYTES_MAX];
	char slots[PATH_BYTES_MAX];
	char aside[ASIDE_BYTES_MAX]; /* the end of the names of what was there before */
	uid_t uid;                   /* whose the store is */
	gid_t gid;
	struct slot *table;
	size_t table_n;
	enum policy_file_state *states; /* of the backup's policy files */
	size_t replaced_n, kept_n;
	struct replaced *undo; /* what was done, in order */
	size_t undo_n;
};

static int io_failed(int r, const char *what, const char *path, struct tn_error *err)
{
	return err_set(err, TN_SYSTEM, -r, "%s %s: %s", what, path, strerror(-r));
}

static int join(char *to, const char *dir, const char *name, struct tn_error *err)
{
	if (snprintf(to, PATH_BYTES_MAX, "%s/%s", dir, name) < PATH_BYTES_MAX)
		return 0;
	return err_refuse(err, TN_INVALID, "%.64s...: too long", dir);
}

static int paths_make(struct restore *restore, struct tn_error *err)
{
	const int64_t now = clock_usec(CLOCK_REALTIME);
	const time_t seconds = now / CLOCK_USEC_PER_SEC;
	struct tm tm;
	size_t n;
	int r;

	restore->state = restore->ctl->state_dir != NULL ? restore->ctl->state_dir : STATE_DIR;
	r = join(restore->store_dir, restore->state, BACKUP_STORE_DIR, err);

	if (r == 0)
		r = join(restore->store, restore->store_dir, BACKUP_STORE_FILE, err);
	if (r == 0)
		r = join(restore->slots, restore->state, SLOTS_FILE, err);
	(void)gmtime_r(&seconds, &tm);
	n = strftime(restore->aside, sizeof(restore->aside), ".before-%Y%m%dT%H%M%S", &tm);
	(void)snprintf(restore->aside + n, sizeof(restore->aside) - n, ".%06" PRId64 "Z",
	               now % CLOCK_USEC_PER_SEC);
	restore->config = restore->ctl->config != NULL ? restore->ctl->config : CONFIG_DIR;
	return r;
}

/* Whoever listens would go on with what it had, and write that over what is restored. */
static int check_stopped(const struct restore *restore, struct tn_error *err)
{
	struct tn_client *client = NULL;
	struct tn_error ignored = { 0 };
	int r = tn_client_open(restore->ctl->socket, &client, &ignored);

	tn_client_free(client);
	if (r < 0)
		return 0;
	return err_refuse(err, TN_STATE,
	                  "tenantd runs; stop it first: systemctl stop tenantd.service");
}

static int owner_find(struct restore *restore, struct tn_error *err)
{
	const char *name = restore->ctl->user != NULL ? restore->ctl->user : DAEMON_USER;
	const struct passwd *user = getpwnam(name);

	if (user == NULL)
		return err_refuse(err, TN_NOT_FOUND,
		                  "user '%s', whose the store is, is not there", name);
	restore->uid = user->pw_uid;
	restore->gid = user->pw_gid;
	return 0;
}

static void controller_run(const struct restore *restore) __attribute__((noreturn));
static void controller_run(const struct restore *restore)
{
	const char *libexec = restore->ctl->libexec_dir != NULL ? restore->ctl->libexec_dir
	                                                        : LIBEXEC_DIR;
	char path[PATH_BYTES_MAX];

	(void)snprintf(path, sizeof(path), "%s/tenant-controller", libexec);
	/* As who it is for: what it makes beside the store is to be its own. */
	if (geteuid() == 0 && (setgid(restore->gid) < 0 || setuid(restore->uid) < 0))
		_exit(EXIT_NOT_RUN);
	(void)execl(path, path, "--store-dir", restore->store_dir, "--check-empty",
	            (char *)NULL);
	_exit(EXIT_NOT_RUN);
}

/* What there is to be told of a store that is not to be replaced, or NULL. */
static const char *store_look(const struct restore *restore)
{
	struct stat st;
	int status = 0;
	pid_t pid;

	if (stat(restore->store, &st) < 0 && errno == ENOENT)
		return NULL;
	(void)fflush(stdout);
	pid = fork();
	if (pid == 0)
		controller_run(restore);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return "cannot be looked into";
	if (WEXITSTATUS(status) == 0)
		return NULL;
	return WEXITSTATUS(status) == BACKUP_STORE_USED ? "not empty" : "cannot be looked into";
}

static int check_empty(const struct restore *restore, struct tn_error *err)
{
	const char *why = restore->ctl->force ? NULL : store_look(restore);

	if (why == NULL)
		return 0;
	return err_refuse(err, TN_STATE, "%s: %s; --force keeps it aside as %s%s",
	                  restore->store, why, BACKUP_STORE_FILE, restore->aside);
}

static int file_compare(const struct restore *restore, const struct policy_file *file,
                        enum policy_file_state *ret, struct tn_error *err)
{
	char path[PATH_BYTES_MAX];
	cleanup_free char *text = NULL;
	size_t n = 0;
	int r = join(path, restore->config, file->name, err);

	*ret = FILE_ABSENT;
	if (r < 0 || faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return r;
	r = cmd_policy_text(path, &text, &n, err);
	if (r < 0)
		return r;
	*ret = n == file->n && memcmp(text, file->text, n) == 0 ? FILE_SAME : FILE_DIFFERS;
	return 0;
}

static int policy_compare(struct restore *restore, struct tn_error *err)
{
	const struct backup_file *backup = &restore->backup;
	char names[TN_ERROR_MSG_BYTES / 2] = "";
	size_t n = 0, differ_n = 0;
	int r = 0;

	restore->states = calloc(backup->files_n + 1, sizeof(*restore->states));
	if (restore->states == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "compare the policy");
	for (size_t i = 0; r == 0 && i < backup->files_n; i++) {
		r = file_compare(restore, &backup->files[i], &restore->states[i], err);
		if (r < 0 || restore->states[i] != FILE_DIFFERS)
			continue;
		if (n < sizeof(names))
			n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s",
			                      differ_n > 0 ? ", " : "", backup->files[i].name);
		differ_n++;
	}
	if (r < 0 || differ_n == 0 || restore->ctl->force)
		return r;
	return err_refuse(err, TN_STATE,
	                  "in %s, other than in the backup: %s; --force keeps them aside, with "
	                  "names that end in %s",
	                  restore->config, names, restore->aside);
}

/* A new file @path, whole and on the disk before it has that name. */
static int file_begin(const char *path, mode_t mode, char *ret_new, struct tn_error *err)
{
	int fd;

	(void)snprintf(ret_new, PATH_BYTES_MAX, "%s" NEW_SUFFIX, path);
	(void)unlink(ret_new);
	fd = open(ret_new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	return fd < 0 ? io_failed(-errno, "create", ret_new, err) : fd;
}

static int store_write(const struct restore *restore, const char *path, int fd,
                       struct tn_error *err)
{
	const struct backup_file *backup = &restore->backup;
	cleanup_free char *piece = malloc(PIECE_BYTES);
	int r = 0;

	if (piece == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "write %s", path);
	if (lseek(backup->fd, 0, SEEK_SET) < 0)
		return io_failed(-errno, "read", backup->path, err);
	for (int64_t left = backup->store_bytes; r == 0 && left > 0;) {
		const size_t n = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
		const ssize_t got = io_read_all(backup->fd, piece, n);

		if (got != (ssize_t)n)
			return io_failed(got < 0 ? (int)got : -EIO, "read", backup->path, err);
		r = io_write_all(fd, piece, n);
		left -= got;
	}
	if (r == 0 && geteuid() == 0 && fchown(fd, restore->uid, restore->gid) < 0)
		r = -errno;
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	return r < 0 ? io_failed(r, "write", path, err) : 0;
}

static int directory_make(const char *path, mode_t mode, struct tn_error *err)
{
	if (mkdir(path, mode) == 0 || errno == EEXIST)
		return 0;
	return io_failed(-errno, "create", path, err);
}

static int store_prepare(const struct restore *restore, char *ret_new, struct tn_error *err)
{
	cleanup_fd int fd = FD_NONE;
	int r = directory_make(restore->state, 0755, err);

	if (r == 0)
		r = directory_make(restore->store_dir, 0700, err);
	/* As tenantd does at each start. */
	if (r == 0 && geteuid() == 0 &&
	    chown(restore->store_dir, restore->uid, restore->gid) < 0)
		r = io_failed(-errno, "own", restore->store_dir, err);
	if (r < 0)
		return r;
	fd = file_begin(restore->store, 0600, ret_new, err);
	return fd < 0 ? fd : store_write(restore, ret_new, fd, err);
}

static int slots_prepare(const struct restore *restore, char *ret_new, struct tn_error *err)
{
	cleanup_fd int fd = file_begin(restore->slots, 0600, ret_new, err);
	int r = fd;

	if (r >= 0)
		r = io_write_all(fd, restore->table, restore->table_n * sizeof(struct slot));
	else
		return r;
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	return r < 0 ? io_failed(r, "write", ret_new, err) : 0;
}

static void aside_name(const struct restore *restore, const char *path,
                       char aside[ASIDE_PATH_BYTES_MAX])
{
	(void)snprintf(aside, ASIDE_PATH_BYTES_MAX, "%s%s", path, restore->aside);
}

/* Nothing is at @path then; undo_all() has what was there come back. */
static int put_aside(struct restore *restore, const char *path, struct tn_error *err)
{
	struct replaced *undo = &restore->undo[restore->undo_n];
	char aside[ASIDE_PATH_BYTES_MAX];

	aside_name(restore, path, aside);
	undo->was_there = renameat2(AT_FDCWD, path, AT_FDCWD, aside, RENAME_NOREPLACE) == 0;
	if (!undo->was_there && errno != ENOENT)
		return io_failed(-errno, "put aside", path, err);
	(void)snprintf(undo->path, sizeof(undo->path), "%s", path);
	restore->undo_n++;
	return 0;
}

/* Half a restore would be neither what was there nor what was backed up. */
static int undo_all(struct restore *restore, int failed, struct tn_error *err)
{
	char aside[ASIDE_PATH_BYTES_MAX];
	bool undone = true;

	while (restore->undo_n > 0) {
		const struct replaced *undo = &restore->undo[--restore->undo_n];

		aside_name(restore, undo->path, aside);
		if (undo->was_there)
			undone = rename(aside, undo->path) == 0 && undone;
		else
			undone = (unlink(undo->path) == 0 || errno == ENOENT) && undone;
	}
	if (undone)
		return failed;
	return err_wrap(err, failed, "what was there is not all back, names end in %s",
	                restore->aside);
}

/* The database and what belongs to it. */
static int store_put_aside(struct restore *restore, struct tn_error *err)
{
	static const char *const suffixes[STORE_FILES_N] = { "-wal", "-shm", "" };
	char path[PATH_BYTES_MAX + 8];
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(suffixes); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", restore->store, suffixes[i]);
		r = put_aside(restore, path, err);
	}
	return r;
}

static int put_in_place(const char *new_path, const char *path, struct tn_error *err)
{
	return rename(new_path, path) < 0 ? io_failed(-errno, "put in place", path, err) : 0;
}

/* Directories of the policy that are not there, down to the file's own. */
static int policy_directories(const struct restore *restore, const char *name,
                              struct tn_error *err)
{
	char path[PATH_BYTES_MAX], part[POLICY_FILE_BYTES_MAX];
	int r = directory_make(restore->config, 0755, err);

	for (const char *slash = strchr(name, '/'); r == 0 && slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		(void)snprintf(part, sizeof(part), "%.*s", (int)(slash - name), name);
		r = join(path, restore->config, part, err);
		if (r == 0)
			r = directory_make(path, 0755, err);
	}
	return r;
}

static int policy_file_put(struct restore *restore, size_t i, struct tn_error *err)
{
	const struct policy_file *file = &restore->backup.files[i];
	char path[PATH_BYTES_MAX], new_path[PATH_BYTES_MAX + sizeof(NEW_SUFFIX)];
	cleanup_fd int fd = FD_NONE;
	int r = policy_directories(restore, file->name, err);

	if (r == 0)
		r = join(path, restore->config, file->name, err);
	if (r < 0)
		return r;
	fd = file_begin(path, 0644, new_path, err);
	if (fd < 0)
		return fd;
	r = io_write_all(fd, file->text, file->n);
	if (r == 0 && (fchmod(fd, 0644) < 0 || fsync(fd) < 0))
		r = -errno;
	if (r < 0)
		r = io_failed(r, "write", new_path, err);
	if (r == 0)
		r = put_aside(restore, path, err);
	if (r == 0)
		r = put_in_place(new_path, path, err);
	if (r < 0)
		(void)unlink(new_path);
	return r;
}

static int policy_put(struct restore *restore, struct tn_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < restore->backup.files_n; i++) {
		restore->kept_n += restore->states[i] == FILE_SAME;
		if (restore->states[i] == FILE_SAME)
			continue;
		restore->replaced_n++;
		r = policy_file_put(restore, i, err);
	}
	return r;
}

/* The store and the table are whole and on the disk before anything is put aside. */
static int put_all(struct restore *restore, struct tn_error *err)
{
	char store[PATH_BYTES_MAX + sizeof(NEW_SUFFIX)] = "";
	char slots[PATH_BYTES_MAX + sizeof(NEW_SUFFIX)] = "";
	int r;

	restore->undo = calloc(restore->backup.files_n + STORE_FILES_N + 1,
	                       sizeof(*restore->undo));
	if (restore->undo == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "restore");
	r = store_prepare(restore, store, err);
	if (r == 0)
		r = slots_prepare(restore, slots, err);
	if (r == 0)
		r = policy_put(restore, err);
	if (r == 0)
		r = store_put_aside(restore, err);
	if (r == 0)
		r = put_aside(restore, restore->slots, err);
	if (r == 0)
		r = put_in_place(slots, restore->slots, err);
	if (r == 0)
		r = put_in_place(store, restore->store, err);
	if (r < 0)
		r = undo_all(restore, r, err);
	if (r < 0 && store[0] != '\0')
		(void)unlink(store);
	if (r < 0 && slots[0] != '\0')
		(void)unlink(slots);
	sync();
	return r;
}

static void show(const struct restore *restore)
{
	const struct backup_file *backup = &restore->backup;
	struct jout out = { .file = stdout };

	if (!restore->ctl->json) {
		(void)printf(
			"restored %zu tenants; of %zu policy files, %zu were written and %zu "
			"there already\nstart the daemon: systemctl start tenantd.service\n",
			backup->slots_n, backup->files_n, restore->replaced_n, restore->kept_n);
		return;
	}
	jout_begin(&out, NULL, '{');
	jout_int(&out, "tenants", (int64_t)backup->slots_n);
	jout_int(&out, "policy_files_written", (int64_t)restore->replaced_n);
	jout_int(&out, "policy_files_kept", (int64_t)restore->kept_n);
	jout_text(&out, "policy_hash", backup->policy_hash);
	jout_end(&out, '}');
	(void)putchar('\n');
}

int cmd_restore(struct ctl *ctl, struct tn_error *err)
{
	struct restore restore = { .ctl = ctl, .backup = { .fd = FD_NONE } };
	int r = backup_file_open(ctl->operands[0], &restore.backup, err);

	if (r == 0)
		r = paths_make(&restore, err);
	if (r == 0)
		r = check_stopped(&restore, err);
	if (r == 0)
		r = owner_find(&restore, err);
	if (r == 0)
		r = restore_slots_make(&restore.backup, restore.config, restore.slots,
		                       &restore.table, &restore.table_n, err);
	if (r == 0)
		r = check_empty(&restore, err);
	if (r == 0)
		r = policy_compare(&restore, err);
	if (r == 0)
		r = put_all(&restore, err);
	if (r == 0)
		show(&restore);
	backup_file_close(&restore.backup);
	free(restore.table);
	free(restore.states);
	free(restore.undo);
	return r;
}
