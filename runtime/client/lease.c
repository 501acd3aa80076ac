/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who consumes knows one number, what is left; everything else belongs to the one thread that
 * tends the lease. Blocks are taken as reservations that count as used if they expire, and are
 * used up in the order in which they were taken: what has been consumed in all says how much of
 * the first of them has been.
 *
 * A block is settled, by a commit of what was consumed of it, when nothing of it is left or
 * half of its term is over. To settle one of which something is left, that is first taken out
 * of what is left: in one step, in which it is also found out how much that is, so that nobody
 * consumes of it any more. A block that turns out to have expired was counted as used, whole;
 * what was taken out is put back then and is paid for.
 *
 * Each call has a key, and is made again with that until there is an answer to it. So a daemon
 * that went away in its middle has not done it twice.
 */
#include <tenant/lease.h>

#include <assert.h>
#include <errno.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/err.h>
#include <base/fd.h>
#include <base/id.h>
#include <base/meter.h>

#define BLOCK_DEFAULT     1000
#define TERM_USEC_DEFAULT INT64_C(10000000)
#define TERM_USEC_MIN     INT64_C(1000000)
#define TERM_USEC_MAX     INT64_C(3600000000)
#define REFUSED_USEC      1000000 /* until it is asked again whether there is more */
#define AGAIN_USEC        100000  /* until a call that was lost is made again */
#define BLOCKS_MAX        3       /* the one that is used, the next, one that is over */
#define KEY_BYTES         (ID_TEXT_BYTES + sizeof("/settle"))
#define CACHE_LINE        64

struct block {
	char reservation[ID_TEXT_BYTES];
	int64_t amount;
	int64_t due_at; /* to be settled: of CLOCK_BOOTTIME */
};

enum under_way {
	NOTHING,
	RESERVING,
	SETTLING,
};

struct tn_lease {
	alignas(CACHE_LINE) atomic_int_least64_t left;
	/* Since there was the last block: the most that somebody did not find. */
	alignas(CACHE_LINE) atomic_int_least64_t wanted;
	atomic_bool refused;
	int event_fd;

	struct tn_client *client;
	char *tenant; /* NULL: whoever the socket belongs to */
	char meter[METER_NAME_BYTES_MAX];
	int64_t block;
	int64_t low; /* below it the next one is taken */
	int64_t term_usec;
	int timer_fd;
	int epoll_fd;
	int polled_fd; /* the client's, as it is in epoll_fd */
	struct block blocks[BLOCKS_MAX];
	size_t blocks_n;
	int64_t held; /* of all blocks */
	int64_t paid; /* what is left, or was consumed since, and is no block's */
	enum under_way under_way;
	bool sent; /* it has been; else it is to be made again */
	int64_t again_at;
	int64_t ask; /* of a reservation */
	int64_t asked_at;
	char key[KEY_BYTES];
	struct block over; /* that is being settled, and what of it was used */
	int64_t over_used;
	struct tn_quota_answer answer;
};

static int64_t now_usec(void)
{
	return clock_usec(CLOCK_BOOTTIME);
}

static void wake(struct tn_lease *lease)
{
	(void)eventfd_write(lease->event_fd, 1);
}

static int lack(struct tn_lease *lease, int64_t amount)
{
	int64_t wanted = atomic_load_explicit(&lease->wanted, memory_order_relaxed);

	while (wanted < amount &&
	       !atomic_compare_exchange_weak(&lease->wanted, &wanted, amount))
		;
	wake(lease);
	return atomic_load(&lease->refused) ? -EDQUOT : -EAGAIN;
}

int tn_lease_consume(struct tn_lease *lease, int64_t amount)
{
	int64_t left = atomic_load_explicit(&lease->left, memory_order_relaxed);

	if (amount < 1 || amount > TN_LEASE_AMOUNT_MAX)
		return -EINVAL;
	do {
		if (left < amount)
			return lack(lease, amount);
	} while (!atomic_compare_exchange_weak_explicit(&lease->left, &left, left - amount,
	                                                memory_order_relaxed,
	                                                memory_order_relaxed));
	if (left >= lease->low && left - amount < lease->low)
		wake(lease);
	return 0;
}

int64_t tn_lease_left(const struct tn_lease *lease)
{
	return atomic_load_explicit(&lease->left, memory_order_relaxed);
}

int tn_lease_fd(const struct tn_lease *lease)
{
	return lease->epoll_fd;
}

static int64_t smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* What of the first block has been consumed, if so much is left: what is paid goes first. */
static int64_t used_of_first(const struct tn_lease *lease, int64_t left)
{
	const int64_t consumed = lease->held + lease->paid - left;

	return smaller(larger(consumed - lease->paid, 0), lease->blocks[0].amount);
}

