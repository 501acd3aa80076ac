/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Workloads that mean harm on their tenant's own socket: others are served as before. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/fd.h>

#include "control/meters.h"
#include "rig.h"

TestSuite(meters_hostile, .timeout = 90);

#define CONSUME                                                                                \
	"{\"method\":\"io.tenantd.ConsumeQuota\",\"parameters\":{\"meter\":\"tokens\","        \
	"\"amount\":1}}"
#define DESCRIBE                                                                               \
	"{\"method\":\"org.varlink.service.GetInterfaceDescription\","                         \
	"\"parameters\":{\"interface\":\"io.tenantd\"}}"

static const char free_yaml[] = "tier: free\nlimits: {executions_max: 8}\n";
static struct rig rig;
static struct varlink *runs[2];
static union rig_message launches[2]; /* of acme, who is hostile, and globex */
static int listening[2];

static void be_of(const char *tenant, size_t i)
{
	char id[ID_TEXT_BYTES], path[RIG_PATH_BYTES_MAX];

	id_format(&launches[i].launch.execution, id);
	(void)snprintf(path, sizeof(path), "/test/%s/%s", tenant, id);
	rig_inside(&rig, path);
}

static void set_up(void)
{
	struct varlink *admin;

	rig = (struct rig){ 0 };
	rig_init(&rig);
	admin = rig_connect(&rig);
	rig_write(&rig, "tiers/free.yaml", free_yaml);
	json_decref(rig_ask(&rig, admin, "io.tenantd.ReloadPolicy", json_object(), NULL));
	(void)varlink_free(admin);
	rig_tenant(&rig, "acme");
	rig_tenant(&rig, "globex");
	rig_send(&rig, SPEC_REPLAYED, 0, &(struct spec_head){ 0 }, sizeof(struct spec_head));
	for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
		runs[i] = rig_connect(&rig);
		rig_run_started(&rig, runs[i], i == 0 ? "acme" : "globex", &launches[i]);
	}
	listening[0] = rig_meter(&rig, &launches[0].launch.tenant, "acme.sock");
	listening[1] = rig_meter(&rig, &launches[1].launch.tenant, "globex.sock");
	be_of("acme", 0);
}

static void tear_down(void)
{
	for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
		fd_closep(&listening[i]);
		(void)varlink_free(runs[i]);
	}
	rig_done(&rig);
}

static struct varlink *connect_globex(void)
{
	struct varlink *link;

	be_of("globex", 1);
	link = rig_connect_to(&rig, "globex.sock");
	rig_turn(&rig);
	be_of("acme", 0);
	return link;
}

static int64_t consume(struct varlink *link)
{
	json_t *answer = rig_ask(&rig, link, "io.tenantd.ConsumeQuota",
	                         json_pack("{s:s, s:i}", "meter", "tokens", "amount", 1), NULL);
	int64_t used = rig_number(answer, "used");

	json_decref(answer);
	return used;
}

/* Whether the server has closed it, with whatever it had said before. */
static bool raw_closed(int fd)
{
	char buf[4096];

	for (int i = 0; i < 50; i++) {
		ssize_t n;

		rig_turn(&rig);
		n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return true;
		if (n < 0)
			(void)usleep(1000);
	}
	return false;
}

struct garbage {
	char bytes[96];
	size_t n;
};

ParameterizedTestParameters(meters_hostile, drop_who_talks_garbage)
{
#define GARBAGE(text)                                                                          \
	{                                                                                      \
		text, sizeof(text)                                                             \
	}
	static struct garbage rows[] = {
		GARBAGE("GET / HTTP/1.1\r\n\r\n"),
		GARBAGE(""),
		GARBAGE("[]"),
		GARBAGE("{}"),
		GARBAGE("{\"method\": 7}"),
		GARBAGE("{\"method\": \"a\", \"method\": \"b\"}"),
		GARBAGE("{\"method\": \"\xff\xfe\"}"),
		/* Deeper than any call of theirs. */
		GARBAGE("{\"method\":\"org.varlink.service.GetInfo\",\"parameters\":[[[[]]]]}"),
		GARBAGE("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["),
	};
#undef GARBAGE

	return cr_make_param_array(struct garbage, rows, ARRAY_LEN(rows));
}

