/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "output.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/fd.h>
#include <base/id_table.h>
#include <base/log.h>

#include "journal_sink.h"
#include "manager.h"

#define NAME_PREFIX  "log."
#define PIPES_N      2
#define WARN_SECONDS 60

struct output;

/* One of its pipes. */
struct pipe_end {
	struct output *output;
	struct loop_source *source;
	enum ring_stream stream;
	struct journal_line *line; /* where the sink is the journal */
};

struct output {
	struct id_node node;
	struct outputs *owner;
	int fds[HANDOVER_FDS_N];
	struct ring ring;
	struct pipe_end ends[PIPES_N];
	int64_t warned_at; /* CLOCK_MONOTONIC; 0: never */
};

struct outputs {
	struct loop *loop;
	struct id_table table;
	struct id_table restored; /* until all of them are here */
	char buffer[RING_PIECE_BYTES_MAX];
};

/* Put back by name, and not yet taken: what lacks its others until all are here. */
struct restored {
	struct id_node node;
	int fds[HANDOVER_FDS_N];
};

static void name_make(const struct id *id, int which, char name[static OUTPUT_NAME_BYTES])
{
	char text[ID_TEXT_BYTES];

	id_format(id, text);
	(void)snprintf(name, OUTPUT_NAME_BYTES, NAME_PREFIX "%s.%d", text, which);
}

static void keep(const struct output *output, int which)
{
	char name[OUTPUT_NAME_BYTES];

	name_make(&output->node.id, which, name);
	manager_keep(name, output->fds[which]);
}

static void drop(const struct id *id, int which)
{
	char name[OUTPUT_NAME_BYTES];

	name_make(id, which, name);
	manager_drop(name);
}

static void end_close(struct output *output, int which)
{
	struct pipe_end *end = &output->ends[which];

	end->source = loop_source_free(end->source);
	if (end->line != NULL)
		journal_sink_end(end->line, &output->ring.about, end->stream);
	free(end->line);
	end->line = NULL;
	fd_closep(&output->fds[which]);
}

static struct output *output_free(struct output *output)
{
	for (int i = 0; i < PIPES_N; i++)
		end_close(output, i);
	fd_closep(&output->fds[HANDOVER_FILE]);
	free(output);
	return NULL;
}

/* Nobody writes any more. */
static void output_end(struct output *output)
{
	struct tn_error err = { 0 };

	if (ring_finish(&output->ring, &err) < 0)
		log_event(LOG_WARNING, "a log's end could not be noted",
		          LF_STR("tenant", output->ring.about.tenant_name),
		          LF_STR("error", err.msg), LF_END);
	drop(&output->node.id, HANDOVER_FILE);
	id_table_remove(&output->owner->table, &output->node);
	(void)output_free(output);
}

static void output_warn(struct output *output, const struct tn_error *why)
{
	const int64_t now = clock_usec(CLOCK_MONOTONIC);

	if (output->warned_at != 0 &&
	    now - output->warned_at < (int64_t)WARN_SECONDS * CLOCK_USEC_PER_SEC)
		return;
	output->warned_at = now;
	log_event(LOG_WARNING, "output is lost",
	          LF_STR("tenant", output->ring.about.tenant_name), LF_STR("error", why->msg),
	          LF_END);
}

static void output_add(struct pipe_end *end, const char *bytes, size_t n)
{
	struct output *output = end->output;
	struct tn_error err = { 0 };

	if (end->line != NULL)
		journal_sink_add(end->line, &output->ring.about, end->stream, bytes, n);
	else if (ring_add(&output->ring, end->stream, clock_usec(CLOCK_REALTIME), bytes, n,
	                  &err) < 0)
		output_warn(output, &err);
}

