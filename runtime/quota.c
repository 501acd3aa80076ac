/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quota.h"

#include <stdlib.h>
#include <string.h>

#include <base/fd.h>

#include "identity.h"
#include "quota_batch.h"

/* Of an operation itself: the amount, the reservation, the threshold and the key. */
#define WRITES_OF_ONE 4

/* Of products: ISO C has no name for it. */
__extension__ typedef __int128 wide;

struct quotas {
	struct quotas_config config;
	struct quota_accounts accounts;
	struct quota_batch batch;
	bool broken; /* what was done since the last quotas_commit() could not be written */
	struct tn_error why;
};

/* An operation on its way. */
struct work {
	struct quotas *quotas;
	const struct quota_request *request;
	struct quota_account *account;
	struct quota_answer *answer;
};

int quotas_new(struct quotas **ret, const struct quotas_config *config, struct tn_error *err)
{
	struct quotas *quotas = calloc(1, sizeof(*quotas));

	if (quotas == NULL)
		return err_errno(err, "allocate quotas");
	quotas->config = *config;
	quotas->batch.number = 1;
	*ret = quotas;
	return 0;
}

struct quotas *quotas_free(struct quotas *quotas)
{
	if (quotas == NULL)
		return NULL;
	quota_accounts_done(&quotas->accounts);
	quota_batch_done(&quotas->batch);
	free(quotas);
	return NULL;
}

/* Before its time: something is about to be read that has to be there. */
static int flush(struct quotas *quotas, struct tn_error *err)
{
	struct quota_batch *batch = &quotas->batch;
	int r;

	if (quotas->broken) {
		*err = quotas->why;
		return -err->sys_errno;
	}
	if (batch->writes_n == 0 && batch->events_n == 0)
		return 0;
	r = quotas->config.store->ops->meter(quotas->config.store, batch->writes,
	                                     batch->writes_n, batch->events, batch->events_n,
	                                     err);
	quota_batch_clear(batch);
	if (r < 0) {
		quota_accounts_done(&quotas->accounts);
		quotas->broken = true;
		r = err_wrap(err, r, "what is used cannot be written");
		quotas->why = *err;
		return r;
	}
	quotas->config.written(quotas->config.userdata);
	return 0;
}

int quotas_commit(struct quotas *quotas, struct tn_error *err)
{
	int r = flush(quotas, err);

	quotas->broken = false;
	return r;
}

void quotas_settle(struct quotas *quotas)
{
	struct tn_error said_later = { 0 };

	(void)flush(quotas, &said_later);
}

void quotas_given_back(struct quotas *quotas, const struct id *tenant)
{
	quotas_settle(quotas);
	quota_accounts_forget_held(&quotas->accounts, tenant);
}

static bool is_of_reservation(enum metering_op op)
{
	return op == METERING_COMMIT || op == METERING_RELEASE;
}

/* The row that an amount of now goes into: see metering.h. */
static int64_t row_of(const struct quota_request *request)
{
	const int64_t hour = ledger_hour(request->now);
	const int64_t start = request->rule.span.start;

	return hour < start && start <= request->now ? start : hour;
}

static bool has_expired(const struct work *work, const struct reservation *reservation)
{
	if (strcmp(reservation->boot_id, work->quotas->config.boot_id) == 0)
		return work->request->boottime >= reservation->expires_boottime;
	return work->request->now >= reservation->expires_at;
}

/* @amount more of a counter that has room for it. */
static void use(const struct work *work, int64_t amount)
{
	struct quota_account *account = work->account;

	account->used += amount;
	account->metered.total += amount;
	quota_batch_amount(&work->quotas->batch, account, amount, row_of(work->request));
}

static void hold(const struct work *work, int64_t delta)
{
	struct quota_account *account = work->account;

	account->used += delta;
	account->metered.held += delta;
	quota_batch_held(&work->quotas->batch, account, delta, &work->request->execution);
}

static void take(const struct work *work, int64_t amount)
{
	if (work->request->rule.meter.kind == METER_GAUGE)
		hold(work, amount);
	else
		use(work, amount);
}

