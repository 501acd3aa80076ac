/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What tenantd saw, and the reason, exit code, signal and words that follow from it. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "outcome.h"

TestSuite(outcome, .timeout = 10);

#define STATUS(code) ((code) << 8)
#define NONE         RECORD_ABSENT

struct row {
	char name[48];
	enum spec_exit_kind kind;
	enum spec_kill_why killed;
	int32_t wait_status;
	int32_t exec_errno;
	int64_t oom_kills;
	enum record_reason reason;
	int64_t exit_code;
	int64_t signal;
	char why[96];
};

ParameterizedTestParameters(outcome, follows_from_what_was_seen)
{
	static struct row rows[] = {
		/* clang-format off */
		{ "exit 0", SPEC_EXIT_STATUS, SPEC_KILL_NONE, STATUS(0), 0, 0,
		  REASON_EXITED, 0, NONE, "" },
		{ "exit 3", SPEC_EXIT_STATUS, SPEC_KILL_NONE, STATUS(3), 0, 0,
		  REASON_EXITED, 3, NONE, "" },
		{ "own 137", SPEC_EXIT_STATUS, SPEC_KILL_NONE, STATUS(137), 0, 0,
		  REASON_EXITED, 137, NONE, "" },
		{ "exit 1 after a child was OOM-killed", SPEC_EXIT_STATUS, SPEC_KILL_NONE, STATUS(1), 0, 1,
		  REASON_EXITED, 1, NONE, "" },
		{ "SIGTERM", SPEC_EXIT_STATUS, SPEC_KILL_NONE, SIGTERM, 0, 0,
		  REASON_SIGNALED, 143, SIGTERM, "terminated by signal 15 (SIGTERM)" },
		{ "SIGKILL without OOM", SPEC_EXIT_STATUS, SPEC_KILL_NONE, SIGKILL, 0, 0,
		  REASON_SIGNALED, 137, SIGKILL, "terminated by signal 9 (SIGKILL)" },
		{ "core dumped", SPEC_EXIT_STATUS, SPEC_KILL_NONE, SIGSEGV | 0x80, 0, 0,
		  REASON_SIGNALED, 139, SIGSEGV, "terminated by signal 11 (SIGSEGV)" },
		{ "real-time signal", SPEC_EXIT_STATUS, SPEC_KILL_NONE, 40, 0, 0,
		  REASON_SIGNALED, 168, 40, "terminated by signal 40" },
		{ "SIGKILL with OOM", SPEC_EXIT_STATUS, SPEC_KILL_NONE, SIGKILL, 0, 1,
		  REASON_OOM, 137, SIGKILL, "killed by execution_memory_max 64M (tiers/free.yaml:5)" },
		{ "OOM took everything", SPEC_EXIT_UNKNOWN, SPEC_KILL_NONE, 0, 0, 2,
		  REASON_OOM, 137, NONE, "killed by execution_memory_max 64M (tiers/free.yaml:5)" },
		{ "OOM count not known", SPEC_EXIT_UNKNOWN, SPEC_KILL_NONE, 0, 0, SPEC_ABSENT,
		  REASON_UNKNOWN, NONE, NONE, "ended without a status, for a reason that is not known" },
		{ "SIGSYS", SPEC_EXIT_STATUS, SPEC_KILL_NONE, SIGSYS, 0, 0,
		  REASON_SECCOMP, 159, SIGSYS, "killed by the system call filter (SIGSYS)" },
		{ "timeout, TERM", SPEC_EXIT_STATUS, SPEC_KILL_TIMEOUT, SIGTERM, 0, 0,
		  REASON_TIMEOUT, 124, SIGTERM, "timed out after runtime_max 10min (tiers/free.yaml:6)" },
		{ "timeout, but exit 0", SPEC_EXIT_STATUS, SPEC_KILL_TIMEOUT, STATUS(0), 0, 0,
		  REASON_TIMEOUT, 124, NONE, "timed out after runtime_max 10min (tiers/free.yaml:6)" },
		{ "timeout goes before OOM", SPEC_EXIT_UNKNOWN, SPEC_KILL_TIMEOUT, 0, 0, 1,
		  REASON_TIMEOUT, 124, NONE, "timed out after runtime_max 10min (tiers/free.yaml:6)" },
		{ "CPU time", SPEC_EXIT_STATUS, SPEC_KILL_CPU_TIME, SIGKILL, 0, 0,
		  REASON_TIMEOUT, 124, SIGKILL, "killed by cpu_time_max 2s (--cpu-time)" },
		{ "CPU time, no status", SPEC_EXIT_UNKNOWN, SPEC_KILL_CPU_TIME, 0, 0, 0,
		  REASON_TIMEOUT, 124, NONE, "killed by cpu_time_max 2s (--cpu-time)" },
		{ "admin, KILL", SPEC_EXIT_STATUS, SPEC_KILL_ADMIN, SIGKILL, 0, 0,
		  REASON_KILLED, 137, SIGKILL, "killed by an administrator" },
		{ "admin, no status", SPEC_EXIT_UNKNOWN, SPEC_KILL_ADMIN, 0, 0, 0,
		  REASON_KILLED, 137, NONE, "killed by an administrator" },
		{ "client gone", SPEC_EXIT_STATUS, SPEC_KILL_CLIENT_GONE, SIGKILL, 0, 0,
		  REASON_KILLED, 137, SIGKILL, "killed because its client went away" },
		{ "quota", SPEC_EXIT_UNKNOWN, SPEC_KILL_QUOTA, 0, 0, 0,
		  REASON_QUOTA, 137, NONE, "killed: a quota is exhausted" },
		{ "not found", SPEC_EXIT_NOT_EXECUTED, SPEC_KILL_NONE, 0, ENOENT, 0,
		  REASON_RUNTIME, 127, NONE, "cannot execute the command: No such file or directory" },
		{ "not permitted", SPEC_EXIT_NOT_EXECUTED, SPEC_KILL_NONE, 0, EACCES, 0,
		  REASON_RUNTIME, 126, NONE, "cannot execute the command: Permission denied" },
		{ "no program", SPEC_EXIT_NOT_EXECUTED, SPEC_KILL_NONE, 0, ENOEXEC, 0,
		  REASON_RUNTIME, 126, NONE, "cannot execute the command: Exec format error" },
		{ "setup failed", SPEC_EXIT_SETUP_FAILED, SPEC_KILL_NONE, 0, 0, 0,
		  REASON_RUNTIME, 125, NONE, "the sandbox could not be completed: no proc" },
		{ "nothing known", SPEC_EXIT_UNKNOWN, SPEC_KILL_NONE, 0, 0, 0,
		  REASON_UNKNOWN, NONE, NONE, "ended without a status, for a reason that is not known" },
		{ "forged: stopped", SPEC_EXIT_STATUS, SPEC_KILL_NONE, 0x137f, 0, 0,
		  REASON_UNKNOWN, NONE, NONE, "ended without a status, for a reason that is not known" },
		/* clang-format on */
	};

	return cr_make_param_array(struct row, rows, sizeof(rows) / sizeof(rows[0]));
}

