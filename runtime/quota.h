/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Quotas on what applications meter: to look whether an amount fits and to take it is one step.
 *
 * All of it happens here, one operation after the other, on figures that are kept in memory;
 * what has been taken in a turn of the loop is written in one transaction at its end, and
 * nobody is answered before. So no two callers get the same remainder, and what was accepted
 * survives the death of any of our processes. If the transaction fails nothing of it has
 * happened: what is in memory is thrown away and read again.
 *
 * A quota's period is computed from the instant of the question. Amounts are whole numbers from
 * 1 to 2^63 - 1; what would not fit into that is refused, never wrapped.
 *
 * An operation under a key is done once: who asks again within METERING_KEY_USEC gets the first
 * answer. A refusal is not kept, because it took nothing. The same key for something else is
 * TN_CONFLICT.
 */
#ifndef RUNTIME_QUOTA_H
#define RUNTIME_QUOTA_H

#include "calendar.h"
#include "store/store.h"

#define QUOTA_WARN_MAX             8
#define QUOTA_RESERVATIONS_MAX     4096 /* of one meter of a tenant */
#define QUOTA_RESERVATION_USEC_MAX (INT64_C(7) * 86400 * 1000000)

struct quotas;

struct quotas_config {
	struct store *store; /* borrowed */
	const char *boot_id; /* borrowed */
	/* Something has been written that is to be made durable. */
	void (*written)(void *userdata);
	void *userdata;
};

int quotas_new(struct quotas **ret, const struct quotas_config *config, struct tn_error *err);
/* What waits to be written is lost: see quotas_commit(). Accepts NULL. Returns NULL. */
struct quotas *quotas_free(struct quotas *quotas);

/* What holds for a meter of a tenant at an instant. */
struct quota_rule {
	struct meter meter;
	bool limited; /* there is a quota on it, which all of the rest is about */
	bool hard;
	int64_t limit;
	struct calendar_span span;    /* of a counter; all of time without a quota */
	int64_t warn[QUOTA_WARN_MAX]; /* percent, ascending */
	size_t warn_n;
};

struct quota_request {
	enum metering_op op;
	const struct tenant_row *tenant;
	struct quota_rule rule;
	int64_t amount;
	const char *key;       /* NULL: none */
	struct id reservation; /* METERING_COMMIT, METERING_RELEASE */
	struct id execution;   /* whose end gives a gauge back; none: nobody's */
	int64_t expires_usec;  /* METERING_RESERVE: from now */
	bool lease;            /* METERING_RESERVE */
	int64_t now;           /* microseconds since the epoch */
	int64_t boottime;      /* of CLOCK_BOOTTIME */
};

struct quota_answer {
	bool repeated;    /* it was done before, under its key */
	int64_t limit;    /* LEDGER_ABSENT: there is none */
	int64_t used;     /* in the period, or held; with this */
	int64_t reserved; /* with this */
	struct id reservation;
};

/*
 * Do @request, to be written by the next quotas_commit(). TN_QUOTA if it does not fit, and then
 * *ret says what there is; TN_NOT_FOUND for a reservation that there is not, or not any more;
 * TN_STATE to give back more than is held.
 */
int quotas_do(struct quotas *quotas, const struct quota_request *request,
              struct quota_answer *ret, struct tn_error *err);

/*
 * Of which meter of @tenant the reservation @id is: 1 and its name, or 0. Of one that is no
 * more it is still known if what became of it was answered under @key, which may be NULL.
 */
int quotas_reserved_of(struct quotas *quotas, const struct id *tenant, const struct id *id,
                       const char *key, char ret[METER_NAME_BYTES_MAX], struct tn_error *err);

/* @used of @request's meter have been used in its period, as the kernel measures: thresholds
 * that are reached are told of. */
void quotas_observe(struct quotas *quotas, const struct quota_request *request, int64_t used);

/* What there is of @request's meter: only its tenant, rule and clocks count. */
int quotas_look(struct quotas *quotas, const struct quota_request *request,
                struct quota_answer *ret, struct tn_error *err);

/* TN_INVALID for what is no amount, no key, or not to be asked of such a meter. */
int quota_request_check(const struct quota_request *request, struct tn_error *err);

/* Write what has been done since the last time; all of it has happened, or on failure none. */
int quotas_commit(struct quotas *quotas, struct tn_error *err);

/* What has been observed is written; if that fails, it is quotas_commit() that says so. */
void quotas_settle(struct quotas *quotas);

/* An execution of @tenant has ended and holds nothing any more, as the store has it already:
 * what is held is read anew. What waits is written before; if that fails, it is quotas_commit()
 * that says so. */
void quotas_given_back(struct quotas *quotas, const struct id *tenant);

#endif