/* No timer: what has expired is found by the first that looks. */
static void expire(const struct work *work)
{
	struct quota_account *account = work->account;
	size_t i = 0;

	while (i < account->reservations_n) {
		const struct reservation gone = account->reservations[i];

		if (!has_expired(work, &gone)) {
			i++;
			continue;
		}
		quota_account_unreserve(account, &account->reservations[i]);
		quota_batch_reservation(&work->quotas->batch, METERING_UNRESERVED, &gone);
		if (gone.lease && work->request->rule.meter.kind == METER_COUNTER)
			use(work, gone.amount);
	}
}

static void answer_now(const struct work *work)
{
	const struct quota_rule *rule = &work->request->rule;

	work->answer->limit = rule->limited ? rule->limit : LEDGER_ABSENT;
	work->answer->used = work->account->used;
	work->answer->reserved = work->account->reserved;
}

/* Whether @amount more can be had; the sum of all time has to fit as well. */
static int want_room(const struct work *work, int64_t amount, struct tn_error *err)
{
	const struct quota_rule *rule = &work->request->rule;
	const struct quota_account *account = work->account;
	int64_t claimed, sum, ever;

	answer_now(work);
	if (__builtin_add_overflow(account->used, account->reserved, &claimed) ||
	    __builtin_add_overflow(claimed, amount, &sum) ||
	    __builtin_add_overflow(account->metered.total, account->reserved, &ever) ||
	    __builtin_add_overflow(ever, amount, &ever))
		return err_refuse(err, TN_INVALID, "%s: %lld more is beyond 2^63 - 1",
		                  rule->meter.name, (long long)amount);
	if (!rule->limited || !rule->hard || sum <= rule->limit)
		return 0;
	return err_set(err, TN_QUOTA, EDQUOT,
	               "%s of '%s': %lld more does not fit, %lld of %lld are used and %lld "
	               "reserved",
	               rule->meter.name, work->request->tenant->name, (long long)amount,
	               (long long)account->used, (long long)rule->limit,
	               (long long)account->reserved);
}

static int op_check(const struct work *work, struct tn_error *err)
{
	return want_room(work, work->request->amount, err);
}

static int want_kind(const struct work *work, enum meter_kind kind, struct tn_error *err)
{
	const struct meter *meter = &work->request->rule.meter;

	if (meter->kind == kind)
		return 0;
	if (meter->kind == METER_GAUGE)
		return err_refuse(err, TN_INVALID,
		                  "%s is a gauge: it is acquired and given back, not consumed",
		                  meter->name);
	return err_refuse(err, TN_INVALID,
	                  "%s is a counter: it is consumed, not acquired and given back",
	                  meter->name);
}

static int op_consume(const struct work *work, struct tn_error *err)
{
	int r = want_kind(work, METER_COUNTER, err);

	if (r == 0)
		r = want_room(work, work->request->amount, err);
	if (r == 0)
		use(work, work->request->amount);
	return r;
}

static int op_acquire(const struct work *work, struct tn_error *err)
{
	int r = want_kind(work, METER_GAUGE, err);

	if (r == 0)
		r = want_room(work, work->request->amount, err);
	if (r == 0)
		hold(work, work->request->amount);
	return r;
}

static int op_give_back(const struct work *work, struct tn_error *err)
{
	const struct quota_request *request = work->request;
	int64_t held = work->account->metered.held;
	int r = want_kind(work, METER_GAUGE, err);

	/* Of what an execution holds only that; what waits to be written is held, too. */
	if (r == 0 && !id_is_none(&request->execution))
		r = flush(work->quotas, err);
	if (r == 0 && !id_is_none(&request->execution))
		r = work->quotas->config.store->ops->holding_get(
			work->quotas->config.store, &request->execution,
			request->rule.meter.name, &held, err);
	if (r < 0)
		return r;
	if (request->amount > held)
		return err_set(
			err, TN_STATE, ERANGE, "%lld of %s cannot be given back: %lld are held",
			(long long)request->amount, request->rule.meter.name, (long long)held);
	hold(work, -request->amount);
	return 0;
}

