/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "executions.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <base/id_table.h>
#include <base/log.h>

#include "outcome.h"

struct execution {
	struct id_node node; /* first: found by its id */
	struct tenant *tenant;
	struct record record;
	struct actor launched_by;
	struct actor killed_by;
	struct plan plan;
	bool planned;                          /* launched by us, so that plan is known */
	bool executed;                         /* record has begun */
	bool attached;                         /* launched for a caller, whose end is its end */
	const struct execution_client *client; /* NULL: nobody waits */
	void *userdata;
};

struct executions {
	struct executions_config config;
	struct id_table table;
	struct execution_waiter *waiters;
};

int executions_new(struct executions **ret, const struct executions_config *config,
                   struct tn_error *err)
{
	struct executions *executions = calloc(1, sizeof(*executions));

	if (executions == NULL)
		return err_errno(err, "allocate the executions");
	executions->config = *config;
	*ret = executions;
	return 0;
}

static void execution_free(void *member, void *context)
{
	(void)context;
	free(member);
}

struct executions *executions_free(struct executions *executions)
{
	if (executions == NULL)
		return NULL;
	id_table_each(&executions->table, execution_free, NULL);
	free(executions);
	return NULL;
}

static struct execution *execution_find(struct executions *executions, const struct id *id)
{
	return id_table_find(&executions->table, id);
}

bool executions_tenant(struct executions *executions, const struct id *id,
                       struct id *ret_tenant)
{
	const struct execution *execution = execution_find(executions, id);

	if (execution != NULL)
		*ret_tenant = execution->record.tenant;
	return execution != NULL;
}

bool executions_runs(struct executions *executions, const struct id *id)
{
	return execution_find(executions, id) != NULL;
}

/* It is in the leaf of another. */
static bool is_join(const struct execution *execution)
{
	return !id_is_none(&execution->record.joins);
}

/* 0 and *ret, or -errno. @joins: all zero, or the one it joins. */
static int execution_add(struct executions *executions, const struct id *id,
                         const struct id *joins, struct tenant *tenant, struct execution **ret,
                         struct tn_error *err)
{
	struct execution *execution = calloc(1, sizeof(*execution));

	if (execution == NULL)
		return err_errno(err, "keep an execution");
	record_init(&execution->record);
	execution->record.id = *id;
	execution->record.joins = *joins;
	execution->record.tenant = tenant->row.id;
	(void)snprintf(execution->record.tenant_name, sizeof(execution->record.tenant_name),
	               "%s", tenant->row.name);
	execution->launched_by = execution->killed_by = ACTOR_NONE;
	execution->tenant = tenant;
	if (!is_join(execution))
		tenant->executions_n++;
	execution->node.id = *id;
	id_table_add(&executions->table, &execution->node);
	*ret = execution;
	return 0;
}

static void execution_drop(struct executions *executions, struct execution *execution)
{
	if (!is_join(execution))
		execution->tenant->executions_n--;
	id_table_remove(&executions->table, &execution->node);
	free(execution);
}

static int launch_fill(const struct execution_request *request, struct spec_launch *launch,
                       struct tn_error *err)
{
	launch->tenant = request->tenant->row.id;
	launch->execution = request->id;
	launch->limits = request->plan->execution;
	memcpy(launch->policy_hash, request->policy_hash, sizeof(launch->policy_hash));
	launch->flags = request->plan->flags | (request->detached ? 0 : SPEC_LAUNCH_ATTACHED) |
	                (request->tty ? SPEC_LAUNCH_TTY : 0);
	launch->tty_rows = request->tty_rows;
	launch->tty_cols = request->tty_cols;
	launch->uid = request->plan->uid;
	launch->gid = request->plan->gid;
	launch->argc = request->argc;
	launch->envc = request->envc;
	launch->args_bytes = request->args_bytes;
	launch->binds_n = request->binds_n;
	assert(request->binds_n <= SPEC_BINDS_MAX);
	if (request->binds_n > 0)
		memcpy(launch->binds, request->binds,
		       request->binds_n * sizeof(launch->binds[0]));
	launch->tmpfs_n = request->tmpfs_n;
	assert(request->tmpfs_n <= SPEC_TMPFS_MAX);
	if (request->tmpfs_n > 0)
		memcpy(launch->tmpfs, request->tmpfs,
		       request->tmpfs_n * sizeof(launch->tmpfs[0]));
	return plan_environment(request->plan, request->tenant->row.name, launch, err);
}

