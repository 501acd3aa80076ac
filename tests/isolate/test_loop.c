/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <base/fd.h>
#include <isolate/loop.h>

static struct loop loop;

static void init(void)
{
	struct tn_error err = { 0 };

	cr_assert_eq(loop_init(&loop, &err), 0);
}

static void fini(void)
{
	loop_done(&loop);
}

TestSuite(loop, .timeout = 20, .init = init, .fini = fini);

static void add(struct loop_source *source, uint32_t events)
{
	struct tn_error err = { 0 };

	cr_assert_geq(source->fd, 0);
	cr_assert_eq(loop_add(&loop, source, events, &err), 0, "%s", err.msg);
}

static void run(void)
{
	struct tn_error err = { 0 };

	cr_expect_eq(loop_run(&loop, &err), 0, "%s", err.msg);
}

static void end(void *context, uint32_t events)
{
	(void)context;
	(void)events;
	loop.done = true;
}

/* Ends the loop once whatever is ready has long been handled. */
static void end_soon(struct loop_source *source)
{
	const struct itimerspec soon = { .it_value = { .tv_nsec = 50000000 } };

	*source = (struct loop_source){ .fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC),
		                        .ready = end };
	cr_assert_eq(timerfd_settime(source->fd, 0, &soon, NULL), 0);
	add(source, EPOLLIN);
}

/* Two sources on the heap, both ready; the one that is called first frees both. */
struct pair {
	struct loop_source *sources[2];
	int calls;
};

static void free_both(void *context, uint32_t events)
{
	struct pair *pair = context;

	(void)events;
	pair->calls++;
	for (int i = 0; i < 2; i++) {
		struct loop_source *source = pair->sources[i];

		loop_remove(&loop, source);
		(void)close(source->fd);
		explicit_bzero(source, sizeof(*source));
		free(source);
	}
}

Test(loop, lets_a_handler_free_its_own_source_and_any_other)
{
	struct pair pair = { .calls = 0 };
	struct loop_source timer;

	for (int i = 0; i < 2; i++) {
		struct loop_source *source = malloc(sizeof(*source));

		cr_assert(source != NULL);
		*source = (struct loop_source){ eventfd(1, EFD_CLOEXEC), free_both, &pair };
		pair.sources[i] = source;
		add(source, EPOLLIN);
	}
	end_soon(&timer);
	run();
	cr_expect_eq(pair.calls, 1, "the other was ready too, but it is gone");
}

static void note(void *context, uint32_t events)
{
	uint32_t *seen = context;

	*seen |= events;
	loop.done = true;
}

Test(loop, tells_its_handler_the_context_and_the_events)
{
	uint32_t seen = 0;
	int ends[2];
	struct loop_source source = { .ready = note, .context = &seen };

	cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
	source.fd = ends[0];
	add(&source, EPOLLIN);
	(void)close(ends[1]);
	run();
	cr_expect_eq(seen, EPOLLHUP);
}

Test(loop, watches_for_what_it_was_last_told)
{
	uint32_t seen = 0;
	struct loop_source source = { eventfd(1, EFD_CLOEXEC), note, &seen };
	struct tn_error err = { 0 };
	struct loop_source timer;

	add(&source, 0);
	end_soon(&timer);
	run();
	cr_expect_eq(seen, 0, "it is readable, but nobody asked");
	loop.done = false;
	cr_assert_eq(loop_change(&loop, &source, EPOLLOUT, &err), 0, "%s", err.msg);
	loop_remove(&loop, &timer);
	run();
	cr_expect_eq(seen, EPOLLOUT);
	seen = 0;
	loop.done = false;
	cr_assert_eq(loop_change(&loop, &source, EPOLLIN, &err), 0, "%s", err.msg);
	run();
	cr_expect_eq(seen, EPOLLIN);
}

Test(loop, calls_nobody_who_was_removed)
{
	uint32_t seen = 0;
	struct loop_source source = { eventfd(1, EFD_CLOEXEC), note, &seen };
	struct loop_source timer;

	add(&source, EPOLLIN);
	loop_remove(&loop, &source);
	/* Neither was this one ever added, nor has it a descriptor. */
	loop_remove(&loop, &source);
	loop_remove(&loop, &(struct loop_source){ .fd = FD_NONE });
	end_soon(&timer);
	run();
	cr_expect_eq(seen, 0);
}

Test(loop, does_not_wait_once_it_is_done)
{
	loop.done = true;
	run();
}

Test(loop, refuses_what_cannot_be_watched)
{
	struct loop_source source = { .fd = FD_NONE, .ready = end };
	struct tn_error err = { 0 };

	cr_expect_eq(loop_add(&loop, &source, EPOLLIN, &err), -EBADF);
	cr_expect_eq(err.code, TN_SYSTEM);
	source.fd = open("/", O_RDONLY | O_CLOEXEC);
	cr_expect_eq(loop_add(&loop, &source, EPOLLIN, &err), -EPERM, "a directory");
	(void)close(source.fd);
	source.fd = eventfd(1, EFD_CLOEXEC);
	cr_expect_eq(loop_change(&loop, &source, EPOLLIN, &err), -ENOENT, "never added");
}

/* How often an event was taken, and idle things done. */
struct counts {
	int events_left, events, idles_left, idles, events_at_first_idle;
	struct loop_source source;
};

static void count_event(void *context, uint32_t events)
{
	struct counts *counts = context;

	(void)events;
	if (++counts->events == counts->events_left) {
		uint64_t value;

		cr_assert_eq(read(counts->source.fd, &value, sizeof(value)), sizeof(value));
	}
}

static bool count_idle(void *context)
{
	struct counts *counts = context;

	if (counts->idles == counts->idles_left)
		return false;
	if (counts->idles++ == 0)
		counts->events_at_first_idle = counts->events;
	return true;
}

static void count(struct counts *counts)
{
	struct loop_source soon;

	counts->source = (struct loop_source){ eventfd(1, EFD_CLOEXEC), count_event, counts };
	add(&counts->source, EPOLLIN);
	end_soon(&soon);
	loop.idle = (struct loop_idle){ count_idle, counts };
	run();
	cr_expect_eq(counts->events, counts->events_left);
	cr_expect_eq(counts->idles, counts->idles_left);
}

Test(loop, takes_events_before_what_is_done_when_there_are_none)
{
	struct counts counts = { .events_left = 5, .idles_left = 3 };

	count(&counts);
	cr_expect_eq(counts.events_at_first_idle, 5);
}

Test(loop, comes_to_that_also_when_there_are_always_events)
{
	struct counts counts = { .events_left = 1000, .idles_left = 10 };

	count(&counts);
	cr_expect_lt(counts.events_at_first_idle, 100);
	cr_expect_gt(counts.events_at_first_idle, 1);
}
