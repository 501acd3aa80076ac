/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* isolate/child.c: what is told of a launch that failed, and what is hidden in /proc. */
#include <criterion/criterion.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <base/fd.h>
#include <isolate/child.h>
#include <isolate/init.h>

TestSuite(child, .timeout = 20);

#define STAGES_N (CHILD_STAGES_N - 1)

static struct tn_error error_of(uint32_t stage, int32_t number)
{
	struct tn_error err = { 0 };

	cr_expect_eq(child_error(stage, number, &err), number > 0 ? -number : -EIO);
	cr_expect_eq(err.code, TN_SYSTEM);
	cr_expect_eq(err.sys_errno, number > 0 ? number : EIO);
	return err;
}

Test(child, says_of_every_stage_what_it_tried)
{
	static struct tn_error seen[STAGES_N + 1];

	for (uint32_t stage = 1; stage <= STAGES_N; stage++) {
		seen[stage] = error_of(stage, EACCES);
		cr_expect(strstr(seen[stage].msg, ": Permission denied") != NULL,
		          "stage %u: %s", stage, seen[stage].msg);
		cr_expect_neq(strncmp(seen[stage].msg, "set up the sandbox", 18), 0,
		              "stage %u has no text of its own", stage);
		cr_expect_neq(seen[stage].msg[0], '(', "stage %u: %s", stage, seen[stage].msg);
		for (uint32_t other = 1; other < stage; other++)
			cr_expect_str_neq(seen[stage].msg, seen[other].msg);
	}
	cr_expect_str_eq(seen[1].msg, "read the arguments: Permission denied");
	cr_expect_str_eq(seen[CHILD_EXEC_INIT].msg, "execute tenant-init: Permission denied");
	cr_expect_str_eq(seen[STAGES_N].msg,
	                 "note the process in the execution's record: Permission denied");
}

Test(child, says_of_tenant_inits_stages_what_they_tried)
{
	cr_expect_str_eq(error_of(INIT_STAGE_CHDIR, ENOENT).msg,
	                 "enter the working directory: No such file or directory");
	/* Whose right it is that is missing: that is not root's. */
	cr_expect_str_eq(
		error_of(INIT_STAGE_CHDIR, EACCES).msg,
		"enter the working directory as the command's user: Permission denied");
	cr_expect_str_eq(error_of(INIT_STAGE_FORK, ENOMEM).msg,
	                 "fork the workload: Cannot allocate memory");
}

Test(child, tells_a_full_tenant_from_a_system_that_fails)
{
	struct tn_error err = { 0 };

	cr_expect_eq(child_error(INIT_STAGE_FORK, EAGAIN, &err), -EAGAIN);
	cr_expect_eq(err.code, TN_QUOTA);
	cr_expect_eq(err.sys_errno, EAGAIN);
	cr_expect_str_eq(err.msg, "tasks_max is reached (the kernel's pids.max)");
	/* Any other stage, any other errno is the system's. */
	cr_expect_eq(error_of(INIT_STAGE_CHDIR, EAGAIN).code, TN_SYSTEM);
	cr_expect_eq(error_of(1, EAGAIN).code, TN_SYSTEM);
}

Test(child, has_a_word_for_what_no_stage_would_report)
{
	static const uint32_t strange[] = { 0, STAGES_N + 1, INIT_STAGE_CHDIR - 1,
		                            INIT_STAGE_EXEC + 1, UINT32_MAX };

	for (size_t i = 0; i < ARRAY_LEN(strange); i++)
		cr_expect_str_eq(error_of(strange[i], EPERM).msg,
		                 "set up the sandbox: Operation not permitted");
	/* An errno that is none must not become a success. */
	cr_expect_str_eq(error_of(1, 0).msg, "read the arguments: Input/output error");
	cr_expect_str_eq(error_of(1, -5).msg, "read the arguments: Input/output error");
}

static void masks_expect(const char *const *paths, size_t n)
{
	cr_assert_leq(n, CHILD_MASKS_MAX);
	for (size_t i = 0; i < n; i++) {
		size_t length = strlen(paths[i]);
		struct stat st;

		cr_expect_eq(strncmp(paths[i], "/proc/", 6), 0, "%s", paths[i]);
		cr_assert_eq(stat(paths[i], &st), 0, "%s", paths[i]);
		if (paths[i][length - 1] == '/')
			cr_expect(S_ISDIR(st.st_mode), "%s", paths[i]);
	}
}

static bool among(const char *const *paths, size_t n, const char *path)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(paths[i], path) == 0)
			return true;
	return false;
}

Test(child, masks_what_this_kernel_has)
{
	struct child_masks masks;

	memset(&masks, 0, sizeof(masks));
	child_masks_probe(&masks);
	masks_expect(masks.hidden, masks.hidden_n);
	masks_expect(masks.read_only, masks.read_only_n);
	/* These are everywhere. */
	cr_expect(among(masks.hidden, masks.hidden_n, "/proc/kallsyms") ||
	          access("/proc/kallsyms", F_OK) != 0);
	cr_expect(among(masks.hidden, masks.hidden_n, "/proc/loadavg"));
	cr_expect(among(masks.hidden, masks.hidden_n, "/proc/interrupts"));
	cr_expect(among(masks.read_only, masks.read_only_n, "/proc/sys"));
	/* What is hidden as a file must be one: /dev/null cannot cover a directory. */
	for (size_t i = 0; i < masks.hidden_n; i++) {
		struct stat st;

		cr_assert_eq(stat(masks.hidden[i], &st), 0);
		cr_expect_eq(S_ISDIR(st.st_mode),
		             masks.hidden[i][strlen(masks.hidden[i]) - 1] == '/', "%s",
		             masks.hidden[i]);
	}
}

Test(child, knows_the_last_capability_of_this_kernel)
{
	struct child_masks masks;

	memset(&masks, 0, sizeof(masks));
	child_masks_probe(&masks);
	cr_expect_geq(prctl(PR_CAPBSET_READ, masks.cap_last, 0, 0, 0), 0);
	cr_expect_lt(prctl(PR_CAPBSET_READ, masks.cap_last + 1, 0, 0, 0), 0);
}
