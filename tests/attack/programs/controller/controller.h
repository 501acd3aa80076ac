/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A tenant-controller that has been taken over, for the test that starts a tenantd with it.
 *
 * main.c has the attacks and what has to come of each, channel.c the requests as the real
 * controller would send them, data.c those about tenants' files, spoil.c what makes one of them
 * an attack, act.c the attacks of more than one message, join.c those on what runs already.
 */
#ifndef TESTS_ATTACK_CONTROLLER_H
#define TESTS_ATTACK_CONTROLLER_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

#include <isolate/spec.h>

#define LEN(a)       (sizeof(a) / sizeof((a)[0]))
#define FDS_MAX      24
#define ANSWER_MSEC  10000
#define SILENCE_MSEC 400
#define RESULT_BYTES 4096
#define SEALS        (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define NO_ANSWER    "nothing"
#define ENDED        "ended"

/* What is sent; every descriptor is ours to close afterwards. */
struct request {
	union {
		struct spec_head head;
		struct spec_launch launch;
		struct spec_tenant_apply apply;
		struct spec_tenant_remove remove;
		struct spec_tenant_freeze freeze;
		struct spec_tenant_delete delete;
		struct spec_tenant_squeeze squeeze;
		struct spec_join join;
		struct spec_reserve reserve;
		struct spec_status status;
		struct spec_signal signal;
		struct spec_kill kill;
		struct spec_settled settled;
		struct spec_data data;
		unsigned char bytes[SPEC_MSG_BYTES_MAX + 4096];
	} u;
	size_t n;
	int fds[FDS_MAX];
	size_t fds_n;
	int output; /* what the workload writes, or -1 */
};

union answer {
	struct spec_head head;
	struct spec_reply reply;
	struct spec_started started;
	struct spec_exited exited;
	struct spec_reserved reserved;
	struct spec_meter meter;
	unsigned char bytes[SPEC_MSG_BYTES_MAX];
};

extern union answer answer;

/* What came of the attack that is under way. */
extern char result[RESULT_BYTES];
/* The directory of --store-dir. */
extern char store[256];
/* What came beside the last SPEC_REPLY, the taker's; or -1. */
extern int reply_fd;
/* acme's own socket, as it was told of last, or -1. */
extern int meter_fd;
/* O_PATH of the tree's root, as tenantd gives it to its controller. */
extern int cgroup_fd;
/* How long an answer is waited for. */
extern int patience_msec;
extern const struct id acme, other, nobody;

/* Add to the result. */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);

/* End, with a word on standard error, if our own preparations fail. */
void must(bool condition, const char *what);

/* The channel. */
bool transmit(const struct request *r);
bool receive(int msec);
/* Until a message of @op that answers @wanted, or of any request if that is 0. */
bool answered(enum spec_op op, uint64_t wanted, int msec);
void settle(const struct id *execution);
void kill_send(const struct id *execution);

/* Sound requests. A sealed memfd of @n bytes; a filter of @n instructions that allow all. */
int memory(const void *bytes, size_t n, unsigned int seals);
int filter(size_t n, unsigned int seals);
void filter_put(struct request *r, int fd);
void args_set(struct request *r, const char *bytes, size_t n, uint32_t argc,
              unsigned int seals);
void apply_make(struct request *r);
void launch_make(struct request *r);
void remove_make(struct request *r);
void freeze_make(struct request *r);
void delete_make(struct request *r);
void squeeze_make(struct request *r);
void data_make(struct request *r);
/* Into a sleeper, which is started for it and goes on until join_done(). */
void join_make(struct request *r);
void join_done(void);
void reserve_make(struct request *r);
void status_make(struct request *r);
/* One that sleeps for ten seconds, and has started. */
void sleeper_start(struct request *r);
void sleeper_start_of(struct request *r, const struct id *tenant);
/* Kill it and take its end, which is settled. */
void sleeper_end(struct request *r);
void head_make(struct request *r, enum spec_op op, size_t n);

/* Say what came of a request that was sent; its descriptors are closed. */
void outcome(struct request *r);
void done(struct request *r);

