/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "db.h"

#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <base/fd.h>

#include "wal_sync.h"

#define DB_COPY_PATH_BYTES_MAX 512
#define DB_BUSY_MSEC           5000
#define DB_STATEMENTS_MAX      128
#define DB_TIDY_IDLE_PAGES     256
#define DB_TIDY_PAGES          1000 /* of 4 KiB: more would make reads slow */

struct db_statement {
	struct db *db;
	sqlite3_stmt *stmt;
};

/* As often as anything else is done, and so prepared like that. */
enum transaction {
	TRANSACTION_BEGIN,
	TRANSACTION_COMMIT,
	TRANSACTION_N,
};

static const char *const transaction_sql[TRANSACTION_N] = {
	[TRANSACTION_BEGIN] = "BEGIN IMMEDIATE",
	[TRANSACTION_COMMIT] = "COMMIT",
};

struct db {
	sqlite3 *handle;
	struct db_statement statements[DB_STATEMENTS_MAX];
	size_t statements_n;
	struct db_statement *transaction[TRANSACTION_N]; /* of these */
	struct wal_sync sync;
	int wal_pages;
	bool durable;     /* the transaction that has begun */
	bool sync_failed; /* the last one; what it was to write is not known to be written */
};

/* SQLite's result as an errno; a broken constraint is for the caller to name. */
static int db_errno(int rc, int system_errno)
{
	if (system_errno != 0)
		return system_errno;
	switch (rc & 0xff) {
	case SQLITE_CONSTRAINT:
		return EEXIST;
	case SQLITE_FULL:
		return ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return EBUSY;
	case SQLITE_NOMEM:
		return ENOMEM;
	case SQLITE_READONLY:
		return EROFS;
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
		return EACCES;
	default:
		return EIO;
	}
}

static int file_errno(sqlite3_file *file)
{
	int last = 0;

	if (file == NULL || file->pMethods == NULL ||
	    file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &last) != SQLITE_OK)
		return 0;
	return last;
}

/*
 * What the system said to SQLite, if that is why; 0 if something else is or it is not known. Of
 * a commit sqlite3_system_errno() knows nothing: that writes to the WAL.
 */
static int db_system_errno(const struct db *db, int rc)
{
	sqlite3_file *wal = NULL;
	int error;

	if (db->handle == NULL)
		return 0;
	if ((rc & 0xff) == SQLITE_CANTOPEN)
		return sqlite3_system_errno(db->handle);
	if ((rc & 0xff) != SQLITE_IOERR)
		return 0;
	(void)sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_JOURNAL_POINTER,
	                           (void *)&wal);
	error = file_errno(wal);
	return error != 0 ? error : sqlite3_system_errno(db->handle);
}

static int db_failed(const struct db *db, int rc, const char *what, struct tn_error *err)
{
	return err_set(err, TN_SYSTEM, db_errno(rc, db_system_errno(db, rc)), "%s: %s", what,
	               db->handle != NULL ? sqlite3_errmsg(db->handle) : sqlite3_errstr(rc));
}

static int db_exec(struct db *db, const char *sql, struct tn_error *err)
{
	int rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);

	return rc != SQLITE_OK ? db_failed(db, rc, "store", err) : 0;
}

static int db_pragma_int(struct db *db, const char *sql, int64_t *ret, struct tn_error *err)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db->handle, sql, -1, &stmt, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		*ret = sqlite3_column_int64(stmt, 0);
	(void)sqlite3_finalize(stmt);
	return rc != SQLITE_ROW ? db_failed(db, rc, "store", err) : 0;
}

static int db_migrate_one(struct db *db, const char *script, int version, struct tn_error *err)
{
	char stamp[48];
	int r = db_exec(db, script, err);

	if (r < 0)
		return err_wrap(err, r, "migration %d", version);
	(void)snprintf(stamp, sizeof(stamp), "PRAGMA user_version = %d", version);
	return db_exec(db, stamp, err);
}

/* All steps in one transaction: the store is at the old version or at the new one. Where there
 * is nothing to do nothing is written, for the file system may be read-only. */
static int db_migrate(struct db *db, const char *const *migrations, int n, struct tn_error *err)
{
	int64_t version = 0;
	int r = db_pragma_int(db, "PRAGMA user_version", &version, err);

	if (r < 0 || version == n)
		return r;
	r = db_begin(db, err);
	if (r < 0)
		return r;
	r = db_pragma_int(db, "PRAGMA user_version", &version, err);
	if (r == 0 && version > n)
		r = err_refuse(err, TN_UNSUPPORTED,
		               "its schema is version %lld, this program knows up to %d",
		               (long long)version, n);
	for (int i = (int)version; r == 0 && i < n; i++)
		r = db_migrate_one(db, migrations[i], i + 1, err);
	if (r == 0)
		r = db_commit(db, err);
	if (r < 0)
		db_rollback(db);
	return r;
}

