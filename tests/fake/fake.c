/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One process per connection, which ends with the one that accepts them: a call is answered
 * before the next is read, but for a run, while which signals are taken.
 */
#include "fake.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <base/clock.h>
#include <base/fd.h>
#include <base/io.h>
#include <wire/varlink.h>

#include "calls.h"
#include "data.h"
#include "records.h"

#define ARGS_BYTES_MAX   (2u << 20)
#define STRINGS_MAX      4096
#define EXECUTIONS_N     300 /* more than one read of the socket */
#define SEALS            (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define EXIT_NOT_EXECUTE 126
#define EXIT_NOT_FOUND   127

static struct tn_error ignored;
static bool killed; /* the run of this process, by order */

/* A parent that was killed before prctl() sends no signal any more: who reaps us now tells. */
static void end_with(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(1);
}

static void flush(struct varlink *link)
{
	while (varlink_output_bytes(link) > 0) {
		struct pollfd pollfd = { .fd = varlink_fd(link), .events = POLLOUT };

		if (varlink_process(link, &ignored) < 0)
			_exit(0);
		if (varlink_output_bytes(link) > 0)
			(void)poll(&pollfd, 1, -1);
	}
}

static void send_json_with_fd(struct varlink *link, json_t *json, int fd)
{
	if (json == NULL || varlink_send(link, json, &fd, fd >= 0, &ignored) < 0)
		_exit(1);
	json_decref(json);
	flush(link);
}

static void send_json(struct varlink *link, json_t *json)
{
	send_json_with_fd(link, json, FD_NONE);
}

static void reply_with_fd(const struct call *call, json_t *parameters, bool continues, int fd)
{
	json_t *json = json_pack("{s:o}", "parameters", parameters);

	if (continues)
		(void)json_object_set_new(json, "continues", json_true());
	send_json_with_fd(call->link, json, fd);
}

void fake_reply(const struct call *call, json_t *parameters, bool continues)
{
	reply_with_fd(call, parameters, continues, FD_NONE);
}

void fake_refuse(const struct call *call, const char *name, json_t *parameters)
{
	send_json(call->link, json_pack("{s:s, s:o}", "error", name, "parameters", parameters));
}

bool fake_misbehave(const struct call *call, const char *tenant)
{
	static const struct {
		const char *tenant, *error;
	} errors[] = {
		{ "nobody", "io.tenantd.NotFound" },
		{ "forbidden", "io.tenantd.NotPermitted" },
		{ "taken", "io.tenantd.AlreadyExists" },
		{ "broken", "io.tenantd.System" },
	};

	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		if (strcmp(tenant, errors[i].tenant) != 0)
			continue;
		fake_refuse(call, errors[i].error,
		            json_pack("{s:s+}", "message", "about ", tenant));
		return true;
	}
	if (strcmp(tenant, "full") == 0) {
		fake_refuse(call, "io.tenantd.QuotaExceeded",
		            json_pack("{s:s, s:s, s:i, s:i, s:i, s:n}", "message",
		                      "16 of 16 run", "meter", "executions", "limit", 16,
		                      "used", 16, "requested", 1, "reset_at"));
	} else if (strcmp(tenant, "echo") == 0) {
		/* Another one each time. */
		(void)json_object_del(call->parameters, "id");
		fake_refuse(call, "io.tenantd.Invalid",
		            json_pack("{s:o}", "message",
		                      json_string(json_dumps(call->parameters, JSON_COMPACT))));
	} else if (strcmp(tenant, "gone") == 0) {
		_exit(0);
	} else if (strcmp(tenant, "silent") == 0) {
		(void)pause();
	} else if (strcmp(tenant, "garbage") == 0) {
		(void)!write(varlink_fd(call->link), "{\"parameters\": [[}", 19);
	} else if (strcmp(tenant, "wrong") == 0) {
		fake_reply(call, json_pack("{s:{s:i}}", "tenant", "id", 7), false);
	} else if (strcmp(tenant, "twice") == 0) {
		for (int i = 0; i < 2; i++)
			fake_reply(call, json_pack("{s:o}", "tenant", tenant_json("acme")),
			           true);
	} else {
		return false;
	}
	return true;
}

const char *fake_text_of(const struct call *call, const char *name)
{
	const char *text = json_string_value(json_object_get(call->parameters, name));

	return text != NULL ? text : "";
}

