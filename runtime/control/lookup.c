/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lookup.h"

#include <base/exec_ref.h>

#include "rights.h"

/* So many are named where a beginning is that of several. */
#define CANDIDATES_MAX 4

struct candidates {
	const struct context *context;
	const struct peer *peer;
	struct id ids[CANDIDATES_MAX + 1]; /* the last only says that there are more */
	size_t n;
};

static bool candidates_full(const struct candidates *candidates)
{
	return candidates->n == CANDIDATES_MAX + 1;
}

static bool sees(const struct context *context, const struct peer *peer,
                 const struct id *tenant)
{
	struct tn_error ignored = { 0 };
	struct tenant *found;

	return peer->admin ||
	       (tenants_get_by_id(context->tenants, tenant, &found, &ignored) == 0 &&
	        rights_see(context, peer, &found->row));
}

/* What runs is in the store, too. */
static void candidate_add(void *userdata, const struct id *id, const struct id *tenant)
{
	struct candidates *candidates = userdata;

	for (size_t i = 0; i < candidates->n; i++)
		if (id_equal(&candidates->ids[i], id))
			return;
	if (!candidates_full(candidates) && sees(candidates->context, candidates->peer, tenant))
		candidates->ids[candidates->n++] = *id;
}

static int refuse_several(const char *text, const struct candidates *candidates,
                          struct tn_error *err)
{
	char list[(size_t)CANDIDATES_MAX * (ID_TEXT_BYTES + 2) + sizeof(" and others")] = "";
	char id[ID_TEXT_BYTES];
	size_t n = 0;

	for (size_t i = 0; i < candidates->n && i < CANDIDATES_MAX; i++) {
		id_format(&candidates->ids[i], id);
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i > 0 ? ", " : "",
		                      id);
	}
	return err_set(err, TN_INVALID, ENOTUNIQ, "several executions begin with %.64s: %s%s",
	               text, list, candidates_full(candidates) ? " and others" : "");
}

static int by_prefix(const struct context *context, const struct peer *peer, const char *text,
                     const char *prefix, struct id *ret, struct tn_error *err)
{
	struct candidates candidates = { .context = context, .peer = peer };
	char after[ID_TEXT_BYTES];
	struct id id, tenant;
	/* While nothing can be booked, what runs is found all the same. */
	int r = journal_commit(context->journal, NULL, err);

	executions_find_prefix(context->executions, prefix, candidate_add, &candidates);
	(void)snprintf(after, sizeof(after), "%s", prefix);
	while (r == 0 && !candidates_full(&candidates)) {
		r = context->store->ops->execution_by_prefix(context->store, prefix, after, &id,
		                                             &tenant, err);
		if (r != 1)
			break;
		candidate_add(&candidates, &id, &tenant);
		id_format(&id, after);
		r = 0;
	}
	if (r < 0 && candidates.n == 0)
		return r;
	if (candidates.n == 0)
		return err_refuse(err, TN_NOT_FOUND, "no execution begins with %.64s", text);
	if (candidates.n > 1)
		return refuse_several(text, &candidates, err);
	*ret = candidates.ids[0];
	return 0;
}

/* After a restart tenantd may have to tell yet what runs, which the store knows already. */
static int by_name(const struct context *context, const struct peer *peer,
                   const struct exec_ref *ref, struct id *ret, struct tn_error *err)
{
	const struct store_ops *ops = context->store->ops;
	struct tenant *tenant;
	int r = tenants_get(context->tenants, ref->tenant, &tenant, err);

	if (r == 0 && !sees(context, peer, &tenant->row.id))
		r = err_refuse(err, TN_NOT_FOUND, "there is no tenant '%s'", ref->tenant);
	if (r < 0)
		return r;
	if (executions_find_name(context->executions, &tenant->row.id, ref->name, ret))
		return 0;
	r = journal_commit(context->journal, NULL, err);
	if (r == 0)
		r = ops->execution_by_name(context->store, &tenant->row.id, ref->name, true,
		                           ret, err);
	if (r == 0)
		r = ops->execution_by_name(context->store, &tenant->row.id, ref->name, false,
		                           ret, err);
	if (r == 0)
		return err_refuse(err, TN_NOT_FOUND, "tenant '%s' has no execution '%s'",
		                  tenant->row.name, ref->name);
	return r < 0 ? r : 0;
}

int lookup_execution(const struct context *context, const struct peer *peer, const char *text,
                     struct id *ret, struct tn_error *err)
{
	struct exec_ref ref;

	if (exec_ref_parse(text, &ref) < 0)
		return err_refuse(err, TN_INVALID,
		                  "'%.64s' is no execution: expected " EXEC_REF_RULE, text);
	switch (ref.kind) {
	case EXEC_REF_ID:
		*ret = ref.id;
		return 0;
	case EXEC_REF_PREFIX:
		return by_prefix(context, peer, text, ref.prefix, ret, err);
	case EXEC_REF_NAME:
		break;
	}
	return by_name(context, peer, &ref, ret, err);
}

int lookup_id(const char *text, struct id *ret, struct tn_error *err)
{
	if (id_parse(text, ret) < 0)
		return err_refuse(err, TN_INVALID, "'%.64s' is no execution's id", text);
	return 0;
}
