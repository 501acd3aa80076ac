/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which policy is in force: files, what was accepted before, and what somebody wishes back. */
#include <criterion/criterion.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rig.h"

TestSuite(policies, .timeout = 60);

#define CONTROLLERS                                                                            \
	(SPEC_CONTROLLER_CPU | SPEC_CONTROLLER_MEMORY | SPEC_CONTROLLER_PIDS |                 \
	 SPEC_CONTROLLER_IO)

static const char small_yaml[] = "tier: free\n"
				 "limits:\n"
				 "  memory_max: 32M\n"
				 "  tasks_max: 8\n"
				 "  executions_max: 1\n";

static struct rig rig;
static struct varlink *admin;
static union rig_message message;
static char first[POLICY_HASH_HEX_SIZE];

static void set_up(void)
{
	rig_init(&rig);
	admin = rig_connect(&rig);
	(void)snprintf(first, sizeof(first), "%s",
	               policy_hash_hex(rig.context->policies.present));
}

static void tear_down(void)
{
	(void)varlink_free(admin);
	rig_done(&rig);
}

static void restart(void)
{
	admin = varlink_free(admin);
	rig_restart(&rig);
	rig_hello(&rig, CONTROLLERS);
	admin = rig_connect(&rig);
}

/* Each tenant that is in the kernel is brought to it; the memory_max that the last one got. */
static int64_t change(const char *method, json_t *parameters)
{
	int64_t memory_max = -1;
	json_t *answer;

	rig_call(&rig, admin, method, parameters, NULL);
	/* Names are looked up by a process of its own. */
	rig_window(&rig);
	while (rig_next(&rig, &message)) {
		cr_assert_eq(message.head.op, SPEC_TENANT_APPLY);
		memory_max = message.apply.limits.memory_max_bytes;
		rig_reply(&rig, &message, TN_OK);
		rig_turn(&rig);
	}
	answer = rig_answer(&rig, admin);
	cr_assert_null(json_object_get(answer, "error"), "%s", rig_text(answer, "error"));
	json_decref(answer);
	return memory_max;
}

static int64_t reload(void)
{
	return change("io.tenantd.ReloadPolicy", json_object());
}

static int64_t rollback(const char *hash)
{
	return change("io.tenantd.RollbackPolicy", json_pack("{s:s}", "hash", hash));
}

static void expect_refused(const char *method, const char *hash, const char *error,
                           const char *says)
{
	json_t *answer = rig_refused(&rig, admin, method, json_pack("{s:s}", "hash", hash),
	                             NULL, error);

	cr_expect(strstr(rig_text(answer, "message"), says) != NULL, "%s",
	          rig_text(answer, "message"));
	json_decref(answer);
}

/* What a degraded daemon says of its policy, "" for one that is not. */
static const char *degraded(void)
{
	static char text[512];
	json_t *answer = rig_ask(&rig, admin, "io.tenantd.GetStatus", json_object(), NULL);
	const json_t *why = json_array_get(json_object_get(answer, "degraded"), 0);

	(void)snprintf(text, sizeof(text), "%s", why != NULL ? json_string_value(why) : "");
	json_decref(answer);
	return text;
}

static void expect_degraded(const char *says)
{
	const char *text = degraded();

	cr_expect(strstr(text, says) != NULL, "\"%s\" does not say \"%s\"", text, says);
}

/* Member @name of row @i of the history, "(none)" for null. */
static const char *history(size_t i, const char *name)
{
	static char text[128];
	json_t *answer = NULL;

	rig_call(&rig, admin, "io.tenantd.ListPolicies", json_object(), "more");
	(void)snprintf(text, sizeof(text), "(no row)");
	for (size_t at = 0;; at++) {
		const json_t *row;
		bool more;

		answer = rig_answer(&rig, admin);
		row = json_object_get(json_object_get(answer, "parameters"), "policy");
		if (at == i && row != NULL)
			(void)snprintf(text, sizeof(text), "%s", rig_text(row, name));
		more = json_is_true(json_object_get(answer, "continues"));
		json_decref(answer);
		if (!more)
			return text;
	}
}