int executions_launch(struct executions *executions, const struct execution_request *request,
                      const struct execution_client *client, void *userdata,
                      struct tn_error *err)
{
	struct spec_launch launch = { 0 };
	struct supervisor_request out = SUPERVISOR_REQUEST(SPEC_LAUNCH, &launch);
	const struct id none = { { 0 } };
	struct execution *execution = NULL;
	int r = launch_fill(request, &launch, err);

	if (r == 0 && executions_runs(executions, &launch.execution))
		r = err_refuse(err, TN_EXISTS, "the execution's id is taken");
	if (r < 0)
		return r;
	r = tenants_apply(executions->config.tenants, request->tenant, err);
	if (r < 0)
		return r;
	r = execution_add(executions, &launch.execution, &none, request->tenant, &execution,
	                  err);
	if (r != 0)
		return r;
	assert(execution != NULL);
	execution->plan = *request->plan;
	execution->planned = true;
	execution->launched_by = request->actor;
	execution->attached = !request->detached;
	if (request->name != NULL)
		(void)snprintf(execution->record.name, sizeof(execution->record.name), "%s",
		               request->name);
	execution->client = client;
	execution->userdata = userdata;
	out.fds = request->fds;
	out.fds_n = request->fds_n;
	r = supervisor_send(executions->config.link, &out, err);
	if (r < 0) {
		execution_drop(executions, execution);
		return err_wrap(err, r, "launch for '%s'", request->tenant->row.name);
	}
	return 0;
}

/* What is to be joined, if that can be. */
static int join_target(struct executions *executions, const struct execution_join *request,
                       struct execution **ret, struct tn_error *err)
{
	struct execution *target = execution_find(executions, &request->joins);
	char text[ID_TEXT_BYTES];

	id_format(&request->joins, text);
	if (target == NULL || !target->executed)
		return err_refuse(err, TN_NOT_FOUND, "there is no running execution %s", text);
	if (is_join(target))
		return err_refuse(err, TN_STATE, "%s has joined an execution itself", text);
	*ret = target;
	return 0;
}

static void join_fill(const struct execution_join *request, struct spec_join *join)
{
	join->execution = request->id;
	join->joins = request->joins;
	join->asked_uid = request->asked_uid;
	join->asked_pid = request->asked_pid;
	join->flags = (request->tty ? SPEC_JOIN_TTY : 0) |
	              (request->as_user ? SPEC_JOIN_USER : 0);
	join->argc = request->argc;
	join->envc = request->envc;
	join->args_bytes = request->args_bytes;
	join->tty_rows = request->tty_rows;
	join->tty_cols = request->tty_cols;
	join->uid = request->uid;
	join->gid = request->gid;
}

int executions_join(struct executions *executions, const struct execution_join *request,
                    const struct execution_client *client, void *userdata, struct tn_error *err)
{
	struct spec_join join = { 0 };
	struct supervisor_request out = SUPERVISOR_REQUEST(SPEC_JOIN, &join);
	struct execution *target = NULL, *execution = NULL;
	int r = join_target(executions, request, &target, err);

	if (r == 0 && executions_runs(executions, &request->id))
		r = err_refuse(err, TN_EXISTS, "the execution's id is taken");
	if (r < 0)
		return r;
	assert(target != NULL);
	if (tenant_held(&target->tenant->exhausted))
		return err_refuse(err, TN_STATE, "'%s' stands still: %s is used up",
		                  target->tenant->row.name, target->tenant->exhausted.text);
	r = execution_add(executions, &request->id, &request->joins, target->tenant, &execution,
	                  err);
	if (r != 0)
		return r;
	assert(execution != NULL);
	join_fill(request, &join);
	join.tenant = target->record.tenant;
	execution->attached = true;
	execution->client = client;
	execution->userdata = userdata;
	out.fds = request->fds;
	out.fds_n = request->fds_n;
	r = supervisor_send(executions->config.link, &out, err);
	if (r < 0) {
		execution_drop(executions, execution);
		return err_wrap(err, r, "join an execution of '%s'", target->tenant->row.name);
	}
	return 0;
}

