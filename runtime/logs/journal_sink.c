/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "journal_sink.h"

#include <string.h>

/* The entries are the workload's, not of a line of ours. */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

static void send(const struct journal_line *line, const struct ring_about *about,
                 enum ring_stream stream)
{
	char tenant[ID_TEXT_BYTES], execution[ID_TEXT_BYTES];

	id_format(&about->tenant, tenant);
	id_format(&about->execution, execution);
	/* A journal that is not there loses it, as it loses everybody's. */
	(void)sd_journal_send("MESSAGE=%.*s", (int)line->n, line->bytes, "PRIORITY=%d", 6,
	                      "SYSLOG_IDENTIFIER=%s", about->tenant_name, "TENANT=%s", tenant,
	                      "TENANT_NAME=%s", about->tenant_name, "EXECUTION=%s", execution,
	                      "STREAM=%s", stream == RING_STDERR ? "stderr" : "stdout",
	                      about->name[0] != '\0' ? "EXECUTION_NAME=%s" : NULL, about->name,
	                      NULL);
}

void journal_sink_end(struct journal_line *line, const struct ring_about *about,
                      enum ring_stream stream)
{
	if (line->n > 0)
		send(line, about, stream);
	line->n = 0;
}

void journal_sink_add(struct journal_line *line, const struct ring_about *about,
                      enum ring_stream stream, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] != '\n')
			line->bytes[line->n++] = (char)(bytes[i] != '\0' ? bytes[i] : ' ');
		if (bytes[i] == '\n' || line->n == sizeof(line->bytes))
			journal_sink_end(line, about, stream);
	}
}
