/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The signals that tenant-run passes on: all that can be caught, but for those that tell
 * something to tenant-run itself.
 *
 *   CHLD         a process of its own has changed
 *   PIPE         who read what it wrote has gone
 *   URG          a socket of its own has data out of turn; nobody asks for that
 *   TTIN, TTOU   it is in the background of its own terminal, and stops as anything does
 *   WINCH        its own terminal has another size; with a terminal inside, that one gets
 *                the size, and then the kernel sends the signal there
 *
 * Those that stand for a fault (SEGV, BUS, ...) or a used-up limit of a process's own are
 * passed on only if a process sent them. A fault of tenant-run kills it although they are
 * blocked: then the kernel lets nobody wait. What it sends for a limit, or to a timer, is
 * read like the others, told from them by its code, and takes its default after all.
 */
#ifndef TOOLS_SIGNALS_H
#define TOOLS_SIGNALS_H

#include <stdbool.h>
#include <sys/signalfd.h>

#include <tenant/error.h>

/* Block what is passed on, and WINCH if @window, and read it from *ret_fd. */
int signals_open(bool window, int *ret_fd, struct tn_error *err);

/* Whether what was read means this process, not the command. */
bool signals_mean_us(const struct signalfd_siginfo *info);

/* Do what @signal does by default. Returns if that is nothing. */
void signals_take_default(int signal);

#endif