void executions_release(struct executions *executions, const struct id *id)
{
	struct execution *execution = execution_find(executions, id);

	if (execution != NULL)
		execution->client = NULL;
}

void executions_name(struct executions *executions, const struct id *id, const char *name)
{
	struct execution *execution = execution_find(executions, id);

	if (execution != NULL)
		(void)snprintf(execution->record.name, sizeof(execution->record.name), "%s",
		               name);
}

static int execution_send_kill(struct executions *executions, const struct id *id,
                               enum spec_kill_why why, const struct execution_end *how,
                               struct tn_error *err)
{
	struct spec_kill kill = { .execution = *id,
		                  .why = why,
		                  .grace_usec = how->grace_usec,
		                  .signal = how->signal };
	struct supervisor_request request = SUPERVISOR_REQUEST(SPEC_KILL, &kill);

	return supervisor_send(executions->config.link, &request, err);
}

void executions_detach(struct executions *executions, const struct id *id)
{
	struct execution *execution = execution_find(executions, id);
	const struct execution_end at_once = { 0 };
	struct tn_error err = { 0 };
	int r;

	if (execution == NULL)
		return;
	execution->client = NULL;
	r = execution_send_kill(executions, id, SPEC_KILL_CLIENT_GONE, &at_once, &err);
	if (r < 0)
		log_event(LOG_ERR, "an execution whose client has gone could not be killed",
		          LF_STR("tenant", execution->record.tenant_name),
		          LF_STR("error", err.msg), LF_END);
}

static int execution_require(struct executions *executions, const struct id *id,
                             struct tn_error *err)
{
	char text[ID_TEXT_BYTES];

	if (execution_find(executions, id) != NULL)
		return 0;
	id_format(id, text);
	return err_refuse(err, TN_NOT_FOUND, "there is no running execution %s", text);
}

int executions_signal(struct executions *executions, const struct id *id, int signal,
                      struct tn_error *err)
{
	struct spec_signal message = { .execution = *id, .signal = signal };
	struct supervisor_request request = SUPERVISOR_REQUEST(SPEC_SIGNAL, &message);
	int r = execution_require(executions, id, err);

	return r < 0 ? r : supervisor_send(executions->config.link, &request, err);
}

int executions_kill(struct executions *executions, const struct id *id,
                    const struct execution_end *how, struct tn_error *err)
{
	struct execution *execution = execution_find(executions, id);
	int r = execution_require(executions, id, err);

	if (r < 0)
		return r;
	r = execution_send_kill(executions, id, SPEC_KILL_ADMIN, how, err);
	if (r == 0 && how->actor != NULL)
		execution->killed_by = *how->actor;
	return r;
}

/* One that kills all of a tenant's. */
struct killer {
	const struct tenant *tenant;
	const struct actor *actor;
};

static void note_killer(void *member, void *context)
{
	struct execution *execution = member;
	const struct killer *killer = context;

	if (execution->tenant == killer->tenant)
		execution->killed_by = *killer->actor;
}

