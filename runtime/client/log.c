/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <tenant/log.h>

#include <stdlib.h>

#include <base/fd.h>
#include <logs/ring.h>

#include "client.h"

static_assert((int)TN_LOG_STDOUT == (int)RING_STDOUT &&
                      (int)TN_LOG_STDERR == (int)RING_STDERR &&
                      (int)TN_LOG_LOST == (int)RING_LOST,
              "streams are numbered alike");

struct tn_log {
	int fd;
	struct ring ring; /* as it was when it was opened */
	struct ring_reader reader;
	bool running, ended;
	struct ring_piece piece;
};

static int on_opened(struct call *call, json_t *parameters, struct tn_error *err)
{
	*(bool *)call->ret = json_is_true(json_object_get(parameters, "running"));
	return *call->ret_fd < 0 ? client_no_member("log", err) : 0;
}

/* NOLINTBEGIN(readability-non-const-parameter): the reply writes *ret_fd */
static int fd_get(struct tn_client *client, const char *id, int *ret_fd, bool *ret_running,
                  struct tn_error *err)
{
	const struct call call = {
		.on_reply = on_opened, .ret = ret_running, .fd_name = "log", .ret_fd = ret_fd
	};
	int r = check_execution(id, "whose log to open", err);

	if (r == 0)
		r = client_start(client, "OpenLog", json_pack("{s:s}", "id", id),
		                 CONNECTION_ONE, &call, err);
	return client_finish(client, r, err);
}
/* NOLINTEND(readability-non-const-parameter) */

int tn_log_open(struct tn_client *client, const char *id, struct tn_log **ret,
                struct tn_error *err)
{
	cleanup_fd int fd = FD_NONE;
	cleanup_free struct tn_log *log = calloc(1, sizeof(*log));
	int r;

	if (log == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "open a log");
	r = fd_get(client, id, &fd, &log->running, err);
	if (r == 0)
		r = ring_open(&log->ring, fd, err);
	if (r < 0)
		return r;
	log->fd = fd_take(&fd);
	*ret = log;
	log = NULL;
	return 0;
}

struct tn_log *tn_log_free(struct tn_log *log)
{
	if (log == NULL)
		return NULL;
	fd_closep(&log->fd);
	free(log);
	return NULL;
}

int tn_log_next(struct tn_log *log, struct tn_log_piece *ret, struct tn_error *err)
{
	int r = ring_read(log->fd, &log->reader, &log->piece, &log->ended, err);

	if (r == 1)
		*ret = (struct tn_log_piece){
			.stream = (enum tn_log_stream)log->piece.stream,
			.at = log->piece.unix_usec,
			.bytes = log->piece.bytes,
			.n = log->piece.stream == RING_LOST ? 0 : log->piece.n,
			.lost = log->piece.lost,
		};
	return r;
}

bool tn_log_ended(const struct tn_log *log)
{
	return log->ended;
}

int64_t tn_log_missed(const struct tn_log *log)
{
	return log->reader.missed;
}

bool tn_log_running(const struct tn_log *log)
{
	return log->running;
}

bool tn_log_in_journal(const struct tn_log *log)
{
	return log->ring.about.sink == RING_JOURNAL;
}