/* "VALUE SOURCE" of @key as it holds for acme; of several the last. */
static const char *shown(const char *key)
{
	static char text[256];
	json_t *answer = rig_ask(&rig, admin, "io.tenantd.ShowPolicy",
	                         json_pack("{s:s}", "tenant", "acme"), NULL);
	size_t i;
	json_t *limit;

	(void)snprintf(text, sizeof(text), "(none)");
	json_array_foreach(json_object_get(answer, "limits"), i, limit)
	{
		if (strcmp(rig_text(limit, "key"), key) == 0)
			(void)snprintf(text, sizeof(text), "%s %s", rig_text(limit, "value"),
			               rig_text(limit, "source"));
	}
	json_decref(answer);
	return text;
}

/* The changes of @key that a diff tells for @tenant, a line each; "(none)" if there is none. */
static const char *changed(const char *hash, const char *tenant, const char *key)
{
	static char text[1024];
	bool more = true;
	size_t n = 0;

	rig_call(&rig, admin, "io.tenantd.DiffPolicy", json_pack("{s:s?}", "hash", hash),
	         "more");
	(void)snprintf(text, sizeof(text), "(none)");
	while (more) {
		json_t *answer = rig_answer(&rig, admin);
		const json_t *change = json_object_get(json_object_get(answer, "parameters"),
		                                       "change");

		cr_assert_null(json_object_get(answer, "error"), "%s",
		               rig_text(answer, "error"));
		if (change != NULL && strcmp(rig_text(change, "tenant"), tenant) == 0 &&
		    strcmp(rig_text(change, "key"), key) == 0)
			n += (size_t)snprintf(
				text + n, sizeof(text) - n, "%s%s %s > %s %s: %s",
				n > 0 ? "\n" : "", rig_text(change, "before"),
				rig_text(change, "before_source"), rig_text(change, "after"),
				rig_text(change, "after_source"), rig_text(change, "hurts"));
		more = json_is_true(json_object_get(answer, "continues"));
		json_decref(answer);
	}
	return text;
}

Test(policies, what_is_reloaded_is_kept_and_what_is_the_same_is_not_kept_twice, .init = set_up,
     .fini = tear_down)
{
	reload();
	cr_expect_str_eq(history(0, "policy_hash"), first);
	cr_expect_str_eq(history(1, "policy_hash"), "(no row)");
	rig_write(&rig, "tiers/free.yaml", small_yaml);
	reload();
	cr_expect_str_neq(history(0, "policy_hash"), first);
	cr_expect_str_eq(history(0, "state"), "in_force");
	cr_expect_str_eq(history(0, "instead_of"), "(none)");
	cr_expect_str_eq(history(1, "policy_hash"), first);
	cr_expect_str_eq(history(1, "state"), "earlier");
	cr_expect_str_eq(degraded(), "");
}

Test(policies, files_that_are_wrong_at_a_start_leave_what_was_accepted, .init = set_up,
     .fini = tear_down)
{
	rig_tenant(&rig, "acme");
	rig_write(&rig, "tiers/free.yaml", "tier: free\nlimits:\n  memory_max: lots\n");
	restart();
	cr_expect_str_eq(policy_hash_hex(rig.context->policies.present), first);
	expect_degraded("tiers/free.yaml:3:15");
	cr_expect(rig_silent(&rig));
	cr_expect(strstr(rig.status, "tiers/free.yaml:3:15") != NULL, "%s", rig.status);
	cr_expect_str_eq(shown("memory_max"), "128M tiers/free.yaml:4");
	/* It is no different after one more. */
	restart();
	expect_degraded("tiers/free.yaml:3:15");
	json_decref(rig_refused(&rig, admin, "io.tenantd.ReloadPolicy", json_object(), NULL,
	                        "io.tenantd.Invalid"));
	rig_write(&rig, "tiers/free.yaml", small_yaml);
	reload();
	cr_expect_str_eq(degraded(), "");
	cr_expect(strncmp(rig.status, "serving", strlen("serving")) == 0, "%s", rig.status);
	cr_expect_str_eq(shown("memory_max"), "32M tiers/free.yaml:3");
	restart();
	cr_expect_str_eq(degraded(), "");
	cr_expect_str_eq(shown("memory_max"), "32M tiers/free.yaml:3");
}

