/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory: a policy is read once into memory, file by file in the order of the tiers'
 * names, each tier's drop-ins after it, then the meters, what is said of the node and the price
 * books, checked, hashed, and never touches the disk again; a reload makes another one beside
 * it. The meters are looked at first, as the others name them. So what was checked is
 * what was hashed is what is enforced. It keeps the texts, so that it can be kept elsewhere and
 * made again of that.
 */
#include "policy.h"

#include <stdlib.h>
#include <string.h>

#include <base/fd.h>

#include "books.h"
#include "digest.h"
#include "document.h"
#include "sources.h"

struct policy {
	size_t tiers_n;
	struct policy_tier *tiers; /* in order of their names */
	size_t books_n;
	struct policy_book *books; /* in order of their names */
	struct policy_meters meters;
	struct policy_daemon daemon;
	struct sources sources;
	uint8_t hash[POLICY_HASH_BYTES];
	char hash_hex[POLICY_HASH_HEX_SIZE];
};

static_assert(POLICY_HASH_BYTES == DIGEST_BYTES, "a policy is named by one digest");

static int hash_make(struct policy *policy, struct tn_error *err)
{
	const struct sources *sources = &policy->sources;
	cleanup_free struct digest_text *texts = calloc(sources->n * 2, sizeof(*texts));

	if (texts == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "hash the policy");
	for (size_t i = 0; i < sources->n; i++) {
		const struct policy_file *file = &sources->files[i];

		texts[2 * i] = (struct digest_text){ file->name, strlen(file->name) };
		texts[2 * i + 1] = (struct digest_text){ file->text, file->n };
	}
	digest_texts(texts, sources->n * 2, policy->hash);
	for (size_t i = 0; i < POLICY_HASH_BYTES; i++)
		(void)snprintf(policy->hash_hex + 2 * i, 3, "%02x", policy->hash[i]);
	return 0;
}

static int tier_change(const struct policy *policy, struct policy_tier *tier,
                       const struct policy_file *dropin, struct tn_error *err)
{
	if (tier->extensions_n == POLICY_DROPINS_MAX)
		return err_refuse(err, TN_INVALID,
		                  "%s: too many files change %s; expected at most %d",
		                  dropin->name, tier->file, POLICY_DROPINS_MAX);
	return policy_tier_extend(tier, dropin->name, dropin->text, dropin->n, &policy->meters,
	                          err);
}

static int book_take(struct policy *policy, const struct policy_file *file,
                     struct tn_error *err)
{
	if (policy->books_n == POLICY_BOOKS_MAX)
		return err_refuse(err, TN_INVALID,
		                  "%s: too many price books; expected at most %d", file->name,
		                  POLICY_BOOKS_MAX);
	return policy_book_parse(file->name, file->text, file->n, &policy->meters,
	                         &policy->books[policy->books_n++], err);
}

static bool is_meters(const struct policy_file *file)
{
	return strcmp(file->name, POLICY_METERS_FILE) == 0;
}

/* @file, which comes after the tiers that @policy has so far. */
static int file_take(struct policy *policy, const struct policy_file *file,
                     struct tn_error *err)
{
	struct policy_tier *last = NULL;
	char name[NAME_BYTES_MAX];
	bool dropin;

	if (is_meters(file)) /* they have been taken */
		return 0;
	if (strcmp(file->name, POLICY_DAEMON_FILE) == 0)
		return policy_daemon_parse(file->name, file->text, file->n, &policy->daemon,
		                           err);
	if (sources_is_book(file->name, name))
		return book_take(policy, file, err);
	if (!sources_is_of_tier(file->name, name, &dropin))
		return err_refuse(err, TN_INVALID, "'%s' is no policy file's name", file->name);
	if (!dropin)
		return policy_tier_parse(file->name, file->text, file->n, &policy->meters,
		                         &policy->tiers[policy->tiers_n++], err);
	if (policy->tiers_n > 0)
		last = &policy->tiers[policy->tiers_n - 1];
	if (last == NULL || strcmp(last->name, name) != 0)
		return document_refuse_at(file->name, 1, 1, err,
		                          "there is no tier for it to change");
	return tier_change(policy, last, file, err);
}

/* Room for what @policy's files say, whatever each of them is. */
static int room_make(struct policy *policy, struct tn_error *err)
{
	char name[NAME_BYTES_MAX];
	size_t books_n = 0;

	for (size_t i = 0; i < policy->sources.n; i++)
		books_n += sources_is_book(policy->sources.files[i].name, name);
	policy->tiers = calloc(policy->sources.n - books_n + 1, sizeof(*policy->tiers));
	policy->books = calloc(books_n + 1, sizeof(*policy->books));
	if (policy->tiers == NULL || policy->books == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "read the policy");
	return 0;
}

