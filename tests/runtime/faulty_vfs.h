/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A layer between SQLite and the file system whose calls fail: all that write from some moment
 * on, as on a full disk, or the n-th of all and no other, for every n in turn.
 *
 * It is SQLite's default VFS once registered. What cannot fail (a lock is given back, a file is
 * closed) and what only informs (sector sizes, hints) passes without being counted.
 */
#ifndef TESTS_RUNTIME_FAULTY_VFS_H
#define TESTS_RUNTIME_FAULTY_VFS_H

#include <stddef.h>

/* The VFS below, for a look past the layer. */
#define FAULTY_VFS_BELOW "unix"

void faulty_vfs_register(void);

/* From now on whatever writes fails with the result code @sqlite, because the system said
 * @errno_value. */
void faulty_vfs_break(int sqlite, int errno_value);
void faulty_vfs_heal(void);

/*
 * From now on what is written and not synced can be lost: faulty_vfs_power_loss() takes it back
 * in the files themselves, all of it or, with a @seed that is not 0, each write or not by
 * chance, as a disk does that has written some of them in an order of its own. The store that
 * was open is not to be used again then.
 */
void faulty_vfs_volatile(void);
void faulty_vfs_power_loss(unsigned int seed);

/* Count from 0 again; the @nth call, the first being 1, fails. 0: none. */
void faulty_vfs_arm(size_t nth);
size_t faulty_vfs_calls(void);
/* Since it was armed. */
size_t faulty_vfs_failed(void);

#endif
