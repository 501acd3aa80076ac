/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What runs: one entry per execution from its launch until tenantd has told how it
 * ended. The kernel, not this table, limits their number.
 *
 * Whoever asked for an execution is told once that it has been executed, and once how it
 * ended, unless it detached itself: then the execution is killed. A record that tenantd
 * repeats after a restart is handled like a first one; the store knows it already.
 */
#ifndef RUNTIME_EXECUTIONS_H
#define RUNTIME_EXECUTIONS_H

#include "journal.h"
#include "plan.h"
#include "tenants.h"

struct executions;

/* How a client is told. @userdata is that of the launch. */
struct execution_client {
	/* @terminal: the master of its terminal, borrowed, or FD_NONE. */
	void (*started)(void *userdata, const struct record *record, int terminal);
	/* The last call. @why is "" if it just exited. */
	void (*exited)(void *userdata, const struct record *record, const char *why);
	/* Instead of the others: nothing was started. */
	void (*refused)(void *userdata, const struct tn_error *err);
};

/* Who waits for an end without having launched; embedded by it, with id and the next two. */
struct execution_waiter {
	struct id id;
	/* In its caller's place: without such a one, what was launched for a caller ends. */
	bool owns;
	/* Called once. @record is NULL if it was not launched after all, and @why, why it
	 * ended, unless that is in the record alone. */
	void (*ended)(void *userdata, const struct record *record, const char *why);
	/* Of one that owns, before that: it has been executed. It may be told more than once.
	 */
	void (*started)(void *userdata);
	void *userdata;
	struct execution_waiter *next;
};

struct executions_config {
	struct tenants *tenants;
	struct journal *journal;
	struct supervisor_link *link;
	/* One of @tenant's has ended or was refused, and whoever waited has been told. @room:
	 * it had a cgroup, which is free for another now. */
	void (*left)(void *userdata, struct tenant *tenant, bool room);
	void *userdata;
};

struct execution_request {
	struct tenant *tenant;
	struct id id;     /* that no execution has had */
	const char *name; /* borrowed; NULL: none */
	bool detached;    /* nobody's end is its end */
	struct actor actor;
	const struct plan *plan;
	const uint8_t *policy_hash; /* SPEC_HASH_BYTES */
	uint32_t argc;
	uint32_t envc;
	uint32_t args_bytes;
	bool tty; /* a terminal of the sandbox's own, of this size */
	uint32_t tty_rows;
	uint32_t tty_cols;
	const int *fds; /* borrowed: stdin, stdout, stderr unless tty; arguments, binds */
	size_t fds_n;
	const struct spec_bind *binds;
	uint32_t binds_n;
	const struct spec_tmpfs *tmpfs;
	uint32_t tmpfs_n;
};

/* A command that is to join an execution. */
struct execution_join {
	struct id joins; /* what runs */
	struct id id;    /* of its own, that no execution has had */
	int64_t asked_uid;
	int64_t asked_pid;
	bool as_user; /* as uid and gid; else as the one it joins */
	uint32_t uid;
	uint32_t gid;
	uint32_t argc;
	uint32_t envc;
	uint32_t args_bytes;
	bool tty; /* a terminal of the sandbox's own, of this size */
	uint32_t tty_rows;
	uint32_t tty_cols;
	const int *fds; /* borrowed: stdin, stdout, stderr unless tty; arguments */
	size_t fds_n;
};

int executions_new(struct executions **ret, const struct executions_config *config,
                   struct tn_error *err);
/* Tells nobody. Accepts NULL. Always returns NULL. */
struct executions *executions_free(struct executions *executions);

/* Ask tenantd to launch. @client (borrowed) is told later, unless this fails. */
int executions_launch(struct executions *executions, const struct execution_request *request,
                      const struct execution_client *client, void *userdata,
                      struct tn_error *err);

/*
 * The same for a command that joins one. It is an execution of its own to all that follows,
 * but it has no figures and takes none of its tenant's executions_max. TN_NOT_FOUND if the
 * other does not run, or is one that joins itself.
 */
int executions_join(struct executions *executions, const struct execution_join *request,
                    const struct execution_client *client, void *userdata,
                    struct tn_error *err);

/* The client is told no more. */
void executions_release(struct executions *executions, const struct id *id);
/* What another controller has launched has this name. */
void executions_name(struct executions *executions, const struct id *id, const char *name);
/* The client has gone: it is told no more, and its execution is killed. */
void executions_detach(struct executions *executions, const struct id *id);

/* Of those of @tenant that have this name the last that began. False if there is none. */
bool executions_find_name(struct executions *executions, const struct id *tenant,
                          const char *name, struct id *ret);
/* Call @found with each whose id, as text, begins with @prefix. */
void executions_find_prefix(struct executions *executions, const char *prefix,
                            void (*found)(void *userdata, const struct id *id,
                                          const struct id *tenant),
                            void *userdata);

/* How they are ended: all zero at once, else by @signal, and so much later whatever is left. */
struct execution_end {
	int64_t grace_usec;
	int signal;
	const struct actor *actor; /* who wants it, for the event of the end; or NULL */
	bool quota;                /* nobody does: the tenant's ->exhausted is why */
};

/* TN_NOT_FOUND if it does not run. */
int executions_signal(struct executions *executions, const struct id *id, int signal,
                      struct tn_error *err);
int executions_kill(struct executions *executions, const struct id *id,
                    const struct execution_end *how, struct tn_error *err);
/* Returns how many of the tenant's were running, or -errno. */
int executions_kill_all(struct executions *executions, const struct tenant *tenant,
                        const struct execution_end *how, struct tn_error *err);

/* Whether a launch was refused because executions_max are there, and not by another limit. */
bool executions_lack_room(const struct tn_error *refusal);

/* Whether it is known here, running or about to, and then whose it is. */
bool executions_tenant(struct executions *executions, const struct id *id,
                       struct id *ret_tenant);

bool executions_runs(struct executions *executions, const struct id *id);
/* Its command has been executed, too. */
bool executions_has_started(struct executions *executions, const struct id *id);

/* Those of @tenant, or all if it is NULL. */
size_t executions_count(struct executions *executions, const struct id *tenant);

/* Records of those of @tenant (NULL: all) that have been executed, in no order. The array
 * is the caller's to free. */
int executions_snapshot(struct executions *executions, const struct id *tenant,
                        struct record **ret, size_t *ret_n, struct tn_error *err);

/* Have @waiter (borrowed) told when the execution ends, or no more. */
void executions_await(struct executions *executions, struct execution_waiter *waiter);
void executions_unawait(struct executions *executions, const struct execution_waiter *waiter);
/* Whether its caller could be replaced: it was launched for one, who is not here. */
bool executions_is_orphan(struct executions *executions, const struct id *id);
/* What was launched for a caller who has not come back is killed. */
void executions_end_orphans(struct executions *executions);
/* tenantd has told all that it knows: who waits for what nobody knows is told so. */
void executions_forget_unknown(struct executions *executions);

/* It does not run, which nobody knew: @record is how it is booked. */
void executions_on_lost(struct executions *executions, const struct record *record);

/* From tenantd. */
/* @terminal: borrowed, or FD_NONE. */
void executions_on_started(struct executions *executions, const struct spec_started *started,
                           int terminal);
void executions_on_exited(struct executions *executions, const struct spec_exited *exited);
/* The store has the record: tenantd need not keep it. */
void executions_settled(struct executions *executions, const struct record *record);

#endif
