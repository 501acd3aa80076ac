/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tenantctl kill: ends executions, or sends them a signal, or first the one and, to those that
 * run on after a while, the other.
 */
#include "cmd.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>

#include <base/clock.h>
#include <base/err.h>

#include "output.h"

#define USEC_PER_MSEC 1000
#define LOOK_USEC_MAX 3600000000

struct targets {
	char **ids;
	size_t n;
	bool no_memory;
};

static void targets_done(struct targets *targets)
{
	for (size_t i = 0; i < targets->n; i++)
		free(targets->ids[i]);
	free(targets->ids);
}

static int target_add(struct targets *targets, const char *id)
{
	char **grown = realloc(targets->ids, (targets->n + 1) * sizeof(*grown));

	if (grown != NULL) {
		targets->ids = grown;
		grown[targets->n] = strdup(id);
		if (grown[targets->n] != NULL) {
			targets->n++;
			return 0;
		}
	}
	targets->no_memory = true;
	return -1;
}

static int on_running(const struct tn_execution *execution, void *userdata)
{
	return target_add(userdata, execution->id);
}

static int targets_find(const struct ctl *ctl, struct targets *targets, struct tn_error *err)
{
	int r = 0;

	if (ctl->all_of == NULL)
		(void)target_add(targets, ctl->operands[0]);
	else
		r = tn_execution_list(ctl->client, ctl->all_of, false, on_running, targets,
		                      err);
	if (r == 0 && targets->no_memory)
		r = err_set(err, TN_SYSTEM, ENOMEM, "no memory for the executions");
	return r;
}

/* Of many, some will have ended since they were listed: no failure, unlike for one. */
static int signal_all(const struct ctl *ctl, const struct targets *targets, int64_t *ret_n,
                      struct tn_error *err)
{
	const int number = ctl->signal != 0 ? (int)ctl->signal : SIGTERM;

	*ret_n = 0;
	for (size_t i = 0; i < targets->n; i++) {
		int r = tn_signal(ctl->client, targets->ids[i], number, err);

		if (r < 0 && (err->code != TN_NOT_FOUND || ctl->all_of == NULL))
			return r;
		*ret_n += r == 0;
	}
	return 0;
}

/* Until there is something to be read, or @deadline has come: then false. */
static bool readable_by(const struct ctl *ctl, int64_t deadline)
{
	struct pollfd ready = { .fd = tn_client_fd(ctl->client),
		                .events = tn_client_events(ctl->client) };
	int64_t left = deadline - clock_usec(CLOCK_BOOTTIME);

	if (left > LOOK_USEC_MAX)
		left = LOOK_USEC_MAX;
	if (left <= 0)
		return false;
	/* Interrupted, as by SIGCONT, or early: it looks again. */
	(void)poll(&ready, 1, (int)(left / USEC_PER_MSEC) + 1);
	return true;
}

/* 1 if it has ended by @deadline, 0 if not. */
static int ended_by(const struct ctl *ctl, const char *id, int64_t deadline,
                    struct tn_error *err)
{
	struct tn_execution execution = { 0 };
	int r = tn_wait_start(ctl->client, id, &execution, err);

	while (r == 0) {
		if (!readable_by(ctl, deadline)) {
			tn_client_cancel(ctl->client);
			return 0;
		}
		r = tn_client_process(ctl->client, err);
	}
	tn_execution_done(&execution);
	return r;
}

/* How many had to be killed. */
static int kill_late(const struct ctl *ctl, const struct targets *targets, int64_t *ret_killed,
                     struct tn_error *err)
{
	int64_t deadline, one;

	if (__builtin_add_overflow(clock_usec(CLOCK_BOOTTIME), ctl->grace_usec, &deadline))
		deadline = INT64_MAX;
	for (size_t i = 0; i < targets->n; i++) {
		int r = ended_by(ctl, targets->ids[i], deadline, err);

		if (r == 0)
			r = tn_kill(ctl->client, targets->ids[i], NULL, &one, err);
		else if (r > 0)
			continue;
		if (r < 0 && err->code != TN_NOT_FOUND)
			return r;
		*ret_killed += r == 0;
	}
	return 0;
}

static int kill_politely(const struct ctl *ctl, int64_t *ret_signalled, int64_t *ret_killed,
                         struct tn_error *err)
{
	struct targets targets = { 0 };
	int r = targets_find(ctl, &targets, err);

	if (r == 0)
		r = signal_all(ctl, &targets, ret_signalled, err);
	if (r == 0 && ctl->grace_usec != TN_ABSENT)
		r = kill_late(ctl, &targets, ret_killed, err);
	targets_done(&targets);
	return r;
}

int cmd_kill(struct ctl *ctl, struct tn_error *err)
{
	const char *id = ctl->operands_n > 0 ? ctl->operands[0] : NULL;
	const bool at_once = ctl->signal == SIGKILL ||
	                     (ctl->signal == 0 && ctl->grace_usec == TN_ABSENT);
	struct jout out = { .file = stdout };
	int64_t killed = 0, signalled = 0;
	int r;

	if ((id == NULL) == (ctl->all_of == NULL))
		return err_refuse(err, TN_INVALID, "either an execution's ID or --all TENANT");
	r = at_once ? tn_kill(ctl->client, id, ctl->all_of, &killed, err)
	            : kill_politely(ctl, &signalled, &killed, err);
	if (r < 0)
		return r;
	if (ctl->json) {
		jout_begin(&out, NULL, '{');
		jout_int(&out, "killed", killed);
		if (!at_once)
			jout_int(&out, "signalled", signalled);
		jout_end(&out, '}');
		(void)putchar('\n');
		return 0;
	}
	if (!at_once)
		(void)printf("signalled %lld\n", (long long)signalled);
	if (at_once || ctl->grace_usec != TN_ABSENT)
		(void)printf("killed %lld\n", (long long)killed);
	return 0;
}
