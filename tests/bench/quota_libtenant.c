/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tenantd by libtenant, which has one call under way at a time. */
#include "quota.h"

#include <tenant/quota.h>

#include <err.h>
#include <stdlib.h>
#include <string.h>

struct target {
	struct tn_client *client;
	const struct target_options *options;
	char *tenants[SUBJECTS_MAX];
	const char *meters[SUBJECTS_MAX];
	struct tn_quota_answer answer;
};

const size_t target_flights_max = 1;

struct target *target_open(const struct target_options *options)
{
	struct target *target = calloc(1, sizeof(*target));
	struct tn_error error = { 0 };

	if (target == NULL)
		err(1, "calloc");
	target->options = options;
	for (size_t i = 0; i < options->subjects_n; i++) {
		char *slash;

		target->tenants[i] = strdup(options->subjects[i]);
		slash = target->tenants[i] != NULL ? strchr(target->tenants[i], '/') : NULL;
		if (slash == NULL)
			errx(2, "'%s' is not TENANT/METER", options->subjects[i]);
		*slash = '\0';
		target->meters[i] = slash + 1;
	}
	if (tn_client_open(options->address, &target->client, &error) < 0)
		errx(1, "%s", error.msg);
	return target;
}

void target_close(struct target *target)
{
	tn_client_free(target->client);
	for (size_t i = 0; i < target->options->subjects_n; i++)
		free(target->tenants[i]);
	free(target);
}

void target_queue(struct target *target, size_t i)
{
	const struct tn_quota_options options = { .durable = target->options->durable };
	struct tn_error error = { 0 };

	if (tn_quota_consume_start(target->client, target->tenants[i], target->meters[i], 1,
	                           &options, &target->answer, &error) < 0)
		errx(1, "consume: %s", error.msg);
}

/* It has been sent already. */
void target_flush(struct target *target)
{
	(void)target;
}

size_t target_take(struct target *target)
{
	struct tn_error error = { 0 };

	if (tn_client_wait(target->client, &error) < 0)
		errx(1, "consume: %s", error.msg);
	return 1;
}
