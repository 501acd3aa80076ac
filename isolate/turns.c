/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "turns.h"

#include <assert.h>
#include <stdlib.h>

/* A tenant that has jobs waiting; it is in the list for as long as that. */
struct turn {
	struct turn *next;
	struct id tenant;
	struct turns_job *first, *last;
};

static void turn_append(struct turns *turns, struct turn *turn)
{
	turn->next = NULL;
	if (turns->last != NULL)
		turns->last->next = turn;
	else
		turns->first = turn;
	turns->last = turn;
}

/* @before: what stands before it, NULL at the head. */
static void turn_unlink(struct turns *turns, struct turn *turn, struct turn *before)
{
	if (before != NULL)
		before->next = turn->next;
	else
		turns->first = turn->next;
	if (turns->last == turn)
		turns->last = before;
}

static struct turn *turn_find(const struct turns *turns, const struct id *tenant,
                              struct turn **ret_before)
{
	struct turn *turn = turns->first;

	*ret_before = NULL;
	for (; turn != NULL && !id_equal(&turn->tenant, tenant); turn = turn->next)
		*ret_before = turn;
	return turn;
}

static struct turn *turn_of(struct turns *turns, const struct id *tenant)
{
	struct turn *before, *turn = turn_find(turns, tenant, &before);

	if (turn != NULL)
		return turn;
	turn = calloc(1, sizeof(*turn));
	if (turn == NULL)
		return NULL;
	turn->tenant = *tenant;
	turn_append(turns, turn);
	return turn;
}

static void job_append(struct turn *turn, struct turns_job *job)
{
	job->next = NULL;
	if (turn->last != NULL)
		turn->last->next = job;
	else
		turn->first = job;
	turn->last = job;
}

bool turns_add(struct turns *turns, const struct id *tenant, struct turns_job *job)
{
	struct turn *turn = turn_of(turns, tenant);

	if (turn == NULL)
		return false;
	job_append(turn, job);
	turns->launches_n += job->drop != NULL;
	return true;
}

/* One of @turn out of its jobs; the tenant then has its turn after all others. */
static void job_take(struct turns *turns, struct turn *turn, struct turn *before,
                     struct turns_job *job)
{
	struct turns_job **at = &turn->first;

	turn->last = NULL;
	while (*at != job) {
		turn->last = *at;
		at = &(*at)->next;
	}
	*at = job->next;
	while (*at != NULL) {
		turn->last = *at;
		at = &(*at)->next;
	}
	turn_unlink(turns, turn, before);
	if (turn->first != NULL)
		turn_append(turns, turn);
	else
		free(turn);
	turns->launches_n -= job->drop != NULL;
}

/* Its first job that need not wait; where one is held, so are all of its kind after it. */
static struct turns_job *job_ready(const struct turn *turn)
{
	bool held = false;

	for (struct turns_job *job = turn->first; job != NULL; job = job->next) {
		if (job->is_held == NULL)
			return job;
		if (held)
			continue;
		held = job->is_held(job->context);
		if (!held)
			return job;
	}
	return NULL;
}

bool turns_run(struct turns *turns)
{
	struct turn *before = NULL;

	for (struct turn *turn = turns->first; turn != NULL; before = turn, turn = turn->next) {
		struct turns_job *job = job_ready(turn);

		if (job == NULL)
			continue;
		job_take(turns, turn, before, job);
		job->run(job->context);
		return true;
	}
	return false;
}

void turns_run_held(struct turns *turns)
{
	struct turns_job *job;

	if (turns_run(turns))
		return;
	assert(turns->first != NULL);
	job = turns->first->first;
	job_take(turns, turns->first, NULL, job);
	job->run(job->context);
}

void turns_run_all_of(struct turns *turns, const struct id *tenant)
{
	const struct id of = *tenant;
	struct turn *before, *turn;

	while ((turn = turn_find(turns, &of, &before)) != NULL) {
		struct turns_job *job = turn->first;

		job_take(turns, turn, before, job);
		job->run(job->context);
	}
}

struct turns_job *turns_take(struct turns *turns, const struct id *execution)
{
	struct turn *before = NULL;

	for (struct turn *turn = turns->first; turn != NULL; before = turn, turn = turn->next)
		for (struct turns_job *job = turn->first; job != NULL; job = job->next) {
			if (job->drop == NULL || !id_equal(&job->execution, execution))
				continue;
			job_take(turns, turn, before, job);
			return job;
		}
	return NULL;
}

bool turns_tenant_of(const struct turns *turns, const struct id *execution, struct id *ret)
{
	for (const struct turn *turn = turns->first; turn != NULL; turn = turn->next)
		for (const struct turns_job *job = turn->first; job != NULL; job = job->next)
			if (id_equal(&job->execution, execution)) {
				*ret = turn->tenant;
				return true;
			}
	return false;
}

/* Take them all out, and put back what stays. */
static void turn_drop(struct turn *turn)
{
	struct turns_job *job = turn->first;

	turn->first = turn->last = NULL;
	while (job != NULL) {
		struct turns_job *next = job->next;

		if (job->drop == NULL)
			job_append(turn, job);
		else
			job->drop(job->context);
		job = next;
	}
}

void turns_drop(struct turns *turns)
{
	struct turn *turn = turns->first;

	turns->first = turns->last = NULL;
	turns->launches_n = 0;
	while (turn != NULL) {
		struct turn *next = turn->next;

		turn_drop(turn);
		if (turn->first != NULL)
			turn_append(turns, turn);
		else
			free(turn);
		turn = next;
	}
}
