/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls on quotas that have been decided in this turn of the loop and wait for their one
 * transaction: what each is answered stands, and is sent when it is written. So a peer that
 * sends many without waiting for the answers, and many peers at once, share a commit, and
 * nobody is told of something that can still be lost.
 */
#ifndef RUNTIME_CONTROL_BATCH_H
#define RUNTIME_CONTROL_BATCH_H

#include "call.h"

/* Of one connection: then it is not read until they are answered. */
#define BATCH_CALLS_OF_ONE_MAX 512

struct batch;

int batch_new(struct batch **ret, struct context *context, struct tn_error *err);
/* Those that wait are not answered. Accepts NULL. Always returns NULL. */
struct batch *batch_free(struct batch *batch);

/* @call, which is no longer the current one of its connection, is answered with @reply, which
 * is taken over, at the end of the turn; @durable, when it is on the disk. */
void batch_reply(struct batch *batch, struct call *call, json_t *reply, bool durable);
/* @call has been refused by the whole message @refusal: it is sent in its turn, if others of
 * its connection wait, so that answers keep their order. Takes over @refusal, unless that
 * fails. */
int batch_refuse(struct batch *batch, struct call *call, json_t *refusal);

/* The connection of these calls goes. */
void batch_orphan(struct batch *batch, const struct connection *connection);

#endif
