/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "binds.h"

#include <string.h>

#include <base/fd.h>

#include "schema.h"
#include "values.h"

#define PATH_EXPECTED "expected a path such as /srv/data"

/* Each is a way out of the sandbox; "/" holds them all and is refused by its form. */
static const char *const forbidden[] = { "/dev", "/proc", "/sys" };

enum {
	BINDS_ALLOW,
	BINDS_RW
};

static const struct {
	const char *key;
	const char *about;
} rows[] = {
	[BINDS_ALLOW] = { "allow", "host paths that --bind may name, with all below them" },
	[BINDS_RW] = { "rw", "those of them that may be bound writable" },
};

/* @path is @root or below it. */
static bool is_within(const char *path, const char *root)
{
	size_t n = strlen(root);

	return strncmp(path, root, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* What is wrong with @path, or NULL. */
static const char *path_fault(const char *path)
{
	size_t n;

	if (path[0] != '/')
		return "is not absolute";
	if (strlen(path) >= POLICY_PATH_BYTES_MAX)
		return "is too long";
	if (strcmp(path, "/") == 0)
		return "is the whole host";
	for (const char *p = path; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return "has control characters";
	for (const char *p = path; *p != '\0'; p += n) {
		p++; /* the slash */
		n = strcspn(p, "/");
		if (n == 0)
			return "has an empty component";
		if ((n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			return "has a '.' or '..' component";
	}
	for (size_t i = 0; i < ARRAY_LEN(forbidden); i++)
		if (is_within(path, forbidden[i]))
			return "belongs to the kernel's file systems";
	return NULL;
}

/* One of the two lists of a tier. */
struct paths {
	char (*paths)[POLICY_PATH_BYTES_MAX];
	struct policy_location *where;
	size_t *n;
};

static int path_add(const struct policy_tier *tier, const struct document_node *item,
                    const char *key, const struct paths *list, struct tn_error *err)
{
	const char *fault;

	if (item->kind != DOCUMENT_SCALAR || document_is_empty(item))
		return document_refuse(item, err, "%s: not a path; " PATH_EXPECTED, key);
	fault = path_fault(item->text);
	if (fault != NULL)
		return document_refuse(item, err, "%s: '%.64s' %s; " PATH_EXPECTED, key,
		                       item->text, fault);
	for (size_t i = 0; i < *list->n; i++)
		if (strcmp(list->paths[i], item->text) == 0)
			return document_refuse(
				item, err, "%s: '%.64s' stands there twice; expected it once",
				key, item->text);
	if (*list->n == POLICY_BINDS_MAX)
		return document_refuse(item, err, "%s: too many paths; expected at most %d",
		                       key, POLICY_BINDS_MAX);
	memcpy(list->paths[*list->n], item->text, strlen(item->text) + 1);
	list->where[(*list->n)++] = tier_location(tier, item);
	return 0;
}

static const char *binds_key(size_t i)
{
	return rows[i].key;
}

static int binds_set(void *target, size_t i, const struct document_node *key,
                     struct tn_error *err)
{
	struct policy_tier *tier = target;
	const struct paths lists[] = {
		[BINDS_ALLOW] = { tier->binds_allow, tier->binds_allow_where,
		                  &tier->binds_allow_n },
		[BINDS_RW] = { tier->binds_rw, tier->binds_rw_where, &tier->binds_rw_n },
	};

	if (key->value->kind != DOCUMENT_SEQUENCE)
		return document_refuse(key->value, err,
		                       "%s: not a list; expected one such as [/srv/data]",
		                       key->text);
	for (const struct document_node *item = key->value->first; item != NULL;
	     item = item->next) {
		int r = path_add(tier, item, key->text, &lists[i], err);

		if (r < 0)
			return r;
	}
	return 0;
}

/* Every writable path is within an allowed one, whichever list comes first. */
static int rw_check(const struct policy_tier *tier, const struct document_node *rw,
                    struct tn_error *err)
{
	for (const struct document_node *item = rw->first; item != NULL; item = item->next) {
		size_t i = 0;

		while (i < tier->binds_allow_n && !is_within(item->text, tier->binds_allow[i]))
			i++;
		if (i == tier->binds_allow_n)
			return document_refuse(item, err,
			                       "rw: '%.64s' is not within a path of allow; "
			                       "expected it there too",
			                       item->text);
	}
	return 0;
}

int binds_read(struct policy_tier *tier, const struct document_node *mapping,
               struct tn_error *err)
{
	static const struct schema schema = {
		.noun = "binds",
		.keys_n = ARRAY_LEN(rows),
		.key = binds_key,
		.set = binds_set,
	};
	const struct document_node *rw;
	int r = schema_walk(&schema, mapping, tier, err);

	if (r < 0)
		return r;
	rw = document_get(mapping, rows[BINDS_RW].key);
	return rw == NULL ? 0 : rw_check(tier, rw, err);
}
