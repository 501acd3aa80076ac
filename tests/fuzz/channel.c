/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer target: a tenant-controller that sends tenantd anything, descriptors of any kind
 * beside it. What is real: the channel, the dispatch, the bounds, the checks of descriptors,
 * binds and filters, the tables of tenants and executions. What stands at the kernel's side
 * (nodes, storage, namespaces, records) is made up here and in channel_kernel.c and says yes,
 * except for a context, which is refused: behind it only clone3 is left.
 *
 * The input is a list of messages. A byte chooses whether it is raw bytes or a sound request
 * that patches change; another how many descriptors follow, each a byte of its own.
 *
 * Whatever it is: no descriptor is left, every answer is a whole message, and a launch or an
 * apply that fits is answered once.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <base/fdpass.h>
#include <isolate/cgroup.h>
#include <isolate/channel.h>
#include <isolate/dispatch.h>
#include <isolate/execution_state.h>
#include <isolate/storage.h>
#include <isolate/template.h>

#define RAW_BYTES_MAX 600
#define KINDS_MAX     16
#define FDS_SENT_MAX  20
#define PATCHES_MAX   8
/* A directory below the root that stands in for the tree: there is one everywhere. */
#define NODE "usr"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

pid_t __wrap_fork(void);
int __wrap_socketpair(int domain, int type, int protocol, int socks[2]);
ssize_t __real_write(int fd, const void *buf, size_t n);
ssize_t __wrap_write(int fd, const void *buf, size_t n);
long __wrap_syscall(long nr, long a, long b, long c, long d, long e, long f);

struct reader {
	const uint8_t *at, *end;
};

static struct {
	struct channel channel;
	struct dispatch dispatch;
	struct tenants tenants;
	struct executions executions;
	struct hierarchy hierarchy;
	struct bounds bounds;
	struct loop loop;
	struct child_masks masks;
	struct floors floors;
	struct filters filters;
	struct turns turns;
	struct data_servers data;
	int controller_fd, kinds[KINDS_MAX]; /* its end of the channel; one of each */
	size_t kinds_n, answers_n, answers_due;
	bool killed;
} rig;

static const struct id tenant_id = { .bytes = { 1 } }, running_id = { .bytes = { 2 } },
		       ended_id = { .bytes = { 3 } };

static void require(bool condition)
{
	if (!condition)
		abort();
}

/* The controller's process: none. */
pid_t __wrap_fork(void)
{
	return 12345;
}

int __wrap_socketpair(int domain, int type, int protocol, int socks[2])
{
	int bytes = 1 << 20;

	(void)domain;
	(void)protocol;
	if (syscall(SYS_socketpair, (long)AF_UNIX, (long)type, 0l, (long)(uintptr_t)socks, 0l,
	            0l) < 0)
		return -1;
	/* The other is closed by who thinks that a child has it. */
	rig.controller_fd = fcntl(socks[1], F_DUPFD_CLOEXEC, 100);
	(void)setsockopt(rig.controller_fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	return 0;
}

static long call(long nr, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long ret;

	__asm__ volatile("syscall"
	                 : "=a"(ret)
	                 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
	                 : "rcx", "r11", "memory");
	if (ret < 0) {
		errno = (int)-ret;
		return -1;
	}
	return ret;
}

/* What tenantd's checked code asks of the kernel by number; nothing else may get there. */
long __wrap_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	(void)e;
	(void)f;
	if (nr == SYS_pidfd_open)
		return eventfd(0, EFD_CLOEXEC);
	if (nr == SYS_pidfd_send_signal) {
		rig.killed = rig.killed || (int)a == rig.channel.process.fd;
		return 0;
	}
	require(nr == SYS_socketpair);
	return call(nr, a, b, c, d);
}

/* Of each refusal tenantd logs a line, which begins with a brace. */
ssize_t __wrap_write(int fd, const void *buf, size_t n)
{
	if (fd == STDERR_FILENO && n > 0 && *(const char *)buf == '{')
		return (ssize_t)n;
	return __real_write(fd, buf, n);
}

