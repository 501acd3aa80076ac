/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bills, as they come from the daemon. */
#include <poll.h>

#include <tenant/bill.h>

#include "daemon.h"

TestSuite(bill, .init = set_up, .fini = tear_down, .timeout = 60);

struct seen {
	const struct tn_bill *bill;
	size_t n;
	size_t wanted;
};

static int on_line(const struct tn_bill_line *line, void *userdata)
{
	static const char *const meters[] = { "cpu_time", "memory_time", "api_calls", "pages" };
	struct seen *seen = userdata;
	const bool priced = seen->n < 2;

	cr_expect_str_eq(seen->bill->tenant, "acme", "the bill is there before its lines");
	cr_expect_str_eq(line->meter, meters[seen->n]);
	cr_expect_eq(line->price != NULL, priced);
	cr_expect_eq(line->amount, seen->n == 0 ? 1010 : priced ? 3 : TN_ABSENT);
	cr_expect_eq(line->per, seen->n == 0 ? 3600000000 : priced ? 3686400000 : TN_ABSENT);
	cr_expect_eq(line->unit == NULL, seen->n == 3);
	cr_expect_eq(line->source != NULL, priced);
	return ++seen->n == seen->wanted;
}

Test(bill, has_lines_and_says_of_which_period_it_is)
{
	struct tn_bill bill = { 0 };
	struct seen seen = { .bill = &bill };

	cr_assert_eq(tn_bill(client, "acme", NULL, &bill, on_line, &seen, &err), 0, "%s",
	             err.msg);
	cr_expect_eq(seen.n, 4u);
	cr_expect_str_eq(bill.period, "2023-11");
	cr_expect_eq(bill.state, TN_BILL_OPEN);
	cr_expect_lt(bill.booked_until, bill.end);
	cr_expect_str_eq(bill.currency, "EUR");
	cr_expect_eq(bill.exponent, 2);
	cr_expect_eq(bill.subtotal, 1013);
	cr_assert_eq(bill.books.n, 2u);
	cr_expect_str_eq(bill.books.items[1].key, "prices/new.yaml");
	tn_bill_done(&bill);
	/* Nobody is asked for lines that nobody wants to see. */
	cr_assert_eq(tn_bill(client, "acme", "2023-10", &bill, NULL, NULL, &err), 0, "%s",
	             err.msg);
	cr_expect_str_eq(bill.period, "2023-10");
	cr_expect_eq(bill.state, TN_BILL_ENDED);
	tn_bill_done(&bill);
	cr_assert_eq(tn_bill(client, "acme", "2023-11-01", &bill, NULL, NULL, &err), 0, "%s",
	             err.msg);
	cr_expect_str_eq(bill.period, "2023-11-01");
	cr_expect_eq(bill.state, TN_BILL_CLOSING);
	tn_bill_done(&bill);
}

Test(bill, may_be_started_and_finished_and_ended_early)
{
	struct tn_bill bill = { 0 };
	struct seen seen = { .bill = &bill, .wanted = 2 };
	int done;

	cr_assert_eq(tn_bill_start(client, "acme", NULL, &bill, on_line, &seen, &err), 0);
	do {
		struct pollfd pollfd = { tn_client_fd(client), tn_client_events(client), 0 };

		cr_assert_eq(poll(&pollfd, 1, 10000), 1);
		done = tn_client_process(client, &err);
	} while (done == 0);
	cr_expect_eq(done, 1);
	cr_expect_eq(seen.n, 2u);
	cr_expect_eq(bill.subtotal, 1013);
	tn_bill_done(&bill);
}

Test(bill, refusals_leave_nothing)
{
	struct tn_bill bill = { 0 };
	struct seen seen = { .bill = &bill };

	cr_expect_lt(tn_bill(client, "unbilled", NULL, &bill, on_line, &seen, &err), 0);
	cr_expect_eq(err.code, TN_STATE);
	cr_expect_lt(tn_bill(client, "nobody", NULL, &bill, on_line, &seen, &err), 0);
	cr_expect_eq(err.code, TN_NOT_FOUND);
	cr_expect_eq(tn_bill(client, "../x", NULL, &bill, on_line, &seen, &err), -EINVAL);
	cr_expect_eq(seen.n, 0u);
	cr_expect_null(bill.owner);
	cr_expect_lt(tn_bill(client, "wrong", NULL, &bill, on_line, &seen, &err), 0);
	cr_expect_eq(err.code, TN_PROTOCOL);
	/* The stand-in says what it was sent. */
	cr_expect_lt(tn_bill(client, "echo", "2026-11", &bill, NULL, NULL, &err), 0);
	cr_expect_not_null(strstr(err.msg, "\"period\":\"2026-11\""), "%s", err.msg);
	cr_expect_lt(tn_bill(client, "echo", NULL, &bill, NULL, NULL, &err), 0);
	cr_expect_not_null(strstr(err.msg, "\"period\":null"), "%s", err.msg);
}
