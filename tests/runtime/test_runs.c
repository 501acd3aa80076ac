/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Executions, from the call that asks for one to the record of its end. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/fd.h>

#include "rig.h"

TestSuite(runs, .timeout = 30);

Test(runs, kills_what_a_client_leaves_behind)
{
	struct rig rig = { 0 };
	struct varlink *link;
	static union rig_message launch;
	static union rig_message kill;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = rig_connect(&rig);
	rig_run_started(&rig, link, "acme", &launch);
	(void)varlink_free(link);
	rig_take(&rig, SPEC_KILL, &kill);
	cr_expect(id_equal(&kill.kill.execution, &launch.launch.execution));
	cr_expect_eq(kill.kill.why, SPEC_KILL_CLIENT_GONE);
	cr_expect_eq(kill.kill.whole_tenant, 0);

	/* Not yet executed: the kill follows the launch on its heels. */
	link = rig_connect(&rig);
	rig_run(&rig, link, "acme", NULL);
	(void)varlink_free(link);
	rig_take(&rig, SPEC_LAUNCH, &launch);
	rig_take(&rig, SPEC_KILL, &kill);
	cr_expect(id_equal(&kill.kill.execution, &launch.launch.execution));
	rig_done(&rig);
}

Test(runs, says_which_quota_refused_a_launch)
{
	struct rig rig = { 0 };
	struct varlink *link;
	struct varlink *other;
	static union rig_message launch;
	struct spec_started started = { 0 };
	json_t *answer;
	json_t *parameters;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	other = rig_connect(&rig);
	rig_run_started(&rig, other, "acme", &launch);
	link = rig_connect(&rig);
	rig_run(&rig, link, "acme", NULL);
	rig_take(&rig, SPEC_LAUNCH, &launch);
	started.tenant = launch.launch.tenant;
	started.execution = launch.launch.execution;
	(void)err_refuse(&started.error, TN_QUOTA, "too many");
	rig_send(&rig, SPEC_STARTED, launch.head.serial, &started.head, sizeof(started));
	answer = rig_answer(&rig, link);
	parameters = json_object_get(answer, "parameters");
	cr_expect_str_eq(rig_text(answer, "error"), "io.tenantd.QuotaExceeded");
	cr_expect_str_eq(rig_text(parameters, "meter"), "executions");
	cr_expect_eq(rig_number(parameters, "limit"), 2);
	cr_expect_eq(rig_number(parameters, "used"), 1);
	cr_expect_eq(rig_number(parameters, "requested"), 1);
	cr_expect(json_is_null(json_object_get(parameters, "reset_at")));
	json_decref(answer);
	cr_expect(rig_silent(&rig), "nothing ran, so nothing is settled");
	(void)varlink_free(link);
	(void)varlink_free(other);
	rig_done(&rig);
}

Test(runs, tells_of_a_command_that_cannot_be_executed)
{
	struct rig rig = { 0 };
	struct varlink *link;
	static union rig_message launch;
	struct spec_started started = { .not_executed = 1 };
	struct spec_exited exited;
	json_t *record;
	char why[256];

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = rig_connect(&rig);
	rig_run(&rig, link, "acme", NULL);
	rig_take(&rig, SPEC_LAUNCH, &launch);
	started.tenant = launch.launch.tenant;
	started.execution = launch.launch.execution;
	rig_send(&rig, SPEC_STARTED, launch.head.serial, &started.head, sizeof(started));
	exited = rig_exited_of(&launch, 0, 10);
	exited.kind = SPEC_EXIT_NOT_EXECUTED;
	exited.exec_errno = ENOENT;
	rig_exited(&rig, &exited);
	record = rig_run_end(&rig, link, why);
	cr_expect_str_eq(rig_text(record, "reason"), "runtime");
	cr_expect_eq(rig_number(record, "exit_code"), 127);
	cr_expect_str_eq(why, "cannot execute the command: No such file or directory");
	json_decref(record);
	(void)varlink_free(link);
	rig_done(&rig);
}

Test(runs, names_the_limit_that_ended_an_execution)
{
	struct rig rig = { 0 };
	struct varlink *link;
	static union rig_message launch;
	static union rig_message settled;
	struct spec_exited exited;
	char why[256];

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = rig_connect(&rig);
	rig_run_started(&rig, link, "acme", &launch);
	exited = rig_exited_of(&launch, SIGKILL, 10);
	exited.counters.oom_kills = 1;
	rig_exited(&rig, &exited);
	json_decref(rig_run_end(&rig, link, why));
	cr_expect_str_eq(why, "killed by execution_memory_max 64M (tiers/free.yaml:5)", "%s",
	                 why);

	rig_take(&rig, SPEC_SETTLED, &settled);
	rig_run(&rig, link, "acme",
	        json_pack("{s:{s:i}}", "limits", "runtime_usec_max", 2000000));
	rig_take(&rig, SPEC_LAUNCH, &launch);
	cr_expect_eq(launch.launch.limits.runtime_usec_max, 2000000);
	exited = rig_exited_of(&launch, SIGTERM, 10);
	exited.killed = SPEC_KILL_TIMEOUT;
	rig_exited(&rig, &exited);
	json_decref(rig_run_end(&rig, link, why));
	cr_expect_str_eq(why, "timed out after runtime_max 2s (--timeout)", "%s", why);
	(void)varlink_free(link);
	rig_done(&rig);
}