/* The kernel's side, which says yes. */
int64_t slots_find(const struct slots *slots, const struct id *tenant)
{
	(void)slots;
	return id_equal(tenant, &tenant_id) ? 0 : -ENOENT;
}

const char *slots_name(const struct slots *slots, int64_t slot)
{
	(void)slots;
	(void)slot;
	return NODE;
}

int64_t slots_take(struct slots *slots, const struct id *tenant, const char *name,
                   struct tn_error *err)
{
	(void)slots;
	(void)tenant;
	require(name_valid(name));
	return strcmp(name, "taken") == 0 ? err_refuse(err, TN_EXISTS, "taken") : 1;
}

int slots_free(struct slots *slots, int64_t slot, struct tn_error *err)
{
	(void)slots;
	(void)err;
	require(slot >= 0 && slot <= 1);
	return 0;
}

int slots_retire(struct slots *slots, int64_t slot, struct tn_error *err)
{
	return slots_free(slots, slot, err);
}

int storage_check_empty(const char *root, const struct id *tenant, struct tn_error *err)
{
	(void)root;
	(void)tenant;
	(void)err;
	return 0;
}

int storage_discard(const char *root, const struct id *tenant, struct tn_error *err)
{
	(void)root;
	(void)tenant;
	(void)err;
	return 1;
}

void remover_wake(struct remover *remover)
{
	(void)remover;
}

int storage_make(const char *root, const struct id *tenant, int64_t uid_first,
                 struct tn_error *err)
{
	(void)root;
	(void)tenant;
	(void)err;
	require(uid_first >= rig.bounds.uid_base);
	return 0;
}

int storage_remove_empty(const char *root, const struct id *tenant, struct tn_error *err)
{
	(void)root, (void)tenant, (void)err;
	return 0;
}

static bool within(int64_t value, int64_t max)
{
	return value >= 0 && value <= max;
}

int hierarchy_tenant_apply(const struct hierarchy *hierarchy, const char *name,
                           const struct spec_tenant_limits *limits, bool may_kill,
                           struct tn_error *err)
{
	(void)hierarchy, (void)may_kill, (void)err;
	require(name_valid(name));
	require(within(limits->memory_max_bytes, rig.bounds.memory_max_bytes) &&
	        within(limits->tasks_max, rig.bounds.tasks_max) &&
	        within(limits->executions_max, rig.bounds.executions_max) &&
	        within(limits->cpu_weight, 10000));
	return 0;
}

