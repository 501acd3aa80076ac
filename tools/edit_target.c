/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "edit_target.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <base/fd.h>
#include <base/name.h>
#include <base/nearest.h>
#include <policy/daemon.h>
#include <policy/meters.h>

#define TIERS     "tiers/"
#define BOOKS     "prices/"
#define SUFFIX    ".yaml"
#define ALL_FILES POLICY_DAEMON_FILE ", " POLICY_METERS_FILE " or " BOOKS "NAME" SUFFIX

/* Files that a policy has at most once. */
static const struct single {
	const char *name;
	const char *beginning;
} singles[] = {
	{ POLICY_DAEMON_FILE, "# What is said of the node; see tenantd.yaml(5). Such as:\n"
	                      "#\n"
	                      "# commit_window: 5ms\n" },
	{ POLICY_METERS_FILE, "# What applications count beside the builtin meters; see\n"
	                      "# tenantd-meters(5). Such as:\n"
	                      "#\n"
	                      "# meters:\n"
	                      "#   documents: {kind: gauge, unit: documents}\n"
	                      "#   gpu_time:  {kind: counter, unit: usec}\n" },
};

static const char book_beginning[] =
	"# What tenants pay for what they use; see tenantd-prices(5). Such as:\n"
	"#\n"
	"# currency: EUR\n"
	"# valid_from: 2026-01-01\n"
	"# prices:\n"
	"#   cpu_time: {price: \"0.036\", per: 1h}\n"
	"#   tokens:   {price: \"0.40\", per: 1000000}\n";

static const struct single *single_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(singles); i++)
		if (strcmp(singles[i].name, name) == 0)
			return &singles[i];
	return NULL;
}

static bool is_below(const char *name, const char *dir)
{
	return strncmp(name, dir, strlen(dir)) == 0;
}

static int refuse(const char *what, struct tn_error *err)
{
	struct nearest nearest = nearest_begin(what);
	char hint[NEAREST_HINT_BYTES_MAX];

	for (size_t i = 0; i < ARRAY_LEN(singles); i++)
		nearest_consider(&nearest, singles[i].name);
	if (is_below(what, BOOKS))
		return err_refuse(err, TN_INVALID,
		                  "'%.64s' is no price book's file; expected " BOOKS
		                  "NAME" SUFFIX ", its name " NAME_RULE,
		                  what);
	return err_refuse(err, TN_INVALID,
	                  "'%.64s' is no tier's name%s; expected one, or " ALL_FILES, what,
	                  nearest_hint(&nearest, "", hint));
}

/* The tier of @parent whose name is nearest to that of @nearest, which may then borrow @best.
 */
static void tiers_consider(const char *parent, struct nearest *nearest,
                           char best[NAME_BYTES_MAX])
{
	DIR *dir = opendir(parent);
	const struct dirent *entry;

	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL) {
		const size_t n = strlen(entry->d_name), suffix_n = strlen(SUFFIX);
		char name[NAME_BYTES_MAX];

		if (n <= suffix_n || n - suffix_n >= sizeof(name) ||
		    strcmp(entry->d_name + n - suffix_n, SUFFIX) != 0)
			continue;
		memcpy(name, entry->d_name, n - suffix_n);
		name[n - suffix_n] = '\0';
		nearest_consider(nearest, name);
		if (nearest->meant == name) {
			memcpy(best, name, sizeof(name));
			nearest->meant = best;
		}
	}
	(void)closedir(dir);
}

static int tier_missing(const struct edit_target *target, const char *what,
                        struct tn_error *err)
{
	struct nearest nearest = nearest_begin(what);
	char best[NAME_BYTES_MAX], hint[NEAREST_HINT_BYTES_MAX];

	tiers_consider(target->parent, &nearest, best);
	return err_set(err, TN_NOT_FOUND, ENOENT,
	               "there is no tier '%s' (%s)%s; expected one that there is, or " ALL_FILES
	               "; a new tier is a new file there",
	               what, target->path, nearest_hint(&nearest, "", hint));
}

/* Of its name all the rest. */
static int paths_make(struct edit_target *target, struct tn_error *err)
{
	const char *slash = strrchr(target->name, '/');
	const int parent_n = slash != NULL ? (int)(slash - target->name) : 0;
	const char *base = slash != NULL ? slash + 1 : target->name;
	const int n = snprintf(target->parent, sizeof(target->parent), "%s%s%.*s", target->dir,
	                       slash != NULL ? "/" : "", parent_n, target->name);

	if (n >= (int)sizeof(target->parent) ||
	    snprintf(target->path, sizeof(target->path), "%s/%s", target->dir, target->name) >=
	            (int)sizeof(target->path) ||
	    snprintf(target->copy, sizeof(target->copy), "%s/.%s.edit", target->parent, base) >=
	            (int)sizeof(target->copy))
		return err_refuse(err, TN_INVALID, "%s: too long", target->dir);
	return 0;
}

int edit_target_find(const char *dir, const char *what, struct edit_target *ret,
                     struct tn_error *err)
{
	const bool file = single_find(what) != NULL ||
	                  (is_below(what, BOOKS) && policy_file_name_valid(what));
	struct stat st;
	int r;

	if (!file && !name_valid(what))
		return refuse(what, err);
	ret->dir = dir;
	(void)snprintf(ret->name, sizeof(ret->name), "%s%s%s", file ? "" : TIERS, what,
	               file ? "" : SUFFIX);
	r = paths_make(ret, err);
	if (r < 0)
		return r;
	ret->fresh = lstat(ret->path, &st) < 0 && errno == ENOENT;
	return ret->fresh && !file ? tier_missing(ret, what, err) : 0;
}

char *edit_target_beginning(const struct edit_target *target, struct tn_error *err)
{
	const struct single *single = single_find(target->name);
	const char *base = target->name + strlen(BOOKS);
	char *text = NULL;
	int n;

	if (single != NULL)
		n = asprintf(&text, "%s", single->beginning);
	else
		n = asprintf(&text, "book: %.*s\n%s", (int)(strlen(base) - strlen(SUFFIX)),
		             base, book_beginning);
	if (n >= 0)
		return text;
	(void)err_set(err, TN_SYSTEM, ENOMEM, "no memory for %s", target->path);
	return NULL;
}
