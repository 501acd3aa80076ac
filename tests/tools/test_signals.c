/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tools/signals.c, in children: signals are theirs to block and to die of. */
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include <base/err.h>
#include <base/fd.h>
#include <tools/signals.h>

TestSuite(signals, .timeout = 30);

/* How @body ends, run where signals have been opened: its wait status. */
static int ending_of(int (*body)(int signal_fd, int signal), int signal)
{
	struct tn_error err = { 0 };
	int status = 0, fd = FD_NONE;
	pid_t pid = fork();

	if (pid == 0) {
		const struct rlimit none = { 0, 0 };

		(void)setrlimit(RLIMIT_CORE, &none);
		if (signals_open(false, &fd, &err) < 0)
			_exit(99);
		_exit(body(fd, signal));
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return status;
}

/* 0: read as one to pass on; 1: read as one that means us; 2: not read. */
static int sent(int signal_fd, int signal)
{
	struct signalfd_siginfo info;
	pid_t pid = fork();

	if (pid == 0)
		_exit(kill(getppid(), signal) < 0 ? 98 : 0);
	if (waitpid(pid, NULL, 0) != pid)
		return 98;
	if (read(signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return 2;
	if ((int)info.ssi_signo != signal)
		return 97;
	return signals_mean_us(&info) ? 1 : 0;
}

static bool is_kept(int signal)
{
	return signal == SIGCHLD || signal == SIGURG || signal == SIGWINCH ||
	       signal == SIGPIPE || signal == SIGTTIN || signal == SIGTTOU;
}

Test(signals, are_passed_on_when_sent_but_for_those_that_mean_us)
{
	for (int signal = 1; signal <= SIGRTMAX; signal++) {
		int status;

		/* Not to be caught, libc's own, and what would stop the child. */
		if (signal == SIGKILL || signal == SIGSTOP || signal == SIGTTIN ||
		    signal == SIGTTOU || (signal > SIGSYS && signal < SIGRTMIN))
			continue;
		status = ending_of(sent, signal);
		if (signal == SIGPIPE)
			cr_expect_eq(WTERMSIG(status), SIGPIPE);
		else
			cr_expect_eq(WEXITSTATUS(status), is_kept(signal) ? 2 : 0,
			             "signal %d: %x", signal, (unsigned int)status);
	}
}

static int fault(int signal_fd, int signal)
{
	(void)signal_fd;
	(void)signal;
	__asm__ volatile(
#if defined(__x86_64__)
		"ud2"
#else
		"udf #0"
#endif
	);
	return 0;
}

Test(signals, of_a_fault_kill_although_they_are_blocked)
{
	cr_expect_eq(WTERMSIG(ending_of(fault, 0)), SIGILL);
}

static int aborts(int signal_fd, int signal)
{
	(void)signal_fd;
	(void)signal;
	abort();
}

Test(signals, of_a_failed_assertion_kill)
{
	cr_expect_eq(WTERMSIG(ending_of(aborts, 0)), SIGABRT);
}

/* A file larger than allowed: the kernel tells it by a signal that is not for the command. */
static int too_large(int signal_fd, int signal)
{
	const struct rlimit one = { 1, RLIM_INFINITY };
	struct signalfd_siginfo info;
	char path[] = "/tmp/test-signals.XXXXXX";
	int fd = mkstemp(path);

	(void)signal;
	(void)unlink(path);
	if (setrlimit(RLIMIT_FSIZE, &one) < 0 || write(fd, "xx", 2) != 1 ||
	    write(fd, "x", 1) >= 0)
		return 96;
	if (read(signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return 2;
	if (!signals_mean_us(&info))
		return 0;
	signals_take_default((int)info.ssi_signo);
	return 95;
}

Test(signals, of_a_limit_of_our_own_take_their_default)
{
	cr_expect_eq(WTERMSIG(ending_of(too_large, 0)), SIGXFSZ);
}

static int window(int signal_fd, int signal)
{
	struct tn_error err = { 0 };
	int fd = FD_NONE;

	(void)signal_fd;
	return signals_open(true, &fd, &err) < 0 ? 99 : sent(fd, signal);
}

Test(signals, tell_of_the_windows_size_where_that_is_wanted)
{
	cr_expect_eq(WEXITSTATUS(ending_of(window, SIGWINCH)), 0);
}
