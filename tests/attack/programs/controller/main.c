/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A tenant-controller that has been taken over. tenantd starts it as its own, with the real
 * channel; it sends what the real one never would and writes down what came of it.
 *
 * An attack is a sound request that one function spoils, or a function that does something
 * else, and what has to come of it. tenantd may end us for an attack: the next of us goes on
 * with the next one. In the directory of --store-dir there are "next", the number of the
 * attack to come, "report", one line each, and "go" and "end", by which the test and we wait
 * for each other.
 *
 * TN_ATTACK_PROBE is a program to be run under a filter that allows everything;
 * TN_ATTACK_FLOOD how many executions are left unsettled.
 */
#include "controller.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct attack {
	const char *name;
	void (*make)(struct request *r); /* a sound request, then */
	void (*spoil)(struct request *r);
	void (*act)(void); /* or this alone */
	const char *expected;
} attacks[] = {
	/* clang-format off */
	{ "control", NULL, NULL, control, "done; ran: kind 1, status 0, , said 1000;" },
	{ "three bytes", remove_make, short_message, NULL, ENDED },
	{ "a size that lies", remove_make, lying_size, NULL, ENDED },
	{ "another version", remove_make, wrong_version, NULL, ENDED },
	{ "a message larger than any", launch_make, huge_message, NULL, ENDED },
	{ "an empty message", remove_make, empty_message, NULL, ENDED },
	{ "more descriptors than any", launch_make, fds_too_many, NULL, ENDED },
	{ "a request that is none", remove_make, unknown_op, NULL, NO_ANSWER },
	{ "a message that is tenantd's", remove_make, op_of_tenantd, NULL, NO_ANSWER },
	{ "one request's size with another's number", launch_make, size_of_another, NULL, NO_ANSWER },
	{ "a descriptor too few", launch_make, fds_one_less, NULL, "refused: this launch takes 4" },
	{ "a descriptor too many", launch_make, fds_one_more, NULL, "refused: this launch takes 4" },
	{ "name ..", apply_make, name_dots, NULL, "refused: the tenant's name is not" },
	{ "name a/b", apply_make, name_path, NULL, "refused: the tenant's name is not" },
	{ "name ../../x", apply_make, name_up, NULL, "refused: the tenant's name is not" },
	{ "name .holder", apply_make, name_holder, NULL, "refused: the tenant's name is not" },
	{ "no name", apply_make, name_none, NULL, "refused: the tenant's name is not" },
	{ "a UUID as name", apply_make, name_uuid, NULL, "refused: the tenant's name is not" },
	{ "a name without an end", apply_make, name_endless, NULL, "refused: the tenant's name is not" },
	{ "another tenant's name", apply_make, name_taken, NULL, "refused: another tenant's slot is named 'acme'" },
	{ "a new name for a tenant", apply_make, name_changed, NULL, "refused: the tenant's slot is named 'acme'" },
	{ "memory above the bounds", apply_make, memory_above, NULL, "refused: memory_max of" },
	{ "negative memory", apply_make, memory_negative, NULL, "refused: memory_max of -1" },
	{ "tasks above the bounds", apply_make, tasks_above, NULL, "refused: tasks_max of" },
	{ "executions above the bounds", apply_make, executions_above, NULL, "refused: executions_max of" },
	{ "no weight", apply_make, weight_none, NULL, "refused: cpu_weight of 0" },
	{ "too much weight", apply_make, weight_above, NULL, "refused: cpu_weight of 10001" },
	{ "negative quota", apply_make, quota_negative, NULL, "refused: cpu_quota_usec of" },
	{ "an unsealed filter", apply_make, filter_unsealed, NULL, "refused: filter: not a fully sealed memfd" },
	{ "a filter too long", apply_make, filter_long, NULL, "refused: the filter has 31752 bytes" },
	{ "an empty filter", apply_make, filter_empty, NULL, "refused: the filter has 0 bytes" },
	{ "a filter of half instructions", apply_make, filter_odd, NULL, "refused: the filter has 9 bytes" },
	{ "a file as filter", apply_make, filter_no_memory, NULL, "refused: filter: not a fully sealed memfd" },
	{ "a filter of nonsense", NULL, NULL, filter_senseless, "done; refused: install the seccomp filter: Invalid argument" },
	{ "more tenants than slots", NULL, NULL, tenants_flood, "bounded: all 8 slots of bounds.conf are taken" },
	{ "a tenant unknown", launch_make, tenant_unknown, NULL, "refused: the tenant has not been applied" },
	{ "a tenant that was refused", launch_make, tenant_half_made, NULL, "refused: the tenant has not been applied" },
	{ "to remove a tenant unknown", remove_make, remove_unknown, NULL, "refused: the tenant has not been applied" },
	{ "to freeze a tenant unknown", freeze_make, freeze_unknown, NULL, "refused: the tenant has not been applied" },
	{ "to freeze half a tenant", freeze_make, freeze_half, NULL, "refused: a tenant is frozen or it is not" },
	{ "to squeeze a tenant unknown", squeeze_make, squeeze_unknown, NULL, "refused: the tenant has not been applied" },
	{ "to squeeze to nothing", squeeze_make, squeeze_none, NULL, "refused: memory_high of 0" },
	{ "to squeeze below nothing", squeeze_make, squeeze_negative, NULL, "refused: memory_high of -1" },
	{ "limits with flags that are none", apply_make, apply_flags, NULL, "refused: flags of 0x2" },
	{ "to squeeze by a wrapped number", squeeze_make, squeeze_wrapped, NULL, "refused: memory_high of -9223372036854775808" },
	{ "to delete a tenant unknown", delete_make, delete_unknown, NULL, "done" },
	{ "to delete a tenant otherwise", delete_make, delete_otherwise, NULL, "refused: a tenant is not deleted in the way 2" },
	{ "data of a tenant unknown", data_make, data_unknown, NULL, "refused: the tenant has not been applied" },
	{ "data with flags that are none", data_make, data_flags, NULL, "refused: unknown flags 0x80000000" },
	{ "data above /data", data_make, data_up, NULL, "refused: not a path below /data" },
	{ "data through ..", data_make, data_between, NULL, "refused: not a path below /data" },
	{ "data of the host", data_make, data_absolute, NULL, "refused: not a path below /data" },
	{ "data of a dot", data_make, data_dot, NULL, "refused: not a path below /data" },
	{ "data of a path without an end", data_make, data_endless, NULL, "refused: not a path below /data" },
	{ "data with a descriptor", data_make, data_with_fd, NULL, NO_ANSWER },
	{ "files beyond a tenant's", NULL, NULL, data_beyond, "nothing beyond" },
	{ "more copies than there is room for", NULL, NULL, data_flood, "16: 16 copies of this tenant's data are under way; try again when one has ended" },
	{ "to shut a tenant's own socket", NULL, NULL, meter_shut, ENDED },
	{ "a tenant's own socket after that", NULL, NULL, meter_again, "listens" },
	{ "to remove a tenant that stores something", NULL, NULL, remove_used, "ran: kind 1, status 0, , said; refused: " },
	{ "files above the bounds", launch_make, files_above, NULL, "refused: nofile_max of" },
	{ "core dumps above the bounds", launch_make, core_above, NULL, "refused: core_max of" },
	{ "no time", launch_make, runtime_none, NULL, "refused: runtime_usec_max of 0" },
	{ "negative tasks", launch_make, tasks_negative, NULL, "refused: tasks_max of -1" },
	{ "flags that are none", launch_make, flags_unknown, NULL, "refused: flags of 0x80000000" },
	{ "a user of the next tenant", launch_make, uid_above, NULL, "refused: uid of 65536" },
	{ "a group that wraps around", launch_make, gid_above, NULL, "refused: gid of 4294967295" },
	{ "no CPU time", launch_make, cpu_time_none, NULL, "refused: cpu_time_usec_max of 0" },
	{ "a terminal too high", launch_make, rows_above, NULL, "refused: tty_rows of 65536" },
	{ "a terminal beside streams", launch_make, terminal_and_streams, NULL, "refused: this launch takes 1" },
	{ "more tmpfs than any", launch_make, tmpfs_many, NULL, "refused: tmpfs_n of 9" },
	{ "a tmpfs on /usr", launch_make, tmpfs_at_usr, NULL, "refused: cannot mount a tmpfs on /usr" },
	{ "a tmpfs through ..", launch_make, tmpfs_up, NULL, "refused: tmpfs 0 has no plain target" },
	{ "a tmpfs of all memory", launch_make, tmpfs_large, NULL, "refused: a tmpfs' bytes_max of" },
	{ "an execution without an id", launch_make, execution_no_id, NULL, "refused: the execution has no id" },
	{ "no arguments", launch_make, argc_none, NULL, "refused: argc of 0" },
	{ "environment longer than its field", launch_make, env_longer, NULL, "refused: the environment's size" },
	{ "environment of fewer strings", launch_make, env_more, NULL, "refused: the environment is not 3 strings" },
	{ "arguments announced longer", launch_make, args_longer, NULL, "refused: 41 bytes where 1048576 were announced" },
	{ "arguments announced shorter", launch_make, args_shorter, NULL, "refused: 41 bytes where 4 were announced" },
	{ "unsealed arguments", launch_make, args_unsealed, NULL, "refused: not a fully sealed memfd" },
	{ "a file as arguments", launch_make, args_file, NULL, "refused: not a fully sealed memfd" },
	{ "arguments without an end", launch_make, args_endless, NULL, "refused: read the arguments: Invalid argument" },
	{ "fewer arguments than announced", launch_make, args_fewer, NULL, "refused: read the arguments: Invalid argument" },
	{ "a directory as stdin", launch_make, stdio_directory, NULL, "refused: descriptor 0: a directory" },
	{ "the root's path as stdin", launch_make, stdio_path, NULL, "refused: descriptor 0: an O_PATH descriptor" },
	{ "a file's path as stdin", launch_make, stdio_path_file, NULL, "refused: descriptor 0: an O_PATH descriptor" },
	{ "a file of /proc as stdin", launch_make, stdio_proc, NULL, "refused: descriptor 0: procfs" },
	{ "a process's memory as stdin", launch_make, stdio_memory, NULL, "refused: descriptor 0: procfs" },
	{ "a file of /sys as stdin", launch_make, stdio_sysfs, NULL, "refused: descriptor 0: sysfs" },
	{ "a namespace as stdin", launch_make, stdio_ns, NULL, "refused: descriptor 0: nsfs" },
	{ "a pidfd as stdin", launch_make, stdio_pidfd, NULL, "refused: descriptor 0: " },
	{ "the cgroup tree as stdin", launch_make, stdio_cgroup, NULL, "refused: descriptor 0: an O_PATH descriptor" },
	{ "a file of the cgroup tree as stdin", launch_make, stdio_cgroup_file, NULL, "refused: descriptor 0: cgroup2" },
	{ "epoll as stdin", launch_make, stdio_epoll, NULL, "refused: descriptor 0: a descriptor of this kind" },
	{ "inotify as stdin", launch_make, stdio_inotify, NULL, "refused: descriptor 0: a descriptor of this kind" },
	{ "a timer as stdin", launch_make, stdio_timer, NULL, "refused: descriptor 0: a descriptor of this kind" },
	{ "bind to /", launch_make, bind_at_root, NULL, "refused: bind 0 has no plain target" },
	{ "bind to /usr", launch_make, bind_at_usr, NULL, "refused: cannot bind to /usr" },
	{ "bind into /usr", launch_make, bind_in_usr, NULL, "refused: cannot bind to /usr/lib" },
	{ "bind into /proc", launch_make, bind_at_proc, NULL, "refused: cannot bind to /proc/sys" },
	{ "bind into /etc", launch_make, bind_at_etc, NULL, "refused: cannot bind to /etc/passwd" },
	{ "bind into /data", launch_make, bind_at_data, NULL, "refused: cannot bind to /data/x" },
	{ "bind through ..", launch_make, bind_up, NULL, "refused: bind 0 has no plain target" },
	{ "bind to a relative path", launch_make, bind_relative, NULL, "refused: bind 0 has no plain target" },
	{ "bind to a path of two slashes", launch_make, bind_slashes, NULL, "refused: bind 0 has no plain target" },
	{ "bind to a path without an end", launch_make, bind_endless, NULL, "refused: bind 0 has no plain target" },
	{ "one bind in another", launch_make, bind_nested, NULL, "refused: the targets /mnt/x and /mnt/x/y lie one in the other" },
	{ "bind the host's root", launch_make, bind_of_root, NULL, "refused: bind to /mnt/x: / does not lie below /srv" },
	{ "bind the host's /etc", launch_make, bind_of_etc, NULL, "refused: bind to /mnt/x: /etc does not lie below /srv" },
	{ "bind a home that is not its own", launch_make, bind_of_home, NULL, "refused: bind to /mnt/x: /root does not lie below /srv" },
	{ "bind its own store", launch_make, bind_of_store, NULL, "does not lie below /srv" },
	{ "bind the host's /proc", launch_make, bind_of_proc, NULL, "refused: bind to /mnt/x: procfs" },
	{ "bind the host's /sys", launch_make, bind_of_sys, NULL, "refused: bind to /mnt/x: sysfs" },
	{ "bind the cgroup tree", launch_make, bind_of_cgroup, NULL, "refused: bind to /mnt/x: cgroup2" },
	{ "bind a device", launch_make, bind_of_device, NULL, "refused: bind to /mnt/x: only a file or a directory" },
	{ "bind what was opened", launch_make, bind_opened, NULL, "refused: bind to /mnt/x: only a file or a directory" },
	{ "a command that joins", join_make, join_sound, NULL, "ran: kind 1, status 0, , said 1000;" },
	{ "join by the wrong tenant", join_make, join_another_tenant, NULL, "refused: no such execution is running" },
	{ "join what is another tenant's", NULL, NULL, join_of_another, "refused: no such execution is running" },
	{ "join what never was", join_make, join_unknown, NULL, "refused: no such execution is running" },
	{ "join nothing", join_make, join_none, NULL, "refused: no execution to join" },
	{ "join itself", join_make, join_itself, NULL, "refused: no such execution is running" },
	{ "join what has ended", NULL, NULL, join_ended, "refused: no such execution is running; refused: no such execution is running" },
	{ "join what is suspended", NULL, NULL, join_suspended, "refused: 'acme' is suspended" },
	{ "join under the execution's own id", join_make, join_id_taken, NULL, "refused: the execution's id is taken" },
	{ "join under no id", join_make, join_no_id, NULL, "refused: the execution has no id" },
	{ "join as a user of the next tenant", join_make, join_uid_above, NULL, "refused: uid of 65536" },
	{ "join as a group that wraps around", join_make, join_gid_wraps, NULL, "refused: gid of 4294967295" },
	{ "join with flags that are none", join_make, join_flags, NULL, "refused: flags of 0x4" },
	{ "join without arguments", join_make, join_argc_none, NULL, "refused: argc of 0" },
	{ "join with fewer arguments than announced", join_make, join_args_fewer, NULL, "refused: read the arguments: Invalid argument" },
	{ "join with arguments announced longer", join_make, join_args_longer, NULL, "refused: 16 bytes where 1048576 were announced" },
	{ "join with arguments announced shorter", join_make, join_args_shorter, NULL, "refused: 16 bytes where 4 were announced" },
	{ "join with an environment of more strings", join_make, join_env_more, NULL, "refused: read the arguments: Invalid argument" },
	{ "join with unsealed arguments", join_make, join_args_unsealed, NULL, "refused: not a fully sealed memfd" },
	{ "join with a file as arguments", join_make, join_args_file, NULL, "refused: not a fully sealed memfd" },
	{ "join in a terminal too high", join_make, join_rows_above, NULL, "refused: tty_rows of 65536" },
	{ "join in a terminal beside streams", join_make, join_terminal_and_streams, NULL, "refused: this takes 1" },
	{ "join by nobody", join_make, join_asked_negative, NULL, "ran: kind 1, status 0, , said 1000;" },
	{ "join with a descriptor too few", join_make, fds_one_less, NULL, "refused: this takes 4" },
	{ "join with a descriptor too many", join_make, fds_one_more, NULL, NO_ANSWER },
	{ "join with a directory", join_make, stdio_directory, NULL, "refused: descriptor 0: a directory" },
	{ "join with the root's path", join_make, stdio_path, NULL, "refused: descriptor 0: an O_PATH descriptor" },
	{ "join with a process's memory", join_make, stdio_memory, NULL, "refused: descriptor 0: procfs" },
	{ "join with a namespace", join_make, stdio_ns, NULL, "refused: descriptor 0: nsfs" },
	{ "join with a pidfd", join_make, stdio_pidfd, NULL, "refused: descriptor 0: " },
	{ "join with a file of the cgroup tree", join_make, stdio_cgroup_file, NULL, "refused: descriptor 0: cgroup2" },
	{ "join with epoll", join_make, stdio_epoll, NULL, "refused: descriptor 0: a descriptor of this kind" },
	{ "join in too short a message", join_make, join_short, NULL, NO_ANSWER },
	{ "join in too long a message", join_make, join_long, NULL, NO_ANSWER },
	{ "join in a message of a size that lies", join_make, lying_size, NULL, ENDED },
	{ "join in another version", join_make, wrong_version, NULL, ENDED },
	{ "a flood of joins", NULL, NULL, join_flood, "bounded" },
	{ "to leave the host less than nothing", reserve_make, reserve_negative, NULL, "refused: host_reserve.memory of" },
	{ "to leave the host all there is", reserve_make, reserve_huge, NULL, "held" },
	{ "to leave the host nothing", reserve_make, reserve_none, NULL, "held" },
	{ "a status without an end", status_make, status_endless, NULL, NO_ANSWER },
	{ "kills with time that is none", NULL, NULL, kill_grace, "runs on, killed by admin" },
	{ "to kill what is nobody's", NULL, NULL, kill_everything, "runs on" },
	{ "four thousand million binds", launch_make, bind_count_lies, NULL, "refused: this launch takes 4" },
	{ "a bind without a descriptor", launch_make, bind_without_fd, NULL, "refused: this launch takes 4" },
	{ "an execution's id twice", NULL, NULL, id_twice, "refused: the execution's id is taken" },
	{ "more executions than the tenant has", NULL, NULL, third_of_two, "refused: " },
	{ "to settle what runs", NULL, NULL, settle_running, "runs on, killed by admin" },
	{ "signals that are none", NULL, NULL, signals, "runs on" },
	{ "everything allowed by the filter", NULL, NULL, everything_allowed, "ran: kind 1, status 0, , said all held;" },
	{ "everything allowed, as i386", NULL, NULL, everything_allowed_i386, "ran: kind 1, status 31, , said" },
	{ "everything allowed, as x32", NULL, NULL, everything_allowed_x32, "ran: kind 1, status 31, , said" },
	{ "ends that are not settled", NULL, NULL, unsettled_flood, " left: " },
	{ "answers that are not read", NULL, NULL, answers_unread, ENDED },
	{ "control again", NULL, NULL, control, "done; ran: kind 1, status 0, , said 1000;" },
	/* clang-format on */
};

