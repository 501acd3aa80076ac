/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cgstat.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/io.h>

#define CGSTAT_FILE_BYTES_MAX  8192 /* io.stat has a line per device */
#define CGSTAT_VALUE_BYTES_MAX 32

enum cgstat_form {
	CGSTAT_VALUE,    /* "123\n" */
	CGSTAT_FLAT,     /* "key 123\n" lines */
	CGSTAT_NESTED,   /* "8:0 key=123 ...\n" lines, summed */
	CGSTAT_PRESSURE, /* the "total=" of the line that begins with the key */
};

/* One row per counter; rows of one file stand together, so that it is read once. */
struct cgstat_row {
	const char *file;
	const char *key;
	enum cgstat_form form;
	size_t offset;
};

static const struct cgstat_row rows[] = {
/* clang-format off */
#define AT(field) offsetof(struct spec_counters, field)
	{ "cpu.stat",        "usage_usec",     CGSTAT_FLAT,     AT(cpu_usec)          },
	{ "cpu.stat",        "user_usec",      CGSTAT_FLAT,     AT(cpu_user_usec)     },
	{ "cpu.stat",        "system_usec",    CGSTAT_FLAT,     AT(cpu_system_usec)   },
	{ "cpu.stat",        "throttled_usec", CGSTAT_FLAT,     AT(throttled_usec)    },
	{ "memory.peak",     NULL,             CGSTAT_VALUE,    AT(memory_peak_bytes) },
	{ "memory.events",   "oom_kill",       CGSTAT_FLAT,     AT(oom_kills)         },
	{ "io.stat",         "rbytes",         CGSTAT_NESTED,   AT(io_read_bytes)     },
	{ "io.stat",         "wbytes",         CGSTAT_NESTED,   AT(io_write_bytes)    },
	{ "pids.peak",       NULL,             CGSTAT_VALUE,    AT(pids_peak)         },
	{ "pids.events",     "max",            CGSTAT_FLAT,     AT(pids_refused)      },
	{ "cpu.pressure",    "some",           CGSTAT_PRESSURE, AT(stall_cpu_usec)    },
	{ "memory.pressure", "some",           CGSTAT_PRESSURE, AT(stall_memory_usec) },
	{ "io.pressure",     "some",           CGSTAT_PRESSURE, AT(stall_io_usec)     },
#undef AT
	/* clang-format on */
};

static const struct cgstat_row node_rows[] = {
/* clang-format off */
#define AT(field) offsetof(struct cgstat_node, field)
	{ "cpu.stat",        "usage_usec",     CGSTAT_FLAT,     AT(cpu_usec)       },
	{ "cpu.stat",        "throttled_usec", CGSTAT_FLAT,     AT(throttled_usec) },
	{ "io.stat",         "rbytes",         CGSTAT_NESTED,   AT(io_read_bytes)  },
	{ "io.stat",         "wbytes",         CGSTAT_NESTED,   AT(io_write_bytes) },
	{ "io.stat",         "rios",           CGSTAT_NESTED,   AT(io_reads)       },
	{ "io.stat",         "wios",           CGSTAT_NESTED,   AT(io_writes)      },
	{ "memory.current",  NULL,             CGSTAT_VALUE,    AT(memory_bytes)   },
#undef AT
	/* clang-format on */
};

static const struct cgstat_row look_rows[] = {
/* clang-format off */
#define AT(field) offsetof(struct cgstat_look, field)
	{ "cpu.stat",        "usage_usec",   CGSTAT_FLAT,     AT(cpu_usec)              },
	{ "cpu.stat",        "nr_periods",   CGSTAT_FLAT,     AT(cpu_periods)           },
	{ "cpu.stat",        "nr_throttled", CGSTAT_FLAT,     AT(cpu_periods_throttled) },
	{ "memory.current",  NULL,           CGSTAT_VALUE,    AT(memory_bytes)          },
	{ "memory.max",      NULL,           CGSTAT_VALUE,    AT(memory_max_bytes)      },
	{ "pids.current",    NULL,           CGSTAT_VALUE,    AT(tasks)                 },
	{ "pids.max",        NULL,           CGSTAT_VALUE,    AT(tasks_max)             },
	{ "io.stat",         "rbytes",       CGSTAT_NESTED,   AT(io_read_bytes)         },
	{ "io.stat",         "wbytes",       CGSTAT_NESTED,   AT(io_write_bytes)        },
	{ "cpu.pressure",    "some",         CGSTAT_PRESSURE, AT(stall_cpu_usec)        },
	{ "memory.pressure", "some",         CGSTAT_PRESSURE, AT(stall_memory_usec)     },
	{ "io.pressure",     "some",         CGSTAT_PRESSURE, AT(stall_io_usec)         },
#undef AT
	/* clang-format on */
};

