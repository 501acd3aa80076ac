/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The client's end of <base/data.h>: OpenData and the requests on what it gives. When that has
 * ended, with the daemon or because it was silent for long, it is opened again and the request
 * made again. Nothing of what comes back is believed: what is not as it has to be is an error.
 */
#ifndef RUNTIME_CLIENT_DATA_LINK_H
#define RUNTIME_CLIENT_DATA_LINK_H

#include <base/data.h>
#include <tenant/copy.h>

/* Entries of one directory that are taken at most. */
#define DATA_ENTRIES_MAX (1 << 20)

struct data_link {
	struct tn_client *client; /* borrowed, as the next two */
	const char *tenant;
	const char *path; /* data_path_valid() */
	bool writable;
	int sock;
	char message[DATA_REPLY_BYTES_MAX]; /* as it goes or comes */
	/* The last answer. */
	struct data_reply reply;
	char payload[DATA_PAYLOAD_BYTES_MAX];
	int fd;
};

/* What one directory holds; zeroed, for data_entries_done(). */
struct data_entries {
	char *bytes; /* struct data_entry and the name, one after the other, with a NUL */
	size_t bytes_n, size;
	size_t n;
};

int data_link_open(struct data_link *link, struct tn_error *err);
void data_link_close(struct data_link *link);

/*
 * Ask. 0: link->reply and what belongs to it is the answer; a positive errno: the server's; or
 * a negative one, of the connection. @fd is borrowed. link->fd is taken by who wants it.
 */
int data_link_ask(struct data_link *link, const struct data_request *request, const char *path,
                  const char *target, int fd, struct tn_error *err);

/* All entries of a directory; returns as data_link_ask(). */
int data_link_list(struct data_link *link, const char *path, struct data_entries *ret,
                   struct tn_error *err);
void data_entries_done(struct data_entries *entries);

/* From *at = 0 on: the next entry and its name, false at the end. */
bool data_entries_next(const struct data_entries *entries, size_t *at, struct data_entry *ret,
                       const char **ret_name);

#endif
