/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tenantctl policy edit: a tier's file, or tenantd.yaml, as visudo(8) edits sudo's. What is
 * edited is a copy beside the file, which counts for nothing; it takes the file's place in one
 * step, once it checks together with all others and has been looked at. Two people do not edit
 * one file at a time.
 */
#include "cmd.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/err.h>
#include <base/fd.h>
#include <base/io.h>
#include <base/name.h>
#include <policy/daemon.h>
#include <policy/policy.h>

#define EDIT_PATH_BYTES_MAX 4096
#define EDIT_LINE_BYTES_MAX 64

struct edit {
	const char *dir;
	char name[POLICY_FILE_BYTES_MAX]; /* "tiers/free.yaml" */
	char path[EDIT_PATH_BYTES_MAX];   /* what is to be changed */
	char copy[EDIT_PATH_BYTES_MAX];   /* a hidden file beside it */
	bool copied;                      /* it is there, and goes with us */
	struct stat before;
	int lock_fd;
};

/* @what: a tier, or the file of the node, which has no tier's name. */
static int paths_make(struct edit *edit, const char *what, struct tn_error *err)
{
	const bool daemon = strcmp(what, POLICY_DAEMON_FILE) == 0;

	if (!daemon && !name_valid(what))
		return err_refuse(err, TN_INVALID,
		                  "'%s' is no tier's name, nor " POLICY_DAEMON_FILE, what);
	(void)snprintf(edit->name, sizeof(edit->name), "%s%s%s", daemon ? "" : "tiers/", what,
	               daemon ? "" : ".yaml");
	if (snprintf(edit->path, sizeof(edit->path), "%s/%s", edit->dir, edit->name) >=
	            (int)sizeof(edit->path) ||
	    snprintf(edit->copy, sizeof(edit->copy), "%s/%s.%s%s.edit", edit->dir,
	             daemon ? "" : "tiers/", what,
	             daemon ? "" : ".yaml") >= (int)sizeof(edit->copy))
		return err_refuse(err, TN_INVALID, "%s: too long", edit->dir);
	return 0;
}

/*
 * The file itself is locked, for an editor may put another in the place of the copy. A copy
 * that somebody left behind is begun anew.
 */
static int copy_begin(struct edit *edit, struct tn_error *err)
{
	cleanup_free char *text = NULL;
	cleanup_fd int copy_fd = FD_NONE;
	size_t n = 0;
	int r = cmd_policy_text(edit->path, &text, &n, err);

	if (r < 0)
		return r;
	edit->lock_fd = open(edit->path, O_RDONLY | O_CLOEXEC);
	if (edit->lock_fd < 0 || fstat(edit->lock_fd, &edit->before) < 0)
		return err_errno(err, "%s: %s", edit->path, strerror(errno));
	if (flock(edit->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(err, TN_STATE, EBUSY, "somebody else edits %s", edit->path);
	edit->copied = true;
	copy_fd = open(edit->copy, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (copy_fd < 0 || io_write_all(copy_fd, text, n) < 0)
		return err_errno(err, "%s: %s", edit->copy, strerror(errno));
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
	r = spawn_wait((const char *const[]){ "sh", "-c", command, "sh", edit->copy, NULL },
	               err);
	if (r > 0)
		r = err_refuse(err, TN_STATE, "%s ended with %d; %s is as it was", editor, r,
		               edit->path);
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

/* What is in the copy, by its name: an editor may have put another file there. */
static int check(const struct edit *edit, bool *ret_changed, struct tn_error *err)
{
	cleanup_free char *was = NULL, *is = NULL;
	struct policy_file file = { 0 };
	struct policy *policy = NULL;
	size_t was_n = 0, is_n = 0;
	int r = cmd_policy_text(edit->path, &was, &was_n, err);

	if (r == 0)
		r = cmd_policy_text(edit->copy, &is, &is_n, err);
	if (r < 0)
		return r;
	assert(was != NULL && is != NULL);
	*ret_changed = was_n != is_n || memcmp(was, is, is_n) != 0;
	memcpy(file.name, edit->name, sizeof(file.name));
	file.text = is;
	file.n = is_n;
	r = policy_load_with(edit->dir, &file, &policy, err);
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
			(void)printf("%s is unchanged\n", edit->path);
			return 0;
		}
		if (r == 0)
			return 1;
		(void)fprintf(stderr, "tenantctl: %s\n", err->msg);
		if (ask("edit it (a)gain, or (q)uit and leave it as it was? ") != 'a')
			return err_refuse(err, TN_INVALID, "%s is as it was", edit->path);
		*err = (struct tn_error){ 0 };
	}
}

static void show_difference(const struct edit *edit)
{
	struct tn_error ignored = { 0 };
	const char *const argv[] = { "diff",   "-u",       "--label",  edit->name, "--label",
		                     "edited", edit->path, edit->copy, NULL };

	(void)spawn_wait(argv, &ignored);
}

/* By another way than this one. */
static bool changed_meanwhile(const struct edit *edit)
{
	const struct stat *before = &edit->before;
	struct stat now;

	return stat(edit->path, &now) < 0 || now.st_ino != before->st_ino ||
	       now.st_size != before->st_size || now.st_mtim.tv_sec != before->st_mtim.tv_sec ||
	       now.st_mtim.tv_nsec != before->st_mtim.tv_nsec;
}

/* With the owner and mode that the file had, on the disk before it has its name. What cannot be
 * put there is left where it is: it is somebody's work. */
static int install(struct edit *edit, struct tn_error *err)
{
	cleanup_fd int fd = open(edit->copy, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	cleanup_fd int dir_fd = FD_NONE;
	char dir[EDIT_PATH_BYTES_MAX];

	edit->copied = false;
	if (changed_meanwhile(edit))
		return err_refuse(err, TN_STATE,
		                  "somebody has changed %s meanwhile; yours is in %s",
		                  edit->path, edit->copy);
	(void)snprintf(dir, sizeof(dir), "%s/tiers", edit->dir);
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || dir_fd < 0 || fchown(fd, edit->before.st_uid, edit->before.st_gid) < 0 ||
	    fchmod(fd, edit->before.st_mode & 07777) < 0 || fsync(fd) < 0 ||
	    rename(edit->copy, edit->path) < 0 || fsync(dir_fd) < 0)
		return err_errno(err, "%s: %s; yours is in %s", edit->path, strerror(errno),
		                 edit->copy);
	return 0;
}

static int edit_file(struct edit *edit, struct tn_error *err)
{
	int r = copy_begin(edit, err);

	if (r == 0)
		r = edit_until_good(edit, err);
	if (r <= 0)
		return r;
	show_difference(edit);
	if (ask("take it? (y/N) ") != 'y')
		return err_refuse(err, TN_STATE, "%s is as it was", edit->path);
	r = install(edit, err);
	if (r < 0)
		return r;
	(void)printf(
		"%s is changed; tenantctl policy diff says for whom, policy reload has it in "
		"force\n",
		edit->path);
	return 0;
}

int cmd_policy_edit(struct ctl *ctl, struct tn_error *err)
{
	struct edit edit = { .dir = ctl->config != NULL ? ctl->config : CONFIG_DIR,
		             .lock_fd = FD_NONE };
	int r = paths_make(&edit, ctl->operands[0], err);

	if (r == 0)
		r = edit_file(&edit, err);
	if (edit.copied)
		(void)unlink(edit.copy);
	fd_closep(&edit.lock_fd);
	return r;
}
