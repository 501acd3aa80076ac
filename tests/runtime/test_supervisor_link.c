/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <base/fd.h>
#include <base/fdpass.h>

#include "supervisor_link.h"

TestSuite(supervisor_link, .timeout = 30);

struct fixture {
	uint32_t slots_n;
	struct loop *loop;
	struct supervisor_link *link;
	int peer;
	int hellos, starts, terminals, exits, replays, gones, replies, abandoned, meters,
		unmetered;
	uint64_t replied[4];
	char why[TN_ERROR_MSG_BYTES];
};

static void on_hello(void *userdata, const struct spec_hello *hello, int root_fd)
{
	struct fixture *fixture = userdata;

	(void)hello;
	cr_expect_eq(fcntl(root_fd, F_GETFD), FD_CLOEXEC);
	fd_closep(&root_fd);
	fixture->hellos++;
}

static void on_started(void *userdata, const struct spec_started *started, int terminal)
{
	struct fixture *fixture = userdata;

	(void)started;
	fixture->starts++;
	fixture->terminals += terminal >= 0;
}

static void on_exited(void *userdata, const struct spec_exited *exited)
{
	(void)exited;
	((struct fixture *)userdata)->exits++;
}

static void on_gone(void *userdata, const struct tn_error *why)
{
	struct fixture *fixture = userdata;

	fixture->gones++;
	(void)snprintf(fixture->why, sizeof(fixture->why), "%s", why->msg);
}

static void on_replayed(void *userdata)
{
	struct fixture *fixture = userdata;

	fixture->replays++;
}

static void on_reserved(void *userdata, const struct tn_error *why)
{
	struct fixture *fixture = userdata;

	(void)snprintf(fixture->why, sizeof(fixture->why), "%s", why->msg);
}

static void on_slots(void *userdata, const struct spec_slots *slots)
{
	struct fixture *fixture = userdata;

	fixture->slots_n += slots->n;
}

static void on_meter(void *userdata, const struct id *tenant, int listen_fd)
{
	struct fixture *fixture = userdata;

	cr_expect_eq(tenant->bytes[0], 7);
	if (listen_fd < 0) {
		fixture->unmetered++;
		return;
	}
	cr_expect_eq(fcntl(listen_fd, F_GETFD), FD_CLOEXEC);
	fd_closep(&listen_fd);
	fixture->meters++;
}

static const struct supervisor_handlers handlers = { .hello = on_hello,
	                                             .started = on_started,
	                                             .exited = on_exited,
	                                             .replayed = on_replayed,
	                                             .reserved = on_reserved,
	                                             .gone = on_gone,
	                                             .slots = on_slots,
	                                             .meter = on_meter };

static void on_reply(void *userdata, const struct spec_reply *reply)
{
	struct fixture *fixture = userdata;

	if (reply == NULL)
		fixture->abandoned++;
	else
		fixture->replied[fixture->replies++ % 4] = reply->head.serial;
}

