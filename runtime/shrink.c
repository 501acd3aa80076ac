/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shrink.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <base/clock.h>
#include <base/fd.h>
#include <base/io.h>
#include <base/num.h>
#include <policy/units.h>

#include "plan.h"

#define MIB (INT64_C(1) << 20)
/* What is there to take back is taken within milliseconds; what has to be freed, takes its
 * time. */
#define LOOK_USEC 20000
/* Above memory.high a tenant is slowed down more and more. So it is squeezed to less than the
 * new limit, and cannot jump over that between our look and the write. */
#define MARGIN_PART      16
#define MARGIN_BYTES_MAX (16 * MIB)
#define PATH_BYTES_MAX   (NAME_BYTES_MAX + sizeof("/memory.current"))
#define PLACE_BYTES_MAX  (POLICY_FILE_BYTES_MAX + 32)

#define LIMIT_INDEX(field) (offsetof(struct policy_limits, field) / sizeof(int64_t))

struct shrink {
	struct shrink_config config;
	struct tenant *tenant;
	int64_t bytes_max;
	int64_t deadline_usec; /* CLOCK_MONOTONIC */
	char max_text[PLAN_VALUE_BYTES_MAX];
	char grace_text[PLAN_VALUE_BYTES_MAX];
	char place[PLACE_BYTES_MAX]; /* of the limit: "tiers/free.yaml:4:3" */
	bool squeezed;
	struct loop_source *timer;
	shrink_done_fn *done;
	void *userdata;
};

/* RECORD_ABSENT if the kernel does not say. */
static int64_t use_read(int root_fd, const char *tenant)
{
	char path[PATH_BYTES_MAX], text[32];
	int64_t used;

	(void)snprintf(path, sizeof(path), "%s/memory.current", tenant);
	if (root_fd < 0 || io_read_file_at(root_fd, path, text, sizeof(text)) < 1)
		return RECORD_ABSENT;
	text[strcspn(text, "\n")] = '\0';
	return num_parse(text, INT64_MAX, &used) < 0 ? RECORD_ABSENT : used;
}

int shrink_needed(int root_fd, const struct tenant_row *row, const struct policy_tier *tier,
                  int64_t *ret_used)
{
	/* Under a name that is free there may be another's. */
	const int64_t used = row->status == TENANT_DELETED ? RECORD_ABSENT
	                                                   : use_read(root_fd, row->name);

	if (used <= tier->limits.memory_max_bytes)
		return 0;
	*ret_used = used;
	return 1;
}

static void shrink_end(struct shrink *shrink, const struct tn_error *err)
{
	loop_disarm(shrink->timer);
	shrink->done(shrink->userdata, err);
}

/* Up to whole MiB: it is a figure to look at. */
static void used_format(int64_t used, char text[static UNITS_TEXT_BYTES_MAX])
{
	units_bytes_format((used + MIB - 1) / MIB * MIB, text, UNITS_TEXT_BYTES_MAX);
}

static void shrink_refuse(struct shrink *shrink, int64_t used)
{
	char used_text[UNITS_TEXT_BYTES_MAX];
	struct tn_error err = { 0 };

	used_format(used, used_text);
	(void)err_refuse(
		&err, TN_STATE,
		"%s: tenant '%s': memory_max %s is below the %s in use; that was not "
		"given back within shrink_grace %s. --force sets it all the same, and the "
		"kernel kills",
		shrink->place, shrink->tenant->row.name, shrink->max_text, used_text,
		shrink->grace_text);
	shrink_end(shrink, &err);
}

static int squeeze_send(struct shrink *shrink, struct tn_error *err);

static void look(struct shrink *shrink)
{
	const int64_t used = use_read(shrink->config.root_fd, shrink->tenant->row.name);
	struct tn_error err = { 0 };

	if (used <= shrink->bytes_max)
		shrink_end(shrink, NULL);
	else if (clock_usec(CLOCK_MONOTONIC) >= shrink->deadline_usec)
		shrink_refuse(shrink, used);
	else if (shrink->squeezed)
		loop_arm(shrink->timer, LOOK_USEC);
	else if (squeeze_send(shrink, &err) < 0)
		shrink_end(shrink, &err);
}

static void on_look(void *userdata, uint32_t events)
{
	(void)events;
	look(userdata);
}

static void on_squeezed(void *userdata, const struct spec_reply *reply)
{
	struct shrink *shrink = userdata;
	struct tn_error err = { 0 };
	const int r = tenants_reply_check(reply, &err);

	/* The end of a squeeze before this one is not over yet. */
	if (r == -EBUSY) {
		loop_arm(shrink->timer, LOOK_USEC);
		return;
	}
	if (r < 0) {
		shrink_end(shrink, &err);
		return;
	}
	shrink->squeezed = true;
	look(shrink);
}

static int squeeze_send(struct shrink *shrink, struct tn_error *err)
{
	const int64_t part = shrink->bytes_max / MARGIN_PART;
	struct spec_tenant_squeeze squeeze = {
		.tenant = shrink->tenant->row.id,
		.memory_high_bytes = shrink->bytes_max -
		                     (part < MARGIN_BYTES_MAX ? part : MARGIN_BYTES_MAX),
	};
	struct supervisor_request request = SUPERVISOR_REQUEST(SPEC_TENANT_SQUEEZE, &squeeze);

	return supervisor_ask(shrink->config.link, &request, on_squeezed, shrink, err);
}

int shrink_begin(struct shrink **ret, const struct shrink_config *config, struct tenant *tenant,
                 const struct policy_tier *tier, shrink_done_fn *done, void *userdata,
                 struct tn_error *err)
{
	struct shrink *shrink = calloc(1, sizeof(*shrink));
	int r;

	if (shrink == NULL)
		return err_errno(err, "memory of tenant '%s'", tenant->row.name);
	*shrink = (struct shrink){ .config = *config,
		                   .tenant = tenant,
		                   .bytes_max = tier->limits.memory_max_bytes,
		                   .deadline_usec = clock_usec(CLOCK_MONOTONIC) +
		                                    tier->limits.shrink_grace_usec,
		                   .done = done,
		                   .userdata = userdata };
	policy_limit_text(tier, LIMIT_INDEX(memory_max_bytes), shrink->max_text,
	                  sizeof(shrink->max_text));
	policy_limit_text(tier, LIMIT_INDEX(shrink_grace_usec), shrink->grace_text,
	                  sizeof(shrink->grace_text));
	policy_place(tier, &tier->where[LIMIT_INDEX(memory_max_bytes)], shrink->place,
	             sizeof(shrink->place));
	r = loop_timer(config->loop, (struct loop_handler){ on_look, shrink }, &shrink->timer,
	               err);
	/* Where tenantd has not heard of the tenant yet, it does before. */
	if (r == 0)
		r = tenants_apply(config->tenants, tenant, err);
	if (r == 0)
		r = squeeze_send(shrink, err);
	if (r < 0) {
		(void)shrink_free(shrink);
		return r;
	}
	*ret = shrink;
	return 0;
}

void shrink_again(struct shrink *shrink)
{
	loop_arm(shrink->timer, LOOK_USEC);
}

struct shrink *shrink_free(struct shrink *shrink)
{
	if (shrink == NULL)
		return NULL;
	shrink->timer = loop_source_free(shrink->timer);
	free(shrink);
	return NULL;
}