ParameterizedTest(struct garbage *row, meters_hostile, drop_who_talks_garbage)
{
	struct varlink *other;
	int fd;

	set_up();
	other = connect_globex();
	fd = rig_connect_to_raw(&rig, "acme.sock");
	cr_assert_eq(send(fd, row->bytes, row->n, MSG_NOSIGNAL), (ssize_t)row->n);
	cr_expect(raw_closed(fd));
	cr_expect_eq(consume(other), 1);
	fd_closep(&fd);
	(void)varlink_free(other);
	tear_down();
}

Test(meters_hostile, drop_who_sends_more_than_a_call_has, .init = set_up, .fini = tear_down)
{
	char call[METER_MSG_BYTES_MAX + 1];
	int fd = rig_connect_to_raw(&rig, "acme.sock");

	/* Blanks are JSON, too: that much may be sent, and one more byte not. */
	memset(call, ' ', sizeof(call));
	memcpy(call, CONSUME, sizeof(CONSUME) - 1);
	call[sizeof(call) - 2] = '\0';
	cr_assert_eq(send(fd, call, sizeof(call) - 1, MSG_NOSIGNAL), (ssize_t)sizeof(call) - 1);
	cr_expect_not(raw_closed(fd));
	call[sizeof(call) - 2] = ' ';
	call[sizeof(call) - 1] = '\0';
	cr_assert_eq(send(fd, call, sizeof(call), MSG_NOSIGNAL), (ssize_t)sizeof(call));
	cr_expect(raw_closed(fd));
	fd_closep(&fd);
}

static int fds_open(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

Test(meters_hostile, drop_who_sends_descriptors, .init = set_up, .fini = tear_down)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { { 0 } };
	char call[] = CONSUME;
	struct iovec iov = { call, sizeof(call) };
	struct msghdr message = { .msg_iov = &iov,
		                  .msg_iovlen = 1,
		                  .msg_control = &control,
		                  .msg_controllen = sizeof(control) };
	int fd = rig_connect_to_raw(&rig, "acme.sock");
	const int null = open("/dev/null", O_RDONLY | O_CLOEXEC), before = fds_open();

	control.head = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
		                         .cmsg_level = SOL_SOCKET,
		                         .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(&control.head), &null, sizeof(null));
	cr_assert_eq(sendmsg(fd, &message, MSG_NOSIGNAL), (ssize_t)sizeof(call));
	cr_expect(raw_closed(fd));
	/* It has not come in, and the connection is gone. */
	cr_expect_eq(fds_open(), before - 1);
	(void)close(null);
	fd_closep(&fd);
}

/* As many as there are, on all the connections that there may be; nothing is read of it. */
static size_t flood(int *fds, size_t n, const char *call, size_t bytes)
{
	size_t sent = 0;

	for (size_t i = 0; i < n; i++)
		while (send(fds[i], call, bytes, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)bytes)
			sent++;
	return sent;
}

Test(meters_hostile, have_one_turn_in_a_round_however_much_they_send, .init = set_up,
     .fini = tear_down)
{
	struct varlink *other = connect_globex();
	struct tn_error err = { 0 };
	int fds[METER_CONNECTIONS_MAX];
	json_t *call = json_pack("{s:s, s:{s:s, s:i}}", "method", "io.tenantd.ConsumeQuota",
	                         "parameters", "meter", "tokens", "amount", 1);
	size_t sent;

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = rig_connect_to_raw(&rig, "acme.sock");
	sent = flood(fds, ARRAY_LEN(fds), CONSUME, sizeof(CONSUME));
	cr_assert_gt(sent, 1000u);
	for (int round = 0; round < 20; round++) {
		struct varlink_message message = { 0 };
		int turns = 0;

		cr_assert_eq(varlink_send(other, call, NULL, 0, &err), 0);
		cr_assert_eq(varlink_process(other, &err), 0);
		do {
			cr_assert_geq(loop_turn(rig.loop, 100000, &err), 0);
			cr_assert_eq(varlink_process(other, &err), 0);
		} while (varlink_next(other, &message, &err) == 0 && ++turns < 100);
		varlink_message_done(&message);
		/* Its own, that of the hostile ones, their commit, and what a turn wakes. */
		cr_expect_leq(turns, 8, "%d turns", turns);
	}
	/* It was not for want of a flood: much of it still waits. */
	sent = flood(fds, ARRAY_LEN(fds), CONSUME, sizeof(CONSUME));
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		cr_expect_lt(
			send(fds[i], CONSUME, sizeof(CONSUME), MSG_NOSIGNAL | MSG_DONTWAIT), 0);
		fd_closep(&fds[i]);
	}
	json_decref(call);
	(void)varlink_free(other);
}

