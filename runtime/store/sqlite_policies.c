/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Policies that were accepted, whole: what is in force can be had back when the files are
 * wrong or gone. The files of one policy are kept once, however often it came to hold.
 */
#include <stdlib.h>
#include <string.h>

#include "sqlite.h"

enum policies_statement {
	POLICIES_INSERT,
	POLICIES_FILE_INSERT,
	POLICIES_FORGET,
	POLICIES_FILES_FORGET,
	POLICIES_BEFORE,
	POLICIES_FILES_COUNT,
	POLICIES_FILE,
	POLICIES_STATEMENTS_N,
};

static const char *const sql[POLICIES_STATEMENTS_N] = {
	[POLICIES_INSERT] = "INSERT INTO policies (hash, accepted_at, accepted_by, instead_of) "
			    "VALUES (?1, ?2, ?3, ?4)",
	[POLICIES_FILE_INSERT] =
		"INSERT INTO policy_files (hash, place, name, text) VALUES (?1, ?2, ?3, ?4) "
		"ON CONFLICT DO NOTHING",
	[POLICIES_FORGET] = "DELETE FROM policies WHERE seq <= "
			    "(SELECT max(seq) FROM policies) - ?1",
	[POLICIES_FILES_FORGET] = "DELETE FROM policy_files WHERE hash NOT IN "
				  "(SELECT hash FROM policies)",
	[POLICIES_BEFORE] =
		"SELECT seq, hash, accepted_at, accepted_by, instead_of FROM policies "
		"WHERE seq < ?1 ORDER BY seq DESC LIMIT 1",
	[POLICIES_FILES_COUNT] = "SELECT count(*) FROM policy_files WHERE hash = ?1",
	[POLICIES_FILE] = "SELECT name, text FROM policy_files WHERE hash = ?1 AND place = ?2",
};

static_assert(POLICIES_STATEMENTS_N <= SQLITE_STATEMENTS_MAX, "room for every statement");

int sqlite_policies_prepare(struct sqlite *sqlite, struct tn_error *err)
{
	return db_prepare(sqlite->db, sql, POLICIES_STATEMENTS_N, sqlite->policies, err);
}

static int files_insert(struct sqlite *sqlite, const char *hash, const struct policy *policy,
                        struct tn_error *err)
{
	const struct policy_file *file;
	int r = 0;

	for (size_t i = 0; r == 0 && (file = policy_file_at(policy, i)) != NULL; i++)
		r = db_run(sqlite->policies[POLICIES_FILE_INSERT],
		           DB_VALUES(DB_TEXT(hash), DB_INT((int64_t)i), DB_TEXT(file->name),
		                     DB_BLOB(file->text, file->n)),
		           err);
	return r;
}

static int insert(struct sqlite *sqlite, const struct store_policy *row,
                  const struct policy *policy, struct tn_error *err)
{
	int r = db_run(sqlite->policies[POLICIES_INSERT],
	               DB_VALUES(DB_TEXT(row->hash), DB_INT(row->accepted_at),
	                         DB_INT(row->accepted_by), DB_TEXT(row->instead_of)),
	               err);

	if (r == 0)
		r = files_insert(sqlite, row->hash, policy, err);
	if (r == 0)
		r = db_run(sqlite->policies[POLICIES_FORGET],
		           DB_VALUES(DB_INT(STORE_POLICIES_MAX)), err);
	if (r == 0)
		r = db_run(sqlite->policies[POLICIES_FILES_FORGET], DB_VALUES(DB_END), err);
	return r;
}

int sqlite_policy_insert(struct store *store, const struct store_policy *row,
                         const struct policy *policy, const struct event *event,
                         struct tn_error *err)
{
	struct sqlite *sqlite = sqlite_of(store);
	int r = sqlite_begin_durable(sqlite, err);

	if (r < 0)
		return r;
	r = insert(sqlite, row, policy, err);
	if (r == 0)
		r = sqlite_event_put(sqlite, event, err);
	return sqlite_end(sqlite, r, err);
}

int sqlite_policy_before(struct store *store, int64_t seq, struct store_policy *ret,
                         struct tn_error *err)
{
	struct db_statement *s = sqlite_of(store)->policies[POLICIES_BEFORE];
	int r = db_row(s, DB_VALUES(DB_INT(seq)), err);

	if (r != 1)
		return r;
	*ret = (struct store_policy){ .seq = db_int(s, 0),
		                      .accepted_at = db_int(s, 2),
		                      .accepted_by = db_int(s, 3) };
	db_text(s, 1, ret->hash, sizeof(ret->hash));
	db_text(s, 4, ret->instead_of, sizeof(ret->instead_of));
	db_done(s);
	return 1;
}

/* Owned. 0, or -errno. */
static int file_get(struct sqlite *sqlite, const char *hash, size_t place,
                    struct policy_file *ret, struct tn_error *err)
{
	struct db_statement *s = sqlite->policies[POLICIES_FILE];
	int r = db_row(s, DB_VALUES(DB_TEXT(hash), DB_INT((int64_t)place)), err);
	const void *text;

	if (r < 0)
		return r;
	if (r == 0)
		return err_refuse(err, TN_SYSTEM, "policy %.12s: a file of it is not there",
		                  hash);
	text = db_blob_borrow(s, 1, &ret->n);
	ret->text = malloc(ret->n + 1);
	if (ret->text != NULL && text != NULL)
		memcpy(ret->text, text, ret->n);
	db_text(s, 0, ret->name, sizeof(ret->name));
	db_done(s);
	return ret->text == NULL ? err_set(err, TN_SYSTEM, ENOMEM, "read a policy") : 0;
}

static int files_count(struct sqlite *sqlite, const char *hash, size_t *ret,
                       struct tn_error *err)
{
	struct db_statement *s = sqlite->policies[POLICIES_FILES_COUNT];
	int r = db_row(s, DB_VALUES(DB_TEXT(hash)), err);

	if (r != 1)
		return r;
	*ret = (size_t)db_int(s, 0);
	db_done(s);
	return *ret > 0;
}

int sqlite_policy_by_hash(struct store *store, const char *hash, struct policy **ret,
                          struct tn_error *err)
{
	struct sqlite *sqlite = sqlite_of(store);
	struct policy_file *files;
	size_t n = 0, read_n = 0;
	int r = files_count(sqlite, hash, &n, err);

	if (r != 1)
		return r;
	files = calloc(n, sizeof(*files));
	if (files == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "read a policy");
	for (r = 0; r == 0 && read_n < n; read_n++)
		r = file_get(sqlite, hash, read_n, &files[read_n], err);
	if (r == 0)
		r = policy_build(files, n, ret, err);
	for (size_t i = 0; i < n; i++)
		free(files[i].text);
	free(files);
	return r < 0 ? r : 1;
}
