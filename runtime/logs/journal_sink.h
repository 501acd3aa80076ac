/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Output as entries of the system's journal, a line each, with the fields TENANT and EXECUTION
 * (UUIDs), TENANT_NAME, EXECUTION_NAME if it has one, and STREAM (stdout or stderr).
 */
#ifndef RUNTIME_LOGS_JOURNAL_SINK_H
#define RUNTIME_LOGS_JOURNAL_SINK_H

#include <stddef.h>

#include "ring.h"

/* A longer line becomes several entries. */
#define JOURNAL_SINK_LINE_BYTES_MAX 8192

/* A line of one stream that has not ended yet. */
struct journal_line {
	size_t n;
	char bytes[JOURNAL_SINK_LINE_BYTES_MAX];
};

void journal_sink_add(struct journal_line *line, const struct ring_about *about,
                      enum ring_stream stream, const char *bytes, size_t n);

/* What is left is a line. */
void journal_sink_end(struct journal_line *line, const struct ring_about *about,
                      enum ring_stream stream);

#endif
