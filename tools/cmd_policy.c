/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmd.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/io.h>
#include <policy/daemon.h>
#include <policy/json_schema.h>
#include <policy/policy.h>
#include <tenant/policy.h>

#include "output.h"

#define TIER_FILE_BYTES_MAX (1 << 20)
/* What tells policies apart for people. */
#define HASH_SHOWN 12

/* @r of a call that gave @policy. */
static int show_policy(const struct ctl *ctl, int r, struct tn_policy *policy)
{
	if (r < 0)
		return r;
	if (ctl->json) {
		output_json(stdout, tn_policy_fields(), policy);
	} else {
		(void)printf("policy %s\n", policy->policy_hash);
		output_texts("tiers", &policy->tiers);
	}
	tn_policy_done(policy);
	return 0;
}

int cmd_policy_reload(struct ctl *ctl, struct tn_error *err)
{
	struct tn_policy policy = { 0 };

	return show_policy(ctl, tn_policy_reload(ctl->client, ctl->force, &policy, err),
	                   &policy);
}

int cmd_policy_rollback(struct ctl *ctl, struct tn_error *err)
{
	struct tn_policy policy = { 0 };
	int r = tn_policy_rollback(ctl->client, ctl->operands[0], ctl->force, &policy, err);

	return show_policy(ctl, r, &policy);
}

int cmd_policy_schema(struct ctl *ctl, struct tn_error *err)
{
	int which = POLICY_SCHEMA_TIER;

	if (ctl->operands_n > 0)
		which = policy_schema_parse(ctl->operands[0], err);
	if (which < 0)
		return which;
	policy_schema_write(stdout, (enum policy_schema)which);
	return 0;
}

/* Rows for people, or lines of JSON. */
struct listing {
	bool json;
	struct jout out;
	struct table table;
	size_t rows_n, hurting_n;
};

static int listing_end(struct listing *listing, int r, struct tn_error *err)
{
	if (r == 0 && listing->json) {
		jout_end_lines(&listing->out);
		(void)putchar('\n');
	} else if (r == 0 && table_print(&listing->table, stdout) < 0) {
		r = err_set(err, TN_SYSTEM, ENOMEM, "no memory for the list");
	}
	table_done(&listing->table);
	return r;
}

static void add_hash(struct table *table, const char *hash)
{
	char cell[HASH_SHOWN + 1];

	(void)snprintf(cell, sizeof(cell), "%s", hash);
	table_add(table, cell);
}

static int on_entry(const struct tn_policy_entry *entry, void *userdata)
{
	struct listing *listing = userdata;
	struct table *table = &listing->table;
	char cell[OUTPUT_CELL_BYTES_MAX];

	if (listing->json) {
		jout_line(&listing->out);
		output_record(&listing->out, NULL, tn_policy_entry_fields(), entry);
		return 0;
	}
	add_hash(table, entry->policy_hash);
	table_add(table, output_instant(entry->accepted_at, cell));
	table_add(table, entry->accepted_by == TN_ABSENT
	                         ? "start"
	                         : output_int(entry->accepted_by, cell));
	table_add(table, entry->state == TN_POLICY_IN_FORCE ? "in force" : "");
	if (entry->instead_of != NULL)
		(void)snprintf(cell, sizeof(cell), "rollback, in place of %.*s", HASH_SHOWN,
		               entry->instead_of);
	table_add(table, entry->instead_of != NULL ? cell : "");
	return 0;
}

int cmd_policy_history(struct ctl *ctl, struct tn_error *err)
{
	static const struct table_column columns[] = {
		{ "POLICY", false }, { "ACCEPTED", false }, { "BY UID", false },
		{ "STATE", false },  { "HOW", false },
	};
	struct listing listing = { .json = ctl->json, .out = { .file = stdout } };

	table_init(&listing.table, columns, ARRAY_LEN(columns));
	return listing_end(&listing, tn_policy_list(ctl->client, on_entry, &listing, err), err);
}

