/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How tenantd is set up here: its files, its range of ids, its storage, its daemon. */
#include "bounds_value.h"
#include "doctor.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <tenant/client.h>

#include <base/account.h>
#include <base/fd.h>
#include <base/num.h>
#include <policy/policy.h>

#include "output.h"

/* How many ids a tenant has. */
#define IDS_PER_SLOT INT64_C(65536)

/* Whose members may do what root may. */
#define ADMIN_GROUP "tenantd-admin"

#define STATE_DIR "/var/lib/tenantd"

struct range {
	int64_t first, last;
};

static ssize_t read_bounds(const struct doctor *doctor, char *text, size_t size)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/bounds.conf", doctor->config);
	return doctor_read(doctor, path, text, size);
}

static void check_bounds_file(struct doctor *doctor)
{
	char path[PATH_MAX];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/bounds.conf", doctor->config);
	if (fstatat(doctor->root_fd, path + 1, &st, 0) < 0)
		doctor_say(doctor, DOCTOR_FAIL, path, "%s; tenantd does not start without it",
		           strerror(errno));
	else if (st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		doctor_say(doctor, DOCTOR_FAIL, path,
		           "others than root can write it; chown root, chmod go-w");
	else
		doctor_say(doctor, DOCTOR_OK, path, NULL);
}

static struct range tenant_ids(const struct doctor *doctor)
{
	char text[BOUNDS_BYTES_MAX];
	int64_t first, slots;

	(void)read_bounds(doctor, text, sizeof(text));
	first = bounds_value(text, "uid_base", BOUNDS_UID_BASE);
	slots = bounds_value(text, "slots_max", BOUNDS_SLOTS_MAX);
	if (first > UINT32_MAX || slots > UINT32_MAX / IDS_PER_SLOT)
		return (struct range){ BOUNDS_UID_BASE, UINT32_MAX - 1 };
	return (struct range){ first, first + slots * IDS_PER_SLOT - 1 };
}

static bool overlap(struct range a, struct range b)
{
	return a.first <= b.last && b.first <= a.last;
}

/* Field @index of a line of a file as passwd(5). */
static bool number_field(const char *line, int index, int64_t *ret)
{
	size_t n = strcspn(line, "\n");
	char field[24];

	for (; index > 0; index--) {
		const char *colon = memchr(line, ':', n);

		if (colon == NULL)
			return false;
		n -= (size_t)(colon + 1 - line);
		line = colon + 1;
	}
	n = strcspn(line, ":\n");
	if (n >= sizeof(field))
		return false;
	memcpy(field, line, n);
	field[n] = '\0';
	return num_parse(field, INT64_MAX / 2, ret) == 0;
}

/* A file whose lines hold a first id and how many, or with @count_field 0 just one. */
struct id_file {
	const char *path;
	int first_field, count_field;
};

static bool line_overlaps(const struct id_file *file, const char *line, struct range ids)
{
	struct range other;
	int64_t count = 1;

	if (!number_field(line, file->first_field, &other.first) ||
	    (file->count_field != 0 && !number_field(line, file->count_field, &count)))
		return false;
	other.last = other.first + count - 1;
	return count > 0 && overlap(ids, other);
}

/* Whether one does, the first of which is told. */
static bool file_overlaps(struct doctor *doctor, const struct id_file *id_file,
                          struct range ids)
{
	cleanup_free char *line = NULL;
	FILE *file = doctor_open(doctor, id_file->path);
	bool found = false;
	char what[64];
	size_t size = 0;

	if (file == NULL)
		return false;
	while (!found && getline(&line, &size, file) > 0)
		found = line_overlaps(id_file, line, ids);
	(void)fclose(file);
	if (!found)
		return false;
	line[strcspn(line, "\n")] = '\0';
	(void)snprintf(what, sizeof(what), "ids of tenants and %s", id_file->path);
	doctor_say(doctor, DOCTOR_FAIL, what,
	           "'%s' overlaps %" PRId64 " to %" PRId64 "; set uid_base in bounds.conf",
	           line, ids.first, ids.last);
	return true;
}

static void check_ids(struct doctor *doctor)
{
	static const struct {
		struct range range;
		const char *whose;
	} reserved[] = {
		{ { 0, 65535 }, "ids of the system and its people" },
		{ { 61184, 65519 }, "systemd's dynamic users" },
		{ { 524288, 1879048191 }, "systemd's containers" },
		{ { 4294967295, 4294967295 }, "the id that means none" },
	};
	static const struct id_file files[] = {
		{ "/etc/subuid", 1, 2 },
		{ "/etc/subgid", 1, 2 },
		{ "/etc/passwd", 2, 0 },
		{ "/etc/group", 2, 0 },
	};
	struct range ids = tenant_ids(doctor);
	bool clash = false;

	for (size_t i = 0; i < ARRAY_LEN(reserved); i++) {
		if (!overlap(ids, reserved[i].range))
			continue;
		clash = true;
		doctor_say(doctor, DOCTOR_FAIL, "ids of tenants",
		           "%" PRId64 " to %" PRId64 " overlap %s; set uid_base in bounds.conf",
		           ids.first, ids.last, reserved[i].whose);
	}
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		clash |= file_overlaps(doctor, &files[i], ids);
	if (!clash)
		doctor_say(doctor, DOCTOR_OK, "ids of tenants",
		           "%" PRId64 " to %" PRId64 " are nobody else's", ids.first, ids.last);
}

static void check_policy(struct doctor *doctor)
{
	struct policy *policy;
	struct tn_error err = { 0 };
	char what[PATH_MAX], path[PATH_MAX];
	size_t n = 0;

	(void)snprintf(what, sizeof(what), "policy files in %s", doctor->config);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d%s", doctor->root_fd,
	               doctor->config);
	if (policy_load(path, &policy, &err) < 0) {
		doctor_say(doctor, DOCTOR_FAIL, what, "%s", err.msg);
		return;
	}
	while (policy_tier_at(policy, n) != NULL)
		n++;
	policy_free(policy);
	doctor_say(doctor, n > 0 ? DOCTOR_OK : DOCTOR_FAIL, what,
	           n > 0 ? "%zu tiers" : "%zu tiers; a tenant needs one", n);
}

