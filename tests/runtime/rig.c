/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <logs/handover.h>

#include "rig.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <base/fd.h>
#include <base/fdpass.h>

#define PATIENCE_TURNS 400 /* of 10 ms */
#define TURN_USEC      10000

static const char free_yaml[] = "tier: free\n"
				"limits:\n"
				"  cpu_quota: 50%\n"
				"  memory_max: 128M\n"
				"  execution_memory_max: 64M\n"
				"  runtime_max: 10min\n"
				"  tasks_max: 32\n"
				"  executions_max: 2\n";

static const char large_yaml[] = "tier: large\n"
				 "limits:\n"
				 "  cpu_quota: max\n"
				 "  memory_max: 4G\n";

void rig_write(const struct rig *rig, const char *path, const char *text)
{
	char full[2 * RIG_PATH_BYTES_MAX];
	FILE *file;

	(void)snprintf(full, sizeof(full), "%s/%s", rig->dir, path);
	file = fopen(full, "we");
	cr_assert(file != NULL, "%s: %m", full);
	cr_assert_geq(fputs(text, file), 0);
	cr_assert_eq(fclose(file), 0);
}

static void rig_mkdir(const struct rig *rig, const char *path)
{
	char full[2 * RIG_PATH_BYTES_MAX];

	(void)snprintf(full, sizeof(full), "%s/%s", rig->dir, path);
	cr_assert(mkdir(full, 0755) == 0 || errno == EEXIST, "%s: %m", full);
}

void rig_cgroup(const struct rig *rig, const char *path, int64_t cpu_usec)
{
	char file[RIG_PATH_BYTES_MAX];
	char text[256];

	(void)snprintf(file, sizeof(file), "cgroup/%s", path);
	rig_mkdir(rig, file);
	(void)snprintf(file, sizeof(file), "cgroup/%s/cpu.stat", path);
	(void)snprintf(text, sizeof(text),
	               "usage_usec %lld\nuser_usec 1\nsystem_usec 2\nthrottled_usec 7\n",
	               (long long)cpu_usec);
	rig_write(rig, file, text);
}

void rig_cgroup_remove(const struct rig *rig, const char *path)
{
	char full[2 * RIG_PATH_BYTES_MAX];

	(void)snprintf(full, sizeof(full), "%s/cgroup/%s/cpu.stat", rig->dir, path);
	cr_assert_eq(unlink(full), 0);
	(void)snprintf(full, sizeof(full), "%s/cgroup/%s", rig->dir, path);
	cr_assert_eq(rmdir(full), 0);
}

