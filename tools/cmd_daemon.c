/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmd.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <base/fd.h>
#include <base/io.h>
#include <policy/policy.h>

#include "output.h"

#define TIER_FILE_BYTES_MAX (1 << 20)
/* The exit status for monitors. */
#define STATUS_DEGRADED 1

static void print_texts(const char *title, const struct tn_texts *texts)
{
	for (size_t i = 0; i < texts->n; i++)
		(void)printf("%-14s %s\n", i == 0 ? title : "", texts->items[i]);
}

static void print_status(const struct tn_status *status)
{
	char uptime[OUTPUT_CELL_BYTES_MAX], store[OUTPUT_CELL_BYTES_MAX];
	char lag[OUTPUT_CELL_BYTES_MAX], drained[OUTPUT_CELL_BYTES_MAX];

	(void)printf("tenantd %s, up %s, %s\n", status->version,
	             output_duration(status->uptime_usec, uptime),
	             status->health == TN_HEALTH_OK ? "healthy" : "degraded");
	print_texts("degraded", &status->degraded);
	if (status->drained_at != TN_ABSENT)
		(void)printf("%-14s since %s, by uid %lld; it launches nothing\n", "drained",
		             output_instant(status->drained_at, drained),
		             (long long)status->drained_by);
	(void)printf("%-14s %s\n", "policy", status->policy_hash);
	(void)printf("%-14s %lld\n", "tenants", (long long)status->tenants);
	(void)printf("%-14s %lld\n", "running", (long long)status->executions);
	(void)printf("%-14s %s\n", "store", output_bytes(status->store_bytes, store));
	(void)printf("%-14s %s\n", "commit lag", output_duration(status->commit_lag_usec, lag));
	print_texts("not enforced", &status->unenforced);
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

int cmd_policy_reload(struct ctl *ctl, struct tn_error *err)
{
	struct tn_policy policy = { 0 };
	int r = tn_policy_reload(ctl->client, &policy, err);

	if (r < 0)
		return r;
	if (ctl->json) {
		output_json(stdout, tn_policy_fields(), &policy);
	} else {
		(void)printf("policy %s\n", policy.policy_hash);
		print_texts("tiers", &policy.tiers);
	}
	tn_policy_done(&policy);
	return 0;
}

/* "…/NAME.d/FILE": it changes a tier, and only with that it can be said whether it is right. */
static bool is_dropin(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL && slash - path > 2 && strncmp(slash - 2, ".d", 2) == 0;
}

static int check_file(const char *path, struct tn_error *err)
{
	cleanup_free char *text = malloc(TIER_FILE_BYTES_MAX);
	cleanup_free struct policy_tier *tier = malloc(sizeof(*tier));
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return err_set(err, TN_NOT_FOUND, errno, "open %s: %s", path, strerror(errno));
	if (is_dropin(path))
		return err_refuse(
			err, TN_INVALID,
			"%s changes a tier and is checked with it; check the directory "
			"that holds tiers/",
			path);
	if (text == NULL || tier == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "no memory for %s", path);
	n = io_read_all(fd, text, TIER_FILE_BYTES_MAX);
	if (n < 0)
		return err_set(err, TN_SYSTEM, (int)-n, "read %s: %s", path, strerror((int)-n));
	if (n == TIER_FILE_BYTES_MAX)
		return err_refuse(err, TN_INVALID, "%s: longer than 1 MiB", path);
	return policy_tier_parse(path, text, (size_t)n, tier, err);
}

/* Returns how many tiers there are. */
static int check_directory(const char *path, struct tn_error *err)
{
	struct policy *policy;
	size_t n = 0;
	int r = policy_load(path, &policy, err);

	if (r < 0)
		return r;
	while (policy_tier_at(policy, n) != NULL)
		n++;
	policy_free(policy);
	return (int)n;
}

/* What the daemon would say to these files, without one. */
int cmd_policy_check(struct ctl *ctl, struct tn_error *err)
{
	const char *path = ctl->operands_n > 0 ? ctl->operands[0] : CONFIG_DIR;
	struct jout out = { .file = stdout };
	struct stat st;
	int r;

	if (stat(path, &st) < 0)
		return err_set(err, TN_NOT_FOUND, errno, "%s: %s", path, strerror(errno));
	r = S_ISDIR(st.st_mode) ? check_directory(path, err) : check_file(path, err);
	if (r < 0)
		return r;
	r = S_ISDIR(st.st_mode) ? r : 1;
	if (ctl->json) {
		jout_begin(&out, NULL, '{');
		jout_bool(&out, "ok", true);
		jout_int(&out, "tiers", r);
		jout_end(&out, '}');
		(void)putchar('\n');
	} else {
		(void)printf("ok: %d tier%s\n", r, r == 1 ? "" : "s");
	}
	return 0;
}