/* Small files, through which the next of us and the test know. */

static FILE *file_open(const char *name, const char *mode)
{
	char path_[320];

	(void)snprintf(path_, sizeof(path_), "%s/%s", store, name);
	return fopen(path_, mode);
}

static size_t next_load(void)
{
	FILE *file = file_open("next", "re");
	size_t next = 0;

	if (file == NULL)
		return 0;
	must(fscanf(file, "%zu", &next) == 1, "read next");
	(void)fclose(file);
	return next;
}

static void next_store(size_t next)
{
	FILE *file = file_open("next", "we");

	must(file != NULL && fprintf(file, "%zu\n", next) > 0 && fclose(file) == 0,
	     "write next");
}

static void report(size_t i)
{
	FILE *file = file_open("report", "ae");
	const bool as_expected = strstr(result, attacks[i].expected) != NULL;

	must(file != NULL, "open the report");
	(void)fprintf(file, "%s\t%s\t%s\n", as_expected ? "held" : "NOT HELD", attacks[i].name,
	              result);
	must(fclose(file) == 0, "write the report");
	next_store(i + 1);
	result[0] = '\0';
}

static void wait_for_test(void)
{
	for (;;) {
		FILE *go = file_open("go", "re");

		if (go != NULL) {
			(void)fclose(go);
			return;
		}
		(void)usleep(50000);
	}
}

