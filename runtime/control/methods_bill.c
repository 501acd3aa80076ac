/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * GetBill: a bill is made, and put into words, when it is asked for, since it points into the
 * policy that is in force then; what streams is what was said.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <base/clock.h>
#include <policy/digest.h>

#include "../billing/bill.h"
#include "connection.h"
#include "encode.h"
#include "methods.h"

struct bill_arguments {
	const char *tenant;
	const char *period;
};

static const struct param bill_params[] = {
	{ .name = "tenant",
	  .kind = PARAM_STRING,
	  .required = true,
	  .offset = offsetof(struct bill_arguments, tenant) },
	{ .name = "period",
	  .kind = PARAM_STRING,
	  .offset = offsetof(struct bill_arguments, period) },
	{ .name = NULL },
};

/* What is still to be told: the bill itself, then its lines. */
struct telling {
	json_t *replies;
	size_t told;
};

static void telling_free(void *state)
{
	struct telling *telling = state;

	json_decref(telling->replies);
	free(telling);
}

static int telling_next(struct call *call, json_t **ret, struct tn_error *err)
{
	struct telling *telling = call->state;

	(void)err;
	if (telling->told == json_array_size(telling->replies))
		return 0;
	*ret = json_incref(json_array_get(telling->replies, telling->told++));
	return 1;
}

/* By which anybody sees whether a file is the one that was billed with. */
static json_t *digest_of(const struct policy *policy, const struct policy_book *book)
{
	const struct policy_file *file;
	char hex[DIGEST_HEX_SIZE];
	struct digest *digest;

	for (size_t i = 0; (file = policy_file_at(policy, i)) != NULL; i++)
		if (strcmp(file->name, book->file) == 0)
			break;
	digest = file != NULL ? digest_new() : NULL;
	if (digest == NULL)
		return NULL;
	digest_add(digest, file->text, file->n);
	digest_hex(digest, hex);
	(void)digest_free(digest);
	return json_string(hex);
}

static json_t *books_pack(const struct policy *policy, const struct bill *bill)
{
	json_t *books = json_object();

	for (size_t i = 0; i < bill->books_n; i++)
		if (json_object_set_new(books, bill->books[i]->file,
		                        digest_of(policy, bill->books[i])) < 0) {
			json_decref(books);
			return NULL;
		}
	return books;
}

static json_t *bill_pack(const struct policy *policy, const struct tenant_row *tenant,
                         const struct bill *bill)
{
	const struct bill_period *period = &bill->period;
	char id[ID_TEXT_BYTES];

	id_format(&tenant->id, id);
	return json_pack("{s:{s:s, s:s, s:s, s:I, s:I, s:s, s:I, s:s, s:i, s:I, s:o}}", "bill",
	                 "tenant", tenant->name, "tenant_id", id, "period", period->name,
	                 "start", (json_int_t)period->span.start, "end",
	                 (json_int_t)period->span.end, "state", bill_state_names[period->state],
	                 "booked_until", (json_int_t)period->booked_until, "currency",
	                 bill->currency, "exponent", bill->exponent, "subtotal",
	                 (json_int_t)bill->lines.subtotal, "books", books_pack(policy, bill));
}

static json_t *line_pack(const struct policy *policy, const struct rate_line *line)
{
	const struct meter *meter = policy_meter(policy_meters(policy), line->meter);
	const struct policy_price *price = line->price;
	char source[POLICY_FILE_BYTES_MAX + 16] = "";

	if (price != NULL)
		(void)snprintf(source, sizeof(source), "%s:%u", line->book->file,
		               price->where.line);
	return json_pack(
		"{s:{s:s, s:s?, s:I, s:I, s:I, s:s?, s:o, s:o, s:s?, s:o}}", "line", "meter",
		line->meter, "unit", meter != NULL ? meter->label : NULL, "start",
		(json_int_t)line->start, "end", (json_int_t)line->end, "quantity",
		(json_int_t)line->quantity, "price", price != NULL ? price->text : NULL, "per",
		encode_int(price != NULL ? price->per : LEDGER_ABSENT), "amount",
		encode_int(price != NULL ? line->amount : LEDGER_ABSENT), "book",
		line->book != NULL ? line->book->name : NULL, "source", encode_text(source));
}

static int replies_make(const struct policy *policy, const struct tenant_row *tenant,
                        const struct bill *bill, json_t *replies, struct tn_error *err)
{
	bool failed = json_array_append_new(replies, bill_pack(policy, tenant, bill)) < 0;

	for (size_t i = 0; !failed && i < bill->lines.n; i++)
		failed = json_array_append_new(replies,
		                               line_pack(policy, &bill->lines.items[i])) < 0;
	return failed ? err_set(err, TN_SYSTEM, ENOMEM, "bill of '%s'", tenant->name) : 0;
}

/* What waits is booked; while the period goes on, what is used now as well. */
static int settle(const struct context *context, const struct tenant_row *tenant,
                  struct bill_period *period, struct tn_error *err)
{
	struct ledger_sample sample;

	if (period->state != BILL_OPEN)
		return journal_commit(context->journal, NULL, err);
	usage_sample(&context->usage, &tenant->id, &sample, NULL, NULL);
	if (sample.at < period->span.end)
		period->booked_until = sample.at;
	return journal_commit(context->journal, &sample, err);
}

static int period_find(const struct context *context, const struct tenant_row *tenant,
                       const char *name, struct bill_period *ret, struct tn_error *err)
{
	struct terms_list terms = { 0 };
	int r = terms_read(context->store, &tenant->id, &terms, err);

	if (r == 0)
		r = bill_period_find(tenant, &terms, name, clock_usec(CLOCK_REALTIME), ret,
		                     err);
	terms_done(&terms);
	return r;
}

static int handle_bill(struct call *call, struct tn_error *err)
{
	const struct bill_arguments *arguments = call->arguments;
	const struct context *context = call->context;
	const struct policy *policy = tenants_policy(context->tenants);
	struct telling *telling = calloc(1, sizeof(*telling));
	struct bill_period period;
	struct bill bill = { 0 };
	struct tenant *tenant;
	int r;

	if (telling == NULL)
		return err_errno(err, "make a bill");
	call->state = telling;
	call->free_state = telling_free;
	telling->replies = json_array();
	r = tenants_get(context->tenants, arguments->tenant, &tenant, err);
	if (r == 0)
		r = period_find(context, &tenant->row, arguments->period, &period, err);
	if (r == 0)
		r = settle(context, &tenant->row, &period, err);
	if (r == 0)
		r = bill_make(context->store, policy, &tenant->row, &period, &bill, err);
	if (r == 0)
		r = replies_make(policy, &tenant->row, &bill, telling->replies, err);
	bill_done(&bill);
	if (r < 0)
		return r;
	call_stream(call, telling_next);
	return 0;
}

const struct method methods_bill[] = {
	{ "io.tenantd.GetBill", handle_bill, METHOD_STREAMS, bill_params,
	  sizeof(struct bill_arguments) },
	{ .name = NULL },
};
