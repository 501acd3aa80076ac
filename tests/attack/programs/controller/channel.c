/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "controller.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union answer answer;
char store[256], result[RESULT_BYTES];
int cgroup_fd = -1, reply_fd = -1, meter_fd = -1, patience_msec = ANSWER_MSEC;
const struct id acme = { { 0xac } }, other = { { 0x07 } }, nobody = { { 0xff } };

static uint64_t serial = 1000;

void say(const char *format, ...)
{
	size_t n = strlen(result);
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(result + n, sizeof(result) - n, format, ap);
	va_end(ap);
}

void must(bool condition, const char *what)
{
	if (condition)
		return;
	(void)fprintf(stderr, "hostile controller: %s: %s\n", what, strerror(errno));
	exit(3);
}

/* The channel. */

bool transmit(const struct request *r)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *)(uintptr_t)r->u.bytes, r->n };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct pollfd writable = { .fd = SPEC_CONTROLLER_CHANNEL_FD, .events = POLLOUT };

	if (r->fds_n > 0) {
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(r->fds_n * sizeof(int));
		memcpy(CMSG_DATA(&control.align), r->fds, r->fds_n * sizeof(int));
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(r->fds_n * sizeof(int));
	}
	(void)poll(&writable, 1, ANSWER_MSEC);
	return sendmsg(SPEC_CONTROLLER_CHANNEL_FD, &msg, MSG_NOSIGNAL) >= 0;
}

bool receive(int msec)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { answer.bytes, sizeof(answer) };
	struct msghdr msg = { .msg_iov = &iov,
		              .msg_iovlen = 1,
		              .msg_control = control.bytes,
		              .msg_controllen = CMSG_LEN(sizeof(int)) };
	struct pollfd readable = { .fd = SPEC_CONTROLLER_CHANNEL_FD, .events = POLLIN };

	if (poll(&readable, 1, msec) <= 0)
		return false;
	if (recvmsg(SPEC_CONTROLLER_CHANNEL_FD, &msg, MSG_CMSG_CLOEXEC) <= 0) {
		/* tenantd has closed its end; it ends us next. */
		(void)pause();
	}
	if (answer.head.op == SPEC_HELLO && CMSG_FIRSTHDR(&msg) != NULL)
		memcpy(&cgroup_fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(cgroup_fd));
	if (answer.head.op == SPEC_REPLY && CMSG_FIRSTHDR(&msg) != NULL)
		memcpy(&reply_fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(reply_fd));
	if (answer.head.op == SPEC_METER && id_equal(&answer.meter.tenant, &acme)) {
		if (meter_fd >= 0)
			(void)close(meter_fd);
		meter_fd = -1;
		if (CMSG_FIRSTHDR(&msg) != NULL)
			memcpy(&meter_fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(meter_fd));
	}
	return true;
}

/* Until a message of @op that answers @wanted, or of any request if that is 0. */
bool answered(enum spec_op op, uint64_t wanted, int msec)
{
	while (receive(msec))
		if (answer.head.op == op && (wanted == 0 || answer.head.serial == wanted))
			return true;
	return false;
}

void settle(const struct id *execution)
{
	struct request r = { .n = sizeof(r.u.settled) };

	r.u.settled = (struct spec_settled){
		{ sizeof(r.u.settled), SPEC_SETTLED, SPEC_VERSION, 0 }, *execution
	};
	must(transmit(&r), "settle");
}

/* Requests that are sound. */

