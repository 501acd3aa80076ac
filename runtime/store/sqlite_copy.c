/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A copy of the store while it is used, beside it, a few pages at a time. */
#include "sqlite.h"

#include <string.h>
#include <unistd.h>

#include <base/fd.h>

/* As much of it as is copied in a moment, and not so little that it never ends. */
#define COPY_PAGES 64

static const char tenant_next[] = "SELECT id, name, uid_first, uid_count FROM tenants "
				  "WHERE name > ?1 AND status <> 'deleted' "
				  "ORDER BY name LIMIT 1";

int sqlite_copy_begin(struct store *store, struct tn_error *err)
{
	struct sqlite *sqlite = sqlite_of(store);
	char path[STORE_PATH_BYTES_MAX + 8];

	if (sqlite->copy != NULL)
		return err_refuse(err, TN_STATE, "the store is being copied already");
	(void)snprintf(path, sizeof(path), "%s-copy", sqlite->path);
	/* Of one that died over it. */
	(void)unlink(path);
	return db_copy_begin(sqlite->db, path, &sqlite->copy, err);
}

int sqlite_copy_step(struct store *store, struct tn_error *err)
{
	return db_copy_step(sqlite_of(store)->copy, COPY_PAGES, err);
}

int sqlite_copy_tenant_next(struct store *store, const char *after,
                            struct store_copied_tenant *ret, struct tn_error *err)
{
	struct store_copied_tenant tenant = { 0 };
	struct db_statement *s;
	char id[ID_TEXT_BYTES];
	int r = db_copy_row(sqlite_of(store)->copy, tenant_next, after, &s, err);

	if (r != 1)
		return r;
	db_text(s, 0, id, sizeof(id));
	db_text(s, 1, tenant.name, sizeof(tenant.name));
	tenant.uid_first = db_int(s, 2);
	tenant.uid_count = db_int(s, 3);
	db_done(s);
	if (id_parse(id, &tenant.id) < 0 || !name_valid(tenant.name))
		return err_set(err, TN_SYSTEM, EBADMSG, "the row of tenant '%s' is damaged",
		               tenant.name);
	*ret = tenant;
	return 1;
}

int sqlite_copy_take(struct store *store, struct tn_error *err)
{
	struct sqlite *sqlite = sqlite_of(store);
	int fd = db_copy_take(sqlite->copy, err);

	sqlite_copy_end(store);
	return fd;
}

void sqlite_copy_end(struct store *store)
{
	struct sqlite *sqlite = sqlite_of(store);

	sqlite->copy = db_copy_free(sqlite->copy);
}