static int op_reserve(const struct work *work, struct tn_error *err)
{
	const struct quota_request *request = work->request;
	struct reservation reservation = {
		.tenant = work->account->tenant,
		.amount = request->amount,
		.lease = request->lease,
		.expires_at = request->now + request->expires_usec,
		.expires_boottime = request->boottime + request->expires_usec,
	};
	int r = want_room(work, request->amount, err);

	if (r < 0)
		return r;
	reservation.id = identity_new();
	memcpy(reservation.meter, work->account->meter, sizeof(reservation.meter));
	(void)snprintf(reservation.boot_id, sizeof(reservation.boot_id), "%s",
	               work->quotas->config.boot_id);
	r = quota_account_reserve(work->account, &reservation, err);
	if (r < 0)
		return r;
	quota_batch_reservation(&work->quotas->batch, METERING_RESERVED, &reservation);
	work->answer->reservation = reservation.id;
	return 0;
}

static int want_reservation(const struct work *work, struct reservation **ret,
                            struct tn_error *err)
{
	char text[ID_TEXT_BYTES];

	*ret = quota_account_reservation(work->account, &work->request->reservation);
	if (*ret != NULL)
		return 0;
	id_format(&work->request->reservation, text);
	return err_refuse(err, TN_NOT_FOUND,
	                  "there is no reservation %s of '%s': it has expired, or was "
	                  "committed or released",
	                  text, work->request->tenant->name);
}

/* What was reserved has room: that is what it is for. */
static int op_commit(const struct work *work, struct tn_error *err)
{
	const int64_t amount = work->request->amount;
	struct reservation *reservation;
	struct reservation done;
	int r = want_reservation(work, &reservation, err);

	if (r < 0)
		return r;
	if (amount > reservation->amount)
		return err_refuse(err, TN_INVALID,
		                  "%lld of %s cannot be committed: %lld are "
		                  "reserved",
		                  (long long)amount, work->account->meter,
		                  (long long)reservation->amount);
	done = *reservation;
	quota_account_unreserve(work->account, reservation);
	quota_batch_reservation(&work->quotas->batch, METERING_UNRESERVED, &done);
	take(work, amount > 0 ? amount : done.amount);
	work->answer->reservation = done.id;
	return 0;
}

static int op_release(const struct work *work, struct tn_error *err)
{
	struct reservation *reservation;
	struct reservation done;
	int r = want_reservation(work, &reservation, err);

	if (r < 0)
		return r;
	done = *reservation;
	quota_account_unreserve(work->account, reservation);
	quota_batch_reservation(&work->quotas->batch, METERING_UNRESERVED, &done);
	work->answer->reservation = done.id;
	return 0;
}

static int (*const ops[METERING_OPS_N])(const struct work *work, struct tn_error *err) = {
	[METERING_CHECK] = op_check,         [METERING_CONSUME] = op_consume,
	[METERING_RESERVE] = op_reserve,     [METERING_COMMIT] = op_commit,
	[METERING_RELEASE] = op_release,     [METERING_ACQUIRE] = op_acquire,
	[METERING_GIVE_BACK] = op_give_back,
};

/* The greatest threshold that has been reached, or 0. Where it is not hard, all of it is one.
 */
static int64_t threshold_of(const struct quota_rule *rule, int64_t used)
{
	int64_t reached = 0;

	if (!rule->limited || rule->limit == INT64_MAX)
		return 0;
	for (size_t i = 0; i < rule->warn_n; i++)
		if ((wide)used * 100 >= (wide)rule->limit * rule->warn[i])
			reached = rule->warn[i];
	return !rule->hard && used > rule->limit ? 100 : reached;
}

static int tell(const struct work *work, int64_t percent, struct tn_error *err)
{
	const struct quota_request *request = work->request;
	struct event *event = &work->quotas->batch.events[work->quotas->batch.events_n];
	int r;

	*event = (struct event){ .at = request->now,
		                 .kind = EVENT_QUOTA_REACHED,
		                 .actor = ACTOR_NONE,
		                 .of_tenant = true,
		                 .tenant = request->tenant->id };
	(void)snprintf(event->tenant_name, sizeof(event->tenant_name), "%s",
	               request->tenant->name);
	r = event_say(event, "meter", request->rule.meter.name, err);
	if (r == 0)
		r = event_say_int(event, "percent", percent, err);
	if (r == 0)
		r = event_say_int(event, "used", work->account->used, err);
	if (r == 0)
		r = event_say_int(event, "limit", request->rule.limit, err);
	if (r < 0) {
		event_done(event);
		return r;
	}
	work->quotas->batch.events_n++;
	return 0;
}

