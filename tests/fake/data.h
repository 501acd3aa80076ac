/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the stand-in hands out by descriptor: logs, and what its tenants have stored, which is a
 * directory "<the socket's path>.data". */
#ifndef TESTS_FAKE_DATA_H
#define TESTS_FAKE_DATA_H

#include <jansson.h>
#include <stdbool.h>

/*
 * Have it served, as OpenData's @parameters say, to who is connected at @connection, by the
 * product's own server, in a process that ends with its client or with us. Returns the client's
 * end.
 */
int fake_data_open(int connection, const char *tenant, const json_t *parameters);

/* What FAKE_EXECUTION_ID has written, or that it is in the journal, as of all others. */
int fake_log_open(bool ours);

#endif
