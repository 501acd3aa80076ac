/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restart.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/io.h>
#include <base/log.h>

#define BOOT_ID_PATH "/proc/sys/kernel/random/boot_id"

/* What tells one life of tenantd from another: its process, and the boot that it belongs to. */
struct life {
	char version[STORE_TEXT_BYTES_MAX];
	char boot_id[LEDGER_BOOT_BYTES];
	char tenantd_pid[24];
};

static void life_now(struct life *life)
{
	(void)snprintf(life->version, sizeof(life->version), "%s", TENANTD_VERSION);
	if (io_read_file_at(AT_FDCWD, BOOT_ID_PATH, life->boot_id, sizeof(life->boot_id)) <= 0)
		life->boot_id[0] = '\0';
	life->boot_id[strcspn(life->boot_id, "\n")] = '\0';
	(void)snprintf(life->tenantd_pid, sizeof(life->tenantd_pid), "%d", (int)getppid());
}

/* 1 if there was one before, 0 if not, or -errno. */
static int life_before(struct store *store, struct life *life, struct tn_error *err)
{
	struct event event;
	int r = store->ops->event_last(store, EVENT_RESTARTED, &event, err);

	if (r != 1)
		return r;
	(void)event_value(event.after, "version", life->version, sizeof(life->version));
	(void)event_value(event.after, "boot_id", life->boot_id, sizeof(life->boot_id));
	(void)event_value(event.after, "tenantd_pid", life->tenantd_pid,
	                  sizeof(life->tenantd_pid));
	event_done(&event);
	return 1;
}

static const char *what_began(const struct life *before, const struct life *now)
{
	if (strcmp(before->boot_id, now->boot_id) != 0)
		return "boot";
	return strcmp(before->tenantd_pid, now->tenantd_pid) != 0 ? "tenantd" : "controller";
}

static int restarted(struct store *store, struct event *ret, struct tn_error *err)
{
	struct life before = { 0 }, now = { 0 };
	int r = life_before(store, &before, err);

	if (r < 0)
		return r;
	life_now(&now);
	r = event_of_node(
		EVENT_RESTARTED, &ACTOR_NONE, r == 1 ? what_began(&before, &now) : "first",
		&(struct event_difference){ "version", before.version, now.version }, ret, err);
	if (r == 0)
		r = event_say(ret, "boot_id", now.boot_id, err);
	if (r == 0)
		r = event_say(ret, "tenantd_pid", now.tenantd_pid, err);
	return r;
}

void restart_tell(struct store *store)
{
	struct event event = { 0 };
	struct tn_error err = { 0 };
	int r = restarted(store, &event, &err);

	if (r == 0)
		r = store->ops->event_tell(store, &event, &err);
	event_done(&event);
	if (r < 0)
		log_event(LOG_ERR, "a restart could not be told", LF_STR("error", err.msg),
		          LF_END);
}
