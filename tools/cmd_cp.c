/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tenantctl cp: files and directories into what a tenant has stored, and out of it. One of the
 * operands is TENANT:PATH, the other a path on this host, or - for one file through a pipe.
 */
#include "cmd.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include <tenant/copy.h>

#include <base/err.h>

#include "output.h"

#define TENANT_BYTES_MAX 64

/* An operand, taken apart. */
struct end {
	bool inside;
	char tenant[TENANT_BYTES_MAX];
	const char *path;
	bool stream; /* "-" */
};

struct copy {
	const struct ctl *ctl;
	FILE *words; /* where it says what it does */
};

/* As rcp(1) had it: what stands before a colon is a tenant, unless there is a slash in it. */
static int end_parse(const char *operand, struct end *ret, struct tn_error *err)
{
	const size_t n = strcspn(operand, ":/");

	*ret = (struct end){ .inside = operand[n] == ':', .path = operand };
	ret->stream = strcmp(operand, "-") == 0;
	if (*operand == '\0')
		return err_refuse(err, TN_INVALID, "an operand is empty");
	if (!ret->inside)
		return 0;
	if (n == 0 || n >= sizeof(ret->tenant))
		return err_refuse(err, TN_INVALID,
		                  "'%.200s' names no tenant before its colon; a file of this "
		                  "name is ./%.200s",
		                  operand, operand);
	memcpy(ret->tenant, operand, n);
	ret->path += n + 1;
	return 0;
}

static int on_copied(const struct tn_copied *copied, void *userdata)
{
	const struct copy *copy = userdata;

	if (copied->kind == TN_COPIED_NOTHING) {
		output_error("tenantctl", copy->ctl->json, copied->why);
	} else if (copy->ctl->verbose && !copy->ctl->json) {
		output_text(copy->words, copied->path);
		(void)fputc('\n', copy->words);
	}
	return 0;
}

static void tell_json(FILE *file, const struct tn_copy_result *result)
{
	struct jout out = { .file = file };

	jout_begin(&out, NULL, '{');
	jout_int(&out, "files", result->files);
	jout_int(&out, "directories", result->directories);
	jout_int(&out, "links", result->links);
	jout_int(&out, "bytes", result->bytes);
	jout_int(&out, "left_out", result->left_out_n);
	jout_end(&out, '}');
	(void)fputc('\n', file);
}

static void tell_count(FILE *file, int64_t n, const char *one, const char *many)
{
	if (n > 0)
		(void)fprintf(file, "%" PRId64 " %s, ", n, n == 1 ? one : many);
}

static void tell(const struct copy *copy, bool to_stdout, const struct tn_copy_result *result)
{
	const struct ctl *ctl = copy->ctl;
	char cell[OUTPUT_CELL_BYTES_MAX];

	if (ctl->json) {
		tell_json(copy->words, result);
		return;
	}
	/* Whoever has it written to a pipe wants nothing but it. */
	if (ctl->quiet || (to_stdout && !ctl->verbose))
		return;
	(void)fputs("copied ", copy->words);
	tell_count(copy->words, result->directories, "directory", "directories");
	tell_count(copy->words, result->links, "link", "links");
	(void)fprintf(copy->words, "%" PRId64 " %s, %s\n", result->files,
	              result->files == 1 ? "file" : "files", output_bytes(result->bytes, cell));
}

int cmd_cp(struct ctl *ctl, struct tn_error *err)
{
	struct copy copy = { ctl, stdout };
	struct tn_copy_result result = { 0 };
	struct tn_copy_spec spec;
	struct end from = { 0 }, to = { 0 };
	const struct end *inside, *outside;
	int r = end_parse(ctl->operands[0], &from, err);

	if (r == 0)
		r = end_parse(ctl->operands[1], &to, err);
	if (r < 0)
		return r;
	if (from.inside == to.inside)
		return err_refuse(
			err, TN_INVALID,
			"either SRC or DST is in a tenant, as in acme:/data/notes, and "
			"the other is on this host");
	if (ctl->quiet && ctl->verbose)
		return err_refuse(err, TN_INVALID, "--quiet and --verbose contradict");
	inside = from.inside ? &from : &to;
	outside = from.inside ? &to : &from;
	if (to.stream)
		copy.words = stderr;
	spec = (struct tn_copy_spec){
		.tenant = inside->tenant,
		.path = inside->path,
		.host_path = outside->stream ? NULL : outside->path,
		.fd = to.inside ? STDIN_FILENO : STDOUT_FILENO,
		.each = on_copied,
		.userdata = &copy,
	};
	r = to.inside ? tn_copy_in(ctl->client, &spec, &result, err)
	              : tn_copy_out(ctl->client, &spec, &result, err);
	if (r < 0)
		return r;
	tell(&copy, to.stream, &result);
	return result.left_out_n > 0;
}
