/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "digest.h"

#include <assert.h>
#include <stdlib.h>

#include <sodium.h>

static_assert(DIGEST_BYTES == crypto_hash_sha256_BYTES, "a digest is one SHA-256");

void digest_texts(const struct digest_text *texts, size_t n, uint8_t ret[static DIGEST_BYTES])
{
	crypto_hash_sha256_state state;

	/* None of these can fail: they return 0 to look like their sisters. */
	(void)crypto_hash_sha256_init(&state);
	for (size_t i = 0; i < n; i++) {
		uint8_t length[8];

		for (size_t j = 0; j < sizeof(length); j++)
			length[j] = (uint8_t)((uint64_t)texts[i].n >> (56 - 8 * j));
		(void)crypto_hash_sha256_update(&state, length, sizeof(length));
		(void)crypto_hash_sha256_update(&state, texts[i].bytes, texts[i].n);
	}
	(void)crypto_hash_sha256_final(&state, ret);
}

struct digest {
	crypto_hash_sha256_state state;
};

struct digest *digest_new(void)
{
	struct digest *digest = calloc(1, sizeof(*digest));

	if (digest != NULL)
		(void)crypto_hash_sha256_init(&digest->state);
	return digest;
}

void digest_add(struct digest *digest, const void *bytes, size_t n)
{
	(void)crypto_hash_sha256_update(&digest->state, bytes, n);
}

void digest_hex(struct digest *digest, char ret[static DIGEST_HEX_SIZE])
{
	uint8_t bytes[DIGEST_BYTES];

	(void)crypto_hash_sha256_final(&digest->state, bytes);
	(void)sodium_bin2hex(ret, DIGEST_HEX_SIZE, bytes, sizeof(bytes));
}

struct digest *digest_free(struct digest *digest)
{
	free(digest);
	return NULL;
}