Test(policies, files_without_a_tier_that_is_in_use_are_wrong, .init = set_up, .fini = tear_down)
{
	char path[2 * RIG_PATH_BYTES_MAX];

	rig_tenant(&rig, "acme");
	(void)snprintf(path, sizeof(path), "%s/tiers/free.yaml", rig.dir);
	cr_assert_eq(unlink(path), 0);
	restart();
	expect_degraded("tenants have tier 'free'");
	cr_expect_str_eq(shown("memory_max"), "128M tiers/free.yaml:4");
}

Test(policies, an_earlier_one_holds_until_the_files_change, .init = set_up, .fini = tear_down)
{
	char short_hash[9];

	rig_tenant(&rig, "acme");
	rig_write(&rig, "tiers/free.yaml", small_yaml);
	reload();
	cr_expect_str_eq(shown("tasks_max"), "8 tiers/free.yaml:4");
	(void)snprintf(short_hash, sizeof(short_hash), "%s", first);
	rollback(short_hash);
	cr_expect_str_eq(shown("tasks_max"), "32 tiers/free.yaml:7");
	expect_degraded("set aside");
	cr_expect_str_eq(history(0, "policy_hash"), first);
	cr_expect_str_eq(history(0, "state"), "in_force");
	cr_expect_str_eq(history(2, "state"), "earlier");
	cr_expect_eq(strlen(history(0, "instead_of")), POLICY_HASH_HEX_SIZE - 1);
	restart();
	cr_expect_str_eq(shown("tasks_max"), "32 tiers/free.yaml:7");
	expect_degraded("set aside");
	/* Whoever edits them means them. */
	rig_write(&rig, "tiers/free.yaml", "tier: free\nlimits: {tasks_max: 9}\n");
	restart();
	cr_expect_str_eq(degraded(), "");
	cr_expect_str_eq(shown("tasks_max"), "9 tiers/free.yaml:2");
}

/* As if what it says were allowed no more. */
static void spoil_what_is_kept(void)
{
	char path[2 * RIG_PATH_BYTES_MAX];
	sqlite3 *db;

	(void)snprintf(path, sizeof(path), "%s/store/tenantd.db", rig.dir);
	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, "UPDATE policy_files SET text = x'3a'", NULL, NULL, NULL),
	             SQLITE_OK, "%s", sqlite3_errmsg(db));
	cr_assert_eq(sqlite3_close(db), SQLITE_OK);
}

Test(policies, files_that_check_are_in_force_if_what_is_kept_does_not, .init = set_up,
     .fini = tear_down)
{
	rig_tenant(&rig, "acme");
	rig_write(&rig, "tiers/free.yaml", small_yaml);
	reload();
	rollback(first);
	spoil_what_is_kept();
	restart();
	cr_expect_str_eq(degraded(), "");
	cr_expect_str_eq(shown("tasks_max"), "8 tiers/free.yaml:4");
}

Test(policies, where_neither_can_be_had_the_files_are_named, .init = set_up, .fini = tear_down)
{
	struct policies policies = { 0 };
	struct tn_error err = { 0 };

	spoil_what_is_kept();
	rig_write(&rig, "tiers/free.yaml", "tier: [\n");
	cr_expect_eq(policies_init(&policies, rig.dir, rig.context->store, &err), -EINVAL);
	cr_expect(strstr(err.msg, "tiers/free.yaml:") != NULL, "%s", err.msg);
	policies_done(&policies);
}

