/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "journal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include <base/clock.h>
#include <base/fd.h>
#include <base/log.h>

struct journal {
	struct store *store;
	const struct journal_handlers *handlers;
	void *userdata;
	int64_t window_usec;
	struct loop_source *timer;
	struct loop_source *idle;   /* no window for a while */
	struct loop_source *synced; /* the end of a sync */
	bool syncing;
	bool sync_again; /* more was booked meanwhile */
	struct record *pending;
	size_t pending_n;
	size_t pending_size;
	struct event events[JOURNAL_EVENTS_MAX];
	size_t events_n;
	bool failing;
	bool unbookable; /* the last attempt to book has failed */
	struct tn_error why;
	/* CLOCK_MONOTONIC of the first that waits to be booked, to be synced, and for the end
	 * of the sync under way; 0: none. */
	int64_t unbooked_since;
	int64_t unsynced_since;
	int64_t syncing_since;
};

static int64_t earlier(int64_t a, int64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

static int id_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct id));
}

/* The tenants of exited records, each once. Returns their number. */
static size_t journal_tenants(const struct journal *journal, struct id *tenants)
{
	size_t all = 0;
	size_t n = 0;

	for (size_t i = 0; i < journal->pending_n; i++)
		if (journal->pending[i].state == RECORD_EXITED)
			tenants[all++] = journal->pending[i].tenant;
	qsort(tenants, all, sizeof(*tenants), id_compare);
	for (size_t i = 0; i < all; i++)
		if (n == 0 || !id_equal(&tenants[n - 1], &tenants[i]))
			tenants[n++] = tenants[i];
	return n;
}

/* A reading of each tenant in question; @extra instead of one of its tenant. */
static int journal_samples(struct journal *journal, const struct ledger_sample *extra,
                           struct ledger_sample **ret, size_t *ret_n, struct tn_error *err)
{
	cleanup_free struct id *tenants = calloc(journal->pending_n + 1, sizeof(*tenants));
	struct ledger_sample *samples;
	size_t tenants_n;
	size_t n = 0;

	if (tenants == NULL)
		return err_errno(err, "collect usage");
	tenants_n = journal_tenants(journal, tenants);
	samples = calloc(tenants_n + 1, sizeof(*samples));
	if (samples == NULL)
		return err_errno(err, "collect usage");
	if (extra != NULL)
		samples[n++] = *extra;
	for (size_t i = 0; i < tenants_n; i++)
		if (extra == NULL || !id_equal(&tenants[i], &extra->tenant))
			journal->handlers->sample(journal->userdata, &tenants[i],
			                          &samples[n++]);
	*ret = samples;
	*ret_n = n;
	return 0;
}

static int journal_put(struct journal *journal, const struct store_batch *batch,
                       struct tn_error *err)
{
	int r = journal->store->ops->book(journal->store, batch, err);

	for (size_t i = 0; r == 0 && i < batch->samples_n; i++)
		if (journal->handlers->booked != NULL)
			journal->handlers->booked(journal->userdata, &batch->samples[i]);
	return r;
}

static int journal_book(struct journal *journal, const struct ledger_sample *extra,
                        struct tn_error *err)
{
	cleanup_free struct ledger_sample *samples = NULL;
	struct store_batch batch = { .records = journal->pending,
		                     .records_n = journal->pending_n,
		                     .events = journal->events,
		                     .events_n = journal->events_n,
		                     .hour = journal->handlers->hour,
		                     .userdata = journal->userdata };
	int r = journal_samples(journal, extra, &samples, &batch.samples_n, err);

	if (r < 0)
		return r;
	batch.samples = samples;
	return journal_put(journal, &batch, err);
}

/* Once per change between working and failing, not once per attempt. */
static void journal_note(struct journal *journal, int r, const struct tn_error *err)
{
	const bool turned = journal->failing != (r < 0);

	/* That a sync ends well says nothing of what could not even be booked. */
	if (r == 0 && journal->unbookable)
		return;
	if (r < 0 && !journal->failing)
		log_event(LOG_ERR, "usage cannot be booked", LF_STR("error", err->msg), LF_END);
	if (r == 0 && journal->failing)
		log_event(LOG_NOTICE, "usage is booked again", LF_END);
	journal->failing = r < 0;
	if (r < 0) {
		journal->why = *err;
		loop_disarm(journal->timer);
		loop_arm(journal->timer, JOURNAL_RETRY_USEC);
	}
	if (turned && journal->handlers->turned != NULL)
		journal->handlers->turned(journal->userdata);
}

