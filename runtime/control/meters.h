/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tenants' own sockets: on each the workloads of one tenant meter themselves, and nobody
 * else. tenantd makes them and hands them over; whom one is of is known by which it is.
 *
 * Their peers are hostile for all we know, so a tenant is bounded as a whole and not by the
 * connection. All of its connections are in a loop of its own within ours, which has one turn
 * in a round as any other source has: however many there are and whatever they send, others
 * wait for a few calls of it. What it has us do beyond a burst it gets at a quarter of a
 * processor, and what it has us keep for a day at METER_KEPT_PER_SEC; when that is used up it
 * waits, and no call is lost by it.
 */
#ifndef RUNTIME_CONTROL_METERS_H
#define RUNTIME_CONTROL_METERS_H

#include <base/err.h>
#include <base/id.h>

#define METER_CONNECTIONS_MAX 16 /* of a tenant; whoever else comes waits in the backlog */
#define METER_MSG_BYTES_MAX   4096
#define METER_DEPTH_MAX       4
#define METER_CALLS_MAX       4 /* of a connection in one turn */
#define METER_SNDBUF_BYTES    16384
#define METER_SHARE           4 /* a tenant has one part of so many of a processor */
#define METER_BURST_USEC      50000
#define METER_KEPT_PER_SEC    100 /* keys, and what a gauge's thresholds tell */
#define METER_KEPT_BURST      10000
#define METER_SLOW_USEC_MAX   INT64_C(10000000) /* for half a call, or an answer to be read */
#define METER_IDLE_USEC_MAX   INT64_C(60000000)
#define METER_SPARE_USEC      INT64_C(100000) /* so long idle, it gives way to who waits */
#define METER_LOG_MAX         4 /* refusals of a tenant that are logged in METER_LOG_USEC */
#define METER_LOG_USEC        INT64_C(60000000)

struct batch;
struct context;
struct meters;

/* Both are borrowed; @batch is that of the control socket. */
int meters_new(struct meters **ret, struct context *context, struct batch *batch,
               struct tn_error *err);
/* Closes every connection. Accepts NULL. Always returns NULL. */
struct meters *meters_free(struct meters *meters);

/* Serve @listen_fd, which is consumed, also on failure, as the socket of @tenant. */
int meters_add(struct meters *meters, const struct id *tenant, int listen_fd,
               struct tn_error *err);
/* There is none any more. */
void meters_drop(struct meters *meters, const struct id *tenant);

#endif