Test(policies, a_reload_ends_a_rollback, .init = set_up, .fini = tear_down)
{
	rig_tenant(&rig, "acme");
	rig_write(&rig, "tiers/free.yaml", small_yaml);
	reload();
	rollback(first);
	reload();
	cr_expect_str_eq(degraded(), "");
	cr_expect_str_eq(shown("tasks_max"), "8 tiers/free.yaml:4");
	/* Back to what the files say is none. */
	rollback(policy_hash_hex(rig.context->policies.present));
	cr_expect_str_eq(degraded(), "");
}

Test(policies, a_rollback_reaches_the_kernel, .init = set_up, .fini = tear_down)
{
	rig_tenant(&rig, "acme");
	rig_write(&rig, "tiers/free.yaml", small_yaml);
	cr_expect_eq(reload(), 32 << 20);
	cr_expect_eq(rollback(first), 128 << 20);
}

Test(policies, a_rollback_to_what_cannot_be_is_refused, .init = set_up, .fini = tear_down)
{
	char only_free[POLICY_HASH_HEX_SIZE], path[2 * RIG_PATH_BYTES_MAX];

	(void)snprintf(path, sizeof(path), "%s/tiers/large.yaml", rig.dir);
	cr_assert_eq(unlink(path), 0);
	reload();
	(void)snprintf(only_free, sizeof(only_free), "%s",
	               policy_hash_hex(rig.context->policies.present));
	rig_write(&rig, "tiers/large.yaml", "tier: large\n");
	reload();
	rig_call(&rig, admin, "io.tenantd.CreateTenant",
	         json_pack("{s:s, s:s}", "name", "big", "tier", "large"), NULL);
	rig_take(&rig, SPEC_TENANT_APPLY, &message);
	rig_reply(&rig, &message, TN_OK);
	json_decref(rig_answer(&rig, admin));
	expect_refused("io.tenantd.RollbackPolicy", only_free, "io.tenantd.InvalidState",
	               "tier 'large'");
	expect_refused("io.tenantd.RollbackPolicy", "abc", "io.tenantd.Invalid", "at least 4");
	expect_refused("io.tenantd.RollbackPolicy", "ABCDEF", "io.tenantd.Invalid",
	               "hexadecimal");
	expect_refused("io.tenantd.RollbackPolicy", "00000000000000", "io.tenantd.NotFound",
	               "begins with 00000000000000");
	expect_refused("io.tenantd.GetPolicy", "00000000000000", "io.tenantd.NotFound",
	               "begins with");
	cr_expect_str_eq(degraded(), "");
}

Test(policies, the_files_of_each_can_be_had, .init = set_up, .fini = tear_down)
{
	json_t *answer, *files;

	rig_write(&rig, "tiers/free.yaml", small_yaml);
	reload();
	answer = rig_ask(&rig, admin, "io.tenantd.GetPolicy", json_pack("{s:s}", "hash", first),
	                 NULL);
	files = json_object_get(answer, "files");
	cr_expect_eq(json_object_size(files), 3);
	cr_expect(strstr(rig_text(files, "tenantd.yaml"), "retention: ") != NULL);
	cr_expect(strstr(rig_text(files, "tiers/free.yaml"), "memory_max: 128M\n") != NULL);
	cr_expect_str_eq(rig_text(answer, "policy_hash"), first);
	json_decref(answer);
}

