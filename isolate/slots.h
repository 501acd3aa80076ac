/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The slot table: which range of ids, which directory and which cgroup name belong to
 * which tenant. Only root writes it and tenantd alone reads it, so that whoever speaks
 * to tenantd can name a tenant by its id and nothing more.
 *
 * The file is an array of fixed records, one per slot; taking or freeing a slot writes
 * one record within one disk sector and syncs it before the answer.
 */
#ifndef ISOLATE_SLOTS_H
#define ISOLATE_SLOTS_H

#include <stdint.h>

#include <base/err.h>
#include <base/id.h>
#include <base/name.h>

struct slots;

/* Open or create the table @path, for at most @slots_max tenants. */
int slots_open(const char *path, int64_t slots_max, struct slots **ret, struct tn_error *err);

/* Accepts NULL, returns NULL. */
struct slots *slots_close(struct slots *slots);

/* The slot of @tenant, or -ENOENT. */
int64_t slots_find(const struct slots *slots, const struct id *tenant);

/* The name in slot @slot, which is taken. */
const char *slots_name(const struct slots *slots, int64_t slot);

/*
 * The slot of @tenant, a free one taken for it if it has none. Refused if the tenant
 * stands there under another name, another living tenant has the name, or all are taken.
 */
int64_t slots_take(struct slots *slots, const struct id *tenant, const char *name,
                   struct tn_error *err);

/*
 * The tenant of @slot is no more, but files with its ids are. The slot stays taken, without a
 * name, and slots_find() does not find it.
 */
int slots_retire(struct slots *slots, int64_t slot, struct tn_error *err);

/* The first slot from @from on that a tenant has and whose it is, or -ENOENT. */
int64_t slots_taken(const struct slots *slots, int64_t from, struct id *ret);

/* The first retired slot from @from on and whose it was, or -ENOENT. */
int64_t slots_retired(const struct slots *slots, int64_t from, struct id *ret);

/* Give @slot back. The caller has removed whatever carried its ids. */
int slots_free(struct slots *slots, int64_t slot, struct tn_error *err);

#endif