/* Once per crossing and period; of a gauge, which has none, a crossing ends below. What cannot
 * be told now is told with the next that is used. */
static void look_at_thresholds(const struct work *work)
{
	struct tn_error ignored = { 0 };
	struct quota_account *account = work->account;
	const int64_t start = account->span.start;
	const int64_t told = account->metered.told_since == start
	                             ? account->metered.told_percent
	                             : 0;
	const int64_t percent = threshold_of(&work->request->rule, account->used);

	if (percent == told || (percent > told && tell(work, percent, &ignored) < 0))
		return;
	account->metered.told_since = start;
	account->metered.told_percent = percent;
	quota_batch_told(&work->quotas->batch, account);
}

/* 1 if @request was done before under its key, 0 if not. */
static int answer_again(const struct work *work, struct tn_error *err)
{
	const struct quota_request *request = work->request;
	struct store *store = work->quotas->config.store;
	const struct metering_key *found;
	struct metering_key stored;
	int r = 1;

	found = quota_batch_find(&work->quotas->batch, &request->tenant->id, request->key);
	if (found == NULL) {
		r = store->ops->metering_key_get(store, &request->tenant->id, request->key,
		                                 &stored, err);
		found = &stored;
	}
	if (r != 1 || request->now - found->at >= METERING_KEY_USEC)
		return r < 0 ? r : 0;
	if (found->op != request->op || found->amount != request->amount ||
	    strcmp(found->meter, request->rule.meter.name) != 0 ||
	    (is_of_reservation(request->op) &&
	     !id_equal(&found->reservation, &request->reservation)))
		return err_refuse(err, TN_CONFLICT,
		                  "key '%.64s' was used to %s %lld of %s, and not for this",
		                  request->key, metering_op_name(found->op),
		                  (long long)found->amount, found->meter);
	*work->answer = (struct quota_answer){ true, found->limit, found->used, found->reserved,
		                               found->reservation };
	return 1;
}

static void keep_answer(const struct work *work)
{
	const struct quota_request *request = work->request;
	struct metering_key key = {
		.tenant = request->tenant->id,
		.op = request->op,
		.amount = request->amount,
		.at = request->now,
		.limit = work->answer->limit,
		.used = work->answer->used,
		.reserved = work->answer->reserved,
		.reservation = work->answer->reservation,
	};

	if (request->key == NULL || request->op == METERING_CHECK)
		return;
	(void)snprintf(key.key, sizeof(key.key), "%s", request->key);
	memcpy(key.meter, request->rule.meter.name, sizeof(key.meter));
	quota_batch_key(&work->quotas->batch, &key);
}

/* What is asked for, before anything is done. */
int quota_request_check(const struct quota_request *request, struct tn_error *err)
{
	const struct meter *meter = &request->rule.meter;

	if (meter->source == METER_OF_KERNEL && request->op != METERING_CHECK)
		return err_refuse(err, TN_INVALID,
		                  "%s is measured by the kernel: nobody adds to it",
		                  meter->name);
	/* Of a reservation 0 is all of it. */
	if (request->amount < (is_of_reservation(request->op) ? 0 : 1))
		return err_refuse(err, TN_INVALID, "%lld is no amount; expected 1 to 2^63 - 1",
		                  (long long)request->amount);
	if (request->key != NULL &&
	    (request->key[0] == '\0' || strlen(request->key) >= METERING_KEY_BYTES_MAX))
		return err_refuse(err, TN_INVALID, "a key has 1 to %d bytes",
		                  METERING_KEY_BYTES_MAX - 1);
	if (request->op == METERING_RESERVE &&
	    (request->expires_usec < 1 || request->expires_usec > QUOTA_RESERVATION_USEC_MAX))
		return err_refuse(err, TN_INVALID,
		                  "a reservation expires after 1 microsecond to 7 days");
	return 0;
}

