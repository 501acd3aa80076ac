/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>

#include <base/err.h>
#include <base/fd.h>

TestSuite(err, .timeout = 20);

Test(err, keeps_code_errno_and_text_and_returns_the_errno)
{
	struct tn_error err = { .line = 7 };

	cr_expect_eq(err_set(&err, TN_QUOTA, EDQUOT, "%d of %s", 3, "many"), -EDQUOT);
	cr_expect_eq(err.code, TN_QUOTA);
	cr_expect_eq(err.sys_errno, EDQUOT);
	cr_expect_eq(err.line, 0);
	cr_expect_str_eq(err.msg, "3 of many");

	errno = ENOSPC;
	cr_expect_eq(err_errno(&err, "write"), -ENOSPC);
	cr_expect_eq(err.code, TN_SYSTEM);
}

Test(err, of_a_file_names_the_line)
{
	struct tn_error err = { .sys_errno = EIO };

	cr_expect_eq(err_parse(&err, 12, "unknown key '%s'", "x"), -EINVAL);
	cr_expect_eq(err.code, TN_INVALID);
	cr_expect_eq(err.line, 12);
	cr_expect_eq(err.sys_errno, 0, "no system call failed");
	cr_expect_str_eq(err.msg, "unknown key 'x'");
}

Test(err, ends_a_failed_call_with_what_the_kernel_said_and_only_once)
{
	struct tn_error err = { 0 };

	errno = EACCES;
	cr_expect_eq(err_errno(&err, "open %s", "memory.max"), -EACCES);
	cr_expect_str_eq(err.msg, "open memory.max: Permission denied");
	errno = EACCES;
	cr_expect_eq(err_errno(&err, "open memory.max: %s", strerror(errno)), -EACCES);
	cr_expect_str_eq(err.msg, "open memory.max: Permission denied");
	cr_expect_eq(err_refuse(&err, TN_NOT_FOUND, "no such tenant"), -ENOENT);
	cr_expect_str_eq(err.msg, "no such tenant");
}

Test(err, reads_from_the_outside_in_once_wrapped)
{
	struct tn_error err = { 0 };
	int r = err_set(&err, TN_SYSTEM, ENOENT, "open memory.max");

	r = err_wrap(&err, r, "limit leaf '%s'", "0192f0");
	r = err_wrap(&err, r, "launch for '%s'", "acme");
	cr_expect_eq(r, -ENOENT);
	cr_expect_eq(err.code, TN_SYSTEM);
	cr_expect_eq(err.sys_errno, ENOENT);
	cr_expect_str_eq(err.msg, "launch for 'acme': limit leaf '0192f0': open memory.max: "
	                          "No such file or directory");
}

Test(err, is_cut_at_the_end_when_it_grows_too_long)
{
	struct {
		struct tn_error err;
		char behind[8];
	} guarded = { .behind = "behind" };
	char context[600];
	int r;

	memset(context, 'x', sizeof(context) - 1);
	context[sizeof(context) - 1] = '\0';

	r = err_set(&guarded.err, TN_SYSTEM, EIO, "the cause");
	r = err_wrap(&guarded.err, r, "%.472s", context);
	cr_expect_eq(strlen(guarded.err.msg), TN_ERROR_MSG_BYTES - 1);
	cr_expect_str_eq(guarded.err.msg + 472, ": the c");

	/* A context that fills the whole message leaves no room for the cause. */
	r = err_wrap(&guarded.err, r, "%s", context);
	cr_expect_eq(r, -EIO);
	cr_expect_eq(strspn(guarded.err.msg, "x"), TN_ERROR_MSG_BYTES - 1);
	cr_expect_eq(guarded.err.msg[TN_ERROR_MSG_BYTES - 1], '\0');

	(void)err_set(&guarded.err, TN_SYSTEM, EIO, "%s", context);
	cr_expect_eq(strlen(guarded.err.msg), TN_ERROR_MSG_BYTES - 1);
	cr_expect_str_eq(guarded.behind, "behind");
}

Test(err, has_one_row_for_every_code)
{
	static const struct {
		enum tn_error_code code;
		const char *name;
		int exit_status, sys_errno;
	} rows[] = {
		{ TN_INVALID, "io.tenantd.Invalid", 2, EINVAL },
		{ TN_NOT_FOUND, "io.tenantd.NotFound", 3, ENOENT },
		{ TN_QUOTA, "io.tenantd.QuotaExceeded", 1, EDQUOT },
		{ TN_UNSUPPORTED, "io.tenantd.Unsupported", 1, EOPNOTSUPP },
		{ TN_SYSTEM, "io.tenantd.System", 1, EIO },
		{ TN_NOT_PERMITTED, "io.tenantd.NotPermitted", 4, EPERM },
		{ TN_EXISTS, "io.tenantd.AlreadyExists", 1, EEXIST },
		{ TN_STATE, "io.tenantd.InvalidState", 1, EBUSY },
		{ TN_CONFLICT, "io.tenantd.VersionConflict", 5, ESTALE },
		{ TN_UNREACHABLE, "io.tenantd.Unreachable", 69, ENOTCONN },
		{ TN_PROTOCOL, "io.tenantd.Protocol", 1, EPROTO },
	};

	cr_assert_eq(ARRAY_LEN(rows), TN_ERROR_CODES_N - 1);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct err_row *row = err_row((int32_t)rows[i].code);

		cr_expect_eq(rows[i].code, i + 1, "codes are stable numbers: %s", row->name);
		cr_expect_eq(row->code, rows[i].code);
		cr_expect_str_eq(row->name, rows[i].name);
		cr_expect_eq(row->exit_status, rows[i].exit_status, "%s", row->name);
		cr_expect_eq(row->sys_errno, rows[i].sys_errno, "%s", row->name);
		cr_expect_eq(err_code(rows[i].name), rows[i].code);
	}
}

Test(err, that_is_unknown_counts_as_one_of_the_system)
{
	static const int32_t unknown[] = { TN_OK, -1, TN_ERROR_CODES_N, INT32_MAX, INT32_MIN };

	for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
		cr_expect_eq(err_row(unknown[i])->code, TN_SYSTEM, "%d", (int)unknown[i]);
	cr_expect_eq(err_code("io.tenantd.Surprise"), TN_SYSTEM);
	cr_expect_eq(err_code("NotFound"), TN_SYSTEM, "without its interface");
	cr_expect_eq(err_code(""), TN_SYSTEM);
}

Test(err, that_refuses_carries_the_errno_of_its_code)
{
	struct tn_error err = { 0 };

	cr_expect_eq(err_refuse(&err, TN_STATE, "'%s' is frozen", "acme"), -EBUSY);
	cr_expect_eq(err.code, TN_STATE);
	cr_expect_eq(err.sys_errno, EBUSY);
	cr_expect_str_eq(err.msg, "'acme' is frozen");
}