int memory(const void *bytes, size_t n, unsigned int seals)
{
	int fd = memfd_create("attack", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	must(fd >= 0 && (n == 0 || write(fd, bytes, n) == (ssize_t)n) &&
	             fcntl(fd, F_ADD_SEALS, seals) == 0,
	     "memfd");
	return fd;
}

/* A filter of @n instructions that let everything through. */
int filter(size_t n, unsigned int seals)
{
	static struct sock_filter code[SPEC_FILTER_INSNS_MAX + 1];

	for (size_t i = 0; i < n; i++)
		code[i] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	return memory(code, n * sizeof(code[0]), seals);
}

void apply_make(struct request *r)
{
	r->u.apply = (struct spec_tenant_apply){
		.head = { sizeof(r->u.apply), SPEC_TENANT_APPLY, SPEC_VERSION, ++serial },
		.tenant = acme,
		.name = "acme",
		.limits = { .cpu_quota_usec = SPEC_UNLIMITED,
		            .cpu_weight = 100,
		            .memory_max_bytes = 64 << 20,
		            .memory_high_bytes = SPEC_UNLIMITED,
		            .memory_swap_max_bytes = 0,
		            .tasks_max = 32,
		            .executions_max = 2 },
	};
	r->n = sizeof(r->u.apply);
	r->fds[r->fds_n++] = filter(1, SEALS);
}

void args_set(struct request *r, const char *bytes, size_t n, uint32_t argc, unsigned int seals)
{
	if (r->fds_n > 3)
		(void)close(r->fds[3]);
	r->fds[3] = memory(bytes, n, seals);
	r->u.launch.args_bytes = (uint32_t)n;
	r->u.launch.argc = argc;
}

void launch_make(struct request *r)
{
	static const char args[] = "/bin/sh\0-c\0echo $UID_ >/dev/null; id -u\0";
	int ends[2];

	serial++;
	r->u.launch = (struct spec_launch){
		.head = { sizeof(r->u.launch), SPEC_LAUNCH, SPEC_VERSION, serial },
		.tenant = acme,
		.execution = { { 0xee, (uint8_t)serial, (uint8_t)(serial >> 8) } },
		.limits = { .cpu_quota_usec = SPEC_UNLIMITED,
		            .memory_max_bytes = SPEC_UNLIMITED,
		            .tasks_max = SPEC_UNLIMITED,
		            .runtime_usec_max = 20000000,
		            .kill_after_usec = 0,
		            .cpu_time_usec_max = SPEC_UNLIMITED,
		            .nofile_max = 64,
		            .core_bytes_max = 0,
		            .fsize_bytes_max = SPEC_UNLIMITED },
		.uid = SPEC_WORKLOAD_UID,
		.gid = SPEC_WORKLOAD_UID,
	};
	r->n = sizeof(r->u.launch);
	must(pipe2(ends, O_CLOEXEC) == 0, "pipe");
	r->output = ends[0];
	r->fds[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
	r->fds[1] = ends[1];
	r->fds[2] = fcntl(ends[1], F_DUPFD_CLOEXEC, 5);
	r->fds_n = 3;
	/* The working directory, which is empty, is the last string. */
	args_set(r, args, sizeof(args), 3, SEALS);
	r->fds_n = 4;
}

void head_make(struct request *r, enum spec_op op, size_t n)
{
	r->u.head = (struct spec_head){ (uint32_t)n, (uint16_t)op, SPEC_VERSION, ++serial };
	r->n = n;
}

void remove_make(struct request *r)
{
	head_make(r, SPEC_TENANT_REMOVE, sizeof(r->u.remove));
	r->u.remove.tenant = acme;
}

void freeze_make(struct request *r)
{
	head_make(r, SPEC_TENANT_FREEZE, sizeof(r->u.freeze));
	r->u.freeze.tenant = acme;
	r->u.freeze.frozen = 1;
}

void squeeze_make(struct request *r)
{
	head_make(r, SPEC_TENANT_SQUEEZE, sizeof(r->u.squeeze));
	r->u.squeeze.tenant = acme;
	r->u.squeeze.memory_high_bytes = 64 << 20;
}

void reserve_make(struct request *r)
{
	head_make(r, SPEC_RESERVE, sizeof(r->u.reserve));
	r->u.reserve.memory_bytes = 64 << 20;
	r->u.reserve.cpu_usec = SPEC_CPU_PERIOD_USEC / 10;
}

void status_make(struct request *r)
{
	head_make(r, SPEC_STATUS, sizeof(r->u.status));
}

void delete_make(struct request *r)
{
	head_make(r, SPEC_TENANT_DELETE, sizeof(r->u.delete));
	r->u.delete.tenant = acme;
	r->u.delete.how = SPEC_DELETE_ALL;
}

void done(struct request *r)
{
	for (size_t i = 0; i < r->fds_n; i++)
		(void)close(r->fds[i]);
	r->fds_n = 0;
	if (r->output >= 0)
		(void)close(r->output);
	r->output = -1;
}

static void output_say(const struct request *r)
{
	char text[RESULT_BYTES];
	ssize_t n;

	say(", said");
	while ((n = read(r->output, text, sizeof(text) - 1)) > 0) {
		text[n] = '\0';
		for (char *p = text; *p != '\0'; p++)
			if (*p == '\n')
				*p = ';';
		say(" %s", text);
	}
}

static void launched_say(struct request *r, const struct id *execution)
{
	if (answer.started.error.code != TN_OK) {
		say("refused: %s", answer.started.error.msg);
	} else if (!answered(SPEC_EXITED, 0, ANSWER_MSEC)) {
		say("started and never ended");
	} else {
		say("ran: kind %u, status %d, %s", answer.exited.kind,
		    answer.exited.wait_status, answer.exited.error.msg);
		output_say(r);
		settle(execution);
	}
}

/* What came of it, in words. */
void outcome(struct request *r)
{
	const bool launch = r->u.head.op == SPEC_LAUNCH || r->u.head.op == SPEC_JOIN;
	const struct id execution = r->u.head.op == SPEC_JOIN ? r->u.join.execution
	                                                      : r->u.launch.execution;
	const bool reserve = r->u.head.op == SPEC_RESERVE;
	const enum spec_op op = launch ? SPEC_STARTED : reserve ? SPEC_RESERVED : SPEC_REPLY;

	for (size_t i = 0; i < r->fds_n; i++)
		(void)close(r->fds[i]);
	r->fds_n = 0;
	if (!answered(op, reserve ? 0 : r->u.head.serial, patience_msec))
		say(NO_ANSWER);
	else if (launch)
		launched_say(r, &execution);
	else if (reserve)
		say(answer.reserved.error.code == TN_OK ? "held" : "refused: %s",
		    answer.reserved.error.msg);
	else
		say(answer.reply.error.code == TN_OK ? "done" : "refused: %s",
		    answer.reply.error.msg);
}

void filter_put(struct request *r, int fd)
{
	(void)close(r->fds[0]);
	r->fds[0] = fd;
}

void kill_send(const struct id *execution)
{
	struct request r = { .output = -1 };

	head_make(&r, SPEC_KILL, sizeof(r.u.kill));
	r.u.kill.execution = *execution;
	r.u.kill.why = 77;
	must(transmit(&r), "kill");
}