/* Nobody consumes of the first block any more, and what was is known. */
static void first_close(struct tn_lease *lease)
{
	int64_t left = atomic_load(&lease->left), used;

	do
		used = used_of_first(lease, left);
	while (!atomic_compare_exchange_weak(&lease->left, &left,
	                                     left - (lease->blocks[0].amount - used)));
	lease->paid = larger(lease->paid - (lease->held + lease->paid - left), 0);
	lease->over = lease->blocks[0];
	lease->over_used = used;
	lease->held -= lease->over.amount;
	lease->blocks_n--;
	memmove(lease->blocks, lease->blocks + 1, lease->blocks_n * sizeof(lease->blocks[0]));
}

static int key_new(struct tn_lease *lease, struct tn_error *err)
{
	struct id id;

	if (getrandom(&id, sizeof(id), 0) != (ssize_t)sizeof(id))
		return err_errno(err, "a key for a block");
	id_format(&id, lease->key);
	return 0;
}

/* What is to be done next. A first block that is due and in use is settled when there is
 * another to go on with, or none is to be had. */
static enum under_way next_of(const struct tn_lease *lease)
{
	const int64_t left = tn_lease_left(lease), wanted = atomic_load(&lease->wanted);
	const bool any = lease->blocks_n > 0, full = lease->blocks_n == BLOCKS_MAX;
	const int64_t used = any ? used_of_first(lease, left) : 0;
	const bool is_due = any && now_usec() >= lease->blocks[0].due_at;
	const bool lacks = wanted > left || (any && left < lease->low);
	const bool goes_on = is_due && used > 0 && lease->blocks_n == 1;

	if (any && used == lease->blocks[0].amount)
		return SETTLING;
	if ((lacks || goes_on) && !full && now_usec() >= lease->again_at)
		return RESERVING;
	return is_due || (full && lacks) ? SETTLING : NOTHING;
}

static int next_begin(struct tn_lease *lease, struct tn_error *err)
{
	const enum under_way next = next_of(lease);
	int r;

	lease->sent = false;
	if (next == SETTLING) {
		first_close(lease);
		(void)snprintf(lease->key, sizeof(lease->key), "%s/settle",
		               lease->over.reservation);
	} else if (next == RESERVING) {
		r = key_new(lease, err);
		if (r < 0)
			return r;
		lease->ask = smaller(larger(lease->block, atomic_load(&lease->wanted)),
		                     TN_LEASE_AMOUNT_MAX);
	}
	lease->under_way = next;
	return 0;
}

static int send_call(struct tn_lease *lease, struct tn_error *err)
{
	const struct tn_quota_options options = { .key = lease->key,
		                                  .expires_usec = lease->term_usec,
		                                  .lease = true };
	int r;

	lease->asked_at = now_usec();
	if (lease->under_way == RESERVING)
		r = tn_quota_reserve_start(lease->client, lease->tenant, lease->meter,
		                           lease->ask, &options, &lease->answer, err);
	else if (lease->over_used > 0)
		r = tn_quota_commit_start(lease->client, lease->tenant, lease->over.reservation,
		                          lease->over_used, &options, &lease->answer, err);
	else
		r = tn_quota_release_start(lease->client, lease->tenant,
		                           lease->over.reservation, &options, &lease->answer,
		                           err);
	lease->sent = r == 0;
	return r;
}

static void on_reserved(struct tn_lease *lease)
{
	struct block *block = &lease->blocks[lease->blocks_n++];

	*block = (struct block){ .amount = lease->ask,
		                 .due_at = lease->asked_at + lease->term_usec / 2 };
	memcpy(block->reservation, lease->answer.reservation, sizeof(block->reservation));
	lease->held += lease->ask;
	atomic_store(&lease->refused, false);
	atomic_store(&lease->wanted, 0);
	(void)atomic_fetch_add(&lease->left, lease->ask);
}

/* Less may be there. 1: it is asked for; 0: nothing is. */
static int on_refused(struct tn_lease *lease, struct tn_error *err)
{
	const struct tn_quota_error *quota = tn_client_quota_error(lease->client);
	int64_t less = lease->ask / 2;

	if (quota != NULL && quota->limit >= quota->used)
		less = smaller(less, quota->limit - quota->used);
	if (less > 0) {
		lease->ask = less;
		return key_new(lease, err) < 0 ? 0 : 1;
	}
	atomic_store(&lease->refused, true);
	return 0;
}

/* The call has ended with @r. 0: it is done with, or -errno: the error of a call that is not.
 */
