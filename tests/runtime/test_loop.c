/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When a turn of the loop ends: neither before what was ready, nor never. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <base/fd.h>

#include "loop.h"

TestSuite(loop, .timeout = 60);

#define PIPES_N   8
#define TURNS_MAX 1000

static struct tn_error err;

struct rounds {
	struct loop *loop;
	struct loop_source *end;
	struct loop_source *sources[PIPES_N];
	int pipes[PIPES_N][2];
	bool takes; /* what there is to read; else it is there for ever */
	int heard_n, ended_n;
};

struct end {
	struct rounds *rounds;
	int fd;
};

static void on_pipe(void *userdata, uint32_t events)
{
	const struct end *end = userdata;
	char byte;

	cr_expect(events & EPOLLIN);
	end->rounds->heard_n++;
	if (end->rounds->takes)
		cr_expect_eq(read(end->fd, &byte, 1), 1);
	loop_arm(end->rounds->end, 0);
}

static void on_end(void *userdata, uint32_t events)
{
	struct rounds *rounds = userdata;

	(void)events;
	rounds->ended_n++;
}

static void rounds_init(struct rounds *rounds, struct end ends[static PIPES_N])
{
	cr_assert_eq(loop_new(&rounds->loop, &err), 0);
	cr_assert_eq(loop_turn_end(rounds->loop, (struct loop_handler){ on_end, rounds },
	                           &rounds->end, &err),
	             0);
	for (size_t i = 0; i < PIPES_N; i++) {
		cr_assert_eq(pipe2(rounds->pipes[i], O_CLOEXEC), 0);
		ends[i] = (struct end){ rounds, rounds->pipes[i][0] };
		cr_assert_eq(loop_watch(rounds->loop, ends[i].fd, EPOLLIN,
		                        (struct loop_handler){ on_pipe, &ends[i] },
		                        &rounds->sources[i], &err),
		             0);
		cr_assert_eq(write(rounds->pipes[i][1], "x", 1), 1);
	}
}

static void rounds_done(struct rounds *rounds)
{
	for (size_t i = 0; i < PIPES_N; i++) {
		(void)loop_source_free(rounds->sources[i]);
		fd_closep(&rounds->pipes[i][0]);
		fd_closep(&rounds->pipes[i][1]);
	}
	(void)loop_source_free(rounds->end);
	(void)loop_free(rounds->loop);
}

Test(loop, ends_a_turn_when_all_that_was_ready_has_been_heard)
{
	struct rounds rounds = { .takes = true };
	struct end ends[PIPES_N];

	rounds_init(&rounds, ends);
	while (rounds.ended_n == 0)
		cr_assert_eq(loop_turn(rounds.loop, 0, &err), 1);
	cr_expect_eq(rounds.heard_n, PIPES_N);
	cr_expect_eq(loop_turn(rounds.loop, 0, &err), 0, "it ends once");
	cr_expect_eq(rounds.ended_n, 1);
	rounds_done(&rounds);
}

Test(loop, ends_a_turn_though_there_is_always_something_to_hear)
{
	struct rounds rounds = { .takes = false };
	struct end ends[PIPES_N];

	rounds_init(&rounds, ends);
	for (int i = 0; i < TURNS_MAX; i++)
		cr_assert_eq(loop_turn(rounds.loop, 0, &err), 1);
	/* All have been heard in each turn, and none twice. */
	cr_expect_gt(rounds.ended_n, 50, "%d times", rounds.ended_n);
	cr_expect_geq(rounds.heard_n, rounds.ended_n * PIPES_N, "%d", rounds.heard_n);
	cr_expect_leq(rounds.heard_n, (rounds.ended_n + 1) * PIPES_N, "%d", rounds.heard_n);
	rounds_done(&rounds);
}
