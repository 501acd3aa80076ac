/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Refused calls as events, bounded: a call costs a peer nothing, so that it must not fill the
 * disk by being refused.
 *
 * The first refusal of a kind is told at once. Kinds differ in who was refused (uid), in the
 * error, and in the tenant. Further ones of that kind are counted for a minute and then told as
 * one event, with their number. Beyond REFUSALS_KINDS_MAX kinds within a minute all others are
 * counted together. So there are at most 2 * REFUSALS_KINDS_MAX + 1 a minute.
 */
#ifndef RUNTIME_REFUSALS_H
#define RUNTIME_REFUSALS_H

#include "journal.h"

#define REFUSALS_KINDS_MAX   32
#define REFUSALS_PERIOD_USEC INT64_C(60000000)

struct refusals;

struct refusal {
	struct actor actor;              /* who was */
	const struct tn_error *why;      /* what was answered */
	const char *method;              /* what was asked for */
	const struct tenant_row *tenant; /* NULL: none, or none that there is */
};

/* Both are borrowed. */
int refusals_new(struct refusals **ret, struct loop *loop, struct journal *journal,
                 struct tn_error *err);
/* Accepts NULL. Always returns NULL. */
struct refusals *refusals_free(struct refusals *refusals);

/* Whether an answer of this code is a refusal: of the asker, of its amount, or at this time. */
bool refusals_counts(int32_t code);
void refusals_note(struct refusals *refusals, const struct refusal *refusal);

/* Tell of those that were only counted. */
void refusals_flush(struct refusals *refusals);

#endif
