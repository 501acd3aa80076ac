/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One event, one line, header-only: journal fields when systemd reads our stderr,
 * a JSON object per line on stderr otherwise.
 *
 * Only programs log, libraries return errors. The journal's datagram protocol is
 * spoken here instead of through libsystemd because tenantd logs too, and as root
 * it links as little as it can. Nothing is kept open: events are rare, and a sink
 * without state cannot leak into a child.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <ctype.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>

#include <base/fd.h>

#define LOG_EVENT_BYTES_MAX 4096

struct log_field {
	const char *name; /* lower case; upper case in the journal */
	const char *text; /* NULL: @number counts */
	int64_t number;
};

#define LF_STR(name, text)   ((struct log_field){ (name), (text), 0 })
#define LF_INT(name, number) ((struct log_field){ (name), NULL, (number) })
#define LF_END               ((struct log_field){ NULL, NULL, 0 })

/* log_event(LOG_INFO, "execution started", LF_STR("tenant", name), LF_END) */
#define log_event(level, message, ...)                                                         \
	log_write((level), (message), (const struct log_field[]){ __VA_ARGS__ })

struct log_line {
	char text[LOG_EVENT_BYTES_MAX];
	size_t n;
};

static inline void log_put(struct log_line *line, char c)
{
	if (line->n < sizeof(line->text) - 2)
		line->text[line->n++] = c;
}

static inline void log_puts(struct log_line *line, const char *text)
{
	while (*text != '\0')
		log_put(line, *text++);
}

static inline void log_put_int(struct log_line *line, int64_t number)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRId64, number);
	log_puts(line, text);
}

/* A JSON string; what is not printable ASCII is written as an escape. */
static inline void log_put_json(struct log_line *line, const char *text)
{
	log_put(line, '"');
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		char escape[8];

		if (c >= ' ' && c < 0x7f && c != '"' && c != '\\') {
			log_put(line, *text);
			continue;
		}
		(void)snprintf(escape, sizeof(escape), "\\u%04x", c);
		log_puts(line, escape);
	}
	log_put(line, '"');
}

/* NAME=value; a line break in a value would end the field, so it becomes a blank. */
static inline void log_put_journal(struct log_line *line, const char *name, const char *value)
{
	for (; *name != '\0'; name++)
		log_put(line, (char)toupper((unsigned char)*name));
	log_put(line, '=');
	for (; *value != '\0'; value++)
		if (*value == '\n')
			log_put(line, ' ');
		else
			log_put(line, *value);
	log_put(line, '\n');
}

/* The journal shows the message alone unless asked: what went wrong belongs into it. */
static inline void log_message(const char *message, const struct log_field *fields, char *out,
                               size_t size)
{
	(void)snprintf(out, size, "%s", message);
	for (; fields->name != NULL; fields++)
		if (strcmp(fields->name, "error") == 0 && fields->text != NULL)
			(void)snprintf(out, size, "%s: %s", message, fields->text);
}

static inline int log_to_journal(int level, const char *message, const struct log_field *fields)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX,
		                       .sun_path = "/run/systemd/journal/socket" };
	struct log_line line = { .n = 0 };
	char number[24], text[1024];
	cleanup_fd int fd = FD_NONE;

	(void)snprintf(number, sizeof(number), "%d", level);
	log_put_journal(&line, "priority", number);
	log_put_journal(&line, "syslog_identifier", program_invocation_short_name);
	log_message(message, fields, text, sizeof(text));
	log_put_journal(&line, "message", text);
	for (; fields->name != NULL; fields++) {
		(void)snprintf(number, sizeof(number), "%" PRId64, fields->number);
		log_put_journal(&line, fields->name,
		                fields->text != NULL ? fields->text : number);
	}
	line.text[line.n] = '\n';

	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	return sendto(fd, line.text, line.n, MSG_NOSIGNAL | MSG_DONTWAIT,
	              (const struct sockaddr *)&address, sizeof(address)) < 0
	               ? -errno
	               : 0;
}

static inline void log_to_stderr(int level, const char *message, const struct log_field *fields)
{
	struct log_line line = { .n = 0 };

	log_puts(&line, "{\"level\": ");
	log_put_int(&line, level);
	log_puts(&line, ", \"program\": ");
	log_put_json(&line, program_invocation_short_name);
	log_puts(&line, ", \"message\": ");
	log_put_json(&line, message);
	for (; fields->name != NULL; fields++) {
		log_puts(&line, ", ");
		log_put_json(&line, fields->name);
		log_puts(&line, ": ");
		if (fields->text != NULL)
			log_put_json(&line, fields->text);
		else
			log_put_int(&line, fields->number);
	}
	log_puts(&line, "}");
	line.text[line.n++] = '\n';
	(void)!write(STDERR_FILENO, line.text, line.n);
}

/* @level is one of syslog(3)'s. Never fails: an event that cannot be told is lost. */
static inline void log_write(int level, const char *message, const struct log_field *fields)
{
	if (getenv("JOURNAL_STREAM") != NULL && log_to_journal(level, message, fields) == 0)
		return;
	log_to_stderr(level, message, fields);
}

#endif
