/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore_slots.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/io.h>
#include <base/name.h>

#include "bounds_value.h"

#define PATH_BYTES_MAX  512
#define OWNER_BYTES_MAX (NAME_BYTES_MAX + ID_TEXT_BYTES + 8)

struct bounds {
	const char *config; /* the directory it is in */
	int64_t uid_base, slots_max;
};

static int bounds_read(const char *config, struct bounds *ret, struct tn_error *err)
{
	char path[PATH_BYTES_MAX], text[BOUNDS_BYTES_MAX] = "";
	ssize_t n;

	*ret = (struct bounds){ config, BOUNDS_UID_BASE, BOUNDS_SLOTS_MAX };
	(void)snprintf(path, sizeof(path), "%s/bounds.conf", config);
	n = io_read_file_at(AT_FDCWD, path, text, sizeof(text));
	if (n < 0)
		return err_set(err, TN_SYSTEM, (int)-n, "read %s: %s", path, strerror((int)-n));
	ret->uid_base = bounds_value(text, "uid_base", BOUNDS_UID_BASE);
	ret->slots_max = bounds_value(text, "slots_max", BOUNDS_SLOTS_MAX);
	if (ret->slots_max < 1 || ret->slots_max > UINT16_MAX)
		return err_refuse(err, TN_INVALID, "%s: slots_max is out of range", path);
	return 0;
}

/* The slot that @slot's ids are, or what bounds.conf would have to say. */
static int place(struct slot *table, const struct backup_file *backup,
                 const struct backup_slot *slot, const struct bounds *bounds,
                 struct tn_error *err)
{
	const int64_t from = slot->uid_first - bounds->uid_base;
	const size_t at = from >= 0 ? (size_t)(from / SLOT_UIDS) : 0;

	if (from < 0 || from % SLOT_UIDS != 0 || from / SLOT_UIDS >= bounds->slots_max ||
	    slot->uid_count != SLOT_UIDS)
		return err_refuse(err, TN_INVALID,
		                  "tenant '%s' has ids from %" PRId64 ", and uid_base %" PRId64
		                  " and slots_max %" PRId64
		                  " of %s/bounds.conf give it none of "
		                  "these; expected them to be as they were",
		                  slot->name, slot->uid_first, bounds->uid_base,
		                  bounds->slots_max, bounds->config);
	if (table[at].magic != 0)
		return err_refuse(err, TN_INVALID, "%s: two tenants have ids from %" PRId64,
		                  backup->path, slot->uid_first);
	table[at] = (struct slot){ .magic = SLOT_MAGIC, .tenant = slot->tenant };
	memcpy(table[at].name, slot->name, sizeof(slot->name));
	return 0;
}

static bool slot_whole(const struct slot *slot)
{
	if (slot->magic == 0 || (slot->magic == SLOT_RETIRED && slot->name[0] == '\0'))
		return true;
	return slot->magic == SLOT_MAGIC &&
	       memchr(slot->name, '\0', sizeof(slot->name)) != NULL && name_valid(slot->name);
}

/* Of the table that is there, *ret_n slots; none if there is no table. */
static int table_read(const char *path, const struct bounds *bounds, struct slot *table,
                      size_t *ret_n, struct tn_error *err)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	ssize_t n;

	*ret_n = 0;
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(err, "read %s: %s", path, strerror(errno));
	if (st.st_size > bounds->slots_max * (int64_t)sizeof(*table))
		return err_refuse(err, TN_INVALID,
		                  "%s: holds more slots than slots_max in %s/bounds.conf", path,
		                  bounds->config);
	n = io_read_all(fd, table, (size_t)st.st_size);
	if (n < 0)
		return err_set(err, TN_SYSTEM, (int)-n, "read %s: %s", path, strerror((int)-n));
	*ret_n = (size_t)n / sizeof(*table);
	for (size_t i = 0; i < *ret_n; i++)
		if (!slot_whole(&table[i]))
			return err_refuse(err, TN_INVALID,
			                  "%s: slot %zu is damaged; to go without what it says "
			                  "of whose files are whose, move it away",
			                  path, i);
	return 0;
}

static void describe(const struct slot *slot, char text[OWNER_BYTES_MAX])
{
	char id[ID_TEXT_BYTES];

	id_format(&slot->tenant, id);
	(void)snprintf(text, OWNER_BYTES_MAX, "'%s' (%s)",
	               slot->magic == SLOT_RETIRED ? "deleted" : slot->name, id);
}

static int refuse(const struct slot *here, const struct slot *backed_up, const char *path,
                  struct tn_error *err)
{
	char it[OWNER_BYTES_MAX], other[OWNER_BYTES_MAX];
	const char *why = "the same range of ids";

	describe(here, it);
	describe(backed_up, other);
	if (id_equal(&here->tenant, &backed_up->tenant))
		why = "another range of ids";
	else if (strcmp(here->name, backed_up->name) == 0)
		why = "the same name";
	return err_refuse(err, TN_STATE,
	                  "%s: tenant %s is there, and tenant %s of the backup has %s; to go "
	                  "without what it says of whose files are whose, move it away",
	                  path, it, other, why);
}

/* @was, of the node, stays: the first of @table, of the backup, that it cannot stand with. */
static const struct slot *in_the_way(const struct slot *was, const struct slot *table, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (table[i].magic == SLOT_MAGIC &&
		    (id_equal(&table[i].tenant, &was->tenant) ||
		     (was->magic == SLOT_MAGIC && strcmp(table[i].name, was->name) == 0)))
			return &table[i];
	return NULL;
}

static int carry_over(const struct slot *was, size_t was_n, const char *path,
                      struct slot *table, size_t n, struct tn_error *err)
{
	for (size_t i = 0; i < was_n; i++) {
		const struct slot *other = &table[i];

		if (was[i].magic == 0 ||
		    (other->magic != 0 && id_equal(&other->tenant, &was[i].tenant)))
			continue;
		if (other->magic == 0)
			other = in_the_way(&was[i], table, n);
		if (other != NULL)
			return refuse(&was[i], other, path, err);
		table[i] = was[i];
	}
	return 0;
}

int restore_slots_make(const struct backup_file *backup, const char *config, const char *path,
                       struct slot **ret, size_t *ret_n, struct tn_error *err)
{
	cleanup_free struct slot *was = NULL, *table = NULL;
	struct bounds bounds;
	size_t n, was_n = 0;
	int r = bounds_read(config, &bounds, err);

	if (r < 0)
		return r;
	n = (size_t)bounds.slots_max;
	was = calloc(n, sizeof(*was));
	table = calloc(n, sizeof(*table));
	if (was == NULL || table == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "the slot table");
	r = table_read(path, &bounds, was, &was_n, err);
	for (size_t i = 0; r == 0 && i < backup->slots_n; i++)
		r = place(table, backup, &backup->slots[i], &bounds, err);
	if (r == 0)
		r = carry_over(was, was_n, path, table, n, err);
	if (r < 0)
		return r;
	while (n > 0 && table[n - 1].magic == 0)
		n--;
	*ret = table;
	table = NULL;
	*ret_n = n;
	return 0;
}