static void create_tenant(const struct call *call)
{
	if (!fake_misbehave(call, fake_text_of(call, "name")))
		fake_reply(
			call,
			json_pack("{s:o}", "tenant", tenant_json(fake_text_of(call, "name"))),
			false);
}

static void get_tenant(const struct call *call)
{
	if (!fake_misbehave(call, fake_text_of(call, "tenant")))
		fake_reply(
			call,
			json_pack("{s:o}", "tenant", tenant_json(fake_text_of(call, "tenant"))),
			false);
}

/* The tenant as it was, but for its version; the tier's name can be wrong. */
static void change_tenant(const struct call *call)
{
	const char *tier = fake_text_of(call, "tier");
	json_t *tenant;

	if (fake_misbehave(call, fake_text_of(call, "tenant")))
		return;
	if (json_integer_value(json_object_get(call->parameters, "if_version")) == 2) {
		fake_refuse(
			call, "io.tenantd.VersionConflict",
			json_pack("{s:s}", "message", "tenant 'acme' has version 3, not 2"));
		return;
	}
	tenant = tenant_json(fake_text_of(call, "tenant"));
	(void)json_object_set_new(tenant, "version", json_integer(4));
	if (tier[0] != '\0')
		(void)json_object_set_new(tenant, "tier", json_string(tier));
	fake_reply(call, json_pack("{s:o}", "tenant", tenant), false);
}

static void list_policies(const struct call *call)
{
	fake_reply(call, policy_json(true), true);
	fake_reply(call, policy_json(false), false);
}

static void get_policy(const struct call *call)
{
	fake_reply(call, policy_files_json(fake_text_of(call, "hash")), false);
}

static void show_policy(const struct call *call)
{
	if (!fake_misbehave(call, fake_text_of(call, "tenant")))
		fake_reply(call, tenant_policy_json(), false);
}

/* The files change something, a policy before nothing. */
static void diff_policy(const struct call *call)
{
	if (json_is_string(json_object_get(call->parameters, "hash"))) {
		fake_reply(call, json_object(), false);
		return;
	}
	fake_reply(call, change_of_node_json(), true);
	fake_reply(call, change_json("acme", "9 tasks run"), true);
	fake_reply(call, change_json("globex", NULL), false);
}

static void list_tenants(const struct call *call)
{
	if (fake_misbehave(call, fake_text_of(call, "tier")))
		return;
	fake_reply(call, json_pack("{s:o}", "tenant", tenant_json("acme")), true);
	fake_reply(call, json_pack("{s:o}", "tenant", tenant_json("globex")), false);
}

static void list_executions(const struct call *call)
{
	bool all = json_is_true(json_object_get(call->parameters, "all"));

	if (fake_misbehave(call, fake_text_of(call, "tenant")))
		return;
	for (int i = 0; all && i < EXECUTIONS_N; i++) {
		json_t *execution = execution_json("acme", "exited", "oom");

		if (i == 0 && strcmp(fake_text_of(call, "tenant"), "globex") == 0)
			(void)json_object_set_new(execution, "name", json_string("job"));
		fake_reply(call, json_pack("{s:o}", "execution", execution), true);
	}
	/* The last of a list may be nothing. */
	fake_reply(call, json_pack("{s:n}", "execution"), false);
}

static bool is_ours(const char *id)
{
	return strcmp(id, FAKE_EXECUTION_ID) == 0 || strcmp(id, "acme/job") == 0 ||
	       strcmp(id, "0192f0c4") == 0 || strcmp(id, FAKE_DETACHED_ID) == 0;
}

/* Of globex nothing runs. At the second look of a connection another execution has begun. */
static void get_stats(const struct call *call)
{
	static json_int_t looks;
	const char *tenant = fake_text_of(call, "tenant");

	if (fake_misbehave(call, tenant))
		return;
	if (strcmp(tenant, "globex") == 0) {
		fake_reply(call, json_pack("{s:o}", "stats", stats_of_none(tenant)), false);
		return;
	}
	looks++;
	fake_reply(call, json_pack("{s:o}", "stats", stats_json("acme", NULL, looks, 70)),
	           true);
	if (looks > 1)
		fake_reply(call,
		           json_pack("{s:o}", "stats",
		                     stats_json("acme", FAKE_OTHER_ID, looks, 60)),
		           true);
	fake_reply(
		call,
		json_pack("{s:o}", "stats", stats_json("acme", FAKE_EXECUTION_ID, looks, 71)),
		false);
}

