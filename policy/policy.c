/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory: a policy is read once into memory, file by file in the order of the tiers'
 * names, each tier's drop-ins after it, checked, hashed, and never touches the disk again; a
 * reload makes another one beside it. So what was checked is what was hashed is what is
 * enforced.
 */
#include "policy.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <base/fd.h>
#include <base/io.h>

#include "digest.h"
#include "document.h"

#define TIERS_DIR   "tiers"
#define TIER_SUFFIX ".yaml"
/* What looks like a tier file but is not read: an admin who wrote one expects it to be. */
#define OTHER_SUFFIX ".yml"
/* A directory of this name beside a tier's file holds what changes it, as with systemd. */
#define DROPINS_SUFFIX ".d"

struct policy {
	size_t tiers_n;
	struct policy_tier *tiers; /* in order of their names */
	uint8_t hash[POLICY_HASH_BYTES];
	char hash_hex[POLICY_HASH_HEX_SIZE];
};

/* A file's content while the policy is being read. */
struct source {
	char name[NAME_BYTES_MAX]; /* the tier's */
	bool dropin;
	char file[POLICY_FILE_BYTES_MAX];
	char *text;
	size_t n;
};

/* In the order in which they are read: tiers by name, each before its drop-ins by theirs. */
struct loader {
	int dir_fd;
	struct source *sources;
	size_t sources_n, sources_max;
	size_t tiers_n;
};

static_assert(POLICY_HASH_BYTES == DIGEST_BYTES, "a policy is named by one digest");
static_assert(sizeof(TIERS_DIR "/" TIER_SUFFIX DROPINS_SUFFIX) + NAME_BYTES_MAX <=
                      POLICY_FILE_BYTES_MAX,
              "every tier's file name fits");

static void loader_done(struct loader *loader)
{
	for (size_t i = 0; i < loader->sources_n; i++)
		free(loader->sources[i].text);
	free(loader->sources);
	fd_closep(&loader->dir_fd);
}

static void policy_freep(struct policy **policy)
{
	(void)policy_free(*policy);
}

static void closedirp(DIR **dir)
{
	if (*dir != NULL)
		(void)closedir(*dir);
}

static bool has_suffix(const char *text, const char *suffix)
{
	size_t n = strlen(text), suffix_n = strlen(suffix);

	return n >= suffix_n && strcmp(text + n - suffix_n, suffix) == 0;
}

/* Room for one more; it stays zeroed until it counts. */
static struct source *source_new(struct loader *loader, struct tn_error *err)
{
	const size_t more = loader->sources_max == 0 ? 16 : 2 * loader->sources_max;
	struct source *grown;

	if (loader->sources_n == loader->sources_max) {
		grown = reallocarray(loader->sources, more, sizeof(*grown));
		if (grown == NULL) {
			(void)err_set(err, TN_SYSTEM, ENOMEM, "read the policy");
			return NULL;
		}
		loader->sources = grown;
		loader->sources_max = more;
	}
	loader->sources[loader->sources_n] = (struct source){ 0 };
	return &loader->sources[loader->sources_n];
}

/* 1 if it is a file of ours, 0 if it is nobody's business, or refused. */
static int entry_check(const char *dir, const char *entry, struct tn_error *err)
{
	char file[POLICY_FILE_BYTES_MAX + NAME_MAX];

	/* Hidden files are what editors leave behind. */
	if (entry[0] == '.')
		return 0;
	(void)snprintf(file, sizeof(file), "%s/%s", dir, entry);
	if (has_suffix(entry, OTHER_SUFFIX))
		return document_refuse_at(file, 1, 1, err,
		                          "file name ends in " OTHER_SUFFIX
		                          "; expected " TIER_SUFFIX);
	return has_suffix(entry, TIER_SUFFIX);
}

/* "free" of "free.yaml" or "free.d"; refused if that is no tier's. */
static int name_cut(const char *entry, const char *suffix, char ret[NAME_BYTES_MAX],
                    struct tn_error *err)
{
	char file[sizeof(TIERS_DIR "/") + NAME_MAX], name[NAME_MAX + 1];

	(void)snprintf(file, sizeof(file), TIERS_DIR "/%s", entry);
	(void)snprintf(name, sizeof(name), "%.*s", (int)(strlen(entry) - strlen(suffix)),
	               entry);
	if (!name_valid(name))
		return document_refuse_at(
			file, 1, 1, err,
			"file name is not a tier's; expected " NAME_RULE ", then %s", suffix);
	(void)snprintf(ret, NAME_BYTES_MAX, "%.*s", NAME_BYTES_MAX - 1, name);
	return 0;
}

