/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onboard NAME TIER: make a tenant, or find it if it is there; run its first command; say
 * what it has used, and who else is there.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tenant/client.h>
#include <tenant/run.h>

/* A tenant of that name is as good as a new one. *ret is for tn_tenant_done(). */
static int create(struct tn_client *client, const char *name, const char *tier,
                  struct tn_tenant *ret, struct tn_error *err)
{
	const struct tn_pair metadata[] = { { "made-by", "onboard" } };
	const struct tn_tenant_spec spec = {
		.name = name,
		.tier = tier,
		.metadata = metadata,
		.metadata_n = 1,
	};
	int r = tn_tenant_create(client, &spec, ret, err);

	if (r < 0 && err->code == TN_EXISTS)
		r = tn_tenant_get(client, name, ret, err);
	return r;
}

/* Our own standard streams are the command's. */
static int greet(const struct tn_client *client, const char *name, struct tn_error *err)
{
	const char *const command[] = { "sh", "-c", "echo hello from $TENANT", NULL };
	struct tn_run_spec spec = TN_RUN_SPEC_INIT;
	struct tn_run *run;
	int r;

	spec.tenant = name;
	spec.argv = command;
	r = tn_run(client, &spec, &run, err);
	if (r < 0)
		return r;
	if (tn_run_execution(run)->reason != TN_REASON_EXITED)
		fprintf(stderr, "the command did not end by itself: %s\n",
		        tn_run_explanation(run));
	tn_run_free(run);
	return 0;
}

static int count(const struct tn_execution *execution, void *userdata)
{
	int *n = userdata;

	(void)execution;
	++*n;
	return 0;
}

static int show_usage(struct tn_client *client, const char *name, struct tn_error *err)
{
	int executions = 0;
	const struct tn_usage_query query = {
		.tenant = name,
		.since = TN_ABSENT,
		.until = TN_ABSENT,
		.each = count,
		.userdata = &executions,
	};
	struct tn_usage usage;
	int r = tn_usage(client, &query, &usage, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < usage.meters.n; i++)
		if (strcmp(usage.meters.items[i].name, "cpu_time") == 0)
			printf("%s has used %" PRId64 " ms of CPU time in %d execution%s\n",
			       name, usage.meters.items[i].amount / 1000, executions,
			       executions == 1 ? "" : "s");
	tn_usage_done(&usage);
	return 0;
}

static int show_name(const struct tn_tenant *tenant, void *userdata)
{
	const char *self = userdata;

	if (strcmp(tenant->name, self) != 0)
		printf("beside it there is %s of tier %s\n", tenant->name, tenant->tier);
	return 0;
}

static int onboard(struct tn_client *client, char *name, const char *tier, struct tn_error *err)
{
	struct tn_tenant tenant;
	int r = create(client, name, tier, &tenant, err);

	if (r < 0)
		return r;
	printf("%s (%s) of tier %s lives in %s\n", tenant.name, tenant.id, tenant.tier,
	       tenant.cgroup);
	(void)fflush(stdout); /* before the command writes there */
	tn_tenant_done(&tenant);

	r = greet(client, name, err);
	if (r == 0)
		r = show_usage(client, name, err);
	if (r == 0)
		r = tn_tenant_list(client, NULL, show_name, name, err);
	return r;
}

int main(int argc, char **argv)
{
	struct tn_client *client;
	struct tn_error err;
	int r;

	if (argc != 3) {
		fprintf(stderr, "usage: onboard NAME TIER\n");
		return 2;
	}
	r = tn_client_open(NULL, &client, &err);
	if (r == 0) {
		r = onboard(client, argv[1], argv[2], &err);
		tn_client_free(client);
	}
	if (r < 0) {
		fprintf(stderr, "onboard: %s\n", err.msg);
		return tn_error_exit_status(err.code);
	}
	return 0;
}
