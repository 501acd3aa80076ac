/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "methods.h"

struct description_arguments {
	const char *interface;
};

static const struct param description_params[] = {
	{ .name = "interface",
	  .kind = PARAM_STRING,
	  .required = true,
	  .offset = offsetof(struct description_arguments, interface) },
	{ .name = NULL },
};

static int handle_info(struct call *call, struct tn_error *err)
{
	json_t *interfaces = json_array();

	(void)err;
	for (size_t i = 0; methods_interface_name(i) != NULL; i++)
		(void)json_array_append_new(interfaces, json_string(methods_interface_name(i)));
	call_reply(call, json_pack("{s:s, s:s, s:s, s:s, s:o}", "vendor", "tenantd", "product",
	                           "tenantd", "version", TENANTD_VERSION, "url", "",
	                           "interfaces", interfaces));
	return 0;
}

static int handle_description(struct call *call, struct tn_error *err)
{
	const struct description_arguments *arguments = call->arguments;
	const char *name = arguments->interface;
	const char *description = methods_interface(name, strlen(name));

	(void)err;
	if (description == NULL)
		call_fail_service(call, "InterfaceNotFound",
		                  json_pack("{s:s}", "interface", name));
	else
		call_reply(call, json_pack("{s:s}", "description", description));
	return 0;
}

const struct method methods_service[] = {
	{ "org.varlink.service.GetInfo", handle_info, 0, NULL, 0 },
	{ "org.varlink.service.GetInterfaceDescription", handle_description, 0,
	  description_params, sizeof(struct description_arguments) },
	{ .name = NULL },
};
