/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A run: one Run call on a connection that nobody else uses meanwhile, and whose end is
 * the run's end. It asks for more; the first reply says that the command has been
 * executed, the last holds the record. Signals go the other way on the same connection,
 * as oneway calls.
 */
#include <tenant/exec.h>

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/fd.h>
#include <base/id.h>

#include "args.h"
#include "client.h"
#include "record.h"
#include "rejoin.h"
#include "request.h"
#include "streams.h"

#define SIGNALS_KEPT_MAX 16
/* So often is asked for a run that gets lost: it may be what the daemon dies of. From the
 * second loss on, each wait is twice as long as the one before. */
#define ASKED_MAX      8
#define ASK_AGAIN_MSEC 100u
/* Until then a daemon that lives has passed a signal on. */
#define SIGNAL_PASSED_USEC 1000000

enum run_state {
	RUN_ASKED,
	RUN_STARTED,
	RUN_LOST,      /* it runs, or may, and the daemon is away: link is NULL */
	RUN_REJOINING, /* it has been asked whether it is back */
	RUN_EXITED,
	RUN_LEFT, /* a detached one that has started: it is over for us */
	RUN_FAILED,
};

/* More than the names of all controllers. */
#define UNENFORCED_BYTES_MAX 128

struct tn_run {
	struct varlink *link;
	struct streams streams;
	bool too_much; /* it is killed for what it wrote */
	int64_t waiting_before;
	struct home *home; /* where link goes once the run is over */
	enum run_state state;
	char id[ID_TEXT_BYTES];
	bool detached;
	bool answered; /* link is idle */
	bool executed; /* so the daemon says */
	/* To ask once more, until it is known to have been launched: ours. */
	json_t *request;
	const char *method; /* "Run" or "Exec" */
	int request_fds[VARLINK_FDS_MAX];
	size_t request_fds_n;
	int asked_n;
	int64_t queue_until; /* CLOCK_MONOTONIC; 0: it does not wait */
	json_t *last;        /* the last reply, which explanation points into */
	const char *explanation;
	char unenforced[UNENFORCED_BYTES_MAX];
	struct tn_execution execution;
	struct rejoin rejoin;
	/* For when it has started or the daemon is back; and the last that were sent, which a
	 * daemon that went away then may not have passed on. */
	struct kept_signal {
		int signal;
		int64_t sent_at; /* CLOCK_MONOTONIC */
	} signals[SIGNALS_KEPT_MAX];
	size_t signals_n;
	bool tty;
	int tty_fd; /* the master, until it has been handed over */
	bool quota_refused;
	struct tn_quota_error quota;
};

static void request_drop(struct tn_run *run)
{
	for (size_t i = 0; i < run->request_fds_n; i++)
		fd_closep(&run->request_fds[i]);
	run->request_fds_n = 0;
	json_decref(run->request);
	run->request = NULL;
}

/* The caller may close what is the caller's as soon as it has been asked. */
static int request_keep(struct tn_run *run, const int *fds, size_t n, struct tn_error *err)
{
	for (size_t i = 0; i < n; i++) {
		run->request_fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
		if (run->request_fds[i] < 0)
			return err_errno(err, "keep descriptor %d: %s", fds[i],
			                 strerror(errno));
		run->request_fds_n++;
	}
	return 0;
}

static int request_send(struct tn_run *run, struct tn_error *err)
{
	run->asked_n++;
	return connection_call_with_fds(run->link, run->method, json_incref(run->request),
	                                run->request_fds, run->request_fds_n, err);
}

/* By an id of our choice: whether it runs can be asked also before anything was told. */
static int id_choose(struct tn_run *run, struct tn_error *err)
{
	struct id id;

	if (getrandom(id.bytes, sizeof(id.bytes), 0) != (ssize_t)sizeof(id.bytes))
		return err_errno(err, "choose an id");
	/* A random UUID, version 4. */
	id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0f) | 0x40);
	id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3f) | 0x80);
	id_format(&id, run->id);
	return 0;
}

