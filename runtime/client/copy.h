/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What both directions of a copy share: the path inside as it grows and shrinks, contents on
 * their way, files that have no name yet, and what is made of a failure on the way.
 *
 * Functions here return 0, or -errno and what is wrong in *err.
 */
#ifndef RUNTIME_CLIENT_COPY_H
#define RUNTIME_CLIENT_COPY_H

#include <sys/stat.h>

#include "data_link.h"

struct copying {
	const struct tn_copy_spec *spec;
	struct tn_copy_result *result;
	struct data_link link;
	char root[DATA_PATH_BYTES_MAX]; /* what was asked for, data_path_valid() */
	bool contents_only;             /* that ended in "/." */
	char path[DATA_PATH_BYTES_MAX]; /* what is being copied, below that */
	unsigned int depth;
	char *buf; /* of COPY_BUF_BYTES */
};

#define COPY_BUF_BYTES 131072

/* @c is zeroed; @writable: to copy in. copying_done() in any case. */
int copying_begin(struct copying *c, struct tn_client *client, const struct tn_copy_spec *spec,
                  bool writable, struct tn_copy_result *result, struct tn_error *err);
void copying_done(struct copying *c);

/* Go down to @name, and back to where path_length() was. TN_STATE if that is too long. */
size_t path_length(const struct copying *c);
int path_push(struct copying *c, const char *name, struct tn_error *err);
void path_pop(struct copying *c, size_t length);

/* Ask of the present path; the server's errors become *err. */
int copy_ask(struct copying *c, enum data_kind kind, struct tn_error *err);
int copy_request(struct copying *c, const struct data_request *request, const char *target,
                 int fd, struct tn_error *err);
/* The file descriptor that came with the answer, the caller's. */
int copy_take_fd(struct copying *c, int *ret, struct tn_error *err);
/* An errno of the server's, about the present path. */
int copy_error(const struct copying *c, int error, struct tn_error *err);
/* What the mode says it is, in words: "a FIFO". */
const char *copy_type_name(uint32_t mode);
int copy_refuse_type(const struct copying *c, uint32_t mode, struct tn_error *err);

/* The present path is copied. */
int copy_tell(struct copying *c, enum tn_copied_kind kind, int64_t bytes, struct tn_error *err);
/* It failed as @r and *err say: 0 if it can be left out, and now is. */
int copy_leave_out(struct copying *c, int r, struct tn_error *err);

/* Whether there may be one directory more to be inside of. */
int copy_check_depth(const struct copying *c, struct tn_error *err);

/*
 * All of the regular file @from to the new file @to, as far as it went when this begins; holes
 * are left. *ret_bytes is how long that is.
 */
int copy_contents(struct copying *c, int from, int to, int64_t *ret_bytes,
                  struct tn_error *err);
/* The next @bytes at most, between any two descriptors. */
int copy_stream(struct copying *c, int from, int to, int64_t bytes, int64_t *ret_bytes,
                struct tn_error *err);

#endif
