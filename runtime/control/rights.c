/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rights.h"

#include <string.h>

#include <base/fd.h>

#include "../operators.h"
#include "lookup.h"

static const struct rights_row rows[] = {
	/* clang-format off */
	{ "org.varlink.service.GetInfo",                 RIGHT_ANY,   SUBJECT_NONE,      true },
	{ "org.varlink.service.GetInterfaceDescription", RIGHT_ANY,   SUBJECT_NONE,      true },
	{ "io.tenantd.Run",                              RIGHT_RUN,   SUBJECT_TENANT,    false },
	{ "io.tenantd.Exec",                             RIGHT_RUN,   SUBJECT_JOINED,    false },
	{ "io.tenantd.OpenData",                         RIGHT_RUN,   SUBJECT_TENANT,    false },
	{ "io.tenantd.Signal",                           RIGHT_RUN,   SUBJECT_EXECUTION, false },
	{ "io.tenantd.Kill",                             RIGHT_RUN,   SUBJECT_EITHER,    false },
	{ "io.tenantd.Wait",                             RIGHT_LOOK,  SUBJECT_EXECUTION, false },
	{ "io.tenantd.Rejoin",                           RIGHT_RUN,   SUBJECT_EXECUTION, false },
	{ "io.tenantd.OpenLog",                          RIGHT_LOOK,  SUBJECT_EXECUTION, false },
	{ "io.tenantd.FindExecution",                    RIGHT_LOOK,  SUBJECT_EXECUTION, false },
	{ "io.tenantd.GetTenant",                        RIGHT_LOOK,  SUBJECT_TENANT,    false },
	{ "io.tenantd.ListTenants",                      RIGHT_LOOK,  SUBJECT_LISTED,    false },
	{ "io.tenantd.ListExecutions",                   RIGHT_LOOK,  SUBJECT_LISTED,    false },
	{ "io.tenantd.GetUsage",                         RIGHT_LOOK,  SUBJECT_TENANT,    false },
	{ "io.tenantd.GetBill",                          RIGHT_LOOK,  SUBJECT_TENANT,    false },
	{ "io.tenantd.GetQuotas",                        RIGHT_LOOK,  SUBJECT_TENANT,    true },
	{ "io.tenantd.CheckQuota",                       RIGHT_LOOK,  SUBJECT_TENANT,    true },
	{ "io.tenantd.ConsumeQuota",                     RIGHT_RUN,   SUBJECT_TENANT,    true },
	{ "io.tenantd.ReserveQuota",                     RIGHT_RUN,   SUBJECT_TENANT,    true },
	{ "io.tenantd.CommitQuota",                      RIGHT_RUN,   SUBJECT_TENANT,    true },
	{ "io.tenantd.ReleaseQuota",                     RIGHT_RUN,   SUBJECT_TENANT,    true },
	{ "io.tenantd.AcquireQuota",                     RIGHT_RUN,   SUBJECT_TENANT,    true },
	{ "io.tenantd.GiveBackQuota",                    RIGHT_RUN,   SUBJECT_TENANT,    true },
	{ "io.tenantd.GetStats",                         RIGHT_LOOK,  SUBJECT_LISTED,    false },
	{ "io.tenantd.ShowPolicy",                       RIGHT_LOOK,  SUBJECT_TENANT,    false },
	{ "io.tenantd.ListEvents",                       RIGHT_LOOK,  SUBJECT_LISTED,    false },
	{ "io.tenantd.CreateTenant",                     RIGHT_ADMIN, SUBJECT_NONE,      false },
	{ "io.tenantd.UpdateTenant",                     RIGHT_ADMIN, SUBJECT_NONE,      false },
	{ "io.tenantd.SuspendTenant",                    RIGHT_ADMIN, SUBJECT_NONE,      false },
	{ "io.tenantd.ResumeTenant",                     RIGHT_ADMIN, SUBJECT_NONE,      false },
	{ "io.tenantd.DeleteTenant",                     RIGHT_ADMIN, SUBJECT_NONE,      false },
	{ "io.tenantd.ReloadPolicy",                     RIGHT_ADMIN, SUBJECT_NONE,      false },
	{ "io.tenantd.RollbackPolicy",                   RIGHT_ADMIN, SUBJECT_NONE,      false },
	{ "io.tenantd.ListPolicies",                     RIGHT_ADMIN, SUBJECT_NONE,      false },
	{ "io.tenantd.GetPolicy",                        RIGHT_ADMIN, SUBJECT_NONE,      false },
	{ "io.tenantd.DiffPolicy",                       RIGHT_ADMIN, SUBJECT_NONE,      false },
	{ "io.tenantd.Backup",                           RIGHT_ADMIN, SUBJECT_NONE,      false },
	{ "io.tenantd.Drain",                            RIGHT_ADMIN, SUBJECT_NONE,      false },
	{ "io.tenantd.Undrain",                          RIGHT_ADMIN, SUBJECT_NONE,      false },
	{ "io.tenantd.GetStatus",                        RIGHT_ADMIN, SUBJECT_NONE,      false },
	/* clang-format on */
};

const struct rights_row *rights_row(const char *method)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].method, method) == 0)
			return &rows[i];
	return NULL;
}

