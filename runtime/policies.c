/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policies.h"

#include <string.h>
#include <syslog.h>

#include <base/clock.h>
#include <base/log.h>

#include "tenants.h"

/* In place of a hash, where the files are of no policy. */
#define NO_HASH "none"
/* So much of a hash tells it from others, and is shown to people. */
#define HASH_SHOWN    12
#define HASH_TEXT_MIN 4

/* What is to be kept of change->policy. */
static void change_fill(struct policies_change *change, const struct actor *actor,
                        enum event_kind kind)
{
	change->actor = *actor;
	change->kind = kind;
	change->row = (struct store_policy){ .accepted_at = clock_usec(CLOCK_REALTIME),
		                             .accepted_by = actor->uid };
	(void)snprintf(change->row.hash, sizeof(change->row.hash), "%s",
	               policy_hash_hex(change->policy));
}

/* As they lie there, if tenants can live with that. */
static int files_load(const struct policies *policies, struct policy **ret,
                      struct tn_error *err)
{
	struct policy *policy;
	int r = policy_load(policies->dir, &policy, err);

	if (r < 0)
		return err_wrap(err, r, "policy %s", policies->dir);
	r = tenants_check_policy(policies->store, policy, err);
	if (r < 0)
		(void)policy_free(policy);
	else
		*ret = policy;
	return r;
}

/* A store that cannot be written is no reason to stop whoever runs. */
static int degraded_tell(const struct policies *policies, const struct store_policy *last)
{
	struct store *store = policies->store;
	struct tn_error err = { 0 };
	struct event event;
	int r = event_of_node(EVENT_POLICY_DEGRADED, &ACTOR_NONE, policies->degraded,
	                      &(struct event_difference){ "policy_hash", NULL, last->hash },
	                      &event, &err);

	if (r == 0) {
		r = store->ops->event_tell(store, &event, &err);
		event_done(&event);
	}
	if (r < 0)
		log_event(LOG_WARNING, "the policy files are not in force",
		          LF_STR("reason", policies->degraded),
		          LF_STR("policy_hash", last->hash), LF_STR("error", err.msg), LF_END);
	return 0;
}

/* At a start: what was accepted last, because of what @degraded says. */
static int begin_with_last(struct policies *policies, const struct store_policy *last,
                           struct tn_error *err)
{
	int r = policies->store->ops->policy_by_hash(policies->store, last->hash,
	                                             &policies->present, err);

	if (r == 0)
		r = err_refuse(err, TN_SYSTEM, "the last policy %.*s is not in the store",
		               HASH_SHOWN, last->hash);
	if (r < 0)
		return r;
	return degraded_tell(policies, last);
}

static void say_files_wrong(const struct tn_error *why, const char *hash,
                            char text[static POLICIES_REASON_BYTES_MAX])
{
	(void)snprintf(text, POLICIES_REASON_BYTES_MAX,
	               "%s; %.*s, accepted before, is in force", why->msg, HASH_SHOWN, hash);
}

static void say_rolled_back(const struct store_policy *row, const char *dir,
                            char text[static POLICIES_REASON_BYTES_MAX])
{
	(void)snprintf(text, POLICIES_REASON_BYTES_MAX,
	               "policy %s: set aside for %.*s until it changes or is reloaded", dir,
	               HASH_SHOWN, row->hash);
}

/* The files have been read as @policy, which is consumed. */
static void begin_with_files(struct policies *policies, struct policy *policy,
                             const struct store_policy *last)
{
	struct policies_change change = { .policy = policy };
	struct tn_error err = { 0 };

	policies->present = policy;
	policies->degraded[0] = '\0';
	change_fill(&change, &ACTOR_NONE, EVENT_POLICY_RELOADED);
	if (strcmp(last->hash, change.row.hash) == 0 && last->instead_of[0] == '\0')
		return;
	/* It is in force all the same, for a store that cannot be written is no reason to
	 * stop whoever runs. */
	if (policies_keep(policies, &change, &err) < 0)
		(void)snprintf(policies->degraded, sizeof(policies->degraded),
		               "the policy cannot be kept: %s", err.msg);
}

/* What was rolled back to may be a policy to us no more, and the files are one. */
static void begin_as_wished(struct policies *policies, struct policy *files,
                            const struct store_policy *last)
{
	struct tn_error err = { 0 };

	if (strcmp(last->instead_of, policy_hash_hex(files)) == 0) {
		say_rolled_back(last, policies->dir, policies->degraded);
		if (begin_with_last(policies, last, &err) == 0) {
			(void)policy_free(files);
			return;
		}
		log_event(LOG_ERR, "a rollback ends: its policy cannot be used",
		          LF_STR("policy_hash", last->hash), LF_STR("error", err.msg), LF_END);
	}
	begin_with_files(policies, files, last);
}

int policies_init(struct policies *policies, const char *dir, struct store *store,
                  struct tn_error *err)
{
	struct store_policy last = { 0 };
	struct tn_error ignored = { 0 };
	struct policy *files = NULL;
	int r = store->ops->policy_before(store, INT64_MAX, &last, err);