static int meters_take(struct policy *policy, struct tn_error *err)
{
	for (size_t i = 0; i < policy->sources.n; i++) {
		const struct policy_file *file = &policy->sources.files[i];

		if (is_meters(file))
			return policy_meters_parse(file->name, file->text, file->n,
			                           &policy->meters, err);
	}
	return 0;
}

static int files_take(struct policy *policy, struct tn_error *err)
{
	int r = meters_take(policy, err);

	for (size_t i = 0; r == 0 && i < policy->sources.n; i++)
		r = file_take(policy, &policy->sources.files[i], err);
	for (size_t i = 0; r == 0 && i < policy->tiers_n; i++)
		r = policy_tier_check(&policy->tiers[i], err);
	return r < 0 ? r : books_check(policy->books, policy->books_n, err);
}

/* Check what @sources say; they are consumed, whether that succeeds or not. */
static int policy_make(struct sources *sources, struct policy **ret, struct tn_error *err)
{
	struct policy *policy = calloc(1, sizeof(*policy));
	int r;

	if (policy == NULL) {
		sources_done(sources);
		return err_set(err, TN_SYSTEM, ENOMEM, "read the policy");
	}
	policy->sources = *sources;
	*sources = (struct sources){ 0 };
	policy_daemon_reset(&policy->daemon);
	r = room_make(policy, err);
	if (r == 0)
		r = files_take(policy, err);
	if (r == 0)
		r = hash_make(policy, err);
	if (r < 0)
		(void)policy_free(policy);
	else
		*ret = policy;
	return r;
}

int policy_load(const char *dir, struct policy **ret, struct tn_error *err)
{
	struct sources sources = { 0 };
	int r = sources_read(dir, &sources, err);

	return r < 0 ? r : policy_make(&sources, ret, err);
}

int policy_load_with(const char *dir, const struct policy_file *file, struct policy **ret,
                     struct tn_error *err)
{
	struct sources sources = { 0 };
	int r = sources_read(dir, &sources, err);

	if (r < 0)
		return r;
	r = sources_put(&sources, file, err);
	if (r < 0) {
		sources_done(&sources);
		return r;
	}
	return policy_make(&sources, ret, err);
}

static int file_copy(struct sources *sources, const struct policy_file *from,
                     struct tn_error *err)
{
	struct policy_file *file = sources_add(sources, err);
	int r;

	if (file == NULL)
		return -ENOMEM;
	memcpy(file->name, from->name, sizeof(file->name));
	r = sources_text_set(file, from->text, from->n, err);
	if (r == 0)
		sources->n++;
	return r;
}

int policy_build(const struct policy_file *files, size_t n, struct policy **ret,
                 struct tn_error *err)
{
	struct sources sources = { 0 };

	if (n == 0)
		return err_refuse(err, TN_INVALID, "a policy of no files");
	for (size_t i = 0; i < n; i++) {
		int r = file_copy(&sources, &files[i], err);

		if (r < 0) {
			sources_done(&sources);
			return r;
		}
	}
	return policy_make(&sources, ret, err);
}

const struct policy_file *policy_file_at(const struct policy *policy, size_t i)
{
	return i < policy->sources.n ? &policy->sources.files[i] : NULL;
}

struct policy *policy_free(struct policy *policy)
{
	if (policy == NULL)
		return NULL;
	sources_done(&policy->sources);
	free(policy->tiers);
	free(policy->books);
	free(policy);
	return NULL;
}

const struct policy_tier *policy_tier(const struct policy *policy, const char *name)
{
	for (size_t i = 0; i < policy->tiers_n; i++)
		if (strcmp(policy->tiers[i].name, name) == 0)
			return &policy->tiers[i];
	return NULL;
}

const struct policy_tier *policy_tier_at(const struct policy *policy, size_t i)
{
	return i < policy->tiers_n ? &policy->tiers[i] : NULL;
}

const struct policy_daemon *policy_daemon(const struct policy *policy)
{
	return &policy->daemon;
}

const struct policy_meters *policy_meters(const struct policy *policy)
{
	return &policy->meters;
}

const struct policy_book *policy_book(const struct policy *policy, size_t i)
{
	return i < policy->books_n ? &policy->books[i] : NULL;
}

const struct policy_book *policy_book_at(const struct policy *policy, const char *currency,
                                         int64_t at)
{
	return books_find(policy->books, policy->books_n, currency, at);
}

const uint8_t *policy_hash(const struct policy *policy)
{
	return policy->hash;
}

const char *policy_hash_hex(const struct policy *policy)
{
	return policy->hash_hex;
}
