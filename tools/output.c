/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "output.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include <base/clock.h>
#include <base/fd.h>

#define BYTES_PER_KIB 1024

static void put_pairs(struct jout *out, const char *name, const void *at)
{
	const struct tn_pairs *pairs = at;

	jout_begin(out, name, '{');
	for (size_t i = 0; i < pairs->n; i++)
		jout_text(out, pairs->items[i].key, pairs->items[i].value);
	jout_end(out, '}');
}

static void put_counts(struct jout *out, const char *name, const void *at)
{
	const struct tn_counts *counts = at;

	jout_begin(out, name, '{');
	for (size_t i = 0; i < counts->n; i++)
		jout_int(out, counts->items[i].name, counts->items[i].amount);
	jout_end(out, '}');
}

static void put_texts(struct jout *out, const char *name, const void *at)
{
	const struct tn_texts *texts = at;

	jout_begin(out, name, '[');
	for (size_t i = 0; i < texts->n; i++)
		jout_text(out, NULL, texts->items[i]);
	jout_end(out, ']');
}

static void put_limits(struct jout *out, const char *name, const void *at)
{
	const struct tn_limits *limits = at;

	jout_begin(out, name, '[');
	for (size_t i = 0; i < limits->n; i++) {
		jout_begin(out, NULL, '{');
		jout_text(out, "key", limits->items[i].key);
		jout_text(out, "value", limits->items[i].value);
		jout_text(out, "source", limits->items[i].source);
		jout_end(out, '}');
	}
	jout_end(out, ']');
}

static void put_text(struct jout *out, const char *name, const void *at)
{
	jout_text(out, name, *(const char *const *)at);
}

static void put_int(struct jout *out, const char *name, const void *at)
{
	jout_int(out, name, *(const int64_t *)at);
}

typedef void put_fn(struct jout *out, const char *name, const void *at);

static put_fn *const putters[] = {
	[TN_FIELD_TEXT] = put_text,
	[TN_FIELD_INT] = put_int,
	[TN_FIELD_PAIRS] = put_pairs,
	[TN_FIELD_COUNTS] = put_counts,
	[TN_FIELD_TEXTS] = put_texts,
	[TN_FIELD_LIMITS] = put_limits,
	[TN_FIELD_ENUM] = NULL /* needs its names */,
	[TN_FIELD_RECORD] = NULL /* needs its fields */,
};

void output_members(struct jout *out, const struct tn_field *fields, const void *record)
{
	for (const struct tn_field *field = fields; field->name != NULL; field++) {
		const void *at = (const char *)record + field->offset;

		if (field->kind == TN_FIELD_RECORD) {
			/* Offsets within an embedded record count from the outer one. */
			output_record(out, field->name, field->fields, record);
		} else if (field->kind == TN_FIELD_ENUM) {
			int value = *(const int *)at;

			jout_text(out, field->name, value < 0 ? NULL : field->names[value]);
		} else {
			putters[field->kind](out, field->name, at);
		}
	}
}

void output_record(struct jout *out, const char *key, const struct tn_field *fields,
                   const void *record)
{
	jout_begin(out, key, '{');
	output_members(out, fields, record);
	jout_end(out, '}');
}

void output_json(FILE *file, const struct tn_field *fields, const void *record)
{
	struct jout out = { .file = file };

	output_record(&out, NULL, fields, record);
	(void)putc('\n', file);
}

/* Bytes of the control character at @text, 0 if there is none: of ASCII, or of Latin-1 in
 * UTF-8, which terminals heed, too. */
static size_t control_bytes(const char *text)
{
	const unsigned char c = (unsigned char)text[0];

	if ((c != '\0' && c < ' ') || c == 0x7f)
		return 1;
	return c == 0xc2 && ((unsigned char)text[1] & 0xe0) == 0x80 ? 2 : 0;
}

void output_clean(char *text)
{
	char *to = text;

	while (*text != '\0') {
		const size_t n = control_bytes(text);

		*to = *text;
		if (n > 0)
			*to = '?';
		to++;
		text += n > 0 ? n : 1;
	}
	*to = '\0';
}

void output_text(FILE *file, const char *text)
{
	while (*text != '\0') {
		const size_t n = control_bytes(text);

		(void)putc(n > 0 ? '?' : *text, file);
		text += n > 0 ? n : 1;
	}
}

void output_texts(const char *title, const struct tn_texts *texts)
{
	for (size_t i = 0; i < texts->n; i++) {
		(void)printf("%-14s ", i == 0 ? title : "");
		output_text(stdout, texts->items[i]);
		(void)putchar('\n');
	}
}

void output_error(const char *program, bool json, const struct tn_error *err)
{
	struct jout out = { .file = stderr };

	if (!json) {
		(void)fprintf(stderr, "%s: %s\n", program, err->msg);
		return;
	}
	jout_begin(&out, NULL, '{');
	jout_text(&out, "error", tn_error_name(err->code));
	jout_text(&out, "message", err->msg);
	jout_end(&out, '}');
	(void)putc('\n', stderr);
}

static const char *absent(char *cell)
{
	memcpy(cell, "-", sizeof("-"));
	return cell;
}

const char *output_int(int64_t number, char *cell)
{
	if (number == TN_ABSENT)
		return absent(cell);
	(void)snprintf(cell, OUTPUT_CELL_BYTES_MAX, "%" PRId64, number);
	return cell;
}