/* @execution: what it is to join; NULL: it is a run. */
static int ask(struct tn_run *run, const struct tn_client *client,
               const struct tn_run_spec *spec, const char *execution, struct tn_error *err)
{
	const size_t at = (size_t)request_stdio_n(spec);
	int fds[VARLINK_FDS_MAX] = { 0 };
	struct args args;
	int r = args_new(spec, &args, err);

	if (r == 0)
		r = id_choose(run, err);
	if (r < 0)
		return r;
	memcpy(fds, run->streams.theirs, at * sizeof(fds[0]));
	fds[at] = args.fd;
	for (size_t i = 0; i < spec->binds_n; i++)
		fds[at + 1 + i] = spec->binds[i].fd;
	/* Only now: what cannot be asked leaves the connection where it is. */
	r = client_connect(client, &run->link, &run->home, err);
	if (r == 0)
		r = request_keep(run, fds, at + 1 + spec->binds_n, err);
	if (r == 0) {
		run->request = execution != NULL
		                       ? request_pack_exec(spec, &args, execution, run->id)
		                       : request_pack(spec, &args, run->id);
		if (spec->queue_usec_max > 0 &&
		    __builtin_add_overflow(clock_usec(CLOCK_MONOTONIC), spec->queue_usec_max,
		                           &run->queue_until))
			run->queue_until = INT64_MAX;
		r = request_send(run, err);
	}
	fd_closep(&args.fd);
	if (r < 0)
		return r;
	streams_close_theirs(&run->streams);
	return 0;
}

/* It runs, and no daemon has said so since the last one went. */
static bool is_away(const struct tn_run *run)
{
	return run->state == RUN_LOST || run->state == RUN_REJOINING;
}

/* What to poll for may be something else now. */
static int watch(const struct tn_run *run, struct tn_error *err)
{
	if (is_away(run))
		return streams_watch(&run->streams, run->rejoin.epoll_fd, POLLIN, err);
	return streams_watch(&run->streams, varlink_fd(run->link), varlink_events(run->link),
	                     err);
}

void tn_run_spec_init(struct tn_run_spec *spec)
{
	*spec = (struct tn_run_spec)TN_RUN_SPEC_INIT;
}

static int start(const struct tn_client *client, const struct tn_run_spec *spec,
                 const char *execution, struct tn_run **ret, struct tn_error *err)
{
	struct tn_run *run;
	int r;

	run = calloc(1, sizeof(*run));
	if (run == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "allocate a run");
	run->method = execution != NULL ? "Exec" : "Run";
	run->tty = spec->tty;
	run->detached = spec->detached;
	run->tty_fd = FD_NONE;
	run->waiting_before = TN_ABSENT;
	run->rejoin = (struct rejoin)REJOIN_INIT;
	run->rejoin.path = strdup(client_path(client));
	r = streams_open(&run->streams, spec, err);
	if (r == 0 && run->rejoin.path == NULL)
		r = err_set(err, TN_SYSTEM, ENOMEM, "allocate a run");
	if (r == 0)
		r = ask(run, client, spec, execution, err);
	if (r == 0)
		r = watch(run, err);
	if (r < 0) {
		tn_run_free(run);
		return r;
	}
	*ret = run;
	return 0;
}

int tn_run_start(const struct tn_client *client, const struct tn_run_spec *spec,
                 struct tn_run **ret, struct tn_error *err)
{
	int r = request_check(spec, err);

	return r < 0 ? r : start(client, spec, NULL, ret, err);
}

void tn_exec_spec_init(struct tn_exec_spec *spec)
{
	*spec = (struct tn_exec_spec)TN_EXEC_SPEC_INIT;
}

int tn_exec_start(const struct tn_client *client, const struct tn_exec_spec *spec,
                  struct tn_run **ret, struct tn_error *err)
{
	struct tn_run_spec run = TN_RUN_SPEC_INIT;
	int r = request_check_exec(spec, err);

