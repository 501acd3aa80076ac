/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The control socket against peers that are not what they should be. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/fd.h>

#include "control/peer.h"
#include "control/server.h"
#include "rig.h"

TestSuite(server, .timeout = 60);

/* Whether the server has closed the raw connection @fd. */
static bool raw_closed(struct rig *rig, int fd)
{
	char buf[256];

	for (int i = 0; i < 20; i++) {
		ssize_t n;

		rig_turn(rig);
		n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return true;
		(void)usleep(1000);
	}
	return false;
}

struct garbage {
	char bytes[64];
	size_t n;
};

ParameterizedTestParameters(server, drops_a_peer_that_talks_garbage)
{
#define GARBAGE(text)                                                                          \
	{                                                                                      \
		text, sizeof(text)                                                             \
	}
	static struct garbage rows[] = {
		GARBAGE("GET / HTTP/1.1\r\n\r\n"),
		GARBAGE(""),
		GARBAGE("[]"),
		GARBAGE("null"),
		GARBAGE("{\"method\""),
		GARBAGE("{}"),
		GARBAGE("{\"method\": 7}"),
		GARBAGE("{\"method\": \"a\", \"method\": \"b\"}"),
		GARBAGE("{\"method\": \"\xff\xfe\"}"),
		GARBAGE("{\"method\": \"a\\u0000b\"}"),
		GARBAGE("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["),
	};
#undef GARBAGE

	return cr_make_param_array(struct garbage, rows, ARRAY_LEN(rows));
}

ParameterizedTest(struct garbage *row, server, drops_a_peer_that_talks_garbage)
{
	struct rig rig = { 0 };
	struct varlink *link;
	int fd;

	rig_init(&rig);
	fd = rig_connect_raw(&rig);
	link = rig_connect(&rig);
	cr_assert_eq(send(fd, row->bytes, row->n, MSG_NOSIGNAL), (ssize_t)row->n);
	cr_expect(raw_closed(&rig, fd));
	fd_closep(&fd);
	json_decref(rig_ask(&rig, link, "io.tenantd.GetStatus", json_object(), NULL));
	(void)varlink_free(link);
	rig_done(&rig);
}

Test(server, drops_a_peer_whose_message_never_ends)
{
	struct rig rig = { 0 };
	char chunk[4096];
	int fd;
	size_t sent = 0;

	memset(chunk, ' ', sizeof(chunk));
	rig_init(&rig);
	fd = rig_connect_raw(&rig);
	while (sent < 4 * VARLINK_MSG_BYTES_MAX) {
		ssize_t n = send(fd, chunk, sizeof(chunk), MSG_NOSIGNAL | MSG_DONTWAIT);

		rig_turn(&rig);
		if (n < 0)
			break;
		sent += (size_t)n;
	}
	cr_expect_lt(sent, 4 * VARLINK_MSG_BYTES_MAX);
	cr_expect(raw_closed(&rig, fd));
	fd_closep(&fd);
	rig_done(&rig);
}

Test(server, gives_half_a_message_ten_seconds)
{
	struct rig rig = { 0 };
	struct varlink *idle;
	int fd;

	rig_init(&rig);
	idle = rig_connect(&rig);
	fd = rig_connect_raw(&rig);
	cr_assert_eq(send(fd, "{", 1, MSG_NOSIGNAL), 1);
	for (int i = 0; i < 80; i++) {
		(void)usleep(100000);
		rig_turn(&rig);
		/* A byte now and then does not help. */
		if (i % 10 == 0)
			cr_assert_eq(send(fd, " ", 1, MSG_NOSIGNAL), 1);
	}
	cr_expect_not(raw_closed(&rig, fd), "not before its time");
	for (int i = 0; i < 45; i++) {
		(void)usleep(100000);
		rig_turn(&rig);
	}
	cr_expect(raw_closed(&rig, fd));
	fd_closep(&fd);
	json_decref(rig_ask(&rig, idle, "io.tenantd.GetStatus", json_object(), NULL));
	(void)varlink_free(idle);
	rig_done(&rig);
}

