/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* wait ID: wait for the end of an execution that another started; print reason and status. */
#include <inttypes.h>
#include <stdio.h>

#include <tenant/client.h>

int main(int argc, char **argv)
{
	struct tn_execution execution = { 0 };
	struct tn_client *client = NULL;
	struct tn_error err;

	if (argc != 2 || tn_client_open(NULL, &client, &err) < 0)
		return 2;
	/* Waiting has no bound, whatever an answer may take. */
	tn_client_set_timeout(client, 100000);
	(void)puts("waiting");
	(void)fflush(stdout);
	if (tn_wait(client, argv[1], &execution, &err) < 0) {
		(void)fprintf(stderr, "%s: %s\n", tn_error_name(err.code), err.msg);
		tn_client_free(client);
		return 1;
	}
	(void)printf("%s %" PRId64 "\n", tn_reason_name(execution.reason), execution.exit_code);
	tn_execution_done(&execution);
	tn_client_free(client);
	return 0;
}
