/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "run_report.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/err.h>
#include <base/fd.h>

#include "exit_status.h"
#include "output.h"

/* The unfinished file, with the rights that a file made here would have. */
static int open_beside(struct run_report *report, struct tn_error *err)
{
	mode_t mask = umask(0);
	cleanup_fd int fd = FD_NONE;

	(void)umask(mask);
	if (asprintf(&report->path, "%s.XXXXXX", report->to) < 0) {
		report->path = NULL;
		return err_set(err, TN_SYSTEM, ENOMEM, "no memory for the report");
	}
	fd = mkostemp(report->path, O_CLOEXEC);
	if (fd < 0) {
		int r = err_errno(err, "make a report beside %s: %s", report->to,
		                  strerror(errno));

		free(report->path);
		report->path = NULL;
		return r;
	}
	if (fchmod(fd, 0666 & ~mask) == 0)
		report->file = fdopen(fd, "w");
	if (report->file == NULL)
		return err_errno(err, "open the report %s: %s", report->path, strerror(errno));
	(void)fd_take(&fd);
	return 0;
}

/*
 * What is written to and never replaced: what is no regular file, and names that stand
 * for what is open already, whatever that is at the moment (/dev/stdout).
 */
static bool is_written_directly(const char *path)
{
	struct stat st;

	if (strncmp(path, "/dev/", 5) == 0 || strncmp(path, "/proc/", 6) == 0)
		return strncmp(path, "/dev/shm/", 9) != 0;
	return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

static int open_as_it_is(struct run_report *report, struct tn_error *err)
{
	cleanup_fd int fd = open(report->to, O_WRONLY | O_APPEND | O_CLOEXEC);

	if (fd >= 0)
		report->file = fdopen(fd, "a");
	if (report->file == NULL)
		return err_errno(err, "open the report %s: %s", report->to, strerror(errno));
	(void)fd_take(&fd);
	return 0;
}

int run_report_open(struct run_report *report, const char *to, struct tn_error *err)
{
	bool directly;
	int r;

	*report = (struct run_report){ 0 };
	if (to == NULL)
		return 0;
	directly = is_written_directly(to);
	/* It is not a symbolic link that is replaced, but what that leads to. */
	if (!directly)
		report->to = realpath(to, NULL);
	if (report->to == NULL)
		report->to = strdup(to);
	if (report->to == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "no memory for the report");
	r = directly ? open_as_it_is(report, err) : open_beside(report, err);
	if (r < 0)
		run_report_done(report);
	return r;
}

void run_record_put(struct jout *out, const char *key, const struct tn_execution *execution,
                    const struct tn_error *failure)
{
	jout_begin(out, key, '{');
	output_members(out, tn_execution_fields(), execution);
	if (failure != NULL) {
		jout_text(out, "error", tn_error_name(failure->code));
		jout_text(out, "message", failure->msg);
	}
	jout_end(out, '}');
}

static void write_record(FILE *file, const struct tn_execution *execution,
                         const struct tn_error *failure)
{
	struct jout out = { .file = file };

	run_record_put(&out, NULL, execution, failure);
	(void)putc('\n', file);
}

int run_report_finish(struct run_report *report, const struct tn_execution *execution,
                      const struct tn_error *failure, struct tn_error *err)
{
	FILE *file = report->file;
	bool written;

	if (file == NULL)
		return 0;
	write_record(file, execution, failure);
	written = fflush(file) == 0 && !ferror(file) &&
	          (report->path == NULL || fsync(fileno(file)) == 0);
	report->file = NULL;
	if (fclose(file) != 0 || !written)
		return err_errno(err, "write the report %s: %s", report->to, strerror(errno));
	if (report->path != NULL && rename(report->path, report->to) < 0)
		return err_errno(err, "name the report %s: %s", report->to, strerror(errno));
	free(report->path);
	report->path = NULL;
	return 0;
}

void run_report_restart(struct run_report *report)
{
	if (report->path != NULL && ftruncate(fileno(report->file), 0) == 0)
		rewind(report->file);
}

void run_report_disown(struct run_report *report)
{
	free(report->path);
	report->path = NULL;
	run_report_done(report);
}

void run_report_done(struct run_report *report)
{
	if (report->file != NULL)
		(void)fclose(report->file);
	if (report->path != NULL)
		(void)unlink(report->path);
	free(report->path);
	free(report->to);
	*report = (struct run_report){ 0 };
}

struct tn_execution run_record_unknown(const char *tenant, const char *id)
{
	struct tn_execution record = {
		.tenant = tenant,
		.id = id,
		.state = id != NULL ? TN_EXECUTION_UNKNOWN : TN_EXECUTION_EXITED,
		.reason = id != NULL ? TN_REASON_UNKNOWN : TN_REASON_RUNTIME,
	};

	for (const struct tn_field *field = tn_execution_fields(); field->name != NULL; field++)
		if (field->kind == TN_FIELD_INT)
			memcpy((char *)&record + field->offset, &(int64_t){ TN_ABSENT },
			       sizeof(int64_t));
	record.exit_code = EXIT_RUNTIME;
	return record;
}

static int print_plan_json(const struct tn_plan *plan, const struct run_options *options,
                           FILE *file)
{
	struct jout out = { .file = file };

	jout_begin(&out, NULL, '{');
	jout_text(&out, "tenant", options->tenant);
	for (const struct tn_field *field = tn_plan_fields(); field->name != NULL; field++) {
		const struct tn_field one[] = { *field, { 0 } };

		if (field->offset != offsetof(struct tn_plan, environment)) {
			output_members(&out, one, plan);
			continue;
		}
		jout_begin(&out, field->name, '[');
		for (size_t i = 0; i < plan->environment.n; i++)
			jout_text(&out, NULL, plan->environment.items[i]);
		for (size_t i = 0; i < options->env.n; i++)
			jout_text(&out, NULL, options->env.items[i]);
		jout_end(&out, ']');
	}
	jout_end(&out, '}');
	(void)putc('\n', file);
	return 0;
}

static int print_rows(const struct tn_limits *rows, const char *noun, FILE *file)
{
	const struct table_column columns[] = { { noun, false },
		                                { "VALUE", true },
		                                { "SET IN", false } };
	struct table table;
	int r;

	table_init(&table, columns, ARRAY_LEN(columns));
	for (size_t i = 0; i < rows->n; i++) {
		table_add(&table, rows->items[i].key);
		table_add(&table, rows->items[i].value);
		table_add(&table, rows->items[i].source);
	}
	r = table_print(&table, file);
	table_done(&table);
	return r;
}

int run_print_plan(const struct tn_plan *plan, const struct run_options *options, FILE *file)
{
	int r;

	if (options->json)
		return print_plan_json(plan, options, file);
	(void)fprintf(file, "tenant %s, tier %s, policy %.12s\n\n", options->tenant, plan->tier,
	              plan->policy_hash);
	r = print_rows(&plan->limits, "LIMIT", file);
	(void)putc('\n', file);
	if (r == 0)
		r = print_rows(&plan->options, "OPTION", file);

	(void)fputs("\nenvironment:\n", file);
	for (size_t i = 0; i < plan->environment.n; i++)
		(void)fprintf(file, "  %s\n", plan->environment.items[i]);
	for (size_t i = 0; i < options->env.n; i++)
		(void)fprintf(file, "  %s\n", options->env.items[i]);
	for (size_t i = 0; i < plan->unenforced.n; i++)
		(void)fprintf(file, "%s  %s\n", i == 0 ? "\nthis host does not enforce:\n" : "",
		              plan->unenforced.items[i]);
	return r;
}

void run_print_summary(const struct tn_execution *execution, FILE *file)
{
	char ending[OUTPUT_CELL_BYTES_MAX], wall[OUTPUT_CELL_BYTES_MAX];
	char cpu[OUTPUT_CELL_BYTES_MAX], memory[OUTPUT_CELL_BYTES_MAX];

	(void)fprintf(file, "tenant-run: %s: %s after %s; CPU time %s, memory at most %s\n",
	              execution->id, output_ending(execution, ending),
	              output_duration(execution->wall_usec, wall),
	              output_duration(execution->cpu_usec, cpu),
	              output_bytes(execution->memory_peak_bytes, memory));
}
