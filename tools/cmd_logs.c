/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tenantctl logs: what a detached execution has written, its standard output to ours and its
 * standard error to ours. Whoever follows looks again ten times a second.
 */
#include "cmd.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include <tenant/log.h>

#include <base/clock.h>
#include <base/err.h>

#include "jout.h"

#define LOOK_NSEC 100000000
/* So often for the last of what has ended. */
#define LAST_LOOKS 100

/* One stream on its way out. */
struct writer {
	FILE *file;
	bool within; /* a line that has begun */
};

struct printing {
	const struct ctl *ctl;
	struct writer out, errors;
	struct jout json;
};

static void stamp(FILE *file, int64_t at)
{
	const time_t seconds = at / CLOCK_USEC_PER_SEC;
	char text[32];
	struct tm tm;

	(void)gmtime_r(&seconds, &tm);
	(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)fprintf(file, "%s.%06" PRId64 "Z ", text, at % CLOCK_USEC_PER_SEC);
}

static void write_lines(struct writer *writer, const struct tn_log_piece *piece)
{
	for (size_t i = 0; i < piece->n;) {
		const char *from = piece->bytes + i;
		const char *end = memchr(from, '\n', piece->n - i);
		const size_t n = end != NULL ? (size_t)(end - from) + 1 : piece->n - i;

		if (!writer->within)
			stamp(writer->file, piece->at);
		(void)fwrite(from, 1, n, writer->file);
		writer->within = end == NULL;
		i += n;
	}
}

static void print_json(struct printing *printing, const struct tn_log_piece *piece)
{
	struct jout *json = &printing->json;

	jout_line(json);
	jout_begin(json, NULL, '{');
	jout_int(json, "at", piece->at);
	if (piece->stream == TN_LOG_LOST) {
		jout_int(json, "lost_bytes", piece->lost);
	} else {
		jout_text(json, "stream", piece->stream == TN_LOG_STDERR ? "stderr" : "stdout");
		jout_bytes(json, "text", piece->bytes, piece->n);
	}
	jout_end(json, '}');
}

static void print(struct printing *printing, const struct tn_log_piece *piece)
{
	struct writer *writer = piece->stream == TN_LOG_STDERR ? &printing->errors
	                                                       : &printing->out;

	if (piece->at < printing->ctl->since)
		return;
	if (printing->ctl->json)
		print_json(printing, piece);
	else if (piece->stream == TN_LOG_LOST)
		(void)fprintf(stderr, "tenantctl: %" PRId64 " bytes could not be kept here\n",
		              piece->lost);
	else if (printing->ctl->timestamps)
		write_lines(writer, piece);
	else
		(void)fwrite(piece->bytes, 1, piece->n, writer->file);
}

/* All that is there. 0, or -errno, also because nobody reads any more. */
static int print_all(struct printing *printing, struct tn_log *log, struct tn_error *err)
{
	struct tn_log_piece piece;
	int r;

	while ((r = tn_log_next(log, &piece, err)) == 1)
		print(printing, &piece);
	if (r == 0 && (fflush(stdout) != 0 || fflush(stderr) != 0))
		r = err_errno(err, "write the log: %s", strerror(errno));
	return r;
}

static int follow(struct printing *printing, struct tn_log *log, struct tn_error *err)
{
	const struct timespec look = { .tv_nsec = LOOK_NSEC };
	int r;

	for (int looks = 0;; looks++) {
		const bool goes_on = printing->ctl->follow ||
		                     (!tn_log_running(log) && looks < LAST_LOOKS);

		r = print_all(printing, log, err);
		if (r < 0 || tn_log_ended(log) || !goes_on)
			return r;
		(void)nanosleep(&look, NULL);
	}
}

/* There it has its whole id. */
static int refuse_journal(const struct ctl *ctl, struct tn_error *err)
{
	struct tn_execution execution = { 0 };
	int r = tn_execution_find(ctl->client, ctl->operands[0], &execution, err);

	if (r < 0)
		return r;
	r = err_refuse(err, TN_STATE, "its output is in the journal: journalctl EXECUTION=%s",
	               execution.id);
	tn_execution_done(&execution);
	return r;
}

int cmd_logs(struct ctl *ctl, struct tn_error *err)
{
	struct printing printing = { .ctl = ctl,
		                     .out = { .file = stdout },
		                     .errors = { .file = stderr },
		                     .json = { .file = stdout } };
	struct tn_log *log = NULL;
	int r = tn_log_open(ctl->client, ctl->operands[0], &log, err);

	if (r < 0)
		return r;
	if (tn_log_in_journal(log)) {
		tn_log_free(log);
		return refuse_journal(ctl, err);
	}
	r = follow(&printing, log, err);
	if (r == 0 && ctl->json) {
		jout_end_lines(&printing.json);
		(void)putchar('\n');
	}
	if (r == 0 && tn_log_missed(log) > 0)
		(void)fprintf(stderr,
		              "tenantctl: %" PRId64 " bytes were let go before they could be "
		              "shown\n",
		              tn_log_missed(log));
	tn_log_free(log);
	return r;
}