	run.argv = spec->argv;
	run.env = spec->env;
	run.workdir = spec->workdir;
	run.stdin_fd = spec->stdin_fd;
	run.stdout_fd = spec->stdout_fd;
	run.stderr_fd = spec->stderr_fd;
	run.capture = spec->capture;
	run.tty = spec->tty;
	run.tty_rows = spec->tty_rows;
	run.tty_cols = spec->tty_cols;
	run.user = spec->user;
	return r < 0 ? r : start(client, &run, spec->execution, ret, err);
}

struct tn_run *tn_run_free(struct tn_run *run)
{
	if (run == NULL)
		return NULL;
	tn_execution_done(&run->execution);
	fd_closep(&run->tty_fd);
	request_drop(run);
	json_decref(run->last);
	/* What was sent after the command's end is not to meet whoever comes next. */
	if (run->answered && !run->too_much)
		home_put(run->home, run->link);
	else
		varlink_free(run->link);
	(void)home_free(run->home);
	rejoin_done(&run->rejoin);
	streams_done(&run->streams);
	free(run);
	return NULL;
}

/* The waiting form of what returned @r and began @run. */
static int finish(int r, struct tn_run *run, struct tn_run **ret, struct tn_error *err)
{
	if (r < 0)
		return r;
	assert(run != NULL);
	r = tn_run_wait(run, err);
	if (r < 0) {
		tn_run_free(run);
		return r;
	}
	*ret = run;
	return 0;
}

int tn_run(const struct tn_client *client, const struct tn_run_spec *spec, struct tn_run **ret,
           struct tn_error *err)
{
	struct tn_run *run = NULL;
	int r = tn_run_start(client, spec, &run, err);

	return finish(r, run, ret, err);
}

int tn_exec(const struct tn_client *client, const struct tn_exec_spec *spec,
            struct tn_run **ret, struct tn_error *err)
{
	struct tn_run *run = NULL;
	int r = tn_exec_start(client, spec, &run, err);

	return finish(r, run, ret, err);
}

static bool captures(const struct tn_run *run)
{
	return run->streams.epoll_fd >= 0;
}

int tn_run_fd(const struct tn_run *run)
{
	if (captures(run))
		return run->streams.epoll_fd;
	return is_away(run) ? run->rejoin.epoll_fd : varlink_fd(run->link);
}

short tn_run_events(const struct tn_run *run)
{
	if (captures(run) || is_away(run))
		return POLLIN;
	return varlink_events(run->link);
}

static int send_signal(struct tn_run *run, int signal, struct tn_error *err)
{
	return connection_call(run->link, "Signal",
	                       json_pack("{s:s, s:i}", "id", run->id, "signal", signal),
	                       CONNECTION_ONEWAY, err);
}

/* On the run's own connection, so that it reaches the execution while it is ours. */
static int kill_for_output(struct tn_run *run, struct tn_error *err)
{
	if (run->state != RUN_STARTED || run->too_much || !run->streams.kill_on_overflow ||
	    !streams_overflowed(&run->streams))
		return 0;
	run->too_much = true;
	return connection_call(run->link, "Kill", json_pack("{s:s}", "id", run->id),
	                       CONNECTION_ONEWAY, err);
}

/* "cpu, memory"; what does not fit is left out. */
static void read_unenforced(struct tn_run *run, const json_t *names)
{
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(names); i++) {
		const char *name = json_string_value(json_array_get(names, i));

		if (name == NULL || n + strlen(name) + sizeof(", ") > sizeof(run->unenforced))
			continue;
		n += (size_t)snprintf(run->unenforced + n, sizeof(run->unenforced) - n, "%s%s",
		                      n > 0 ? ", " : "", name);
	}
}

static int send_kept_signals(struct tn_run *run, struct tn_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < run->signals_n; i++) {
		run->signals[i].sent_at = clock_usec(CLOCK_MONOTONIC);
		r = send_signal(run, run->signals[i].signal, err);
	}
	return r;
}