	if (r < 0)
		return r;
	*policies = (struct policies){ .store = store };
	(void)snprintf(policies->dir, sizeof(policies->dir), "%s", dir);
	r = files_load(policies, &files, err);
	if (r == 0) {
		begin_as_wished(policies, files, &last);
		return 0;
	}
	if (last.hash[0] == '\0')
		return r;
	say_files_wrong(err, last.hash, policies->degraded);
	/* The files are what can be mended. */
	return begin_with_last(policies, &last, &ignored) < 0 ? r : 0;
}

void policies_done(struct policies *policies)
{
	policies->present = policy_free(policies->present);
}

int policies_read(const struct policies *policies, const struct actor *actor,
                  struct policies_change *ret, struct tn_error *err)
{
	struct policies_change change = { 0 };
	int r = files_load(policies, &change.policy, err);

	if (r < 0)
		return r;
	change_fill(&change, actor, EVENT_POLICY_RELOADED);
	*ret = change;
	return 0;
}

/* The one hash that begins with @text. */
static int hash_resolve(struct store *store, const char *text, char ret[POLICY_HASH_HEX_SIZE],
                        struct tn_error *err)
{
	struct store_policy row = { .seq = INT64_MAX };
	const size_t n = strlen(text);
	int r;

	if (n < HASH_TEXT_MIN || n >= POLICY_HASH_HEX_SIZE ||
	    strspn(text, "0123456789abcdef") != n)
		return err_refuse(err, TN_INVALID,
		                  "'%.64s' is no policy's hash; expected at least %d of its "
		                  "hexadecimal digits, as `policy history` shows them",
		                  text, HASH_TEXT_MIN);
	ret[0] = '\0';
	while ((r = store->ops->policy_before(store, row.seq, &row, err)) == 1) {
		if (strncmp(row.hash, text, n) != 0 || strcmp(row.hash, ret) == 0)
			continue;
		if (ret[0] != '\0')
			return err_refuse(err, TN_INVALID,
			                  "more than one policy's hash begins with %s", text);
		(void)snprintf(ret, POLICY_HASH_HEX_SIZE, "%s", row.hash);
	}
	if (r < 0)
		return r;
	return ret[0] != '\0' ? 0
	                      : err_refuse(err, TN_NOT_FOUND,
	                                   "no policy that was accepted has a hash that "
	                                   "begins with %s",
	                                   text);
}

/* What the files say, of which @change takes the place; nothing if they say the same. */
static void set_aside(const struct policies *policies, struct policies_change *change)
{
	struct tn_error why = { 0 };
	struct policy *files = NULL;

	if (files_load(policies, &files, &why) < 0) {
		(void)snprintf(change->row.instead_of, sizeof(change->row.instead_of), NO_HASH);
		say_files_wrong(&why, change->row.hash, change->degraded);
		return;
	}
	if (strcmp(policy_hash_hex(files), change->row.hash) != 0) {
		(void)snprintf(change->row.instead_of, sizeof(change->row.instead_of), "%s",
		               policy_hash_hex(files));
		say_rolled_back(&change->row, policies->dir, change->degraded);
	}
	(void)policy_free(files);
}

int policies_get(struct store *store, const char *hash, struct policy **ret,
                 struct tn_error *err)
{
	char whole[POLICY_HASH_HEX_SIZE];
	int r = hash_resolve(store, hash, whole, err);

	if (r < 0)
		return r;
	r = store->ops->policy_by_hash(store, whole, ret, err);
	if (r == 0)
		return err_refuse(err, TN_NOT_FOUND, "policy %s is not kept any more", whole);
	return r < 0 ? r : 0;
}

int policies_find(const struct policies *policies, const char *hash, const struct actor *actor,
                  struct policies_change *ret, struct tn_error *err)
{
	struct policies_change change = { 0 };
	int r = policies_get(policies->store, hash, &change.policy, err);

	if (r < 0)
		return r;
	r = tenants_check_policy(policies->store, change.policy, err);
	if (r < 0) {
		policies_change_done(&change);
		return r;
	}
	change_fill(&change, actor, EVENT_POLICY_ROLLED_BACK);
	set_aside(policies, &change);
	*ret = change;
	return 0;
}

int policies_keep(const struct policies *policies, const struct policies_change *change,
                  struct tn_error *err)
{
	struct store *store = policies->store;
	struct store_policy before = { 0 };
	struct event event;
	int r = store->ops->policy_before(store, INT64_MAX, &before, err);

	if (r >= 0)
		r = event_of_node(change->kind, &change->actor, NULL,
		                  &(struct event_difference){ "policy_hash", before.hash,
		                                              change->row.hash },
		                  &event, err);
	if (r < 0)
		return r;
	r = store->ops->policy_insert(store, &change->row, change->policy, &event, err);
	event_done(&event);
	return r;
}

struct policy *policies_take(struct policies *policies, struct policies_change *change)
{
	struct policy *before = policies->present;

	policies->present = change->policy;
	change->policy = NULL;
	memcpy(policies->degraded, change->degraded, sizeof(policies->degraded));
	return before;
}

void policies_change_done(struct policies_change *change)
{
	change->policy = policy_free(change->policy);
}