Test(policies, a_diff_and_what_is_shown_name_operators, .init = set_up, .fini = tear_down)
{
	rig_tenant(&rig, "acme");
	rig_write(&rig, "tiers/free.yaml",
	          "tier: free\noperators: {users: [root, daemon], groups: [adm]}\n");
	cr_expect_str_eq(changed(NULL, "acme", "operators.users"),
	                 "none tiers/free.yaml > root tiers/free.yaml:2: (none)\n"
	                 "none tiers/free.yaml > daemon tiers/free.yaml:2: (none)");
	cr_expect_str_eq(changed(NULL, "acme", "operators.groups"),
	                 "none tiers/free.yaml > adm tiers/free.yaml:2: (none)");
	reload();
	cr_expect_str_eq(changed(NULL, "acme", "operators.users"), "(none)");
	cr_expect_str_eq(shown("operators.groups"), "adm tiers/free.yaml:2");
	(void)change("io.tenantd.UpdateTenant", json_pack("{s:s, s:[s]}", "tenant", "acme",
	                                                  "operators_add", "group:games"));
	/* Its own stand behind those of its tier. */
	cr_expect_str_eq(shown("operators.groups"), "games override");
	rig_write(&rig, "tiers/free.yaml", "tier: free\noperators: {users: [daemon, root]}\n");
	cr_expect_str_eq(changed(NULL, "acme", "operators.groups"),
	                 "adm tiers/free.yaml:2 > none tiers/free.yaml: (none)");
	cr_expect_str_eq(changed(NULL, "acme", "operators.users"), "(none)",
	                 "the order is none");
}

Test(policies, a_diff_and_what_is_shown_name_all_that_is_no_limit, .init = set_up,
     .fini = tear_down)
{
	rig_tenant(&rig, "acme");
	cr_expect_str_eq(shown("log"), "file default");
	cr_expect_str_eq(shown("rootfs"), "host default");
	cr_expect_str_eq(shown("seccomp"), "default default");
	cr_expect_str_eq(shown("network.mode"), "none default");
	cr_expect_str_eq(shown("display_name"), "free default");
	rig_write(&rig, "tiers/free.yaml",
	          "tier: free\ndisplay_name: Free of charge\nrootfs: host\nlog: journal\n"
	          "network:\n  mode: none\nbinds:\n  allow:\n    - /srv/a\n    - /srv/b\n"
	          "  rw: [/srv/b]\n");
	cr_expect_str_eq(changed(NULL, "acme", "log"),
	                 "file default > journal tiers/free.yaml:4: (none)");
	cr_expect_str_eq(changed(NULL, "acme", "display_name"),
	                 "free default > Free of charge tiers/free.yaml:2: (none)");
	cr_expect_str_eq(changed(NULL, "acme", "rootfs"), "(none)");
	reload();
	cr_expect_str_eq(shown("log"), "journal tiers/free.yaml:4");
	cr_expect_str_eq(shown("rootfs"), "host tiers/free.yaml:3");
	cr_expect_str_eq(shown("network.mode"), "none tiers/free.yaml:6");
	cr_expect_str_eq(shown("binds.allow"), "/srv/b tiers/free.yaml:10");
	cr_expect_str_eq(shown("binds.rw"), "/srv/b tiers/free.yaml:11");
	rig_write(&rig, "tiers/free.yaml",
	          "tier: free\nbinds: {allow: [/srv/b, /srv/c]}\nlog: journal\n");
	cr_expect_str_eq(changed(NULL, "acme", "binds.allow"),
	                 "/srv/a tiers/free.yaml:9 > none tiers/free.yaml: (none)\n"
	                 "none tiers/free.yaml > /srv/c tiers/free.yaml:2: (none)");
	cr_expect_str_eq(changed(NULL, "acme", "log"), "(none)", "the same at another place");
}

