/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one adapter to SQLite: a database in WAL mode, statements that are prepared once,
 * and values that carry their type.
 *
 * A commit writes to the WAL and does not wait for the disk (synchronous=NORMAL);
 * db_sync() waits. What must be durable before it counts is committed by db_begin_durable()
 * and the like (synchronous=FULL): if the disk does not take it, it is undone and not merely
 * unsynced. So one connection gives both promises of the store.
 *
 * Write-ahead log and shared memory stay when it is closed: a store on a disk that has become
 * full can be opened again.
 */
#ifndef RUNTIME_STORE_DB_H
#define RUNTIME_STORE_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <base/err.h>

struct db;
struct db_statement;

enum db_kind {
	DB_KIND_END,
	DB_KIND_TEXT,
	DB_KIND_INT,
	DB_KIND_BLOB,
};

struct db_value {
	enum db_kind kind;
	const char *text; /* borrowed until the statement is done; NULL is NULL */
	int64_t number;   /* negative is NULL; of a blob: its bytes */
};

#define DB_TEXT(text)    ((struct db_value){ DB_KIND_TEXT, (text), 0 })
#define DB_INT(number)   ((struct db_value){ DB_KIND_INT, NULL, (number) })
#define DB_BLOB(data, n) ((struct db_value){ DB_KIND_BLOB, (data), (int64_t)(n) })
#define DB_END           ((struct db_value){ DB_KIND_END, NULL, 0 })
#define DB_VALUES(...)   ((const struct db_value[]){ __VA_ARGS__, DB_END })
#define DB_NULL_INT      (-1)

/*
 * Open @path, or make it, bring it to the last of @migrations_n (each a script that takes
 * user_version one up) or refuse it if it is newer. One on a read-only file system, which is at
 * the last, can be read, and every write fails with EROFS.
 */
int db_open(const char *path, const char *const *migrations, int migrations_n, struct db **ret,
            struct tn_error *err);
/* Accepts NULL. Always returns NULL. */
struct db *db_close(struct db *db);

/* Whether it could only be read when it was opened, and opened now could be written. */
bool db_stale(const struct db *db);

/* Prepare @n statements of a table; they live as long as @db. */
int db_prepare(struct db *db, const char *const *sql, size_t n, struct db_statement **ret,
               struct tn_error *err);

/* Bind @values (ended by DB_END) and run to the end. */
int db_run(struct db_statement *statement, const struct db_value *values, struct tn_error *err);
/* Rows that the last db_run() changed. */
int64_t db_changes(const struct db *db);

/* Bind and step to the first row: 1 if there is one, else 0. After 1 the columns can be
 * read until db_done(). */
int db_row(struct db_statement *statement, const struct db_value *values, struct tn_error *err);
void db_done(struct db_statement *statement);

int64_t db_int(const struct db_statement *statement, int column); /* DB_NULL_INT for NULL */
/* Copy column @column into @text, cut to @size. NULL is "". */
void db_text(const struct db_statement *statement, int column, char *text, size_t size);
/* NULL for NULL; borrowed until db_done(). */
const char *db_text_borrow(const struct db_statement *statement, int column);
/* The same of a blob and its *@ret_n bytes; NULL for one of none. */
const void *db_blob_borrow(const struct db_statement *statement, int column, size_t *ret_n);

/* A copy of a database while it goes on; what is written through @db meanwhile is in it. */
struct db_copy;

/* To a new file @path. */
int db_copy_begin(struct db *db, const char *path, struct db_copy **ret, struct tn_error *err);
/* Copy @pages: 1 if there are more, 0 if it is complete. */
int db_copy_step(struct db_copy *copy, int pages, struct tn_error *err);
/* Of a complete one: the first row of @sql (one text, like ?1), as with db_row(). */
int db_copy_row(struct db_copy *copy, const char *sql, const char *text,
                struct db_statement **ret, struct tn_error *err);
/* The file that has been copied to: O_RDWR, the caller's. Nothing is asked of it any more. */
int db_copy_take(struct db_copy *copy, struct tn_error *err);
/* The file's name goes, too. Accepts NULL. Always returns NULL. */
struct db_copy *db_copy_free(struct db_copy *copy);

/* The same, durable or undone. */
int db_run_durable(struct db *db, struct db_statement *statement, const struct db_value *values,
                   struct tn_error *err);

int db_begin(struct db *db, struct tn_error *err);
/* db_commit() waits for the disk then, and fails, and all is undone, if that does. */
int db_begin_durable(struct db *db, struct tn_error *err);
int db_commit(struct db *db, struct tn_error *err);
/* Ends a transaction that failed; harmless outside one. */
void db_rollback(struct db *db);

/* Wait until every commit so far is on the disk. After a failure the next one writes all of
 * it anew. */
int db_sync(struct db *db, struct tn_error *err);

/*
 * The same without waiting: 0 if it is under way, then db_sync_fd() becomes readable at
 * its end and db_sync_end() says how it went; 1 if there was no way but to wait, and it
 * is done; -EBUSY while one is under way.
 */
int db_sync_begin(struct db *db, struct tn_error *err);
int db_sync_fd(const struct db *db); /* borrowed */
int db_sync_end(struct db *db, struct tn_error *err);

/*
 * Move what has gathered in the WAL into the database, which waits for the disk more than
 * once. SQLite would do it amid a commit; here the caller says when: @idle, nobody waits
 * for us, or else only if the WAL has become large.
 */
void db_tidy(struct db *db, bool idle);

#endif
