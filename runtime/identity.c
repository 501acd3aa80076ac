/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "identity.h"

#include <assert.h>
#include <uuid/uuid.h>

struct id identity_new(void)
{
	struct id id;

	static_assert(sizeof(uuid_t) == sizeof(id.bytes), "both are 16 bytes");
	uuid_generate_random(id.bytes);
	return id;
}
