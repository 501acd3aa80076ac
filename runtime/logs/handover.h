/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How tenant-controller hands an execution's output to tenant-logger: one message on a
 * connection of its own, with three descriptors. What it is the output of stands in the file.
 * There is no answer: once the message is sent, it lies there until it is taken.
 */
#ifndef RUNTIME_LOGS_HANDOVER_H
#define RUNTIME_LOGS_HANDOVER_H

#include <stdint.h>

#define LOGGER_SOCKET_PATH "/run/tenantd-logger.sock"

#define HANDOVER_MAGIC UINT32_C(0x746e6c31) /* its last digit is the version */

struct handover {
	uint32_t magic;
	uint32_t pad;
};

enum handover_fd {
	HANDOVER_STDOUT, /* to be read from; does not block */
	HANDOVER_STDERR,
	HANDOVER_FILE, /* of ring_create() */
	HANDOVER_FDS_N,
};

#endif
