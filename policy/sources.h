/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The files of a policy as they lie in its directory. Private to policy/. */
#ifndef POLICY_SOURCES_H
#define POLICY_SOURCES_H

#include <stdbool.h>

#include "policy.h"

/* All zero is none. */
struct sources {
	struct policy_file *files; /* each text owned */
	size_t n, max;
};

/*
 * Read all of @dir that is policy, in the order in which it holds: tiers by name, each before
 * its drop-ins by theirs, then what there is of meters.yaml, tenantd.yaml, and price books by
 * name. Refuses as policy_load() does what is not to be believed; what
 * the files say is not looked at.
 */
int sources_read(const char *dir, struct sources *ret, struct tn_error *err);

/* Room for one more, zeroed; it is not there until @n counts it. */
struct policy_file *sources_add(struct sources *sources, struct tn_error *err);

/* Give @file a copy of the @n bytes of @text. */
int sources_text_set(struct policy_file *file, const char *text, size_t n,
                     struct tn_error *err);

/* Give the file of @file's name a copy of its text; one that is not there comes to where it
 * would have been read. */
int sources_put(struct sources *sources, const struct policy_file *file, struct tn_error *err);

void sources_done(struct sources *sources);

/* Whether @file is named as a policy's are, and whose it is: "tiers/free.d/memory.yaml". */
bool sources_is_of_tier(const char *file, char ret_tier[NAME_BYTES_MAX], bool *ret_dropin);

/* Whether @file is named as a price book's is, and whose: "prices/standard.yaml". */
bool sources_is_book(const char *file, char ret_book[NAME_BYTES_MAX]);

#endif