static int call_end(struct tn_lease *lease, int r, struct tn_error *err)
{
	const bool gone = r < 0 && err->code == TN_NOT_FOUND;

	lease->sent = false;
	if (lease->under_way == RESERVING && r < 0 && err->code == TN_QUOTA) {
		if (on_refused(lease, err) == 1)
			return 0;
		lease->again_at = now_usec() + REFUSED_USEC;
	} else if (r < 0 && !(lease->under_way == SETTLING && gone)) {
		lease->again_at = now_usec() + AGAIN_USEC;
		/* Nothing but time helps with what was refused for another reason. */
		if (lease->under_way == RESERVING && err->code != TN_UNREACHABLE)
			lease->under_way = NOTHING;
		return r;
	} else if (lease->under_way == RESERVING) {
		on_reserved(lease);
	} else if (gone) {
		lease->paid += lease->over.amount - lease->over_used;
		(void)atomic_fetch_add(&lease->left, lease->over.amount - lease->over_used);
	}
	lease->under_way = NOTHING;
	return 0;
}

/* One step: 1 if there may be another at once, 0 if something is waited for, or -errno. */
static int step(struct tn_lease *lease, bool wait, struct tn_error *err)
{
	int r = 0;

	if (lease->under_way == NOTHING)
		r = next_begin(lease, err);
	if (r < 0 || lease->under_way == NOTHING)
		return r;
	if (!lease->sent && !wait && now_usec() < lease->again_at)
		return 0;
	if (!lease->sent)
		r = send_call(lease, err);
	if (r == 0 && wait)
		r = tn_client_wait(lease->client, err);
	else if (r == 0 && (r = tn_client_process(lease->client, err)) == 0)
		return 0;
	r = call_end(lease, r < 0 ? r : 0, err);
	return r < 0 ? r : 1;
}