/* One read a turn: a workload that writes all the time delays nobody else's for long. */
static void on_readable(void *userdata, uint32_t events)
{
	struct pipe_end *end = userdata;
	struct output *output = end->output;
	const int which = (int)(end - output->ends);
	char *buffer = output->owner->buffer;
	const ssize_t n = read(output->fds[which], buffer, RING_PIECE_BYTES_MAX);

	(void)events;
	if (n > 0) {
		output_add(end, buffer, (size_t)n);
		return;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	drop(&output->node.id, which);
	end_close(output, which);
	if (output->fds[HANDOVER_STDOUT] < 0 && output->fds[HANDOVER_STDERR] < 0)
		output_end(output);
}

static int ends_open(struct output *output, struct tn_error *err)
{
	static const enum ring_stream streams[PIPES_N] = { RING_STDOUT, RING_STDERR };
	int r = 0;

	for (int i = 0; r == 0 && i < PIPES_N; i++) {
		struct pipe_end *end = &output->ends[i];

		end->output = output;
		end->stream = streams[i];
		if (output->fds[i] < 0)
			continue;
		if (output->ring.about.sink == RING_JOURNAL) {
			end->line = calloc(1, sizeof(*end->line));
			if (end->line == NULL)
				return err_errno(err, "keep a line");
		}
		r = loop_watch(output->owner->loop, output->fds[i], EPOLLIN,
		               (struct loop_handler){ on_readable, end }, &end->source, err);
	}
	return r;
}

static int output_begin(struct output *output, struct tn_error *err)
{
	struct outputs *outputs = output->owner;
	int r = ring_open(&output->ring, output->fds[HANDOVER_FILE], err);

	if (r < 0)
		return r;
	output->node.id = output->ring.about.execution;
	if (outputs->table.n >= OUTPUTS_MAX)
		return err_refuse(err, TN_STATE, "more than %d outputs", OUTPUTS_MAX);
	if (id_table_find(&outputs->table, &output->node.id) != NULL)
		return err_refuse(err, TN_EXISTS, "this output is taken already");
	return ends_open(output, err);
}

int outputs_take(struct outputs *outputs, int fds[static HANDOVER_FDS_N], bool kept,
                 struct tn_error *err)
{
	struct output *output = calloc(1, sizeof(*output));
	int r;

	if (output == NULL) {
		for (int i = 0; i < HANDOVER_FDS_N; i++)
			fd_closep(&fds[i]);
		return err_errno(err, "take an output");
	}
	output->owner = outputs;
	for (int i = 0; i < HANDOVER_FDS_N; i++)
		output->fds[i] = fd_take(&fds[i]);
	r = output_begin(output, err);
	if (r < 0) {
		(void)output_free(output);
		return r;
	}
	id_table_add(&outputs->table, &output->node);
	for (int i = 0; !kept && i < HANDOVER_FDS_N; i++)
		keep(output, i);
	if (output->fds[HANDOVER_STDOUT] < 0 && output->fds[HANDOVER_STDERR] < 0)
		output_end(output);
	return 0;
}

/* 0 and of which output it is which, or -EINVAL. */
static int name_parse(const char *name, struct id *ret, int *ret_which)
{
	const size_t prefix_n = strlen(NAME_PREFIX);
	char text[ID_TEXT_BYTES];
	const char *rest = name + prefix_n;

	if (strlen(name) != OUTPUT_NAME_BYTES - 1 || strncmp(name, NAME_PREFIX, prefix_n) != 0)
		return -EINVAL;
	memcpy(text, rest, sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	*ret_which = rest[sizeof(text)] - '0';
	return id_parse(text, ret) < 0 || *ret_which < 0 || *ret_which >= HANDOVER_FDS_N
	               ? -EINVAL
	               : 0;
}

void outputs_restore(struct outputs *outputs, const char *name, int fd)
{
	cleanup_fd int kept = fd;
	struct restored *restored;
	struct id id;
	int which;

	if (name_parse(name, &id, &which) < 0)
		return;
	restored = id_table_find(&outputs->restored, &id);
	if (restored == NULL) {
		restored = calloc(1, sizeof(*restored));
		if (restored == NULL)
			return;
		restored->node.id = id;
		for (int i = 0; i < HANDOVER_FDS_N; i++)
			restored->fds[i] = FD_NONE;
		id_table_add(&outputs->restored, &restored->node);
	}
	fd_closep(&restored->fds[which]);
	restored->fds[which] = fd_take(&kept);
}

static void take_restored(void *member, void *context)
{
	struct restored *restored = member;
	struct outputs *outputs = context;
	struct tn_error err = { 0 };

	id_table_remove(&outputs->restored, &restored->node);
	if (outputs_take(outputs, restored->fds, true, &err) < 0) {
		log_event(LOG_ERR, "an output could not be taken up again",
		          LF_STR("error", err.msg), LF_END);
		for (int i = 0; i < HANDOVER_FDS_N; i++)
			drop(&restored->node.id, i);
	}
	free(restored);
}

void outputs_restored(struct outputs *outputs)
{
	id_table_each(&outputs->restored, take_restored, outputs);
}

int outputs_new(struct outputs **ret, struct loop *loop, struct tn_error *err)
{
	struct outputs *outputs = calloc(1, sizeof(*outputs));

	if (outputs == NULL)
		return err_errno(err, "keep outputs");
	outputs->loop = loop;
	*ret = outputs;
	return 0;
}

static void leave(void *member, void *context)
{
	struct output *output = member;
	struct outputs *outputs = context;

	id_table_remove(&outputs->table, &output->node);
	(void)output_free(output);
}

struct outputs *outputs_free(struct outputs *outputs)
{
	if (outputs == NULL)
		return NULL;
	id_table_each(&outputs->table, leave, outputs);
	free(outputs);
	return NULL;
}

size_t outputs_count(const struct outputs *outputs)
{
	return outputs->table.n;
}
