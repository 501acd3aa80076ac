/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "controller.h"

#include <linux/filter.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* More than tenantd keeps for a controller that does not read. */
#define QUEUE_MESSAGES 60000

void control(void)
{
	struct request r = { .output = -1 };

	apply_make(&r);
	must(transmit(&r), "apply");
	outcome(&r);
	say("; ");
	launch_make(&r);
	must(transmit(&r), "launch");
	outcome(&r);
	done(&r);
}

/* A filter whose first instruction is none of BPF's. */
void filter_senseless(void)
{
	const struct sock_filter code[] = { { 0xffff, 0, 0, 0 } };
	struct request r = { .output = -1 };

	apply_make(&r);
	filter_put(&r, memory(code, sizeof(code), SEALS));
	must(transmit(&r), "apply");
	outcome(&r);
	say("; ");
	launch_make(&r);
	must(transmit(&r), "launch");
	outcome(&r);
	done(&r);
	apply_make(&r);
	must(transmit(&r), "apply");
	(void)answered(SPEC_REPLY, r.u.head.serial, ANSWER_MSEC);
	done(&r);
}

static void probe_run(const char *argument)
{
	struct request r = { .output = -1 };
	const char *probe = getenv("TN_ATTACK_PROBE");
	char args[512];
	int n;

	must(probe != NULL, "TN_ATTACK_PROBE");
	n = snprintf(args, sizeof(args), "%s%c%s%c", probe, '\0', argument, '\0');
	launch_make(&r);
	/* The NUL of snprintf ends the working directory. */
	args_set(&r, args, (size_t)n + 1, 2, SEALS);
	must(transmit(&r), "launch");
	outcome(&r);
	done(&r);
}

void everything_allowed(void)
{
	probe_run("calls");
}

void everything_allowed_i386(void)
{
	probe_run("i386");
}

void everything_allowed_x32(void)
{
	probe_run("x32");
}

void sleeper_start_of(struct request *r, const struct id *tenant)
{
	launch_make(r);
	r->u.launch.tenant = *tenant;
	args_set(r,
	         "/bin/sleep\0"
	         "10\0",
	         15, 2, SEALS);
	must(transmit(r), "launch");
	for (size_t i = 0; i < r->fds_n; i++)
		(void)close(r->fds[i]);
	r->fds_n = 0;
	must(answered(SPEC_STARTED, r->u.head.serial, ANSWER_MSEC) &&
	             answer.started.error.code == TN_OK,
	     "start a sleeper");
}

void sleeper_start(struct request *r)
{
	sleeper_start_of(r, &acme);
}

void sleeper_end(struct request *r)
{
	kill_send(&r->u.launch.execution);
	do
		must(answered(SPEC_EXITED, 0, ANSWER_MSEC), "the sleeper's end");
	while (memcmp(&answer.exited.execution, &r->u.launch.execution, sizeof(struct id)) !=
	       0);
	settle(&r->u.launch.execution);
	done(r);
}

/* Settling what runs must neither forget it nor free its slot. */
void settle_running(void)
{
	struct request r = { .output = -1 };

	sleeper_start(&r);
	settle(&r.u.launch.execution);
	say(answered(SPEC_EXITED, 0, SILENCE_MSEC) ? "ended by it" : "runs on");
	kill_send(&r.u.launch.execution);
	must(answered(SPEC_EXITED, 0, ANSWER_MSEC), "the sleeper's end");
	say(", killed by %s", answer.exited.killed == SPEC_KILL_ADMIN ? "admin" : "?");
	settle(&r.u.launch.execution);
	settle(&r.u.launch.execution);
	done(&r);
}

void id_twice(void)
{
	struct request first = { .output = -1 }, second = { .output = -1 };

	sleeper_start(&first);
	launch_make(&second);
	second.u.launch.execution = first.u.launch.execution;
	must(transmit(&second), "launch");
	outcome(&second);
	kill_send(&first.u.launch.execution);
	must(answered(SPEC_EXITED, 0, ANSWER_MSEC), "the sleeper's end");
	settle(&first.u.launch.execution);
	done(&first);
	done(&second);
}

void third_of_two(void)
{
	struct request sleepers[2] = { { .output = -1 }, { .output = -1 } };
	struct request r = { .output = -1 };

	for (size_t i = 0; i < LEN(sleepers); i++)
		sleeper_start(&sleepers[i]);
	launch_make(&r);
	must(transmit(&r), "launch");
	outcome(&r);
	done(&r);
	for (size_t i = 0; i < LEN(sleepers); i++) {
		kill_send(&sleepers[i].u.launch.execution);
		must(answered(SPEC_EXITED, 0, ANSWER_MSEC), "a sleeper's end");
		settle(&answer.exited.execution);
		done(&sleepers[i]);
	}
}

