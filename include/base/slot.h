/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One record of the slot table, which says whose each range of ids is. tenantd alone reads
 * and writes it while it runs; a restore makes one before.
 */
#ifndef BASE_SLOT_H
#define BASE_SLOT_H

#include <stdint.h>

#include <base/id.h>
#include <base/name.h>

#define SLOT_MAGIC   0x746c6f73u /* "solt", little-endian: a free slot is all zero */
#define SLOT_RETIRED 0x72746c73u /* its name is empty */
#define SLOT_UIDS    65536       /* of each */
#define SLOTS_FILE   "slots"     /* in the daemon's state directory */

struct slot {
	uint32_t magic;
	uint32_t pad;
	struct id tenant;
	char name[NAME_BYTES_MAX];
	char reserved[40];
};

/* A power of two, so that no record straddles a sector. */
_Static_assert(sizeof(struct slot) == 128, "slot records must divide a disk sector");

#endif
