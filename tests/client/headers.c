/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Compiled as C11 and as C++ of two ages, with all warnings: what users' compilers see. Each
 * header stands alone, and functions can be called that have the name of a struct. */
#include HEADER

int main(void)
{
#ifdef TENANT_RUN_H
#ifdef __cplusplus
	struct tn_run_spec spec;
#else
	struct tn_run_spec spec = TN_RUN_SPEC_INIT;
#endif
	int (*run)(const struct tn_client *, const struct tn_run_spec *, struct tn_run **,
	           struct tn_error *) = tn_run;
	int (*usage)(struct tn_client *, const struct tn_usage_query *, struct tn_usage *,
	             struct tn_error *) = tn_usage;

	tn_run_spec_init(&spec);
	return spec.stdout_fd != 1 || run == 0 || usage == 0;
#else
	return 0;
#endif
}
