/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events, and the transactions they are told in.
 *
 * A number is given within the transaction, as the next after the greatest: one that is rolled
 * back, or lost with the power, leaves no gap. For that the last row is never deleted, and for
 * nobody to see a number that may yet be lost and given again, a row can be read only when a
 * sync has ended that began after its commit.
 */
#include "sqlite.h"

#include <string.h>

#include <base/fd.h>

enum event_statement {
	EVENT_PUT,
	EVENT_NEXT,
	EVENT_NEXT_OF_TENANT,
	EVENT_LAST_RESTARTED,
	EVENT_LAST,
	EVENT_FIRST_SEQ,
	EVENT_LAST_SEQ,
	EVENT_PRUNE,
	EVENT_STATEMENTS_N,
};

#define COLUMNS                                                                                \
	"seq, at, kind, tenant, tenant_name, execution, actor_uid, actor_pid, "                \
	"actor_login_uid, reason, old_value, new_value"

static const char *const sql[EVENT_STATEMENTS_N] = {
	[EVENT_PUT] = "INSERT INTO events (" COLUMNS ") VALUES "
		      "(NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
	[EVENT_NEXT] = "SELECT " COLUMNS " FROM events WHERE seq > ?1 AND seq <= ?2 "
		       "ORDER BY seq LIMIT 1",
	[EVENT_NEXT_OF_TENANT] = "SELECT " COLUMNS " FROM events WHERE tenant = ?3 "
				 "AND seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT 1",
	[EVENT_LAST_RESTARTED] = "SELECT " COLUMNS " FROM events WHERE kind = 'restarted' "
				 "ORDER BY seq DESC LIMIT 1",
	[EVENT_LAST] = "SELECT " COLUMNS " FROM events WHERE kind = ?1 "
		       "ORDER BY seq DESC LIMIT 1",
	[EVENT_FIRST_SEQ] = "SELECT min(seq) FROM events",
	[EVENT_LAST_SEQ] = "SELECT max(seq) FROM events",
	/* However many there are, no more than ?2 are looked at. */
	[EVENT_PRUNE] = "DELETE FROM events WHERE seq < min("
			"(SELECT min(seq) + ?2 FROM events), (SELECT max(seq) FROM events), "
			"coalesce((SELECT seq FROM events WHERE at >= ?1 AND "
			"seq < (SELECT min(seq) + ?2 FROM events) ORDER BY seq LIMIT 1), "
			"(SELECT max(seq) FROM events)))",
};

static_assert(EVENT_STATEMENTS_N <= SQLITE_STATEMENTS_MAX, "room for every statement");

/* Of an aggregate; 0 where there is no row. */
static int seq_get(struct sqlite *sqlite, enum event_statement which, int64_t *ret,
                   struct tn_error *err)
{
	struct db_statement *s = sqlite->events[which];
	int r = db_row(s, DB_VALUES(DB_END), err);

	if (r < 0)
		return r;
	*ret = r == 1 && db_int(s, 0) != DB_NULL_INT ? db_int(s, 0) : 0;
	if (r == 1)
		db_done(s);
	return 0;
}

int sqlite_events_prepare(struct sqlite *sqlite, struct tn_error *err)
{
	struct tn_error ignored = { 0 };
	int r = db_prepare(sqlite->db, sql, EVENT_STATEMENTS_N, sqlite->events, err);

	if (r == 0)
		r = seq_get(sqlite, EVENT_LAST_SEQ, &sqlite->events_last, err);
	/* What was accepted before us may not be durable yet; a disk that cannot do that now
	 * is asked again. */
	if (r == 0 && db_sync(sqlite->db, &ignored) == 0)
		sqlite->events_durable = sqlite->events_last;
	return r;
}

int sqlite_begin(struct sqlite *sqlite, struct tn_error *err)
{
	sqlite->events_put = sqlite->durable = false;
	return db_begin(sqlite->db, err);
}

