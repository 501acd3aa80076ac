/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attacks on what runs: commands that join it, kills, and what all of it leaves to the host. */
#include "controller.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define JOINS_FLOOD 100

static struct request sleeper = { .output = -1 };

static void request_make(struct request *r, const struct id *tenant, const struct id *joins,
                         const char *args, size_t args_n, uint32_t argc)
{
	int ends[2];

	head_make(r, SPEC_JOIN, sizeof(r->u.join));
	r->u.join = (struct spec_join){
		.head = r->u.head,
		.tenant = *tenant,
		.execution = { { 0xe0, (uint8_t)r->u.head.serial,
		                 (uint8_t)(r->u.head.serial >> 8) } },
		.joins = *joins,
		.argc = argc,
		.args_bytes = (uint32_t)args_n,
	};
	must(pipe2(ends, O_CLOEXEC) == 0, "pipe");
	r->output = ends[0];
	r->fds[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
	r->fds[1] = ends[1];
	r->fds[2] = fcntl(ends[1], F_DUPFD_CLOEXEC, 5);
	r->fds[3] = memory(args, args_n, SEALS);
	r->fds_n = 4;
}

static void args_put(struct request *r, const char *bytes, size_t n, uint32_t argc,
                     unsigned int seals)
{
	(void)close(r->fds[3]);
	r->fds[3] = memory(bytes, n, seals);
	r->u.join.args_bytes = (uint32_t)n;
	r->u.join.argc = argc;
}

/* The working directory, which is empty, is the last string. */
static void id_make(struct request *r, const struct id *tenant, const struct id *joins)
{
	static const char args[] = "/usr/bin/id\0-u\0";

	request_make(r, tenant, joins, args, sizeof(args), 2);
}

void join_make(struct request *r)
{
	sleeper_start(&sleeper);
	id_make(r, &acme, &sleeper.u.launch.execution);
}

void join_done(void)
{
	if (sleeper.output >= 0)
		sleeper_end(&sleeper);
}

void join_sound(struct request *r)
{
	(void)r;
}

#define FIELD(function, field, value)                                                          \
	void function(struct request *r)                                                       \
	{                                                                                      \
		r->u.join.field = (value);                                                     \
	}

FIELD(join_another_tenant, tenant, other)
FIELD(join_unknown, joins, nobody)
FIELD(join_none, joins, (struct id){ { 0 } })
FIELD(join_itself, joins, r->u.join.execution)
FIELD(join_id_taken, execution, r->u.join.joins)
FIELD(join_no_id, execution, (struct id){ { 0 } })
FIELD(join_gid_wraps, gid, UINT32_MAX)
FIELD(join_flags, flags, SPEC_JOIN_FLAGS + 1)
FIELD(join_argc_none, argc, 0)
FIELD(join_args_longer, args_bytes, 1 << 20)
FIELD(join_args_shorter, args_bytes, 4)
FIELD(join_env_more, envc, 40)
FIELD(join_rows_above, tty_rows, 1 << 16)
FIELD(join_terminal_and_streams, flags, SPEC_JOIN_TTY)
FIELD(join_asked_negative, asked_uid, INT64_MIN)

void join_uid_above(struct request *r)
{
	r->u.join.flags = SPEC_JOIN_USER;
	r->u.join.uid = SPEC_UIDS_PER_TENANT;
}

void join_args_fewer(struct request *r)
{
	args_put(r, "true\0", 6, 9, SEALS);
}

void join_args_unsealed(struct request *r)
{
	args_put(r, "true\0", 6, 1, F_SEAL_GROW);
}

void join_args_file(struct request *r)
{
	(void)close(r->fds[3]);
	r->fds[3] = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
}

void join_short(struct request *r)
{
	r->n = r->u.head.bytes = sizeof(r->u.join) - sizeof(uint64_t);
}

void join_long(struct request *r)
{
	r->n = r->u.head.bytes = sizeof(r->u.join) + sizeof(uint64_t);
}

/* Another tenant that runs something, which its own id does not open to acme. */
void join_of_another(void)
{
	struct request tenant = { .output = -1 }, theirs = { .output = -1 },
		       r = { .output = -1 };

	apply_make(&tenant);
	tenant.u.apply.tenant = other;
	memcpy(tenant.u.apply.name, "other", sizeof("other"));
	must(transmit(&tenant) && answered(SPEC_REPLY, tenant.u.head.serial, ANSWER_MSEC) &&
	             answer.reply.error.code == TN_OK,
	     "another tenant");
	done(&tenant);
	sleeper_start_of(&theirs, &other);
	id_make(&r, &acme, &theirs.u.launch.execution);
	must(transmit(&r), "join");
	outcome(&r);
	done(&r);
	sleeper_end(&theirs);
	remove_make(&tenant);
	tenant.u.remove.tenant = other;
	must(transmit(&tenant) && answered(SPEC_REPLY, tenant.u.head.serial, ANSWER_MSEC) &&
	             answer.reply.error.code == TN_OK,
	     "take it back");
}

static void join_say(const struct id *joins)
{
	struct request r = { .output = -1 };

	id_make(&r, &acme, joins);
	must(transmit(&r), "join");
	outcome(&r);
	done(&r);
}

/* Before and after its end is settled. */
void join_ended(void)
{
	struct request ended = { .output = -1 };
	const struct id *execution = &ended.u.launch.execution;

	sleeper_start(&ended);
	kill_send(execution);
	must(answered(SPEC_EXITED, 0, ANSWER_MSEC), "the sleeper's end");
	join_say(execution);
	say("; ");
	settle(execution);
	join_say(execution);
	done(&ended);
}

static void acme_freeze(uint32_t frozen)
{
	struct request r = { .output = -1 };

	freeze_make(&r);
	r.u.freeze.frozen = frozen;
	must(transmit(&r) && answered(SPEC_REPLY, r.u.head.serial, ANSWER_MSEC) &&
	             answer.reply.error.code == TN_OK,
	     "freeze");
}

void join_suspended(void)
{
	struct request suspended = { .output = -1 };

	sleeper_start(&suspended);
	acme_freeze(1);
	join_say(&suspended.u.launch.execution);
	acme_freeze(0);
	sleeper_end(&suspended);
}

/* None of them is settled, waited for or ended by us. */
void join_flood(void)
{
	static const char args[] = "/bin/sleep\0"
				   "10\0";
	struct request joined = { .output = -1 }, r = { .output = -1 };
	int n = 0;

	sleeper_start(&joined);
	for (; n < JOINS_FLOOD; n++) {
		request_make(&r, &acme, &joined.u.launch.execution, args, sizeof(args), 2);
		must(transmit(&r), "join");
		done(&r);
		if (!answered(SPEC_STARTED, r.u.head.serial, ANSWER_MSEC) ||
		    answer.started.error.code != TN_OK)
			break;
	}
	say(n < JOINS_FLOOD ? "bounded: %s" : "endless", answer.started.error.msg);
	kill_send(&joined.u.launch.execution);
	while (n >= 0 && answered(SPEC_EXITED, 0, ANSWER_MSEC)) {
		settle(&answer.exited.execution);
		n--;
	}
	done(&joined);
}

void reserve_negative(struct request *r)
{
	r->u.reserve.memory_bytes = -1;
	r->u.reserve.cpu_usec = INT64_MIN;
}

void reserve_huge(struct request *r)
{
	r->u.reserve.memory_bytes = INT64_MAX - 1;
	r->u.reserve.cpu_usec = INT64_MAX - 1;
}

void reserve_none(struct request *r)
{
	r->u.reserve.memory_bytes = 0;
	r->u.reserve.cpu_usec = 0;
}

/* What systemd would take for further words. */
void status_endless(struct request *r)
{
	memset(r->u.status.text, '\n', sizeof(r->u.status.text));
	memcpy(r->u.status.text, "x\nMAINPID=1\nSTOPPING=1", 22);
}

static void kill_with(const struct request *of, int64_t grace_usec, int32_t signal)
{
	struct request r = { .output = -1 };

	head_make(&r, SPEC_KILL, sizeof(r.u.kill));
	r.u.kill.execution = of->u.launch.execution;
	r.u.kill.why = SPEC_KILL_ADMIN;
	r.u.kill.grace_usec = grace_usec;
	r.u.kill.signal = signal;
	must(transmit(&r), "kill");
}

/* SIGURG is ignored by whoever has no handler for it. */
void kill_grace(void)
{
	static const int32_t wrong[] = { 0, -1, SIGSTOP, 65, INT32_MAX, INT32_MIN };
	struct request victim = { .output = -1 };

	sleeper_start(&victim);
	for (size_t i = 0; i < LEN(wrong); i++)
		kill_with(&victim, 1000, wrong[i]);
	kill_with(&victim, INT64_MAX, SIGURG);
	say(answered(SPEC_EXITED, 0, SILENCE_MSEC) ? "ended by it" : "runs on");
	kill_with(&victim, 1000, SIGURG);
	must(answered(SPEC_EXITED, 0, ANSWER_MSEC), "the end");
	say(", killed by %s", answer.exited.killed == SPEC_KILL_ADMIN ? "admin" : "?");
	settle(&victim.u.launch.execution);
	done(&victim);
}

/* All of a tenant that is none, for a reason that is none. */
void kill_everything(void)
{
	struct request bystander = { .output = -1 }, r = { .output = -1 };

	sleeper_start(&bystander);
	head_make(&r, SPEC_KILL, sizeof(r.u.kill));
	r.u.kill.tenant = nobody;
	r.u.kill.execution = bystander.u.launch.execution;
	r.u.kill.whole_tenant = UINT32_MAX;
	r.u.kill.why = UINT32_MAX;
	must(transmit(&r), "kill");
	say(answered(SPEC_EXITED, 0, SILENCE_MSEC) ? "ended by it" : "runs on");
	sleeper_end(&bystander);
}