static void attack(const struct attack *a)
{
	struct request r = { .output = -1 };

	patience_msec = strcmp(a->expected, NO_ANSWER) == 0 ? SILENCE_MSEC : ANSWER_MSEC;
	if (a->act != NULL) {
		a->act();
		return;
	}
	a->make(&r);
	a->spoil(&r);
	must(transmit(&r), "send");
	outcome(&r);
	done(&r);
	join_done();
}

/* What the one before us left unsettled, or running, is told to us first. */
static void leftovers_settle(void)
{
	while (receive(SILENCE_MSEC))
		if (answer.head.op == SPEC_EXITED)
			settle(&answer.exited.execution);
		else if (answer.head.op == SPEC_STARTED)
			kill_send(&answer.started.execution);
}

static void begin(int argc, char **argv)
{
	static const char option[] = "--store-dir=";
	struct request ready = { .output = -1 };

	for (int i = 1; i < argc; i++)
		if (strncmp(argv[i], option, sizeof(option) - 1) == 0)
			(void)snprintf(store, sizeof(store), "%s",
			               argv[i] + sizeof(option) - 1);
	must(store[0] != '\0', "--store-dir");
	must(answered(SPEC_HELLO, 0, ANSWER_MSEC), "hello");
	head_make(&ready, SPEC_READY, sizeof(ready.u.head));
	must(transmit(&ready), "ready");
	leftovers_settle();
}

int main(int argc, char **argv)
{
	struct request r = { .output = -1 };
	size_t next;

	begin(argc, argv);
	next = next_load();
	/* An odd end of the one before us: "next" still names the attack. */
	if (next > 0) {
		say(ENDED);
		report(next);
		next++;
	}
	/* A tenant to attack with, which each new tenantd's controller has to apply. */
	for (; next < LEN(attacks); next++) {
		apply_make(&r);
		must(transmit(&r) && answered(SPEC_REPLY, r.u.head.serial, ANSWER_MSEC),
		     "apply");
		done(&r);
		next_store(next);
		attack(&attacks[next]);
		report(next);
		if (next == 0)
			wait_for_test();
	}
	leftovers_settle();
	must(file_open("end", "we") != NULL, "write the end");
	for (;;)
		(void)pause();
}