Test(policies, a_diff_tells_each_change_its_line_and_what_it_hurts, .init = set_up,
     .fini = tear_down)
{
	rig_tenant(&rig, "acme");
	rig_tenant(&rig, "globex");
	(void)change("io.tenantd.UpdateTenant",
	             json_pack("{s:s, s:{s:s}}", "tenant", "globex", "overrides",
	                       "limits.memory_max", "64M"));
	cr_expect_str_eq(changed(NULL, "acme", "memory_max"), "(none)");
	rig_write(&rig, "tiers/free.yaml", small_yaml);
	rig_cgroup(&rig, "acme", 7);
	rig_write(&rig, "cgroup/acme/memory.current", "50000000\n");
	rig_write(&rig, "cgroup/acme/pids.current", "8\n");
	cr_expect_str_eq(changed(NULL, "acme", "memory_max"),
	                 "128M tiers/free.yaml:4 > 32M tiers/free.yaml:3: "
	                 "50000000 bytes of memory are in use");
	cr_expect_str_eq(changed(NULL, "acme", "tasks_max"),
	                 "32 tiers/free.yaml:7 > 8 tiers/free.yaml:4: (none)");
	/* What is a tenant's own does not change with its tier. */
	cr_expect_str_eq(changed(NULL, "globex", "memory_max"), "(none)");
	cr_expect_str_eq(changed(NULL, "globex", "tasks_max"),
	                 "32 tiers/free.yaml:7 > 8 tiers/free.yaml:4: (none)");
	/* Nothing has been done. */
	cr_expect_str_eq(shown("memory_max"), "128M tiers/free.yaml:4");
	rig_write(&rig, "cgroup/acme/memory.current", "1000000\n");
	reload();
	cr_expect_str_eq(changed(NULL, "acme", "memory_max"), "(none)");
	cr_expect_str_eq(changed(first, "acme", "memory_max"),
	                 "32M tiers/free.yaml:3 > 128M tiers/free.yaml:4: (none)");
}

static void own_quota(const char *key, const char *value)
{
	(void)change("io.tenantd.UpdateTenant",
	             json_pack("{s:s, s:{s:s}}", "tenant", "acme", "overrides", key, value));
}

Test(policies, a_diff_and_what_is_shown_name_quotas_also_those_of_a_tenants_own, .init = set_up,
     .fini = tear_down)
{
	static const char tier[] = "tier: free\nquotas:\n  tokens: {limit: 100, per: month}\n"
				   "  documents: {limit: 5}\n";

	rig_tenant(&rig, "acme");
	cr_expect_str_eq(shown("quotas.tokens"), "(none)");
	rig_write(&rig, "meters.yaml", "meters: {documents: {kind: gauge}}\n");
	rig_write(&rig, "tiers/free.yaml", tier);
	cr_expect_str_eq(changed(NULL, "acme", "quotas.tokens"),
	                 "none tiers/free.yaml > 100 per month, hard tiers/free.yaml:3: "
	                 "(none)");
	reload();
	cr_expect_str_eq(shown("quotas.documents"), "5, hard tiers/free.yaml:4");

	own_quota("quotas.tokens.limit", "200");
	cr_expect_str_eq(shown("quotas.tokens"), "200 per month, hard override");
	/* With what is its own the tier it is resolved to is gone when the change is told. */
	rig_write(&rig, "tiers/free.yaml",
	          "tier: free\nquotas:\n  tokens: {limit: 100, per: day}\n");
	cr_expect_str_eq(changed(NULL, "acme", "quotas.tokens"),
	                 "200 per month, hard override > 200 per day, hard override: (none)");
	cr_expect_str_eq(changed(NULL, "acme", "quotas.documents"),
	                 "5, hard tiers/free.yaml:4 > none tiers/free.yaml: (none)");
	json_decref(rig_refused(&rig, admin, "io.tenantd.UpdateTenant",
	                        json_pack("{s:s, s:{s:s}}", "tenant", "acme", "overrides",
	                                  "quotas.tokens.warn", "80"),
	                        NULL, "io.tenantd.Invalid"));

	/* After a restart, too; and a meter that it has a quota on cannot go. */
	rig_write(&rig, "tiers/free.yaml", tier);
	own_quota("quotas.documents.limit", "max");
	restart();
	cr_expect_str_eq(shown("quotas.tokens"), "200 per month, hard override");
	cr_expect_str_eq(shown("quotas.documents"), "max, hard override");
	rig_write(&rig, "meters.yaml", "meters: {}\n");
	rig_write(&rig, "tiers/free.yaml", small_yaml);
	json_decref(rig_refused(&rig, admin, "io.tenantd.ReloadPolicy", json_object(), NULL,
	                        "io.tenantd.Invalid"));
}