static int on_queued(struct tn_run *run, const json_t *parameters, struct tn_error *err)
{
	const json_t *before = json_object_get(parameters, "waiting_before");

	if (run->state != RUN_ASKED || !json_is_integer(before) ||
	    json_integer_value(before) < 0)
		return err_refuse(err, TN_PROTOCOL,
		                  "the daemon's reply does not tell the turn");
	run->waiting_before = json_integer_value(before);
	return TN_RUN_QUEUED;
}

/* It runs, and the daemon is there. Returns @event. */
static int go_on(struct tn_run *run, enum tn_run_event event, struct tn_error *err)
{
	int r;

	run->executed = true;
	run->state = RUN_STARTED;
	request_drop(run);
	rejoin_end(&run->rejoin);
	r = send_kept_signals(run, err);
	return r < 0 ? r : (int)event;
}

/* A detached one has started, which is all that is waited for. */
static int leave(struct tn_run *run, struct tn_error *err)
{
	int r = go_on(run, TN_RUN_STARTED, err);

	run->state = RUN_LEFT;
	return r;
}

static int on_started(struct tn_run *run, const json_t *parameters, struct tn_error *err)
{
	const char *id = json_string_value(json_object_get(parameters, "id"));
	struct id ignored;

	/* Of one that was rejoined before the daemon knew it, which had started long ago. */
	if (run->executed)
		return TN_RUN_NOTHING;
	if ((run->state != RUN_ASKED && run->state != RUN_REJOINING) || id == NULL ||
	    id_parse(id, &ignored) < 0)
		return err_refuse(err, TN_PROTOCOL, "the daemon's reply does not name the run");
	if (run->tty != (run->tty_fd >= 0) || (run->tty && isatty(run->tty_fd) == 0))
		return err_refuse(err, TN_PROTOCOL,
		                  run->tty ? "the daemon's reply does not bring a terminal"
		                           : "the daemon sends what was not asked for");
	memcpy(run->id, id, sizeof(run->id)); /* as long as every UUID */
	read_unenforced(run, json_object_get(parameters, "unenforced"));
	return run->detached ? leave(run, err) : go_on(run, TN_RUN_STARTED, err);
}

static int on_rejoined(struct tn_run *run, const json_t *parameters, struct tn_error *err)
{
	int r;

	if (run->state != RUN_REJOINING)
		return err_refuse(err, TN_PROTOCOL, "the daemon takes up what was not lost");
	/* On its way, or not there at all: that is told next. */
	if (!run->executed && !json_is_true(json_object_get(parameters, "started")))
		return TN_RUN_NOTHING;
	r = go_on(run, run->executed ? TN_RUN_REJOINED : TN_RUN_STARTED, err);
	/* The order may have been lost. */
	run->too_much = false;
	return r;
}

/* It may be the first reply too: a command that could not be executed never started. */
static int on_exited(struct tn_run *run, json_t *parameters, struct tn_error *err)
{
	int r = record_read(tn_execution_fields(), json_object_get(parameters, "execution"),
	                    &run->execution, sizeof(run->execution), err);

	if (r < 0)
		return r;
	run->last = json_incref(parameters);
	run->explanation = json_string_value(json_object_get(parameters, "explanation"));
	if (run->too_much && run->execution.reason == TN_REASON_KILLED)
		run->explanation = "killed because it wrote more than is kept";
	run->state = RUN_EXITED;
	request_drop(run);
	r = streams_finish(&run->streams, err);
	return r < 0 ? r : TN_RUN_EXITED;
}

static int on_event(struct tn_run *run, json_t *parameters, bool continues,
                    struct tn_error *err)
{
	const char *event = json_string_value(json_object_get(parameters, "event"));

	if (event != NULL && continues && strcmp(event, "queued") == 0)
		return on_queued(run, parameters, err);
	run->answered = !continues;
	if (event != NULL && (continues || run->detached) && strcmp(event, "started") == 0)
		return on_started(run, parameters, err);
	if (event != NULL && continues && strcmp(event, "rejoined") == 0)
		return on_rejoined(run, parameters, err);
	if (event != NULL && !continues && strcmp(event, "exited") == 0)
		return on_exited(run, parameters, err);
	return err_refuse(err, TN_PROTOCOL, "the daemon's reply is no event of a run");
}