static int rig_listen_at(const struct rig *rig, const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int n = snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", rig->dir, name);

	cr_assert(fd >= 0 && n > 0 && (size_t)n < sizeof(address.sun_path));
	(void)unlink(address.sun_path);
	cr_assert_eq(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(chmod(address.sun_path, 0666), 0);
	cr_assert_eq(listen(fd, 64), 0);
	return fd;
}

static int rig_listen(const struct rig *rig)
{
	return rig_listen_at(rig, "control.sock");
}

static void rig_start(struct rig *rig)
{
	char store[2 * RIG_PATH_BYTES_MAX];
	struct tn_error err = { 0 };
	static char logger[2 * RIG_PATH_BYTES_MAX], proc[2 * RIG_PATH_BYTES_MAX];
	struct context_config config = { .policy_dir = rig->dir,
		                         .store_dir = store,
		                         .logger_socket = logger,
		                         .proc_dir = proc,
		                         .listen_fd = rig_listen(rig),
		                         .admin_gid = rig->admin_gid,
		                         .admin_gid_known = rig->admin_gid_known };
	int pair[2];

	(void)snprintf(store, sizeof(store), "%s/store", rig->dir);
	(void)snprintf(logger, sizeof(logger), "%s/logger", rig->dir);
	(void)snprintf(proc, sizeof(proc), "%s/proc", rig->dir);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	config.channel_fd = pair[0];
	rig->supervisor = pair[1];
	cr_assert_eq(loop_new(&rig->loop, &err), 0, "%s", err.msg);
	cr_assert_eq(context_new(&rig->context, rig->loop, &config, &err), 0, "%s", err.msg);
}

void rig_init(struct rig *rig)
{
	char path[2 * RIG_PATH_BYTES_MAX];

	(void)snprintf(rig->dir, sizeof(rig->dir), "/tmp/tenantd-rig-XXXXXX");
	cr_assert(mkdtemp(rig->dir) != NULL);
	cr_assert_eq(chmod(rig->dir, 0755), 0);
	rig_mkdir(rig, "tiers");
	rig_mkdir(rig, "store");
	rig_mkdir(rig, "cgroup");
	rig_mkdir(rig, "proc");
	rig_write(rig, "tiers/free.yaml", free_yaml);
	rig_write(rig, "tiers/large.yaml", large_yaml);
	/* Executions here are all of the same day, which goes by. */
	rig_write(rig, "tenantd.yaml", "retention: {executions: max, events: max}\n");
	if (!rig->nobody_is_admin) {
		rig->admin_gid = getgid();
		rig->admin_gid_known = true;
	}
	(void)snprintf(path, sizeof(path), "%s/cgroup", rig->dir);
	rig->cgroup = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(rig->cgroup, 0);
	rig_start(rig);
	rig_hello(rig, SPEC_CONTROLLER_CPU | SPEC_CONTROLLER_MEMORY | SPEC_CONTROLLER_PIDS |
	                       SPEC_CONTROLLER_IO);
}

static void rig_stop(struct rig *rig)
{
	rig->context = context_free(rig->context);
	rig->loop = loop_free(rig->loop);
	fd_closep(&rig->supervisor);
}

void rig_restart(struct rig *rig)
{
	rig_stop(rig);
	rig_start(rig);
}

static int rig_unlink(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void rig_done(struct rig *rig)
{
	rig_stop(rig);
	fd_closep(&rig->cgroup);
	(void)nftw(rig->dir, rig_unlink, 8, FTW_DEPTH | FTW_PHYS);
}

void rig_turn(struct rig *rig)
{
	struct tn_error err = { 0 };

	for (int i = 0; i < 64; i++) {
		int r = loop_turn(rig->loop, 0, &err);

		cr_assert_geq(r, 0, "%s", err.msg);
		if (r == 0)
			return;
	}
}

static void rig_wait(struct rig *rig)
{
	struct tn_error err = { 0 };

	cr_assert_geq(loop_turn(rig->loop, TURN_USEC, &err), 0, "%s", err.msg);
}

void rig_window(struct rig *rig)
{
	for (int i = 0; i < 5; i++) {
		rig_wait(rig);
		rig_turn(rig);
		(void)usleep(TURN_USEC);
	}
}

static void rig_send_fd(struct rig *rig, enum spec_op op, uint64_t serial,
                        struct spec_head *message, size_t bytes, int fd)
{
	struct tn_error err = { 0 };

	*message = (struct spec_head){ .bytes = (uint32_t)bytes,
		                       .op = (uint16_t)op,
		                       .version = SPEC_VERSION,
		                       .serial = serial };
	cr_assert_eq(fdpass_send(rig->supervisor, message, bytes, &fd, fd >= 0, &err), 0, "%s",
	             err.msg);
	rig_turn(rig);
}

void rig_send(struct rig *rig, enum spec_op op, uint64_t serial, struct spec_head *message,
              size_t bytes)
{
	rig_send_fd(rig, op, serial, message, bytes, op == SPEC_HELLO ? rig->cgroup : FD_NONE);
}

void rig_hello(struct rig *rig, uint32_t controllers)
{
	struct spec_hello hello = { .controllers = controllers,
		                    .tenants_max = 10,
		                    .executions_max = 10,
		                    .cgroup_root = "/sys/fs/cgroup/test",
		                    .storage_root = "/var/lib/tenantd/data" };
	union rig_message ready;

	rig_send(rig, SPEC_HELLO, 0, &hello.head, sizeof(hello));
	rig_take(rig, SPEC_READY, &ready);
}

/* 1 and the message, or 0 if none is there. */
static int rig_receive(struct rig *rig, union rig_message *ret)
{
	int fds[SPEC_FDS_MAX];
	size_t fds_n = 0;
	struct tn_error err = { 0 };
	int r;

	*ret = (union rig_message){ 0 };
	cr_assert_eq(fcntl(rig->supervisor, F_SETFL, O_NONBLOCK), 0);
	r = fdpass_recv(rig->supervisor, ret, sizeof(*ret), fds, SPEC_FDS_MAX, &fds_n, &err);
	cr_assert_eq(fcntl(rig->supervisor, F_SETFL, 0), 0);
	if (r == -EAGAIN)
		return 0;
	cr_assert_geq(r, 0, "%s", err.msg);
	fdpass_close(fds, fds_n);
	cr_assert_eq(ret->head.version, SPEC_VERSION);
	cr_assert_eq((int)ret->head.bytes, r);
	if (ret->head.op == SPEC_LAUNCH)
		cr_assert_eq(fds_n,
		             ((ret->launch.flags & SPEC_LAUNCH_TTY) != 0 ? 1 : 4) +
		                     ret->launch.binds_n,
		             "%zu descriptors", fds_n);
	if (ret->head.op == SPEC_TENANT_APPLY)
		cr_assert_eq(fds_n, 1);
	/* They come whenever they come, and nobody waits for an answer. */
	if (ret->head.op == SPEC_STATUS)
		memcpy(rig->status, ret->status.text, sizeof(rig->status));
	else if (ret->head.op == SPEC_RESERVE)
		rig->reserve = ret->reserve;
	else
		return 1;
	return rig_receive(rig, ret);
}

void rig_take_any(struct rig *rig, union rig_message *ret)
{
	for (int i = 0; i < PATIENCE_TURNS; i++) {
		rig_turn(rig);
		if (rig_receive(rig, ret) == 1)
			return;
		rig_wait(rig);
	}
	cr_assert_fail("tenantd waits in vain");
}

void rig_take(struct rig *rig, enum spec_op op, union rig_message *ret)
{
	rig_take_any(rig, ret);
	cr_assert_eq(ret->head.op, op, "tenantd got operation %d, not %d", ret->head.op,
	             (int)op);
}

bool rig_next(struct rig *rig, union rig_message *ret)
{
	rig_turn(rig);
	return rig_receive(rig, ret) == 1;
}

bool rig_silent(struct rig *rig)
{
	union rig_message message;

	rig_turn(rig);
	return rig_receive(rig, &message) == 0;
}

void rig_reply(struct rig *rig, const union rig_message *to, enum tn_error_code code)
{
	struct spec_reply reply = { .tenant = to->apply.tenant };

	if (code != TN_OK) {
		(void)err_refuse(&reply.error, code, "tenantd says no");
	} else {
		reply.slot = (struct spec_slot){ .uid_first = 65536, .uid_count = 65536 };
		(void)snprintf(reply.slot.cgroup, sizeof(reply.slot.cgroup),
		               "/sys/fs/cgroup/test/%s", to->apply.name);
		(void)snprintf(reply.slot.storage_path, sizeof(reply.slot.storage_path),
		               "/var/lib/tenantd/data/1");
	}
	rig_send(rig, SPEC_REPLY, to->head.serial, &reply.head, sizeof(reply));
}

void rig_started(struct rig *rig, const union rig_message *launch)
{
	struct spec_started started = { .tenant = launch->launch.tenant,
		                        .execution = launch->launch.execution,
		                        .started_unix_usec = 1700000000000000 };

	memcpy(started.policy_hash, launch->launch.policy_hash, SPEC_HASH_BYTES);
	rig_send_fd(rig, SPEC_STARTED, launch->head.serial, &started.head, sizeof(started),
	            (launch->launch.flags & SPEC_LAUNCH_TTY) != 0 ? rig->cgroup : FD_NONE);
}

struct spec_exited rig_exited_of(const union rig_message *launch, int wait_status,
                                 int64_t cpu_usec)
{
	struct spec_exited exited = { .tenant = launch->launch.tenant,
		                      .execution = launch->launch.execution,
		                      .started_unix_usec = 1700000000000000,
		                      .ended_unix_usec = 1700000000500000,
		                      .wall_usec = 500000,
		                      .kind = SPEC_EXIT_STATUS,
		                      .wait_status = wait_status };

	memcpy(exited.policy_hash, launch->launch.policy_hash, SPEC_HASH_BYTES);
	memset(&exited.counters, 0xff, sizeof(exited.counters));
	exited.counters.cpu_usec = cpu_usec;
	return exited;
}

void rig_exited(struct rig *rig, struct spec_exited *exited)
{
	rig_send(rig, SPEC_EXITED, 0, &exited->head, sizeof(*exited));
}

void rig_meter_tell(struct rig *rig, const struct id *tenant, int listen_fd)
{
	struct spec_meter meter = { .tenant = *tenant };

	rig_send_fd(rig, SPEC_METER, 0, &meter.head, sizeof(meter), listen_fd);
}

int rig_meter(struct rig *rig, const struct id *tenant, const char *name)
{
	int fd = rig_listen_at(rig, name);

	rig_meter_tell(rig, tenant, fd);
	return fd;
}

void rig_inside(const struct rig *rig, const char *path)
{
	char name[RIG_PATH_BYTES_MAX], text[RIG_PATH_BYTES_MAX + 64];

	(void)snprintf(name, sizeof(name), "proc/%d", (int)getpid());
	rig_mkdir(rig, name);
	(void)snprintf(name, sizeof(name), "proc/%d/cgroup", (int)getpid());
	(void)snprintf(text, sizeof(text), "1:cpu:/elsewhere\n%s%s\n",
	               path != NULL ? "0::" : "", path != NULL ? path : "");
	rig_write(rig, name, text);
}

int rig_connect_to_raw(struct rig *rig, const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", rig->dir, name);
	cr_assert_eq(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0, "%m");
	rig_turn(rig);
	return fd;
}

int rig_connect_raw(struct rig *rig)
{
	return rig_connect_to_raw(rig, "control.sock");
}

static struct varlink *rig_link(int fd)
{
	struct varlink *link;
	struct tn_error err = { 0 };

	cr_assert_eq(varlink_new(&link, fd, &err), 0, "%s", err.msg);
	return link;
}

struct varlink *rig_connect(struct rig *rig)
{
	return rig_link(rig_connect_raw(rig));
}

struct varlink *rig_connect_to(struct rig *rig, const char *name)
{
	return rig_link(rig_connect_to_raw(rig, name));
}

static void rig_call_fds(struct rig *rig, struct varlink *link, json_t *call, const int *fds,
                         size_t fds_n)
{
	struct tn_error err = { 0 };

	cr_assert_eq(varlink_send(link, call, fds, fds_n, &err), 0, "%s", err.msg);
	json_decref(call);
	cr_assert_eq(varlink_process(link, &err), 0, "%s", err.msg);
	rig_turn(rig);
}

void rig_call(struct rig *rig, struct varlink *link, const char *method, json_t *parameters,
              const char *flag)
{
	json_t *call = json_pack("{s:s, s:o}", "method", method, "parameters", parameters);

	if (flag != NULL)
		(void)json_object_set_new(call, flag, json_true());
	rig_call_fds(rig, link, call, NULL, 0);
}

json_t *rig_answer(struct rig *rig, struct varlink *link)
{
	int fd = FD_NONE;
	json_t *answer = rig_answer_fd(rig, link, &fd);

	cr_assert_eq(fd, FD_NONE, "a descriptor came along");
	return answer;
}

json_t *rig_answer_fd(struct rig *rig, struct varlink *link, int *ret_fd)
{
	struct varlink_message message;
	struct tn_error err = { 0 };

	for (int i = 0; i < PATIENCE_TURNS; i++) {
		int r;

		rig_turn(rig);
		r = varlink_process(link, &err);
		cr_assert_eq(r, 0, "%s", err.msg);
		r = varlink_next(link, &message, &err);
		cr_assert_geq(r, 0, "%s", err.msg);
		if (r == 1) {
			cr_assert_leq(message.fds_n, 1u);
			*ret_fd = message.fds_n == 1 ? message.fds[0] : FD_NONE;
			return message.json;
		}
		rig_wait(rig);
	}
	cr_assert_fail("a client waits in vain");
	return NULL;
}

bool rig_answered(struct rig *rig, struct varlink *link)
{
	struct varlink_message message = { 0 };
	struct tn_error err = { 0 };
	int r;

	rig_turn(rig);
	cr_assert_eq(varlink_process(link, &err), 0, "%s", err.msg);
	r = varlink_next(link, &message, &err);
	varlink_message_done(&message);
	return r != 0;
}

bool rig_closed(struct rig *rig, struct varlink *link)
{
	struct tn_error err = { 0 };

	for (int i = 0; i < 10; i++) {
		rig_turn(rig);
		if (varlink_process(link, &err) < 0)
			return true;
		rig_wait(rig);
	}
	return false;
}

json_t *rig_ask(struct rig *rig, struct varlink *link, const char *method, json_t *parameters,
                const char *flag)
{
	json_t *answer;
	json_t *ret;

	rig_call(rig, link, method, parameters, flag);
	answer = rig_answer(rig, link);
	cr_assert(json_object_get(answer, "error") == NULL, "%s: %s", method,
	          json_dumps(answer, 0));
	ret = json_incref(json_object_get(answer, "parameters"));
	json_decref(answer);
	return ret;
}

json_t *rig_refused(struct rig *rig, struct varlink *link, const char *method,
                    json_t *parameters, const char *flag, const char *error)
{
	json_t *answer;
	json_t *ret;

	rig_call(rig, link, method, parameters, flag);
	answer = rig_answer(rig, link);
	cr_assert(json_object_get(answer, "error") != NULL, "%s: %s", method,
	          json_dumps(answer, 0));
	cr_assert_str_eq(json_string_value(json_object_get(answer, "error")), error);
	ret = json_incref(json_object_get(answer, "parameters"));
	json_decref(answer);
	return ret;
}

void rig_tenant(struct rig *rig, const char *name)
{
	struct varlink *link = rig_connect(rig);
	union rig_message apply;
	json_t *answer;

	rig_call(rig, link, "io.tenantd.CreateTenant",
	         json_pack("{s:s, s:s, s:{}}", "name", name, "tier", "free", "metadata"), NULL);
	rig_take(rig, SPEC_TENANT_APPLY, &apply);
	rig_reply(rig, &apply, TN_OK);
	answer = rig_answer(rig, link);
	cr_assert(json_object_get(answer, "error") == NULL, "%s", json_dumps(answer, 0));
	json_decref(answer);
	(void)varlink_free(link);
}

static int args_memfd(void)
{
	static const char args[] = "true\0"; /* argv[0] and the working directory */
	int fd = memfd_create("args", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	cr_assert_eq(write(fd, args, sizeof(args)), (ssize_t)sizeof(args));
	cr_assert_eq(fcntl(fd, F_ADD_SEALS,
	                   F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL),
	             0);
	return fd;
}

void rig_run(struct rig *rig, struct varlink *link, const char *tenant, json_t *further)
{
	cleanup_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	cleanup_fd int args = args_memfd();
	int fds[] = { null, null, null, args };
	json_t *parameters = json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:{}, s:[], s:b}",
	                               "tenant", tenant, "stdin", 0, "stdout", 1, "stderr", 2,
	                               "args", 3, "argc", 1, "envc", 0, "limits", "binds",
	                               "dry_run", 0);

	(void)json_object_update_new(parameters, further != NULL ? further : json_object());
	rig_call_fds(rig, link,
	             json_pack("{s:s, s:o, s:b}", "method", "io.tenantd.Run", "parameters",
	                       parameters, "more", 1),
	             fds, ARRAY_LEN(fds));
}

void rig_exec(struct rig *rig, struct varlink *link, const struct id *execution,
              json_t *further)
{
	cleanup_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	cleanup_fd int args = args_memfd();
	int fds[] = { null, null, null, args };
	char id[ID_TEXT_BYTES];
	json_t *parameters;

	id_format(execution, id);
	parameters = json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i}", "execution", id, "stdin",
	                       0, "stdout", 1, "stderr", 2, "args", 3, "argc", 1, "envc", 0);
	(void)json_object_update_new(parameters, further != NULL ? further : json_object());
	rig_call_fds(rig, link,
	             json_pack("{s:s, s:o, s:b}", "method", "io.tenantd.Exec", "parameters",
	                       parameters, "more", 1),
	             fds, ARRAY_LEN(fds));
}

