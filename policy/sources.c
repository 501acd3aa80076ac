/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sources.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <base/fd.h>
#include <base/io.h>

#include "daemon.h"
#include "document.h"

#define TIERS_DIR   "tiers"
#define PRICES_DIR  "prices"
#define TIER_SUFFIX ".yaml"
/* What looks like a tier file but is not read: an admin who wrote one expects it to be. */
#define OTHER_SUFFIX ".yml"
/* A directory of this name beside a tier's file holds what changes it, as with systemd. */
#define DROPINS_SUFFIX ".d"

struct loader {
	int top_fd; /* of the policy, and of the tiers in it */
	int dir_fd;
	int prices_fd; /* FD_NONE: there are none */
	struct sources *sources;
	size_t tiers_n, books_n;
};

static_assert(sizeof(TIERS_DIR "/" TIER_SUFFIX DROPINS_SUFFIX) + NAME_BYTES_MAX <=
                      POLICY_FILE_BYTES_MAX,
              "every tier's file name fits");

static bool has_suffix(const char *text, const char *suffix)
{
	size_t n = strlen(text), suffix_n = strlen(suffix);

	return n >= suffix_n && strcmp(text + n - suffix_n, suffix) == 0;
}

void sources_done(struct sources *sources)
{
	for (size_t i = 0; i < sources->n; i++)
		free(sources->files[i].text);
	free(sources->files);
	*sources = (struct sources){ 0 };
}

struct policy_file *sources_add(struct sources *sources, struct tn_error *err)
{
	const size_t more = sources->max == 0 ? 16 : 2 * sources->max;
	struct policy_file *grown;

	if (sources->n == sources->max) {
		grown = reallocarray(sources->files, more, sizeof(*grown));
		if (grown == NULL) {
			(void)err_set(err, TN_SYSTEM, ENOMEM, "read the policy");
			return NULL;
		}
		sources->files = grown;
		sources->max = more;
	}
	sources->files[sources->n] = (struct policy_file){ 0 };
	return &sources->files[sources->n];
}

int sources_text_set(struct policy_file *file, const char *text, size_t n, struct tn_error *err)
{
	/* One more, so that none is of no bytes. */
	char *copy = malloc(n + 1);

	if (copy == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "read %s", file->name);
	memcpy(copy, text, n);
	free(file->text);
	file->text = copy;
	file->n = n;
	return 0;
}

/* "memory.yaml", in no further directory. */
static bool is_dropin_name(const char *name)
{
	return name[0] != '.' && strchr(name, '/') == NULL && has_suffix(name, TIER_SUFFIX);
}

bool sources_is_of_tier(const char *file, char ret_tier[NAME_BYTES_MAX], bool *ret_dropin)
{
	const char *name = file + strlen(TIERS_DIR "/"), *end;

	if (strncmp(file, TIERS_DIR "/", strlen(TIERS_DIR "/")) != 0)
		return false;
	/* No tier's name has a dot. */
	end = strchr(name, '.');
	if (end == NULL || end - name >= NAME_BYTES_MAX)
		return false;
	(void)snprintf(ret_tier, NAME_BYTES_MAX, "%.*s", (int)(end - name), name);
	*ret_dropin = strcmp(end, TIER_SUFFIX) != 0;
	if (*ret_dropin && (strncmp(end, DROPINS_SUFFIX "/", strlen(DROPINS_SUFFIX "/")) != 0 ||
	                    !is_dropin_name(end + strlen(DROPINS_SUFFIX "/"))))
		return false;
	return name_valid(ret_tier);
}

bool sources_is_book(const char *file, char ret_book[NAME_BYTES_MAX])
{
	const char *name = file + strlen(PRICES_DIR "/");
	size_t n;

	if (strncmp(file, PRICES_DIR "/", strlen(PRICES_DIR "/")) != 0 ||
	    !has_suffix(name, TIER_SUFFIX))
		return false;
	n = strlen(name) - strlen(TIER_SUFFIX);
	if (n >= NAME_BYTES_MAX)
		return false;
	memcpy(ret_book, name, n);
	ret_book[n] = '\0';
	return name_valid(ret_book);
}

