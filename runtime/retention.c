/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "retention.h"

#include <stdlib.h>
#include <time.h>

#include <base/clock.h>
#include <base/log.h>

struct retention {
	struct retention_config config;
	struct loop_source *timer;
	int64_t executions_usec;
	int64_t events_usec;
	bool failing;
};

/* Its log first: one that is left behind would stay for ever. */
static void on_pruned(void *userdata, const struct id *tenant, const struct id *id)
{
	const struct retention *retention = userdata;

	logbook_drop(retention->config.logbook, tenant, id);
}

/* Once per change between working and failing, not once per attempt. */
static void note(struct retention *retention, int r, const struct tn_error *err)
{
	if (r < 0 && !retention->failing)
		log_event(LOG_ERR, "what is past cannot be forgotten",
		          LF_STR("error", err->msg), LF_END);
	retention->failing = r < 0;
}

/* The end of what is past by that time, or 0: nothing is. */
static int64_t past(int64_t usec)
{
	const int64_t now = clock_usec(CLOCK_REALTIME);

	return usec == POLICY_UNLIMITED || usec >= now ? 0 : now - usec;
}

/* 1 if there may be more. */
static int prune(struct retention *retention, struct tn_error *err)
{
	struct store *store = retention->config.store;
	const int64_t executions = past(retention->executions_usec);
	const int64_t events = past(retention->events_usec);
	int r = 0, also = 0, keys = 0;

	if (executions > 0)
		r = store->ops->prune(store, executions, RETENTION_BATCH, on_pruned, retention,
		                      err);
	if (r >= 0 && events > 0)
		also = store->ops->events_prune(store, events, RETENTION_BATCH, err);
	/* How long these are kept is a promise of the interface and no setting. */
	if (r >= 0 && also >= 0)
		keys = store->ops->metering_keys_prune(store, past(METERING_KEY_USEC),
		                                       RETENTION_BATCH, err);
	store->ops->tidy(store, r == 0 && also == 0 && keys == 0);
	if (r < 0 || also < 0 || keys < 0)
		return r < 0 ? r : also < 0 ? also : keys;
	return r == 1 || also == RETENTION_BATCH || keys == 1;
}

static void on_turn(void *userdata, uint32_t events)
{
	struct retention *retention = userdata;
	struct tn_error err = { 0 };
	int r = prune(retention, &err);

	(void)events;
	note(retention, r, &err);
	loop_arm(retention->timer, r == 1 ? RETENTION_PAUSE_USEC : RETENTION_EVERY_USEC);
}

int retention_new(struct retention **ret, const struct retention_config *config,
                  struct tn_error *err)
{
	struct retention *retention = calloc(1, sizeof(*retention));
	int r;

	if (retention == NULL)
		return err_errno(err, "allocate the retention");
	retention->config = *config;
	retention->executions_usec = retention->events_usec = POLICY_UNLIMITED;
	r = loop_timer(config->loop, (struct loop_handler){ on_turn, retention },
	               &retention->timer, err);
	if (r < 0) {
		free(retention);
		return r;
	}
	loop_when_idle(retention->timer);
	*ret = retention;
	return 0;
}

struct retention *retention_free(struct retention *retention)
{
	if (retention == NULL)
		return NULL;
	retention->timer = loop_source_free(retention->timer);
	free(retention);
	return NULL;
}

void retention_set(struct retention *retention, const struct policy_daemon_settings *settings)
{
	retention->executions_usec = settings->retention_executions_usec;
	retention->events_usec = settings->retention_events_usec;
	/* What is past by a shorter time now need not wait for the next look. */
	loop_disarm(retention->timer);
	loop_arm(retention->timer, RETENTION_PAUSE_USEC);
}
