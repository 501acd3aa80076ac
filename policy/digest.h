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

#endif
