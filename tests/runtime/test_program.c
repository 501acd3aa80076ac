/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tenant-controller as a program: how it begins and how it ends. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/fdpass.h>
#include <isolate/spec.h>

TestSuite(program, .timeout = 30);

struct program {
	char dir[32];
	int channel;
	int log_fd;
	pid_t pid;
	char log[8192]; /* what it has said so far */
	size_t log_n;
};

static void program_dir(struct program *program)
{
	char path[64];

	(void)snprintf(program->dir, sizeof(program->dir), "/tmp/tenantd-pr-XXXXXX");
	cr_assert(mkdtemp(program->dir) != NULL);
	(void)snprintf(path, sizeof(path), "%s/tiers", program->dir);
	cr_assert_eq(mkdir(path, 0755), 0);
}

static void program_tier(const struct program *program, const char *text)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/tiers/free.yaml", program->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	fd_closep(&fd);
}

/* In the child: descriptors 3 and 4 as tenantd leaves them, stderr to @log. */
static void program_exec(const struct program *program, int channel, int listener, int log)
{
	/* Out of the way first: they may be 3 and 4 the other way round. */
	int high[2] = { fcntl(channel, F_DUPFD, 100), fcntl(listener, F_DUPFD, 100) };

	(void)dup2(high[0], SPEC_CONTROLLER_CHANNEL_FD);
	(void)dup2(high[1], SPEC_CONTROLLER_LISTEN_FD);
	(void)dup2(log, STDERR_FILENO);
	(void)execl(TENANT_CONTROLLER, "tenant-controller", "--policy-dir", program->dir,
	            "--store-dir", program->dir, (char *)NULL);
	_exit(99);
}

static void program_start(struct program *program)
{
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int channel[2];
	int log[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel), 0);
	cr_assert_eq(pipe2(log, O_CLOEXEC), 0);
	cr_assert_eq(listen(listener, 1), -1, "not bound, as nothing connects here");
	program->pid = fork();
	cr_assert_geq(program->pid, 0);
	if (program->pid == 0)
		program_exec(program, channel[0], listener, log[1]);
	fd_closep(&channel[0]);
	fd_closep(&listener);
	fd_closep(&log[1]);
	program->channel = channel[1];
	program->log_fd = log[0];
	program->log_n = 0;
}

/* Greet and wait until it is ready. */
static void program_greet(struct program *program)
{
	struct spec_hello hello = { .head = { sizeof(hello), SPEC_HELLO, SPEC_VERSION, 0 } };
	struct spec_head ready = { 0 };
	int root = open("/", O_PATH | O_CLOEXEC);
	int fds[1];
	size_t fds_n;
	struct tn_error err = { 0 };

	cr_assert_eq(fdpass_send(program->channel, &hello, sizeof(hello), &root, 1, &err), 0);
	cr_assert_eq(fdpass_recv(program->channel, &ready, sizeof(ready), fds, 0, &fds_n, &err),
	             (int)sizeof(ready), "%s", err.msg);
	cr_assert_eq(ready.op, SPEC_READY);
	fd_closep(&root);
}

/* Read on until it has said @text, or all if that is NULL. */
static void program_listen(struct program *program, const char *text)
{
	while (program->log_n < sizeof(program->log) - 1) {
		ssize_t n = read(program->log_fd, program->log + program->log_n,
		                 sizeof(program->log) - 1 - program->log_n);

		if (n <= 0)
			break;
		program->log_n += (size_t)n;
		program->log[program->log_n] = '\0';
		if (text != NULL && strstr(program->log, text) != NULL)
			return;
	}
	cr_assert(text == NULL, "%s", program->log);
}

static int unlink_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* Its exit status, when it has ended by itself. */
static int program_end(struct program *program)
{
	int status = 0;

	program_listen(program, NULL);
	cr_assert_eq(waitpid(program->pid, &status, 0), program->pid);
	cr_assert(WIFEXITED(status), "%s", program->log);
	fd_closep(&program->channel);
	fd_closep(&program->log_fd);
	(void)nftw(program->dir, unlink_one, 8, FTW_DEPTH | FTW_PHYS);
	return WEXITSTATUS(status);
}

Test(program, does_not_begin_without_a_policy)
{
	struct program program;

	program_dir(&program);
	program_tier(&program, "tier: free\nlimits:\n  memory_max: lots\n");
	program_start(&program);
	cr_expect_eq(program_end(&program), 1);
	cr_expect(strstr(program.log, "tiers/free.yaml:3:15") != NULL, "%s", program.log);
}

Test(program, does_not_begin_on_a_store_that_it_cannot_write)
{
	struct program program;
	char path[64];

	program_dir(&program);
	program_tier(&program, "tier: free\n");
	/* A directory where the database should be stops root too. */
	(void)snprintf(path, sizeof(path), "%s/tenantd.db", program.dir);
	cr_assert_eq(mkdir(path, 0755), 0);
	program_start(&program);
	cr_expect_eq(program_end(&program), 1);
	cr_expect(strstr(program.log, "tenantd.db") != NULL, "%s", program.log);
}

Test(program, ends_well_when_asked_to)
{
	struct program program;

	program_dir(&program);
	program_tier(&program, "tier: free\n");
	program_start(&program);
	program_greet(&program);
	cr_assert_eq(kill(program.pid, SIGTERM), 0);
	cr_expect_eq(program_end(&program), 0, "%s", program.log);
}

Test(program, ends_well_when_tenantd_goes)
{
	struct program program;

	program_dir(&program);
	program_tier(&program, "tier: free\n");
	program_start(&program);
	program_greet(&program);
	fd_closep(&program.channel);
	cr_expect_eq(program_end(&program), 0, "%s", program.log);
	cr_expect(strstr(program.log, "tenantd has gone") != NULL, "%s", program.log);
}

Test(program, reads_the_policy_again_on_sighup_and_keeps_the_old_if_it_is_bad)
{
	struct program program;

	program_dir(&program);
	program_tier(&program, "tier: free\n");
	program_start(&program);
	program_greet(&program);
	program_tier(&program, "tier: free\nlimits:\n  memory_max: 64M\n");
	cr_assert_eq(kill(program.pid, SIGHUP), 0);
	program_listen(&program, "policy reloaded");
	program_tier(&program, "tier: [\n");
	cr_assert_eq(kill(program.pid, SIGHUP), 0);
	program_listen(&program, "the new one is refused");
	cr_assert_eq(kill(program.pid, SIGTERM), 0);
	cr_expect_eq(program_end(&program), 0, "%s", program.log);
}
