/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tenantctl stats: what runs uses, from one look to the next. The daemon is asked each time and
 * keeps nothing of it, so that another one may answer the next time; for a while none at all
 * need be there, and the rates are then those of that while.
 */
#include "cmd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <tenant/stats.h>

#include <base/clock.h>
#include <base/err.h>
#include <base/fd.h>
#include <base/name.h>

#include "output.h"
#include "screen.h"

#define INTERVAL_USEC 1000000
/* For so long no daemon may answer. */
#define OUTAGE_USEC_MAX 30000000

#define NO_ANSWER 2

/* One of a look, with the texts that the record had. */
struct row {
	struct tn_stats stats;
	char tenant[NAME_BYTES_MAX];
	char execution[ID_TEXT_BYTES];
	char name[NAME_BYTES_MAX];
};

struct look {
	struct row *rows; /* as they were told */
	size_t n, size;
	bool no_memory;
};

struct watch {
	struct ctl *ctl;
	const char *tenant;
	struct look before, now; /* before: in the order of cgroup_id */
	struct screen screen;
	bool on_screen, looked;
	char *table; /* what the screen shows below its first lines, or NULL */
	int64_t interval_usec;
	int64_t outage_since; /* CLOCK_BOOTTIME; 0: it answers */
};

static void look_done(struct look *look)
{
	free(look->rows);
	*look = (struct look){ 0 };
}

static const char *text_keep(char *kept, size_t bytes, const char *text)
{
	if (text == NULL)
		return NULL;
	(void)snprintf(kept, bytes, "%s", text);
	return kept;
}

static int on_stats(const struct tn_stats *stats, void *userdata)
{
	struct look *look = userdata;
	struct row *row;

	if (look->n == look->size) {
		const size_t size = look->size == 0 ? 64 : look->size * 2;
		struct row *rows = reallocarray(look->rows, size, sizeof(*rows));

		if (rows == NULL) {
			look->no_memory = true;
			return 1;
		}
		look->rows = rows;
		look->size = size;
	}
	row = &look->rows[look->n++];
	row->stats = *stats;
	row->stats.owner = NULL;
	(void)text_keep(row->tenant, sizeof(row->tenant), stats->tenant);
	if (text_keep(row->execution, sizeof(row->execution), stats->execution) == NULL)
		row->execution[0] = '\0';
	if (text_keep(row->name, sizeof(row->name), stats->name) == NULL)
		row->name[0] = '\0';
	return 0;
}

/* Rows move when there are more of them, and their texts with them. */
static void look_settle(struct look *look)
{
	for (size_t i = 0; i < look->n; i++) {
		struct row *row = &look->rows[i];

		row->stats.tenant = row->tenant;
		row->stats.execution = row->execution[0] != '\0' ? row->execution : NULL;
		row->stats.name = row->name[0] != '\0' ? row->name : NULL;
	}
}

static int compare(const void *a, const void *b)
{
	const struct row *one = a, *other = b;

	if (one->stats.cgroup_id == other->stats.cgroup_id)
		return 0;
	return one->stats.cgroup_id < other->stats.cgroup_id ? -1 : 1;
}

static struct tn_stats_rates rates_of(const struct watch *watch, const struct row *row)
{
	const struct row *before = NULL;
	struct tn_stats_rates rates;

	if (watch->before.n > 0)
		before = bsearch(row, watch->before.rows, watch->before.n, sizeof(*row),
		                 compare);
	tn_stats_rates(before != NULL ? &before->stats : NULL, &row->stats, &rates);
	return rates;
}

/* 1 if it is to end. */
static int wait_for(struct watch *watch, int fd, short events, int64_t usec,
                    struct tn_error *err)
{
	int event = screen_wait(&watch->screen, fd, events, usec, err);

	return event < 0 ? event : event == SCREEN_QUIT;
}

/* So that keys and signals are heard while the daemon is asked. 1 if it is to end. */
static int ask(struct watch *watch, struct tn_error *err)
{
	struct tn_client *client = watch->ctl->client;
	const int64_t begun = clock_usec(CLOCK_BOOTTIME);
	int r;

	if (!watch->on_screen)
		return tn_stats(client, watch->tenant, on_stats, &watch->now, err);
	r = tn_stats_start(client, watch->tenant, on_stats, &watch->now, err);
	while (r == 0) {
		r = wait_for(watch, tn_client_fd(client), tn_client_events(client),
		             OUTAGE_USEC_MAX, err);
		if (r == 0 && clock_usec(CLOCK_BOOTTIME) - begun >= OUTAGE_USEC_MAX)
			r = err_refuse(err, TN_UNREACHABLE, "tenantd does not answer");
		if (r != 0) {
			tn_client_cancel(client);
			return r;
		}
		r = tn_client_process(client, err);
		if (r == 1)
			return 0;
	}
	return r;
}

