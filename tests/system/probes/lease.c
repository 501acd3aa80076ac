/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lease METER BLOCK COUNT [hold]: as the workload that it is, takes 1 of a lease, COUNT times
 * or until there is no more. Prints how many that were; then closes the lease, or holds what is
 * left.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <tenant/lease.h>

#define TERM_USEC INT64_C(3000000)

static int fail(const char *what, const struct tn_error *err)
{
	(void)fprintf(stderr, "%s: %s\n", what, err->msg);
	return 1;
}

int main(int argc, char **argv)
{
	const struct tn_lease_options options = { .block = argc > 2 ? atoi(argv[2]) : 0,
		                                  .term_usec = TERM_USEC };
	const int count = argc > 3 ? atoi(argv[3]) : 0;
	struct tn_client *client = NULL;
	struct tn_lease *lease = NULL;
	struct tn_error err = { 0 };
	int taken = 0;

	if (tn_client_open_self(&client, &err) < 0)
		return fail("reach tenantd", &err);
	if (tn_lease_open(client, NULL, argv[1], &options, &lease, &err) < 0)
		return fail("take a block", &err);
	while (taken < count && tn_lease_take(lease, 1, &err) == 0)
		taken++;
	if (taken < count && err.code != TN_QUOTA)
		return fail("take one more", &err);
	(void)printf("%d\n", taken);
	(void)fflush(stdout);
	while (argc > 4)
		(void)pause();
	if (tn_lease_close(lease, &err) < 0)
		return fail("give back what is left", &err);
	tn_client_free(client);
	return 0;
}
