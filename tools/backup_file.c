/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup_file.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/backup.h>
#include <base/fd.h>
#include <base/io.h>
#include <base/num.h>

#define PIECE_BYTES    262144
#define TEXT_BYTES_MAX (INT64_C(256) * 1024 * 1024)

/* A line that is being read, word by word. */
struct cursor {
	const char *path;
	int64_t at; /* of @p in the file */
	char *p;    /* what is left of the text */
	char *end;
};

static int refuse(const struct cursor *cursor, const char *what, const char *expected,
                  struct tn_error *err)
{
	return err_refuse(err, TN_INVALID, "%s: byte %" PRId64 ": %s; expected %s",
	                  cursor->path, cursor->at, what, expected);
}

static void advance(struct cursor *cursor, size_t n)
{
	cursor->p += n;
	cursor->at += (int64_t)n;
}

/* The next word, up to a blank or the line's end, which it becomes a string by. */
static int word_take(struct cursor *cursor, char **ret, struct tn_error *err)
{
	char *word = cursor->p;
	const size_t left = (size_t)(cursor->end - word);
	size_t n = 0;

	while (n < left && word[n] != ' ' && word[n] != '\n' && word[n] != '\0')
		n++;
	if (n == 0 || n == left || word[n] == '\0' || n >= POLICY_FILE_BYTES_MAX)
		return refuse(cursor, "no word", "a line as a backup has it", err);
	word[n] = '\0';
	advance(cursor, n + 1);
	*ret = word;
	return 0;
}

static int number_take(struct cursor *cursor, int64_t *ret, struct tn_error *err)
{
	char *word = NULL;
	int r = word_take(cursor, &word, err);

	if (r < 0)
		return r;
	return num_parse(word, INT64_MAX, ret) < 0 ? refuse(cursor, "no number", "one", err)
	                                           : 0;
}

static int text_take(struct cursor *cursor, char ret[static BACKUP_WORD_BYTES_MAX],
                     struct tn_error *err)
{
	char *word = NULL;
	int r = word_take(cursor, &word, err);

	if (r < 0)
		return r;
	if (strlen(word) >= BACKUP_WORD_BYTES_MAX)
		return refuse(cursor, "a word too long", "less than 80 bytes", err);
	memcpy(ret, word, strlen(word) + 1);
	return 0;
}

static int created_at_take(struct backup_file *file, struct cursor *cursor,
                           struct tn_error *err)
{
	return number_take(cursor, &file->created_at, err);
}

static int version_take(struct backup_file *file, struct cursor *cursor, struct tn_error *err)
{
	return text_take(cursor, file->version, err);
}

static int schema_take(struct backup_file *file, struct cursor *cursor, struct tn_error *err)
{
	int r = number_take(cursor, &file->schema, err);

	if (r == 0 && file->schema > BACKUP_SCHEMA)
		return err_refuse(err, TN_UNSUPPORTED,
		                  "%s: its schema is version %" PRId64
		                  ", this program knows up to %d: it was made by tenantd %s",
		                  file->path, file->schema, BACKUP_SCHEMA, file->version);
	return r;
}

static int policy_hash_take(struct backup_file *file, struct cursor *cursor,
                            struct tn_error *err)
{
	return text_take(cursor, file->policy_hash, err);
}

static int slot_take(struct backup_file *file, struct cursor *cursor, struct tn_error *err)
{
	struct backup_slot *slots = reallocarray(file->slots, file->slots_n + 1,
	                                         sizeof(*slots));
	struct backup_slot slot = { .uid_first = 0 };
	char *id = NULL, *name = NULL;
	int r;

	if (slots == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "read %s", file->path);
	file->slots = slots;
	r = word_take(cursor, &id, err);
	if (r == 0)
		r = word_take(cursor, &name, err);
	if (r == 0)
		r = number_take(cursor, &slot.uid_first, err);
	if (r == 0)
		r = number_take(cursor, &slot.uid_count, err);
	if (r < 0)
		return r;
	assert(id != NULL && name != NULL);
	if (id_parse(id, &slot.tenant) < 0 || !name_valid(name))
		return refuse(cursor, "no tenant", "its UUID and its name", err);
	memcpy(slot.name, name, strlen(name) + 1);
	slots[file->slots_n++] = slot;
	return 0;
}

/* The line is followed by the file itself, and that by the end of a line. */
static int policy_file_take(struct backup_file *file, struct cursor *cursor,
                            struct tn_error *err)
{
	struct policy_file *files = reallocarray(file->files, file->files_n + 1,
	                                         sizeof(*files));
	char *name = NULL;
	int64_t n = 0;
	int r;

