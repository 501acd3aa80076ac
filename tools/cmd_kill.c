/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tenantctl kill: ends executions, or sends them a signal, or first the one and, to those that
 * run on after a while, the other; that while is tenantd's to keep.
 */
#include "cmd.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>

#include <base/err.h>

#include "output.h"

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

/* What a name means may change while we are about it. */
static int target_find(const struct ctl *ctl, struct targets *targets, const char *operand,
                       struct tn_error *err)
{
	struct tn_execution execution = { 0 };
	int r = tn_execution_find(ctl->client, operand, &execution, err);

	if (r < 0)
		return r;
	(void)target_add(targets, execution.id);
	tn_execution_done(&execution);
	return 0;
}

static int targets_find(const struct ctl *ctl, struct targets *targets, struct tn_error *err)
{
	int r = 0;

	if (ctl->all_of == NULL)
		r = target_find(ctl, targets, ctl->operands[0], err);
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
	const int number = (int)ctl->signal;

	*ret_n = 0;
	for (size_t i = 0; i < targets->n; i++) {
		int r = tn_signal(ctl->client, targets->ids[i], number, err);

		if (r < 0 && (err->code != TN_NOT_FOUND || ctl->all_of == NULL))
			return r;
		*ret_n += r == 0;
	}
	return 0;
}

static int signal_listed(const struct ctl *ctl, int64_t *ret_signalled, struct tn_error *err)
{
	struct targets targets = { 0 };
	int r = targets_find(ctl, &targets, err);

	if (r == 0)
		r = signal_all(ctl, &targets, ret_signalled, err);
	targets_done(&targets);
	return r;
}

/* Wait for all of them. That tenantd kills who is late does not depend on it. */
static int count_killed(const struct ctl *ctl, const struct targets *targets,
                        int64_t *ret_killed, struct tn_error *err)
{
	for (size_t i = 0; i < targets->n; i++) {
		struct tn_execution execution = { 0 };
		int r = tn_wait(ctl->client, targets->ids[i], &execution, err);

		if (r < 0 && err->code != TN_NOT_FOUND)
			return r;
		*ret_killed += r == 0 && execution.reason == TN_REASON_KILLED;
		if (r == 0)
			tn_execution_done(&execution);
	}
	return 0;
}

static int kill_politely(const struct ctl *ctl, int64_t *ret_signalled, int64_t *ret_killed,
                         struct tn_error *err)
{
	const struct tn_grace grace = { ctl->grace_usec, (int)ctl->signal };
	struct targets targets = { 0 };
	int r = targets_find(ctl, &targets, err);

	assert(r < 0 || ctl->all_of != NULL || targets.ids != NULL);
	if (r == 0)
		r = tn_terminate(ctl->client, ctl->all_of == NULL ? targets.ids[0] : NULL,
		                 ctl->all_of, &grace, ret_signalled, err);
	if (r == 0)
		r = count_killed(ctl, &targets, ret_killed, err);
	targets_done(&targets);
	return r;
}

int cmd_kill(struct ctl *ctl, struct tn_error *err)
{
	const char *id = ctl->operands_n > 0 ? ctl->operands[0] : NULL;
	const bool graceful = ctl->grace_usec != TN_ABSENT;
	const bool at_once = ctl->signal == SIGKILL || (ctl->signal == 0 && !graceful) ||
	                     ctl->grace_usec == 0;
	struct jout out = { .file = stdout };
	int64_t killed = 0, signalled = 0;
	int r;

	if ((id == NULL) == (ctl->all_of == NULL))
		return err_refuse(err, TN_INVALID, "either an execution or --all TENANT");
	if (at_once)
		r = tn_kill(ctl->client, id, ctl->all_of, &killed, err);
	else if (graceful)
		r = kill_politely(ctl, &signalled, &killed, err);
	else
		r = signal_listed(ctl, &signalled, err);
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
	if (at_once || graceful)
		(void)printf("killed %lld\n", (long long)killed);
	return 0;
}