static int reply(struct tn_run *run, json_t **ret_parameters, bool *ret_continues,
                 struct tn_error *err)
{
	cleanup_fd int fd = FD_NONE;
	int r = connection_reply(run->link, ret_parameters, ret_continues, &run->quota,
	                         "terminal", &fd, err);

	if (r > 0 && fd >= 0 && run->tty_fd < 0)
		run->tty_fd = fd_take(&fd);
	return r;
}

/* In their order: the first was sent first. */
static void forget_passed_signals(struct tn_run *run)
{
	const int64_t since = clock_usec(CLOCK_MONOTONIC) - SIGNAL_PASSED_USEC;
	size_t passed = 0;

	if (run->state != RUN_STARTED || varlink_output_bytes(run->link) > 0)
		return;
	while (passed < run->signals_n && run->signals[passed].sent_at < since)
		passed++;
	run->signals_n -= passed;
	memmove(run->signals, run->signals + passed, run->signals_n * sizeof(run->signals[0]));
}

/* A run that was not begun when the daemon went, again: not so soon. */
static unsigned int pause_msec(const struct tn_run *run)
{
	return run->executed || run->asked_n < 2 ? 0u : ASK_AGAIN_MSEC << (run->asked_n - 2);
}

/*
 * The daemon has gone. What has not been told of yet may have been launched all the same, which
 * the next one knows; but a terminal went with whoever had it.
 */
static int on_gone(struct tn_run *run, struct tn_error *err)
{
	const bool again = run->state == RUN_REJOINING;
	int r = 0;

	if (!run->executed && (run->tty || run->asked_n >= ASKED_MAX))
		return err_set(err, TN_UNREACHABLE, EPIPE,
		               "tenantd went away before the command had started; see: "
		               "systemctl status tenantd");
	if (!again)
		r = rejoin_begin(&run->rejoin, pause_msec(run), err);
	if (r < 0)
		return r;
	forget_passed_signals(run);
	run->link = varlink_free(run->link);
	run->state = RUN_LOST;
	return again || !run->executed ? TN_RUN_NOTHING : TN_RUN_LOST;
}

/* It was never launched: nobody knows it, on the connection on which that was said. */
static int ask_again(struct tn_run *run, struct tn_error *err)
{
	rejoin_end(&run->rejoin);
	run->state = RUN_ASKED;
	if (run->queue_until != 0) {
		const int64_t left = run->queue_until - clock_usec(CLOCK_MONOTONIC);

		(void)json_object_set_new(run->request, "queue_usec_max",
		                          json_integer(left > 0 ? left : 1));
	}
	return request_send(run, err);
}

static int rejoin(struct tn_run *run, struct tn_error *err)
{
	int r = rejoin_try(&run->rejoin, run->id, &run->link, err);

	if (r > 0)
		run->state = RUN_REJOINING;
	return r < 0 ? r : TN_RUN_NOTHING;
}

static int next_event(struct tn_run *run, struct tn_error *err)
{
	json_t *parameters;
	bool continues;
	int r = reply(run, &parameters, &continues, err);

	if (r == 0) {
		r = varlink_process(run->link, err);
		if (r < 0)
			return r == -EPIPE ? on_gone(run, err) : r;
		r = reply(run, &parameters, &continues, err);
	}
	/* It has no caller to lose, so it runs. */
	if (r < 0 && err->code == TN_STATE && run->state == RUN_REJOINING && run->detached)
		return leave(run, err);
	if (r < 0 && err->code == TN_NOT_FOUND && run->state == RUN_REJOINING && !run->executed)
		return ask_again(run, err);
	if (r == 0 && run->state == RUN_REJOINING)
		r = rejoin_check(&run->rejoin, err);
	if (r <= 0)
		return r;
	r = on_event(run, parameters, continues, err);
	json_decref(parameters);
	return r;
}

