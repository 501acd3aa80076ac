/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A stand-in for tenantd on a socket of its own: it speaks the protocol, runs commands
 * without any walls, and misbehaves on request. What it does depends on the tenant:
 *
 *   acme, globex   exist; globex has executions with a name
 *   nobody         NotFound             forbidden  NotPermitted
 *   taken          AlreadyExists        full       QuotaExceeded, with its data
 *   echo           Invalid, whose message is the call's parameters as JSON
 *   gone           the connection ends  silent     no answer comes
 *   garbage        what comes is no JSON
 *   twice          a second answer comes to a call that has one
 *   wrong          the answer lacks what it has to hold
 *   unbilled       has no price book
 *   queue          a run that would wait is told to, and then runs
 *   oom, unclear   a run ends for this reason, whatever it does
 *   hasty          who serves its data ends after two answers, each time
 *   moving         the first to do so ends then, and the next has another mount (as root)
 *   blind          a run that asked for a terminal is not told which descriptor it is
 */
#ifndef TESTS_FAKE_FAKE_H
#define TESTS_FAKE_FAKE_H

#include <sys/types.h>

#define FAKE_EXECUTION_ID "0192f0c4-8a5e-4c7e-9b1d-2f6a3c5d7e9f"
/* Detached, and running as far as its log goes. */
#define FAKE_DETACHED_ID "2192f0c4-8a5e-4c7e-9b1d-2f6a3c5d7e9f"
/* One whose log is in the journal. */
#define FAKE_OTHER_ID "1192f0c4-8a5e-4c7e-9b1d-2f6a3c5d7e9f"
/* The only executions there are to wait for are these, which end so much later. */
#define FAKE_WAIT_USEC 300000

/* Serve the socket at @path until the caller's thread ends or the returned process is
 * killed. It listens when this returns. */
pid_t fake_start(const char *path);

/* A backup, of a store that is none. */
#define FAKE_BACKUP                                                                            \
	"store\n"                                                                              \
	"created_at 1700000000000000\n"                                                        \
	"version 0.1.0\n"                                                                      \
	"schema 7\n"                                                                           \
	"policy_hash abcdef0123456789\n"                                                       \
	"slot 5f0c1d2e-3b4a-4958-8776-655443322110 acme 2147549184 65536\n"                    \
	"file tiers/free.yaml 11\n"                                                            \
	"tier: free\n"                                                                         \
	"\n"                                                                                   \
	"tenantd-backup 1 00000000000000000006 "                                               \
	"67d1fc720021e5ea82e072c2bd0e6fa124e1e026f658c3cc1335584e558c5e51\n"

#endif