/* 0 if there is another look, 1 if it is to end, NO_ANSWER if no daemon does for the moment. */
static int look(struct watch *watch, struct tn_error *err)
{
	int r;

	watch->now.n = 0;
	r = ask(watch, err);
	if (r >= 0 && watch->now.no_memory)
		return err_set(err, TN_SYSTEM, ENOMEM, "no memory for the statistics");
	if (r >= 0) {
		look_settle(&watch->now);
		watch->outage_since = 0;
		watch->looked = true;
		return r;
	}
	if (err->code != TN_UNREACHABLE || !watch->looked)
		return r;
	if (watch->outage_since == 0) {
		watch->outage_since = clock_usec(CLOCK_BOOTTIME);
		if (!watch->on_screen)
			(void)fprintf(stderr, "tenantctl: %s; trying again\n", err->msg);
	}
	if (clock_usec(CLOCK_BOOTTIME) - watch->outage_since > OUTAGE_USEC_MAX)
		return r;
	return NO_ANSWER;
}

/* What was now is before, in an order in which it is found. */
static void look_turn(struct watch *watch)
{
	const struct look spare = watch->before;

	watch->before = watch->now;
	watch->now = spare;
	if (watch->before.n > 0)
		qsort(watch->before.rows, watch->before.n, sizeof(*watch->before.rows),
		      compare);
	/* Sorting has moved them. */
	look_settle(&watch->before);
}

/* "12.3%" */
static const char *percent(int64_t permille, char *cell)
{
	if (permille == TN_ABSENT)
		return output_int(permille, cell);
	(void)snprintf(cell, OUTPUT_CELL_BYTES_MAX, "%lld.%lld%%", (long long)(permille / 10),
	               (long long)(permille % 10));
	return cell;
}

static const struct table_column columns[] = {
	{ "TENANT", false }, { "EXECUTION", false }, { "NAME", false },     { "CPU", true },
	{ "MEMORY", true },  { "LIMIT", true },      { "TASKS", true },     { "LIMIT", true },
	{ "READ/S", true },  { "WRITE/S", true },    { "THROTTLED", true }, { "PSI-CPU", true },
	{ "PSI-MEM", true }, { "PSI-IO", true },
};

#define COLUMN_NAME 2
/* What an execution is called by, if no other begins so: base/exec_ref.h. */
#define SHORT_ID_CHARS 8

static void add_row(struct table *table, const struct row *row,
                    const struct tn_stats_rates *rates)
{
	const struct tn_stats *stats = &row->stats;
	char cell[OUTPUT_CELL_BYTES_MAX];

	table_add(table, row->tenant);
	(void)snprintf(cell, sizeof(cell), "%.*s", SHORT_ID_CHARS,
	               stats->execution != NULL ? row->execution : "-");
	table_add(table, cell);
	table_add(table, row->name);
	table_add(table, percent(rates->cpu_permille, cell));
	table_add(table, output_bytes(stats->memory_bytes, cell));
	table_add(table, output_bytes(stats->memory_max_bytes, cell));
	table_add(table, output_int(stats->tasks, cell));
	table_add(table, output_int(stats->tasks_max, cell));
	table_add(table, output_bytes(rates->io_read_bytes_per_sec, cell));
	table_add(table, output_bytes(rates->io_write_bytes_per_sec, cell));
	table_add(table, percent(rates->throttled_permille, cell));
	table_add(table, percent(rates->pressure_cpu_permille, cell));
	table_add(table, percent(rates->pressure_memory_permille, cell));
	table_add(table, percent(rates->pressure_io_permille, cell));
}

static int print_table(const struct watch *watch, const struct look *shown, FILE *file,
                       struct tn_error *err)
{
	struct table table;
	int r;

	table_init(&table, columns, ARRAY_LEN(columns));
	table.spare = UINT64_C(1) << COLUMN_NAME;
	for (size_t i = 0; i < shown->n; i++) {
		const struct tn_stats_rates rates = rates_of(watch, &shown->rows[i]);

		add_row(&table, &shown->rows[i], &rates);
	}
	r = table_print(&table, file);
	table_done(&table);
	return r < 0 ? err_set(err, TN_SYSTEM, ENOMEM, "no memory for the statistics") : 0;
}

/* All of a look in one line. */
static void print_json(const struct watch *watch)
{
	struct jout out = { .file = stdout };

	jout_begin(&out, NULL, '[');
	for (size_t i = 0; i < watch->now.n; i++) {
		const struct row *row = &watch->now.rows[i];
		const struct tn_stats_rates rates = rates_of(watch, row);

		jout_begin(&out, NULL, '{');
		output_members(&out, tn_stats_fields(), &row->stats);
		output_members(&out, tn_stats_rates_fields(), &rates);
		jout_end(&out, '}');
	}
	jout_end(&out, ']');
	(void)putchar('\n');
}