int sqlite_begin_durable(struct sqlite *sqlite, struct tn_error *err)
{
	sqlite->events_put = false;
	sqlite->durable = true;
	return db_begin_durable(sqlite->db, err);
}

static void durable_to(struct sqlite *sqlite, int64_t seq)
{
	if (seq <= sqlite->events_durable)
		return;
	sqlite->events_durable = seq;
	if (sqlite->store.on_events != NULL)
		sqlite->store.on_events(sqlite->store.on_events_userdata);
}

int sqlite_end(struct sqlite *sqlite, int r, struct tn_error *err)
{
	struct tn_error ignored = { 0 };

	if (r >= 0)
		r = db_commit(sqlite->db, err);
	if (r < 0) {
		db_rollback(sqlite->db);
		return r;
	}
	/* Without its number it is found by the next that has one. */
	if (sqlite->events_put)
		(void)seq_get(sqlite, EVENT_LAST_SEQ, &sqlite->events_last, &ignored);
	/* With it all that was accepted before. */
	if (sqlite->durable)
		durable_to(sqlite, sqlite->events_last);
	return 0;
}

int sqlite_sync(struct store *store, struct tn_error *err)
{
	struct sqlite *sqlite = sqlite_of(store);
	int r = db_sync(sqlite->db, err);

	if (r == 0)
		durable_to(sqlite, sqlite->events_last);
	return r;
}

int sqlite_sync_begin(struct store *store, struct tn_error *err)
{
	struct sqlite *sqlite = sqlite_of(store);
	const int64_t last = sqlite->events_last;
	int r = db_sync_begin(sqlite->db, err);

	if (r == 0)
		sqlite->events_syncing = last;
	if (r == 1)
		durable_to(sqlite, last);
	return r;
}

int sqlite_sync_end(struct store *store, struct tn_error *err)
{
	struct sqlite *sqlite = sqlite_of(store);
	int r = db_sync_end(sqlite->db, err);

	if (r == 0)
		durable_to(sqlite, sqlite->events_syncing);
	return r;
}

int sqlite_event_put(struct sqlite *sqlite, const struct event *event, struct tn_error *err)
{
	char tenant[ID_TEXT_BYTES], execution[ID_TEXT_BYTES];
	int r;

	if (event == NULL)
		return 0;
	id_format(&event->tenant, tenant);
	id_format(&event->execution, execution);
	r = db_run(sqlite->events[EVENT_PUT],
	           DB_VALUES(DB_INT(event->at), DB_TEXT(event_kind_row(event->kind)->name),
	                     DB_TEXT(event->of_tenant ? tenant : NULL),
	                     DB_TEXT(event->of_tenant ? event->tenant_name : NULL),
	                     DB_TEXT(event->of_execution ? execution : NULL),
	                     DB_INT(event->actor.uid), DB_INT(event->actor.pid),
	                     DB_INT(event->actor.login_uid),
	                     DB_TEXT(event->reason[0] != '\0' ? event->reason : NULL),
	                     DB_TEXT(event->before), DB_TEXT(event->after)),
	           err);
	if (r < 0)
		return err_wrap(err, r, "event '%s'", event_kind_row(event->kind)->name);
	sqlite->events_put = true;
	return 0;
}

int sqlite_event_tell(struct store *store, const struct event *event, struct tn_error *err)
{
	struct sqlite *sqlite = sqlite_of(store);
	int r = sqlite_begin(sqlite, err);

	if (r < 0)
		return r;
	r = sqlite_end(sqlite, sqlite_event_put(sqlite, event, err), err);
	return r < 0 ? r : sqlite_sync(store, err);
}

static int text_take(const struct db_statement *s, int column, char **ret, struct tn_error *err)
{
	const char *text = db_text_borrow(s, column);

	if (text == NULL)
		return 0;
	*ret = strdup(text);
	return *ret != NULL ? 0 : err_set(err, TN_SYSTEM, ENOMEM, "read an event");
}

