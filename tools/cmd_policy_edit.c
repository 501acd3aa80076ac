/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tenantctl policy edit: a file of the policy, as visudo(8) edits sudo's. What is edited is a
 * copy beside the file, which counts for nothing; it takes the file's place in one step, once
 * it checks together with all others and has been looked at. Two people do not edit one file at
 * a time. One that is not there yet is made in the same way, or nothing is left of it.
 */
#include "cmd.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/err.h>
#include <base/fd.h>
#include <base/io.h>
#include <policy/policy.h>

#include "edit_target.h"

#define EDIT_LINE_BYTES_MAX 64
#define EDIT_FRESH_MODE     0644
#define EDIT_PARENT_MODE    0755

struct edit {
	struct edit_target target;
	char *was; /* owned: what the copy began as */
	size_t was_n;
	bool copied;      /* the copy is there, and goes with us */
	bool parent_made; /* and so does the directory, unless something is in it */
	struct stat before;
	int lock_fd;
};

/* What is said of the file where nothing comes of it. */
static const char *left(const struct edit *edit)
{
	return edit->target.fresh ? "is not made" : "is as it was";
}

/* There is no file yet whose lock could be had: who makes one has its directory's. */
static int fresh_begin(struct edit *edit, struct tn_error *err)
{
	const char *parent = edit->target.parent;

	edit->was = edit_target_beginning(&edit->target, err);
	if (edit->was == NULL)
		return -ENOMEM;
	edit->was_n = strlen(edit->was);
	if (strcmp(parent, edit->target.dir) != 0)
		edit->parent_made = mkdir(parent, EDIT_PARENT_MODE) == 0;
	edit->lock_fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* Whatever the umask: the daemon reads it. */
	if (edit->lock_fd < 0 ||
	    (edit->parent_made && fchmod(edit->lock_fd, EDIT_PARENT_MODE) < 0))
		return err_errno(err, "%s: %s", parent, strerror(errno));
	if (flock(edit->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(err, TN_STATE, EBUSY, "somebody else makes a file in %s",
		               parent);
	(void)printf("%s is not there yet; it is made if you take it\n", edit->target.path);
	return 0;
}

/* The file itself is locked, for an editor may put another in the place of the copy. */
static int present_begin(struct edit *edit, struct tn_error *err)
{
	const char *path = edit->target.path;
	int r = cmd_policy_text(path, &edit->was, &edit->was_n, err);

	if (r < 0)
		return r;
	edit->lock_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (edit->lock_fd < 0 || fstat(edit->lock_fd, &edit->before) < 0)
		return err_errno(err, "%s: %s", path, strerror(errno));
	if (flock(edit->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(err, TN_STATE, EBUSY, "somebody else edits %s", path);
	return 0;
}

/* A copy that somebody left behind is begun anew. */
static int copy_begin(struct edit *edit, struct tn_error *err)
{
	const char *copy = edit->target.copy;
	cleanup_fd int copy_fd = FD_NONE;
	int r = edit->target.fresh ? fresh_begin(edit, err) : present_begin(edit, err);

	if (r < 0)
		return r;
	assert(edit->was != NULL);
	edit->copied = true;
	copy_fd = open(copy, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (copy_fd < 0 || io_write_all(copy_fd, edit->was, edit->was_n) < 0)
		return err_errno(err, "%s: %s", copy, strerror(errno));
	return 0;
}

/* Run @argv and wait. Its exit status, or -errno. */
static int spawn_wait(const char *const *argv, struct tn_error *err)
{
	int status = 0;
	pid_t pid;

	(void)fflush(stdout);
	pid = fork();
	if (pid == 0) {
		(void)execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return err_errno(err, "run %s: %s", argv[0], strerror(errno));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* As git(1) and others run it: it may have arguments of its own. */
static int editor_run(const struct edit *edit, struct tn_error *err)
{
	const char *editor = getenv("VISUAL");
	char command[EDIT_PATH_BYTES_MAX];
	int r;

	if (editor == NULL || editor[0] == '\0')
		editor = getenv("EDITOR");
	if (editor == NULL || editor[0] == '\0')
		editor = "editor";
	(void)snprintf(command, sizeof(command), "%s \"$1\"", editor);
	r = spawn_wait(
		(const char *const[]){ "sh", "-c", command, "sh", edit->target.copy, NULL },
		err);
	if (r > 0)
		r = err_refuse(err, TN_STATE, "%s ended with %d; %s %s", editor, r,
		               edit->target.path, left(edit));
	return r;
}

/* The first letter of an answer, 0 if nobody answers. */
static char ask(const char *question)
{
	char line[EDIT_LINE_BYTES_MAX] = "";

	(void)fputs(question, stdout);
	(void)fflush(stdout);
	return (char)(fgets(line, sizeof(line), stdin) != NULL ? line[0] : '\0');
}

/* What is in the copy, by its name: an editor may have put another file there. One that is to
 * be made and has nothing of anybody's in it is none, and need not check. */
static int check(const struct edit *edit, bool *ret_changed, struct tn_error *err)
{
	cleanup_free char *is = NULL;
	struct policy_file file = { 0 };
	struct policy *policy = NULL;
	size_t is_n = 0;
	int r = cmd_policy_text(edit->target.copy, &is, &is_n, err);

	if (r < 0)
		return r;
	assert(is != NULL);
	*ret_changed = edit->was_n != is_n || memcmp(edit->was, is, is_n) != 0;
	if (edit->target.fresh && !*ret_changed)
		return 0;
	memcpy(file.name, edit->target.name, sizeof(file.name));
	file.text = is;
	file.n = is_n;
	r = policy_load_with(edit->target.dir, &file, &policy, err);
	for (size_t i = 0; r == 0 && policy_tier_at(policy, i) != NULL; i++)
		r = cmd_policy_accounts(policy_tier_at(policy, i), err);
	(void)policy_free(policy);
	return r;
}

/* 1: it is to be taken; 0: it is not. Until what there is checks, or is given up. */
static int edit_until_good(struct edit *edit, struct tn_error *err)
{
	for (;;) {
		bool changed = false;
		int r = editor_run(edit, err);

		if (r < 0)
			return r;
		r = check(edit, &changed, err);
		if (r == 0 && !changed) {
			(void)printf("%s %s\n", edit->target.path,
			             edit->target.fresh ? left(edit) : "is unchanged");
			return 0;
		}
		if (r == 0)
			return 1;
		(void)fprintf(stderr, "tenantctl: %s\n", err->msg);
		if (ask("edit it (a)gain, or (q)uit and leave it as it was? ") != 'a')
			return err_refuse(err, TN_INVALID, "%s %s", edit->target.path,
			                  left(edit));
		*err = (struct tn_error){ 0 };
	}
}

static void show_difference(const struct edit *edit)
{
	const struct edit_target *target = &edit->target;
	const char *before = target->fresh ? "/dev/null" : target->path;
	const char *label = target->fresh ? "/dev/null" : target->name;
	struct tn_error ignored = { 0 };
	const char *const argv[] = { "diff",   "-u",   "--label",    label, "--label",
		                     "edited", before, target->copy, NULL };

	(void)spawn_wait(argv, &ignored);
}

/* By another way than this one. */
static bool changed_meanwhile(const struct edit *edit)
{
	const struct stat *before = &edit->before;
	struct stat now;

	if (edit->target.fresh)
		return lstat(edit->target.path, &now) == 0;
	return stat(edit->target.path, &now) < 0 || now.st_ino != before->st_ino ||
	       now.st_size != before->st_size || now.st_mtim.tv_sec != before->st_mtim.tv_sec ||
	       now.st_mtim.tv_nsec != before->st_mtim.tv_nsec;
}

/* The owner and mode that the file had, or that are those of whoever makes it. */
static int owner_set(const struct edit *edit, int fd)
{
	if (edit->target.fresh)
		return fchmod(fd, EDIT_FRESH_MODE);
	return fchown(fd, edit->before.st_uid, edit->before.st_gid) < 0
	               ? -1
	               : fchmod(fd, edit->before.st_mode & 07777);
}

/* One that was not there takes nobody's place. */
static int take_place(const struct edit_target *target)
{
	return renameat2(AT_FDCWD, target->copy, AT_FDCWD, target->path,
	                 target->fresh ? RENAME_NOREPLACE : 0);
}

static int directory_sync(const char *path)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -1 : fsync(fd);
}

/* On the disk before it has its name. What cannot be put there is left where it is: it is
 * somebody's work. */
static int install(struct edit *edit, struct tn_error *err)
{
	const struct edit_target *target = &edit->target;
	cleanup_fd int fd = open(target->copy, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	edit->copied = false;
	if (changed_meanwhile(edit))
		return err_refuse(err, TN_STATE, "somebody has %s %s meanwhile; yours is in %s",
		                  target->fresh ? "made" : "changed", target->path,
		                  target->copy);
	if (fd < 0 || owner_set(edit, fd) < 0 || fsync(fd) < 0 || take_place(target) < 0)
		return err_errno(err, "%s: %s; yours is in %s", target->path, strerror(errno),
		                 target->copy);
	if (directory_sync(target->parent) < 0 ||
	    (edit->parent_made && directory_sync(target->dir) < 0))
		return err_errno(err, "%s is there, but may not be after a loss of power: %s",
		                 target->path, strerror(errno));
	return 0;
}

static int edit_file(struct edit *edit, struct tn_error *err)
{
	const char *path = edit->target.path;
	int r = copy_begin(edit, err);

	if (r == 0)
		r = edit_until_good(edit, err);
	if (r <= 0)
		return r;
	show_difference(edit);
	if (ask("take it? (y/N) ") != 'y')
		return err_refuse(err, TN_STATE, "%s %s", path, left(edit));
	r = install(edit, err);
	if (r < 0)
		return r;
	(void)printf("%s is %s; tenantctl policy diff says for whom, policy reload has it in "
	             "force\n",
	             path, edit->target.fresh ? "made" : "changed");
	return 0;
}

int cmd_policy_edit(struct ctl *ctl, struct tn_error *err)
{
	/* Its paths are too long for a stack. */
	cleanup_free struct edit *edit = calloc(1, sizeof(*edit));
	int r;

	if (edit == NULL)
		return err_errno(err, "edit %s", ctl->operands[0]);
	edit->lock_fd = FD_NONE;
	r = edit_target_find(ctl->config != NULL ? ctl->config : CONFIG_DIR, ctl->operands[0],
	                     &edit->target, err);
	if (r == 0)
		r = edit_file(edit, err);
	if (edit->copied)
		(void)unlink(edit->target.copy);
	/* It stays if there is something in it. */
	if (edit->parent_made)
		(void)rmdir(edit->target.parent);
	free(edit->was);
	fd_closep(&edit->lock_fd);
	return r;
}
