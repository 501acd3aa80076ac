/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tn_attach(): what a detached execution writes, and how it ends. */
#include "daemon.h"

#include <poll.h>
#include <string.h>

#include <tenant/attach.h>

TestSuite(attach, .timeout = 30, .init = set_up, .fini = tear_down);

static char text[64];

static int collect(const struct tn_log_piece *piece, void *userdata)
{
	size_t *n = userdata;

	if (*n + piece->n >= sizeof(text))
		return -ENOSPC;
	memcpy(text + *n, piece->bytes, piece->n);
	*n += piece->n;
	return 0;
}

Test(attach, tells_what_was_written_and_how_it_ended)
{
	struct tn_execution execution;
	size_t n = 0;

	cr_assert_eq(tn_attach(client, FAKE_DETACHED_ID, TN_ATTACH_START, collect, &n,
	                       &execution, &err),
	             0, "%s", err.msg);
	cr_expect_str_eq(text, "outerr\nput\nnext\n");
	cr_expect_eq(execution.reason, TN_REASON_OOM);
	tn_execution_done(&execution);
}

Test(attach, leaves_out_what_was_before)
{
	struct tn_execution execution;
	size_t n = 0;

	cr_assert_eq(tn_attach(client, FAKE_DETACHED_ID, TN_ATTACH_NOW, collect, &n, &execution,
	                       &err),
	             0, "%s", err.msg);
	cr_expect_eq(n, 0u);
	tn_execution_done(&execution);
}

static int one_too_many(const struct tn_log_piece *piece, void *userdata)
{
	(void)piece;
	(void)userdata;
	return -ECANCELED;
}

Test(attach, ends_when_its_reader_wants_no_more)
{
	struct tn_execution execution;
	const int before = fds_open();

	cr_expect_eq(tn_attach(client, FAKE_DETACHED_ID, TN_ATTACH_START, one_too_many, NULL,
	                       &execution, &err),
	             -ECANCELED);
	cr_expect_leq(fds_open(), before, "nothing is left open");
}

static int process(struct tn_attach *attach, struct tn_log_piece *piece)
{
	struct pollfd pollfd = { .fd = tn_attach_fd(attach), .events = POLLIN };
	int r;

	while ((r = tn_attach_process(attach, piece, &err)) == TN_ATTACH_NOTHING)
		cr_assert_eq(poll(&pollfd, 1, 10000), 1);
	cr_assert_geq(r, 0, "%s", err.msg);
	return r;
}

Test(attach, is_pollable_and_passes_signals_on)
{
	struct tn_attach *attach = NULL;
	struct tn_log_piece piece;
	int r;

	cr_assert_eq(tn_attach_start(client, FAKE_DETACHED_ID, TN_ATTACH_START, &attach, &err),
	             0, "%s", err.msg);
	cr_assert_eq(process(attach, &piece), TN_ATTACH_OUTPUT);
	cr_expect_eq(piece.n, 3u);
	cr_expect_null(tn_attach_execution(attach));
	cr_expect_eq(tn_attach_signal(attach, SIGUSR1, &err), 0, "%s", err.msg);
	do
		r = process(attach, &piece);
	while (r == TN_ATTACH_OUTPUT);
	cr_expect_eq(r, TN_ATTACH_EXITED);
	cr_expect_str_eq(tn_attach_execution(attach)->tenant, "acme");
	cr_expect_eq(tn_attach_process(attach, &piece, &err), TN_ATTACH_NOTHING);
	cr_expect_eq(tn_attach_signal(attach, SIGUSR1, &err), -ESRCH);
	tn_attach_free(attach);
}

Test(attach, goes_on_when_the_daemon_is_back)
{
	struct tn_attach *attach = NULL;
	struct tn_log_piece piece;

	cr_assert_eq(tn_attach_start(client, FAKE_DETACHED_ID, TN_ATTACH_NOW, &attach, &err), 0,
	             "%s", err.msg);
	daemon_stop();
	for (int i = 0; i < 3; i++) {
		struct pollfd pollfd = { .fd = tn_attach_fd(attach), .events = POLLIN };

		cr_assert_eq(tn_attach_process(attach, &piece, &err), TN_ATTACH_NOTHING, "%s",
		             err.msg);
		cr_assert_eq(poll(&pollfd, 1, 10000), 1);
	}
	/* A few are kept for it. */
	for (int i = 0; i < 16; i++)
		cr_expect_eq(tn_attach_signal(attach, SIGUSR1, &err), 0, "%s", err.msg);
	cr_expect_eq(tn_attach_signal(attach, SIGUSR1, &err), -EAGAIN);
	daemon_start();
	cr_expect_eq(process(attach, &piece), TN_ATTACH_EXITED);
	cr_expect_eq(tn_attach_execution(attach)->reason, TN_REASON_OOM);
	tn_attach_free(attach);
}

Test(attach, says_what_it_cannot_attach_to)
{
	struct tn_attach *attach = NULL;

	cr_expect_eq(tn_attach_start(client, NULL, TN_ATTACH_NOW, &attach, &err), -EINVAL);
	cr_expect_eq(tn_attach_start(client, "job", TN_ATTACH_NOW, &attach, &err), -EINVAL);
	cr_expect_lt(tn_attach_start(client, FAKE_EXECUTION_ID, TN_ATTACH_NOW, &attach, &err),
	             0);
	cr_expect_eq(err.code, TN_STATE, "it has ended");
	cr_expect_lt(tn_attach_start(client, "1192f0c4-8a5e-4c7e-9b1d-2f6a3c5d7e9f",
	                             TN_ATTACH_NOW, &attach, &err),
	             0);
	cr_expect_eq(err.code, TN_STATE);
	cr_expect(strstr(err.msg, "journalctl") != NULL, "%s", err.msg);
	cr_expect_null(tn_attach_free(attach));
}
