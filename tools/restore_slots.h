/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of whose each range of ids is, as a restore leaves it: of the backup and the node.
 */
#ifndef TOOLS_RESTORE_SLOTS_H
#define TOOLS_RESTORE_SLOTS_H

#include <stddef.h>

#include <base/err.h>
#include <base/slot.h>

#include "backup_file.h"

/*
 * *ret, for free(): the tenants of @backup where bounds.conf in @config has their ids and, of
 * the table @path if there is one, whoever else is there: files of theirs may be, too, which
 * are not to become somebody's. Refused if both cannot be, whoever forces it.
 */
int restore_slots_make(const struct backup_file *backup, const char *config, const char *path,
                       struct slot **ret, size_t *ret_n, struct tn_error *err);

#endif