static int db_on_commit(void *userdata, sqlite3 *handle, const char *name, int pages)
{
	struct db *db = userdata;

	(void)handle;
	(void)name;
	db->wal_pages = pages;
	return SQLITE_OK;
}

static int db_settings(struct db *db, struct tn_error *err)
{
	int persist = 1;

	/* It takes the place of the hook that would tidy up amid a commit. */
	(void)sqlite3_wal_hook(db->handle, db_on_commit, db);
	(void)sqlite3_extended_result_codes(db->handle, 1);
	(void)sqlite3_busy_timeout(db->handle, DB_BUSY_MSEC);
	(void)sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
	return db_exec(db,
	               "PRAGMA journal_mode = WAL;"
	               "PRAGMA synchronous = NORMAL;"
	               "PRAGMA foreign_keys = ON;"
	               "PRAGMA trusted_schema = OFF;",
	               err);
}

int db_open(const char *path, const char *const *migrations, int migrations_n, struct db **ret,
            struct tn_error *err)
{
	struct db *db = calloc(1, sizeof(*db));
	char wal[PATH_MAX];
	int rc;
	int r;

	if (db == NULL)
		return err_errno(err, "allocate the store");
	db->sync = (struct wal_sync){ .file_fd = FD_NONE, .event_fd = FD_NONE };
	rc = sqlite3_open_v2(path, &db->handle,
	                     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
	                             SQLITE_OPEN_NOFOLLOW,
	                     NULL);
	r = rc != SQLITE_OK ? db_failed(db, rc, "open", err) : 0;
	if (r == 0)
		r = db_settings(db, err);
	if (r == 0)
		r = db_prepare(db, transaction_sql, TRANSACTION_N, db->transaction, err);
	if (r == 0)
		r = db_migrate(db, migrations, migrations_n, err);
	if (r == 0)
		r = db_sync(db, err);
	(void)snprintf(wal, sizeof(wal), "%s-wal", path);
	if (r == 0)
		r = wal_sync_init(&db->sync, wal, err);
	if (r < 0) {
		(void)db_close(db);
		return err_wrap(err, r, "store %s", path);
	}
	*ret = db;
	return 0;
}

struct db *db_close(struct db *db)
{
	if (db == NULL)
		return NULL;
	for (size_t i = 0; i < db->statements_n; i++)
		(void)sqlite3_finalize(db->statements[i].stmt);
	wal_sync_done(&db->sync);
	(void)sqlite3_close(db->handle);
	free(db);
	return NULL;
}

bool db_stale(const struct db *db)
{
	return sqlite3_db_readonly(db->handle, "main") == 1 &&
	       access(sqlite3_db_filename(db->handle, "main"), W_OK) == 0;
}

int db_prepare(struct db *db, const char *const *sql, size_t n, struct db_statement **ret,
               struct tn_error *err)
{
	for (size_t i = 0; i < n; i++) {
		struct db_statement *statement = &db->statements[db->statements_n];
		int rc;

		assert(db->statements_n < DB_STATEMENTS_MAX);
		rc = sqlite3_prepare_v3(db->handle, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
		                        &statement->stmt, NULL);
		if (rc != SQLITE_OK)
			return db_failed(db, rc, sql[i], err);
		statement->db = db;
		db->statements_n++;
		ret[i] = statement;
	}
	return 0;
}

static int db_bind(struct db_statement *statement, const struct db_value *values)
{
	int rc = SQLITE_OK;

	for (int i = 1; rc == SQLITE_OK && values->kind != DB_KIND_END; i++, values++) {
		if (values->kind == DB_KIND_TEXT && values->text != NULL)
			rc = sqlite3_bind_text(statement->stmt, i, values->text, -1,
			                       SQLITE_STATIC);
		else if (values->kind == DB_KIND_INT && values->number >= 0)
			rc = sqlite3_bind_int64(statement->stmt, i, values->number);
		else if (values->kind == DB_KIND_BLOB)
			rc = sqlite3_bind_blob64(statement->stmt, i, values->text,
			                         (uint64_t)values->number, SQLITE_STATIC);
		else
			rc = sqlite3_bind_null(statement->stmt, i);
	}
	return rc;
}