/* The account as it is now, and room for what is to be written of it. */
static int work_begin(struct work *work, struct tn_error *err)
{
	struct quotas *quotas = work->quotas;
	const struct quota_request *request = work->request;
	int r = 0;

	/* A batch that has grown large is written before its time: a turn may bring many. */
	if (quotas->batch.writes_n >= QUOTA_WRITES_FEW ||
	    quotas->batch.events_n == QUOTA_EVENTS_MAX)
		r = flush(quotas, err);
	if (r == 0)
		r = quota_account_get(&quotas->accounts, quotas->config.store,
		                      &request->tenant->id, &request->rule, &work->account,
		                      err);
	if (r == 0)
		r = quota_batch_reserve(&quotas->batch,
		                        2 * work->account->reservations_n + WRITES_OF_ONE, err);
	if (r == 0)
		expire(work);
	return r;
}

/* Who asked before in this turn hears that it failed: nothing is built on that. And what is
 * read anew has to be what has been written. */
static int work_check(const struct work *work, struct tn_error *err)
{
	struct quotas *quotas = work->quotas;
	const struct quota_request *request = work->request;

	if (quotas->broken ||
	    quota_account_is_old(&quotas->accounts, &request->tenant->id, &request->rule))
		return flush(quotas, err);
	return 0;
}

int quotas_look(struct quotas *quotas, const struct quota_request *request,
                struct quota_answer *ret, struct tn_error *err)
{
	struct quota_answer answer = { 0 };
	struct work work = { quotas, request, NULL, &answer };
	int r = work_check(&work, err);

	if (r == 0)
		r = work_begin(&work, err);
	if (r != 0)
		return r;
	answer_now(&work);
	*ret = answer;
	return 0;
}

int quotas_do(struct quotas *quotas, const struct quota_request *request,
              struct quota_answer *ret, struct tn_error *err)
{
	struct quota_answer answer = { .limit = LEDGER_ABSENT };
	struct work work = { quotas, request, NULL, &answer };
	int r = quota_request_check(request, err);

	if (r == 0)
		r = work_check(&work, err);
	if (r == 0 && request->key != NULL)
		r = answer_again(&work, err);
	if (r != 0) {
		if (r == 1)
			*ret = answer;
		return r < 0 ? r : 0;
	}
	r = work_begin(&work, err);
	if (r != 0)
		return r;
	r = ops[request->op](&work, err);
	if (r == -EDQUOT)
		*ret = answer;
	if (r < 0)
		return r;
	answer_now(&work);
	*ret = answer;
	keep_answer(&work);
	if (request->op != METERING_CHECK)
		look_at_thresholds(&work);
	return 0;
}

void quotas_observe(struct quotas *quotas, const struct quota_request *request, int64_t used)
{
	struct quota_answer ignored_answer;
	struct work work = { quotas, request, NULL, &ignored_answer };
	struct tn_error ignored = { 0 };

	/* What cannot be told of now is told of by the next look. */
	if (work_check(&work, &ignored) != 0 || work_begin(&work, &ignored) != 0)
		return;
	work.account->used = used;
	look_at_thresholds(&work);
}

int quotas_reserved_of(struct quotas *quotas, const struct id *tenant, const struct id *id,
                       const char *key, char ret[METER_NAME_BYTES_MAX], struct tn_error *err)
{
	struct store *store = quotas->config.store;
	struct reservation reservation;
	struct metering_key kept;
	int r = flush(quotas, err);

	if (r == 0)
		r = store->ops->reservation_get(store, id, &reservation, err);
	if (r == 1 && id_equal(&reservation.tenant, tenant)) {
		memcpy(ret, reservation.meter, METER_NAME_BYTES_MAX);
		return 1;
	}
	if (r < 0 || key == NULL)
		return r < 0 ? r : 0;
	r = store->ops->metering_key_get(store, tenant, key, &kept, err);
	if (r != 1 || !id_equal(&kept.reservation, id))
		return r < 0 ? r : 0;
	memcpy(ret, kept.meter, METER_NAME_BYTES_MAX);
	return 1;
}
