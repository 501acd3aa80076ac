/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tenantctl wait: for the end of executions, whoever started them. Like a shell's wait it
 * ends with the status of the last one named, and tells of each as it comes to it: what has
 * ended meanwhile is answered at once.
 */
#include "cmd.h"

#include "exit_status.h"
#include "output.h"

static void tell(struct ctl *ctl, struct jout *out, const struct tn_execution *execution)
{
	char ending[OUTPUT_CELL_BYTES_MAX];

	if (ctl->json) {
		jout_line(out);
		output_record(out, NULL, tn_execution_fields(), execution);
	} else {
		(void)printf("%s  %s\n", execution->id, output_ending(execution, ending));
	}
	/* Whoever reads this waits with us. */
	(void)fflush(stdout);
}

int cmd_wait(struct ctl *ctl, struct tn_error *err)
{
	struct jout out = { .file = stdout };
	int status = 0;

	for (int i = 0; i < ctl->operands_n; i++) {
		struct tn_execution execution = { 0 };
		int r = tn_wait(ctl->client, ctl->operands[i], &execution, err);

		if (r < 0)
			return r;
		status = exit_status(&execution);
		tell(ctl, &out, &execution);
		tn_execution_done(&execution);
	}
	if (ctl->json) {
		jout_end_lines(&out);
		(void)putchar('\n');
	}
	return status;
}