static int on_change(const struct tn_policy_change *change, void *userdata)
{
	struct listing *listing = userdata;
	struct table *table = &listing->table;

	listing->rows_n++;
	listing->hurting_n += change->hurts != NULL;
	if (listing->json) {
		jout_line(&listing->out);
		output_record(&listing->out, NULL, tn_policy_change_fields(), change);
		return 0;
	}
	/* What is said of the node is nobody's. */
	table_add(table, change->tenant != NULL ? change->tenant : "(the node)");
	table_add(table, change->tier != NULL ? change->tier : "");
	table_add(table, change->key);
	table_add(table, change->before);
	table_add(table, change->after);
	table_add(table, change->after_source);
	table_add(table, change->hurts != NULL ? change->hurts : "");
	return 0;
}

int cmd_policy_diff(struct ctl *ctl, struct tn_error *err)
{
	static const struct table_column columns[] = {
		{ "TENANT", false }, { "TIER", false }, { "LIMIT", false }, { "NOW", true },
		{ "THEN", true },    { "SET", false },  { "HURTS", false },
	};
	const char *hash = ctl->operands_n > 0 ? ctl->operands[0] : NULL;
	struct listing listing = { .json = ctl->json, .out = { .file = stdout } };
	int r;

	table_init(&listing.table, columns, ARRAY_LEN(columns));
	r = tn_policy_diff(ctl->client, hash, on_change, &listing, err);
	if (r == 0 && !ctl->json && listing.rows_n == 0) {
		table_done(&listing.table);
		(void)puts("nothing would change for any tenant");
		return 0;
	}
	return listing_end(&listing, r, err);
}

static void print_show(const struct tn_tenant_policy *shown)
{
	static const struct table_column columns[] = { { "LIMIT", false },
		                                       { "VALUE", true },
		                                       { "SET", false } };
	struct table table;

	(void)printf("%s has tier %s (%s) of policy %.*s\n\n", shown->tenant, shown->tier,
	             shown->file, HASH_SHOWN, shown->policy_hash);
	table_init(&table, columns, ARRAY_LEN(columns));
	for (size_t i = 0; i < shown->limits.n; i++) {
		table_add(&table, shown->limits.items[i].key);
		table_add(&table, shown->limits.items[i].value);
		table_add(&table, shown->limits.items[i].source);
	}
	(void)table_print(&table, stdout);
	table_done(&table);
}

int cmd_policy_show(struct ctl *ctl, struct tn_error *err)
{
	struct tn_tenant_policy shown = { 0 };
	int r = tn_policy_show(ctl->client, ctl->operands[0], &shown, err);

	if (r < 0)
		return r;
	if (ctl->json)
		output_json(stdout, tn_tenant_policy_fields(), &shown);
	else
		print_show(&shown);
	tn_tenant_policy_done(&shown);
	return 0;
}

/* A directory that was not there, with those above it that are not either. */
static int export_directory(int dir_fd, const char *file, struct tn_error *err)
{
	char path[POLICY_FILE_BYTES_MAX];

	for (const char *slash = strchr(file, '/'); slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		(void)snprintf(path, sizeof(path), "%.*s", (int)(slash - file), file);
		if (mkdirat(dir_fd, path, 0755) < 0 && errno != EEXIST)
			return err_errno(err, "create %s: %s", path, strerror(errno));
	}
	return 0;
}

static int export_file(int dir_fd, const struct tn_pair *file, struct tn_error *err)
{
	cleanup_fd int fd = FD_NONE;
	int r = export_directory(dir_fd, file->key, err);

	if (r < 0)
		return r;
	fd = openat(dir_fd, file->key, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
	            0644);
	if (fd < 0)
		return err_errno(err, "create %s: %s", file->key, strerror(errno));
	r = io_write_all(fd, file->value, strlen(file->value));
	return r < 0 ? err_set(err, TN_SYSTEM, -r, "write %s: %s", file->key, strerror(-r)) : 0;
}

static int export_all(const struct tn_policy_files *policy, const char *path,
                      struct tn_error *err)
{
	cleanup_fd int dir_fd = FD_NONE;
	int r = 0;

