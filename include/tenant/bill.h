/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * What a tenant has to pay. Conventions as in client.h.
 *
 * A bill is made of what the daemon's ledger has of a billing period and of the price books of
 * the tenant's currency: the same of both make the same bill, whenever it is asked for. Amounts
 * are whole numbers of the currency's minor unit; a unit of it has 10^exponent of them.
 */
#ifndef TENANT_BILL_H
#define TENANT_BILL_H

#include <tenant/client.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What a newer daemon may say beyond these is read as the last. */
enum tn_bill_state {
	TN_BILL_OPEN,  /**< the period goes on: there is in it what was used until booked_until
	                */
	TN_BILL_ENDED, /**< nothing is ever booked in it again */
	/** It is over, but for an hour more what is told late of it may still be booked in it.
	 */
	TN_BILL_CLOSING,
	TN_BILL_UNKNOWN,
};

/** Of one period. */
struct tn_bill {
	void *owner; /**< private */
	const char *tenant;
	const char *tenant_id;
	const char *period; /**< "2026-11", or its first day: see tenantctl(1) */
	int64_t start;
	int64_t end;
	enum tn_bill_state state;
	int64_t booked_until;
	const char *currency; /**< "EUR" */
	int64_t exponent;     /**< 2 of EUR, 0 of JPY, 3 of KWD */
	int64_t subtotal;     /**< of all lines, in minor units */
	/** Files of the books that hold in the period, and the SHA-256 of each, in hexadecimal.
	 */
	struct tn_pairs books;
};

/** What was used of a meter in a part of the period that one book holds for, or none. */
struct tn_bill_line {
	void *owner; /**< private */
	const char *meter;
	const char *
		unit; /**< that it is counted in; NULL: the policy has no such meter any more */
	int64_t start;
	int64_t end;
	int64_t quantity;
	const char *price;  /**< as the book has it: "0.036"; NULL: there is none for it */
	int64_t per;        /**< units of the meter that it is for, or TN_ABSENT */
	int64_t amount;     /**< in minor units, rounded half away from zero, or TN_ABSENT */
	const char *book;   /**< its name; NULL: none holds then */
	const char *source; /**< "prices/standard-2026.yaml:6", or NULL */
};

TN_API const struct tn_field *tn_bill_fields(void);
TN_API const struct tn_field *tn_bill_line_fields(void);
TN_API void tn_bill_done(struct tn_bill *bill);
TN_API void tn_bill_line_done(struct tn_bill_line *bill_line);

/** Called with each; return 0 to go on, anything else to end. It must not use the client. */
typedef int tn_bill_line_fn(const struct tn_bill_line *line, void *userdata);

/**
 * The bill of @tenant for a period, @period, "2026-11" or its first day, "2026-11-15", or the
 * present one for NULL.
 *
 * @ret   Receives it, before the first line; release it with tn_bill_done().
 * @each  Called with each line, in the order of parts and books; NULL: only the bill.
 *
 * TN_NOT_FOUND if there is no such tenant; TN_INVALID if there is no such period, or not yet;
 * TN_STATE if no price book of the tenant's currency holds in it.
 */
TN_API int tn_bill(struct tn_client *client, const char *tenant, const char *period,
                   struct tn_bill *ret, tn_bill_line_fn *each, void *userdata,
                   struct tn_error *err);
TN_API int tn_bill_start(struct tn_client *client, const char *tenant, const char *period,
                         struct tn_bill *ret, tn_bill_line_fn *each, void *userdata,
                         struct tn_error *err);

#ifdef __cplusplus
}
#endif

#endif
