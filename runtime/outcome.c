/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "outcome.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <base/fd.h>

/* What is left of a wait status when only what waitpid(2) can give is believed. */
struct ending {
	int64_t code;   /* RECORD_ABSENT: a signal, or not known */
	int64_t signal; /* RECORD_ABSENT: none */
};

static struct ending ending_of(const struct spec_exited *exited)
{
	struct ending ending = { RECORD_ABSENT, RECORD_ABSENT };

	if (exited->kind != SPEC_EXIT_STATUS)
		return ending;
	if (WIFEXITED(exited->wait_status))
		ending.code = WEXITSTATUS(exited->wait_status);
	else if (WIFSIGNALED(exited->wait_status))
		ending.signal = WTERMSIG(exited->wait_status);
	return ending;
}

static enum record_reason reason_of(const struct spec_exited *exited,
                                    const struct ending *ending)
{
	bool no_status = ending->code == RECORD_ABSENT && ending->signal == RECORD_ABSENT;

	switch ((enum spec_kill_why)exited->killed) {
	case SPEC_KILL_ADMIN:
	case SPEC_KILL_CLIENT_GONE:
	case SPEC_KILL_WITH_EXECUTION:
		return REASON_KILLED;
	case SPEC_KILL_TIMEOUT:
	case SPEC_KILL_CPU_TIME:
		return REASON_TIMEOUT;
	case SPEC_KILL_QUOTA:
		return REASON_QUOTA;
	case SPEC_KILL_NONE:
		break;
	}
	if (exited->kind == SPEC_EXIT_NOT_EXECUTED || exited->kind == SPEC_EXIT_SETUP_FAILED)
		return REASON_RUNTIME;
	if (exited->counters.oom_kills > 0 && (ending->signal == SIGKILL || no_status))
		return REASON_OOM;
	if (ending->signal == SIGSYS)
		return REASON_SECCOMP;
	if (ending->signal != RECORD_ABSENT)
		return REASON_SIGNALED;
	return no_status ? REASON_UNKNOWN : REASON_EXITED;
}

static int64_t exit_code_of(const struct spec_exited *exited, const struct ending *ending,
                            enum record_reason reason)
{
	if (reason == REASON_TIMEOUT)
		return RECORD_EXIT_TIMEOUT;
	if (reason == REASON_OOM)
		return RECORD_EXIT_SIGNAL_BASE + SIGKILL;
	if (exited->kind == SPEC_EXIT_SETUP_FAILED)
		return RECORD_EXIT_RUNTIME;
	if (exited->kind == SPEC_EXIT_NOT_EXECUTED)
		return exited->exec_errno == ENOENT ? RECORD_EXIT_NOT_FOUND
		                                    : RECORD_EXIT_NOT_EXECUTABLE;
	if (ending->signal != RECORD_ABSENT)
		return RECORD_EXIT_SIGNAL_BASE + ending->signal;
	if (ending->code != RECORD_ABSENT)
		return ending->code;
	/* We killed it, and nothing was left to say how it took that. */
	return reason == REASON_UNKNOWN ? RECORD_ABSENT : RECORD_EXIT_SIGNAL_BASE + SIGKILL;
}

void outcome_record(const struct spec_exited *exited, struct record *record)
{
	struct ending ending = ending_of(exited);

	record->state = RECORD_EXITED;
	record->reason = reason_of(exited, &ending);
	record->exit_code = exit_code_of(exited, &ending, record->reason);
	record->signal = ending.signal;
	record->started_at = exited->started_unix_usec;
	record->ended_at = exited->ended_unix_usec;
	record->wall_usec = exited->wall_usec;
	record_hash_format(exited->policy_hash, sizeof(exited->policy_hash),
	                   record->policy_hash);
	record_counters(record, &exited->counters);
}

static void explain_killed(const struct spec_exited *exited, char *text)
{
	const char *why = "killed by an administrator";

	if (exited->killed == SPEC_KILL_CLIENT_GONE)
		why = "killed because its client went away";
	if (exited->killed == SPEC_KILL_WITH_EXECUTION)
		why = "killed because the execution it had joined ended";
	(void)snprintf(text, OUTCOME_TEXT_BYTES_MAX, "%s", why);
}

static void explain_limit(const char *verb, const struct plan *plan, size_t limit,
                          const char *otherwise, char *text)
{
	const struct plan_limit *l;

	if (plan == NULL) {
		(void)snprintf(text, OUTCOME_TEXT_BYTES_MAX, "%s", otherwise);
		return;
	}
	l = &plan->limits[limit];
	(void)snprintf(text, OUTCOME_TEXT_BYTES_MAX, "%s %s %s (%s)", verb, l->key, l->value,
	               l->source);
}

static void explain_timeout(const struct spec_exited *exited, const struct plan *plan,
                            char *text)
{
	if (exited->killed == SPEC_KILL_CPU_TIME)
		explain_limit("killed by", plan, plan != NULL ? plan->cpu_time : 0,
		              "killed because it used up its CPU time", text);
	else
		explain_limit("timed out after", plan, plan != NULL ? plan->runtime : 0,
		              "timed out", text);
}

static void explain_runtime(const struct spec_exited *exited, char *text)
{
	if (exited->kind == SPEC_EXIT_SETUP_FAILED)
		(void)snprintf(text, OUTCOME_TEXT_BYTES_MAX,
		               "the sandbox could not be completed: %s", exited->error.msg);
	else
		(void)snprintf(text, OUTCOME_TEXT_BYTES_MAX, "cannot execute the command: %s",
		               strerror(exited->exec_errno));
}

static void explain_signal(const struct record *record, char *text)
{
	const char *name = sigabbrev_np((int)record->signal);

	if (name != NULL)
		(void)snprintf(text, OUTCOME_TEXT_BYTES_MAX, "terminated by signal %d (SIG%s)",
		               (int)record->signal, name);
	else
		(void)snprintf(text, OUTCOME_TEXT_BYTES_MAX, "terminated by signal %d",
		               (int)record->signal);
}

void outcome_explain(const struct spec_exited *exited, const struct record *record,
                     const struct plan *plan, char text[static OUTCOME_TEXT_BYTES_MAX])
{
	text[0] = '\0';
	switch (record->reason) {
	case REASON_OOM:
		explain_limit("killed by", plan, plan != NULL ? plan->memory_tightest : 0,
		              "killed because it ran out of memory", text);
		break;
	case REASON_TIMEOUT:
		explain_timeout(exited, plan, text);
		break;
	case REASON_SECCOMP:
		(void)snprintf(text, OUTCOME_TEXT_BYTES_MAX,
		               "killed by the system call filter (SIGSYS)");
		break;
	case REASON_QUOTA:
		(void)snprintf(text, OUTCOME_TEXT_BYTES_MAX, "killed: a quota is exhausted");
		break;
	case REASON_KILLED:
		explain_killed(exited, text);
		break;
	case REASON_RUNTIME:
		explain_runtime(exited, text);
		break;
	case REASON_SIGNALED:
		explain_signal(record, text);
		break;
	case REASON_UNKNOWN:
		(void)snprintf(text, OUTCOME_TEXT_BYTES_MAX,
		               "ended without a status, for a reason that is not known");
		break;
	case REASON_NONE:
	case REASON_EXITED:
	case RECORD_REASONS_N:
		break;
	}
}
