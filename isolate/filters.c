/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "filters.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/io.h>

#define FILTER_MAGIC      0x746e6631u
#define FILTER_NAME_BYTES 17 /* 16 digits, NUL */

struct file_head {
	uint32_t magic;
	uint16_t usual_len, host_files_len;
};

static size_t code_bytes(const struct sock_fprog *program)
{
	return program->len * sizeof(*program->filter);
}

/* FNV-1a, so that most often the first number that is tried is the right one. */
static uint64_t hash(uint64_t sum, const struct sock_fprog *program)
{
	const unsigned char *byte = (const unsigned char *)program->filter;

	for (size_t i = 0; i < code_bytes(program); i++)
		sum = (sum ^ byte[i]) * UINT64_C(0x100000001b3);
	return sum;
}

static bool is_same(const struct sock_fprog *a, const struct sock_fprog *b)
{
	assert(a->filter != NULL && b->filter != NULL);
	return a->len == b->len && memcmp(a->filter, b->filter, code_bytes(a)) == 0;
}

static bool is_alike(const struct filter *a, const struct filter *b)
{
	return is_same(&a->usual, &b->usual) && is_same(&a->host_files, &b->host_files);
}

static void name_of(uint64_t number, char name[FILTER_NAME_BYTES])
{
	(void)snprintf(name, FILTER_NAME_BYTES, "%016" PRIx64, number);
}

static struct filter *filter_free(struct filter *filter)
{
	if (filter == NULL)
		return NULL;
	free(filter->usual.filter);
	free(filter->host_files.filter);
	free(filter);
	return NULL;
}

static bool code_read(int fd, struct sock_fprog *program, unsigned short len, off_t at)
{
	program->len = len;
	program->filter = calloc(len, sizeof(*program->filter));
	return program->filter != NULL && pread(fd, program->filter, code_bytes(program), at) ==
	                                          (ssize_t)code_bytes(program);
}

/* NULL if it is not there, or not whole. */
static struct filter *file_read(const struct filters *filters, uint64_t number)
{
	char name[FILTER_NAME_BYTES];
	struct file_head head;
	struct filter *filter;
	cleanup_fd int fd = FD_NONE;

	name_of(number, name);
	if (filters->dir_fd < 0)
		return NULL;
	fd = openat(filters->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || pread(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
	    head.magic != FILTER_MAGIC || head.usual_len == 0 || head.host_files_len == 0 ||
	    head.usual_len > BPF_MAXINSNS || head.host_files_len > BPF_MAXINSNS)
		return NULL;
	filter = calloc(1, sizeof(*filter));
	if (filter == NULL)
		return NULL;
	filter->number = number;
	if (!code_read(fd, &filter->usual, head.usual_len, sizeof(head)) ||
	    !code_read(fd, &filter->host_files, head.host_files_len,
	               (off_t)(sizeof(head) + code_bytes(&filter->usual))))
		return filter_free(filter);
	return filter;
}

static int file_write(const struct filters *filters, const struct filter *filter,
                      struct tn_error *err)
{
	const struct file_head head = { FILTER_MAGIC, filter->usual.len,
		                        filter->host_files.len };
	char name[FILTER_NAME_BYTES];
	cleanup_fd int fd = FD_NONE;

	name_of(filter->number, name);
	fd = openat(filters->dir_fd, name,
	            O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && io_write_all(fd, &head, sizeof(head)) == 0 &&
	    io_write_all(fd, filter->usual.filter, code_bytes(&filter->usual)) == 0 &&
	    io_write_all(fd, filter->host_files.filter, code_bytes(&filter->host_files)) == 0)
		return 0;
	(void)err_errno(err, "keep a filter");
	(void)unlinkat(filters->dir_fd, name, 0);
	return -err->sys_errno;
}

static struct filter *by_number(const struct filters *filters, uint64_t number)
{
	struct filter *filter = filters->first;

