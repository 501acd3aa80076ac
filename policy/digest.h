/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SHA-256 over a row of texts. The only place that knows libsodium. */
#ifndef POLICY_DIGEST_H
#define POLICY_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define DIGEST_BYTES 32

struct digest_text {
	const void *bytes;
	size_t n;
};

/*
 * Each text counts with its length (64 bits, big-endian) before it, so that no other
 * row of texts runs together to the same bytes.
 */
void digest_texts(const struct digest_text *texts, size_t n, uint8_t ret[static DIGEST_BYTES]);

/* The digest of what comes in pieces: a file. */
struct digest;

/* NULL if memory has run out. */
struct digest *digest_new(void);
void digest_add(struct digest *digest, const void *bytes, size_t n);
/* In lower-case hexadecimal, with the NUL. Nothing is added then. */
#define DIGEST_HEX_SIZE (2 * DIGEST_BYTES + 1)
void digest_hex(struct digest *digest, char ret[static DIGEST_HEX_SIZE]);
/* Accepts NULL. Always returns NULL. */
struct digest *digest_free(struct digest *digest);

#endif