/* There is one, of acme and by the name of "job"; of two the ids begin with 11111111. */
static bool find(const struct call *call)
{
	const char *id = fake_text_of(call, "id");

	if (is_ours(id))
		return true;
	if (strcmp(id, "11111111") == 0)
		fake_refuse(call, "io.tenantd.Invalid",
		            json_pack("{s:s}", "message",
		                      "several executions begin with 11111111"));
	else
		fake_refuse(call, "io.tenantd.NotFound",
		            json_pack("{s:s}", "message", "no such"));
	return false;
}

static void find_execution(const struct call *call)
{
	const bool other = strcmp(fake_text_of(call, "id"), FAKE_OTHER_ID) == 0;
	json_t *execution;

	if (!other && !find(call))
		return;
	execution = execution_json("acme", "exited", "oom");
	if (other)
		(void)json_object_set_new(execution, "id", json_string(FAKE_OTHER_ID));
	fake_reply(call, json_pack("{s:o}", "execution", execution), false);
}

static void kill_execution(const struct call *call)
{
	const bool one = fake_text_of(call, "id")[0] != '\0';

	if (one ? find(call) : !fake_misbehave(call, fake_text_of(call, "tenant")))
		fake_reply(call, json_pack("{s:i}", "killed", one ? 1 : 2), false);
}

static void signal_execution(const struct call *call)
{
	if (find(call))
		fake_reply(call, json_object(), false);
}

static void wait_execution(const struct call *call)
{
	if (!find(call))
		return;
	(void)usleep(FAKE_WAIT_USEC);
	fake_reply(call,
	           json_pack("{s:o}", "execution", execution_json("acme", "exited", "oom")),
	           false);
}

static void reload_policy(const struct call *call)
{
	fake_reply(call,
	           json_pack("{s:s, s:[s,s]}", "policy_hash", "abcdef0123456789", "tiers",
	                     "free", "professional"),
	           false);
}

static void get_status(const struct call *call)
{
	fake_reply(call, status_json(), false);
}

/* Of those before 41 nothing is kept. */
static void list_events(const struct call *call)
{
	const json_t *since = json_object_get(call->parameters, "since");

	if (fake_misbehave(call, fake_text_of(call, "tenant")))
		return;
	if (json_is_integer(since) && json_integer_value(since) < 40)
		fake_reply(call, json_pack("{s:i}", "kept_from", 41), true);
	fake_reply(call, event_json(41, "updated", "acme", NULL, NULL), true);
	fake_reply(call, event_json(42, "exited", "acme", FAKE_EXECUTION_ID, "oom"), false);
}

static void drain(const struct call *call)
{
	bool wait = json_is_true(json_object_get(call->parameters, "wait"));

	fake_reply(call, json_pack("{s:i}", "running", wait ? 0 : 3), false);
}

static void undrain(const struct call *call)
{
	fake_reply(call, json_object(), false);
}

struct workload {
	char *bytes;
	char *argv[STRINGS_MAX], *envp[STRINGS_MAX];
	const char *workdir;
};

/* The arguments, if they are what the interface says. */
static bool read_args(const struct call *call, struct workload *workload)
{
	json_int_t argc = json_integer_value(json_object_get(call->parameters, "argc"));
	json_int_t envc = json_integer_value(json_object_get(call->parameters, "envc"));
	size_t at = (size_t)json_integer_value(json_object_get(call->parameters, "args"));
	int fd = at < call->message->fds_n ? call->message->fds[at] : FD_NONE;
	ssize_t n;
	char *p;

	workload->bytes = malloc(ARGS_BYTES_MAX + 1);
	if (fd < 0 || (fcntl(fd, F_GET_SEALS) & SEALS) != SEALS || workload->bytes == NULL)
		return false;
	n = pread(fd, workload->bytes, ARGS_BYTES_MAX + 1, 0);
	if (n <= 0 || workload->bytes[n - 1] != '\0' || argc + envc > STRINGS_MAX - 2)
		return false;
	p = workload->bytes;
	for (json_int_t i = 0; i < argc + envc; i++) {
		*(i < argc ? &workload->argv[i] : &workload->envp[i - argc]) = p;
		p += strlen(p) + 1;
		if (p >= workload->bytes + n)
			return false;
	}
	workload->workdir = p;
	return p + strlen(p) + 1 == workload->bytes + n;
}

