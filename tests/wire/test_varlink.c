/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Both ends of the framing, and a raw end that says what no honest peer would.
 */
#include <wire/varlink.h>

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <criterion/criterion.h>

#include <base/fd.h>

TestSuite(varlink, .timeout = 20);

static struct tn_error err;

static int fds_open(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* A connection and the raw other end of it. */
static struct varlink *connection(int *ret_raw)
{
	struct varlink *link;
	int sv[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	cr_assert_eq(varlink_new(&link, sv[0], &err), 0);
	*ret_raw = sv[1];
	return link;
}

static void connections(struct varlink *links[2])
{
	int raw;

	links[0] = connection(&raw);
	cr_assert_eq(varlink_new(&links[1], raw, &err), 0);
}

/* sendmsg(2) of @n bytes with @fds_n copies of descriptor 2. */
static void send_raw(int fd, const char *bytes, size_t n, size_t fds_n)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(250 * sizeof(int))];
	} control = { 0 };
	char copy[256];
	struct iovec iov = { .iov_base = copy, .iov_len = n };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	cr_assert(n <= sizeof(copy) && fds_n <= 250);
	memcpy(copy, bytes, n);
	if (fds_n > 0) {
		struct cmsghdr *cmsg;

		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(fds_n * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(fds_n * sizeof(int));
		for (size_t i = 0; i < fds_n; i++)
			memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &(int){ STDERR_FILENO },
			       sizeof(int));
	}
	cr_assert_eq(sendmsg(fd, &msg, MSG_NOSIGNAL), (ssize_t)n);
}

/* Take a message that must be there; its member "n". */
static int take(struct varlink *link, struct varlink_message *message)
{
	cr_assert_eq(varlink_next(link, message, &err), 1, "%s", err.msg);
	return (int)json_integer_value(json_object_get(message->json, "n"));
}

/* What @bytes end the connection with, having been read and taken. */
static int fate_of(const char *bytes, size_t n, size_t fds_n)
{
	struct varlink_message message = { 0 };
	int before = fds_open(), raw, r;
	struct varlink *link = connection(&raw);

	send_raw(raw, bytes, n, fds_n);
	r = varlink_process(link, &err);
	if (r == 0)
		r = varlink_next(link, &message, &err);
	varlink_message_done(&message);
	varlink_free(link);
	close(raw);
	cr_expect_eq(fds_open(), before, "descriptors leaked");
	return r;
}

Test(varlink, carries_messages_in_order)
{
	struct varlink *links[2];
	struct varlink_message message = { 0 };

	connections(links);
	for (int i = 0; i < 200; i++) {
		json_t *json = json_pack("{s:i}", "n", i);

		cr_assert_eq(varlink_send(links[0], json, NULL, 0, &err), 0);
		json_decref(json);
	}
	cr_expect_eq(varlink_events(links[0]), POLLIN | POLLOUT);
	cr_assert_eq(varlink_process(links[0], &err), 0);
	cr_expect_eq(varlink_output_bytes(links[0]), 0);
	cr_expect_eq(varlink_events(links[0]), POLLIN);

	for (int i = 0; i < 200;) {
		cr_assert_eq(varlink_process(links[1], &err), 0);
		while (i < 200 && varlink_next(links[1], &message, &err) == 1) {
			cr_assert_eq(json_integer_value(json_object_get(message.json, "n")), i);
			varlink_message_done(&message);
			i++;
		}
	}
	cr_expect_eq(varlink_next(links[1], &message, &err), 0);
	varlink_free(links[0]);
	varlink_free(links[1]);
}

Test(varlink, gives_descriptors_to_the_message_they_were_sent_with)
{
	struct varlink *links[2];
	struct varlink_message message = { 0 };
	int fds[] = { STDERR_FILENO, STDERR_FILENO, STDERR_FILENO };
	int before = fds_open(), taken;

	connections(links);
	for (int i = 0; i < 8; i++) {
		json_t *json = json_pack("{s:i}", "n", i);

		cr_assert_eq(varlink_send(links[0], json, fds, (size_t)(i % 4), &err), 0);
		json_decref(json);
	}
	cr_assert_eq(varlink_process(links[0], &err), 0);
	for (int i = 0; i < 8; i++) {
		cr_assert_eq(varlink_process(links[1], &err), 0);
		cr_expect_eq(take(links[1], &message), i);
		cr_expect_eq(message.fds_n, (size_t)i % 4, "message %d has %zu", i,
		             message.fds_n);
		for (size_t j = 0; j < message.fds_n; j++)
			cr_expect_eq(fcntl(message.fds[j], F_GETFD), FD_CLOEXEC);
		varlink_message_done(&message);
	}
	cr_assert_eq(varlink_send(links[0], json_object(), fds, 1, &err), 0);
	cr_assert_eq(varlink_process(links[0], &err), 0);
	cr_assert_eq(varlink_process(links[1], &err), 0);
	(void)take(links[1], &message);
	taken = varlink_message_take_fd(&message, 0, &err);
	cr_expect_geq(taken, 0);
	cr_expect_eq(varlink_message_take_fd(&message, 0, &err), -EINVAL);
	cr_expect_eq(varlink_message_take_fd(&message, 1, &err), -EINVAL);
	cr_expect_eq(varlink_message_take_fd(&message, -1, &err), -EINVAL);
	varlink_message_done(&message);
	cr_expect_eq(close(taken), 0);
	varlink_free(links[0]);
	varlink_free(links[1]);
	cr_expect_eq(fds_open(), before);
}