	/* The daemon has less privilege than we may have. */
	for (size_t i = 0; i < policy->files.n; i++)
		if (!policy_file_name_valid(policy->files.items[i].key))
			return err_refuse(err, TN_PROTOCOL, "'%.64s' is no policy file's name",
			                  policy->files.items[i].key);
	if (mkdir(path, 0755) < 0)
		return err_errno(err, "create %s: %s", path, strerror(errno));
	dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir_fd < 0)
		return err_errno(err, "open %s: %s", path, strerror(errno));
	for (size_t i = 0; r == 0 && i < policy->files.n; i++)
		r = export_file(dir_fd, &policy->files.items[i], err);
	return r;
}

int cmd_policy_export(struct ctl *ctl, struct tn_error *err)
{
	struct tn_policy_files policy = { 0 };
	int r = tn_policy_get(ctl->client, ctl->operands[0], &policy, err);

	if (r < 0)
		return r;
	r = export_all(&policy, ctl->operands[1], err);
	if (r == 0 && ctl->json)
		(void)puts("{}");
	else if (r == 0)
		(void)printf("policy %.*s: %zu files in %s\n", HASH_SHOWN, policy.policy_hash,
		             policy.files.n, ctl->operands[1]);
	tn_policy_files_done(&policy);
	return r;
}

/* "…/NAME.d/FILE": it changes a tier, and only with that it can be said whether it is right. */
static bool is_dropin(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL && slash - path > 2 && strncmp(slash - 2, ".d", 2) == 0;
}

int cmd_policy_text(const char *path, char **ret, size_t *ret_n, struct tn_error *err)
{
	cleanup_free char *text = malloc(TIER_FILE_BYTES_MAX);
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return err_set(err, TN_NOT_FOUND, errno, "open %s: %s", path, strerror(errno));
	if (text == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "no memory for %s", path);
	n = io_read_all(fd, text, TIER_FILE_BYTES_MAX);
	if (n < 0)
		return err_set(err, TN_SYSTEM, (int)-n, "read %s: %s", path, strerror((int)-n));
	if (n == TIER_FILE_BYTES_MAX)
		return err_refuse(err, TN_INVALID, "%s: longer than 1 MiB", path);
	*ret = text;
	*ret_n = (size_t)n;
	text = NULL;
	return 0;
}

int cmd_policy_accounts(const struct policy_tier *tier, struct tn_error *err)
{
	for (size_t i = 0; i < tier->operators_n; i++) {
		const struct policy_operator *one = &tier->operators[i];
		char place[POLICY_FILE_BYTES_MAX + 32];
		uint32_t id;
		int r = account_lookup(one->kind, one->name, &id);

		if (r > 0)
			continue;
		policy_place(tier, &tier->operators[i].where, place, sizeof(place));
		if (r < 0)
			return err_set(err, TN_SYSTEM, -r, "%s: operators: look up %s '%s'",
			               place, account_kind_name(one->kind), one->name);
		return err_refuse(err, TN_INVALID,
		                  "%s: operators: this host has no %s '%s'; expected one that "
		                  "it knows",
		                  place, account_kind_name(one->kind), one->name);
	}
	return 0;
}

static const char *file_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

/* Whether the directory that @path is in has that name. */
static bool is_in(const char *path, const char *dir)
{
	const size_t parent_n = (size_t)(file_name(path) - path), n = strlen(dir);

	return parent_n > n && path[parent_n - 1] == '/' &&
	       strncmp(path + parent_n - 1 - n, dir, n) == 0 &&
	       (parent_n - 1 == n || path[parent_n - n - 2] == '/');
}