static void events_drop(struct journal *journal)
{
	while (journal->events_n > 0)
		event_done(&journal->events[--journal->events_n]);
}

int journal_commit(struct journal *journal, const struct ledger_sample *sample,
                   struct tn_error *err)
{
	size_t n = journal->pending_n;
	int r;

	if (n == 0 && journal->events_n == 0 && sample == NULL)
		return 0;
	r = journal_book(journal, sample, err);
	journal->unbookable = r < 0;
	if (r < 0) {
		journal_note(journal, r, err);
		return r;
	}
	for (size_t i = 0; i < n; i++)
		if (journal->pending[i].state == RECORD_EXITED)
			journal->handlers->settled(journal->userdata, &journal->pending[i]);
	journal->pending_n = 0;
	events_drop(journal);
	journal->unsynced_since = earlier(journal->unsynced_since, journal->unbooked_since);
	journal->unbooked_since = 0;
	/* A reading that was asked for is made durable in time like any other. */
	loop_arm(journal->timer, journal->window_usec);
	return 0;
}

int journal_looks(struct journal *journal, const struct ledger_sample *samples, size_t n,
                  struct tn_error *err)
{
	const struct store_batch batch = { .samples = samples,
		                           .samples_n = n,
		                           .hour = journal->handlers->hour,
		                           .userdata = journal->userdata };
	int r = journal_put(journal, &batch, err);

	if (r < 0) {
		journal->unbookable = true;
		journal_note(journal, r, err);
		return r;
	}
	if (journal->unsynced_since == 0)
		journal->unsynced_since = clock_usec(CLOCK_MONOTONIC);
	loop_arm(journal->timer, journal->window_usec);
	return 0;
}

static void journal_sync(struct journal *journal)
{
	struct tn_error err = { 0 };
	int r;

	if (journal->syncing) {
		journal->sync_again = true;
		return;
	}
	r = journal->store->ops->sync_begin(journal->store, &err);
	journal->syncing = r == 0;
	if (r >= 0) {
		journal->syncing_since = r == 0 ? journal->unsynced_since : 0;
		journal->unsynced_since = 0;
	}
	if (r != 0)
		journal_note(journal, r < 0 ? r : 0, &err);
}

static void journal_on_synced(void *userdata, uint32_t events)
{
	struct journal *journal = userdata;
	struct tn_error err = { 0 };
	int r = journal->store->ops->sync_end(journal->store, &err);

	(void)events;
	journal->syncing = false;
	if (r < 0)
		journal->unsynced_since = earlier(journal->unsynced_since,
		                                  journal->syncing_since);
	journal->syncing_since = 0;
	journal_note(journal, r, &err);
	if (r == 0 && journal->sync_again) {
		journal->sync_again = false;
		journal_sync(journal);
	}
}

static void journal_on_window(void *userdata, uint32_t events)
{
	struct journal *journal = userdata;
	struct tn_error err = { 0 };
	int r;

	(void)events;
	if (journal->failing && journal->store->ops->stale(journal->store)) {
		journal->handlers->stale(journal->userdata);
		return;
	}
	r = journal_commit(journal, NULL, &err);
	if (r < 0)
		return;
	if (journal->failing && !journal->syncing) {
		r = journal->store->ops->check(journal->store, &err);
		if (r < 0) {
			journal_note(journal, r, &err);
			return;
		}
	}
	journal_sync(journal);
	journal->store->ops->tidy(journal->store, false);
	loop_disarm(journal->idle);
	loop_arm(journal->idle, JOURNAL_IDLE_USEC);
}

static void journal_on_idle(void *userdata, uint32_t events)
{
	struct journal *journal = userdata;

	(void)events;
	journal->store->ops->tidy(journal->store, true);
}