bool policy_file_name_valid(const char *name)
{
	char whose[NAME_BYTES_MAX];
	bool dropin;

	return strcmp(name, POLICY_DAEMON_FILE) == 0 || strcmp(name, POLICY_METERS_FILE) == 0 ||
	       sources_is_of_tier(name, whose, &dropin) || sources_is_book(name, whose);
}

static void closedirp(DIR **dir)
{
	if (*dir != NULL)
		(void)closedir(*dir);
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

/* "free" of "free.yaml" or "free.d" in @dir; refused if that is not the name of @whose. */
static int name_cut(const char *dir, const char *entry, const char *suffix, const char *whose,
                    char ret[NAME_BYTES_MAX], struct tn_error *err)
{
	char file[sizeof(PRICES_DIR "/") + NAME_MAX], name[NAME_MAX + 1];

	(void)snprintf(file, sizeof(file), "%s/%s", dir, entry);
	(void)snprintf(name, sizeof(name), "%.*s", (int)(strlen(entry) - strlen(suffix)),
	               entry);
	if (!name_valid(name))
		return document_refuse_at(file, 1, 1, err,
		                          "file name is not a %s's; expected " NAME_RULE
		                          ", then %s",
		                          whose, suffix);
	(void)snprintf(ret, NAME_BYTES_MAX, "%.*s", NAME_BYTES_MAX - 1, name);
	return 0;
}

/* Take the name of one directory entry, if it is a tier's. */
static int tier_take(struct loader *loader, const char *parent, const char *entry,
                     struct tn_error *err)
{
	int r = entry_check(parent, entry, err);
	struct policy_file *file = r == 1 ? sources_add(loader->sources, err) : NULL;
	char name[NAME_BYTES_MAX];

	if (r != 1)
		return r;
	if (file == NULL)
		return -ENOMEM;
	r = name_cut(TIERS_DIR, entry, TIER_SUFFIX, "tier", name, err);
	if (r < 0)
		return r;
	if (loader->tiers_n == POLICY_TIERS_MAX)
		return err_refuse(err, TN_INVALID,
		                  TIERS_DIR ": too many files; expected at most %d",
		                  POLICY_TIERS_MAX);
	(void)snprintf(file->name, sizeof(file->name), TIERS_DIR "/%s" TIER_SUFFIX, name);
	loader->sources->n++;
	loader->tiers_n++;
	return 0;
}

/* Call @take with each entry of @dir, whose path for messages is @path. */
static int entries_each(int at_fd, const char *name, const char *path,
                        int (*take)(struct loader *loader, const char *parent,
                                    const char *entry, struct tn_error *err),
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
	char file[POLICY_FILE_BYTES_MAX];

	(void)snprintf(file, sizeof(file), TIERS_DIR "/%s" TIER_SUFFIX, name);
	for (size_t i = 0; i < loader->sources->n; i++)
		if (strcmp(loader->sources->files[i].name, file) == 0)
			return true;
	return false;
}

/* One file of @dir, "tiers/free.d". */
static int dropin_take(struct loader *loader, const char *dir, const char *entry,
                       struct tn_error *err)
{
	int r = entry_check(dir, entry, err);
	struct policy_file *file = r == 1 ? sources_add(loader->sources, err) : NULL;
	int n;

	if (r != 1)
		return r;
	if (file == NULL)
		return -ENOMEM;
	n = snprintf(file->name, sizeof(file->name), "%s/%s", dir, entry);
	if (n < 0 || (size_t)n >= sizeof(file->name))
		return err_refuse(err, TN_INVALID, "%s/%.32s...: file name too long", dir,
		                  entry);
	loader->sources->n++;
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
	r = name_cut(TIERS_DIR, entry, DROPINS_SUFFIX, "tier", name, err);
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

/* Tiers first, then what stands beside them, books last. */
static int rank(const char *name)
{
	char whose[NAME_BYTES_MAX];
	bool dropin;

	if (sources_is_of_tier(name, whose, &dropin))
		return 0;
	if (strcmp(name, POLICY_METERS_FILE) == 0)
		return 1;
	return strcmp(name, POLICY_DAEMON_FILE) == 0 ? 2 : 3;
}

/* The order in which files hold. */
static int compare(const void *a, const void *b)
{
	const struct policy_file *left = a, *right = b;
	char left_tier[NAME_BYTES_MAX] = "", right_tier[NAME_BYTES_MAX] = "";
	bool left_dropin = false, right_dropin = false;
	int r = rank(left->name) - rank(right->name);

	if (r != 0)
		return r;
	(void)sources_is_of_tier(left->name, left_tier, &left_dropin);
	(void)sources_is_of_tier(right->name, right_tier, &right_dropin);
	r = strcmp(left_tier, right_tier);
	if (r == 0)
		r = (int)left_dropin - (int)right_dropin;
	return r != 0 ? r : strcmp(left->name, right->name);
}

int sources_put(struct sources *sources, const struct policy_file *file, struct tn_error *err)
{
	struct policy_file *place;
	int r;

	for (size_t i = 0; i < sources->n; i++)
		if (strcmp(sources->files[i].name, file->name) == 0)
			return sources_text_set(&sources->files[i], file->text, file->n, err);
	place = sources_add(sources, err);
	if (place == NULL)
		return -ENOMEM;
	memcpy(place->name, file->name, sizeof(place->name));
	r = sources_text_set(place, file->text, file->n, err);
	if (r < 0)
		return r;
	sources->n++;
	qsort(sources->files, sources->n, sizeof(*sources->files), compare);
	return 0;
}

static int names_read(struct loader *loader, struct tn_error *err)
{
	int r = entries_each(loader->dir_fd, ".", TIERS_DIR, tier_take, loader, err);

	if (r < 0)
		return r;
	if (loader->tiers_n == 0)
		return err_refuse(err, TN_INVALID,
		                  TIERS_DIR
		                  ": no tiers; expected at least one NAME" TIER_SUFFIX);
	r = entries_each(loader->dir_fd, ".", TIERS_DIR, dropins_take, loader, err);
	if (r < 0)
		return r;
	qsort(loader->sources->files, loader->sources->n, sizeof(*loader->sources->files),
	      compare);
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

/* The directory of ours that @file is in, and its path there. */
static int file_place(const struct loader *loader, const struct policy_file *file,
                      const char **ret)
{
	const struct {
		const char *prefix;
		int fd;
	} dirs[] = {
		{ TIERS_DIR "/", loader->dir_fd },
		{ PRICES_DIR "/", loader->prices_fd },
		{ "", loader->top_fd },
	};
	size_t i = 0;

	while (i + 1 < ARRAY_LEN(dirs) &&
	       strncmp(file->name, dirs[i].prefix, strlen(dirs[i].prefix)) != 0)
		i++;
	*ret = file->name + strlen(dirs[i].prefix);
	return dirs[i].fd;
}

static int file_read(struct loader *loader, struct policy_file *file, struct tn_error *err)
{
	const char *path;
	int dir_fd = file_place(loader, file, &path);
	/* Non-blocking, lest a FIFO without a writer holds us up before it is refused. */
	cleanup_fd int fd = openat(dir_fd, path,
	                           O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	cleanup_free char *text = NULL;
	ssize_t n;
	int r;

	if (fd < 0 && errno == ELOOP)
		return document_refuse_at(file->name, 1, 1, err,
		                          "a symbolic link; expected a regular file");
	if (fd < 0)
		return err_errno(err, "open %s: %s", file->name, strerror(errno));
	r = file_check(fd, file->name, err);
	if (r < 0)
		return r;
	/* One byte more than may be in it, for the parser to see that it is too large. */
	text = malloc(DOCUMENT_BYTES_MAX + 1);
	if (text == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "read %s", file->name);
	n = io_read_all(fd, text, DOCUMENT_BYTES_MAX + 1);
	if (n < 0)
		return err_set(err, TN_SYSTEM, (int)-n, "read %s: %s", file->name,
		               strerror((int)-n));
	return sources_text_set(file, text, (size_t)n, err);
}

/*
 * One of the files that stand beside the tiers and that nobody need have: @base and
 * TIER_SUFFIX. They come after the tiers, so that without them a policy has the hash of those.
 */
static int top_take(struct loader *loader, const char *dir, const char *base,
                    struct tn_error *err)
{
	char name[POLICY_FILE_BYTES_MAX], other[POLICY_FILE_BYTES_MAX];
	struct policy_file *file;
	struct stat st;

	(void)snprintf(name, sizeof(name), "%s" TIER_SUFFIX, base);
	(void)snprintf(other, sizeof(other), "%s" OTHER_SUFFIX, base);
	if (faccessat(loader->top_fd, other, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return document_refuse_at(other, 1, 1, err,
		                          "file name ends in " OTHER_SUFFIX
		                          "; expected " TIER_SUFFIX);
	if (faccessat(loader->top_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT
		               ? 0
		               : err_errno(err, "look for %s: %s", name, strerror(errno));
	if (fstat(loader->top_fd, &st) < 0 || (st.st_mode & S_IWOTH) != 0)
		return err_refuse(err, TN_INVALID,
		                  "%s: writable by everyone; expected mode 0755 or less", dir);
	file = sources_add(loader->sources, err);
	if (file == NULL)
		return -ENOMEM;
	memcpy(file->name, name, sizeof(file->name));
	loader->sources->n++;
	return 0;
}

/* One entry of prices/. */
static int book_take(struct loader *loader, const char *parent, const char *entry,
                     struct tn_error *err)
{
	int r = entry_check(parent, entry, err);
	struct policy_file *file = r == 1 ? sources_add(loader->sources, err) : NULL;
	char name[NAME_BYTES_MAX];

	if (r != 1)
		return r;
	if (file == NULL)
		return -ENOMEM;
	r = name_cut(PRICES_DIR, entry, TIER_SUFFIX, "price book", name, err);
	if (r < 0)
		return r;
	if (loader->books_n == POLICY_BOOKS_MAX)
		return err_refuse(err, TN_INVALID,
		                  PRICES_DIR ": too many files; expected at most %d",
		                  POLICY_BOOKS_MAX);
	(void)snprintf(file->name, sizeof(file->name), PRICES_DIR "/%s" TIER_SUFFIX, name);
	loader->sources->n++;
	loader->books_n++;
	return 0;
}

/* What there is in @dir/prices, which nobody need have; after all else. */
static int books_take(struct loader *loader, const char *dir, struct tn_error *err)
{
	struct sources *sources = loader->sources;
	const size_t first = sources->n;
	int r;

	loader->prices_fd = openat(loader->top_fd, PRICES_DIR,
	                           O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (loader->prices_fd < 0)
		return errno == ENOENT ? 0
		                       : err_errno(err, "open %s/" PRICES_DIR ": %s", dir,
		                                   strerror(errno));
	r = entries_each(loader->prices_fd, ".", PRICES_DIR, book_take, loader, err);
	if (r == 0 && sources->n > first)
		qsort(sources->files + first, sources->n - first, sizeof(*sources->files),
		      compare);
	return r;
}

/* Open @dir/tiers; who may write there decides what every tenant gets. */
static int dir_open(struct loader *loader, const char *dir, struct tn_error *err)
{
	struct stat st;

	loader->top_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (loader->top_fd < 0)
		return err_errno(err, "open %s: %s", dir, strerror(errno));
	loader->dir_fd = openat(loader->top_fd, TIERS_DIR,
	                        O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
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

int sources_read(const char *dir, struct sources *ret, struct tn_error *err)
{
	struct sources sources = { 0 };
	struct loader loader = {
		.top_fd = FD_NONE, .dir_fd = FD_NONE, .prices_fd = FD_NONE, .sources = &sources
	};
	int r = dir_open(&loader, dir, err);

	if (r == 0)
		r = names_read(&loader, err);
	if (r == 0)
		r = top_take(&loader, dir, "meters", err);
	if (r == 0)
		r = top_take(&loader, dir, "tenantd", err);
	if (r == 0)
		r = books_take(&loader, dir, err);
	for (size_t i = 0; r == 0 && i < sources.n; i++)
		r = file_read(&loader, &sources.files[i], err);
	fd_closep(&loader.prices_fd);
	fd_closep(&loader.dir_fd);
	fd_closep(&loader.top_fd);
	if (r < 0)
		sources_done(&sources);
	else
		*ret = sources;
	return r;
}