void rig_run_tty(struct rig *rig, struct varlink *link, const char *tenant, json_t *further)
{
	cleanup_fd int args = args_memfd();
	json_t *parameters = json_pack("{s:s, s:{s:i, s:i}, s:i, s:i, s:i, s:{}, s:[], s:b}",
	                               "tenant", tenant, "terminal", "rows", 30, "cols", 100,
	                               "args", 0, "argc", 1, "envc", 0, "limits", "binds",
	                               "dry_run", 0);

	(void)json_object_update_new(parameters, further != NULL ? further : json_object());
	rig_call_fds(rig, link,
	             json_pack("{s:s, s:o, s:b}", "method", "io.tenantd.Run", "parameters",
	                       parameters, "more", 1),
	             &args, 1);
}

void rig_run_detached(struct rig *rig, struct varlink *link, const char *tenant,
                      json_t *further)
{
	cleanup_fd int args = args_memfd();
	json_t *parameters = json_pack("{s:s, s:b, s:i, s:i, s:i, s:{}, s:[], s:b}", "tenant",
	                               tenant, "detached", 1, "args", 0, "argc", 1, "envc", 0,
	                               "limits", "binds", "dry_run", 0);

	(void)json_object_update_new(parameters, further != NULL ? further : json_object());
	rig_call_fds(rig, link,
	             json_pack("{s:s, s:o, s:b}", "method", "io.tenantd.Run", "parameters",
	                       parameters, "more", 1),
	             &args, 1);
}

