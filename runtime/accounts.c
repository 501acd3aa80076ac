/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "accounts.h"

#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/io.h>

#define ASKER_NAME "tenantd-names"
/* From one look to the next whether what was told to die has. */
#define REAP_USEC 20000

/* What the asking process says of one name, in the order of the set. */
struct answer {
	int32_t status; /* as account_lookup() has it */
	uint32_t id;
};

/* One that asks, from its fork until it has been waited for. */
struct asker {
	struct asker *next;
	struct accounts *accounts;
	struct account_set names;
	struct answer *answers;
	size_t bytes; /* of them that are here */
	int pipe_fd;
	int pidfd;
	pid_t pid;
	struct loop_source *input, *process, *timer;
	accounts_done_fn *done; /* NULL once it has been called */
	void *userdata;
};

struct accounts {
	struct loop *loop;
	struct account_set present;
	struct asker *askers;
	struct loop_source *reaper; /* of those that nothing else watches */
};

bool accounts_busy(const struct accounts *accounts)
{
	return accounts->askers != NULL;
}

const struct account_set *accounts_present(const struct accounts *accounts)
{
	return &accounts->present;
}

int accounts_add(struct accounts *accounts, const struct account_set *found,
                 struct tn_error *err)
{
	return account_set_merge(&accounts->present, found, err);
}

static void asker_unlink(struct asker *asker)
{
	struct asker **at = &asker->accounts->askers;

	while (*at != NULL && *at != asker)
		at = &(*at)->next;
	if (*at == asker)
		*at = asker->next;
}

static void asker_unwatch(struct asker *asker)
{
	asker->input = loop_source_free(asker->input);
	asker->process = loop_source_free(asker->process);
	asker->timer = loop_source_free(asker->timer);
}

static void asker_free(struct asker *asker)
{
	asker_unlink(asker);
	asker_unwatch(asker);
	fd_closep(&asker->pipe_fd);
	fd_closep(&asker->pidfd);
	account_set_done(&asker->names);
	free(asker->answers);
	free(asker);
}

/* Whether there is no such process any more. It may be in a call that even a kill does not end
 * at once, so it is never waited for. */
static bool asker_reaped(struct asker *asker)
{
	if (asker->pid > 0 && waitpid(asker->pid, NULL, WNOHANG) == 0)
		return false;
	asker->pid = 0;
	return true;
}

/* It is of no use, and gone once its process is. */
static void asker_drop(struct asker *asker)
{
	asker->done = NULL;
	asker_unwatch(asker);
	if (asker->pid > 0)
		(void)kill(asker->pid, SIGKILL);
	if (asker_reaped(asker))
		asker_free(asker);
	else
		loop_arm(asker->accounts->reaper, REAP_USEC);
}

static void on_reap(void *userdata, uint32_t events)
{
	struct accounts *accounts = userdata;
	struct asker *next;

	(void)events;
	for (struct asker *asker = accounts->askers; asker != NULL; asker = next) {
		next = asker->next;
		if (asker->process == NULL)
			asker_drop(asker);
	}
}

int accounts_new(struct accounts **ret, struct loop *loop, struct tn_error *err)
{
	struct accounts *accounts = calloc(1, sizeof(*accounts));
	int r;

	if (accounts == NULL)
		return err_errno(err, "allocate the accounts");
	accounts->loop = loop;
	r = loop_timer(loop, (struct loop_handler){ on_reap, accounts }, &accounts->reaper,
	               err);
	if (r < 0) {
		free(accounts);
		return r;
	}
	*ret = accounts;
	return 0;
}

struct accounts *accounts_free(struct accounts *accounts)
{
	if (accounts == NULL)
		return NULL;
	while (accounts->askers != NULL) {
		struct asker *asker = accounts->askers;

		if (asker->pid > 0)
			(void)kill(asker->pid, SIGKILL);
		/* One that is still there is for whoever inherits our children. */
		(void)asker_reaped(asker);
		asker_free(asker);
	}
	accounts->reaper = loop_source_free(accounts->reaper);
	account_set_done(&accounts->present);
	free(accounts);
	return NULL;
}

/* In a process of its own, which has nothing but the pipe and what it came with. */
static void asker_run(const struct account_set *names, int pipe_fd, pid_t parent)
	__attribute__((noreturn));
static void asker_run(const struct account_set *names, int pipe_fd, pid_t parent)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	(void)prctl(PR_SET_NAME, ASKER_NAME, 0, 0, 0);
	if (getppid() != parent || dup2(pipe_fd, STDIN_FILENO) < 0 ||
	    close_range(STDERR_FILENO + 1, ~0u, 0) < 0)
		_exit(1);
	for (size_t i = 0; i < names->n; i++) {
		const struct account *account = &names->items[i];
		struct answer answer = { 0 };

		answer.status = account_lookup(account->kind, account->name, &answer.id);
		if (io_write_all(STDIN_FILENO, &answer, sizeof(answer)) < 0)
			_exit(1);
	}
	_exit(0);
}

