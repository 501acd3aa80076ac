/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "run_status.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include <base/err.h>
#include <base/fd.h>
#include <base/io.h>

#include "output.h"
#include "run_report.h"

int run_status_init(struct run_status *status, int64_t number, struct tn_error *err)
{
	int flags;

	*status = (struct run_status){ .fd = FD_NONE };
	if (number == TN_ABSENT)
		return 0;
	if (number <= STDERR_FILENO)
		return err_refuse(err, TN_INVALID,
		                  "--status-fd: %" PRId64
		                  " is the command's own; expected 3 or more",
		                  number);
	flags = number <= INT_MAX ? fcntl((int)number, F_GETFL) : -1;
	if (flags < 0)
		return err_set(err, TN_INVALID, EBADF,
		               "--status-fd: descriptor %" PRId64 " is not open", number);
	if ((flags & O_PATH) != 0 || (flags & O_ACCMODE) == O_RDONLY)
		return err_refuse(err, TN_INVALID,
		                  "--status-fd: descriptor %" PRId64 " is not open for writing",
		                  number);
	status->fd = (int)number;
	return 0;
}

/* A line, begun and not yet written: whole or not at all. */
struct line {
	struct jout out;
	char *text;
	size_t n;
};

static bool line_begin(const struct run_status *status, struct line *line, const char *event)
{
	*line = (struct line){ .text = NULL };
	if (status->fd < 0 || status->failed)
		return false;
	line->out.file = open_memstream(&line->text, &line->n);
	if (line->out.file == NULL)
		return false;
	jout_begin(&line->out, NULL, '{');
	jout_text(&line->out, "event", event);
	return true;
}

static void line_end(struct run_status *status, struct line *line)
{
	jout_end(&line->out, '}');
	(void)putc('\n', line->out.file);
	if (fclose(line->out.file) != 0 || io_write_all(status->fd, line->text, line->n) < 0)
		status->failed = true;
	free(line->text);
}

void run_status_started(struct run_status *status, const char *id, const char *tenant)
{
	struct line line;

	status->started = true;
	if (!line_begin(status, &line, "started"))
		return;
	jout_text(&line.out, "id", id);
	jout_text(&line.out, "tenant", tenant);
	line_end(status, &line);
}

static void tell_exited(struct run_status *status, const struct tn_execution *execution,
                        const struct tn_error *failure)
{
	struct line line;

	if (!line_begin(status, &line, "exited"))
		return;
	run_record_put(&line.out, "execution", execution, failure);
	line_end(status, &line);
}

void run_status_exited(struct run_status *status, const struct tn_execution *execution)
{
	tell_exited(status, execution, NULL);
}

void run_status_failed(struct run_status *status, const struct tn_execution *execution,
                       const struct tn_error *failure)
{
	struct line line;

	if (status->started) {
		tell_exited(status, execution, failure);
		return;
	}
	if (!line_begin(status, &line, "refused"))
		return;
	jout_text(&line.out, "error", tn_error_name(failure->code));
	jout_text(&line.out, "message", failure->msg);
	line_end(status, &line);
}
