/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tables that parse quotas, meters and price books say of a key, for what else is made
 * of them. Private to policy/. */
#ifndef POLICY_ROWS_H
#define POLICY_ROWS_H

#include <stdbool.h>
#include <stddef.h>

struct row_about {
	const char *key;
	const char *about;
	const char *const *choices; /* all it may be, NULL-ended; or */
	const char *schema;         /* members of a JSON object; or neither: an amount */
};

/* Key @i of a quota, of a meter's declaration, at the top of a price book, or of one price. */
bool quota_row_at(size_t i, struct row_about *ret);
bool meter_row_at(size_t i, struct row_about *ret);
bool book_row_at(size_t i, struct row_about *ret);
bool price_row_at(size_t i, struct row_about *ret);

#endif
