/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "batch.h"

#include <errno.h>
#include <stdlib.h>

#include "connection.h"

struct batch {
	struct context *context;
	struct loop_source *end;
	struct waiting *first;
	struct waiting **last;
	bool durable;
};

struct waiting {
	struct waiting *next;
	struct call *call;
	json_t *reply;   /* counts when it is written */
	json_t *refusal; /* the whole message, whatever becomes of the rest */
};

static void waiting_free(struct waiting *waiting)
{
	json_decref(waiting->reply);
	json_decref(waiting->refusal);
	free(waiting);
}

/* Answers to one connection that follow one another are sent as one. */
static void waiting_answer(struct waiting *waiting, const struct tn_error *unwritten)
{
	struct call *call = waiting->call;
	struct connection *connection = call->connection;
	json_t *reply = waiting->reply, *refusal = waiting->refusal;

	waiting->reply = waiting->refusal = NULL;
	if (connection != NULL)
		connection->more_follow = waiting->next != NULL &&
		                          waiting->next->call->connection == connection;
	if (refusal != NULL) {
		call_refuse(call, refusal);
	} else if (unwritten != NULL) {
		json_decref(reply);
		call_fail(call, unwritten);
	} else {
		call_reply(call, reply);
	}
}

static int batch_write(struct batch *batch, struct tn_error *err)
{
	struct context *context = batch->context;
	int r = quotas_commit(context->quotas, err);

	if (r == 0 && batch->durable)
		r = context->store->ops->sync(context->store, err);
	batch->durable = false;
	return r;
}

static void batch_end(void *userdata, uint32_t events)
{
	struct batch *batch = userdata;
	struct tn_error err = { 0 };
	const int r = batch_write(batch, &err);
	struct waiting *waiting = batch->first;

	(void)events;
	/* With an answer the next message has its turn, which may come to wait here. */
	batch->first = NULL;
	batch->last = &batch->first;
	while (waiting != NULL) {
		struct waiting *next = waiting->next;

		waiting_answer(waiting, r < 0 ? &err : NULL);
		waiting_free(waiting);
		waiting = next;
	}
}

int batch_new(struct batch **ret, struct context *context, struct tn_error *err)
{
	struct batch *batch = calloc(1, sizeof(*batch));
	int r;

	if (batch == NULL)
		return err_errno(err, "allocate a batch");
	batch->context = context;
	batch->last = &batch->first;
	r = loop_turn_end(context->loop, (struct loop_handler){ batch_end, batch }, &batch->end,
	                  err);
	if (r < 0) {
		free(batch);
		return r;
	}
	*ret = batch;
	return 0;
}

struct batch *batch_free(struct batch *batch)
{
	if (batch == NULL)
		return NULL;
	while (batch->first != NULL) {
		struct waiting *waiting = batch->first;

		batch->first = waiting->next;
		call_drop(waiting->call);
		waiting_free(waiting);
	}
	batch->end = loop_source_free(batch->end);
	free(batch);
	return NULL;
}

static struct waiting *batch_add(struct batch *batch, struct call *call)
{
	struct waiting *waiting = calloc(1, sizeof(*waiting));

	if (waiting == NULL)
		return NULL;
	waiting->call = call;
	*batch->last = waiting;
	batch->last = &waiting->next;
	call_set_aside(call);
	loop_arm(batch->end, 0);
	return waiting;
}

void batch_reply(struct batch *batch, struct call *call, json_t *reply, bool durable)
{
	struct waiting *waiting = reply != NULL ? batch_add(batch, call) : NULL;
	struct tn_error err;

	if (waiting != NULL) {
		waiting->reply = reply;
		batch->durable |= durable;
		return;
	}
	/* It is done all the same, and a key makes it safe to ask again. */
	json_decref(reply);
	(void)err_set(&err, TN_SYSTEM, ENOMEM, "answer a call");
	call_fail(call, &err);
}

int batch_refuse(struct batch *batch, struct call *call, json_t *refusal)
{
	struct waiting *waiting = batch_add(batch, call);

	if (waiting == NULL)
		return -ENOMEM;
	waiting->refusal = refusal;
	return 0;
}

void batch_orphan(struct batch *batch, const struct connection *connection)
{
	for (struct waiting *waiting = batch->first; waiting != NULL; waiting = waiting->next)
		if (waiting->call->connection == connection)
			waiting->call->connection = NULL;
}
