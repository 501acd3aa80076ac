/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tenant_cache.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

static int compare_ids(const void *a, const void *b)
{
	const struct tenant *ta = a;
	const struct tenant *tb = b;

	return memcmp(&ta->row.id, &tb->row.id, sizeof(ta->row.id));
}

static int compare_names(const void *a, const void *b)
{
	const struct tenant *ta = a;
	const struct tenant *tb = b;

	return strcmp(ta->row.name, tb->row.name);
}

static void tenant_free(void *p)
{
	struct tenant *tenant = p;

	if (tenant != NULL) {
		tenant_row_done(&tenant->row);
		free(tenant->own);
	}
	free(tenant);
}

static void tenant_keep(void *p)
{
	(void)p;
}

void tenant_cache_done(struct tenant_cache *cache)
{
	tdestroy(cache->by_name, tenant_keep);
	tdestroy(cache->by_id, tenant_free);
	*cache = (struct tenant_cache){ NULL, NULL };
}

int tenant_cache_add(struct tenant_cache *cache, struct tenant_row *row, struct tenant **ret,
                     struct tn_error *err)
{
	struct tenant *tenant = calloc(1, sizeof(*tenant));

	if (tenant == NULL)
		return err_errno(err, "keep tenant '%s'", row->name);
	tenant->row = *row;
	if (tsearch(tenant, &cache->by_id, compare_ids) == NULL)
		goto undo;
	/* A name is that of the living. */
	if (tenant->row.status != TENANT_DELETED &&
	    tsearch(tenant, &cache->by_name, compare_names) == NULL) {
		(void)tdelete(tenant, &cache->by_id, compare_ids);
		goto undo;
	}
	*row = (struct tenant_row){ 0 };
	*ret = tenant;
	return 0;

undo:
	free(tenant);
	return err_set(err, TN_SYSTEM, ENOMEM, "keep tenant '%s'", row->name);
}

void tenant_cache_forget_name(struct tenant_cache *cache, const struct tenant *tenant)
{
	if (tenant_cache_by_name(cache, tenant->row.name) == tenant)
		(void)tdelete(tenant, &cache->by_name, compare_names);
}

void tenant_cache_drop(struct tenant_cache *cache, struct tenant *tenant)
{
	tenant_cache_forget_name(cache, tenant);
	(void)tdelete(tenant, &cache->by_id, compare_ids);
	tenant_free(tenant);
}

static struct tenant *cache_find(void *const *tree, const struct tenant *key,
                                 int (*compare)(const void *, const void *))
{
	/* A node of tsearch(3) begins with a pointer to the element. */
	struct tenant *const *found = tfind(key, tree, compare);

	return found != NULL ? *found : NULL;
}

struct tenant *tenant_cache_by_id(const struct tenant_cache *cache, const struct id *id)
{
	struct tenant key = { .row.id = *id };

	return cache_find(&cache->by_id, &key, compare_ids);
}

struct tenant *tenant_cache_by_name(const struct tenant_cache *cache, const char *name)
{
	struct tenant key = { 0 };

	(void)snprintf(key.row.name, sizeof(key.row.name), "%s", name);
	return cache_find(&cache->by_name, &key, compare_names);
}

struct search {
	const struct id *after;
	bool (*matches)(const struct tenant *tenant);
	struct tenant *found;
};

static void search_visit(const void *node, VISIT visit, void *closure)
{
	struct tenant *tenant = *(struct tenant *const *)node;
	struct search *search = closure;

	/* Each node comes up to three times; in order it is these. */
	if ((visit != postorder && visit != leaf) || search->found != NULL)
		return;
	if (search->after != NULL &&
	    memcmp(&tenant->row.id, search->after, sizeof(*search->after)) <= 0)
		return;
	if (search->matches(tenant))
		search->found = tenant;
}

struct tenant *tenant_cache_next(const struct tenant_cache *cache, const struct id *after,
                                 bool (*matches)(const struct tenant *tenant))
{
	struct search search = { after, matches, NULL };

	twalk_r(cache->by_id, search_visit, &search);
	return search.found;
}