int executions_kill_all(struct executions *executions, const struct tenant *tenant,
                        const struct execution_end *how, struct tn_error *err)
{
	struct spec_kill kill = { .tenant = tenant->row.id,
		                  .whole_tenant = 1,
		                  .why = how->quota ? SPEC_KILL_QUOTA : SPEC_KILL_ADMIN,
		                  .grace_usec = how->grace_usec,
		                  .signal = how->signal };
	struct supervisor_request request = SUPERVISOR_REQUEST(SPEC_KILL, &kill);
	struct killer killer = { tenant, how->actor };
	size_t n = tenant->executions_n;
	int r;

	/* tenantd knows no slot of a tenant that was never applied, and nothing runs there. */
	if (n == 0)
		return 0;
	r = supervisor_send(executions->config.link, &request, err);
	if (r < 0)
		return r;
	if (how->actor != NULL)
		id_table_each(&executions->table, note_killer, &killer);
	return (int)n;
}

/* A walk over those of one tenant, or of all. */
struct selection {
	const struct id *tenant;
	struct record *records; /* NULL: only count */
	size_t n;
};

static void selection_visit(void *member, void *context)
{
	const struct execution *execution = member;
	struct selection *selection = context;

	if (selection->tenant != NULL &&
	    !id_equal(&execution->record.tenant, selection->tenant))
		return;
	if (selection->records != NULL && !execution->executed)
		return;
	if (selection->records != NULL)
		selection->records[selection->n] = execution->record;
	selection->n++;
}

size_t executions_count(struct executions *executions, const struct id *tenant)
{
	struct selection selection = { .tenant = tenant };

	if (tenant == NULL)
		return executions->table.n;
	id_table_each(&executions->table, selection_visit, &selection);
	return selection.n;
}

int executions_snapshot(struct executions *executions, const struct id *tenant,
                        struct record **ret, size_t *ret_n, struct tn_error *err)
{
	struct selection selection = { .tenant = tenant };

	selection.records = calloc(executions_count(executions, tenant) + 1,
	                           sizeof(*selection.records));
	if (selection.records == NULL)
		return err_errno(err, "list executions");
	id_table_each(&executions->table, selection_visit, &selection);
	*ret = selection.records;
	*ret_n = selection.n;
	return 0;
}

struct name_search {
	const struct id *tenant;
	const char *name;
	const struct execution *last;
};

static void name_visit(void *member, void *context)
{
	const struct execution *execution = member;
	struct name_search *search = context;

	if (!id_equal(&execution->record.tenant, search->tenant) ||
	    strcmp(execution->record.name, search->name) != 0)
		return;
	/* One that has not begun comes after all that have. */
	if (search->last == NULL ||
	    (search->last->executed &&
	     (!execution->executed ||
	      execution->record.started_at > search->last->record.started_at)))
		search->last = execution;
}

bool executions_find_name(struct executions *executions, const struct id *tenant,
                          const char *name, struct id *ret)
{
	struct name_search search = { .tenant = tenant, .name = name };

	id_table_each(&executions->table, name_visit, &search);
	if (search.last == NULL)
		return false;
	*ret = search.last->record.id;
	return true;
}

struct prefix_search {
	const char *prefix;
	void (*found)(void *userdata, const struct id *id, const struct id *tenant);
	void *userdata;
};

static void prefix_visit(void *member, void *context)
{
	const struct execution *execution = member;
	const struct prefix_search *search = context;
	char text[ID_TEXT_BYTES];

	id_format(&execution->record.id, text);
	if (strncmp(text, search->prefix, strlen(search->prefix)) == 0)
		search->found(search->userdata, &execution->record.id,
		              &execution->record.tenant);
}

void executions_find_prefix(struct executions *executions, const char *prefix,
                            void (*found)(void *userdata, const struct id *id,
                                          const struct id *tenant),
                            void *userdata)
{
	struct prefix_search search = { prefix, found, userdata };

	id_table_each(&executions->table, prefix_visit, &search);
}

void executions_await(struct executions *executions, struct execution_waiter *waiter)
{
	waiter->next = executions->waiters;
	executions->waiters = waiter;
}

void executions_unawait(struct executions *executions, const struct execution_waiter *waiter)
{
	struct execution_waiter **slot = &executions->waiters;

	while (*slot != NULL && *slot != waiter)
		slot = &(*slot)->next;
	if (*slot != NULL)
		*slot = waiter->next;
}

