/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How many launches of one tenant are begun at a time: fewer of one that its quota stops. The
 * node is a directory with an ordinary file.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include <isolate/execution.h>

#include "rig.h"

TestSuite(tenant, .timeout = 30, .init = rig_dir_make, .fini = rig_dir_remove);

static const struct id id = { { 7 } };

static void throttled(int usec)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "usage_usec 9\nthrottled_usec %d\n", usec);
	rig_put("cpu.stat", text, 0600);
}

Test(tenant, that_is_throttled_has_fewer_launches_begun)
{
	static struct tenants tenants;
	static struct executions executions = { .tenants = &tenants };
	struct tenant tenant = { .node.id = id, .cgroup_fd = rig_dir.fd };

	id_table_add(&tenants.table, &tenant.node);
	cr_expect_not(executions_crowded(&executions, &id));
	tenant.setting_up_n = EXECUTIONS_SETTING_UP_THROTTLED_MAX;
	throttled(0);
	cr_expect_eq(tenant_throttled_usec(&tenant, SPEC_CONTROLLER_CPU), 0);
	cr_expect_not(executions_crowded(&executions, &id), "nothing has stopped it");
	throttled(500);
	cr_expect_eq(tenant_throttled_usec(&tenant, SPEC_CONTROLLER_CPU), 500);
	cr_expect(executions_crowded(&executions, &id));
	/* Nothing more, but it was only just now. */
	cr_expect_eq(tenant_throttled_usec(&tenant, SPEC_CONTROLLER_CPU), 500);
	cr_expect(executions_crowded(&executions, &id));
	tenant.throttled_at -= 1000000;
	cr_expect_not(executions_crowded(&executions, &id), "that was long ago");
	tenant.setting_up_n = EXECUTIONS_SETTING_UP_MAX;
	cr_expect(executions_crowded(&executions, &id), "as is any that has so many begun");
}

Test(tenant, is_not_throttled_where_nothing_says_so)
{
	struct tenant tenant = { .cgroup_fd = rig_dir.fd };

	throttled(500);
	cr_expect_eq(tenant_throttled_usec(&tenant, SPEC_CONTROLLER_MEMORY), SPEC_ABSENT);
	cr_expect_not(tenant_is_throttled(&tenant));
	cr_expect_eq(tenant.throttled_usec, 0);
}
