/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How the commands show things: for people as aligned tables with units and local
 * time, for programs as JSON with the integers of the socket.
 */
#ifndef TOOLS_OUTPUT_H
#define TOOLS_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <tenant/client.h>

#include "jout.h"

#define OUTPUT_CELL_BYTES_MAX 64
#define TABLE_COLUMNS_MAX     64

/* The members of @record, described by @fields, in an object that has begun. */
void output_members(struct jout *out, const struct tn_field *fields, const void *record);

/* A record as a whole object; @key NULL outside of objects. */
void output_record(struct jout *out, const char *key, const struct tn_field *fields,
                   const void *record);

/* One record and the end of the line. */
void output_json(FILE *file, const struct tn_field *fields, const void *record);

/* What others wrote, with '?' for each control character: it must not move the cursor, begin a
 * line of its own or speak to the terminal. */
void output_text(FILE *file, const char *text);
/* The same in place. */
void output_clean(char *text);

/* "title  first", and the others below it. */
void output_texts(const char *title, const struct tn_texts *texts);

/* "program: message", or {"error": NAME, "message": ...}, to stderr. */
void output_error(const char *program, bool json, const struct tn_error *err);

/* Each writes at most OUTPUT_CELL_BYTES_MAX bytes and returns @cell; "-" for TN_ABSENT. */
const char *output_bytes(int64_t bytes, char *cell);       /* "61.3 MiB" */
const char *output_duration(int64_t usec, char *cell);     /* "1.234 s", "2 h 05 min" */
const char *output_instant(int64_t unix_usec, char *cell); /* "2026-01-31T12:00:00+0100" */
const char *output_memory_integral(int64_t mib_msec, char *cell); /* "1.234 GiB s" */
const char *output_int(int64_t number, char *cell);
/* Exactly: @number x 10^-@places, with all of these, as money is written: "12.30". */
const char *output_decimal(int64_t number, int64_t places, char *cell);
/* Exactly, in what people count a meter of that unit in: "1.5 s", "925.713 MiB s", "4096 B". */
const char *output_quantity(int64_t quantity, const char *unit, char *cell);

/* How an execution ended: "exit 0", "signal 9", "oom", "running". */
const char *output_ending(const struct tn_execution *execution, char *cell);

/*
 * A table that is printed once all rows are known. Cells are copied, and what could
 * drive a terminal is replaced in them.
 */
struct table_column {
	const char *title;
	bool right; /* aligned */
};

struct table {
	const struct table_column *columns; /* borrowed */
	size_t columns_n;
	uint64_t spare; /* a bit for each column that is left out if all of it is "" */
	char **cells;   /* row by row */
	size_t cells_n, cells_size;
	bool failed; /* out of memory */
};

void table_init(struct table *table, const struct table_column *columns, size_t n);
void table_done(struct table *table);
/* Cells fill the columns from left to right, row after row. */
void table_add(struct table *table, const char *cell);
/* With its titles even if it is empty. 0 or -ENOMEM. */
int table_print(const struct table *table, FILE *file);

#endif