int hierarchy_tenant_open(const struct hierarchy *hierarchy, const char *name,
                          struct tn_error *err)
{
	int fd = openat(hierarchy->root_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? err_errno(err, "open") : fd;
}

int hierarchy_tenant_remove(const struct hierarchy *hierarchy, const char *name,
                            struct tn_error *err)
{
	(void)hierarchy;
	(void)err;
	require(name_valid(name));
	return 0;
}

void context_init(struct context *context)
{
	for (int i = 0; i < CONTEXT_NS_N; i++)
		context->fds[i] = FD_NONE;
	context->queues_fd = FD_NONE;
}

void context_done(struct context *context)
{
	(void)context;
}

/* Only a launch that every check has let through comes here. */
int context_build(struct context *context, const struct context_request *request,
                  struct tn_error *err)
{
	(void)context;
	require(request->uid_first >= rig.bounds.uid_base);
	return err_refuse(err, TN_STATE, "no context here");
}

/* Descriptors of every kind that could come along. */
static void kind_add(int fd)
{
	require(fd >= 0 && rig.kinds_n < KINDS_MAX);
	rig.kinds[rig.kinds_n++] = fd;
}

static int memory(size_t bytes, uint8_t fill, unsigned int seals)
{
	static uint8_t block[40000];
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	require(bytes <= sizeof(block));
	memset(block, fill, bytes);
	require(write(fd, block, bytes) == (ssize_t)bytes);
	require(fcntl(fd, F_ADD_SEALS, seals) == 0);
	return fd;
}

static void kinds_open(void)
{
	const unsigned int all = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	int ends[2];

	require(pipe2(ends, O_CLOEXEC) == 0);
	kind_add(open("/dev/null", O_RDWR | O_CLOEXEC));
	kind_add(memory(8, 0, all));
	kind_add(memory(8 * sizeof(struct sock_filter), 6, all));
	kind_add(memory((SPEC_FILTER_INSNS_MAX + 1) * sizeof(struct sock_filter), 6, all));
	kind_add(memory(8, 0, F_SEAL_GROW));
	kind_add(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	kind_add(open("/tmp", O_PATH | O_CLOEXEC));
	kind_add(open("/etc/passwd", O_PATH | O_CLOEXEC));
	kind_add(open("/proc/self/status", O_RDONLY | O_CLOEXEC));
	kind_add(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
	kind_add(eventfd(0, EFD_CLOEXEC));
	kind_add(epoll_create1(EPOLL_CLOEXEC));
	kind_add(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	kind_add(ends[0]);
	kind_add(ends[1]);
	kind_add(open("/proc", O_PATH | O_CLOEXEC));
}

static size_t sound_data(unsigned char *out)
{
	const struct spec_data data = { .head = { sizeof(data), SPEC_DATA, SPEC_VERSION, 7 },
		                        .tenant = tenant_id,
		                        .flags = SPEC_DATA_WRITABLE,
		                        .path = "a/b" };

	memcpy(out, &data, sizeof(data));
	return sizeof(data);
}

/* What a controller would send, for the fuzzer to change. */
static size_t sound(uint8_t op, unsigned char *out)
{
	struct spec_launch launch = {
		.head = { sizeof(launch), SPEC_LAUNCH, SPEC_VERSION, 7 },
		.tenant = tenant_id,
		.execution = { .bytes = { 9 } },
		.limits = { 100000, 1 << 20, 10, 1000000, 1000000, 1000000, 64, 0, 1 << 20 },
		.argc = 1,
		.envc = 6,
		.args_bytes = 8,
		.env_n = 1,
		.env_bytes = 4,
		.env = "A=B",
		.binds = { { .target = "/mnt/a" }, { .target = "/tmp/b", .writable = 1 } },
	};
	struct spec_join join = {
		.head = { sizeof(join), SPEC_JOIN, SPEC_VERSION, 7 },
		.tenant = tenant_id,
		.execution = { .bytes = { 9 } },
		.joins = running_id,
		.argc = 1,
		.envc = 6,
		.args_bytes = 8,
	};
	struct spec_tenant_apply apply = {
		.head = { sizeof(apply), SPEC_TENANT_APPLY, SPEC_VERSION, 7 },
		.tenant = tenant_id,
		.name = NODE,
		.limits = { 100000, 100, 1 << 20, 1 << 20, 0, 10, 10 },
	};
	struct spec_tenant_remove remove = {
		{ sizeof(remove), SPEC_TENANT_REMOVE, SPEC_VERSION, 7 }, tenant_id
	};
	struct spec_tenant_freeze freeze = {
		{ sizeof(freeze), SPEC_TENANT_FREEZE, SPEC_VERSION, 7 }, tenant_id, 1, 0
	};
	struct spec_tenant_delete delete = {
		{ sizeof(delete), SPEC_TENANT_DELETE, SPEC_VERSION, 7 }, tenant_id, 1, 0
	};
	struct spec_signal signal = {
		.head = { sizeof(signal), SPEC_SIGNAL, SPEC_VERSION, 0 },
		.execution = running_id,
		.signal = SIGTERM,
	};
	struct spec_kill kill = {
		.head = { sizeof(kill), SPEC_KILL, SPEC_VERSION, 0 },
		.tenant = tenant_id,
		.execution = running_id,
		.why = SPEC_KILL_ADMIN,
	};
	struct spec_settled settled = { { sizeof(settled), SPEC_SETTLED, SPEC_VERSION, 0 },
		                        ended_id };
	struct spec_status status = { { sizeof(status), SPEC_STATUS, SPEC_VERSION, 0 },
		                      "fine" };
	struct spec_reserve left = { { sizeof(left), SPEC_RESERVE, SPEC_VERSION, 0 }, 0, 0 };
	struct spec_head ready = { sizeof(ready), SPEC_READY, SPEC_VERSION, 0 };
	const struct {
		const void *message;
		size_t bytes;
	} rows[] = {
		{ &launch, sizeof(launch) }, { &apply, sizeof(apply) },
		{ &remove, sizeof(remove) }, { &freeze, sizeof(freeze) },
		{ &delete, sizeof(delete) }, { &signal, sizeof(signal) },
		{ &kill, sizeof(kill) },     { &settled, sizeof(settled) },
		{ &ready, sizeof(ready) },   { &status, sizeof(status) },
		{ &left, sizeof(left) },     { &join, sizeof(join) },
	};
	/* The last came later, and those before it keep their bytes in the corpus. */
	const size_t before = ARRAY_LEN(rows) - 1, i = op > 250 ? before : op % before;

	memcpy(out, rows[i].message, rows[i].bytes);
	return rows[i].bytes;
}

static uint8_t byte(struct reader *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

static size_t bytes(struct reader *in, unsigned char *out, size_t n)
{
	const size_t left = (size_t)(in->end - in->at);

	n = n < left ? n : left;
	memcpy(out, in->at, n);
	in->at += n;
	return n;
}

static void patch(struct reader *in, unsigned char *out, size_t n)
{
	for (size_t patches = byte(in) % PATCHES_MAX; patches > 0; patches--) {
		size_t at = ((size_t)byte(in) << 8 | byte(in)) % n, wanted = byte(in) % 32;

		(void)bytes(in, out + at, wanted < n - at ? wanted : n - at);
	}
}

/* Fill @out, and @fds with what goes beside it. */
static size_t message_make(struct reader *in, unsigned char *out, int *fds, size_t *fds_n)
{
	const uint8_t shape = byte(in);
	size_t n;

	if (shape % 8 == 7) {
		n = bytes(in, out, ((size_t)byte(in) << 8 | byte(in)) % RAW_BYTES_MAX);
	} else {
		n = shape > 253 ? sound_data(out) : sound(shape, out);
		patch(in, out, n);
	}
	*fds_n = byte(in) % (FDS_SENT_MAX + 1);
	for (size_t i = 0; i < *fds_n; i++)
		fds[i] = rig.kinds[byte(in) % KINDS_MAX];
	return n;
}

/* More descriptors than tenantd takes, too; fdpass_send() would not let us. */
static bool send_anything(unsigned char *message, size_t n, const int *fds, size_t fds_n)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FDS_SENT_MAX * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = message, .iov_len = n };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fds_n > 0) {
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(fds_n * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, fds_n * sizeof(int));
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(fds_n * sizeof(int));
	}
	return sendmsg(rig.controller_fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)n;
}

static void answers_take(void)
{
	static _Alignas(struct spec_head) unsigned char buf[SPEC_MSG_BYTES_MAX];
	ssize_t n;

	while ((n = recv(rig.controller_fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		struct spec_head head;

		require((size_t)n >= sizeof(head));
		memcpy(&head, buf, sizeof(head));
		require(head.bytes == (size_t)n && head.version == SPEC_VERSION);
		require(head.op == SPEC_REPLY || head.op == SPEC_STARTED);
		rig.answers_n++;
	}
}

static void received(void *context, const struct spec_head *message, int *fds, size_t fds_n)
{
	static const size_t bytes[] = {
		[SPEC_TENANT_REMOVE] = sizeof(struct spec_tenant_remove),
		[SPEC_TENANT_FREEZE] = sizeof(struct spec_tenant_freeze),
		[SPEC_TENANT_DELETE] = sizeof(struct spec_tenant_delete),
		[SPEC_TENANT_SQUEEZE] = sizeof(struct spec_tenant_squeeze),
		[SPEC_DATA] = sizeof(struct spec_data),
	};

	(void)context;
	rig.answers_due +=
		(message->op == SPEC_LAUNCH && message->bytes == sizeof(struct spec_launch) &&
	         fds_n >= 1 && fds_n <= 4 + SPEC_BINDS_MAX) ||
		(message->op == SPEC_JOIN && message->bytes == sizeof(struct spec_join) &&
	         fds_n >= 1 && fds_n <= 4) ||
		(message->op == SPEC_TENANT_APPLY &&
	         message->bytes == sizeof(struct spec_tenant_apply) && fds_n == 1) ||
		(message->op < ARRAY_LEN(bytes) && bytes[message->op] == message->bytes &&
	         fds_n == 0);
	dispatch_message(&rig.dispatch, message, fds, fds_n);
	while (turns_run(&rig.turns))
		;
}

static void connected(void *context)
{
	(void)context;
}

static void tell(void *context, const void *message, int fd)
{
	(void)context;
	channel_send(&rig.channel, message, fd);
}

static void tell_meter(void *context, const struct id *tenant, int fd)
{
	(void)context;
	(void)tenant;
	require(fd == FD_NONE);
}

static void execution_add(const struct id *id, bool final)
{
	struct execution *e = execution_new(&rig.executions, id);

	require(e != NULL);
	e->record.tenant = tenant_id;
	e->record.final = e->told = final;
	e->record.started = 1;
	rig.executions.unsettled_n += final;
	if (!final)
		e->leaf_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	id_table_add(&rig.executions.table, &e->node);
}

static void world_begin(void)
{
	struct tn_error err = { 0 };
	struct tenant *tenant = NULL;

	rig.executions.unsettled_n = rig.answers_n = rig.answers_due = 0;
	require(tenants_adopt(&rig.tenants, &tenant_id, &tenant, &err) == 0);
	execution_add(&running_id, false);
	execution_add(&ended_id, true);
}

static void world_end(void)
{
	executions_done(&rig.executions);
	memset(&rig.executions.table, 0, sizeof(rig.executions.table));
	tenants_done(&rig.tenants);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct tn_error err = { 0 };
	char text[] = "bind_root = /tmp\n";

	(void)argc;
	(void)argv;
	require(bounds_parse(text, sizeof(text) - 1, &rig.bounds, &err) == 0);
	require(loop_init(&rig.loop, &err) == 0);
	kinds_open();
	rig.hierarchy.root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	(void)snprintf(rig.hierarchy.path, sizeof(rig.hierarchy.path), "/sys/fs/cgroup/x");
	rig.tenants.bounds = rig.executions.bounds = &rig.bounds;
	rig.tenants.hierarchy = &rig.hierarchy;
	rig.executions.loop = rig.channel.loop = &rig.loop;
	rig.executions.tenants = &rig.tenants;
	rig.executions.masks = &rig.masks;
	floors_make(&rig.floors);
	rig.filters = (struct filters){ .floors = &rig.floors, .dir_fd = FD_NONE };
	rig.tenants.filters = &rig.filters;
	rig.tenants.tell_meter = tell_meter;
	rig.executions.tell = tell;
	rig.channel.connected = connected;
	rig.channel.received = received;
	rig.data = (struct data_servers){ .loop = &rig.loop,
		                          .tenants = &rig.tenants,
		                          .storage_root = rig.bounds.storage_root };
	rig.dispatch = (struct dispatch){ &rig.channel, &rig.tenants, &rig.executions,
		                          &rig.turns,   NULL,         &rig.data };
	require(channel_start(&rig.channel, &err) == 0);
	return 0;
}

/* The lowest free descriptor: the same before and after, if none leaked. */
static int lowest_free(void)
{
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);

	(void)close(fd);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static _Alignas(struct spec_head) unsigned char message[SPEC_MSG_BYTES_MAX];
	struct reader in = { data, data + size };
	const int before = lowest_free();

	world_begin();
	while (in.at < in.end) {
		int fds[FDS_SENT_MAX];
		size_t fds_n = 0, n = message_make(&in, message, fds, &fds_n);

		/* An empty message is the end of the channel, and of the fuzzer's own. */
		if (n == 0 || !send_anything(message, n, fds, fds_n))
			continue;
		rig.channel.socket.ready(rig.channel.socket.context, EPOLLIN);
		require(rig.channel.socket.fd >= 0);
		answers_take();
		require(rig.answers_n == rig.answers_due);
	}
	world_end();
	require(lowest_free() == before);
	return 0;
}