/* A terminal of the size that was asked for; FD_NONE if none was. */
static int open_terminal(const struct call *call)
{
	const json_t *asked = json_object_get(call->parameters, "terminal");
	struct winsize size = { 0 };
	int fd;

	if (!json_is_object(asked))
		return FD_NONE;
	size.ws_row = (unsigned short)json_integer_value(json_object_get(asked, "rows"));
	size.ws_col = (unsigned short)json_integer_value(json_object_get(asked, "cols"));
	fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || unlockpt(fd) < 0 || ioctl(fd, TIOCSWINSZ, &size) < 0)
		_exit(1);
	return fd;
}

/* In the child: its streams are those of the caller, or its terminal. */
static void take_streams(const struct call *call, int terminal)
{
	int slave = FD_NONE;

	if (terminal >= 0) {
		(void)setsid();
		slave = ioctl(terminal, TIOCGPTPEER, O_RDWR | O_CLOEXEC);
		(void)ioctl(slave, TIOCSCTTY, 0);
	} else {
		(void)setpgid(0, 0);
	}
	for (int i = 0; i < 3; i++)
		(void)dup2(slave >= 0 ? slave : call->message->fds[i], i);
}

/* Returns the pid; what exec failed with comes over the pipe, which closes if it did not. */
static pid_t spawn(const struct call *call, const struct workload *workload, int terminal,
                   int *ret_pipe)
{
	pid_t self = getpid();
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		_exit(1);
	if (pid == 0) {
		end_with(self);
		take_streams(call, terminal);
		if (workload->workdir[0] == '\0' || chdir(workload->workdir) == 0)
			(void)execvpe(workload->argv[0], workload->argv, workload->envp);
		(void)!write(ends[1], &errno, sizeof(errno));
		_exit(1);
	}
	(void)close(ends[1]);
	*ret_pipe = ends[0];
	return pid;
}

static void send_exit(const struct call *call, const char *tenant, int status,
                      const char *reason)
{
	json_t *record = execution_json(tenant, "exited", reason);
	const char *explanation = NULL;

	if (WIFEXITED(status))
		(void)json_object_set_new(record, "exit_code",
		                          json_integer(WEXITSTATUS(status)));
	else
		(void)json_object_set_new(record, "signal", json_integer(WTERMSIG(status)));
	if (strcmp(reason, "oom") == 0)
		explanation = "killed by memory_max 64M (tiers/free.yaml:7)";
	else if (strcmp(reason, "exited") != 0)
		explanation = reason;
	fake_reply(call,
	           json_pack("{s:s, s:o, s:s?}", "event", "exited", "execution", record,
	                     "explanation", explanation),
	           false);
}

/* Take the signals that have been read, be it while an answer was written; and the order to
 * kill. */
static void take_signals(const struct call *call, pid_t pid)
{
	struct varlink_message message = { 0 };

	while (varlink_next(call->link, &message, &ignored) == 1) {
		const json_t *parameters = json_object_get(message.json, "parameters");
		const json_t *signal = json_object_get(parameters, "signal");
		const char *id = json_string_value(json_object_get(parameters, "id"));

		killed = signal == NULL;
		if (id == NULL || strcmp(id, FAKE_EXECUTION_ID) != 0 ||
		    !json_is_true(json_object_get(message.json, "oneway")))
			_exit(1);
		(void)kill(-pid, killed ? SIGKILL : (int)json_integer_value(signal));
		varlink_message_done(&message);
	}
}

/* The end of the connection ends the workload. */
static void serve_running(const struct call *call, pid_t pid)
{
	if (varlink_process(call->link, &ignored) < 0) {
		(void)kill(-pid, SIGKILL);
		_exit(0);
	}
	take_signals(call, pid);
}

static void wait_for(const struct call *call, pid_t pid, const char *tenant)
{
	int64_t left = -1;
	const json_t *timeout = json_object_get(json_object_get(call->parameters, "limits"),
	                                        "runtime_usec_max");
	struct pollfd fds[2] = { { .fd = (int)syscall(SYS_pidfd_open, pid, 0),
		                   .events = POLLIN },
		                 { .fd = varlink_fd(call->link), .events = POLLIN } };
	const char *reason = NULL;
	int status;

	if (json_is_integer(timeout))
		left = json_integer_value(timeout) / CLOCK_USEC_PER_MSEC;
	take_signals(call, pid);
	while (fds[0].revents == 0) {
		if (poll(fds, 2, (int)left) == 0) {
			reason = "timeout";
			(void)kill(-pid, SIGKILL);
		}
		if (fds[1].revents != 0)
			serve_running(call, pid);
	}
	(void)close(fds[0].fd);
	if (waitpid(pid, &status, 0) != pid)
		_exit(1);
	if (reason == NULL && (strcmp(tenant, "oom") == 0 || strcmp(tenant, "unclear") == 0))
		reason = strcmp(tenant, "oom") == 0 ? "oom" : "from the future";
	if (reason == NULL && killed)
		reason = "killed";
	if (reason == NULL)
		reason = WIFEXITED(status) ? "exited" : "signaled";
	send_exit(call, tenant, status, reason);
}