/* 1 and *@ret, or -errno. */
static int event_read(const struct db_statement *s, struct event *ret, struct tn_error *err)
{
	char kind[STORE_TEXT_BYTES_MAX], tenant[ID_TEXT_BYTES], execution[ID_TEXT_BYTES];
	struct event event = { .seq = db_int(s, 0),
		               .at = db_int(s, 1),
		               .of_tenant = db_text_borrow(s, 3) != NULL,
		               .of_execution = db_text_borrow(s, 5) != NULL,
		               .actor = { db_int(s, 6), db_int(s, 7), db_int(s, 8) } };
	int r;

	db_text(s, 2, kind, sizeof(kind));
	db_text(s, 3, tenant, sizeof(tenant));
	db_text(s, 4, event.tenant_name, sizeof(event.tenant_name));
	db_text(s, 5, execution, sizeof(execution));
	db_text(s, 9, event.reason, sizeof(event.reason));
	r = event_kind_parse(kind);
	if (r < 0 || (event.of_tenant && id_parse(tenant, &event.tenant) < 0) ||
	    (event.of_execution && id_parse(execution, &event.execution) < 0))
		return err_set(err, TN_SYSTEM, EBADMSG, "the row of event %lld is damaged",
		               (long long)event.seq);
	event.kind = (enum event_kind)r;
	r = text_take(s, 10, &event.before, err);
	if (r == 0)
		r = text_take(s, 11, &event.after, err);
	if (r < 0) {
		event_done(&event);
		return r;
	}
	*ret = event;
	return 1;
}

static int event_select(struct db_statement *s, const struct db_value *values,
                        struct event *ret, struct tn_error *err)
{
	int r = db_row(s, values, err);

	if (r == 1) {
		r = event_read(s, ret, err);
		db_done(s);
	}
	return r;
}

int sqlite_event_next(struct store *store, const struct id *tenant, int64_t after,
                      struct event *ret, struct tn_error *err)
{
	const struct sqlite *sqlite = sqlite_of(store);
	char text[ID_TEXT_BYTES];

	if (tenant == NULL)
		return event_select(sqlite->events[EVENT_NEXT],
		                    DB_VALUES(DB_INT(after), DB_INT(sqlite->events_durable)),
		                    ret, err);
	id_format(tenant, text);
	return event_select(
		sqlite->events[EVENT_NEXT_OF_TENANT],
		DB_VALUES(DB_INT(after), DB_INT(sqlite->events_durable), DB_TEXT(text)), ret,
		err);
}

int sqlite_event_last(struct store *store, enum event_kind kind, struct event *ret,
                      struct tn_error *err)
{
	const struct sqlite *sqlite = sqlite_of(store);

	/* The one kind with an index: asked for at each start. */
	if (kind == EVENT_RESTARTED)
		return event_select(sqlite->events[EVENT_LAST_RESTARTED], DB_VALUES(DB_END),
		                    ret, err);
	return event_select(sqlite->events[EVENT_LAST],
	                    DB_VALUES(DB_TEXT(event_kind_row(kind)->name)), ret, err);
}

int sqlite_event_span(struct store *store, struct store_event_span *ret, struct tn_error *err)
{
	struct sqlite *sqlite = sqlite_of(store);
	int64_t first;
	int r = seq_get(sqlite, EVENT_FIRST_SEQ, &first, err);

	if (r < 0)
		return r;
	if (first > sqlite->events_durable)
		first = 0;
	*ret = (struct store_event_span){ first, first == 0 ? 0 : sqlite->events_durable };
	return 0;
}

bool sqlite_events_wait(struct store *store)
{
	const struct sqlite *sqlite = sqlite_of(store);

	return sqlite->events_last > sqlite->events_durable;
}

int sqlite_events_prune(struct store *store, int64_t at, int64_t max, struct tn_error *err)
{
	struct sqlite *sqlite = sqlite_of(store);
	int r = db_run(sqlite->events[EVENT_PRUNE], DB_VALUES(DB_INT(at), DB_INT(max)), err);

	return r < 0 ? err_wrap(err, r, "forget events") : (int)db_changes(sqlite->db);
}