static bool is_over(const struct tn_run *run)
{
	return run->state == RUN_EXITED || run->state == RUN_LEFT;
}

int tn_run_process(struct tn_run *run, struct tn_error *err)
{
	int r;

	if (is_over(run))
		return TN_RUN_NOTHING;
	if (run->state == RUN_FAILED)
		return err_refuse(err, TN_STATE, "the run has failed");
	r = streams_read(&run->streams, err);
	if (r == 0)
		r = run->state == RUN_LOST ? rejoin(run, err) : next_event(run, err);
	if (r >= 0 && run->state != RUN_EXITED) {
		int also = kill_for_output(run, err);

		if (also == 0)
			also = watch(run, err);
		r = also < 0 ? also : r;
	}
	if (r < 0) {
		run->state = RUN_FAILED;
		request_drop(run);
		run->quota_refused = err->code == TN_QUOTA;
	}
	return r;
}

int tn_run_wait(struct tn_run *run, struct tn_error *err)
{
	while (run->state != RUN_EXITED) {
		int r = tn_run_process(run, err);
		struct pollfd pollfd = { .fd = tn_run_fd(run), .events = tn_run_events(run) };

		if (r < 0)
			return r;
		if (r == TN_RUN_NOTHING && poll(&pollfd, 1, -1) < 0 && errno != EINTR)
			return err_errno(err, "wait for the run: %s", strerror(errno));
	}
	return 0;
}

int tn_run_signal(struct tn_run *run, int signal, struct tn_error *err)
{
	bool kept;
	int r = 0;

	if (is_over(run) || run->state == RUN_FAILED)
		return err_set(err, TN_STATE, ESRCH, "the run has ended");
	forget_passed_signals(run);
	kept = run->signals_n < SIGNALS_KEPT_MAX;
	if (kept)
		run->signals[run->signals_n++] =
			(struct kept_signal){ signal, clock_usec(CLOCK_MONOTONIC) };
	if (run->state == RUN_STARTED)
		r = send_signal(run, signal, err);
	else if (!kept)
		r = err_set(err, TN_STATE, EAGAIN, "too many signals that have to wait");
	return r < 0 ? r : watch(run, err);
}

const char *tn_run_id(const struct tn_run *run)
{
	return run->executed ? run->id : NULL;
}

int tn_run_tty(struct tn_run *run)
{
	return fd_take(&run->tty_fd);
}

int64_t tn_run_waiting_before(const struct tn_run *run)
{
	return run->waiting_before;
}

const struct tn_output *tn_run_stdout(const struct tn_run *run)
{
	return streams_output(&run->streams, STREAM_OUT);
}

const struct tn_output *tn_run_stderr(const struct tn_run *run)
{
	return streams_output(&run->streams, STREAM_ERR);
}

const struct tn_execution *tn_run_execution(const struct tn_run *run)
{
	return run->state == RUN_EXITED ? &run->execution : NULL;
}

const char *tn_run_explanation(const struct tn_run *run)
{
	return run->explanation;
}

const char *tn_run_unenforced(const struct tn_run *run)
{
	return run->unenforced[0] != '\0' ? run->unenforced : NULL;
}

const struct tn_quota_error *tn_run_quota_error(const struct tn_run *run)
{
	return run->quota_refused ? &run->quota : NULL;
}

int tn_run_plan_start(struct tn_client *client, const struct tn_run_spec *spec,
                      struct tn_plan *ret, struct tn_error *err)
{
	const struct call call = {
		.on_reply = client_on_record,
		.ret = ret,
		.ret_fields = tn_plan_fields(),
		.ret_size = sizeof(*ret),
	};
	int r = request_check_plan(spec, err);

	if (r < 0)
		return r;
	return client_start(client, "Run", request_pack_plan(spec), CONNECTION_ONE, &call, err);
}

int tn_run_plan(struct tn_client *client, const struct tn_run_spec *spec, struct tn_plan *ret,
                struct tn_error *err)
{
	return client_finish(client, tn_run_plan_start(client, spec, ret, err), err);
}
