/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory: after its check of the architecture a filter looks at the system call's number
 * and then, for a few, at arguments. As long as it has seen nothing but the number it can
 * be followed without knowing anything else, to where it returns or loads an argument; call
 * that the number's outcome. The outcome can only change at numbers that the filter
 * compares with. So those, sorted, give all the ranges of equal outcome there are, without a
 * guess about how libseccomp arranges its code.
 *
 * The rewritten filter is the check of the architecture, a binary search among the ranges,
 * and what of the old code looks at arguments, copied in its order. Jumps only lead forward
 * and what lies between shrinks, so those of the copy stay within their 8 bits.
 */
#include "tree.h"

#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <base/fd.h>

#define TREE_BOUNDS_MAX 1024
#define TREE_INSNS_MAX  4096 /* BPF_MAXINSNS */
/* The architecture is loaded, compared, and answered for by the third. */
#define TREE_HEAD 3

#define LOAD       (BPF_LD | BPF_W | BPF_ABS)
#define JUMP_EQUAL (BPF_JMP | BPF_JEQ | BPF_K)
#define JUMP_GE    (BPF_JMP | BPF_JGE | BPF_K)
#define JUMP_GT    (BPF_JMP | BPF_JGT | BPF_K)
#define JUMP       (BPF_JMP | BPF_JA)
#define RETURN     (BPF_RET | BPF_K)

static const uint32_t nr_offset = offsetof(struct seccomp_data, nr);
static const uint32_t arch_offset = offsetof(struct seccomp_data, arch);

/* Where a number leads: a RETURN, or the first LOAD of an argument. */
struct outcome {
	size_t at;
	bool known;
};

struct tree {
	const struct sock_filter *from;
	size_t n;
	uint32_t bounds[TREE_BOUNDS_MAX]; /* first numbers of the ranges, ascending */
	size_t outcomes[TREE_BOUNDS_MAX];
	size_t bounds_n;
	bool kept[TREE_INSNS_MAX]; /* looks at arguments */
	size_t moved[TREE_INSNS_MAX];
	struct sock_filter *to;
	size_t to_n, max;
};

static bool is_condition(const struct sock_filter *insn)
{
	return insn->code == JUMP_EQUAL || insn->code == JUMP_GE || insn->code == JUMP_GT;
}

static bool holds(const struct sock_filter *insn, uint32_t value)
{
	if (insn->code == JUMP_EQUAL)
		return value == insn->k;
	return insn->code == JUMP_GE ? value >= insn->k : value > insn->k;
}

/* Follow @number from @at on. Unknown if anything but comparisons with it comes first. */
static struct outcome follow(const struct tree *tree, size_t at, uint32_t number)
{
	const struct outcome unknown = { 0, false };

	while (at < tree->n) {
		const struct sock_filter *insn = &tree->from[at];

		if (insn->code == RETURN ||
		    (insn->code == LOAD && insn->k != nr_offset && insn->k != arch_offset))
			return (struct outcome){ at, true };
		if (insn->code == LOAD && insn->k == nr_offset)
			at++;
		else if (insn->code == JUMP)
			at += 1 + (size_t)insn->k;
		else if (is_condition(insn))
			at += 1u + (holds(insn, number) ? insn->jt : insn->jf);
		else
			return unknown;
	}
	return unknown;
}

