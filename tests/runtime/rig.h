/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The whole control plane in one process, with the test in the places of tenantd and of
 * the clients: real store, real policy files, real sockets, and directories of ordinary
 * files where the kernel would have cgroups.
 */
#ifndef TESTS_RUNTIME_RIG_H
#define TESTS_RUNTIME_RIG_H

#include <jansson.h>

#include <isolate/spec.h>
#include <wire/varlink.h>

#include "context.h"

#define RIG_PATH_BYTES_MAX 128
#define RIG_WHY_BYTES_MAX  256

struct rig {
	char dir[RIG_PATH_BYTES_MAX]; /* tiers/, store/, cgroup/, proc/, control.sock, logger */
	struct loop *loop;
	struct context *context;
	int supervisor;                     /* tenantd's end of the channel */
	char status[SPEC_STATUS_BYTES_MAX]; /* what tenantd was last told to show */
	struct spec_reserve reserve;        /* what tenantd was last asked to leave */
	int logger;                         /* tenant-logger's socket; 0: there is none */
	int cgroup;                         /* directory that stands for the cgroup tree */
	bool nobody_is_admin;               /* but root; else whoever runs the test is one */
	gid_t admin_gid;
	bool admin_gid_known;
};

/* @rig is zeroed but for nobody_is_admin. Tiers "free" (execution_memory_max 64M on line 5,
 * runtime_max 10min on line 6, memory_max 128M, cpu_quota 50%, executions_max 2) and "large".
 */
void rig_init(struct rig *rig);
void rig_done(struct rig *rig);

/* The controller ends and another begins on the same store; greet it with rig_hello(). */
void rig_restart(struct rig *rig);
void rig_hello(struct rig *rig, uint32_t controllers);

/* Handle what there is to handle. */
void rig_turn(struct rig *rig);
/* Let the commit window pass. */
void rig_window(struct rig *rig);

/* Overwrite a file below the rig's directory. */
void rig_write(const struct rig *rig, const char *path, const char *text);
/* Write the cgroup directory @path ("acme", "acme/UUID") with this CPU time. */
void rig_cgroup(const struct rig *rig, const char *path, int64_t cpu_usec);
void rig_cgroup_remove(const struct rig *rig, const char *path);

/* Large: tests keep theirs off the stack. */
union rig_message {
	struct spec_head head;
	struct spec_tenant_apply apply;
	struct spec_tenant_remove remove;
	struct spec_tenant_freeze freeze;
	struct spec_tenant_delete delete;
	struct spec_tenant_squeeze squeeze;
	struct spec_launch launch;
	struct spec_join join;
	struct spec_signal signal;
	struct spec_kill kill;
	struct spec_settled settled;
	struct spec_status status;
	struct spec_reserve reserve;
	struct spec_data data;
};

/* As tenantd: take the next message, which must be @op, with its descriptors closed. */
void rig_take(struct rig *rig, enum spec_op op, union rig_message *ret);
/* The next message, whatever it is. */
void rig_take_any(struct rig *rig, union rig_message *ret);
/* Whether there is one, and then what it is. */
bool rig_next(struct rig *rig, union rig_message *ret);
/* Whether nothing has been sent to tenantd. */
bool rig_silent(struct rig *rig);
void rig_send(struct rig *rig, enum spec_op op, uint64_t serial, struct spec_head *message,
              size_t bytes);
void rig_reply(struct rig *rig, const union rig_message *to, enum tn_error_code code);
/* With a descriptor where the launch asked for a terminal. */
void rig_started(struct rig *rig, const union rig_message *launch);
/* The execution of @launch ended with @wait_status and used @cpu_usec. */
struct spec_exited rig_exited_of(const union rig_message *launch, int wait_status,
                                 int64_t cpu_usec);
void rig_exited(struct rig *rig, struct spec_exited *exited);

/* As tenantd: a tenant's own socket, which listens at @name, is handed over; the caller's. */
int rig_meter(struct rig *rig, const struct id *tenant, const char *name);
/* Hand the borrowed @listen_fd over, or with FD_NONE tell that there is none any more. */
void rig_meter_tell(struct rig *rig, const struct id *tenant, int listen_fd);
/* From now on we are in the cgroup @path, as /proc has it ("/test/acme/UUID"); NULL: in none.
 */
void rig_inside(const struct rig *rig, const char *path);
/* Connect to the socket @name. */
struct varlink *rig_connect_to(struct rig *rig, const char *name);
int rig_connect_to_raw(struct rig *rig, const char *name);

/* As a client. */
struct varlink *rig_connect(struct rig *rig);
int rig_connect_raw(struct rig *rig);
/* Send a call; @flags such as "more" or NULL; takes over @parameters. */
void rig_call(struct rig *rig, struct varlink *link, const char *method, json_t *parameters,
              const char *flag);
/* The next answer, whole; the caller's. */
json_t *rig_answer(struct rig *rig, struct varlink *link);
/* The same, and the one descriptor that came with it, or FD_NONE; both the caller's. */
json_t *rig_answer_fd(struct rig *rig, struct varlink *link, int *ret_fd);
/* Whether an answer, which is thrown away, is there. */
bool rig_answered(struct rig *rig, struct varlink *link);

/* Whether the server closes the connection. */
bool rig_closed(struct rig *rig, struct varlink *link);
/* Call and expect an answer without error: its parameters; the caller's. */
json_t *rig_ask(struct rig *rig, struct varlink *link, const char *method, json_t *parameters,
                const char *flag);
/* Call and expect this error: its parameters; the caller's. */
json_t *rig_refused(struct rig *rig, struct varlink *link, const char *method,
                    json_t *parameters, const char *flag, const char *error);

/* Create tenant @name of tier "free" through all steps. */
void rig_tenant(struct rig *rig, const char *name);
/* Send a Run of a command for @tenant; with @more as JSON object of further parameters. */
void rig_run(struct rig *rig, struct varlink *link, const char *tenant, json_t *further);
/* Send a Run that asks for a terminal of 30 lines of 100, @further as above. */
void rig_run_tty(struct rig *rig, struct varlink *link, const char *tenant, json_t *further);
/* Send a Run of a detached command, @further as above. */
void rig_run_detached(struct rig *rig, struct varlink *link, const char *tenant,
                      json_t *further);
/* As tenant-logger: be there, and take what has been handed over, which is nothing if false. */
void rig_logger(struct rig *rig);
bool rig_logger_take(const struct rig *rig);
/* Send an Exec of a command in @execution, @further as above. */
void rig_exec(struct rig *rig, struct varlink *link, const struct id *execution,
              json_t *further);
/* A Run, and be tenantd: *ret is the launch, which has been answered. */
void rig_run_started(struct rig *rig, struct varlink *link, const char *tenant,
                     union rig_message *ret);

/* Take a Run's last answer: the record, the caller's, and why it ended. */
json_t *rig_run_end(struct rig *rig, struct varlink *link, char why[static RIG_WHY_BYTES_MAX]);

/* Members of an object; "(none)" and -1 if it has no such. */
const char *rig_text(const json_t *json, const char *key);
int64_t rig_number(const json_t *json, const char *key);

#endif