/* Once more what was shown. @trouble: why it is old, or NULL. */
static int redraw(struct watch *watch, const char *trouble, struct tn_error *err)
{
	char at[OUTPUT_CELL_BYTES_MAX], every[OUTPUT_CELL_BYTES_MAX];
	cleanup_free char *text = NULL;
	int n = asprintf(&text, "%s, every %s; q quits%s%s\n\n%s",
	                 output_instant(clock_usec(CLOCK_REALTIME), at),
	                 output_duration(watch->interval_usec, every),
	                 trouble != NULL ? "; " : "", trouble != NULL ? trouble : "",
	                 watch->table != NULL ? watch->table : "");

	if (n < 0) {
		text = NULL;
		return err_set(err, TN_SYSTEM, ENOMEM, "no memory for the statistics");
	}
	return screen_draw(&watch->screen, text, err);
}

static int draw(struct watch *watch, struct tn_error *err)
{
	size_t n = 0;
	FILE *file;
	int r;

	free(watch->table);
	watch->table = NULL;
	file = open_memstream(&watch->table, &n);
	if (file == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "no memory for the statistics");
	r = print_table(watch, &watch->now, file, err);
	if (fclose(file) != 0 && r == 0)
		r = err_set(err, TN_SYSTEM, ENOMEM, "no memory for the statistics");
	return r < 0 ? r : redraw(watch, NULL, err);
}

static int show(struct watch *watch, bool first, struct tn_error *err)
{
	int r = 0;

	if (watch->on_screen)
		return draw(watch, err);
	if (watch->ctl->json) {
		print_json(watch);
	} else {
		if (!first)
			(void)putchar('\n');
		r = print_table(watch, &watch->now, stdout, err);
	}
	if (r == 0 && fflush(stdout) != 0)
		r = err_set(err, TN_SYSTEM, EIO, "write to standard output");
	return r;
}

/* 1 if it is to end. */
static int rest(struct watch *watch, struct tn_error *err)
{
	const struct timespec time = { .tv_sec = watch->interval_usec / CLOCK_USEC_PER_SEC,
		                       .tv_nsec = watch->interval_usec % CLOCK_USEC_PER_SEC *
		                                  CLOCK_NSEC_PER_USEC };
	const int64_t end = clock_usec(CLOCK_BOOTTIME) + watch->interval_usec;
	int64_t left;

	if (!watch->on_screen) {
		(void)nanosleep(&time, NULL);
		return 0;
	}
	while ((left = end - clock_usec(CLOCK_BOOTTIME)) > 0) {
		const int event = screen_wait(&watch->screen, FD_NONE, 0, left, err);

		if (event < 0 || event == SCREEN_QUIT)
			return event < 0 ? event : 1;
		if (event == SCREEN_REDRAW && redraw(watch, NULL, err) < 0)
			return -EIO;
	}
	return 0;
}

/* Looks until it is to end; the first alone tells no rates, and is shown on a screen only. */
static int watch_on(struct watch *watch, struct tn_error *err)
{
	bool shown = false;
	int r = look(watch, err);

	if (r == 0 && watch->on_screen)
		r = draw(watch, err);
	while (r == 0) {
		look_turn(watch);
		do {
			r = rest(watch, err);
			if (r == 0)
				r = look(watch, err);
			if (r == NO_ANSWER && watch->on_screen &&
			    redraw(watch, err->msg, err) < 0)
				r = -EIO;
		} while (r == NO_ANSWER);
		if (r == 0)
			r = show(watch, !shown, err);
		shown = true;
		if (watch->ctl->no_stream)
			break;
	}
	return r < 0 ? r : 0;
}

int cmd_stats(struct ctl *ctl, struct tn_error *err)
{
	struct watch watch = { .ctl = ctl,
		               .tenant = ctl->operands_n > 0 ? ctl->operands[0] : NULL,
		               .screen = { .signal_fd = FD_NONE },
		               .interval_usec = ctl->interval_usec };
	int r = 0;

	if (watch.interval_usec == 0)
		watch.interval_usec = INTERVAL_USEC;
	watch.on_screen = !ctl->json && !ctl->no_stream && isatty(STDOUT_FILENO) == 1;
	if (watch.on_screen)
		r = screen_open(&watch.screen, err);
	if (r == 0)
		r = watch_on(&watch, err);
	if (watch.on_screen)
		screen_close(&watch.screen);
	free(watch.table);
	look_done(&watch.before);
	look_done(&watch.now);
	return r;
}