static void fixture_init(struct fixture *fixture)
{
	struct tn_error err = { 0 };
	int pair[2];

	*fixture = (struct fixture){ .peer = FD_NONE };
	cr_assert_eq(loop_new(&fixture->loop, &err), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	fixture->peer = pair[1];
	cr_assert_eq(supervisor_link_new(&fixture->link, fixture->loop, pair[0], &handlers,
	                                 fixture, &err),
	             0);
}

static void fixture_done(struct fixture *fixture)
{
	fixture->link = supervisor_link_free(fixture->link);
	fixture->loop = loop_free(fixture->loop);
	fd_closep(&fixture->peer);
}

static void turn(struct fixture *fixture)
{
	struct tn_error err = { 0 };

	while (loop_turn(fixture->loop, 0, &err) > 0)
		;
}

static void put(struct fixture *fixture, const void *message, size_t n, bool with_fd)
{
	int fd = STDERR_FILENO;
	struct tn_error err = { 0 };

	cr_assert_eq(fdpass_send(fixture->peer, message, n, &fd, with_fd, &err), 0, "%s",
	             err.msg);
	turn(fixture);
}

static void greet(struct fixture *fixture)
{
	struct spec_hello hello = { .head = { sizeof(hello), SPEC_HELLO, SPEC_VERSION, 0 } };

	put(fixture, &hello, sizeof(hello), true);
	cr_assert_eq(fixture->hellos, 1);
}

static void expect_gone(struct fixture *fixture, const char *why)
{
	struct spec_settled settled = { 0 };
	struct supervisor_request request = SUPERVISOR_REQUEST(SPEC_SETTLED, &settled);
	struct tn_error err = { 0 };

	cr_expect_eq(fixture->gones, 1);
	cr_expect_str_eq(fixture->why, why, "%s", fixture->why);
	cr_expect_eq(supervisor_send(fixture->link, &request, &err), -EPIPE);
	turn(fixture);
	cr_expect_eq(fixture->gones, 1, "once");
	fixture_done(fixture);
}

Test(supervisor_link, hands_on_what_tenantd_says)
{
	struct fixture fixture;
	struct spec_started started = { .head = { sizeof(started), SPEC_STARTED, SPEC_VERSION,
		                                  0 } };
	struct spec_exited exited = { .head = { sizeof(exited), SPEC_EXITED, SPEC_VERSION,
		                                0 } };

	fixture_init(&fixture);
	greet(&fixture);
	put(&fixture, &started, sizeof(started), false);
	put(&fixture, &exited, sizeof(exited), false);
	cr_expect_eq(fixture.starts, 1);
	cr_expect_eq(fixture.exits, 1);
	cr_expect_eq(fixture.gones, 0);
	fixture_done(&fixture);
}

Test(supervisor_link, hands_on_a_terminal_and_no_other_descriptor)
{
	struct spec_started started = { .head = { sizeof(started), SPEC_STARTED, SPEC_VERSION,
		                                  0 } };
	struct spec_exited exited = { .head = { sizeof(exited), SPEC_EXITED, SPEC_VERSION,
		                                0 } };
	struct fixture fixture;
	char why[TN_ERROR_MSG_BYTES];

	fixture_init(&fixture);
	greet(&fixture);
	put(&fixture, &started, sizeof(started), true);
	cr_expect_eq(fixture.starts, 1);
	cr_expect_eq(fixture.terminals, 1);
	put(&fixture, &exited, sizeof(exited), true);
	(void)snprintf(why, sizeof(why), "tenantd sent a descriptor with operation %d",
	               SPEC_EXITED);
	expect_gone(&fixture, why);
}

Test(supervisor_link, takes_a_closed_channel_for_the_end)
{
	struct fixture fixture;

	fixture_init(&fixture);
	greet(&fixture);
	fd_closep(&fixture.peer);
	turn(&fixture);
	expect_gone(&fixture, "peer closed the socket");
}

Test(supervisor_link, wants_the_greeting_first_and_once)
{
	struct spec_exited exited = { .head = { sizeof(exited), SPEC_EXITED, SPEC_VERSION,
		                                0 } };
	struct spec_hello hello = { .head = { sizeof(hello), SPEC_HELLO, SPEC_VERSION, 0 } };
	struct fixture fixture;

	fixture_init(&fixture);
	put(&fixture, &exited, sizeof(exited), false);
	expect_gone(&fixture, "tenantd did not begin with its greeting");

	fixture_init(&fixture);
	greet(&fixture);
	put(&fixture, &hello, sizeof(hello), true);
	expect_gone(&fixture, "tenantd did not begin with its greeting");

	fixture_init(&fixture);
	put(&fixture, &hello, sizeof(hello), false);
	expect_gone(&fixture, "tenantd did not begin with its greeting");
}

Test(supervisor_link, finds_another_version_and_a_wrong_size)
{
	struct spec_started started = { .head = { sizeof(started), SPEC_STARTED,
		                                  SPEC_VERSION + 1, 0 } };
	struct fixture fixture;
	char why[TN_ERROR_MSG_BYTES];

	fixture_init(&fixture);
	greet(&fixture);
	put(&fixture, &started, sizeof(started), false);
	(void)snprintf(why, sizeof(why), "tenantd speaks version %d, we speak %d",
	               SPEC_VERSION + 1, SPEC_VERSION);
	expect_gone(&fixture, why);

	fixture_init(&fixture);
	greet(&fixture);
	started.head.version = SPEC_VERSION;
	put(&fixture, &started, sizeof(started) - 1, false);
	(void)snprintf(why, sizeof(why), "tenantd sent a message of %zu bytes",
	               sizeof(started) - 1);
	expect_gone(&fixture, why);

	fixture_init(&fixture);
	greet(&fixture);
	started.head.op = SPEC_LAUNCH;
	put(&fixture, &started, sizeof(started), false);
	(void)snprintf(why, sizeof(why), "tenantd sent operation %d of %zu bytes", SPEC_LAUNCH,
	               sizeof(started));
	expect_gone(&fixture, why);
}

static void ask(struct fixture *fixture)
{
	struct spec_tenant_remove remove = { 0 };
	struct supervisor_request request = SUPERVISOR_REQUEST(SPEC_TENANT_REMOVE, &remove);
	struct tn_error err = { 0 };

	cr_assert_eq(supervisor_ask(fixture->link, &request, on_reply, fixture, &err), 0, "%s",
	             err.msg);
}

static void reply(struct fixture *fixture, uint64_t serial)
{
	struct spec_reply message = { .head = { sizeof(message), SPEC_REPLY, SPEC_VERSION,
		                                serial } };

	put(fixture, &message, sizeof(message), false);
}

Test(supervisor_link, is_given_tenants_sockets_and_told_of_their_end)
{
	const struct spec_meter meter = { { sizeof(meter), SPEC_METER, SPEC_VERSION, 0 },
		                          { { 7 } } };
	struct fixture fixture;

	fixture_init(&fixture);
	greet(&fixture);
	put(&fixture, &meter, sizeof(meter), true);
	put(&fixture, &meter, sizeof(meter), false);
	cr_expect_eq(fixture.meters, 1);
	cr_expect_eq(fixture.unmetered, 1);
	cr_expect_eq(fixture.gones, 0);
	fixture_done(&fixture);
}

Test(supervisor_link, matches_answers_in_order_and_tells_who_waits_in_vain)
{
	struct fixture fixture;

	fixture_init(&fixture);
	greet(&fixture);
	ask(&fixture);
	ask(&fixture);
	ask(&fixture);
	reply(&fixture, 1);
	reply(&fixture, 2);
	cr_expect_eq(fixture.replies, 2);
	cr_expect_eq(fixture.replied[0], 1);
	cr_expect_eq(fixture.replied[1], 2);
	fixture_done(&fixture);
	cr_expect_eq(fixture.abandoned, 1);
}

Test(supervisor_link, refuses_an_answer_out_of_order)
{
	struct fixture fixture;

	fixture_init(&fixture);
	greet(&fixture);
	ask(&fixture);
	ask(&fixture);
	reply(&fixture, 2);
	cr_expect_eq(fixture.replies, 0);
	expect_gone(&fixture, "tenantd answers what it was not asked");
}

/* Take one message and return its serial, 0 if there is none. */
static uint64_t take(struct fixture *fixture, size_t *ret_fds_n)
{
	static struct spec_launch launch;
	int fds[SPEC_FDS_MAX];
	struct tn_error err = { 0 };

	*ret_fds_n = 0;
	if (fdpass_recv(fixture->peer, &launch, sizeof(launch), fds, SPEC_FDS_MAX, ret_fds_n,
	                &err) < 0)
		return 0;
	fdpass_close(fds, *ret_fds_n);
	return launch.head.serial;
}

Test(supervisor_link, queues_what_the_socket_does_not_take_in_order_and_within_bounds)
{
	static const int fds[4] = { 0, 1, 2, 2 };
	static struct spec_launch launch;
	struct supervisor_request request = SUPERVISOR_REQUEST(SPEC_LAUNCH, &launch);
	struct fixture fixture;
	struct tn_error err = { 0 };
	uint64_t sent = 0;
	uint64_t got = 0;
	int r;

	request.fds = fds;
	request.fds_n = ARRAY_LEN(fds);
	fixture_init(&fixture);
	greet(&fixture);
	do
		r = supervisor_send(fixture.link, &request, &err);
	while (r == 0 && ++sent < 4 * SUPERVISOR_QUEUE_MAX);
	cr_expect_eq(r, -ENOBUFS, "%s", err.msg);
	cr_expect_gt(sent, SUPERVISOR_QUEUE_MAX);
	cr_assert_eq(fcntl(fixture.peer, F_SETFL, O_NONBLOCK), 0);
	for (int idle = 0; idle < 10; idle++) {
		size_t fds_n;
		uint64_t serial;

		while ((serial = take(&fixture, &fds_n)) != 0) {
			cr_assert_eq(serial, got + 1);
			cr_assert_eq(fds_n, ARRAY_LEN(fds));
			got = serial;
			idle = 0;
		}
		turn(&fixture);
	}
	cr_expect_eq(got, sent, "all of them arrive");
	cr_expect_eq(supervisor_send(fixture.link, &request, &err), 0, "there is room again");
	fixture_done(&fixture);
}