/* Take the name of one directory entry, if it is a tier's. */
static int tier_take(struct loader *loader, const char *entry, struct tn_error *err)
{
	int r = entry_check(TIERS_DIR, entry, err);
	struct source *source = r == 1 ? source_new(loader, err) : NULL;

	if (r != 1)
		return r;
	if (source == NULL)
		return -ENOMEM;
	r = name_cut(entry, TIER_SUFFIX, source->name, err);
	if (r < 0)
		return r;
	if (loader->tiers_n == POLICY_TIERS_MAX)
		return err_refuse(err, TN_INVALID,
		                  TIERS_DIR ": too many files; expected at most %d",
		                  POLICY_TIERS_MAX);
	(void)snprintf(source->file, sizeof(source->file), TIERS_DIR "/%s" TIER_SUFFIX,
	               source->name);
	loader->sources_n++;
	loader->tiers_n++;
	return 0;
}

/* Call @take with each entry of @dir, whose path for messages is @path. */
static int entries_each(int at_fd, const char *name, const char *path,
                        int (*take)(struct loader *loader, const char *tier, const char *entry,
                                    struct tn_error *err),
                        struct loader *loader, struct tn_error *err)
{
	__attribute__((cleanup(closedirp))) DIR *dir = NULL;
	cleanup_fd int fd = openat(at_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct dirent *entry;
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & S_IWOTH) != 0)
		return err_refuse(err, TN_INVALID,
		                  "%s: writable by everyone; expected mode 0755 or less", path);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (dir == NULL)
		return err_errno(err, "list %s: %s", path, strerror(errno));
	(void)fd_take(&fd);

	errno = 0;
	for (; (entry = readdir(dir)) != NULL; errno = 0) {
		int r = take(loader, path, entry->d_name, err);

		if (r < 0)
			return r;
	}
	return errno != 0 ? err_errno(err, "list %s: %s", path, strerror(errno)) : 0;
}

static bool has_tier(const struct loader *loader, const char *name)
{
	for (size_t i = 0; i < loader->sources_n; i++)
		if (!loader->sources[i].dropin && strcmp(loader->sources[i].name, name) == 0)
			return true;
	return false;
}

/* One file of @dir, "tiers/free.d". */
static int dropin_take(struct loader *loader, const char *dir, const char *entry,
                       struct tn_error *err)
{
	int r = entry_check(dir, entry, err);
	struct source *source = r == 1 ? source_new(loader, err) : NULL;
	int n;

	if (r != 1)
		return r;
	if (source == NULL)
		return -ENOMEM;
	r = name_cut(dir + strlen(TIERS_DIR "/"), DROPINS_SUFFIX, source->name, err);
	if (r < 0)
		return r;
	n = snprintf(source->file, sizeof(source->file), "%s/%s", dir, entry);
	if (n < 0 || (size_t)n >= sizeof(source->file))
		return err_refuse(err, TN_INVALID, "%s/%.32s...: file name too long", dir,
		                  entry);
	source->dropin = true;
	loader->sources_n++;
	return 0;
}

/* One entry of tiers/: if it is a directory of drop-ins, what is in there. */
static int dropins_take(struct loader *loader, const char *parent, const char *entry,
                        struct tn_error *err)
{
	char name[NAME_BYTES_MAX], path[POLICY_FILE_BYTES_MAX + NAME_MAX];
	int r;

	if (entry[0] == '.' || !has_suffix(entry, DROPINS_SUFFIX))
		return 0;
	r = name_cut(entry, DROPINS_SUFFIX, name, err);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "%s/%s", parent, entry);
	if (!has_tier(loader, name))
		return document_refuse_at(
			path, 1, 1, err,
			"there is no tier for it to change; expected " TIERS_DIR
			"/%s" TIER_SUFFIX,
			name);
	return entries_each(loader->dir_fd, entry, path, dropin_take, loader, err);
}

static int tier_take_of(struct loader *loader, const char *parent, const char *entry,
                        struct tn_error *err)
{
	(void)parent;
	return tier_take(loader, entry, err);
}

static int source_compare(const void *a, const void *b)
{
	const struct source *left = a, *right = b;
	int r = strcmp(left->name, right->name);

	if (r == 0)
		r = (int)left->dropin - (int)right->dropin;
	return r != 0 ? r : strcmp(left->file, right->file);
}

static int names_read(struct loader *loader, struct tn_error *err)
{
	int r = entries_each(loader->dir_fd, ".", TIERS_DIR, tier_take_of, loader, err);

	if (r < 0)
		return r;
	if (loader->tiers_n == 0)
		return err_refuse(err, TN_INVALID,
		                  TIERS_DIR
		                  ": no tiers; expected at least one NAME" TIER_SUFFIX);
	r = entries_each(loader->dir_fd, ".", TIERS_DIR, dropins_take, loader, err);
	if (r < 0)
		return r;
	qsort(loader->sources, loader->sources_n, sizeof(*loader->sources), source_compare);
	return 0;
}

