/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A backup of the control plane, one file:
 *
 *   the store, an SQLite database, by itself what sqlite3(1) opens
 *   what else there is to know, as text
 *   the trailer, one line of BACKUP_TRAILER_BYTES
 *
 * The text is lines of a key and its values, in this order:
 *
 *   created_at USEC          since the epoch
 *   version VERSION          of what made it
 *   schema N                 of the store
 *   policy_hash HASH         of what was in force
 *   slot UUID NAME UID N     of each living tenant: its first id, and how many
 *   file NAME BYTES          of the policy, and behind the line's end so many bytes and another
 *                            line's end
 *
 * The trailer is "tenantd-backup 1 ", where the text begins in 20 digits, a blank, and the
 * SHA-256 of all bytes before the trailer in hexadecimal.
 */
#ifndef BASE_BACKUP_H
#define BASE_BACKUP_H

#define BACKUP_MAGIC         "tenantd-backup 1 "
#define BACKUP_OFFSET_DIGITS 20
#define BACKUP_HASH_DIGITS   64
#define BACKUP_TRAILER_BYTES                                                                   \
	(sizeof(BACKUP_MAGIC) - 1 + BACKUP_OFFSET_DIGITS + 1 + BACKUP_HASH_DIGITS + 1)

/* Version of the store's schema; store/sqlite.c has the steps that lead there. */
#define BACKUP_SCHEMA 17

/* Where the store is, in the daemon's state directory. */
#define BACKUP_STORE_DIR  "store"
#define BACKUP_STORE_FILE "tenantd.db"

/* `tenant-controller --check-empty` ends so, with 0 if there has never been a tenant. */
#define BACKUP_STORE_USED 3

#endif
