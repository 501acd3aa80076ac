/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What libtenant asks of the process that serves a tenant's files (isolate/data_server.h), on
 * the SOCK_SEQPACKET socket between the two: one request, one reply, descriptors beside them.
 * Both ends are of this host. Neither believes the other: a request may come from whoever may
 * run the tenant's commands, and a reply's names from the tenant.
 *
 * A path is relative to /data and has no empty component, no "." and no "..": "" is /data
 * itself. Nothing is ever followed: a symbolic link on the way to what a path names is an
 * error (ELOOP), and at its end it is the link that is meant.
 *
 * A request that is made again, because nobody knows whether the last one was heard, does no
 * harm and has the same answer, but for MKDIR's whether the directory was there.
 */
#ifndef BASE_DATA_H
#define BASE_DATA_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DATA_PATH_BYTES_MAX    PATH_MAX /* with the NUL that is not sent */
#define DATA_PAYLOAD_BYTES_MAX 12288

/* Of a file's mode, what is copied: never set-user-ID, set-group-ID or the sticky bit. */
#define DATA_MODE_MASK 0777u

enum data_kind {
	DATA_STAT = 1, /* what is there; of a link, its target is the payload */
	DATA_LIST,     /* the first entries of a directory */
	DATA_MORE,     /* the next ones of the directory listed last */
	DATA_READ,     /* a descriptor to read a regular file by */
	DATA_CREATE,   /* a descriptor to write by: a file that has no name yet */
	DATA_COMMIT,   /* with that: it is given its name, mode and time, and replaces */
	DATA_MKDIR,    /* make a directory, unless it is there */
	DATA_SYMLINK,  /* make a symbolic link, which replaces */
	DATA_SET,      /* mode and time of a directory */
	DATA_KINDS_END,
};

/* Followed by the path, then by the target of DATA_SYMLINK, without NULs. */
struct data_request {
	uint32_t kind;
	uint32_t mode;
	int64_t mtime_sec;
	int64_t mtime_nsec;
	uint32_t path_bytes;
	uint32_t target_bytes;
};

struct data_stat {
	uint32_t mode; /* with the file's type */
	uint32_t pad;
	int64_t size;
	int64_t mtime_sec;
	int64_t mtime_nsec;
};

/* Followed by the payload. */
struct data_reply {
	int32_t error; /* positive errno; 0: done, and only then all else counts */
	uint32_t payload_bytes;
	uint32_t entries_n; /* of a list: so many struct data_entry are the payload */
	uint32_t more;      /* of a list: there are more; of MKDIR: it was there already */
	struct data_stat stat;
};

/* Followed by the name and a NUL. Not aligned. */
struct data_entry {
	struct data_stat stat;
	uint32_t name_bytes; /* without the NUL */
	uint32_t pad;
};

#define DATA_REQUEST_BYTES_MAX (sizeof(struct data_request) + (size_t)2 * DATA_PATH_BYTES_MAX)
#define DATA_REPLY_BYTES_MAX   (sizeof(struct data_reply) + DATA_PAYLOAD_BYTES_MAX)

/* Whether these @n bytes can be the name of a directory's entry. */
static inline bool data_name_valid(const char *name, size_t n)
{
	if (n == 0 || n > NAME_MAX || memchr(name, '/', n) != NULL ||
	    memchr(name, '\0', n) != NULL)
		return false;
	return !(name[0] == '.' && (n == 1 || (n == 2 && name[1] == '.')));
}

/* Whether this is a path as above; it ends at its NUL. */
static inline bool data_path_valid(const char *path)
{
	size_t n;

	if (*path == '\0')
		return true;
	if (strnlen(path, DATA_PATH_BYTES_MAX) == DATA_PATH_BYTES_MAX)
		return false;
	for (;; path += n + 1) {
		n = strcspn(path, "/");
		if (!data_name_valid(path, n))
			return false;
		if (path[n] == '\0')
			return true;
	}
}

/* Whether @path is @root or lies below it. */
static inline bool data_path_beneath(const char *path, const char *root)
{
	size_t n = strlen(root);

	return n == 0 || (strncmp(path, root, n) == 0 && (path[n] == '\0' || path[n] == '/'));
}

#endif