Test(varlink, tells_messages_apart_that_share_a_buffer_with_descriptors)
{
	struct varlink_message message = { 0 };
	int raw;
	struct varlink *link = connection(&raw);

	/* Two in one sendmsg: the descriptors came with the first byte of the first. */
	send_raw(raw, "{\"n\":1}\0{\"n\":2}", 16, 2);
	/* What is before the descriptors in one read is not theirs. */
	send_raw(raw, "{\"n\":3}", 8, 0);
	send_raw(raw, "{\"n\":4}", 8, 1);
	send_raw(raw, "{\"n\":5}", 8, 0);
	for (int i = 1; i <= 5; i++) {
		static const size_t expected[] = { 0, 2, 0, 0, 1, 0 };

		cr_assert_eq(varlink_process(link, &err), 0, "%s", err.msg);
		cr_expect_eq(take(link, &message), i);
		cr_expect_eq(message.fds_n, expected[i], "message %d has %zu", i,
		             message.fds_n);
		varlink_message_done(&message);
	}
	varlink_free(link);
	close(raw);
}

Test(varlink, reads_ahead_but_not_past_a_message_with_descriptors)
{
	struct varlink_message message = { 0 };
	int raw;
	struct varlink *link = connection(&raw);

	send_raw(raw, "{\"n\":1}", 8, 1);
	send_raw(raw, "{\"n\":2}", 8, 1);
	cr_assert_eq(varlink_process(link, &err), 0);
	cr_expect_eq(varlink_events(link), 0, "full until the first is taken");
	cr_expect_eq(take(link, &message), 1);
	varlink_message_done(&message);
	cr_expect_eq(varlink_events(link), POLLIN);
	varlink_free(link);
	close(raw);
}

Test(varlink, joins_a_message_that_comes_byte_by_byte)
{
	static const char text[] = "{\"n\":7}";
	struct varlink_message message = { 0 };
	int raw;
	struct varlink *link = connection(&raw);

	for (size_t i = 0; i < sizeof(text); i++) {
		cr_expect_eq(varlink_next(link, &message, &err), 0);
		send_raw(raw, text + i, 1, i == 0 ? 2 : 0);
		cr_assert_eq(varlink_process(link, &err), 0);
	}
	cr_expect_eq(take(link, &message), 7);
	cr_expect_eq(message.fds_n, 2);
	varlink_message_done(&message);
	varlink_free(link);
	close(raw);
}

Test(varlink, refuses_descriptors_in_the_middle_of_a_message)
{
	int before = fds_open(), raw;
	struct varlink *link = connection(&raw);

	send_raw(raw, "{\"n\"", 4, 0);
	send_raw(raw, ":1}", 4, 3);
	cr_expect_eq(varlink_process(link, &err), -EPROTO);
	cr_expect_eq(err.code, TN_PROTOCOL);
	cr_expect_eq(varlink_process(link, &err), -EPROTO, "and stays broken");
	varlink_free(link);
	close(raw);
	cr_expect_eq(fds_open(), before);
}

Test(varlink, refuses_more_descriptors_than_a_message_may_have)
{
	cr_expect_eq(fate_of("{}", 3, VARLINK_FDS_MAX), 1);
	cr_expect_eq(fate_of("{}", 3, VARLINK_FDS_MAX + 1), -EPROTO);
	cr_expect_eq(fate_of("{}", 3, 250), -EPROTO);
}