void rig_logger(struct rig *rig)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const int n = snprintf(address.sun_path, sizeof(address.sun_path), "%s/logger",
	                       rig->dir);

	cr_assert(n > 0 && (size_t)n < sizeof(address.sun_path));
	rig->logger = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	cr_assert_eq(bind(rig->logger, (const struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(listen(rig->logger, 8), 0);
}

bool rig_logger_take(const struct rig *rig)
{
	cleanup_fd int fd = accept4(rig->logger, NULL, NULL, SOCK_CLOEXEC);
	struct tn_error err = { 0 };
	int fds[HANDOVER_FDS_N];
	struct handover message;
	size_t n = 0;

	if (fd < 0)
		return false;
	cr_assert_eq(fdpass_recv(fd, &message, sizeof(message), fds, HANDOVER_FDS_N, &n, &err),
	             (int)sizeof(message), "%s", err.msg);
	cr_assert_eq(n, HANDOVER_FDS_N);
	fdpass_close(fds, n);
	return true;
}

void rig_run_started(struct rig *rig, struct varlink *link, const char *tenant,
                     union rig_message *ret)
{
	json_t *answer;

	rig_run(rig, link, tenant, NULL);
	rig_take(rig, SPEC_LAUNCH, ret);
	rig_started(rig, ret);
	answer = rig_answer(rig, link);
	cr_assert_str_eq(json_string_value(json_object_get(
				 json_object_get(answer, "parameters"), "event")),
	                 "started");
	cr_assert(json_is_true(json_object_get(answer, "continues")));
	json_decref(answer);
}

const char *rig_text(const json_t *json, const char *key)
{
	const char *value = json_string_value(json_object_get(json, key));

	return value != NULL ? value : "(none)";
}

int64_t rig_number(const json_t *json, const char *key)
{
	const json_t *value = json_object_get(json, key);

	return json_is_integer(value) ? json_integer_value(value) : -1;
}

json_t *rig_run_end(struct rig *rig, struct varlink *link, char why[static RIG_WHY_BYTES_MAX])
{
	json_t *answer = rig_answer(rig, link);
	json_t *parameters = json_object_get(answer, "parameters");
	json_t *record = json_incref(json_object_get(parameters, "execution"));

	cr_assert_str_eq(rig_text(parameters, "event"), "exited");
	cr_assert(json_object_get(answer, "continues") == NULL);
	(void)snprintf(why, RIG_WHY_BYTES_MAX, "%s", rig_text(parameters, "explanation"));
	json_decref(answer);
	return record;
}