/* The number that begins at @text, of digits up to a blank or the end of a line. */
static int64_t count_parse(const char *text)
{
	int64_t n = 0;

	if (*text < '0' || *text > '9')
		return SPEC_ABSENT;
	for (; *text >= '0' && *text <= '9'; text++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, *text - '0', &n))
			return SPEC_ABSENT;
	return *text == ' ' || *text == '\n' || *text == '\0' ? n : SPEC_ABSENT;
}

/* What follows @key and @mark, if @text begins with them; else NULL. */
static const char *text_after(const char *text, const char *key, char mark)
{
	while (*key != '\0' && *text == *key) {
		text++;
		key++;
	}
	return *key == '\0' && *text == mark ? text + 1 : NULL;
}

/* The number of a "key=123" among the words of the line that begins at @line. */
static int64_t word_value(const char *line, const char *key)
{
	while (*line != '\0' && *line != '\n') {
		const char *value = text_after(line, key, '=');

		if (value != NULL)
			return count_parse(value);
		line += strcspn(line, " \n");
		line += *line == ' ';
	}
	return SPEC_ABSENT;
}

/* What the line at @line says of @row; SPEC_ABSENT if nothing. Nothing is copied: it is done
 * for every tenant that is active, over and over. */
static int64_t line_value(const struct cgstat_row *row, const char *line)
{
	const char *rest;

	switch (row->form) {
	case CGSTAT_VALUE:
		return count_parse(line);
	case CGSTAT_FLAT:
		rest = text_after(line, row->key, ' ');
		return rest != NULL ? count_parse(rest) : SPEC_ABSENT;
	case CGSTAT_NESTED:
		return word_value(line, row->key);
	case CGSTAT_PRESSURE:
		rest = text_after(line, row->key, ' ');
		return rest != NULL ? word_value(rest, "total") : SPEC_ABSENT;
	}
	return SPEC_ABSENT;
}

static int64_t file_value(const struct cgstat_row *row, const char *content)
{
	int64_t sum = SPEC_ABSENT;

	while (*content != '\0') {
		const int64_t value = line_value(row, content);

		content = strchrnul(content, '\n');
		content += *content == '\n';
		if (value == SPEC_ABSENT)
			continue;
		if (row->form != CGSTAT_NESTED)
			return value;
		if (__builtin_add_overflow(sum == SPEC_ABSENT ? 0 : sum, value, &sum))
			return SPEC_ABSENT;
	}
	/* An empty io.stat is the kernel's way to say that nothing was transferred. */
	if (row->form == CGSTAT_NESTED && sum == SPEC_ABSENT)
		return 0;
	return sum;
}

/* In the order of node_rows. */
static const char *const kept_files[CGSTAT_KEPT_FDS] = { "cpu.stat", "io.stat",
	                                                 "memory.current" };

enum kept_file {
	KEPT_CPU,
	KEPT_IO,
	KEPT_MEMORY,
};

/* Where the files are: of a directory, or open already. */
struct source {
	int dir_fd;
	const struct cgstat_kept *kept; /* or NULL */
};

static bool kept_read(int fd, char *content, size_t size)
{
	ssize_t n = fd == FD_NONE ? -1 : pread(fd, content, size - 1, 0);

	content[n < 0 ? 0 : n] = '\0';
	return n >= 0;
}

static bool source_read(const struct source *source, const char *file, char *content,
                        size_t size)
{
	content[0] = '\0';
	if (source->kept == NULL)
		return io_read_file_at(source->dir_fd, file, content, size) >= 0;
	for (size_t i = 0; i < CGSTAT_KEPT_FDS; i++)
		if (strcmp(kept_files[i], file) == 0)
			return kept_read(source->kept->fds[i], content, size);
	return false;
}

/* Into the numbers of @ret, which are all SPEC_ABSENT. */
static void rows_read(const struct source *source, const struct cgstat_row *table, size_t n,
                      void *ret)
{
	char content[CGSTAT_FILE_BYTES_MAX];
	const char *file = "";
	bool present = false;

	for (size_t i = 0; i < n; i++) {
		int64_t value;

		if (strcmp(table[i].file, file) != 0) {
			file = table[i].file;
			present = source_read(source, file, content, sizeof(content));
		}
		value = present ? file_value(&table[i], content) : SPEC_ABSENT;
		memcpy((char *)ret + table[i].offset, &value, sizeof(value));
	}
}

/* The directory's descriptor, the caller's, or -errno. */
static int cgroup_open(int root_fd, const char *tenant, const struct id *execution,
                       int64_t *ret_id, struct tn_error *err)
{
	char path[NAME_BYTES_MAX + 1 + ID_TEXT_BYTES];
	char leaf[ID_TEXT_BYTES] = "";
	cleanup_fd int dir_fd = FD_NONE;
	struct stat st;

	if (execution != NULL)
		id_format(execution, leaf);
	(void)snprintf(path, sizeof(path), "%s%s%s", tenant, leaf[0] != '\0' ? "/" : "", leaf);
	dir_fd = openat(root_fd, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir_fd < 0)
		return err_errno(err, "open cgroup '%s'", path);
	if (fstat(dir_fd, &st) < 0)
		return err_errno(err, "identify cgroup '%s'", path);
	if (st.st_ino > INT64_MAX)
		return err_set(err, TN_SYSTEM, EOVERFLOW, "cgroup '%s': its id is too large",
		               path);
	*ret_id = (int64_t)st.st_ino;
	return fd_take(&dir_fd);
}