/* Tell who asked, once. */
static void asker_tell(struct asker *asker, const struct tn_error *err)
{
	accounts_done_fn *done = asker->done;

	asker->done = NULL;
	asker->input = loop_source_free(asker->input);
	asker->timer = loop_source_free(asker->timer);
	if (done != NULL)
		done(asker->userdata, err == NULL ? &asker->names : NULL, err);
}

static int answers_take(struct asker *asker, struct tn_error *err)
{
	for (size_t i = 0; i < asker->names.n; i++) {
		struct account *account = &asker->names.items[i];
		const struct answer *answer = &asker->answers[i];

		if (answer->status < 0)
			return err_set(err, TN_SYSTEM, -answer->status, "look up %s '%s'",
			               account_kind_name(account->kind), account->name);
		account->known = answer->status > 0;
		account->id = answer->id;
	}
	return 0;
}

static void asker_fail(struct asker *asker)
{
	struct tn_error err = { 0 };

	(void)err_refuse(&err, TN_SYSTEM,
	                 "users and groups could not be looked up: who asked the host has "
	                 "ended");
	asker_tell(asker, &err);
}

/* Whether there may be more to read. */
static bool input_read(struct asker *asker)
{
	const size_t all = asker->names.n * sizeof(*asker->answers);
	struct tn_error err = { 0 };
	ssize_t n = read(asker->pipe_fd, (char *)asker->answers + asker->bytes,
	                 all - asker->bytes);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return asker->pid > 0;
	if (n > 0)
		asker->bytes += (size_t)n;
	if (asker->bytes == all) {
		const int r = answers_take(asker, &err);

		asker_tell(asker, r < 0 ? &err : NULL);
	} else if (n <= 0) {
		asker_fail(asker);
	}
	return asker->done != NULL;
}

static void on_input(void *userdata, uint32_t events)
{
	(void)events;
	(void)input_read(userdata);
}

static void on_late(void *userdata, uint32_t events)
{
	struct asker *asker = userdata;
	struct tn_error err = { 0 };

	(void)events;
	(void)kill(asker->pid, SIGKILL);
	(void)err_refuse(&err, TN_SYSTEM,
	                 "users and groups could not be looked up: the host did not answer "
	                 "within 10 s");
	asker_tell(asker, &err);
}

/* It has ended; what it wrote may still lie in the pipe. */
static void on_process(void *userdata, uint32_t events)
{
	struct asker *asker = userdata;

	(void)events;
	if (!asker_reaped(asker))
		return;
	asker->process = loop_source_free(asker->process);
	/* Nobody writes to it any more: each read takes something, or there is no more. */
	while (asker->done != NULL && input_read(asker))
		;
	if (asker->done != NULL)
		asker_fail(asker);
	asker_free(asker);
}

static int asker_watch(struct asker *asker, struct tn_error *err)
{
	struct loop *loop = asker->accounts->loop;
	int r;

	asker->pidfd = (int)syscall(SYS_pidfd_open, asker->pid, 0);
	if (asker->pidfd < 0)
		return err_errno(err, "watch who looks up users and groups");
	r = loop_watch(loop, asker->pidfd, EPOLLIN, (struct loop_handler){ on_process, asker },
	               &asker->process, err);
	if (r == 0)
		r = loop_watch(loop, asker->pipe_fd, EPOLLIN,
		               (struct loop_handler){ on_input, asker }, &asker->input, err);
	if (r == 0)
		r = loop_timer(loop, (struct loop_handler){ on_late, asker }, &asker->timer,
		               err);
	if (r == 0)
		loop_arm(asker->timer, ACCOUNTS_ANSWER_USEC);
	return r;
}

static int asker_start(struct asker *asker, struct tn_error *err)
{
	const pid_t self = getpid();
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_errno(err, "look up users and groups");
	asker->pipe_fd = fds[0];
	/* It may wait for us. */
	(void)fcntl(fds[1], F_SETFL, 0);
	asker->pid = fork();
	if (asker->pid == 0)
		asker_run(&asker->names, fds[1], self);
	(void)close(fds[1]);
	if (asker->pid < 0) {
		asker->pid = 0;
		return err_errno(err, "look up users and groups");
	}
	return asker_watch(asker, err);
}

static struct asker *asker_new(struct accounts *accounts, struct account_set *names)
{
	struct asker *asker = calloc(1, sizeof(*asker));

	if (asker == NULL)
		return NULL;
	asker->accounts = accounts;
	asker->pipe_fd = asker->pidfd = FD_NONE;
	asker->answers = calloc(names->n, sizeof(*asker->answers));
	if (asker->answers == NULL) {
		free(asker);
		return NULL;
	}
	asker->names = *names;
	*names = (struct account_set){ 0 };
	asker->next = accounts->askers;
	accounts->askers = asker;
	return asker;
}

int accounts_ask(struct accounts *accounts, struct account_set *names, accounts_done_fn *done,
                 void *userdata, struct tn_error *err)
{
	struct asker *asker;
	int r;

	if (names->n == 0) {
		account_set_done(names);
		done(userdata, names, NULL);
		return 0;
	}
	asker = asker_new(accounts, names);
	account_set_done(names);
	if (asker == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "look up users and groups");
	asker->done = done;
	asker->userdata = userdata;
	r = asker_start(asker, err);
	if (r < 0)
		asker_drop(asker);
	return r;
}