static int journal_grow(struct journal *journal, struct tn_error *err)
{
	size_t size = journal->pending_size == 0 ? 64 : 2 * journal->pending_size;
	struct record *pending;

	if (journal->pending_n < journal->pending_size)
		return 0;
	if (journal->pending_n >= JOURNAL_PENDING_MAX)
		return err_set(err, TN_STATE, ENOBUFS, "too many records wait to be booked");
	pending = reallocarray(journal->pending, size, sizeof(*pending));
	if (pending == NULL)
		return err_errno(err, "keep a record");
	journal->pending = pending;
	journal->pending_size = size;
	return 0;
}

bool journal_tenant(const struct journal *journal, const struct id *id, struct id *ret_tenant)
{
	for (size_t i = 0; i < journal->pending_n; i++)
		if (id_equal(&journal->pending[i].id, id)) {
			*ret_tenant = journal->pending[i].tenant;
			return true;
		}
	return false;
}

bool journal_waits(const struct journal *journal, const struct id *id)
{
	for (size_t i = 0; i < journal->pending_n; i++)
		if (id_equal(&journal->pending[i].id, id))
			return true;
	return false;
}

int journal_add(struct journal *journal, const struct record *record, struct tn_error *err)
{
	int r = journal_grow(journal, err);

	if (r < 0)
		return r;
	journal->pending[journal->pending_n++] = *record;
	if (journal->unbooked_since == 0)
		journal->unbooked_since = clock_usec(CLOCK_MONOTONIC);
	loop_arm(journal->timer, journal->window_usec);
	return 0;
}

void journal_set_window(struct journal *journal, int64_t usec)
{
	journal->window_usec = usec;
}

int journal_tell(struct journal *journal, struct event *event, struct tn_error *err)
{
	if (journal->events_n == JOURNAL_EVENTS_MAX) {
		event_done(event);
		return err_set(err, TN_STATE, ENOBUFS, "too many events wait to be told");
	}
	journal->events[journal->events_n++] = *event;
	*event = (struct event){ 0 };
	if (journal->unbooked_since == 0)
		journal->unbooked_since = clock_usec(CLOCK_MONOTONIC);
	loop_arm(journal->timer, journal->window_usec);
	return 0;
}

void journal_booked(struct journal *journal)
{
	if (journal->unsynced_since == 0)
		journal->unsynced_since = clock_usec(CLOCK_MONOTONIC);
	loop_arm(journal->timer, journal->window_usec);
}

void journal_try(struct journal *journal)
{
	struct tn_error err = { 0 };
	int r = journal->store->ops->check(journal->store, &err);

	if (r < 0)
		journal_note(journal, r, &err);
}

int64_t journal_lag_usec(const struct journal *journal)
{
	int64_t since = earlier(earlier(journal->unbooked_since, journal->unsynced_since),
	                        journal->syncing_since);

	return since == 0 ? 0 : clock_usec(CLOCK_MONOTONIC) - since;
}

bool journal_failing(const struct journal *journal, const char **ret_why)
{
	if (journal->failing)
		*ret_why = journal->why.msg;
	return journal->failing;
}

int journal_new(struct journal **ret, struct loop *loop, struct store *store,
                const struct journal_handlers *handlers, void *userdata, struct tn_error *err)
{
	struct journal *journal = calloc(1, sizeof(*journal));
	struct policy_daemon defaults;
	int r;

	if (journal == NULL)
		return err_errno(err, "allocate the journal");
	journal->store = store;
	journal->handlers = handlers;
	journal->userdata = userdata;
	policy_daemon_reset(&defaults);
	journal->window_usec = defaults.settings.commit_window_usec;
	r = loop_timer(loop, (struct loop_handler){ journal_on_window, journal },
	               &journal->timer, err);
	if (r == 0)
		r = loop_timer(loop, (struct loop_handler){ journal_on_idle, journal },
		               &journal->idle, err);
	if (r == 0)
		r = loop_watch(loop, store->ops->sync_fd(store), EPOLLIN,
		               (struct loop_handler){ journal_on_synced, journal },
		               &journal->synced, err);
	if (r < 0) {
		(void)journal_free(journal);
		return r;
	}
	*ret = journal;
	return 0;
}

struct journal *journal_free(struct journal *journal)
{
	if (journal == NULL)
		return NULL;
	journal->timer = loop_source_free(journal->timer);
	journal->idle = loop_source_free(journal->idle);
	journal->synced = loop_source_free(journal->synced);
	events_drop(journal);
	free(journal->pending);
	free(journal);
	return NULL;
}
