/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Leases of processes of their own over the whole control plane in this one: what they consume,
 * and what they may yet consume, is never more than the limit, whoever dies meanwhile.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/fd.h>
#include <tenant/lease.h>

#include "rig.h"

TestSuite(lease, .timeout = 120);

#define CHILDREN_MAX 4
#define TERM_USEC    INT64_C(1000000)
#define SECOND_USEC  INT64_C(1000000)
#define CHILD_DONE   0
#define CHILD_FAILED 9

/* What the processes say, in memory that all of them have. */
struct said {
	atomic_int_least64_t consumed; /* before it is told that it was */
	atomic_int_least64_t left;
	atomic_int step; /* the child waits for the next */
	char why[TN_ERROR_MSG_BYTES];
};

static struct rig rig;
static struct varlink *admin;
static struct said *said;

static void set_up(void)
{
	rig_init(&rig);
	admin = rig_connect(&rig);
	said = mmap(NULL, CHILDREN_MAX * sizeof(*said), PROT_READ | PROT_WRITE,
	            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert(said != MAP_FAILED);
}

static void begin(int64_t limit)
{
	char tier[128];

	(void)snprintf(tier, sizeof(tier),
	               "tier: free\nquotas: {tokens: {limit: %lld, per: month}}\n",
	               (long long)limit);
	rig_write(&rig, "tiers/free.yaml", tier);
	rig_call(&rig, admin, "io.tenantd.ReloadPolicy", json_object(), NULL);
	json_decref(rig_answer(&rig, admin));
	rig_tenant(&rig, "acme");
}

static void tear_down(void)
{
	(void)varlink_free(admin);
	rig_done(&rig);
}

/* Let others work, until @pid has ended: its status; or @step has been reached. */
static int turn_until(pid_t pid, const struct said *child, int step)
{
	int status = -1;

	for (;;) {
		rig_turn(&rig);
		(void)usleep(200);
		if (pid > 0 && waitpid(pid, &status, WNOHANG) == pid)
			return status;
		if (child != NULL && atomic_load(&child->step) >= step)
			return 0;
	}
}

struct amounts {
	int64_t used, reserved;
};

static struct amounts amounts(void)
{
	json_t *answer = rig_ask(&rig, admin, "io.tenantd.GetQuotas",
	                         json_pack("{s:s}", "tenant", "acme"), NULL);
	json_t *row = json_array_get(json_object_get(answer, "quotas"), 0);
	struct amounts found = { rig_number(row, "used"), rig_number(row, "reserved") };

	json_decref(answer);
	return found;
}

/* In a child: a lease, or its end. */
static struct tn_lease *open_lease(struct said *child, const struct tn_lease_options *options)
{
	struct tn_client *client = NULL;
	struct tn_lease *lease = NULL;
	struct tn_error err = { 0 };
	char path[2 * RIG_PATH_BYTES_MAX];
	int r;

	/* What is the controller's would outlive it here. */
	(void)close_range(STDERR_FILENO + 1, ~0U, 0);
	(void)snprintf(path, sizeof(path), "%s/control.sock", rig.dir);
	r = tn_client_open(path, &client, &err);
	if (r == 0)
		r = tn_lease_open(client, "acme", "tokens", options, &lease, &err);
	if (r == 0)
		return lease;
	(void)snprintf(child->why, sizeof(child->why), "%s", err.msg);
	_exit(err.code == TN_QUOTA ? CHILD_DONE : CHILD_FAILED);
}

static void await_step(struct said *child, int step)
{
	while (atomic_load(&child->step) < step)
		(void)usleep(200);
}

/* It consumes @n of a block of 100, says so, and closes when it is told to. */
static pid_t consumer(int64_t n)
{
	pid_t pid = fork();

	if (pid == 0) {
		const struct tn_lease_options options = { .block = 100,
			                                  .term_usec = TERM_USEC };
		struct tn_lease *lease = open_lease(said, &options);
		struct tn_error err = { 0 };

		for (int64_t i = 0; i < n; i++)
			if (tn_lease_take(lease, 1, &err) < 0)
				_exit(CHILD_FAILED);
		said->left = tn_lease_left(lease);
		said->step = 1;
		await_step(said, 2);
		_exit(tn_lease_close(lease, &err) < 0 ? CHILD_FAILED : CHILD_DONE);
	}
	cr_assert_gt(pid, 0);
	return pid;
}

Test(lease, takes_a_block_and_gives_back_what_is_left, .init = set_up, .fini = tear_down)
{
	struct amounts found;
	pid_t pid;

	begin(1000);
	pid = consumer(30);
	(void)turn_until(0, said, 1);
	cr_expect_eq(said->left, 70);
	found = amounts();
	cr_expect_eq(found.used, 0);
	cr_expect_eq(found.reserved, 100);
	said->step = 2;
	cr_expect_eq(turn_until(pid, NULL, 0), 0, "%s", said->why);
	found = amounts();
	cr_expect_eq(found.used, 30);
	cr_expect_eq(found.reserved, 0);
}

Test(lease, takes_the_next_block_before_there_is_nothing_left, .init = set_up,
     .fini = tear_down)
{
	struct amounts found;
	pid_t pid;

	begin(1000);
	pid = consumer(730);
	(void)turn_until(0, said, 1);
	found = amounts();
	cr_expect_eq(found.used + found.reserved, 730 + said->left);
	said->step = 2;
	cr_expect_eq(turn_until(pid, NULL, 0), 0, "%s", said->why);
	found = amounts();
	cr_expect_eq(found.used, 730);
	cr_expect_eq(found.reserved, 0);
}

Test(lease, of_a_dead_process_is_used_when_its_term_ends, .init = set_up, .fini = tear_down)
{
	struct amounts found;
	int64_t end;
	pid_t pid;

	begin(1000);
	pid = consumer(30);
	(void)turn_until(0, said, 1);
	cr_assert_eq(kill(pid, SIGKILL), 0);
	(void)turn_until(pid, NULL, 0);
	found = amounts();
	cr_expect_eq(found.used, 0);
	cr_expect_eq(found.reserved, 100);
	end = clock_usec(CLOCK_BOOTTIME) + TERM_USEC + SECOND_USEC / 10;
	while (clock_usec(CLOCK_BOOTTIME) < end)
		rig_window(&rig);
	found = amounts();
	cr_expect_eq(found.used, 100);
	cr_expect_eq(found.reserved, 0);
}

/* Whoever tends it while nobody consumes gives it back; what has expired meanwhile is paid for.
 */
Test(lease, that_nobody_uses_is_given_back, .init = set_up, .fini = tear_down)
{
	struct amounts found;
	pid_t pid;

	begin(1000);
	pid = fork();
	if (pid == 0) {
		const struct tn_lease_options options = { .block = 100,
			                                  .term_usec = TERM_USEC };
		struct tn_lease *lease = open_lease(said, &options);
		struct tn_error err = { 0 };

		while (tn_lease_left(lease) > 0) {
			(void)usleep(20000);
			(void)tn_lease_tend(lease, &err);
		}
		said->step = 1;
		await_step(said, 2);
		/* And there is more when somebody does. */
		if (tn_lease_take(lease, 7, &err) < 0)
			_exit(CHILD_FAILED);
		_exit(tn_lease_close(lease, &err) < 0 ? CHILD_FAILED : CHILD_DONE);
	}
	(void)turn_until(0, said, 1);
	for (int i = 0; i < 5; i++)
		rig_window(&rig);
	found = amounts();
	cr_expect_eq(found.used, 0);
	cr_expect_eq(found.reserved, 0);
	said->step = 2;
	cr_expect_eq(turn_until(pid, NULL, 0), 0, "%s", said->why);
	cr_expect_eq(amounts().used, 7);
}

Test(lease, stops_exactly_at_the_limit, .init = set_up, .fini = tear_down)
{
	pid_t pid;

	begin(250);
	pid = fork();
	if (pid == 0) {
		const struct tn_lease_options options = { .block = 100 };
		struct tn_lease *lease = open_lease(said, &options);
		struct tn_error err = { 0 };
		int64_t n = 0;

		while (tn_lease_take(lease, 1, &err) == 0)
			n++;
		said->consumed = n;
		if (err.code != TN_QUOTA || tn_lease_consume(lease, 1) != -EDQUOT ||
		    tn_lease_consume(lease, 0) != -EINVAL)
			_exit(CHILD_FAILED);
		_exit(tn_lease_close(lease, &err) < 0 ? CHILD_FAILED : CHILD_DONE);
	}
	cr_expect_eq(turn_until(pid, NULL, 0), 0, "%s", said->why);
	cr_expect_eq(said->consumed, 250);
	cr_expect_eq(amounts().used, 250);
}

/* A child that consumes what it can get, and closes or dies as chance will have it. */
static void consume_by_chance(struct said *child, unsigned int seed)
{
	const struct tn_lease_options options = { .block = 1 + rand_r(&seed) % 200,
		                                  .term_usec = TERM_USEC };
	struct tn_lease *lease = open_lease(child, &options);
	const int rounds = rand_r(&seed) % 200;
	struct tn_error err = { 0 };

	for (int i = 0; i < rounds; i++) {
		const int64_t amount = 1 + rand_r(&seed) % 5;

		/* Told before it is done: who looks sees at most too much. */
		if (tn_lease_take(lease, amount, &err) == 0)
			(void)atomic_fetch_add(&child->consumed, amount);
		else if (err.code == TN_QUOTA)
			break;
		if (rand_r(&seed) % 20 == 0)
			(void)usleep(1000);
	}
	if (rand_r(&seed) % 3 == 0)
		(void)kill(getpid(), SIGKILL);
	(void)tn_lease_close(lease, &err);
	_exit(CHILD_DONE);
}

static int64_t consumed_by_all(void)
{
	int64_t sum = 0;

	for (size_t i = 0; i < CHILDREN_MAX; i++)
		sum += atomic_load(&said[i].consumed);
	return sum;
}

/* What must be true at any time. */
static void look(int64_t limit)
{
	const int64_t consumed = consumed_by_all();
	const struct amounts found = amounts();

	cr_assert_leq(consumed, found.used + found.reserved);
	cr_assert_leq(found.used + found.reserved, limit);
}

static void controller_restart(void)
{
	(void)varlink_free(admin);
	rig_restart(&rig);
	rig_hello(&rig, 0);
	admin = rig_connect(&rig);
}

static void round_by_chance(unsigned int seed, int64_t limit)
{
	pid_t pids[CHILDREN_MAX];
	size_t running = CHILDREN_MAX;

	for (size_t i = 0; i < CHILDREN_MAX; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			consume_by_chance(&said[i], seed + (unsigned int)i * 77);
		cr_assert_gt(pids[i], 0);
	}
	while (running > 0) {
		look(limit);
		(void)usleep(500);
		if (rand_r(&seed) % 40 == 0)
			controller_restart();
		for (size_t i = 0; i < CHILDREN_MAX; i++)
			if (pids[i] > 0 && waitpid(pids[i], NULL, WNOHANG) == pids[i]) {
				pids[i] = 0;
				running--;
			}
	}
	look(limit);
}

Test(lease, never_oversells_whoever_dies, .init = set_up, .fini = tear_down)
{
	const int64_t limit = 4000;
	int64_t end;

	begin(limit);
	for (unsigned int seed = 1; seed <= 10; seed++)
		round_by_chance(seed * 1000, limit);
	end = clock_usec(CLOCK_BOOTTIME) + TERM_USEC + SECOND_USEC / 10;
	while (clock_usec(CLOCK_BOOTTIME) < end)
		rig_window(&rig);
	look(limit);
	cr_expect_eq(amounts().reserved, 0);
	cr_expect_gt(consumed_by_all(), limit / 4);
}
