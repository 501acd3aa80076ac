/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which of some words was meant by one that is none of them: the one that few slips of the pen
 * make of it. */
#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define NEAREST_WORD_BYTES_MAX 64
#define NEAREST_HINT_BYTES_MAX (NEAREST_WORD_BYTES_MAX + 24)
/* Beyond that a suggestion is a guess. */
#define NEAREST_DISTANCE_MAX 2

struct nearest {
	const char *text;
	const char *meant; /* the best so far, borrowed; NULL: none is near */
	size_t distance;
};

static inline struct nearest nearest_begin(const char *text)
{
	return (struct nearest){ text, NULL, NEAREST_DISTANCE_MAX + 1 };
}

static inline size_t nearest_min(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Letters to insert, remove or replace to make @b of @a; @b_n is at most WORD_BYTES_MAX. */
static inline size_t nearest_distance(const char *a, size_t a_n, const char *b, size_t b_n)
{
	size_t row[NEAREST_WORD_BYTES_MAX + 1];

	for (size_t j = 0; j <= b_n; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_n; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b_n; j++) {
			size_t replace = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);

			diagonal = row[j];
			row[j] = nearest_min(replace, nearest_min(row[j], row[j - 1]) + 1);
		}
	}
	return row[b_n];
}

/* @word could have been meant; borrowed as long as @nearest is in use. */
static inline void nearest_consider(struct nearest *nearest, const char *word)
{
	const size_t text_n = strlen(nearest->text), word_n = strlen(word);
	size_t d;

	if (text_n > NEAREST_WORD_BYTES_MAX || word_n > NEAREST_WORD_BYTES_MAX)
		return;
	d = nearest_distance(nearest->text, text_n, word, word_n);
	/* Half of a short word changed is another word. */
	if (d < nearest->distance && d * 2 < word_n) {
		nearest->distance = d;
		nearest->meant = word;
	}
}

/* ", did you mean 'WORD'?", or "". Returns @hint. */
static inline const char *nearest_hint(const struct nearest *nearest, const char *prefix,
                                       char hint[NEAREST_HINT_BYTES_MAX])
{
	hint[0] = '\0';
	if (nearest->meant != NULL)
		(void)snprintf(hint, NEAREST_HINT_BYTES_MAX, ", did you mean '%s%s'?", prefix,
		               nearest->meant);
	return hint;
}

#endif
