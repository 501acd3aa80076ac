/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <base/err.h>
#include <base/fd.h>

static const int kept[] = { SIGCHLD, SIGPIPE, SIGURG, SIGTTIN, SIGTTOU, SIGWINCH };

/* What the kernel itself sends of these is about the process that gets it. */
static const int own[] = { SIGILL, SIGTRAP, SIGABRT, SIGBUS,    SIGFPE,  SIGSEGV,
	                   SIGSYS, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGIO };

static bool among(const int *list, size_t n, int signal)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == signal)
			return true;
	return false;
}

int signals_open(bool window, int *ret_fd, struct tn_error *err)
{
	sigset_t set;

	(void)sigemptyset(&set);
	/* Those that cannot be caught, and the two of libc's own, are refused or left out. */
	for (int signal = 1; signal <= SIGRTMAX; signal++)
		if (!among(kept, ARRAY_LEN(kept), signal))
			(void)sigaddset(&set, signal);
	if (window)
		(void)sigaddset(&set, SIGWINCH);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return err_errno(err, "block signals: %s", strerror(errno));
	*ret_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return *ret_fd < 0 ? err_errno(err, "open a signalfd: %s", strerror(errno)) : 0;
}

bool signals_mean_us(const struct signalfd_siginfo *info)
{
	/* Positive codes are the kernel's; XFSZ it sends in the name of whom it is for. */
	return (info->ssi_code > 0 || info->ssi_pid == (uint32_t)getpid()) &&
	       among(own, ARRAY_LEN(own), (int)info->ssi_signo);
}

void signals_take_default(int signal)
{
	sigset_t one;

	(void)sigemptyset(&one);
	(void)sigaddset(&one, signal);
	(void)raise(signal);
	(void)sigprocmask(SIG_UNBLOCK, &one, NULL);
}