/* The meters of the policy that @path is a tier or a price book of; none if it is of none. */
static int meters_beside(const char *path, struct policy_meters *ret, struct tn_error *err)
{
	char meters_path[PATH_MAX];
	cleanup_free char *text = NULL;
	size_t n = 0;
	int r;

	*ret = (struct policy_meters){ 0 };
	if (!is_in(path, "tiers") && !is_in(path, "prices"))
		return 0;
	if (snprintf(meters_path, sizeof(meters_path), "%.*s../" POLICY_METERS_FILE,
	             (int)(file_name(path) - path), path) >= (int)sizeof(meters_path))
		return err_refuse(err, TN_INVALID, "%s: too long", path);
	if (access(meters_path, F_OK) < 0 && errno == ENOENT)
		return 0;
	r = cmd_policy_text(meters_path, &text, &n, err);
	return r < 0 ? r : policy_meters_parse(meters_path, text, n, ret, err);
}

static int check_tier(const char *path, const char *text, size_t n, struct tn_error *err)
{
	cleanup_free struct policy_tier *tier = malloc(sizeof(*tier));
	struct policy_meters meters;
	int r;

	if (tier == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "no memory for %s", path);
	r = meters_beside(path, &meters, err);
	if (r == 0)
		r = policy_tier_parse(path, text, n, &meters, tier, err);
	if (r == 0)
		r = policy_tier_check(tier, err);
	if (r == 0)
		r = cmd_policy_accounts(tier, err);
	return r < 0 ? r : 1;
}

static int check_book(const char *path, const char *text, size_t n, struct tn_error *err)
{
	cleanup_free struct policy_book *book = malloc(sizeof(*book));
	struct policy_meters meters;
	int r;

	if (book == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "no memory for %s", path);
	r = meters_beside(path, &meters, err);
	return r < 0 ? r : policy_book_parse(path, text, n, &meters, book, err);
}

/* What a file is, its name and its directory say. Returns how many tiers it is. */
static int check_file(const char *path, struct tn_error *err)
{
	cleanup_free char *text = NULL;
	struct policy_meters meters;
	struct policy_daemon daemon;
	size_t n = 0;
	int r = cmd_policy_text(path, &text, &n, err);

	if (r < 0)
		return r;
	if (strcmp(file_name(path), POLICY_DAEMON_FILE) == 0)
		return policy_daemon_parse(path, text, n, &daemon, err);
	if (strcmp(file_name(path), POLICY_METERS_FILE) == 0)
		return policy_meters_parse(path, text, n, &meters, err);
	if (is_in(path, "prices"))
		return check_book(path, text, n, err);
	if (is_dropin(path))
		return err_refuse(
			err, TN_INVALID,
			"%s changes a tier and is checked with it; check the directory "
			"that holds tiers/",
			path);
	return check_tier(path, text, n, err);
}

/* Returns how many tiers there are. */
static int check_directory(const char *path, struct tn_error *err)
{
	struct policy *policy;
	size_t n = 0;
	int r = policy_load(path, &policy, err);

	if (r < 0)
		return r;
	for (const struct policy_tier *tier;
	     (tier = policy_tier_at(policy, n)) != NULL && r == 0; n++)
		r = cmd_policy_accounts(tier, err);
	policy_free(policy);
	return r < 0 ? r : (int)n;
}

/* What the daemon would say to these files, without one. */
int cmd_policy_check(struct ctl *ctl, struct tn_error *err)
{
	const char *path = ctl->operands_n > 0 ? ctl->operands[0] : CONFIG_DIR;
	struct jout out = { .file = stdout };
	struct stat st;
	int r;

	if (stat(path, &st) < 0)
		return err_set(err, TN_NOT_FOUND, errno, "%s: %s", path, strerror(errno));
	r = S_ISDIR(st.st_mode) ? check_directory(path, err) : check_file(path, err);
	if (r < 0)
		return r;
	if (ctl->json) {
		jout_begin(&out, NULL, '{');
		jout_bool(&out, "ok", true);
		jout_int(&out, "tiers", r);
		jout_end(&out, '}');
		(void)putchar('\n');
	} else {
		/* What is said of the node, meters and prices are no tier. */
		(void)printf(r == 0 ? "ok\n" : "ok: %d tier%s\n", r, r == 1 ? "" : "s");
	}
	return 0;
}