Test(runs, lets_a_signal_overtake_and_everything_else_wait)
{
	struct rig rig = { 0 };
	struct varlink *link;
	static union rig_message launch;
	static union rig_message signal;
	struct spec_exited exited;
	char id[ID_TEXT_BYTES];
	json_t *answer;
	char why[256];

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = rig_connect(&rig);
	rig_run_started(&rig, link, "acme", &launch);
	id_format(&launch.launch.execution, id);
	rig_call(&rig, link, "io.tenantd.Signal",
	         json_pack("{s:s, s:i}", "id", id, "signal", SIGUSR1), "oneway");
	rig_take(&rig, SPEC_SIGNAL, &signal);
	cr_expect_eq(signal.signal.signal, SIGUSR1);
	cr_expect(id_equal(&signal.signal.execution, &launch.launch.execution));
	rig_call(&rig, link, "io.tenantd.GetStatus", json_object(), NULL);

	exited = rig_exited_of(&launch, 0, 1);
	rig_exited(&rig, &exited);
	json_decref(rig_run_end(&rig, link, why));
	answer = rig_answer(&rig, link);
	cr_expect_str_eq(rig_text(json_object_get(answer, "parameters"), "health"), "ok");
	json_decref(answer);
	(void)varlink_free(link);
	rig_done(&rig);
}

Test(runs, kills_one_or_all_of_a_tenant)
{
	struct rig rig = { 0 };
	struct varlink *runs[2];
	struct varlink *link;
	static union rig_message launch;
	static union rig_message kill;
	char id[ID_TEXT_BYTES];
	json_t *answer;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	for (int i = 0; i < 2; i++) {
		runs[i] = rig_connect(&rig);
		rig_run_started(&rig, runs[i], "acme", &launch);
	}
	id_format(&launch.launch.execution, id);
	link = rig_connect(&rig);
	answer = rig_ask(&rig, link, "io.tenantd.Kill", json_pack("{s:s}", "id", id), NULL);
	cr_expect_eq(rig_number(answer, "killed"), 1);
	json_decref(answer);
	rig_take(&rig, SPEC_KILL, &kill);
	cr_expect(id_equal(&kill.kill.execution, &launch.launch.execution));
	cr_expect_eq(kill.kill.why, SPEC_KILL_ADMIN);
	answer = rig_ask(&rig, link, "io.tenantd.Kill", json_pack("{s:s}", "tenant", "acme"),
	                 NULL);
	cr_expect_eq(rig_number(answer, "killed"), 2);
	json_decref(answer);
	rig_take(&rig, SPEC_KILL, &kill);
	cr_expect_eq(kill.kill.whole_tenant, 1);
	cr_expect(id_equal(&kill.kill.tenant, &launch.launch.tenant));
	json_decref(rig_refused(&rig, link, "io.tenantd.Kill", json_object(), NULL,
	                        "io.tenantd.Invalid"));
	json_decref(
		rig_refused(&rig, link, "io.tenantd.Kill",
	                    json_pack("{s:s}", "id", "11111111-1111-4111-8111-111111111111"),
	                    NULL, "io.tenantd.NotFound"));
	for (int i = 0; i < 2; i++)
		(void)varlink_free(runs[i]);
	(void)varlink_free(link);
	rig_done(&rig);
}

