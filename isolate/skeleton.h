/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The skeleton: the root file system that every sandbox starts from, made once when
 * tenantd starts. One small read-only tmpfs with the directories that things are
 * mounted on, the device nodes, and an /etc complete enough for getpwuid(3), ssh, git
 * and python. Tenants share it, so 10,000 of them cost no copies; what differs from
 * tenant to tenant (/etc/hosts, /etc/hostname) is a link into /run/tenant.
 *
 * Of the host's /etc only what is named here and readable by everyone is copied.
 */
#ifndef ISOLATE_SKELETON_H
#define ISOLATE_SKELETON_H

#include <base/err.h>

/* Mount the skeleton at the existing directory @path, in the caller's own mount
 * namespace, and seal it read-only. */
int skeleton_make(const char *path, struct tn_error *err);

#endif
