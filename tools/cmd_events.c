/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tenantctl events: what has happened, a line each, as it comes. Whoever follows goes on with
 * the next daemon where the last one went away.
 */
#include "cmd.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include <tenant/event.h>

#include <base/clock.h>
#include <base/err.h>

#include "output.h"

#define AGAIN_NSEC  100000000
#define AGAIN_MAX   150                /* 15 s without a daemon */
#define SERVED_USEC CLOCK_USEC_PER_SEC /* so long that there was one */

struct printing {
	struct ctl *ctl;
	struct tn_event_query query;
	int again; /* how often in vain, one after the other */
};

static const char *value_of(const struct tn_pairs *pairs, const char *key)
{
	for (size_t i = 0; i < pairs->n; i++)
		if (strcmp(pairs->items[i].key, key) == 0)
			return pairs->items[i].value;
	return NULL;
}

static void put_change(const char *key, const char *before, const char *after)
{
	(void)fputs("  ", stdout);
	output_text(stdout, key);
	(void)putchar('=');
	if (before != NULL) {
		output_text(stdout, before);
		(void)fputs("->", stdout);
	}
	output_text(stdout, after != NULL ? after : "");
}

static void put_values(const struct tn_event *event)
{
	for (size_t i = 0; i < event->after.n; i++)
		put_change(event->after.items[i].key,
		           value_of(&event->before, event->after.items[i].key),
		           event->after.items[i].value);
	for (size_t i = 0; i < event->before.n; i++)
		if (value_of(&event->after, event->before.items[i].key) == NULL)
			put_change(event->before.items[i].key, event->before.items[i].value,
			           NULL);
}

static void put_actor(const struct tn_event *event)
{
	if (event->actor_uid == TN_ABSENT)
		return;
	(void)printf("  by uid %" PRId64, event->actor_uid);
	if (event->actor_login_uid != TN_ABSENT && event->actor_login_uid != event->actor_uid)
		(void)printf(" (login %" PRId64 ")", event->actor_login_uid);
	if (event->actor_pid != TN_ABSENT)
		(void)printf(" pid %" PRId64, event->actor_pid);
}

static void as_line(const struct tn_event *event)
{
	char cell[OUTPUT_CELL_BYTES_MAX];

	(void)printf("%" PRId64 "  %s  ", event->seq, output_instant(event->at, cell));
	output_text(stdout, event->kind);
	if (event->tenant != NULL) {
		(void)fputs("  ", stdout);
		output_text(stdout, event->tenant);
	}
	if (event->execution != NULL) {
		(void)fputs("  ", stdout);
		output_text(stdout, event->execution);
	}
	if (event->reason != NULL) {
		(void)fputs("  (", stdout);
		output_text(stdout, event->reason);
		(void)putchar(')');
	}
	put_values(event);
	put_actor(event);
	(void)putchar('\n');
}

static int print(const struct tn_event *event, void *userdata)
{
	struct printing *printing = userdata;

	printing->query.since = event->seq;
	if (printing->ctl->json)
		output_json(stdout, tn_event_fields(), event);
	else
		as_line(event);
	/* Whoever follows waits for it; and one who went away ends the list. */
	return printing->query.follow && fflush(stdout) != 0;
}

static void say_missed(int64_t kept_from, void *userdata)
{
	(void)userdata;
	(void)fprintf(stderr, "tenantctl: events before %" PRId64 " are not kept any more\n",
	              kept_from);
}

/* True once there may be a daemon again. @since: when the last one was asked. */
static bool wait_again(struct printing *printing, int64_t since)
{
	const struct timespec pause = { .tv_nsec = AGAIN_NSEC };

	if (clock_usec(CLOCK_MONOTONIC) - since > SERVED_USEC)
		printing->again = 0;
	if (!printing->query.follow || printing->again == AGAIN_MAX)
		return false;
	printing->again++;
	(void)nanosleep(&pause, NULL);
	return true;
}

int cmd_events(struct ctl *ctl, struct tn_error *err)
{
	struct printing printing = {
		.ctl = ctl,
		.query = { .since = ctl->since,
		           .tenant = ctl->operands_n > 0 ? ctl->operands[0] : NULL,
		           .follow = ctl->follow,
		           .each = print,
		           .missed = say_missed },
	};
	int64_t since;
	int r;

	printing.query.userdata = &printing;
	do {
		since = clock_usec(CLOCK_MONOTONIC);
		r = tn_event_list(ctl->client, &printing.query, err);
	} while (r < 0 && err->code == TN_UNREACHABLE && wait_again(&printing, since));
	return r;
}