/* Nothing that was sent is lost by having to wait. */
Test(meters_hostile, are_answered_all_they_ask_in_their_time, .init = set_up, .fini = tear_down)
{
	const size_t calls_n = 3000;
	int fd = rig_connect_to_raw(&rig, "acme.sock");
	static char buf[65536];
	size_t sent = 0, answers_n = 0;

	while (answers_n < calls_n) {
		struct tn_error err = { 0 };
		ssize_t n = 1;

		while (sent < calls_n && n > 0) {
			n = send(fd, CONSUME, sizeof(CONSUME), MSG_NOSIGNAL | MSG_DONTWAIT);
			sent += n == (ssize_t)sizeof(CONSUME);
			cr_assert(n < 0 || n == (ssize_t)sizeof(CONSUME));
		}
		cr_assert_geq(loop_turn(rig.loop, 10000, &err), 0);
		while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
			for (ssize_t i = 0; i < n; i++)
				answers_n += buf[i] == '\0';
		cr_assert(n < 0 && errno == EAGAIN, "the connection ended");
	}
	cr_expect_eq(answers_n, calls_n);
	fd_closep(&fd);
}

/* More than there is room for: all are served, and nobody is refused. */
Test(meters_hostile, take_turns_with_connections_of_their_own, .init = set_up,
     .fini = tear_down)
{
	struct varlink *links[3 * METER_CONNECTIONS_MAX], *other = connect_globex();
	struct tn_error err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(links); i++) {
		links[i] = rig_connect_to(&rig, "acme.sock");
		rig_call(&rig, links[i], "io.tenantd.ConsumeQuota",
		         json_pack("{s:s, s:i}", "meter", "tokens", "amount", 1), NULL);
	}
	cr_expect_eq(consume(other), 1);
	for (size_t i = 0; i < ARRAY_LEN(links); i++) {
		struct varlink_message message = { 0 };
		int r = 0;

		/* It may have given way since it was answered. */
		for (int turn = 0; r == 0 && turn < 1000; turn++) {
			cr_assert_geq(loop_turn(rig.loop, 10000, &err), 0);
			(void)varlink_process(links[i], &err);
			r = varlink_next(links[i], &message, &err);
		}
		cr_expect_eq(r, 1, "%zu", i);
		varlink_message_done(&message);
	}
	cr_expect_eq(consume(other), 2);
	for (size_t i = 0; i < ARRAY_LEN(links); i++)
		(void)varlink_free(links[i]);
	(void)varlink_free(other);
}

/* Half a call, and answers that nobody reads; who is only silent has more time. */
Test(meters_hostile, do_not_hold_a_connection_for_ever, .init = set_up, .fini = tear_down)
{
	int half = rig_connect_to_raw(&rig, "acme.sock");
	int deaf = rig_connect_to_raw(&rig, "acme.sock");
	struct varlink *silent = rig_connect_to(&rig, "acme.sock"), *other = connect_globex();
	struct tn_error err = { 0 };
	const int64_t began = clock_usec(CLOCK_MONOTONIC);
	size_t heard_n = 0;

	cr_assert_eq(send(half, "{", 1, MSG_NOSIGNAL), 1);
	for (int i = 0; i < 20; i++) {
		heard_n = flood(&deaf, 1, DESCRIBE, sizeof(DESCRIBE));
		rig_turn(&rig);
	}
	/* Without anybody who reads, it is not heard any more. */
	cr_expect_eq(heard_n, 0u);
	cr_expect_eq(consume(other), 1);
	while (clock_usec(CLOCK_MONOTONIC) - began < METER_SLOW_USEC_MAX + 2000000)
		cr_assert_geq(loop_turn(rig.loop, 100000, &err), 0);
	cr_expect(raw_closed(half));
	/* What was answered before is there to be read, and then the end. */
	{
		static char buf[65536];
		ssize_t n;

		while ((n = recv(deaf, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
			;
		cr_expect(n == 0 || errno == ECONNRESET, "%zd %m", n);
	}
	cr_expect_eq(consume(silent), 1);
	cr_expect_eq(consume(other), 2);
	fd_closep(&half);
	fd_closep(&deaf);
	(void)varlink_free(silent);
	(void)varlink_free(other);
}