/* When there is something to do without anybody's doing: in the timer. */
static void timer_set(const struct tn_lease *lease)
{
	struct itimerspec when = { 0 };
	int64_t at = INT64_MAX;

	if (lease->under_way != NOTHING && !lease->sent)
		at = lease->again_at;
	else if (lease->under_way == NOTHING && lease->blocks_n > 0)
		at = lease->blocks[0].due_at;
	if (lease->under_way == NOTHING && atomic_load(&lease->wanted) > tn_lease_left(lease))
		at = smaller(at, lease->again_at);
	if (at != INT64_MAX) {
		at = larger(at, 1);
		when.it_value.tv_sec = at / 1000000;
		when.it_value.tv_nsec = at % 1000000 * 1000;
	}
	(void)timerfd_settime(lease->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* What of the client is to be polled for; its descriptor is another after a loss. */
static void poll_client(struct tn_lease *lease)
{
	struct epoll_event event = { 0 };
	const int fd = lease->sent ? tn_client_fd(lease->client) : FD_NONE;

	if (lease->polled_fd >= 0)
		(void)epoll_ctl(lease->epoll_fd, EPOLL_CTL_DEL, lease->polled_fd, NULL);
	lease->polled_fd = fd;
	if (fd < 0)
		return;
	/* The same bits as poll(2) has. */
	event.events = (uint32_t)tn_client_events(lease->client);
	(void)epoll_ctl(lease->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static void drain(int fd)
{
	uint64_t count;

	(void)!read(fd, &count, sizeof(count));
}

int tn_lease_tend(struct tn_lease *lease, struct tn_error *err)
{
	int r;

	drain(lease->event_fd);
	drain(lease->timer_fd);
	do
		r = step(lease, false, err);
	while (r == 1);
	timer_set(lease);
	poll_client(lease);
	return r;
}

int tn_lease_take(struct tn_lease *lease, int64_t amount, struct tn_error *err)
{
	struct tn_error ignored = { 0 };
	int r = tn_lease_consume(lease, amount);

	if (r == -EINVAL)
		return err_refuse(err, TN_INVALID, "%lld is no amount; expected 1 to 2^53",
		                  (long long)amount);
	/* The next block is on its way while this one is used. */
	if (r == 0 && (lease->under_way != NOTHING || tn_lease_left(lease) < lease->low))
		(void)tn_lease_tend(lease, &ignored);
	if (r == 0)
		return 0;
	/* Whatever tenantd said before, it is asked now. */
	atomic_store(&lease->refused, false);
	lease->again_at = 0;
	do {
		r = step(lease, true, err);
		if (r < 0)
			return r;
		r = tn_lease_consume(lease, amount);
	} while (r == -EAGAIN);
	if (r == -EDQUOT)
		return err_set(err, TN_QUOTA, EDQUOT, "%s: %lld is not left", lease->meter,
		               (long long)amount);
	return r;
}

static void lease_free(struct tn_lease *lease)
{
	if (lease == NULL)
		return;
	tn_client_cancel(lease->client);
	fd_closep(&lease->epoll_fd);
	fd_closep(&lease->timer_fd);
	fd_closep(&lease->event_fd);
	free(lease->tenant);
	free(lease);
}

int tn_lease_close(struct tn_lease *lease, struct tn_error *err)
{
	int r = 0;

	if (lease == NULL)
		return 0;
	/* What is under way is done first: a block that was taken is to be given back, too. */
	lease->low = INT64_MIN;
	atomic_store(&lease->wanted, 0);
	for (size_t i = 0; i < BLOCKS_MAX; i++)
		lease->blocks[i].due_at = 0;
	lease->again_at = INT64_MAX;
	while (r >= 0 && (lease->under_way != NOTHING || lease->blocks_n > 0)) {
		r = step(lease, true, err);
		if (r == 1 && lease->blocks_n > 0)
			lease->blocks[lease->blocks_n - 1].due_at = 0;
		lease->again_at = INT64_MAX;
	}
	lease_free(lease);
	return r < 0 ? r : 0;
}

static int options_check(const struct tn_lease_options *options, struct tn_error *err)
{
	if (options->block < 0 || options->block > TN_LEASE_AMOUNT_MAX)
		return err_refuse(err, TN_INVALID, "a block of %lld; expected 1 to 2^53",
		                  (long long)options->block);
	if (options->term_usec != 0 &&
	    (options->term_usec < TERM_USEC_MIN || options->term_usec > TERM_USEC_MAX))
		return err_refuse(err, TN_INVALID,
		                  "a term of %lld us; expected one second to an hour",
		                  (long long)options->term_usec);
	return 0;
}

static int lease_watch(struct tn_lease *lease, struct tn_error *err)
{
	struct epoll_event event = { .events = EPOLLIN };

	lease->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	lease->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	lease->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (lease->event_fd < 0 || lease->timer_fd < 0 || lease->epoll_fd < 0 ||
	    epoll_ctl(lease->epoll_fd, EPOLL_CTL_ADD, lease->event_fd, &event) < 0 ||
	    epoll_ctl(lease->epoll_fd, EPOLL_CTL_ADD, lease->timer_fd, &event) < 0)
		return err_errno(err, "descriptors for a lease");
	return 0;
}

static int lease_new(struct tn_client *client, const char *tenant, const char *meter,
                     const struct tn_lease_options *options, struct tn_lease **ret,
                     struct tn_error *err)
{
	struct tn_lease *lease = aligned_alloc(CACHE_LINE, sizeof(*lease));
	int r;

	if (lease == NULL)
		return err_errno(err, "allocate a lease");
	memset(lease, 0, sizeof(*lease));
	lease->client = client;
	lease->event_fd = lease->timer_fd = lease->epoll_fd = lease->polled_fd = FD_NONE;
	lease->block = options->block > 0 ? options->block : BLOCK_DEFAULT;
	lease->low = lease->block / 2;
	lease->term_usec = options->term_usec > 0 ? options->term_usec : TERM_USEC_DEFAULT;
	(void)snprintf(lease->meter, sizeof(lease->meter), "%s", meter);
	lease->tenant = tenant != NULL ? strdup(tenant) : NULL;
	if (tenant != NULL && lease->tenant == NULL)
		r = err_errno(err, "allocate a lease");
	else
		r = lease_watch(lease, err);
	if (r < 0)
		lease_free(lease);
	else
		*ret = lease;
	return r;
}

int tn_lease_open(struct tn_client *client, const char *tenant, const char *meter,
                  const struct tn_lease_options *options, struct tn_lease **ret,
                  struct tn_error *err)
{
	static const struct tn_lease_options nothing = { 0 };
	struct tn_lease *lease = NULL;
	int r;

	if (options == NULL)
		options = &nothing;
	if (meter == NULL || !meter_name_valid(meter))
		return err_refuse(err, TN_INVALID,
		                  "'%.64s' is no meter; expected " METER_NAME_RULE,
		                  meter != NULL ? meter : "");
	r = options_check(options, err);
	if (r == 0)
		r = lease_new(client, tenant, meter, options, &lease, err);
	if (r < 0)
		return r;
	assert(lease != NULL);
	atomic_store(&lease->wanted, 1);
	do
		r = step(lease, true, err);
	while (r == 1 && lease->blocks_n == 0 && !atomic_load(&lease->refused));
	if (r >= 0 && lease->blocks_n == 0)
		r = err_set(err, TN_QUOTA, EDQUOT, "%s: nothing is left", meter);
	if (r < 0) {
		lease_free(lease);
		return r;
	}
	timer_set(lease);
	*ret = lease;
	return 0;
}