struct bad_call {
	char method[48];
	char parameters[128];
	char error[48];
	char key[16];
	char value[128];
};

ParameterizedTestParameters(server, names_what_is_wrong_with_a_call)
{
	/* clang-format off */
#define BAD "org.varlink.service.InvalidParameter", "parameter"
	static struct bad_call rows[] = {
		{ "io.tenantd.Frobnicate", "{}", "org.varlink.service.MethodNotFound",
		  "method", "io.tenantd.Frobnicate" },
		{ "org.example.Ping", "{}", "org.varlink.service.InterfaceNotFound",
		  "interface", "org.example" },
		{ "nonsense", "{}", "org.varlink.service.InterfaceNotFound", "interface", "" },
		{ "io.tenantd.GetTenant", "{}", BAD, "tenant" },
		{ "io.tenantd.GetTenant", "{\"tenant\": null}", BAD, "tenant" },
		{ "io.tenantd.GetTenant", "{\"tenant\": 7}", BAD, "tenant" },
		{ "io.tenantd.GetTenant", "{\"tenant\": \"a\", \"tennant\": 1}", BAD, "tennant" },
		{ "io.tenantd.GetTenant", "[]", BAD, "parameters" },
		{ "io.tenantd.GetStatus", "{\"verbose\": true}", BAD, "verbose" },
		{ "io.tenantd.Run", "{\"tenant\": \"a\", \"limits\": {\"tasks_max\": -1}}", BAD,
		  "limits.tasks_max" },
		{ "io.tenantd.Run", "{\"tenant\": \"a\", \"limits\": {\"tasks_max\": 1.5}}", BAD,
		  "limits.tasks_max" },
		{ "io.tenantd.Run", "{\"tenant\": \"a\", \"limits\": {\"nice\": 1}}", BAD, "limits.nice" },
		{ "io.tenantd.Run", "{\"tenant\": \"a\", \"limits\": 7}", BAD, "limits" },
		{ "io.tenantd.Run", "{\"tenant\": \"a\", \"binds\": {}}", BAD, "binds" },
		{ "io.tenantd.Run", "{\"tenant\": \"a\", \"dry_run\": \"yes\"}", BAD, "dry_run" },
		{ "io.tenantd.Run", "{\"tenant\": \"a\", \"tmpfs\": {}}", BAD, "tmpfs" },
		{ "io.tenantd.Run", "{\"tenant\": \"a\", \"user\": 0}", BAD, "user" },
		{ "io.tenantd.Run", "{\"tenant\": \"a\", \"read_only\": 1}", BAD, "read_only" },
		{ "io.tenantd.Run", "{\"tenant\": \"a\", \"no_init\": 0}", BAD, "no_init" },
		{ "io.tenantd.Signal", "{\"id\": \"x\", \"signal\": 65}", BAD, "signal" },
		{ "io.tenantd.CreateTenant", "{\"name\": \"a\", \"settings\": {\"billing_anchor_day\": 32}}",
		  BAD, "settings.billing_anchor_day" },
		{ "io.tenantd.Signal", "{\"id\": \"x\", \"signal\": 9}", "io.tenantd.Invalid", "message",
		  "'x' is no execution: expected a UUID, 8 or more digits that it begins with, or TENANT/NAME" },
		{ "io.tenantd.CreateTenant", "{\"name\": \"a\", \"metadata\": {\"k\": 1}}",
		  "io.tenantd.Invalid", "message", "metadata 'k': expected a string" },
		{ "io.tenantd.CreateTenant", "{\"name\": \"a\", \"tier\": \"gold\"}",
		  "io.tenantd.NotFound", "message", "there is no tier 'gold'" },
		{ "io.tenantd.CreateTenant", "{\"name\": \"a\", \"settings\": {\"currency\": \"eur\"}}",
		  "io.tenantd.Invalid", "message", "'eur' is no currency code like USD" },
		{ "io.tenantd.CreateTenant", "{\"name\": \"a\", \"settings\": {\"time_zone\": \"../x\"}}",
		  "io.tenantd.Invalid", "message", "'../x' is no time zone" },
		{ "io.tenantd.CreateTenant", "{\"name\": \"a\", \"display_name\": \"\\u001b[2J\"}",
		  "io.tenantd.Invalid", "message", "display_name: holds a control character" },
		{ "io.tenantd.GetUsage", "{\"tenant\": \"nobody\"}",
		  "org.varlink.service.ExpectedMore", "", "" },
		{ "io.tenantd.ListTenants", "{}", "org.varlink.service.ExpectedMore", "", "" },
	};
#undef BAD
	/* clang-format on */

	return cr_make_param_array(struct bad_call, rows, ARRAY_LEN(rows));
}

