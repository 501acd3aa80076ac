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
static const struct cgstat_row {
	const char *file;
	const char *key;
	enum cgstat_form form;
	size_t offset;
} rows[] = {
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

static void counters_read(int dir_fd, struct spec_counters *ret)
{
	char content[CGSTAT_FILE_BYTES_MAX];
	const char *file = "";
	bool present = false;

	/* Whatever has no row here is absent too. */
	memset(ret, 0xff, sizeof(*ret));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t value;

		if (strcmp(rows[i].file, file) != 0) {
			file = rows[i].file;
			content[0] = '\0';
			present = io_read_file_at(dir_fd, file, content, sizeof(content)) >= 0;
		}
		value = present ? file_value(&rows[i], content) : SPEC_ABSENT;
		memcpy((char *)ret + rows[i].offset, &value, sizeof(value));
	}
}

int cgstat_read(int root_fd, const char *tenant, const struct id *execution, struct cgstat *ret,
                struct tn_error *err)
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

	counters_read(dir_fd, &ret->counters);
	ret->cgroup_id = (int64_t)st.st_ino;
	/* Removed while it was read: what is absent now was not so before. */
	if (ret->counters.cpu_usec == SPEC_ABSENT)
		return err_set(err, TN_SYSTEM, ENOENT, "cgroup '%s' has no cpu.stat", path);
	return 0;
}