/* Whoever is told may have others wait, so that each search begins anew. */
static void tell_waiters(struct executions *executions, const struct id *id,
                         const struct record *record, const char *why)
{
	struct execution_waiter *waiter;

	do {
		waiter = executions->waiters;
		while (waiter != NULL && !id_equal(&waiter->id, id))
			waiter = waiter->next;
		if (waiter == NULL)
			return;
		executions_unawait(executions, waiter);
		waiter->ended(waiter->userdata, record, why);
	} while (true);
}

void executions_on_lost(struct executions *executions, const struct record *record)
{
	tell_waiters(executions, &record->id, record, "");
}

static bool is_owned(const struct executions *executions, const struct id *id)
{
	const struct execution_waiter *waiter = executions->waiters;

	while (waiter != NULL && !(waiter->owns && id_equal(&waiter->id, id)))
		waiter = waiter->next;
	return waiter != NULL;
}

bool executions_is_orphan(struct executions *executions, const struct id *id)
{
	const struct execution *execution = execution_find(executions, id);

	return execution != NULL && execution->attached && execution->client == NULL;
}

static void end_if_orphan(void *member, void *context)
{
	struct execution *execution = member;
	struct executions *executions = context;
	const struct id *id = &execution->record.id;

	if (executions_is_orphan(executions, id) && !is_owned(executions, id))
		executions_detach(executions, id);
}

void executions_end_orphans(struct executions *executions)
{
	id_table_each(&executions->table, end_if_orphan, executions);
}

void executions_forget_unknown(struct executions *executions)
{
	struct execution_waiter *waiter;

	do {
		waiter = executions->waiters;
		while (waiter != NULL && executions_runs(executions, &waiter->id))
			waiter = waiter->next;
		if (waiter != NULL) {
			/* Whoever is told frees it, and others wait for the same one. */
			const struct id id = waiter->id;

			tell_waiters(executions, &id, NULL, "");
		}
	} while (waiter != NULL);
}

bool executions_has_started(struct executions *executions, const struct id *id)
{
	const struct execution *execution = execution_find(executions, id);

	return execution != NULL && execution->executed;
}

bool executions_lack_room(const struct tn_error *refusal)
{
	/* The same code with EAGAIN is about tasks_max. */
	return refusal->code == TN_QUOTA && refusal->sys_errno != EAGAIN;
}

static void execution_refused(struct executions *executions, struct execution *execution,
                              const struct tn_error *why)
{
	const struct execution_client *client = execution->client;
	struct tenant *tenant = execution->tenant;
	const bool room = !is_join(execution) && !executions_lack_room(why);
	struct id id = execution->record.id;
	void *userdata = execution->userdata;

	execution_drop(executions, execution);
	if (client != NULL)
		client->refused(userdata, why);
	tell_waiters(executions, &id, NULL, "");
	executions->config.left(executions->config.userdata, tenant, room);
}

/* An execution that was launched before this controller began. */
static struct execution *execution_adopt(struct executions *executions, const struct id *id,
                                         const struct id *joins, const struct id *tenant_id)
{
	struct execution *execution = NULL;
	struct tenant *tenant;
	struct tn_error err = { 0 };
	char text[ID_TEXT_BYTES];
	int r = tenants_get_by_id(executions->config.tenants, tenant_id, &tenant, &err);

	if (r == 0)
		r = execution_add(executions, id, joins, tenant, &execution, &err);
	if (r == 0)
		return execution;
	id_format(id, text);
	log_event(LOG_ERR, "tenantd reports an execution that cannot be taken over",
	          LF_STR("execution", text), LF_STR("error", err.msg), LF_END);
	return NULL;
}

/* What runs is held by the present policy, also if that changed while nobody was here. */
static void execution_adopted(struct executions *executions, struct execution *execution)
{
	struct tn_error err = { 0 };

	if (tenants_apply(executions->config.tenants, execution->tenant, &err) < 0)
		log_event(LOG_ERR, "limits of a tenant could not be set",
		          LF_STR("tenant", execution->record.tenant_name),
		          LF_STR("error", err.msg), LF_END);
}

