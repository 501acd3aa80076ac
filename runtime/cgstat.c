/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cgstat.h"

#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <sys/stat.h>

#include <base/fd.h>
#include <base/io.h>
#include <base/num.h>

#define CGSTAT_FILE_BYTES_MAX 8192 /* io.stat has a line per device */
#define CGSTAT_LINE_BYTES_MAX 512

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

/* The next word of *text, which is cut off and moved behind; NULL at the end. */
static char *word_next(char **text)
{
	return strtok_r(NULL, " ", text);
}

static int64_t count_parse(const char *text)
{
	int64_t n;

	return text != NULL && num_parse(text, INT64_MAX, &n) == 0 ? n : SPEC_ABSENT;
}

static int64_t value_after(const char *word, const char *key)
{
	size_t n = strlen(key);

	if (strncmp(word, key, n) != 0 || word[n] != '=')
		return SPEC_ABSENT;
	return count_parse(word + n + 1);
}

/* What @line, cut into words from here on, says of @row; SPEC_ABSENT if nothing. */
static int64_t line_value(const struct cgstat_row *row, char *line)
{
	char *rest = NULL;
	char *word = strtok_r(line, " ", &rest);
	int64_t value = SPEC_ABSENT;

	if (word == NULL)
		return SPEC_ABSENT;
	switch (row->form) {
	case CGSTAT_VALUE:
		return count_parse(word);
	case CGSTAT_FLAT:
		return strcmp(word, row->key) == 0 ? count_parse(word_next(&rest))
		                                   : SPEC_ABSENT;
	case CGSTAT_NESTED:
		while (value == SPEC_ABSENT && (word = word_next(&rest)) != NULL)
			value = value_after(word, row->key);
		return value;
	case CGSTAT_PRESSURE:
		if (strcmp(word, row->key) != 0)
			return SPEC_ABSENT;
		while (value == SPEC_ABSENT && (word = word_next(&rest)) != NULL)
			value = value_after(word, "total");
		return value;
	}
	return SPEC_ABSENT;
}

static int64_t file_value(const struct cgstat_row *row, const char *content)
{
	int64_t sum = SPEC_ABSENT;

	while (*content != '\0') {
		char line[CGSTAT_LINE_BYTES_MAX];
		size_t n = strcspn(content, "\n");
		int64_t value;

		(void)snprintf(line, sizeof(line), "%.*s", (int)n, content);
		content += n;
		content += *content == '\n';
		value = line_value(row, line);
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

/* Into the numbers of @ret, which are all SPEC_ABSENT. */
static void rows_read(int dir_fd, const struct cgstat_row *table, size_t n, void *ret)
{
	char content[CGSTAT_FILE_BYTES_MAX];
	const char *file = "";
	bool present = false;

	for (size_t i = 0; i < n; i++) {
		int64_t value;

		if (strcmp(table[i].file, file) != 0) {
			file = table[i].file;
			content[0] = '\0';
			present = io_read_file_at(dir_fd, file, content, sizeof(content)) >= 0;
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
	rows_read(dir_fd, rows, ARRAY_LEN(rows), &ret->counters);
	return ret->counters.cpu_usec == SPEC_ABSENT ? refuse_gone(tenant, err) : 0;
}

int cgstat_node(int root_fd, const char *tenant, struct cgstat_node *ret, struct tn_error *err)
{
	cleanup_fd int dir_fd = cgroup_open(root_fd, tenant, NULL, &ret->cgroup_id, err);

	if (dir_fd < 0)
		return dir_fd;
	rows_read(dir_fd, node_rows, ARRAY_LEN(node_rows), ret);
	return ret->cpu_usec == SPEC_ABSENT ? refuse_gone(tenant, err) : 0;
}

int cgstat_look(int root_fd, const char *tenant, const struct id *execution,
                struct cgstat_look *ret, struct tn_error *err)
{
	cleanup_fd int dir_fd = FD_NONE;

	memset(ret, 0xff, sizeof(*ret));
	dir_fd = cgroup_open(root_fd, tenant, execution, &ret->cgroup_id, err);
	if (dir_fd < 0)
		return dir_fd;
	rows_read(dir_fd, look_rows, ARRAY_LEN(look_rows), ret);
	if (ret->cpu_usec != SPEC_ABSENT)
		return 0;
	memset(ret, 0xff, sizeof(*ret));
	return refuse_gone(tenant, err);
}
