/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "slots.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <base/fd.h>
#include <base/io.h>
#include <base/slot.h>

#include "spec.h"

static_assert(SLOT_UIDS == SPEC_UIDS_PER_TENANT, "a slot is one tenant's ids");

#define SLOTS_PATH_BYTES_MAX 300

struct slots {
	int fd;
	bool read_only; /* so is the file system: it is opened anew for the next change */
	char path[SLOTS_PATH_BYTES_MAX];
	int64_t n;
	struct slot table[];
};

static int table_check(const struct slots *slots, struct tn_error *err)
{
	for (int64_t i = 0; i < slots->n; i++) {
		const struct slot *slot = &slots->table[i];

		if (slot->magic == 0 || (slot->magic == SLOT_RETIRED && slot->name[0] == '\0'))
			continue;
		if (slot->magic != SLOT_MAGIC ||
		    memchr(slot->name, '\0', sizeof(slot->name)) == NULL ||
		    !name_valid(slot->name))
			return err_refuse(err, TN_SYSTEM, "slot %" PRId64 " is damaged", i);
	}
	return 0;
}

static int table_read(struct slots *slots, const char *path, struct tn_error *err)
{
	struct stat st;
	ssize_t n;

	slots->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	slots->read_only = slots->fd < 0 && errno == EROFS;
	if (slots->read_only)
		slots->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (slots->fd < 0)
		return err_errno(err, "open");
	if (fstat(slots->fd, &st) < 0)
		return err_errno(err, "stat");
	if (st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return err_refuse(err, TN_NOT_PERMITTED,
		                  "must be root's, writable by root alone");
	if (st.st_size > slots->n * (int64_t)sizeof(struct slot))
		return err_refuse(err, TN_INVALID,
		                  "holds more slots than slots_max in bounds.conf");
	n = io_read_all(slots->fd, slots->table, (size_t)slots->n * sizeof(struct slot));
	if (n < 0)
		return err_set(err, TN_SYSTEM, (int)-n, "read");
	return table_check(slots, err);
}

int slots_open(const char *path, int64_t slots_max, struct slots **ret, struct tn_error *err)
{
	struct slots *slots = calloc(1,
	                             sizeof(*slots) + (size_t)slots_max * sizeof(struct slot));
	int r;

	if (slots == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "slot table");
	slots->n = slots_max;
	slots->fd = FD_NONE;
	(void)snprintf(slots->path, sizeof(slots->path), "%s", path);
	r = table_read(slots, path, err);
	if (r < 0) {
		(void)slots_close(slots);
		return err_wrap(err, r, "slot table %s", path);
	}
	*ret = slots;
	return 0;
}

struct slots *slots_close(struct slots *slots)
{
	if (slots != NULL)
		fd_closep(&slots->fd);
	free(slots);
	return NULL;
}

int64_t slots_find(const struct slots *slots, const struct id *tenant)
{
	for (int64_t i = 0; i < slots->n; i++)
		if (slots->table[i].magic == SLOT_MAGIC &&
		    id_equal(&slots->table[i].tenant, tenant))
			return i;
	return -ENOENT;
}

const char *slots_name(const struct slots *slots, int64_t slot)
{
	assert(slot >= 0 && slot < slots->n && slots->table[slot].magic == SLOT_MAGIC);
	return slots->table[slot].name;
}

/* The file system may be writable again. */
static int writable_again(struct slots *slots, struct tn_error *err)
{
	int fd;

	if (!slots->read_only)
		return 0;
	fd = open(slots->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_errno(err, "slot table %s", slots->path);
	fd_closep(&slots->fd);
	slots->fd = fd;
	slots->read_only = false;
	return 0;
}

static int slot_put(const struct slots *slots, int64_t slot, const struct slot *record,
                    struct tn_error *err)
{
	ssize_t n = pwrite(slots->fd, record, sizeof(*record), slot * (off_t)sizeof(*record));

	if (n != (ssize_t)sizeof(*record))
		return n < 0 ? err_errno(err, "write slot %" PRId64, slot)
		             : err_set(err, TN_SYSTEM, ENOSPC, "write slot %" PRId64, slot);
	return fdatasync(slots->fd) < 0 ? err_errno(err, "sync slot %" PRId64, slot) : 0;
}

static int slot_write(struct slots *slots, int64_t slot, const struct slot *record,
                      struct tn_error *err)
{
	struct tn_error lost = { 0 };
	int r = writable_again(slots, err);

	if (r < 0)
		return r;
	r = slot_put(slots, slot, record, err);
	if (r == 0)
		slots->table[slot] = *record;
	else
		/* The next tenantd is to read what this one goes by. */
		(void)slot_put(slots, slot, &slots->table[slot], &lost);
	return r;
}

int64_t slots_take(struct slots *slots, const struct id *tenant, const char *name,
                   struct tn_error *err)
{
	struct slot record = { .magic = SLOT_MAGIC, .tenant = *tenant };
	int64_t unused = -1;
	int r;

	assert(name_valid(name));
	for (int64_t i = 0; i < slots->n; i++) {
		const struct slot *slot = &slots->table[i];

		if (slot->magic == 0) {
			unused = unused < 0 ? i : unused;
			continue;
		}
		if (slot->magic == SLOT_RETIRED && !id_equal(&slot->tenant, tenant))
			continue;
		bool same_id = id_equal(&slot->tenant, tenant);
		bool same_name = strcmp(slot->name, name) == 0;

		if (slot->magic == SLOT_RETIRED)
			return err_refuse(err, TN_STATE, "the tenant has been deleted");
		if (same_id && same_name)
			return i;
		if (same_id)
			return err_refuse(err, TN_INVALID, "the tenant's slot is named '%s'",
			                  slot->name);
		if (same_name)
			return err_refuse(err, TN_EXISTS, "another tenant's slot is named '%s'",
			                  name);
	}
	if (unused < 0)
		return err_refuse(err, TN_QUOTA,
		                  "all %" PRId64 " slots of bounds.conf are taken", slots->n);

	memcpy(record.name, name, strlen(name));
	r = slot_write(slots, unused, &record, err);
	return r < 0 ? r : unused;
}

int slots_retire(struct slots *slots, int64_t slot, struct tn_error *err)
{
	struct slot record = { .magic = SLOT_RETIRED };

	assert(slot >= 0 && slot < slots->n);
	record.tenant = slots->table[slot].tenant;
	return slot_write(slots, slot, &record, err);
}

static int64_t next_of(const struct slots *slots, uint32_t magic, int64_t from, struct id *ret)
{
	for (int64_t i = from; i < slots->n; i++) {
		if (slots->table[i].magic != magic)
			continue;
		*ret = slots->table[i].tenant;
		return i;
	}
	return -ENOENT;
}

int64_t slots_taken(const struct slots *slots, int64_t from, struct id *ret)
{
	return next_of(slots, SLOT_MAGIC, from, ret);
}

int64_t slots_retired(const struct slots *slots, int64_t from, struct id *ret)
{
	return next_of(slots, SLOT_RETIRED, from, ret);
}

int slots_free(struct slots *slots, int64_t slot, struct tn_error *err)
{
	const struct slot record = { 0 };

	assert(slot >= 0 && slot < slots->n);
	return slot_write(slots, slot, &record, err);
}