bool rights_see(const struct context *context, const struct peer *peer,
                const struct tenant_row *row)
{
	const struct operator_ids ids = { peer->uid, peer->gid, peer->groups, peer->groups_n };

	return peer->admin || operators_include(context->policies.present, row,
	                                        accounts_present(context->accounts), &ids);
}

/* Also of a name that is none: whoever may see nothing need not hear more. */
static int refuse(const char *noun, const char *text, struct tn_error *err)
{
	return err_refuse(err, TN_NOT_FOUND, "there is no %s '%.64s' that you may use", noun,
	                  text);
}

static int check_tenant(const struct context *context, const struct peer *peer,
                        const char *text, struct tn_error *err)
{
	struct tn_error ignored = { 0 };
	struct tenant *tenant;

	if (tenants_get(context->tenants, text, &tenant, &ignored) < 0 ||
	    !rights_see(context, peer, &tenant->row))
		return refuse("tenant", text, err);
	return 0;
}

/* Whose it is: 1 and the tenant's id, 0 if there is none, or -errno. */
static int tenant_of(const struct context *context, const struct id *execution, struct id *ret,
                     struct tn_error *err)
{
	struct record record = { 0 };
	int r;

	if (executions_tenant(context->executions, execution, ret) ||
	    journal_tenant(context->journal, execution, ret))
		return 1;
	r = context->store->ops->execution_by_id(context->store, execution, &record, err);
	if (r == 1)
		*ret = record.tenant;
	return r;
}

static int check_execution(const struct context *context, const struct peer *peer,
                           const char *text, struct tn_error *err)
{
	struct tn_error why = { 0 };
	struct tenant *tenant;
	struct id id, of;
	int r = lookup_execution(context, peer, text, &id, &why);

	/* Which those are is for them to see. */
	if (r < 0 && why.sys_errno == ENOTUNIQ) {
		*err = why;
		return r;
	}
	if (r < 0)
		return refuse("execution", text, err);
	r = tenant_of(context, &id, &of, &why);
	/* tenantd may still tell of it. */
	if (r == 0 && !context->settled)
		return 1;
	if (r != 1 || tenants_get_by_id(context->tenants, &of, &tenant, &why) < 0 ||
	    !rights_see(context, peer, &tenant->row))
		return refuse("execution", text, err);
	return 0;
}

/* Of whom it is about, the socket says, and the kernel: nobody else is asked. */
static int check_inside(const struct rights_row *row, json_t *parameters, struct tn_error *err)
{
	static const char *const identities[] = { "tenant", "execution" };

	if (!row->inside)
		return err_refuse(err, TN_NOT_PERMITTED,
		                  "on a tenant's own socket nobody may do this");
	for (size_t i = 0; i < ARRAY_LEN(identities); i++) {
		const json_t *said = json_object_get(parameters, identities[i]);

		if (said != NULL && !json_is_null(said))
			return err_refuse(err, TN_NOT_PERMITTED,
			                  "on a tenant's own socket %s is not said: it is "
			                  "the caller's",
			                  identities[i]);
	}
	return 0;
}

static int check_subject(const struct context *context, const struct peer *peer,
                         enum subject subject, json_t *parameters, struct tn_error *err)
{
	/* What is of another type is none: there is no method that takes it, either. */
	const char *tenant = json_string_value(json_object_get(parameters, "tenant"));
	const char *id = json_string_value(json_object_get(parameters, "id"));
	const char *joined = json_string_value(json_object_get(parameters, "execution"));

	switch (subject) {
	case SUBJECT_TENANT:
		return check_tenant(context, peer, tenant != NULL ? tenant : "", err);
	case SUBJECT_EXECUTION:
		return check_execution(context, peer, id != NULL ? id : "", err);
	case SUBJECT_JOINED:
		/* Its id is to be its own. */
		return check_execution(context, peer, joined != NULL ? joined : "", err);
	case SUBJECT_EITHER:
		if (id != NULL && tenant == NULL)
			return check_execution(context, peer, id, err);
		return check_tenant(context, peer, tenant != NULL ? tenant : "", err);
	case SUBJECT_LISTED:
		return tenant == NULL ? 0 : check_tenant(context, peer, tenant, err);
	case SUBJECT_NONE:
		break;
	}
	return err_refuse(err, TN_NOT_PERMITTED, "nobody may do this");
}

int rights_check(const struct context *context, const struct peer *peer, const char *method,
                 json_t *parameters, struct tn_error *err)
{
	const struct rights_row *row = rights_row(method);

	if (row == NULL)
		return err_refuse(err, TN_NOT_PERMITTED, "nobody may do this");
	if (peer->inside)
		return check_inside(row, parameters, err);
	if (peer->admin || row->right == RIGHT_ANY)
		return 0;
	if (row->right == RIGHT_ADMIN)
		return err_refuse(err, TN_NOT_PERMITTED,
		                  "only root and members of group tenantd-admin may do this");
	/* Until the host has said whom the names mean, nobody is turned away for it. */
	if (!context->accounts_asked)
		return 1;
	return check_subject(context, peer, row->subject, parameters, err);
}