	if (files == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "read %s", file->path);
	file->files = files;
	r = word_take(cursor, &name, err);
	if (r == 0)
		r = number_take(cursor, &n, err);
	if (r < 0)
		return r;
	assert(name != NULL);
	if (!policy_file_name_valid(name))
		return refuse(cursor, "no policy file's name", "tiers/NAME.yaml or the like",
		              err);
	if (n >= cursor->end - cursor->p || cursor->p[n] != '\n')
		return refuse(cursor, "a file cut off", "as many bytes as its line says", err);
	files[file->files_n] = (struct policy_file){ .text = cursor->p, .n = (size_t)n };
	memcpy(files[file->files_n].name, name, strlen(name) + 1);
	file->files_n++;
	advance(cursor, (size_t)n + 1);
	return 0;
}

static int text_parse(struct backup_file *file, struct cursor *cursor, struct tn_error *err)
{
	static const struct {
		const char *key;
		int (*take)(struct backup_file *file, struct cursor *cursor,
		            struct tn_error *err);
		bool once;
	} lines[] = {
		{ "created_at", created_at_take, true },
		{ "version", version_take, true },
		{ "schema", schema_take, true },
		{ "policy_hash", policy_hash_take, true },
		{ "slot", slot_take, false },
		{ "file", policy_file_take, false },
	};
	size_t i = 0;

	while (cursor->p < cursor->end) {
		char *key = NULL;
		int r = word_take(cursor, &key, err);

		if (r < 0)
			return r;
		assert(key != NULL);
		/* In this order, those that stand there once above all. */
		while (i < ARRAY_LEN(lines) && strcmp(lines[i].key, key) != 0) {
			if (lines[i].once)
				return refuse(cursor, "another line", lines[i].key, err);
			i++;
		}
		if (i == ARRAY_LEN(lines))
			return refuse(cursor, "an unknown line", "slot or file", err);
		r = lines[i].take(file, cursor, err);
		if (r < 0)
			return r;
		i += lines[i].once;
	}
	return i < 4 ? refuse(cursor, "nothing more", lines[i].key, err) : 0;
}

/* "tenantd-backup 1 OFFSET DIGEST\n" */
static int trailer_parse(struct backup_file *file, const char *trailer, struct tn_error *err)
{
	const size_t magic_n = strlen(BACKUP_MAGIC);
	const char *offset = trailer + magic_n, *hash = offset + BACKUP_OFFSET_DIGITS + 1;
	char digits[BACKUP_OFFSET_DIGITS + 1];
	const int64_t end = file->bytes - (int64_t)BACKUP_TRAILER_BYTES;

	if (strncmp(trailer, BACKUP_MAGIC, magic_n) != 0 || hash[-1] != ' ' ||
	    hash[BACKUP_HASH_DIGITS] != '\n')
		return err_refuse(err, TN_INVALID,
		                  "%s: no backup, or one that is cut off; expected it to end "
		                  "with a line '" BACKUP_MAGIC "OFFSET SHA256'",
		                  file->path);
	(void)snprintf(digits, sizeof(digits), "%.*s", BACKUP_OFFSET_DIGITS, offset);
	if (num_parse(digits, end, &file->store_bytes) < 0)
		return err_refuse(err, TN_INVALID,
		                  "%s: its last line points behind its end; expected at most "
		                  "%" PRId64,
		                  file->path, end);
	memcpy(file->digest, hash, BACKUP_HASH_DIGITS);
	file->digest[BACKUP_HASH_DIGITS] = '\0';
	return 0;
}

static int read_at(const struct backup_file *file, void *to, size_t n, int64_t at,
                   struct tn_error *err)
{
	size_t got = 0;

	while (got < n) {
		ssize_t r = pread(file->fd, (char *)to + got, n - got, at + (int64_t)got);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return err_set(err, TN_SYSTEM, r < 0 ? errno : EIO, "read %s: %s",
			               file->path, r < 0 ? strerror(errno) : "it ends early");
		got += (size_t)r;
	}
	return 0;
}

static int digest_check(const struct backup_file *file, const char *found, struct tn_error *err)
{
	if (strcmp(found, file->digest) == 0)
		return 0;
	return err_refuse(err, TN_INVALID,
	                  "%s: damaged: the SHA-256 of its first %" PRId64
	                  " bytes is %.16s...; expected %.16s...",
	                  file->path, file->bytes - (int64_t)BACKUP_TRAILER_BYTES, found,
	                  file->digest);
}

