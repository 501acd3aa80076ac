/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "methods.h"

#include <string.h>

#include <base/fd.h>

#include "io.tenantd.varlink.h"
#include "org.varlink.service.varlink.h"

static const struct {
	const char *name;
	const char *description;
} interfaces[] = {
	{ "io.tenantd", io_tenantd_varlink },
	{ "org.varlink.service", org_varlink_service_varlink },
};

const struct method *methods_find(const char *name)
{
	static const struct method *const tables[] = {
		methods_run,     methods_kill,   methods_wait,  methods_logs,   methods_tenants,
		methods_usage,   methods_admin,  methods_drain, methods_policy, methods_events,
		methods_service, methods_backup, methods_exec,  methods_stats,  methods_data,
		methods_quota,   methods_bill,
	};

	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		for (const struct method *method = tables[i]; method->name != NULL; method++)
			if (strcmp(method->name, name) == 0)
				return method;
	return NULL;
}

const char *methods_interface(const char *name, size_t n)
{
	for (size_t i = 0; i < ARRAY_LEN(interfaces); i++)
		if (strlen(interfaces[i].name) == n &&
		    strncmp(interfaces[i].name, name, n) == 0)
			return interfaces[i].description;
	return NULL;
}

const char *methods_interface_name(size_t i)
{
	return i < ARRAY_LEN(interfaces) ? interfaces[i].name : NULL;
}
