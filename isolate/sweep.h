/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef ISOLATE_SWEEP_H
#define ISOLATE_SWEEP_H

#include "execution.h"

/*
 * After executions_adopt(): remove the leaves that no execution has, and end what is in them. A
 * tenantd that died between the making of a leaf and its record leaves one behind, and each
 * would count as one of its tenant's executions_max for ever. The same of tenants' cgroups
 * without a slot; of stored data without one the journal is told.
 */
void executions_sweep(struct executions *executions);

#endif
