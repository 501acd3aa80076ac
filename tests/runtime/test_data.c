/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* control/methods_data.c: from a call to tenantd and back, with a descriptor. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <base/data.h>
#include <base/fd.h>
#include <base/fdpass.h>

#include "rig.h"

static struct rig rig;
static struct varlink *link_;
static union rig_message message;

static void set_up(void)
{
	rig_init(&rig);
	link_ = rig_connect(&rig);
	rig_tenant(&rig, "acme");
}

static void tear_down(void)
{
	(void)varlink_free(link_);
	rig_done(&rig);
}

TestSuite(data, .init = set_up, .fini = tear_down, .timeout = 60);

static json_t *asked(const char *tenant, const char *path, bool writable)
{
	return json_pack("{s:s, s:s, s:b}", "tenant", tenant, "path", path, "writable",
	                 writable);
}

/* As tenantd: what it is asked, and an answer with @fd, which is closed, or with an error. */
static void answer(const struct spec_data *request, int fd, enum tn_error_code code)
{
	struct spec_reply reply = {
		.head = { sizeof(reply), SPEC_REPLY, SPEC_VERSION, request->head.serial },
		.tenant = request->tenant,
	};
	struct tn_error err = { 0 };

	if (code != TN_OK)
		(void)err_refuse(&reply.error, code, "as tenantd says");
	cr_assert_eq(fdpass_send(rig.supervisor, &reply, sizeof(reply), &fd, fd >= 0, &err), 0,
	             "%s", err.msg);
	fd_closep(&fd);
}

static void expect_refused(json_t *parameters, const char *error, const char *says)
{
	json_t *refused = rig_refused(&rig, link_, "io.tenantd.OpenData", parameters, NULL,
	                              error);

	cr_expect_not_null(strstr(rig_text(refused, "message"), says), "%s",
	                   rig_text(refused, "message"));
	json_decref(refused);
}

Test(data, is_opened_by_tenantd_and_handed_on)
{
	int ends[2], got = FD_NONE;
	json_t *reply;
	char byte = 'x';

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	rig_call(&rig, link_, "io.tenantd.OpenData", asked("acme", "a/b", true), NULL);
	rig_take(&rig, SPEC_DATA, &message);
	cr_expect_str_eq(message.data.path, "a/b");
	cr_expect_eq(message.data.flags, (uint32_t)SPEC_DATA_WRITABLE);
	answer(&message.data, ends[1], TN_OK);
	reply = rig_answer_fd(&rig, link_, &got);
	cr_expect_eq(rig_number(json_object_get(reply, "parameters"), "data"), 0);
	json_decref(reply);
	cr_assert_geq(got, 0);
	/* It is the very one. */
	cr_assert_eq(write(got, &byte, 1), 1);
	cr_expect_eq(read(ends[0], &byte, 1), 1);
	(void)close(got);
	/* And nobody else holds it. */
	cr_expect_eq(read(ends[0], &byte, 1), 0);
	(void)close(ends[0]);

	rig_call(&rig, link_, "io.tenantd.OpenData", asked("acme", "", false), NULL);
	rig_take(&rig, SPEC_DATA, &message);
	cr_expect_str_eq(message.data.path, "");
	cr_expect_eq(message.data.flags, 0u);
	answer(&message.data, FD_NONE, TN_STATE);
	reply = rig_answer(&rig, link_);
	cr_expect_str_eq(rig_text(reply, "error"), "io.tenantd.InvalidState");
	json_decref(reply);
}

Test(data, is_not_asked_for_by_a_path_that_is_none)
{
	static const char *const bad[] = { "/",    "/etc/passwd", "..", "a/../b",
		                           "a//b", "./a",         "a/" };
	char *longest = malloc(DATA_PATH_BYTES_MAX + 1);

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		expect_refused(asked("acme", bad[i], false), "io.tenantd.Invalid",
		               "not a path relative to /data");
	memset(longest, 'a', DATA_PATH_BYTES_MAX);
	longest[DATA_PATH_BYTES_MAX] = '\0';
	json_decref(rig_refused(&rig, link_, "io.tenantd.OpenData",
	                        asked("acme", longest, false), NULL,
	                        "org.varlink.service.InvalidParameter"));
	expect_refused(asked("none", "a", false), "io.tenantd.NotFound", "none");
	cr_expect(rig_silent(&rig));
	free(longest);
}

Test(data, needs_no_client_that_waits_for_it)
{
	int ends[2];
	char byte;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	rig_call(&rig, link_, "io.tenantd.OpenData", asked("acme", "a", true), NULL);
	rig_take(&rig, SPEC_DATA, &message);
	link_ = varlink_free(link_);
	rig_turn(&rig);
	answer(&message.data, ends[1], TN_OK);
	rig_turn(&rig);
	/* Who serves it is told so by that. */
	cr_expect_eq(read(ends[0], &byte, 1), 0);
	(void)close(ends[0]);
}

Test(data, of_a_tenant_that_is_suspended_can_be_copied)
{
	json_t *reply;
	int got = FD_NONE;

	rig_cgroup(&rig, "acme", 0);
	rig_write(&rig, "cgroup/acme/cgroup.events", "populated 0\nfrozen 1\n");
	rig_call(&rig, link_, "io.tenantd.SuspendTenant", json_pack("{s:s}", "tenant", "acme"),
	         NULL);
	rig_take(&rig, SPEC_TENANT_FREEZE, &message);
	rig_reply(&rig, &message, TN_OK);
	json_decref(rig_answer(&rig, link_));
	rig_call(&rig, link_, "io.tenantd.OpenData", asked("acme", "a", false), NULL);
	rig_take(&rig, SPEC_DATA, &message);
	answer(&message.data, dup(STDIN_FILENO), TN_OK);
	reply = rig_answer_fd(&rig, link_, &got);
	cr_expect_geq(got, 0);
	fd_closep(&got);
	json_decref(reply);
}

Test(data, of_a_tenant_that_is_no_more_cannot)
{
	rig_call(&rig, link_, "io.tenantd.DeleteTenant",
	         json_pack("{s:s, s:b}", "tenant", "acme", "force", 1), NULL);
	rig_take(&rig, SPEC_TENANT_FREEZE, &message);
	{
		struct varlink *other = rig_connect(&rig);
		json_t *refused = rig_refused(&rig, other, "io.tenantd.OpenData",
		                              asked("acme", "a", false), NULL,
		                              "io.tenantd.InvalidState");

		cr_expect_str_eq(rig_text(refused, "message"), "'acme' is deleting");
		json_decref(refused);
		(void)varlink_free(other);
	}
	rig_reply(&rig, &message, TN_OK);
}