/* Spoilers of a request. */
void short_message(struct request *r);
void lying_size(struct request *r);
void wrong_version(struct request *r);
void huge_message(struct request *r);
void empty_message(struct request *r);
void unknown_op(struct request *r);
void op_of_tenantd(struct request *r);
void size_of_another(struct request *r);
void fds_too_many(struct request *r);
void fds_one_more(struct request *r);
void fds_one_less(struct request *r);
void name_dots(struct request *r);
void name_path(struct request *r);
void name_up(struct request *r);
void name_holder(struct request *r);
void name_none(struct request *r);
void name_uuid(struct request *r);
void name_taken(struct request *r);
void name_endless(struct request *r);
void name_changed(struct request *r);
void memory_above(struct request *r);
void memory_negative(struct request *r);
void tasks_above(struct request *r);
void executions_above(struct request *r);
void weight_none(struct request *r);
void weight_above(struct request *r);
void quota_negative(struct request *r);
void files_above(struct request *r);
void core_above(struct request *r);
void runtime_none(struct request *r);
void tasks_negative(struct request *r);
void argc_none(struct request *r);
void flags_unknown(struct request *r);
void uid_above(struct request *r);
void gid_above(struct request *r);
void cpu_time_none(struct request *r);
void rows_above(struct request *r);
void terminal_and_streams(struct request *r);
void tmpfs_many(struct request *r);
void tmpfs_at_usr(struct request *r);
void tmpfs_up(struct request *r);
void tmpfs_large(struct request *r);
void execution_no_id(struct request *r);
void tenant_unknown(struct request *r);
void tenant_half_made(struct request *r);
void env_longer(struct request *r);
void env_more(struct request *r);
void args_longer(struct request *r);
void args_shorter(struct request *r);
void remove_unknown(struct request *r);
void freeze_unknown(struct request *r);
void freeze_half(struct request *r);
void squeeze_unknown(struct request *r);
void squeeze_none(struct request *r);
void squeeze_negative(struct request *r);
void apply_flags(struct request *r);
void data_unknown(struct request *r);
void data_flags(struct request *r);
void data_up(struct request *r);
void data_between(struct request *r);
void data_absolute(struct request *r);
void data_endless(struct request *r);
void data_dot(struct request *r);
void data_with_fd(struct request *r);
void delete_unknown(struct request *r);
void delete_otherwise(struct request *r);
void filter_unsealed(struct request *r);
void filter_long(struct request *r);
void filter_empty(struct request *r);
void filter_odd(struct request *r);
void filter_no_memory(struct request *r);
void args_unsealed(struct request *r);
void args_endless(struct request *r);
void args_fewer(struct request *r);
void args_file(struct request *r);
void stdio_directory(struct request *r);
void stdio_path(struct request *r);
void stdio_path_file(struct request *r);
void stdio_proc(struct request *r);
void stdio_memory(struct request *r);
void stdio_sysfs(struct request *r);
void stdio_ns(struct request *r);
void stdio_pidfd(struct request *r);
void stdio_cgroup(struct request *r);
void stdio_cgroup_file(struct request *r);
void stdio_epoll(struct request *r);
void stdio_inotify(struct request *r);
void stdio_timer(struct request *r);
void bind_at_root(struct request *r);
void bind_at_usr(struct request *r);
void bind_in_usr(struct request *r);
void bind_at_proc(struct request *r);
void bind_at_etc(struct request *r);
void bind_at_data(struct request *r);
void bind_up(struct request *r);
void bind_relative(struct request *r);
void bind_slashes(struct request *r);
void bind_of_root(struct request *r);
void bind_of_etc(struct request *r);
void bind_of_home(struct request *r);
void bind_of_store(struct request *r);
void bind_of_proc(struct request *r);
void bind_of_sys(struct request *r);
void bind_of_cgroup(struct request *r);
void bind_of_device(struct request *r);
void bind_opened(struct request *r);
void bind_nested(struct request *r);
void bind_endless(struct request *r);
void bind_count_lies(struct request *r);
void bind_without_fd(struct request *r);

void join_unknown(struct request *r);
void join_none(struct request *r);
void join_itself(struct request *r);
void join_id_taken(struct request *r);
void join_no_id(struct request *r);
void join_uid_above(struct request *r);
void join_gid_wraps(struct request *r);
void join_flags(struct request *r);
void join_argc_none(struct request *r);
void join_args_fewer(struct request *r);
void join_args_longer(struct request *r);
void join_args_shorter(struct request *r);
void join_env_more(struct request *r);
void join_args_unsealed(struct request *r);
void join_args_file(struct request *r);
void join_rows_above(struct request *r);
void join_terminal_and_streams(struct request *r);
void join_asked_negative(struct request *r);
void join_another_tenant(struct request *r);
void join_sound(struct request *r);
void join_short(struct request *r);
void join_long(struct request *r);
void squeeze_wrapped(struct request *r);
void reserve_negative(struct request *r);
void reserve_huge(struct request *r);
void reserve_none(struct request *r);
void status_endless(struct request *r);

/* Attacks of their own. */
void control(void);
void filter_senseless(void);
void everything_allowed(void);
void everything_allowed_i386(void);
void everything_allowed_x32(void);
void settle_running(void);
void id_twice(void);
void third_of_two(void);
void signals(void);
void join_of_another(void);
void join_ended(void);
void join_suspended(void);
void join_flood(void);
void kill_grace(void);
void kill_everything(void);
void remove_used(void);
void data_beyond(void);
void data_flood(void);
void meter_shut(void);
void meter_again(void);
void tenants_flood(void);
void unsettled_flood(void);
void answers_unread(void);

#endif