void signals(void)
{
	static const int32_t numbers[] = { 0, -1, SIGKILL, SIGSTOP, 65, INT32_MAX, INT32_MIN };
	struct request sleeper = { .output = -1 }, r = { .output = -1 };

	sleeper_start(&sleeper);
	head_make(&r, SPEC_SIGNAL, sizeof(r.u.signal));
	r.u.signal.execution = sleeper.u.launch.execution;
	for (size_t i = 0; i < LEN(numbers); i++) {
		r.u.signal.signal = numbers[i];
		must(transmit(&r), "signal");
	}
	r.u.signal.signal = SIGTERM;
	r.u.signal.execution = nobody;
	must(transmit(&r), "signal");
	say(answered(SPEC_EXITED, 0, SILENCE_MSEC) ? "ended by it" : "runs on");
	kill_send(&sleeper.u.launch.execution);
	must(answered(SPEC_EXITED, 0, ANSWER_MSEC), "the sleeper's end");
	settle(&sleeper.u.launch.execution);
	done(&sleeper);
}

void remove_used(void)
{
	struct request r = { .output = -1 };

	launch_make(&r);
	args_set(&r,
	         "/bin/touch\0"
	         "/data/kept\0",
	         23, 2, SEALS);
	must(transmit(&r), "launch");
	outcome(&r);
	done(&r);
	say("; ");
	remove_make(&r);
	must(transmit(&r), "remove");
	outcome(&r);
	launch_make(&r);
	args_set(&r,
	         "/bin/rm\0"
	         "/data/kept\0",
	         20, 2, SEALS);
	must(transmit(&r), "launch");
	say("; ");
	outcome(&r);
	done(&r);
}

/* One tenant after the other until there are no slots, then none of them again. */
void tenants_flood(void)
{
	struct request r = { .output = -1 };
	int made = 0;

	for (int i = 0; i < 100; i++) {
		apply_make(&r);
		r.u.apply.tenant = (struct id){ { 0xf1, (uint8_t)i } };
		(void)snprintf(r.u.apply.name, sizeof(r.u.apply.name), "flood%d", i);
		must(transmit(&r), "apply");
		done(&r);
		must(answered(SPEC_REPLY, r.u.head.serial, ANSWER_MSEC), "reply");
		if (answer.reply.error.code != TN_OK)
			break;
		made++;
	}
	say("%s: %s", made < 100 ? "bounded" : "endless", answer.reply.error.msg);
	for (int i = 0; i < made; i++) {
		remove_make(&r);
		r.u.remove.tenant = (struct id){ { 0xf1, (uint8_t)i } };
		must(transmit(&r) && answered(SPEC_REPLY, r.u.head.serial, ANSWER_MSEC) &&
		             answer.reply.error.code == TN_OK,
		     "take a tenant back");
	}
}

void unsettled_flood(void)
{
	const char *text = getenv("TN_ATTACK_FLOOD");
	const int wanted = text == NULL ? 30 : atoi(text);
	struct request r = { .output = -1 };
	int n;

	for (n = 0; n < wanted; n++) {
		launch_make(&r);
		/* Later ones of the same number, as there are but two bytes of it. */
		memcpy(r.u.launch.execution.bytes + 4, &n, sizeof(n));
		args_set(&r, "/bin/true\0", 11, 1, SEALS);
		must(transmit(&r), "launch");
		done(&r);
		if (!answered(SPEC_STARTED, r.u.head.serial, ANSWER_MSEC) ||
		    answer.started.error.code != TN_OK)
			break;
		must(answered(SPEC_EXITED, 0, ANSWER_MSEC), "an end");
	}
	say("%d left: %s", n, n < wanted ? answer.started.error.msg : "all taken");
	/* The next controller is told of all of them; settle what comes. */
}

/* Ask and never read: what cannot be sent waits in tenantd, which has a bound for it. */
void answers_unread(void)
{
	struct request r = { .output = -1 };

	remove_make(&r);
	r.u.remove.tenant = nobody;
	for (int i = 0; i < QUEUE_MESSAGES; i++)
		if (!transmit(&r))
			break;
	(void)sleep(5);
	say("lives on");
}
