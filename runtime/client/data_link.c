/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "data_link.h"

#include <stdlib.h>
#include <time.h>

#include <base/clock.h>
#include <base/fdpass.h>

#include "client.h"
#include "rejoin.h"

static_assert(DATA_REQUEST_BYTES_MAX <= DATA_REPLY_BYTES_MAX, "each is one message");

#define TRY_EVERY_NSEC 50000000

static int on_opened(struct call *call, json_t *parameters, struct tn_error *err)
{
	(void)parameters;
	return *call->ret_fd < 0 ? client_no_member("data", err) : 0;
}

int data_link_open(struct data_link *link, struct tn_error *err)
{
	const struct call call = { .on_reply = on_opened,
		                   .fd_name = "data",
		                   .ret_fd = &link->sock };
	int r = check_tenant(link->tenant, err);

	data_link_close(link);
	if (r == 0)
		r = client_start(link->client, "OpenData",
		                 json_pack("{s:s, s:s, s:b}", "tenant", link->tenant, "path",
		                           link->path, "writable", link->writable),
		                 CONNECTION_ONE, &call, err);
	return client_finish(link->client, r, err);
}

void data_link_close(struct data_link *link)
{
	fd_closep(&link->sock);
	fd_closep(&link->fd);
}

static int broken(struct tn_error *err)
{
	return err_refuse(err, TN_PROTOCOL, "who serves the tenant's data answered nonsense");
}

/* The next answer, as far as its form goes. */
static int receive(struct data_link *link, struct tn_error *err)
{
	const size_t head_n = sizeof(link->reply);
	size_t fds_n = 0;
	int n;

	fd_closep(&link->fd);
	n = fdpass_recv(link->sock, link->message, sizeof(link->message), &link->fd, 1, &fds_n,
	                err);
	if (n < 0)
		return n;
	if ((size_t)n < head_n)
		return broken(err);
	memcpy(&link->reply, link->message, head_n);
	if (link->reply.payload_bytes != (size_t)n - head_n || link->reply.error < 0)
		return broken(err);
	memcpy(link->payload, link->message + head_n, link->reply.payload_bytes);
	return link->reply.error;
}

static int ask_once(struct data_link *link, const struct data_request *request,
                    const char *path, const char *target, int fd, struct tn_error *err)
{
	struct data_request head = *request;
	char *message = link->message;
	int r;

	head.path_bytes = (uint32_t)strlen(path);
	head.target_bytes = (uint32_t)strlen(target);
	if (head.path_bytes >= DATA_PATH_BYTES_MAX || head.target_bytes >= DATA_PATH_BYTES_MAX)
		return ENAMETOOLONG;
	memcpy(message, &head, sizeof(head));
	memcpy(message + sizeof(head), path, head.path_bytes);
	memcpy(message + sizeof(head) + head.path_bytes, target, head.target_bytes);
	if (link->sock < 0)
		return err_set(err, TN_UNREACHABLE, EPIPE, "there is no connection");
	r = fdpass_send(link->sock, message, sizeof(head) + head.path_bytes + head.target_bytes,
	                &fd, fd >= 0, err);
	return r < 0 ? r : receive(link, err);
}

/* It has ended, of which nobody need hear. */
static bool has_ended(int r)
{
	return r == -EPIPE || r == -ECONNRESET;
}

/* Whether it may be there again in a moment: 0; or -errno. */
static int wait_for_daemon(int64_t deadline, struct tn_error *err)
{
	const struct timespec moment = { .tv_nsec = TRY_EVERY_NSEC };

	if (clock_usec(CLOCK_MONOTONIC) >= deadline)
		return err_set(err, TN_UNREACHABLE, EPIPE,
		               "tenantd, or who serves the tenant's data, went away during the "
		               "copy and has not come back within %d s; see: systemctl status "
		               "tenantd",
		               REJOIN_SEC_MAX);
	(void)nanosleep(&moment, NULL);
	return 0;
}