ParameterizedTest(struct bad_call *row, server, names_what_is_wrong_with_a_call)
{
	struct rig rig = { 0 };
	struct varlink *link;
	json_t *parameters = json_loads(row->parameters, JSON_ALLOW_NUL | JSON_DECODE_ANY,
	                                NULL);
	json_t *refused;

	cr_assert(parameters != NULL);
	rig_init(&rig);
	link = rig_connect(&rig);
	refused = rig_refused(&rig, link, row->method, parameters, NULL, row->error);
	if (row->key[0] != '\0')
		cr_expect_str_eq(rig_text(refused, row->key), row->value, "%s: %s", row->method,
		                 rig_text(refused, row->key));
	json_decref(refused);
	cr_expect(rig_silent(&rig));
	(void)varlink_free(link);
	rig_done(&rig);
}

Test(server, answers_in_whole_characters_also_where_it_cuts)
{
	struct rig rig = { 0 };
	struct varlink *link;
	char name[128];
	json_t *refused;

	/* An odd offset, so that a cut at an even one falls into a character. */
	name[0] = 'a';
	for (size_t i = 1; i < 101; i += 2)
		memcpy(name + i, "\xc3\xa9", 2);
	name[101] = '\0';
	rig_init(&rig);
	link = rig_connect(&rig);
	refused = rig_refused(&rig, link, "io.tenantd.GetTenant", json_pack("{s:i}", name, 1),
	                      NULL, "org.varlink.service.InvalidParameter");
	cr_expect(strncmp(rig_text(refused, "parameter"), "a?", 2) == 0);
	json_decref(refused);
	json_decref(rig_refused(&rig, link, "io.tenantd.CreateTenant",
	                        json_pack("{s:s}", "name", name), NULL, "io.tenantd.Invalid"));
	(void)varlink_free(link);
	rig_done(&rig);
}