static int ascending(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* @start is where the number is first loaded. */
static bool ranges_find(struct tree *tree, size_t start)
{
	size_t n = 0;

	tree->bounds[n++] = 0;
	for (size_t i = start; i < tree->n; i++) {
		const struct sock_filter *insn = &tree->from[i];

		if (!is_condition(insn))
			continue;
		if (n + 2 > TREE_BOUNDS_MAX)
			return false;
		/* Some compare arguments: a bound too many does no harm. */
		tree->bounds[n++] = insn->k;
		if (insn->k < UINT32_MAX)
			tree->bounds[n++] = insn->k + 1;
	}
	qsort(tree->bounds, n, sizeof(tree->bounds[0]), ascending);

	for (size_t i = 0; i < n; i++) {
		struct outcome outcome = follow(tree, start, tree->bounds[i]);
		size_t last = tree->bounds_n;

		if (!outcome.known)
			return false;
		if (last > 0 && tree->from[outcome.at].code == RETURN &&
		    tree->from[tree->outcomes[last - 1]].code == RETURN &&
		    tree->from[outcome.at].k == tree->from[tree->outcomes[last - 1]].k)
			continue;
		if (last > 0 && outcome.at == tree->outcomes[last - 1])
			continue;
		tree->bounds[last] = tree->bounds[i];
		tree->outcomes[last] = outcome.at;
		tree->bounds_n++;
	}
	return true;
}

/* Mark what can be reached from where arguments are looked at; all leads forward. */
static bool kept_find(struct tree *tree)
{
	for (size_t i = 0; i < tree->bounds_n; i++)
		if (tree->from[tree->outcomes[i]].code != RETURN)
			tree->kept[tree->outcomes[i]] = true;
	for (size_t i = 0; i < tree->n; i++) {
		const struct sock_filter *insn = &tree->from[i];
		const size_t next = i + 1;
		size_t ways[2] = { next, next };

		if (!tree->kept[i] || BPF_CLASS(insn->code) == BPF_RET)
			continue;
		if (insn->code == JUMP) {
			ways[0] = ways[1] = next + insn->k;
		} else if (BPF_CLASS(insn->code) == BPF_JMP) {
			ways[0] = next + insn->jt;
			ways[1] = next + insn->jf;
		}
		if (ways[0] >= tree->n || ways[1] >= tree->n)
			return false;
		tree->kept[ways[0]] = tree->kept[ways[1]] = true;
	}
	return true;
}

static bool put(struct tree *tree, struct sock_filter insn)
{
	if (tree->to_n == tree->max)
		return false;
	tree->to[tree->to_n++] = insn;
	return true;
}

/* Ranges @first to before @end. A jump to an argument's code is set right by copy(). */
static bool search_put(struct tree *tree, size_t first, size_t end)
{
	const size_t middle = first + (end - first) / 2, at = tree->to_n;
	const struct sock_filter *leaf = &tree->from[tree->outcomes[first]];

	if (end - first == 1)
		return leaf->code == RETURN
		               ? put(tree, *leaf)
		               : put(tree, (struct sock_filter){
						   .code = JUMP,
						   .k = (uint32_t)tree->outcomes[first] });
	if (!put(tree, (struct sock_filter){ .code = JUMP_GE, .k = tree->bounds[middle] }) ||
	    !search_put(tree, first, middle) || tree->to_n - at - 1 > UINT8_MAX)
		return false;
	tree->to[at].jt = (uint8_t)(tree->to_n - at - 1);
	return search_put(tree, middle, end);
}

/* Copy what is kept behind the search that begins at @search, and lead its jumps there. */
static bool copy(struct tree *tree, size_t search)
{
	const size_t search_end = tree->to_n;

	for (size_t i = 0; i < tree->n; i++) {
		tree->moved[i] = tree->to_n;
		if (tree->kept[i] && !put(tree, tree->from[i]))
			return false;
	}
	for (size_t i = search; i < search_end; i++)
		if (tree->to[i].code == JUMP)
			tree->to[i].k = (uint32_t)(tree->moved[tree->to[i].k] - i - 1);
	for (size_t i = 0; i < tree->n; i++) {
		struct sock_filter *insn = &tree->to[tree->moved[i]];
		const size_t here = tree->moved[i] + 1;

		if (!tree->kept[i] || BPF_CLASS(insn->code) != BPF_JMP)
			continue;
		if (insn->code == JUMP) {
			insn->k = (uint32_t)(tree->moved[i + 1 + insn->k] - here);
		} else {
			insn->jt = (uint8_t)(tree->moved[i + 1 + insn->jt] - here);
			insn->jf = (uint8_t)(tree->moved[i + 1 + insn->jf] - here);
		}
	}
	return true;
}

/* Another architecture's calls are answered as before. Returns where ours begin, or 0. */
static size_t head_put(struct tree *tree)
{
	const struct sock_filter *from = tree->from;
	const size_t next = TREE_HEAD - 1;
	struct sock_filter compare;
	size_t other;

	if (tree->n < TREE_HEAD || from[0].code != LOAD || from[0].k != arch_offset ||
	    from[1].code != JUMP_EQUAL)
		return 0;
	other = next + from[1].jf;
	if (other >= tree->n || from[other].code != RETURN)
		return 0;
	compare = from[1];
	compare.jt = 1;
	compare.jf = 0;
	if (!put(tree, from[0]) || !put(tree, compare) || !put(tree, from[other]) ||
	    !put(tree, (struct sock_filter){ .code = LOAD, .k = nr_offset }))
		return 0;
	return next + from[1].jt;
}

static size_t rebuild(struct tree *tree)
{
	const size_t start = head_put(tree), search = tree->to_n;

	/* The number must be what the first comparison is about. */
	if (start == 0 || start >= tree->n || tree->from[start].code != LOAD ||
	    tree->from[start].k != nr_offset)
		return 0;
	if (!ranges_find(tree, start) || !kept_find(tree) ||
	    !search_put(tree, 0, tree->bounds_n) || !copy(tree, search))
		return 0;
	return tree->to_n;
}

size_t tree_rebuild(const struct sock_filter *from, size_t n, struct sock_filter *to,
                    size_t max)
{
	cleanup_free struct tree *tree = calloc(1, sizeof(*tree));

	if (tree == NULL || n > TREE_INSNS_MAX)
		return 0;
	tree->from = from;
	tree->n = n;
	tree->to = to;
	tree->max = max;
	return rebuild(tree);
}