	while (filter != NULL && filter->number != number)
		filter = filter->next;
	return filter;
}

/* Whether the number of @filter is that of a file which holds something else. */
static bool is_taken(const struct filters *filters, const struct filter *filter, bool *ret_kept)
{
	struct filter *there = file_read(filters, filter->number);

	*ret_kept = there != NULL && is_alike(there, filter);
	if (there == NULL)
		return by_number(filters, filter->number) != NULL;
	filter_free(there);
	return !*ret_kept;
}

/* A number that no other has, and the file of it. */
static int filter_keep(const struct filters *filters, struct filter *filter,
                       struct tn_error *err)
{
	bool kept = false;

	filter->number = hash(hash(UINT64_C(0xcbf29ce484222325), &filter->usual),
	                      &filter->host_files);
	while (is_taken(filters, filter, &kept))
		filter->number++;
	return kept || filters->dir_fd < 0 ? 0 : file_write(filters, filter, err);
}

static int program_join(const struct floor *floor, const struct sock_fprog *policy,
                        struct sock_fprog *ret, struct tn_error *err)
{
	struct sock_filter *code = calloc(BPF_MAXINSNS, sizeof(*code));
	struct sock_filter *kept;
	size_t n;

	if (code == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "filter");
	n = floor_join(floor, policy, code);
	kept = realloc(code, n * sizeof(*code));
	*ret = (struct sock_fprog){ .len = (unsigned short)n,
		                    .filter = kept != NULL ? kept : code };
	return 0;
}

static struct filter *filter_add(struct filters *filters, struct filter *filter)
{
	filter->all = filters;
	filter->next = filters->first;
	filter->users = 1;
	filters->first = filter;
	return filter;
}

int filters_join(struct filters *filters, const struct sock_fprog *policy, struct filter **ret,
                 struct tn_error *err)
{
	struct filter *made = calloc(1, sizeof(*made));
	struct filter *there = filters->first;
	int r;

	if (made == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "filter");
	r = program_join(&filters->floors->usual, policy, &made->usual, err);
	if (r == 0)
		r = program_join(&filters->floors->host_files, policy, &made->host_files, err);
	while (r == 0 && there != NULL && !is_alike(there, made))
		there = there->next;
	if (r == 0 && there != NULL) {
		(void)filter_free(made);
		*ret = filter_use(there);
		return 0;
	}
	if (r == 0)
		r = filter_keep(filters, made, err);
	if (r < 0) {
		(void)filter_free(made);
		return r;
	}
	*ret = filter_add(filters, made);
	return 0;
}

struct filter *filters_find(struct filters *filters, uint64_t number)
{
	struct filter *filter = by_number(filters, number);

	if (filter != NULL)
		return filter_use(filter);
	filter = file_read(filters, number);
	return filter != NULL ? filter_add(filters, filter) : NULL;
}

struct filter *filter_use(struct filter *filter)
{
	filter->users++;
	return filter;
}

struct filter *filter_put(struct filter *filter)
{
	struct filter **place;
	char name[FILTER_NAME_BYTES];

	if (filter == NULL || --filter->users > 0)
		return NULL;
	place = &filter->all->first;
	while (*place != filter)
		place = &(*place)->next;
	*place = filter->next;
	name_of(filter->number, name);
	if (filter->all->dir_fd >= 0)
		(void)unlinkat(filter->all->dir_fd, name, 0);
	return filter_free(filter);
}

void filters_sweep(const struct filters *filters)
{
	int fd = openat(filters->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (dir == NULL) {
		fd_closep(&fd);
		return;
	}
	while ((entry = readdir(dir)) != NULL) {
		char *end = NULL;
		const uint64_t number = strtoull(entry->d_name, &end, 16);

		if (entry->d_name[0] != '.' &&
		    (*end != '\0' || by_number(filters, number) == NULL))
			(void)unlinkat(filters->dir_fd, entry->d_name, 0);
	}
	(void)closedir(dir);
}