static int fds_open(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void call_with_fds(struct rig *rig, struct varlink *link, const char *method,
                          const char *parameters, size_t fds_n)
{
	int fds[VARLINK_FDS_MAX] = { 0 };
	json_t *call = json_pack("{s:s, s:o, s:b}", "method", method, "parameters",
	                         json_loads(parameters, 0, NULL), "more", 1);
	struct tn_error err = { 0 };

	for (size_t i = 0; i < fds_n; i++)
		fds[i] = STDERR_FILENO;
	cr_assert_eq(varlink_send(link, call, fds, fds_n, &err), 0, "%s", err.msg);
	json_decref(call);
	cr_assert_eq(varlink_process(link, &err), 0, "%s", err.msg);
	rig_turn(rig);
}

struct fd_call {
	char method[32];
	char parameters[160];
	size_t fds_n;
	char message[64];
};

ParameterizedTestParameters(server, closes_all_descriptors_of_a_refused_call)
{
#define RUN(rest) "{\"tenant\": \"acme\", \"argc\": 1, \"envc\": 0" rest "}"
	static struct fd_call rows[] = {
		{ "io.tenantd.GetStatus", "{}", 3,
		  "io.tenantd.GetStatus takes no descriptors" },
		{ "io.tenantd.Run", RUN(""), 4, "stdin: no descriptor" },
		{ "io.tenantd.Run", RUN(", \"stdin\": 9"), 4,
		  "stdin: there is no descriptor 9 with the message" },
		{ "io.tenantd.Run", RUN(", \"stdin\": 0, \"stdout\": 0"), 4,
		  "stdout: there is no descriptor 0 with the message" },
		{ "io.tenantd.Run",
		  RUN(", \"stdin\": 0, \"stdout\": 1, \"stderr\": 2, \"args\": 3"), 4,
		  "args: not a sealed memfd" },
	};
#undef RUN

	return cr_make_param_array(struct fd_call, rows, ARRAY_LEN(rows));
}

ParameterizedTest(struct fd_call *row, server, closes_all_descriptors_of_a_refused_call)
{
	struct rig rig = { 0 };
	struct varlink *link;
	json_t *answer;
	int before;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = rig_connect(&rig);
	before = fds_open();
	call_with_fds(&rig, link, row->method, row->parameters, row->fds_n);
	answer = rig_answer(&rig, link);
	cr_expect_str_eq(rig_text(json_object_get(answer, "parameters"), "message"),
	                 row->message, "%s",
	                 rig_text(json_object_get(answer, "parameters"), "message"));
	json_decref(answer);
	cr_expect_eq(fds_open(), before, "%d descriptors, %d before", fds_open(), before);
	(void)varlink_free(link);
	rig_done(&rig);
}

Test(server, answers_nothing_to_a_oneway_call)
{
	struct rig rig = { 0 };
	struct varlink *link;
	json_t *answer;

	rig_init(&rig);
	link = rig_connect(&rig);
	rig_call(&rig, link, "io.tenantd.GetTenant", json_pack("{s:s}", "tenant", "x"),
	         "oneway");
	answer = rig_ask(&rig, link, "io.tenantd.GetStatus", json_object(), NULL);
	cr_expect(json_object_get(answer, "health") != NULL, "the first answer is this call's");
	json_decref(answer);
	(void)varlink_free(link);
	rig_done(&rig);
}

Test(server, describes_itself_to_anybody)
{
	struct rig rig = { 0 };
	struct varlink *link;
	json_t *answer;

	rig_init(&rig);
	link = rig_connect(&rig);
	answer = rig_ask(&rig, link, "org.varlink.service.GetInfo", json_object(), NULL);
	cr_expect_str_eq(rig_text(answer, "version"), TENANTD_VERSION);
	cr_expect_eq(json_array_size(json_object_get(answer, "interfaces")), 2);
	json_decref(answer);
	answer = rig_ask(&rig, link, "org.varlink.service.GetInterfaceDescription",
	                 json_pack("{s:s}", "interface", "io.tenantd"), NULL);
	cr_expect(strstr(rig_text(answer, "description"), "\nmethod Run(") != NULL);
	json_decref(answer);
	json_decref(rig_refused(&rig, link, "org.varlink.service.GetInterfaceDescription",
	                        json_pack("{s:s}", "interface", "io.systemd"), NULL,
	                        "org.varlink.service.InterfaceNotFound"));
	(void)varlink_free(link);
	rig_done(&rig);
}

Test(server, streams_a_long_list_only_as_fast_as_it_is_read)
{
	enum {
		TENANTS_N = 600
	};
	struct rig rig = { 0 };
	struct varlink *link;
	struct tn_error err = { 0 };
	char last[NAME_BYTES_MAX] = "";
	json_t *answer;
	bool more = true;
	int n = 0;

	rig_init(&rig);
	for (int i = 0; i < TENANTS_N; i++) {
		struct tenant_row row = { .status = TENANT_ACTIVE,
			                  .billing_anchor_day = 1,
			                  .metadata = (char[]){ "{}" } };

		(void)snprintf((char *)row.id.bytes, sizeof(row.id.bytes), "%d", i);
		(void)snprintf(row.name, sizeof(row.name), "tenant-%04d", i);
		cr_assert_eq(
			rig.context->store->ops->tenant_insert(rig.context->store, &row, &err),
			0, "%s", err.msg);
	}
	link = rig_connect(&rig);
	rig_call(&rig, link, "io.tenantd.ListTenants", json_object(), "more");
	while (more) {
		const char *name;

		answer = rig_answer(&rig, link);
		more = json_is_true(json_object_get(answer, "continues"));
		name = rig_text(
			json_object_get(json_object_get(answer, "parameters"), "tenant"),
			"name");
		cr_assert_gt(strcmp(name, last), 0, "%s after %s", name, last);
		(void)snprintf(last, sizeof(last), "%s", name);
		json_decref(answer);
		n++;
	}
	cr_expect_eq(n, TENANTS_N);
	json_decref(rig_ask(&rig, link, "io.tenantd.GetStatus", json_object(), NULL));
	(void)varlink_free(link);
	rig_done(&rig);
}

Test(server, answers_an_empty_list_at_once)
{
	struct rig rig = { 0 };
	struct varlink *link;
	json_t *answer;

	rig_init(&rig);
	link = rig_connect(&rig);
	rig_call(&rig, link, "io.tenantd.ListTenants", json_object(), "more");
	answer = rig_answer(&rig, link);
	cr_expect(json_object_get(answer, "error") == NULL);
	cr_expect(json_object_get(answer, "continues") == NULL);
	cr_expect_eq(json_object_size(json_object_get(answer, "parameters")), 0);
	json_decref(answer);
	(void)varlink_free(link);
	rig_done(&rig);
}

/*
 * A peer without rights, in a process of its own: root is always let in, so there it
 * becomes somebody else. Exits with 0 if all went as it must, else with the number of
 * the step that did not.
 */
static int stranger(const char *dir)
{
	static const char call[] = "{\"method\": \"io.tenantd.GetStatus\"}";
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = 10 };
	char answer[1024] = "";
	int fd = FD_NONE;

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/control.sock", dir);
	if (geteuid() == 0 &&
	    (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0))
		return 1;
	for (int i = 0; i < SERVER_CONNECTIONS_UID_MAX; i++) {
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
			return 2;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (send(fd, call, sizeof(call), MSG_NOSIGNAL) != (ssize_t)sizeof(call))
		return 3;
	if (recv(fd, answer, sizeof(answer) - 1, 0) <= 0)
		return 4;
	if (strstr(answer, "\"error\":\"io.tenantd.NotPermitted\"") == NULL)
		return 5;
	/* One connection too many. */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return 6;
	return recv(fd, answer, sizeof(answer), 0) == 0 ? 0 : 7;
}

Test(server, refuses_strangers_and_bounds_their_connections)
{
	struct rig rig = { .nobody_is_admin = true };
	int status = 0;
	pid_t pid;

	rig_init(&rig);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0)
		_exit(stranger(rig.dir));
	for (int i = 0; i < 2000 && waitpid(pid, &status, WNOHANG) == 0; i++) {
		rig_turn(&rig);
		(void)usleep(1000);
	}
	cr_expect(WIFEXITED(status));
	cr_expect_eq(WEXITSTATUS(status), 0, "step %d", WEXITSTATUS(status));
	rig_done(&rig);
}

Test(server, knows_an_admin_by_any_of_its_groups)
{
	int pair[2];
	gid_t groups[64];
	int n = getgroups(ARRAY_LEN(groups), groups);
	struct peer peer;
	struct tn_error err = { 0 };

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	cr_assert_eq(peer_read(pair[0], getgid(), true, &peer, &err), 0, "%s", err.msg);
	cr_expect(peer.admin);
	cr_expect_eq(peer.uid, getuid());
	for (int i = 0; i < n; i++) {
		cr_assert_eq(peer_read(pair[0], groups[i], true, &peer, &err), 0);
		cr_expect(peer.admin);
	}
	cr_assert_eq(peer_read(pair[0], 64999, true, &peer, &err), 0);
	cr_expect_eq(peer.admin, getuid() == 0);
	cr_assert_eq(peer_read(pair[0], getgid(), false, &peer, &err), 0);
	cr_expect_eq(peer.admin, getuid() == 0, "the gid does not count");
	fd_closep(&pair[0]);
	fd_closep(&pair[1]);
}
