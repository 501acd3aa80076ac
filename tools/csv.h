/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Cells of CSV, as RFC 4180 has it, on standard output. Commas and ends of lines are the
 * caller's. */
#ifndef TOOLS_CSV_H
#define TOOLS_CSV_H

#include <stdint.h>

/* In quotes, and these doubled, if anything in it takes that. NULL is an empty cell. */
void csv_text(const char *text);

/* In UTC: whole seconds, and what there is of them beyond. Empty for TN_ABSENT. */
void csv_instant(int64_t unix_usec);

#endif