int data_link_ask(struct data_link *link, const struct data_request *request, const char *path,
                  const char *target, int fd, struct tn_error *err)
{
	const int64_t deadline = clock_usec(CLOCK_MONOTONIC) +
	                         (int64_t)REJOIN_SEC_MAX * CLOCK_USEC_PER_SEC;
	int r = ask_once(link, request, path, target, fd, err);

	for (bool waited = false; has_ended(r); waited = true) {
		int opened;

		if (waited && wait_for_daemon(deadline, err) < 0)
			return -EPIPE;
		opened = data_link_open(link, err);
		if (opened == 0)
			r = ask_once(link, request, path, target, fd, err);
		else if (err->code != TN_UNREACHABLE)
			return opened;
	}
	return r;
}

void data_entries_done(struct data_entries *entries)
{
	free(entries->bytes);
	*entries = (struct data_entries){ 0 };
}

static int entry_keep(struct data_entries *entries, const struct data_entry *entry,
                      const char *name, struct tn_error *err)
{
	const size_t n = sizeof(*entry) + entry->name_bytes + 1;

	if (entries->bytes_n + n > entries->size) {
		const size_t size = 2 * entries->size + DATA_PAYLOAD_BYTES_MAX;
		char *grown = realloc(entries->bytes, size);

		if (grown == NULL)
			return err_set(err, TN_SYSTEM, ENOMEM, "list a directory");
		entries->bytes = grown;
		entries->size = size;
	}
	memcpy(entries->bytes + entries->bytes_n, entry, sizeof(*entry));
	memcpy(entries->bytes + entries->bytes_n + sizeof(*entry), name,
	       (size_t)entry->name_bytes + 1);
	entries->bytes_n += n;
	entries->n++;
	return 0;
}

/* The names are the tenant's: one that leads elsewhere is not its file system's. */
static int entries_take(const struct data_link *link, struct data_entries *entries,
                        struct tn_error *err)
{
	const char *at = link->payload, *end = at + link->reply.payload_bytes;

	for (uint32_t i = 0; i < link->reply.entries_n; i++) {
		struct data_entry entry;
		int r;

		if ((size_t)(end - at) < sizeof(entry))
			return broken(err);
		memcpy(&entry, at, sizeof(entry));
		at += sizeof(entry);
		if ((size_t)(end - at) <= entry.name_bytes || at[entry.name_bytes] != '\0' ||
		    !data_name_valid(at, entry.name_bytes))
			return broken(err);
		if (entries->n >= DATA_ENTRIES_MAX)
			return E2BIG;
		r = entry_keep(entries, &entry, at, err);
		if (r < 0)
			return r;
		at += entry.name_bytes + 1;
	}
	/* Where nothing comes there is not more of it. */
	return at == end && (link->reply.entries_n > 0 || link->reply.more == 0) ? 0
	                                                                         : broken(err);
}

static int list_all(struct data_link *link, const char *path, struct data_entries *entries,
                    struct tn_error *err)
{
	enum data_kind kind = DATA_LIST;
	int r;

	do {
		const struct data_request request = { .kind = kind };

		r = data_link_ask(link, &request, path, "", FD_NONE, err);
		/* Another one does not know where the last had got to. */
		if (r == EBADF && kind == DATA_MORE) {
			data_entries_done(entries);
			kind = DATA_LIST;
			continue;
		}
		if (r == 0)
			r = entries_take(link, entries, err);
		if (r != 0)
			return r;
		kind = DATA_MORE;
	} while (kind == DATA_LIST || link->reply.more != 0);
	return 0;
}

int data_link_list(struct data_link *link, const char *path, struct data_entries *ret,
                   struct tn_error *err)
{
	int r = list_all(link, path, ret, err);

	if (r != 0)
		data_entries_done(ret);
	return r;
}

bool data_entries_next(const struct data_entries *entries, size_t *at, struct data_entry *ret,
                       const char **ret_name)
{
	if (*at >= entries->bytes_n)
		return false;
	memcpy(ret, entries->bytes + *at, sizeof(*ret));
	*ret_name = entries->bytes + *at + sizeof(*ret);
	*at += sizeof(*ret) + ret->name_bytes + 1;
	return true;
}
