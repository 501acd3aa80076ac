/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmd.h"

#include "output.h"

/* The exit status for monitors. */
#define STATUS_DEGRADED 1

static void print_status(const struct tn_status *status)
{
	char uptime[OUTPUT_CELL_BYTES_MAX], store[OUTPUT_CELL_BYTES_MAX];
	char lag[OUTPUT_CELL_BYTES_MAX], drained[OUTPUT_CELL_BYTES_MAX];

	(void)printf("tenantd %s, up %s, %s\n", status->version,
	             output_duration(status->uptime_usec, uptime),
	             status->health == TN_HEALTH_OK ? "healthy" : "degraded");
	output_texts("degraded", &status->degraded);
	if (status->drained_at != TN_ABSENT)
		(void)printf("%-14s since %s, by uid %lld; it launches nothing\n", "drained",
		             output_instant(status->drained_at, drained),
		             (long long)status->drained_by);
	(void)printf("%-14s %s\n", "policy", status->policy_hash);
	(void)printf("%-14s %lld\n", "tenants", (long long)status->tenants);
	(void)printf("%-14s %lld\n", "running", (long long)status->executions);
	(void)printf("%-14s %s\n", "store", output_bytes(status->store_bytes, store));
	(void)printf("%-14s %s\n", "commit lag", output_duration(status->commit_lag_usec, lag));
	output_texts("not enforced", &status->unenforced);
}

int cmd_status(struct ctl *ctl, struct tn_error *err)
{
	struct tn_status status = { 0 };
	int r = tn_status_get(ctl->client, &status, err);

	if (r < 0)
		return r;
	if (ctl->json)
		output_json(stdout, tn_status_fields(), &status);
	else
		print_status(&status);
	r = status.health == TN_HEALTH_OK ? 0 : STATUS_DEGRADED;
	tn_status_done(&status);
	return r;
}

int cmd_drain(struct ctl *ctl, struct tn_error *err)
{
	struct jout out = { .file = stdout };
	int64_t running = 0;
	int r = tn_drain(ctl->client, ctl->wait, &running, err);

	if (r < 0)
		return r;
	if (ctl->json) {
		jout_begin(&out, NULL, '{');
		jout_int(&out, "running", running);
		jout_end(&out, '}');
		(void)putchar('\n');
	} else {
		(void)printf("drained; %lld running\n", (long long)running);
	}
	return 0;
}

int cmd_undrain(struct ctl *ctl, struct tn_error *err)
{
	int r = tn_undrain(ctl->client, err);

	if (r == 0)
		(void)puts(ctl->json ? "{}" : "launches again");
	return r;
}
