/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * isolate/squeeze.c: memory.high is lowered by another process, and is what it was afterwards,
 * or what the new limits say, whoever ends in the middle. A file stands for the kernel's.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <base/fd.h>
#include <isolate/spec.h>
#include <isolate/squeeze.h>

#include "rig.h"

#define BEFORE "trusted.tenantd.memory_high"
#define MIB    INT64_C(1048576)

static struct loop loop;
static struct squeeze squeeze;
static struct tn_error err;

static void set_up(void)
{
	rig_dir_make();
	rig_need_root();
	rig_put("memory.high", "max\n", 0644);
	cr_assert_eq(loop_init(&loop, &err), 0, "%s", err.msg);
	squeeze = (struct squeeze){ .loop = &loop, .source = { .fd = FD_NONE } };
	squeeze.node_fd = open(rig_dir.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(squeeze.node_fd, 0);
}

static void tear_down(void)
{
	squeeze_stop(&squeeze);
	fd_closep(&squeeze.node_fd);
	loop_done(&loop);
	rig_dir_remove();
}

TestSuite(squeeze, .timeout = 60, .init = set_up, .fini = tear_down);

/* What a write of the kernel's would have left; one to a file leaves the rest of it. */
static void expect_high(const char *text)
{
	const char *is = rig_get("memory.high");

	cr_expect_eq(strncmp(is, text, strlen(text)), 0, "memory.high is '%s', not '%s'", is,
	             text);
}

/* "" if there is none. */
static void expect_before(const char *text)
{
	char is[32] = "";

	(void)!getxattr(rig_dir.path, BEFORE, is, sizeof(is) - 1);
	cr_expect_str_eq(is, text);
}

/* Let the process end, and be waited for. */
static void wait_for_process(void)
{
	struct pollfd ended = { .fd = squeeze.source.fd, .events = POLLIN };

	cr_assert_eq(poll(&ended, 1, 30000), 1, "nobody writes");
	squeeze.source.ready(squeeze.source.context, POLLIN);
	cr_assert_eq(squeeze.pid, 0);
}

static void begin(int64_t bytes)
{
	cr_assert_eq(squeeze_begin(&squeeze, bytes, &err), 0, "%s", err.msg);
	wait_for_process();
}

Test(squeeze, lowers_memory_high_and_puts_it_back)
{
	begin(64 * MIB);
	expect_high("67108864");
	expect_before("max");
	squeeze_undo(&squeeze);
	expect_high("max");
	expect_before("");
	/* Once is enough. */
	rig_put("memory.high", "7\n", 0644);
	squeeze_undo(&squeeze);
	expect_high("7");
}

Test(squeeze, remembers_what_was_before_the_first_of_several)
{
	begin(64 * MIB);
	begin(32 * MIB);
	expect_high("33554432");
	expect_before("max");
	squeeze_undo(&squeeze);
	expect_high("max");
}

Test(squeeze, leaves_what_new_limits_say)
{
	begin(64 * MIB);
	rig_put("memory.high", "50331648\n", 0644);
	squeeze_end(&squeeze, 48 * MIB);
	expect_high("50331648");
	expect_before("");
	squeeze_undo(&squeeze);
	expect_high("50331648");
}

Test(squeeze, puts_right_what_a_late_write_has_done)
{
	/* The new limits are there before the process has got to its write, which it still
	 * does. */
	cr_assert_eq(squeeze_begin(&squeeze, 64 * MIB, &err), 0, "%s", err.msg);
	squeeze_end(&squeeze, 48 * MIB);
	rig_put("memory.high", "67108864\n", 0644);
	wait_for_process();
	expect_high("50331648");
	expect_before("");
}

Test(squeeze, puts_right_what_a_late_write_has_done_when_it_is_undone)
{
	cr_assert_eq(squeeze_begin(&squeeze, 64 * MIB, &err), 0, "%s", err.msg);
	squeeze_undo(&squeeze);
	rig_put("memory.high", "67108864\n", 0644);
	wait_for_process();
	expect_high("max");
	expect_before("");
}

Test(squeeze, begins_no_second_one_while_the_first_has_not_ended)
{
	cr_assert_eq(squeeze_begin(&squeeze, 64 * MIB, &err), 0, "%s", err.msg);
	cr_expect_eq(squeeze_begin(&squeeze, 32 * MIB, &err), -EBUSY);
	cr_expect_eq(err.code, TN_STATE);
	wait_for_process();
}

Test(squeeze, puts_back_what_a_tenantd_before_has_left)
{
	begin(64 * MIB);
	/* It is gone, with all that it knew. */
	cr_expect_eq(squeeze_recover(squeeze.node_fd, &err), 1, "%s", err.msg);
	expect_high("max");
	expect_before("");
	cr_expect_eq(squeeze_recover(squeeze.node_fd, &err), 0);
}

Test(squeeze, says_that_there_is_no_memory_high)
{
	cr_assert_eq(unlink(rig_path("memory.high")), 0);
	cr_expect_lt(squeeze_begin(&squeeze, 64 * MIB, &err), 0);
	cr_expect(strstr(err.msg, "memory.high") != NULL, "%s", err.msg);
	cr_expect_not(squeeze.held);
	cr_expect_eq(squeeze.pid, 0);
}