static void execution_keep(struct executions *executions, const struct record *record)
{
	struct tn_error err = { 0 };

	if (journal_add(executions->config.journal, record, &err) < 0)
		log_event(LOG_ERR, "a record could not be kept; tenantd still has it",
		          LF_STR("tenant", record->tenant_name), LF_STR("error", err.msg),
		          LF_END);
}

/* A waiter that cannot be reached goes later. */
static void tell_owners_started(const struct executions *executions, const struct id *id)
{
	for (struct execution_waiter *waiter = executions->waiters; waiter != NULL;
	     waiter = waiter->next)
		if (waiter->owns && id_equal(&waiter->id, id))
			waiter->started(waiter->userdata);
}

/* Who wanted a command that joins; of an execution itself this says nothing. */
static void joined_keep(struct record *record, const struct spec_joined *joined)
{
	if (id_is_none(&record->joins))
		return;
	record->asked_uid = joined->asked_uid;
	record->asked_pid = joined->asked_pid;
}

void executions_on_started(struct executions *executions, const struct spec_started *started,
                           int terminal)
{
	struct execution *execution = execution_find(executions, &started->execution);
	struct record *record;

	if (execution == NULL && started->error.code == TN_OK && started->head.serial == 0)
		execution = execution_adopt(executions, &started->execution,
		                            &started->joined.joins, &started->tenant);
	if (execution == NULL)
		return;
	if (started->error.code != TN_OK) {
		execution_refused(executions, execution, &started->error);
		return;
	}
	if (!execution->planned) {
		execution->attached = started->attached != 0;
		if (!is_join(execution))
			execution_adopted(executions, execution);
	}
	if (started->not_executed != 0)
		return;
	record = &execution->record;
	record->started_at = started->started_unix_usec;
	joined_keep(record, &started->joined);
	record_hash_format(started->policy_hash, sizeof(started->policy_hash),
	                   record->policy_hash);
	execution->executed = true;
	record->by = execution->launched_by;
	execution_keep(executions, record);
	if (execution->client != NULL)
		execution->client->started(execution->userdata, record, terminal);
	tell_owners_started(executions, &record->id);
}

void executions_on_exited(struct executions *executions, const struct spec_exited *exited)
{
	struct execution *execution = execution_find(executions, &exited->execution);
	char why[OUTCOME_TEXT_BYTES_MAX];
	const struct execution_client *client;
	struct tenant *tenant;
	struct record record;
	void *userdata;
	bool room;

	if (execution == NULL)
		execution = execution_adopt(executions, &exited->execution,
		                            &exited->joined.joins, &exited->tenant);
	if (execution == NULL)
		return;
	room = !is_join(execution);
	record = execution->record;
	joined_keep(&record, &exited->joined);
	outcome_record(exited, &record);
	record.by = record.reason == REASON_KILLED ? execution->killed_by : ACTOR_NONE;
	outcome_explain(exited, &record, execution->planned ? &execution->plan : NULL, why);
	client = execution->client;
	tenant = execution->tenant;
	if (record.reason == REASON_QUOTA && tenant->exhausted.is)
		(void)snprintf(why, sizeof(why), "killed by %s", tenant->exhausted.text);
	userdata = execution->userdata;
	execution_drop(executions, execution);
	execution_keep(executions, &record);
	if (client != NULL)
		client->exited(userdata, &record, why);
	tell_waiters(executions, &record.id, &record, why);
	executions->config.left(executions->config.userdata, tenant, room);
}

void executions_settled(struct executions *executions, const struct record *record)
{
	struct spec_settled settled = { .execution = record->id };
	struct supervisor_request request = SUPERVISOR_REQUEST(SPEC_SETTLED, &settled);
	struct tn_error err = { 0 };

	/* tenantd repeats what it does not hear of. */
	(void)supervisor_send(executions->config.link, &request, &err);
}