/* The end of a run that was lost with the daemon before this one. */
static void rejoin(const struct call *call)
{
	if (strcmp(fake_text_of(call, "id"), FAKE_EXECUTION_ID) == 0) {
		fake_reply(call, json_pack("{s:s}", "event", "rejoined"), true);
		send_exit(call, "acme", W_EXITCODE(3, 0), "exited");
	} else {
		fake_refuse(call, "io.tenantd.NotFound",
		            json_pack("{s:s}", "message", "no such"));
	}
}

static void open_log(const struct call *call)
{
	const bool running = strcmp(fake_text_of(call, "id"), FAKE_DETACHED_ID) == 0;
	cleanup_fd int fd = fake_log_open(is_ours(fake_text_of(call, "id")));

	reply_with_fd(call, json_pack("{s:i, s:b}", "log", 0, "running", running), false, fd);
}

/* Of no store and an empty policy. */
static void backup(const struct call *call)
{
	static const char text[] = FAKE_BACKUP;
	cleanup_fd int fd = memfd_create("backup", MFD_CLOEXEC);

	(void)!write(fd, text, sizeof(text) - 1);
	(void)lseek(fd, 0, SEEK_SET);
	reply_with_fd(call,
	              json_pack("{s:i, s:I, s:i, s:i, s:s}", "backup", 0, "created_at",
	                        (json_int_t)1700000000000000, "bytes", (int)sizeof(text) - 1,
	                        "tenants", 1, "policy_hash", "abcdef0123456789"),
	              false, fd);
}

static void open_data(const struct call *call)
{
	const char *tenant = fake_text_of(call, "tenant");
	cleanup_fd int fd = fake_misbehave(call, tenant)
	                            ? FD_NONE
	                            : fake_data_open(varlink_fd(call->link), tenant,
	                                             call->parameters);
	if (fd >= 0)
		reply_with_fd(call, json_pack("{s:i}", "data", 0), false, fd);
}

static void run(const struct call *call)
{
	const char *tenant = fake_text_of(call, "tenant");
	const bool detached = json_is_true(json_object_get(call->parameters, "detached"));
	struct workload *workload = calloc(1, sizeof(*workload));
	cleanup_fd int from_child = FD_NONE;
	int failure = 0, terminal;
	pid_t pid;

	if (fake_misbehave(call, tenant))
		return;
	if (json_is_true(json_object_get(call->parameters, "dry_run"))) {
		fake_reply(call, plan_json(), false);
		return;
	}
	if (workload == NULL || !read_args(call, workload)) {
		fake_refuse(call, "io.tenantd.Invalid",
		            json_pack("{s:s}", "message", "malformed args"));
		return;
	}
	terminal = open_terminal(call);
	if (strcmp(tenant, "queue") == 0 &&
	    json_is_integer(json_object_get(call->parameters, "queue_usec_max")))
		fake_reply(call,
		           json_pack("{s:s, s:i}", "event", "queued", "waiting_before", 2),
		           true);
	pid = spawn(call, workload, terminal, &from_child);
	if (io_read_all(from_child, &failure, sizeof(failure)) > 0) {
		(void)waitpid(pid, NULL, 0);
		send_exit(call, tenant,
		          W_EXITCODE(failure == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTE, 0),
		          "runtime");
	} else {
		reply_with_fd(call,
		              json_pack("{s:s, s:s, s:o, s:o*}", "event", "started", "id",
		                        FAKE_EXECUTION_ID, "terminal",
		                        terminal >= 0 && strcmp(tenant, "blind") != 0
		                                ? json_integer(0)
		                                : json_null(),
		                        "unenforced",
		                        strcmp(tenant, "unheld") == 0
		                                ? json_pack("[ss]", "cpu", "memory")
		                                : NULL),
		              !detached, terminal);
		fd_closep(&terminal);
		if (!detached)
			wait_for(call, pid, tenant);
	}
	free(workload->bytes);
	free(workload);
}

