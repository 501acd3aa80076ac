/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tenants that have been read, by id and by name. An entry stays where it is until it is
 * dropped, so others may point to it.
 */
#ifndef RUNTIME_TENANT_CACHE_H
#define RUNTIME_TENANT_CACHE_H

#include <base/err.h>

#include "tenants.h"

/* Zeroed: empty. */
struct tenant_cache {
	void *by_id; /* trees of struct tenant, see tsearch(3) */
	void *by_name;
};

void tenant_cache_done(struct tenant_cache *cache);

/* Takes over @row, which is zeroed; on failure it stays the caller's. One that has been deleted
 * is found by its id alone. */
int tenant_cache_add(struct tenant_cache *cache, struct tenant_row *row, struct tenant **ret,
                     struct tn_error *err);
void tenant_cache_drop(struct tenant_cache *cache, struct tenant *tenant);
/* Its name is somebody else's from now on, or nobody's. */
void tenant_cache_forget_name(struct tenant_cache *cache, const struct tenant *tenant);

/* NULL if it is not here. */
struct tenant *tenant_cache_by_id(const struct tenant_cache *cache, const struct id *id);
struct tenant *tenant_cache_by_name(const struct tenant_cache *cache, const char *name);

/* Of those that @matches, the one with the next id after @after, or the first if that is
 * NULL; NULL at the end. Looks at every entry: for what is rare. */
struct tenant *tenant_cache_next(const struct tenant_cache *cache, const struct id *after,
                                 bool (*matches)(const struct tenant *tenant));

#endif