static int db_step(struct db_statement *statement, const struct db_value *values,
                   struct tn_error *err)
{
	int rc = db_bind(statement, values);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(statement->stmt);
	if (rc == SQLITE_ROW)
		return 1;
	if (rc == SQLITE_DONE)
		return 0;
	return db_failed(statement->db, rc, "store", err);
}

void db_done(struct db_statement *statement)
{
	(void)sqlite3_reset(statement->stmt);
	/* What was bound is the caller's and may be gone by the next use. */
	(void)sqlite3_clear_bindings(statement->stmt);
}

int db_run(struct db_statement *statement, const struct db_value *values, struct tn_error *err)
{
	int r = db_step(statement, values, err);

	db_done(statement);
	return r < 0 ? r : 0;
}

int db_row(struct db_statement *statement, const struct db_value *values, struct tn_error *err)
{
	int r = db_step(statement, values, err);

	if (r != 1)
		db_done(statement);
	return r;
}

int64_t db_changes(const struct db *db)
{
	return sqlite3_changes64(db->handle);
}

int64_t db_int(const struct db_statement *statement, int column)
{
	if (sqlite3_column_type(statement->stmt, column) != SQLITE_INTEGER)
		return DB_NULL_INT;
	return sqlite3_column_int64(statement->stmt, column);
}

const char *db_text_borrow(const struct db_statement *statement, int column)
{
	return (const char *)sqlite3_column_text(statement->stmt, column);
}

const void *db_blob_borrow(const struct db_statement *statement, int column, size_t *ret_n)
{
	const void *blob = sqlite3_column_blob(statement->stmt, column);

	*ret_n = (size_t)sqlite3_column_bytes(statement->stmt, column);
	return blob;
}

void db_text(const struct db_statement *statement, int column, char *text, size_t size)
{
	const char *value = db_text_borrow(statement, column);

	(void)snprintf(text, size, "%s", value != NULL ? value : "");
}

#define NOTHING_BOUND ((const struct db_value[]){ DB_END })

int db_begin(struct db *db, struct tn_error *err)
{
	return db_run(db->transaction[TRANSACTION_BEGIN], NOTHING_BOUND, err);
}

static void db_durable_end(struct db *db)
{
	if (db->durable)
		(void)sqlite3_exec(db->handle, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL);
	db->durable = false;
}

int db_begin_durable(struct db *db, struct tn_error *err)
{
	int r = db_exec(db, "PRAGMA synchronous = FULL", err);

	db->durable = true;
	if (r == 0)
		r = db_begin(db, err);
	if (r < 0)
		db_durable_end(db);
	return r;
}

int db_commit(struct db *db, struct tn_error *err)
{
	int r = db_run(db->transaction[TRANSACTION_COMMIT], NOTHING_BOUND, err);

	if (r == 0)
		db_durable_end(db);
	return r;
}

void db_rollback(struct db *db)
{
	if (sqlite3_get_autocommit(db->handle) == 0)
		(void)sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
	db_durable_end(db);
}

int db_run_durable(struct db *db, struct db_statement *statement, const struct db_value *values,
                   struct tn_error *err)
{
	int r = db_begin_durable(db, err);

	if (r < 0)
		return r;
	r = db_run(statement, values, err);
	if (r == 0)
		r = db_commit(db, err);
	if (r < 0)
		db_rollback(db);
	return r;
}

/*
 * What a failed sync was to write counts as written for the kernel: the next one would find
 * nothing to do. So all of it goes into the database, and that is synced.
 */
static int db_sync_anew(struct db *db, struct tn_error *err)
{
	int rc = sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_FULL, NULL,
	                                   NULL);

	if (rc != SQLITE_OK)
		return db_failed(db, rc, "sync the store", err);
	db->sync_failed = false;
	db->wal_pages = 0;
	return 0;
}

int db_sync(struct db *db, struct tn_error *err)
{
	sqlite3_file *wal = NULL;
	int rc;

	if (db->sync_failed)
		return db_sync_anew(db, err);
	rc = sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_JOURNAL_POINTER,
	                          (void *)&wal);
	/* Before the first read or write there is no WAL, hence nothing to wait for. */
	if (rc == SQLITE_OK && wal != NULL && wal->pMethods != NULL)
		rc = wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL);
	db->sync_failed = rc != SQLITE_OK;
	return rc != SQLITE_OK ? db_failed(db, rc, "sync the store", err) : 0;
}