static int fds_open(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

Test(runs, hands_a_terminal_on_and_keeps_none_of_it)
{
	struct rig rig = { 0 };
	struct varlink *link;
	static union rig_message launch;
	struct stat ours, theirs;
	json_t *answer, *parameters;
	int before, fd = -1;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = rig_connect(&rig);
	rig_turn(&rig);
	before = fds_open();
	rig_run_tty(&rig, link, "acme", NULL);
	rig_take(&rig, SPEC_LAUNCH, &launch);
	cr_expect_neq(launch.launch.flags & SPEC_LAUNCH_TTY, 0u);
	cr_expect_eq(launch.launch.tty_rows, 30);
	cr_expect_eq(launch.launch.tty_cols, 100);
	rig_started(&rig, &launch);
	answer = rig_answer_fd(&rig, link, &fd);
	parameters = json_object_get(answer, "parameters");
	cr_expect_str_eq(rig_text(parameters, "event"), "started");
	cr_expect_eq(rig_number(parameters, "terminal"), 0);
	json_decref(answer);
	cr_assert_eq(fstat(fd, &theirs), 0);
	cr_assert_eq(fstat(rig.cgroup, &ours), 0);
	cr_expect_eq(theirs.st_ino, ours.st_ino, "it is the one that tenantd sent");
	(void)close(fd);
	cr_expect_eq(fds_open(), before);
	(void)varlink_free(link);
	rig_done(&rig);
}

Test(runs, refuses_half_a_terminal_and_streams_beside_one)
{
	struct rig rig = { 0 };
	struct varlink *link;
	json_t *answer;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = rig_connect(&rig);
	rig_run_tty(&rig, link, "acme", json_pack("{s:{s:i}}", "terminal", "rows", 1));
	answer = rig_answer(&rig, link);
	cr_expect_str_eq(rig_text(json_object_get(answer, "parameters"), "message"),
	                 "terminal: rows and cols are both needed");
	json_decref(answer);
	rig_run_tty(&rig, link, "acme", json_pack("{s:i}", "stdin", 0));
	answer = rig_answer(&rig, link);
	cr_expect_str_eq(rig_text(json_object_get(answer, "parameters"), "message"),
	                 "stdin, stdout and stderr are the terminal's");
	json_decref(answer);
	rig_run_tty(&rig, link, "acme",
	            json_pack("{s:{s:i, s:i}}", "terminal", "rows", 1, "cols", 65536));
	answer = rig_answer(&rig, link);
	cr_expect_str_eq(rig_text(json_object_get(answer, "parameters"), "parameter"),
	                 "terminal.cols");
	json_decref(answer);
	cr_expect(rig_silent(&rig));
	(void)varlink_free(link);
	rig_done(&rig);
}

static json_t *every_option(void)
{
	return json_pack("{s:s, s:[{s:s, s:i}, {s:s, s:n}], s:b, s:b, s:{s:i}}", "user",
	                 "nobody:tty", "tmpfs", "target", "/mnt/a", "bytes_max", 1 << 20,
	                 "target", "/mnt/b", "bytes_max", "read_only", 1, "no_init", 1,
	                 "limits", "cpu_usec_max", 2000000);
}

Test(runs, hands_every_option_to_tenantd)
{
	struct rig rig = { 0 };
	struct varlink *link;
	static union rig_message message;
	const struct spec_launch *launch = &message.launch;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = rig_connect(&rig);
	rig_run(&rig, link, "acme", every_option());
	rig_take(&rig, SPEC_LAUNCH, &message);
	cr_expect_eq(launch->uid, 65534);
	cr_expect_eq(launch->gid, 5);
	cr_expect_eq(launch->flags, SPEC_LAUNCH_ATTACHED | SPEC_LAUNCH_OOM_GROUP |
	                                    SPEC_LAUNCH_READ_ONLY | SPEC_LAUNCH_NO_INIT);
	cr_assert_eq(launch->tmpfs_n, 2);
	cr_expect_str_eq(launch->tmpfs[0].target, "/mnt/a");
	cr_expect_eq(launch->tmpfs[0].bytes_max, 1 << 20);
	cr_expect_str_eq(launch->tmpfs[1].target, "/mnt/b");
	cr_expect_eq(launch->tmpfs[1].bytes_max, 64 << 20, "the memory that it may have");
	cr_expect_eq(launch->limits.cpu_time_usec_max, 2000000);
	(void)varlink_free(link);

	link = rig_connect(&rig);
	rig_run(&rig, link, "acme", NULL);
	rig_take(&rig, SPEC_KILL, &message);
	rig_take(&rig, SPEC_LAUNCH, &message);
	cr_expect_eq(launch->uid, 1000);
	cr_expect_eq(launch->gid, 1000);
	cr_expect_eq(launch->flags, SPEC_LAUNCH_ATTACHED | SPEC_LAUNCH_OOM_GROUP);
	cr_expect_eq(launch->tmpfs_n, 0);
	cr_expect_eq(launch->limits.cpu_time_usec_max, SPEC_UNLIMITED);
	(void)varlink_free(link);
	rig_done(&rig);
}

Test(runs, shows_every_option_in_a_plan)
{
	static const char *const expected[][3] = {
		{ "user", "65534:5", "--user" },      { "read_only", "yes", "--read-only" },
		{ "init", "no", "--no-init" },        { "tmpfs", "/mnt/a:1M", "--tmpfs" },
		{ "tmpfs", "/mnt/b:64M", "--tmpfs" },
	};
	struct rig rig = { 0 };
	struct varlink *link;
	json_t *parameters = every_option();
	json_t *answer, *options;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = rig_connect(&rig);
	(void)json_object_update_new(parameters,
	                             json_pack("{s:s, s:i, s:i, s:[], s:b}", "tenant", "acme",
	                                       "argc", 1, "envc", 0, "binds", "dry_run", 1));
	answer = rig_ask(&rig, link, "io.tenantd.Run", parameters, NULL);
	options = json_object_get(answer, "options");
	cr_assert_eq(json_array_size(options), ARRAY_LEN(expected));
	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		const json_t *row = json_array_get(options, i);

		cr_expect_str_eq(rig_text(row, "key"), expected[i][0]);
		cr_expect_str_eq(rig_text(row, "value"), expected[i][1]);
		cr_expect_str_eq(rig_text(row, "source"), expected[i][2]);
	}
	json_decref(answer);
	cr_expect(rig_silent(&rig));
	(void)varlink_free(link);
	rig_done(&rig);
}