static struct plan plan_of_free(void)
{
	return (struct plan){
		.limits = { { "execution_memory_max", "64M", "tiers/free.yaml:5" },
		            { "runtime_max", "10min", "tiers/free.yaml:6" },
		            { "cpu_time_max", "2s", "--cpu-time" } },
		.limits_n = 3,
		.memory_tightest = 0,
		.runtime = 1,
		.cpu_time = 2,
	};
}

ParameterizedTest(struct row *row, outcome, follows_from_what_was_seen)
{
	struct spec_exited exited = { .kind = row->kind,
		                      .killed = row->killed,
		                      .wait_status = row->wait_status,
		                      .exec_errno = row->exec_errno,
		                      .counters = { .oom_kills = row->oom_kills } };
	struct plan plan = plan_of_free();
	struct record record;
	char why[OUTCOME_TEXT_BYTES_MAX];

	(void)snprintf(exited.error.msg, sizeof(exited.error.msg), "no proc");
	record_init(&record);
	outcome_record(&exited, &record);
	outcome_explain(&exited, &record, &plan, why);
	cr_expect_eq(record.state, RECORD_EXITED);
	cr_expect_eq(record.reason, row->reason, "%s: reason %s", row->name,
	             record_reason_name(record.reason));
	cr_expect_eq(record.exit_code, row->exit_code, "%s: exit code %lld", row->name,
	             (long long)record.exit_code);
	cr_expect_eq(record.signal, row->signal, "%s: signal %lld", row->name,
	             (long long)record.signal);
	cr_expect_str_eq(why, row->why, "%s: %s", row->name, why);
}

Test(outcome, names_no_limit_when_the_plan_is_not_known)
{
	struct spec_exited exited = { .kind = SPEC_EXIT_UNKNOWN,
		                      .counters = { .oom_kills = 1 } };
	struct record record;
	char why[OUTCOME_TEXT_BYTES_MAX];

	record_init(&record);
	outcome_record(&exited, &record);
	outcome_explain(&exited, &record, NULL, why);
	cr_expect_str_eq(why, "killed because it ran out of memory");

	exited.killed = SPEC_KILL_CPU_TIME;
	outcome_record(&exited, &record);
	outcome_explain(&exited, &record, NULL, why);
	cr_expect_str_eq(why, "killed because it used up its CPU time");
}
