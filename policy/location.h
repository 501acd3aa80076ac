/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where something of a policy's files stands, and what all of them hold in common. */
#ifndef POLICY_LOCATION_H
#define POLICY_LOCATION_H

#include <stdint.h>

#define POLICY_UNLIMITED      INT64_MAX
#define POLICY_FILE_BYTES_MAX 96

/* "tiers/free.yaml:7:3"; line 0: the documented default applies. */
struct policy_location {
	uint32_t line;
	uint32_t column;
	uint32_t extension; /* 0: the tier's own file; else the one of that number, from 1 */
};

#endif
