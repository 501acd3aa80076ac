/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "exit_status.h"

#include <signal.h>

/* Where neither an exit code nor a signal is known. */
static const int status_of_reason[] = {
	[TN_REASON_EXITED] = EXIT_RUNTIME,          [TN_REASON_SIGNALED] = EXIT_RUNTIME,
	[TN_REASON_OOM] = EXIT_SIGNAL + SIGKILL,    [TN_REASON_TIMEOUT] = EXIT_TIMEOUT,
	[TN_REASON_SECCOMP] = EXIT_SIGNAL + SIGSYS, [TN_REASON_QUOTA] = EXIT_SIGNAL + SIGKILL,
	[TN_REASON_KILLED] = EXIT_SIGNAL + SIGKILL, [TN_REASON_RUNTIME] = EXIT_RUNTIME,
	[TN_REASON_UNKNOWN] = EXIT_RUNTIME,
};

int exit_status(const struct tn_execution *execution)
{
	if (execution->reason == TN_REASON_TIMEOUT)
		return EXIT_TIMEOUT;
	if (execution->exit_code != TN_ABSENT)
		return (int)(execution->exit_code & 0xff);
	if (execution->signal != TN_ABSENT)
		return EXIT_SIGNAL + (int)(execution->signal & 0x7f);
	return execution->reason == TN_REASON_NONE ? EXIT_RUNTIME
	                                           : status_of_reason[execution->reason];
}
