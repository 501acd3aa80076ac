/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * meter TENANT TOKENS...: what a service does for each answer that it gives. So many tokens are
 * reserved as an answer may take at most, and then those are committed that it took, so that no
 * tenant gets more than its quota and none is billed for what it did not get.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <tenant/quota.h>

#define TOKENS_MAX 4 /* of one answer */

/* 0: answered; 1: not, and it has been said why. */
static int answer(struct tn_client *client, const char *tenant, int64_t tokens,
                  struct tn_error *err)
{
	const struct tn_quota_options options = { .expires_usec = 30000000 };
	struct tn_quota_answer quota;
	const struct tn_quota_error *why;
	int r = tn_quota_reserve(client, tenant, "tokens", TOKENS_MAX, &options, &quota, err);

	why = r < 0 ? tn_client_quota_error(client) : NULL;
	if (why != NULL) {
		printf("refused: %" PRId64 " of %" PRId64 " %s are used, and so it stays until "
		       "%" PRId64 "\n",
		       why->used, why->limit, why->meter, why->reset_at / 1000000);
		return 1;
	}
	if (r < 0)
		return r;
	/* Here the work is done. */
	r = tn_quota_commit(client, tenant, quota.reservation, tokens, NULL, &quota, err);
	if (r < 0)
		return r;
	printf("answered with %" PRId64 "; %" PRId64 " are used\n", tokens, quota.used);
	return 0;
}

int main(int argc, char **argv)
{
	struct tn_client *client;
	struct tn_error err;
	int r;

	if (argc < 3) {
		fprintf(stderr, "usage: meter TENANT TOKENS...\n");
		return 2;
	}
	r = tn_client_open(NULL, &client, &err);
	for (int i = 2; r >= 0 && i < argc; i++)
		r = answer(client, argv[1], strtoll(argv[i], NULL, 10), &err);
	if (r < 0)
		fprintf(stderr, "meter: %s\n", err.msg);
	tn_client_free(client);
	return r < 0 ? 125 : r;
}
