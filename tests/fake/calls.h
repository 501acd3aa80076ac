/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Within the stand-in: how a call is answered, and the answers that stand in accounting.c. */
#ifndef TESTS_FAKE_CALLS_H
#define TESTS_FAKE_CALLS_H

#include <jansson.h>
#include <stdbool.h>

struct varlink;
struct varlink_message;

struct call {
	struct varlink *link;
	struct varlink_message *message;
	json_t *parameters;
};

/* Both take over @parameters. */
void fake_reply(const struct call *call, json_t *parameters, bool continues);
void fake_refuse(const struct call *call, const char *name, json_t *parameters);

/* What the names of tenants stand for. True if the call has been dealt with. */
bool fake_misbehave(const struct call *call, const char *tenant);

/* A parameter; "" if there is none of that name. */
const char *fake_text_of(const struct call *call, const char *name);

void fake_get_usage(const struct call *call);
void fake_get_bill(const struct call *call);
void fake_get_quotas(const struct call *call);
void fake_serve_amount(const struct call *call);
void fake_serve_reservation(const struct call *call);

#endif