struct longest {
	const char *path;
	struct doctor_mount mount;
	size_t n;
};

static bool is_longer(const struct doctor_mount *mount, void *userdata)
{
	struct longest *longest = userdata;
	size_t n = strlen(mount->point);
	bool within = strncmp(longest->path, mount->point, n) == 0 &&
	              (n == 1 || longest->path[n] == '/' || longest->path[n] == '\0');

	/* The later one of two at the same point covers the other. */
	if (within && n >= longest->n) {
		longest->mount = *mount;
		longest->n = n;
	}
	return false;
}

static void check_storage(struct doctor *doctor)
{
	struct longest longest = { .path = STATE_DIR };

	(void)doctor_each_mount(doctor, is_longer, &longest);
	if (doctor_has_word(longest.mount.options, "prjquota"))
		doctor_say(doctor, DOCTOR_OK, "storage at " STATE_DIR, "%s with project quotas",
		           longest.mount.type);
	else
		doctor_say(
			doctor, DOCTOR_WARN, "storage at " STATE_DIR,
			"%s without project quotas; not enforced: storage quota; mount ext4 or "
			"xfs with prjquota",
			longest.n > 0 ? longest.mount.type : "unknown");
}

static void say_all(struct doctor *doctor, const char *what, const struct tn_texts *texts)
{
	for (size_t i = 0; i < texts->n; i++)
		doctor_say(doctor, DOCTOR_WARN, what, "%s", texts->items[i]);
}

/* In the host's file, or in what else the host asks, which is the real one's alone. */
static void check_admins(struct doctor *doctor)
{
	cleanup_free char *line = NULL;
	FILE *file = doctor_open(doctor, "/etc/group");
	uint32_t gid;
	size_t size = 0;
	bool found = false;

	while (!found && file != NULL && getline(&line, &size, file) > 0)
		found = strncmp(line, ADMIN_GROUP ":", strlen(ADMIN_GROUP ":")) == 0;
	if (file != NULL)
		(void)fclose(file);
	if (!found && doctor->root[0] == '\0')
		found = account_lookup(ACCOUNT_GROUP, ADMIN_GROUP, &gid) > 0;
	if (found)
		doctor_say(doctor, DOCTOR_OK, "group " ADMIN_GROUP, NULL);
	else
		doctor_say(doctor, DOCTOR_WARN, "group " ADMIN_GROUP,
		           "does not exist: only root can administer tenants; make it with "
		           "systemd-sysusers or groupadd --system " ADMIN_GROUP
		           ", then restart tenantd");
}

static void check_daemon(struct doctor *doctor)
{
	struct tn_client *client = NULL;
	struct tn_status status = { 0 };
	struct tn_error err = { 0 };
	char uptime[OUTPUT_CELL_BYTES_MAX];

	if (tn_client_open(doctor->socket, &client, &err) < 0 ||
	    tn_status_get(client, &status, &err) < 0) {
		doctor_say(doctor, DOCTOR_FAIL, "daemon", "%s", err.msg);
		tn_client_free(client);
		return;
	}
	doctor_say(doctor, DOCTOR_OK, "daemon", "tenantd %s, up %s", status.version,
	           output_duration(status.uptime_usec, uptime));
	say_all(doctor, "daemon is degraded", &status.degraded);
	say_all(doctor, "not enforced", &status.unenforced);
	tn_status_done(&status);
	tn_client_free(client);
}

static void check_systemd(struct doctor *doctor)
{
	struct stat st;

	if (fstatat(doctor->root_fd, "run/systemd/system", &st, 0) == 0)
		doctor_say(doctor, DOCTOR_OK, "systemd", NULL);
	else
		doctor_say(
			doctor, DOCTOR_WARN, "systemd",
			"does not run this host; start tenantd yourself, with --cgroup-root");
}

const struct doctor_check doctor_setup_checks[] = {
	{ "bounds", check_bounds_file }, { "ids", check_ids },
	{ "policy", check_policy },      { "storage", check_storage },
	{ "admins", check_admins },      { "systemd", check_systemd },
	{ "daemon", check_daemon },      { NULL, NULL },
};
