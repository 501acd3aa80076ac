/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A backup as base/backup.h describes it, read and checked without a daemon. */
#ifndef TOOLS_BACKUP_FILE_H
#define TOOLS_BACKUP_FILE_H

#include <stddef.h>
#include <stdint.h>

#include <base/err.h>
#include <base/slot.h>
#include <policy/digest.h>
#include <policy/policy.h>

#define BACKUP_WORD_BYTES_MAX 80

/* Whose a range of ids is. */
struct backup_slot {
	struct id tenant;
	char name[NAME_BYTES_MAX];
	int64_t uid_first, uid_count;
};

struct backup_file {
	const char *path; /* borrowed, for messages */
	int fd;
	int64_t bytes;       /* of the whole */
	int64_t store_bytes; /* of which the first are the store */
	int64_t created_at;
	int64_t schema;
	char version[BACKUP_WORD_BYTES_MAX];
	char policy_hash[BACKUP_WORD_BYTES_MAX];
	char digest[DIGEST_HEX_SIZE];
	struct backup_slot *slots;
	size_t slots_n;
	struct policy_file *files; /* of the policy; their texts lie in @text */
	size_t files_n;
	char *text;
};

/*
 * Open @path and check all of it: that it is whole, by its digest, that each line of it is
 * known, and that its schema is none newer than this program's. TN_INVALID says what is
 * wrong, and where. For backup_file_close(), also on failure.
 */
int backup_file_open(const char *path, struct backup_file *ret, struct tn_error *err);
/* Accepts a zeroed one. */
void backup_file_close(struct backup_file *file);

/*
 * Copy all of @from, which is a backup, from its beginning to @to, and check on the way that
 * what was written is what was made. @path names it in messages.
 */
int backup_file_copy(int from, int to, const char *path, struct tn_error *err);

#endif