const char *output_bytes(int64_t bytes, char *cell)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	int64_t unit = 1;
	size_t i = 0;

	if (bytes == TN_ABSENT)
		return absent(cell);
	while (bytes / unit >= BYTES_PER_KIB) {
		unit *= BYTES_PER_KIB;
		i++;
	}
	if (i == 0)
		(void)snprintf(cell, OUTPUT_CELL_BYTES_MAX, "%" PRId64 " B", bytes);
	else /* Cut, not rounded: what is shown was reached. */
		(void)snprintf(cell, OUTPUT_CELL_BYTES_MAX, "%" PRId64 ".%" PRId64 " %s",
		               bytes / unit, bytes % unit / (unit / BYTES_PER_KIB) * 10 / 1024,
		               units[i]);
	return cell;
}

const char *output_duration(int64_t usec, char *cell)
{
	int64_t sec = usec / CLOCK_USEC_PER_SEC, part = usec % CLOCK_USEC_PER_SEC;

	if (usec == TN_ABSENT)
		return absent(cell);
	if (sec == 0 && part < CLOCK_USEC_PER_MSEC)
		(void)snprintf(cell, OUTPUT_CELL_BYTES_MAX, "%" PRId64 " us", part);
	else if (sec == 0)
		(void)snprintf(cell, OUTPUT_CELL_BYTES_MAX, "%" PRId64 ".%" PRId64 " ms",
		               part / 1000, part % 1000 / 100);
	else if (sec < 60)
		(void)snprintf(cell, OUTPUT_CELL_BYTES_MAX, "%" PRId64 ".%03" PRId64 " s", sec,
		               part / 1000);
	else if (sec < 3600)
		(void)snprintf(cell, OUTPUT_CELL_BYTES_MAX, "%" PRId64 " min %02" PRId64 " s",
		               sec / 60, sec % 60);
	else
		(void)snprintf(cell, OUTPUT_CELL_BYTES_MAX, "%" PRId64 " h %02" PRId64 " min",
		               sec / 3600, sec % 3600 / 60);
	return cell;
}

const char *output_memory_integral(int64_t mib_msec, char *cell)
{
	const int64_t gib_sec = INT64_C(1024) * 1000;

	if (mib_msec == TN_ABSENT)
		return absent(cell);
	(void)snprintf(cell, OUTPUT_CELL_BYTES_MAX, "%" PRId64 ".%03" PRId64 " GiB s",
	               mib_msec / gib_sec, mib_msec % gib_sec * 1000 / gib_sec);
	return cell;
}

/* What a 64-bit number has of them. */
#define PLACES_MAX 18

const char *output_decimal(int64_t number, int64_t places, char *cell)
{
	int64_t scale = 1;

	if (number == TN_ABSENT)
		return absent(cell);
	if (places < 1 || places > PLACES_MAX)
		return output_int(number, cell);
	for (int64_t i = 0; i < places; i++)
		scale *= 10;
	(void)snprintf(cell, OUTPUT_CELL_BYTES_MAX, "%" PRId64 ".%0*" PRId64, number / scale,
	               (int)places, number % scale);
	return cell;
}

const char *output_quantity(int64_t quantity, const char *unit, char *cell)
{
	static const struct {
		const char *unit, *shown;
		int64_t places;
	} units[] = {
		{ "usec", " s", 6 },
		{ "mib_msec", " MiB s", 3 },
		{ "bytes", " B", 0 },
	};
	size_t n;

	for (size_t i = 0; unit != NULL && i < ARRAY_LEN(units); i++) {
		if (strcmp(units[i].unit, unit) != 0 || quantity == TN_ABSENT)
			continue;
		(void)output_decimal(quantity, units[i].places, cell);
		n = strlen(cell);
		while (strchr(cell, '.') != NULL &&
		       (cell[n - 1] == '0' || cell[n - 1] == '.')) {
			const bool point = cell[--n] == '.';

			cell[n] = '\0';
			if (point)
				break;
		}
		(void)snprintf(cell + n, OUTPUT_CELL_BYTES_MAX - n, "%s", units[i].shown);
		return cell;
	}
	return output_int(quantity, cell);
}

const char *output_instant(int64_t unix_usec, char *cell)
{
	time_t sec = (time_t)(unix_usec / CLOCK_USEC_PER_SEC);
	struct tm tm;

	if (unix_usec == TN_ABSENT)
		return absent(cell);
	if (localtime_r(&sec, &tm) == NULL ||
	    strftime(cell, OUTPUT_CELL_BYTES_MAX, "%Y-%m-%dT%H:%M:%S%z", &tm) == 0)
		return output_int(unix_usec, cell);
	return cell;
}

const char *output_ending(const struct tn_execution *execution, char *cell)
{
	const char *reason = tn_reason_name(execution->reason);

	if (reason == NULL)
		return memcpy(cell, "running", sizeof("running"));
	if (execution->reason == TN_REASON_EXITED)
		(void)snprintf(cell, OUTPUT_CELL_BYTES_MAX, "exit %" PRId64,
		               execution->exit_code);
	else if (execution->reason == TN_REASON_SIGNALED)
		(void)snprintf(cell, OUTPUT_CELL_BYTES_MAX, "signal %" PRId64,
		               execution->signal);
	else
		(void)snprintf(cell, OUTPUT_CELL_BYTES_MAX, "%s", reason);
	return cell;
}