/* Removed while it was read: what is absent now was not so before. */
static int refuse_gone(const char *tenant, struct tn_error *err)
{
	return err_set(err, TN_SYSTEM, ENOENT, "a cgroup of '%s' has no cpu.stat", tenant);
}

int cgstat_read(int root_fd, const char *tenant, const struct id *execution, struct cgstat *ret,
                struct tn_error *err)
{
	cleanup_fd int dir_fd = cgroup_open(root_fd, tenant, execution, &ret->cgroup_id, err);

	if (dir_fd < 0)
		return dir_fd;
	/* Whatever has no row here is absent too. */
	memset(&ret->counters, 0xff, sizeof(ret->counters));
	rows_read(&(struct source){ .dir_fd = dir_fd }, rows, ARRAY_LEN(rows), &ret->counters);
	return ret->counters.cpu_usec == SPEC_ABSENT ? refuse_gone(tenant, err) : 0;
}

int cgstat_node(int root_fd, const char *tenant, struct cgstat_node *ret, struct tn_error *err)
{
	cleanup_fd int dir_fd = cgroup_open(root_fd, tenant, NULL, &ret->cgroup_id, err);

	if (dir_fd < 0)
		return dir_fd;
	rows_read(&(struct source){ .dir_fd = dir_fd }, node_rows, ARRAY_LEN(node_rows), ret);
	return ret->cpu_usec == SPEC_ABSENT ? refuse_gone(tenant, err) : 0;
}

int cgstat_keep(int root_fd, const char *tenant, struct cgstat_kept *ret, struct tn_error *err)
{
	cleanup_fd int dir_fd = cgroup_open(root_fd, tenant, NULL, &ret->cgroup_id, err);

	for (size_t i = 0; i < CGSTAT_KEPT_FDS; i++)
		ret->fds[i] = FD_NONE;
	if (dir_fd < 0)
		return dir_fd;
	for (size_t i = 0; i < CGSTAT_KEPT_FDS; i++) {
		ret->fds[i] = openat(dir_fd, kept_files[i], O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		/* Without its controller there is none. */
		if (ret->fds[i] < 0 && (errno != ENOENT || i == KEPT_CPU)) {
			(void)err_errno(err, "keep %s of '%s'", kept_files[i], tenant);
			cgstat_drop(ret);
			return -err->sys_errno;
		}
		if (ret->fds[i] < 0)
			ret->fds[i] = FD_NONE;
	}
	return 0;
}

void cgstat_drop(struct cgstat_kept *kept)
{
	for (size_t i = 0; i < CGSTAT_KEPT_FDS; i++)
		fd_closep(&kept->fds[i]);
}

int cgstat_node_kept(const struct cgstat_kept *kept, struct cgstat_node *ret,
                     struct tn_error *err)
{
	ret->cgroup_id = kept->cgroup_id;
	rows_read(&(struct source){ .kept = kept }, node_rows, ARRAY_LEN(node_rows), ret);
	return ret->cpu_usec == SPEC_ABSENT ? refuse_gone("a tenant", err) : 0;
}

/*
 * What each CPU has counted the kernel adds up when somebody reads, and first takes the cgroup
 * out of its parent's list of those that have counted something: it walks that list to find it,
 * past all the siblings. Read of the parent it is all of them, from the front on, and of each
 * then there is nothing left to be done.
 */
void cgstat_flush(int root_fd)
{
	static const char *const files[] = { "cpu.stat", "io.stat" };
	char content[CGSTAT_FILE_BYTES_MAX];

	for (size_t i = 0; root_fd >= 0 && i < ARRAY_LEN(files); i++)
		(void)io_read_file_at(root_fd, files[i], content, sizeof(content));
}

int64_t cgstat_memory_kept(const struct cgstat_kept *kept)
{
	char content[CGSTAT_VALUE_BYTES_MAX];

	return kept_read(kept->fds[KEPT_MEMORY], content, sizeof(content))
	               ? count_parse(content)
	               : SPEC_ABSENT;
}

int cgstat_look(int root_fd, const char *tenant, const struct id *execution,
                struct cgstat_look *ret, struct tn_error *err)
{
	cleanup_fd int dir_fd = FD_NONE;

	memset(ret, 0xff, sizeof(*ret));
	dir_fd = cgroup_open(root_fd, tenant, execution, &ret->cgroup_id, err);
	if (dir_fd < 0)
		return dir_fd;
	rows_read(&(struct source){ .dir_fd = dir_fd }, look_rows, ARRAY_LEN(look_rows), ret);
	if (ret->cpu_usec != SPEC_ABSENT)
		return 0;
	memset(ret, 0xff, sizeof(*ret));
	return refuse_gone(tenant, err);
}