Test(runs, refuses_options_that_are_none_before_anything_is_launched)
{
	struct rig rig = { 0 };
	struct varlink *link;
	json_t *many = json_array();
	char target[16];

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = rig_connect(&rig);
	for (int i = 0; i <= SPEC_TMPFS_MAX; i++) {
		(void)snprintf(target, sizeof(target), "/mnt/%d", i);
		(void)json_array_append_new(many, json_pack("{s:s}", "target", target));
	}
	json_decref(rig_refused(
		&rig, link, "io.tenantd.Run",
		json_pack("{s:s, s:s, s:b}", "tenant", "acme", "user", "65536", "dry_run", 1),
		NULL, "io.tenantd.Invalid"));
	json_decref(
		rig_refused(&rig, link, "io.tenantd.Run",
	                    json_pack("{s:s, s:[{s:s, s:i}], s:b}", "tenant", "acme", "tmpfs",
	                              "target", "/mnt/a", "bytes_max", 65 << 20, "dry_run", 1),
	                    NULL, "io.tenantd.Invalid"));
	json_decref(rig_refused(
		&rig, link, "io.tenantd.Run",
		json_pack("{s:s, s:o, s:b}", "tenant", "acme", "tmpfs", many, "dry_run", 1),
		NULL, "io.tenantd.Invalid"));
	json_decref(rig_refused(
		&rig, link, "io.tenantd.Run",
		json_pack("{s:s, s:[i], s:b}", "tenant", "acme", "tmpfs", 7, "dry_run", 1),
		NULL, "io.tenantd.Invalid"));
	cr_expect(rig_silent(&rig));
	(void)varlink_free(link);
	rig_done(&rig);
}

Test(runs, plans_without_running)
{
	struct rig rig = { 0 };
	struct varlink *link;
	json_t *answer;
	json_t *limit = NULL;
	size_t i;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = rig_connect(&rig);
	answer = rig_ask(&rig, link, "io.tenantd.Run",
	                 json_pack("{s:s, s:i, s:i, s:{s:i}, s:[], s:b}", "tenant", "acme",
	                           "argc", 1, "envc", 0, "limits", "memory_max_bytes", 16 << 20,
	                           "binds", "dry_run", 1),
	                 NULL);
	cr_expect_str_eq(rig_text(answer, "event"), "plan");
	cr_expect_str_eq(rig_text(answer, "tier"), "free");
	cr_expect_eq(json_array_size(json_object_get(answer, "unenforced")), 0);
	json_array_foreach(json_object_get(answer, "limits"), i,
	                   limit) if (strcmp(rig_text(limit, "key"), "execution_memory_max") ==
	                              0) break;
	cr_expect_str_eq(rig_text(limit, "value"), "16M");
	cr_expect_str_eq(rig_text(limit, "source"), "--memory");
	cr_expect_str_eq(
		json_string_value(json_array_get(json_object_get(answer, "environment"), 3)),
		"TENANT=acme");
	json_decref(answer);
	cr_expect(rig_silent(&rig));
	(void)varlink_free(link);
	rig_done(&rig);
}

Test(runs, applies_limits_before_the_first_launch_on_a_channel_and_only_then)
{
	struct rig rig = { 0 };
	struct varlink *link;
	static union rig_message message;
	static union rig_message launch;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	rig_restart(&rig);
	rig_hello(&rig, SPEC_CONTROLLER_CPU);
	for (int i = 0; i < 2; i++) {
		link = rig_connect(&rig);
		rig_run(&rig, link, "acme", NULL);
		if (i == 0)
			rig_take(&rig, SPEC_TENANT_APPLY, &message);
		rig_take(&rig, SPEC_LAUNCH, &launch);
		if (i == 0)
			rig_reply(&rig, &message, TN_OK);
	}
	rig_done(&rig);
}
