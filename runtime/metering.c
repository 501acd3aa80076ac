/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "metering.h"

const char *metering_op_name(enum metering_op op)
{
#define METERING_NAME(code, name) name,
	static const char *const names[] = { METERING_OPS(METERING_NAME) };
#undef METERING_NAME

	return names[op];
}