static int all_digest(const struct backup_file *file, struct tn_error *err)
{
	const int64_t end = file->bytes - (int64_t)BACKUP_TRAILER_BYTES;
	cleanup_free char *piece = malloc(PIECE_BYTES);
	struct digest *digest = digest_new();
	char hex[DIGEST_HEX_SIZE] = "";
	int r = 0;

	if (piece == NULL || digest == NULL)
		r = err_set(err, TN_SYSTEM, ENOMEM, "read %s", file->path);
	for (int64_t at = 0; r == 0 && at < end; at += PIECE_BYTES) {
		const size_t n = end - at < PIECE_BYTES ? (size_t)(end - at) : PIECE_BYTES;

		r = read_at(file, piece, n, at, err);
		if (r == 0)
			digest_add(digest, piece, n);
	}
	if (r == 0)
		digest_hex(digest, hex);
	(void)digest_free(digest);
	return r < 0 ? r : digest_check(file, hex, err);
}

static int text_read(struct backup_file *file, struct tn_error *err)
{
	const int64_t n = file->bytes - (int64_t)BACKUP_TRAILER_BYTES - file->store_bytes;
	struct cursor cursor = { .path = file->path, .at = file->store_bytes };
	int r;

	if (n > TEXT_BYTES_MAX)
		return err_refuse(err, TN_INVALID, "%s: too much beside the store", file->path);
	file->text = malloc((size_t)n + 1);
	if (file->text == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "read %s", file->path);
	r = read_at(file, file->text, (size_t)n, file->store_bytes, err);
	if (r < 0)
		return r;
	cursor.p = file->text;
	cursor.end = file->text + n;
	return text_parse(file, &cursor, err);
}

int backup_file_open(const char *path, struct backup_file *ret, struct tn_error *err)
{
	char trailer[BACKUP_TRAILER_BYTES];
	struct stat st;
	int r = 0;

	*ret = (struct backup_file){ .path = path };
	ret->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (ret->fd < 0)
		return errno == ENOENT ? err_set(err, TN_NOT_FOUND, errno, "%s: %s", path,
		                                 strerror(errno))
		                       : err_errno(err, "open %s: %s", path, strerror(errno));
	if (fstat(ret->fd, &st) < 0)
		return err_errno(err, "stat %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_refuse(err, TN_INVALID, "%s: not a file; expected a backup", path);
	ret->bytes = st.st_size;
	memset(trailer, 0, sizeof(trailer));
	if (ret->bytes >= (int64_t)sizeof(trailer))
		r = read_at(ret, trailer, sizeof(trailer),
		            ret->bytes - (int64_t)sizeof(trailer), err);
	if (r == 0)
		r = trailer_parse(ret, trailer, err);
	if (r == 0)
		r = all_digest(ret, err);
	return r < 0 ? r : text_read(ret, err);
}

void backup_file_close(struct backup_file *file)
{
	fd_closep(&file->fd);
	free(file->slots);
	free(file->files);
	free(file->text);
	*file = (struct backup_file){ .fd = FD_NONE };
}

/* The last of what has gone by, where the trailer is. */
struct tail {
	char bytes[BACKUP_TRAILER_BYTES];
	size_t n;
};

/* What is no longer within the last bytes is what the digest is of. */
static void tail_add(struct tail *tail, struct digest *digest, const char *bytes, size_t n)
{
	const size_t room = sizeof(tail->bytes);
	const size_t all = tail->n + n, out = all > room ? all - room : 0;
	const size_t old = out < tail->n ? out : tail->n;

	digest_add(digest, tail->bytes, old);
	digest_add(digest, bytes, out - old);
	memmove(tail->bytes, tail->bytes + old, tail->n - old);
	memcpy(tail->bytes + tail->n - old, bytes + out - old, n - (out - old));
	tail->n = all - out;
}

static int copy_all(int from, int to, struct backup_file *file, struct digest *digest,
                    struct tn_error *err)
{
	cleanup_free char *piece = malloc(PIECE_BYTES);
	struct tail tail = { .n = 0 };
	char hex[DIGEST_HEX_SIZE];
	ssize_t n;
	int r;

	if (piece == NULL || digest == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "write %s", file->path);
	while ((n = io_read_all(from, piece, PIECE_BYTES)) > 0) {
		r = io_write_all(to, piece, (size_t)n);
		if (r < 0)
			return err_set(err, TN_SYSTEM, -r, "write %s: %s", file->path,
			               strerror(-r));
		tail_add(&tail, digest, piece, (size_t)n);
		file->bytes += n;
	}
	if (n < 0)
		return err_set(err, TN_SYSTEM, (int)-n, "read the backup: %s",
		               strerror((int)-n));
	digest_hex(digest, hex);
	memset(tail.bytes + tail.n, 0, sizeof(tail.bytes) - tail.n);
	r = trailer_parse(file, tail.bytes, err);
	return r < 0 ? r : digest_check(file, hex, err);
}

int backup_file_copy(int from, int to, const char *path, struct tn_error *err)
{
	struct backup_file file = { .path = path };
	struct digest *digest = digest_new();
	int r = copy_all(from, to, &file, digest, err);

	(void)digest_free(digest);
	return r;
}