/* Only a regular file that not everybody may change is believed. */
static int file_check(int fd, const char *file, struct tn_error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(err, "stat %s: %s", file, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return document_refuse_at(file, 1, 1, err,
		                          "not a file; expected a regular file");
	if ((st.st_mode & S_IWOTH) != 0)
		return document_refuse_at(file, 1, 1, err,
		                          "writable by everyone; expected mode 0644 or less");
	return 0;
}

static int source_read(struct loader *loader, struct source *source, struct tn_error *err)
{
	/* Non-blocking, lest a FIFO without a writer holds us up before it is refused. */
	cleanup_fd int fd = openat(loader->dir_fd, source->file + strlen(TIERS_DIR "/"),
	                           O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	ssize_t n;
	int r;

	if (fd < 0 && errno == ELOOP)
		return document_refuse_at(source->file, 1, 1, err,
		                          "a symbolic link; expected a regular file");
	if (fd < 0)
		return err_errno(err, "open %s: %s", source->file, strerror(errno));
	r = file_check(fd, source->file, err);
	if (r < 0)
		return r;
	/* One byte more than may be in it, for the parser to see that it is too large. */
	source->text = malloc(DOCUMENT_BYTES_MAX + 1);
	if (source->text == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "read %s", source->file);
	n = io_read_all(fd, source->text, DOCUMENT_BYTES_MAX + 1);
	if (n < 0)
		return err_set(err, TN_SYSTEM, (int)-n, "read %s: %s", source->file,
		               strerror((int)-n));
	source->n = (size_t)n;
	return 0;
}

static int hash_make(struct policy *policy, const struct loader *loader, struct tn_error *err)
{
	cleanup_free struct digest_text *texts = calloc(loader->sources_n * 2, sizeof(*texts));

	if (texts == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "hash the policy");
	for (size_t i = 0; i < loader->sources_n; i++) {
		const struct source *source = &loader->sources[i];

		texts[2 * i] = (struct digest_text){ source->file, strlen(source->file) };
		texts[2 * i + 1] = (struct digest_text){ source->text, source->n };
	}
	digest_texts(texts, loader->sources_n * 2, policy->hash);
	for (size_t i = 0; i < POLICY_HASH_BYTES; i++)
		(void)snprintf(policy->hash_hex + 2 * i, 3, "%02x", policy->hash[i]);
	return 0;
}

static int tier_change(struct policy_tier *tier, const struct source *dropin,
                       struct tn_error *err)
{
	if (tier->extensions_n == POLICY_DROPINS_MAX)
		return err_refuse(err, TN_INVALID,
		                  "%s: too many files change %s; expected at most %d",
		                  dropin->file, tier->file, POLICY_DROPINS_MAX);
	return policy_tier_extend(tier, dropin->file, dropin->text, dropin->n, err);
}

static int tiers_read(struct policy *policy, struct loader *loader, struct tn_error *err)
{
	for (size_t i = 0; i < loader->sources_n; i++) {
		struct source *source = &loader->sources[i];
		int r = source_read(loader, source, err);

		if (r < 0)
			return r;
		if (source->dropin)
			r = tier_change(&policy->tiers[policy->tiers_n - 1], source, err);
		else
			r = policy_tier_parse(source->file, source->text, source->n,
			                      &policy->tiers[policy->tiers_n++], err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Open @dir/tiers; who may write there decides what every tenant gets. */
static int dir_open(struct loader *loader, const char *dir, struct tn_error *err)
{
	cleanup_fd int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return err_errno(err, "open %s: %s", dir, strerror(errno));
	loader->dir_fd = openat(fd, TIERS_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (loader->dir_fd < 0)
		return err_errno(err, "open %s/" TIERS_DIR ": %s", dir, strerror(errno));
	if (fstat(loader->dir_fd, &st) < 0)
		return err_errno(err, "stat %s/" TIERS_DIR ": %s", dir, strerror(errno));
	if ((st.st_mode & S_IWOTH) != 0)
		return err_refuse(err, TN_INVALID,
		                  "%s/" TIERS_DIR
		                  ": writable by everyone; expected mode 0755 or less",
		                  dir);
	return 0;
}

int policy_load(const char *dir, struct policy **ret, struct tn_error *err)
{
	__attribute__((cleanup(loader_done))) struct loader loader = { .dir_fd = FD_NONE };
	__attribute__((cleanup(policy_freep))) struct policy *policy = NULL;
	int r = dir_open(&loader, dir, err);

	if (r < 0)
		return r;
	policy = calloc(1, sizeof(*policy));
	if (policy == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "read the policy");
	r = names_read(&loader, err);
	if (r < 0)
		return r;
	assert(loader.sources_n > 0);
	policy->tiers = calloc(loader.tiers_n, sizeof(*policy->tiers));
	if (policy->tiers == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "read the policy");
	r = tiers_read(policy, &loader, err);
	if (r < 0)
		return r;
	r = hash_make(policy, &loader, err);
	if (r < 0)
		return r;

	*ret = policy;
	policy = NULL;
	return 0;
}

struct policy *policy_free(struct policy *policy)
{
	if (policy != NULL)
		free(policy->tiers);
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

const uint8_t *policy_hash(const struct policy *policy)
{
	return policy->hash;
}

const char *policy_hash_hex(const struct policy *policy)
{
	return policy->hash_hex;
}
