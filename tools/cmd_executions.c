/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmd.h"

#include <base/err.h>
#include <base/fd.h>

#include "output.h"

static const struct table_column columns[] = {
	{ "ID", false },  { "TENANT", false }, { "STATE", false }, { "STARTED", false },
	{ "WALL", true }, { "CPU", true },     { "MEMORY", true }, { "PIDS", true },
};

static int as_row(const struct tn_execution *execution, void *userdata)
{
	struct table *table = userdata;
	char cell[OUTPUT_CELL_BYTES_MAX];

	table_add(table, execution->id);
	table_add(table, execution->tenant);
	table_add(table, output_ending(execution, cell));
	table_add(table, output_instant(execution->started_at, cell));
	table_add(table, output_duration(execution->wall_usec, cell));
	table_add(table, output_duration(execution->cpu_usec, cell));
	table_add(table, output_bytes(execution->memory_peak_bytes, cell));
	table_add(table, output_int(execution->pids_peak, cell));
	return 0;
}

static int as_json(const struct tn_execution *execution, void *userdata)
{
	struct jout *out = userdata;

	jout_line(out);
	output_record(out, NULL, tn_execution_fields(), execution);
	return 0;
}

static int print_table(const struct table *table, struct tn_error *err)
{
	if (table_print(table, stdout) < 0)
		return err_set(err, TN_SYSTEM, ENOMEM, "no memory for the list");
	return 0;
}

int cmd_ps(struct ctl *ctl, struct tn_error *err)
{
	const char *tenant = ctl->operands_n > 0 ? ctl->operands[0] : NULL;
	struct jout out = { .file = stdout };
	struct table table;
	int r;

	if (ctl->json) {
		r = tn_execution_list(ctl->client, tenant, ctl->all, as_json, &out, err);
		if (r == 0) {
			jout_end_lines(&out);
			(void)putchar('\n');
		}
		return r;
	}
	table_init(&table, columns, ARRAY_LEN(columns));
	r = tn_execution_list(ctl->client, tenant, ctl->all, as_row, &table, err);
	if (r == 0)
		r = print_table(&table, err);
	table_done(&table);
	return r;
}

/*
 * As JSON the executions are the last member of one object, whose others come first on
 * the socket too: nothing is held back.
 */
struct usage_json {
	struct jout out;
	const struct tn_usage *usage;
	bool begun;
};

static void begin_usage(struct usage_json *json)
{
	if (json->begun)
		return;
	json->begun = true;
	jout_begin(&json->out, NULL, '{');
	output_members(&json->out, tn_usage_fields(), json->usage);
	jout_begin(&json->out, "executions", '[');
}

static int usage_as_json(const struct tn_execution *execution, void *userdata)
{
	struct usage_json *json = userdata;

	begin_usage(json);
	return as_json(execution, &json->out);
}

static int print_usage_json(struct ctl *ctl, struct tn_usage_query *query, struct tn_error *err)
{
	struct tn_usage usage = { 0 };
	struct usage_json json = { .out = { .file = stdout }, .usage = &usage };
	int r;

	query->each = usage_as_json;
	query->userdata = &json;
	r = tn_usage(ctl->client, query, &usage, err);
	if (r < 0)
		return r;
	begin_usage(&json);
	jout_end_lines(&json.out);
	jout_end(&json.out, '}');
	(void)putchar('\n');
	tn_usage_done(&usage);
	return 0;
}

static const char *format_count(int64_t amount, char *cell)
{
	return output_int(amount, cell);
}

/* The unit of a meter is told by the end of its name. */
static const char *meter_text(const struct tn_count *meter, char *cell)
{
	static const struct {
		const char *ending;
		const char *(*format)(int64_t amount, char *cell);
	} units[] = {
		{ "_time", output_duration }, { "_usec", output_duration },
		{ "_bytes", output_bytes },   { "_mib_msec", output_memory_integral },
		{ "", format_count },
	};
	size_t n = strlen(meter->name);

	for (size_t i = 0;; i++) {
		size_t ending_n = strlen(units[i].ending);

		if (ending_n <= n && strcmp(meter->name + n - ending_n, units[i].ending) == 0)
			return units[i].format(meter->amount, cell);
	}
}

static void print_totals(const struct tn_usage *usage)
{
	static const struct table_column meters[] = { { "METER", false }, { "AMOUNT", true } };
	char since[OUTPUT_CELL_BYTES_MAX], cell[OUTPUT_CELL_BYTES_MAX];
	struct table table;

	(void)printf("%s from %s to %s\n\n", usage->tenant, output_instant(usage->since, since),
	             output_instant(usage->until, cell));
	table_init(&table, meters, ARRAY_LEN(meters));
	for (size_t i = 0; i < usage->meters.n; i++) {
		table_add(&table, usage->meters.items[i].name);
		table_add(&table, meter_text(&usage->meters.items[i], cell));
	}
	table_add(&table, "cpu_time of no execution");
	table_add(&table, output_duration(usage->unattributed_usec, cell));
	(void)table_print(&table, stdout);
	table_done(&table);
	(void)putchar('\n');
}

int cmd_usage(struct ctl *ctl, struct tn_error *err)
{
	struct tn_usage_query query = {
		.tenant = ctl->operands[0],
		.since = ctl->since,
		.until = ctl->until,
	};
	struct tn_usage usage = { 0 };
	struct table table;
	int r;

	if (ctl->since != TN_ABSENT && ctl->until != TN_ABSENT && ctl->since > ctl->until)
		return err_refuse(err, TN_INVALID, "--since is later than --until");
	if (ctl->json)
		return print_usage_json(ctl, &query, err);

	table_init(&table, columns, ARRAY_LEN(columns));
	query.each = as_row;
	query.userdata = &table;
	r = tn_usage(ctl->client, &query, &usage, err);
	if (r == 0) {
		print_totals(&usage);
		r = print_table(&table, err);
		tn_usage_done(&usage);
	}
	table_done(&table);
	return r;
}