int db_sync_begin(struct db *db, struct tn_error *err)
{
	int r = db->sync_failed ? -EOPNOTSUPP : wal_sync_begin(&db->sync);

	if (r == -EBUSY)
		return err_set(err, TN_STATE, EBUSY, "the store is being synced");
	if (r == 0)
		return 0;
	r = db_sync(db, err);
	return r < 0 ? r : 1;
}

int db_sync_fd(const struct db *db)
{
	return db->sync.event_fd;
}

int db_sync_end(struct db *db, struct tn_error *err)
{
	int r = wal_sync_end(&db->sync, err);

	if (r < 0)
		db->sync_failed = true;
	return r;
}

void db_tidy(struct db *db, bool idle)
{
	if (db->wal_pages < (idle ? DB_TIDY_IDLE_PAGES : DB_TIDY_PAGES))
		return;
	/* A reader may hold it up; then the next time does the rest. */
	(void)sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL,
	                                NULL);
	db->wal_pages = 0;
}

/* The database that is written to is one of its own, for what is asked of it. */
struct db_copy {
	struct db to;
	sqlite3_backup *backup; /* NULL: it is complete */
	char path[DB_COPY_PATH_BYTES_MAX];
};

/* Nobody needs what is half there: it is lost as a whole, and never synced. */
static int copy_open(struct db_copy *copy, const char *path, struct tn_error *err)
{
	const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
	                  SQLITE_OPEN_EXCLUSIVE | SQLITE_OPEN_NOFOLLOW;
	int rc = sqlite3_open_v2(path, &copy->to.handle, flags, NULL);

	if (rc != SQLITE_OK)
		return db_failed(&copy->to, rc, "open", err);
	return db_exec(&copy->to, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;", err);
}

int db_copy_begin(struct db *db, const char *path, struct db_copy **ret, struct tn_error *err)
{
	struct db_copy *copy = calloc(1, sizeof(*copy));
	int r;

	if (copy == NULL)
		return err_errno(err, "allocate a copy");
	if (snprintf(copy->path, sizeof(copy->path), "%s", path) >= (int)sizeof(copy->path)) {
		free(copy);
		return err_refuse(err, TN_INVALID, "%s: too long", path);
	}
	r = copy_open(copy, path, err);
	if (r == 0) {
		copy->backup = sqlite3_backup_init(copy->to.handle, "main", db->handle, "main");
		if (copy->backup == NULL)
			r = db_failed(&copy->to, sqlite3_errcode(copy->to.handle), "begin",
			              err);
	}
	if (r < 0) {
		(void)db_copy_free(copy);
		return err_wrap(err, r, "copy to %s", path);
	}
	*ret = copy;
	return 0;
}

int db_copy_step(struct db_copy *copy, int pages, struct tn_error *err)
{
	int rc = sqlite3_backup_step(copy->backup, pages);

	/* Somebody else looks at the database: the next time. */
	if (rc == SQLITE_OK || rc == SQLITE_BUSY || rc == SQLITE_LOCKED)
		return 1;
	rc = sqlite3_backup_finish(copy->backup);
	copy->backup = NULL;
	if (rc != SQLITE_OK)
		return db_failed(&copy->to, rc, "copy the store", err);
	/* It says of itself that it has a WAL, which nobody would find beside it. */
	return db_exec(&copy->to, "PRAGMA journal_mode = DELETE;", err);
}

int db_copy_row(struct db_copy *copy, const char *sql, const char *text,
                struct db_statement **ret, struct tn_error *err)
{
	int r = 0;

	if (copy->to.statements_n == 0)
		r = db_prepare(&copy->to, &sql, 1, ret, err);
	if (r < 0)
		return r;
	*ret = &copy->to.statements[0];
	return db_row(*ret, DB_VALUES(DB_TEXT(text)), err);
}

static void copy_close(struct db_copy *copy)
{
	if (copy->backup != NULL)
		(void)sqlite3_backup_finish(copy->backup);
	copy->backup = NULL;
	for (size_t i = 0; i < copy->to.statements_n; i++)
		(void)sqlite3_finalize(copy->to.statements[i].stmt);
	copy->to.statements_n = 0;
	(void)sqlite3_close(copy->to.handle);
	copy->to.handle = NULL;
}

int db_copy_take(struct db_copy *copy, struct tn_error *err)
{
	int fd;

	assert(copy->backup == NULL);
	copy_close(copy);
	fd = open(copy->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? err_errno(err, "open %s", copy->path) : fd;
}

struct db_copy *db_copy_free(struct db_copy *copy)
{
	if (copy == NULL)
		return NULL;
	copy_close(copy);
	(void)unlink(copy->path);
	free(copy);
	return NULL;
}