/* Beside that one execution, as if it ran. */
static void exec(const struct call *call)
{
	if (strcmp(fake_text_of(call, "execution"), FAKE_EXECUTION_ID) == 0)
		run(call);
	else
		fake_refuse(call, "io.tenantd.NotFound",
		            json_pack("{s:s}", "message", "there is no running execution"));
}

static const struct {
	const char *name;
	void (*serve)(const struct call *call);
} methods[] = {
	{ "io.tenantd.Exec", exec },
	{ "io.tenantd.Run", run },
	{ "io.tenantd.OpenLog", open_log },
	{ "io.tenantd.OpenData", open_data },
	{ "io.tenantd.Backup", backup },
	{ "io.tenantd.FindExecution", find_execution },
	{ "io.tenantd.Kill", kill_execution },
	{ "io.tenantd.Signal", signal_execution },
	{ "io.tenantd.Drain", drain },
	{ "io.tenantd.Rejoin", rejoin },
	{ "io.tenantd.Undrain", undrain },
	{ "io.tenantd.Wait", wait_execution },
	{ "io.tenantd.CreateTenant", create_tenant },
	{ "io.tenantd.UpdateTenant", change_tenant },
	{ "io.tenantd.SuspendTenant", change_tenant },
	{ "io.tenantd.ResumeTenant", change_tenant },
	{ "io.tenantd.DeleteTenant", change_tenant },
	{ "io.tenantd.GetTenant", get_tenant },
	{ "io.tenantd.ListTenants", list_tenants },
	{ "io.tenantd.ListExecutions", list_executions },
	{ "io.tenantd.GetStats", get_stats },
	{ "io.tenantd.GetQuotas", fake_get_quotas },
	{ "io.tenantd.CheckQuota", fake_serve_amount },
	{ "io.tenantd.ConsumeQuota", fake_serve_amount },
	{ "io.tenantd.AcquireQuota", fake_serve_amount },
	{ "io.tenantd.GiveBackQuota", fake_serve_amount },
	{ "io.tenantd.ReserveQuota", fake_serve_reservation },
	{ "io.tenantd.CommitQuota", fake_serve_reservation },
	{ "io.tenantd.ReleaseQuota", fake_serve_reservation },
	{ "io.tenantd.GetUsage", fake_get_usage },
	{ "io.tenantd.GetBill", fake_get_bill },
	{ "io.tenantd.ReloadPolicy", reload_policy },
	{ "io.tenantd.RollbackPolicy", reload_policy },
	{ "io.tenantd.ListPolicies", list_policies },
	{ "io.tenantd.GetPolicy", get_policy },
	{ "io.tenantd.ShowPolicy", show_policy },
	{ "io.tenantd.DiffPolicy", diff_policy },
	{ "io.tenantd.ListEvents", list_events },
	{ "io.tenantd.GetStatus", get_status },
};

static void serve_call(struct varlink *link, struct varlink_message *message)
{
	const char *name = json_string_value(json_object_get(message->json, "method"));
	struct call call = { link, message, json_object_get(message->json, "parameters") };

	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		if (strcmp(name, methods[i].name) == 0) {
			methods[i].serve(&call);
			return;
		}
	}
	fake_refuse(&call, "org.varlink.service.MethodNotFound", json_object());
}

static _Noreturn void serve_connection(int fd)
{
	struct varlink_message message = { 0 };
	struct varlink *link;

	if (varlink_new(&link, fd, &ignored) < 0)
		_exit(1);
	while (varlink_process(link, &ignored) == 0) {
		struct pollfd pollfd = { .fd = fd, .events = POLLIN };

		while (varlink_next(link, &message, &ignored) == 1) {
			serve_call(link, &message);
			varlink_message_done(&message);
		}
		(void)poll(&pollfd, 1, -1);
	}
	varlink_free(link);
	_exit(0);
}

static _Noreturn void serve(int listen_fd)
{
	pid_t self = getpid();

	for (;;) {
		int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
		pid_t pid;

		if (fd < 0)
			_exit(1);
		pid = fork();
		if (pid == 0) {
			end_with(self);
			(void)close(listen_fd);
			(void)signal(SIGCHLD, SIG_DFL);
			serve_connection(fd);
		}
		(void)close(fd);
	}
}

pid_t fake_start(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t self = getpid();
	pid_t pid;

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, 16) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		end_with(self);
		(void)signal(SIGCHLD, SIG_IGN);
		serve(fd);
	}
	(void)close(fd);
	return pid;
}