Test(varlink, refuses_what_is_not_one_json_object)
{
	static const struct {
		const char *bytes;
		size_t n;
	} cases[] = {
		{ "", 1 },
		{ " ", 2 },
		{ "x", 2 },
		{ "[]", 3 },
		{ "\"a\"", 4 },
		{ "1", 2 },
		{ "null", 5 },
		{ "{", 2 },
		{ "{}{}", 5 },
		{ "{} x", 5 },
		{ "{\"a\":1,\"a\":2}", 14 },
		{ "{\"a\":\"\\u0000\"}", 15 },
		{ "{\"a\":\"\xff\"}", 10 },
		{ "{\"a\":\"\xc0\x80\"}", 11 },
		{ "{\"a\":9223372036854775808}", 26 },
		{ "{\"a\":NaN}", 10 },
		{ "{\"a\":'b'}", 10 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		cr_expect_eq(fate_of(cases[i].bytes, cases[i].n, 0), -EPROTO, "case %zu", i);
		cr_expect_eq(fate_of(cases[i].bytes, cases[i].n, 2), -EPROTO, "case %zu", i);
		cr_expect_eq(err.code, TN_PROTOCOL);
	}
}

Test(varlink, takes_a_depth_of_16_and_no_more)
{
	char text[128];

	(void)snprintf(text, sizeof(text), "{\"a\":%.15s%.15s}", "[[[[[[[[[[[[[[[",
	               "]]]]]]]]]]]]]]]");
	cr_expect_eq(fate_of(text, strlen(text) + 1, 0), 1);
	(void)snprintf(text, sizeof(text), "{\"a\":%.16s%.16s}", "[[[[[[[[[[[[[[[[",
	               "]]]]]]]]]]]]]]]]");
	cr_expect_eq(fate_of(text, strlen(text) + 1, 0), -EPROTO);
	/* Brackets in a string do not nest, an escaped quote does not end it. */
	(void)snprintf(text, sizeof(text), "{\"a\":\"\\\"%s\"}", "[[[[[[[[[[[[[[[[[[[[");
	cr_expect_eq(fate_of(text, strlen(text) + 1, 0), 1);
}

Test(varlink, ends_a_message_at_64_kib)
{
	struct varlink *links[2];
	struct varlink_message message = { 0 };
	char *text = malloc(VARLINK_MSG_BYTES_MAX);
	json_t *json;
	int raw;
	struct varlink *link;

	connections(links);
	memset(text, 'x', VARLINK_MSG_BYTES_MAX);
	text[VARLINK_MSG_BYTES_MAX - strlen("{\"n\":\"\"}") - 1] = '\0';
	json = json_pack("{s:s}", "n", text);
	cr_assert_eq(varlink_send(links[0], json, &(int){ STDERR_FILENO }, 1, &err), 0);
	json_decref(json);
	while (varlink_next(links[1], &message, &err) == 0) {
		cr_assert_eq(varlink_process(links[0], &err), 0);
		cr_assert_eq(varlink_process(links[1], &err), 0, "%s", err.msg);
	}
	cr_expect_eq(message.fds_n, 1);
	varlink_message_done(&message);
	varlink_free(links[0]);
	varlink_free(links[1]);

	link = connection(&raw);
	memset(text, 'x', VARLINK_MSG_BYTES_MAX);
	cr_assert_eq(fcntl(raw, F_SETFL, O_NONBLOCK), 0);
	for (size_t sent = 0; sent < VARLINK_MSG_BYTES_MAX;) {
		ssize_t n = write(raw, text, VARLINK_MSG_BYTES_MAX - sent);

		cr_assert_eq(varlink_process(link, &err),
		             sent + (size_t)n < VARLINK_MSG_BYTES_MAX ? 0 : -EPROTO);
		sent += (size_t)n;
	}
	json = json_pack("{s:s#}", "n", text, VARLINK_MSG_BYTES_MAX);
	cr_expect_eq(varlink_send(link, json, NULL, 0, &err), -EMSGSIZE);
	json_decref(json);
	varlink_free(link);
	close(raw);
	free(text);
}

Test(varlink, delivers_what_arrived_before_the_peer_closed)
{
	struct varlink_message message = { 0 };
	int before = fds_open(), raw;
	struct varlink *link = connection(&raw);
	json_t *json = json_object();

	/* Output that can never be sent does not lose what the peer said last. */
	cr_assert_eq(varlink_send(link, json, &(int){ STDERR_FILENO }, 1, &err), 0);
	json_decref(json);
	send_raw(raw, "{\"n\":1}\0{\"n\":2}\0{\"n\"", 20, 0);
	close(raw);
	cr_expect_eq(varlink_process(link, &err), 0);
	cr_expect_eq(take(link, &message), 1);
	varlink_message_done(&message);
	cr_expect_eq(varlink_process(link, &err), 0);
	cr_expect_eq(take(link, &message), 2);
	varlink_message_done(&message);
	cr_expect_eq(varlink_next(link, &message, &err), 0);
	cr_expect_eq(varlink_events(link), POLLIN, "nothing is left to send");
	cr_expect_eq(varlink_process(link, &err), -EPIPE);
	cr_expect_eq(err.code, TN_UNREACHABLE);
	cr_expect_neq(strstr(err.msg, "in the middle"), NULL, "%s", err.msg);
	varlink_free(link);
	cr_expect_eq(fds_open(), before);
}

Test(varlink, keeps_no_descriptor_of_a_message_that_was_not_taken)
{
	int before = fds_open(), raw;
	struct varlink *link = connection(&raw);
	json_t *json = json_object();

	send_raw(raw, "{\"n\":1}", 8, 3);
	cr_assert_eq(varlink_process(link, &err), 0);
	cr_assert_eq(varlink_send(link, json, &(int){ STDERR_FILENO }, 1, &err), 0);
	json_decref(json);
	varlink_free(link);
	close(raw);
	cr_expect_eq(fds_open(), before);
}

Test(varlink, bounds_what_is_queued_for_a_peer_that_does_not_read)
{
	int raw, r = 0;
	struct varlink *link = connection(&raw);
	char text[1024];
	json_t *json;

	memset(text, 'x', sizeof(text));
	json = json_pack("{s:s#}", "n", text, sizeof(text));
	while (r == 0)
		r = varlink_send(link, json, NULL, 0, &err);
	cr_expect_eq(r, -ENOBUFS);
	cr_expect_leq(varlink_output_bytes(link), VARLINK_OUTPUT_BYTES_MAX);
	cr_expect_gt(varlink_output_bytes(link), VARLINK_OUTPUT_BYTES_MAX - 2048);
	cr_assert_eq(varlink_process(link, &err), 0);
	cr_expect_eq(varlink_send(link, json, (int[VARLINK_FDS_MAX + 1]){ 0 },
	                          VARLINK_FDS_MAX + 1, &err),
	             -EINVAL);
	for (r = 0; r == 0;)
		r = varlink_send(link, json, &(int){ STDERR_FILENO }, 1, &err);
	cr_expect_eq(r, -ENOBUFS);
	cr_expect_eq(varlink_send(link, json, &(int){ -1 }, 1, &err), -ENOBUFS);
	json_decref(json);
	varlink_free(link);
	close(raw);
}

Test(varlink, says_when_a_descriptor_cannot_be_sent)
{
	int raw;
	struct varlink *link = connection(&raw);
	json_t *json = json_object();

	cr_expect_eq(varlink_send(link, json, (int[]){ STDERR_FILENO, 1000 }, 2, &err), -EBADF);
	cr_expect_eq(varlink_output_bytes(link), 0);
	json_decref(json);
	varlink_free(link);
	close(raw);
}

/* Of a peer that is bounded to less than others. */
static struct varlink *bounded(int *ret_raw)
{
	static const struct varlink_bounds bounds = { .bytes_max = 64,
		                                      .depth_max = 2,
		                                      .messages_max = 2 };
	struct varlink *link;
	int sv[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	cr_assert_eq(varlink_new_bounded(&link, sv[0], &bounds, &err), 0);
	*ret_raw = sv[1];
	return link;
}

Test(varlink, reads_no_further_ahead_than_its_bounds)
{
	struct varlink_message message;
	int raw;
	struct varlink *link = bounded(&raw);

	for (int i = 0; i < 3; i++)
		send_raw(raw, "{\"n\":1}", 8, 0);
	cr_expect_not(varlink_waiting(link));
	cr_assert_eq(varlink_process(link, &err), 0);
	cr_expect(varlink_waiting(link));
	cr_expect_eq(varlink_events(link) & POLLIN, 0);
	for (int i = 0; i < 3; i++) {
		cr_expect_eq(varlink_process(link, &err), 0);
		cr_assert_eq(varlink_next(link, &message, &err), 1);
		varlink_message_done(&message);
	}
	cr_expect_not(varlink_waiting(link));
	varlink_free(link);
	(void)close(raw);
}

Test(varlink, ends_when_a_peer_exceeds_its_bounds)
{
	static const char *const texts[] = {
		"{\"n\":[[1]]}",
		"{\"n\":\"0123456789012345678901234567890123456789012345678901234567890\"}",
	};
	const int before = fds_open();

	for (size_t i = 0; i <= ARRAY_LEN(texts); i++) {
		struct varlink_message message = { 0 };
		int raw, r;
		struct varlink *link = bounded(&raw);

		/* At last a descriptor, of which none is taken. */
		if (i < ARRAY_LEN(texts))
			send_raw(raw, texts[i], strlen(texts[i]) + 1, 0);
		else
			send_raw(raw, "{\"n\":1}", 8, 1);
		r = varlink_process(link, &err);
		if (r == 0)
			r = varlink_next(link, &message, &err);
		cr_expect_lt(r, 0, "%zu", i);
		cr_expect_eq(err.code, TN_PROTOCOL);
		varlink_free(link);
		(void)close(raw);
	}
	cr_expect_eq(fds_open(), before);
}
