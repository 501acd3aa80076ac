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
 * and what of the old code looks at arguments, copied in its order. A range in which single
 * numbers have another outcome is one leaf of the search: they are asked for there.
 *
 * It is put together from its end: jumps only lead forward, so what they lead to is there
 * already, and an answer can be shared. Where one is beyond the reach of a jump's 8 bits, it
 * is put a second time.
 */
#include "tree.h"

#include <assert.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <base/fd.h>
#include <base/halve.h>

#define TREE_BOUNDS_MAX 1024
#define TREE_INSNS_MAX  4096 /* BPF_MAXINSNS */
/* The architecture is loaded and compared, and then the number is. */
#define TREE_HEAD 2
/* Single numbers in one leaf: as many steps as the search saves. */
#define TREE_SINGLES_MAX 3
/* Of 255: what is put between a look at the distance and the jump has room. */
#define TREE_REACH 250

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
	size_t at; /* from TREE_INSNS_MAX on: a refusal */
	bool known;
};

/* A stretch of numbers with one outcome, but for some in it. */
struct leaf {
	uint32_t first;
	size_t outcome;
	size_t singles_n;
	struct {
		uint32_t number;
		size_t outcome;
	} singles[TREE_SINGLES_MAX];
};

struct tree {
	const struct sock_filter *from;
	size_t n;
	const struct tree_refusal *refusals;
	size_t refusals_n;
	uint32_t bounds[TREE_BOUNDS_MAX]; /* first numbers of the ranges, ascending */
	size_t outcomes[TREE_BOUNDS_MAX];
	size_t bounds_n;
	struct leaf leaves[TREE_BOUNDS_MAX];
	size_t leaves_n;
	bool kept[TREE_INSNS_MAX]; /* looks at arguments, or is led to from there */
	size_t labels[TREE_INSNS_MAX + TREE_REFUSALS_MAX]; /* where an outcome has been put */
	struct sock_filter *to;
	size_t first, max; /* @to is filled from @first on */
	bool failed;       /* no room, or a jump too far */
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

/* Equal answers are one: the first of them. */
static size_t answer_first(const struct tree *tree, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (tree->from[i].code == RETURN && tree->from[i].k == tree->from[at].k)
			return i;
	return at;
}

/* Follow @number from @at on. Unknown if anything but comparisons with it comes first. */
static struct outcome follow(const struct tree *tree, size_t at, uint32_t number)
{
	const struct outcome unknown = { 0, false };

	while (at < tree->n) {
		const struct sock_filter *insn = &tree->from[at];

		if (insn->code == RETURN)
			return (struct outcome){ answer_first(tree, at), true };
		if (insn->code == LOAD && insn->k != nr_offset && insn->k != arch_offset)
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

/* The same, with what is refused beyond it; that must have been allowed. */
static struct outcome outcome_of(const struct tree *tree, size_t start, uint32_t number)
{
	struct outcome outcome = follow(tree, start, number);

	for (size_t i = 0; outcome.known && i < tree->refusals_n; i++)
		if (tree->refusals[i].nr == number) {
			const struct sock_filter *insn = &tree->from[outcome.at];

			return (struct outcome){ TREE_INSNS_MAX + i,
				                 insn->code == RETURN &&
				                         insn->k == SECCOMP_RET_ALLOW };
		}
	return outcome;
}

static int ascending(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Something can change at @number, and after it. */
static bool bound_add(struct tree *tree, uint32_t number, size_t *n)
{
	if (*n + 2 > TREE_BOUNDS_MAX)
		return false;
	tree->bounds[(*n)++] = number;
	if (number < UINT32_MAX)
		tree->bounds[(*n)++] = number + 1;
	return true;
}

/* @start is where the number is first loaded. */
static bool ranges_find(struct tree *tree, size_t start)
{
	size_t n = 0;

	tree->bounds[n++] = 0;
	/* Some compare arguments: a bound too many does no harm. */
	for (size_t i = start; i < tree->n; i++)
		if (is_condition(&tree->from[i]) && !bound_add(tree, tree->from[i].k, &n))
			return false;
	for (size_t i = 0; i < tree->refusals_n; i++)
		if (!bound_add(tree, tree->refusals[i].nr, &n))
			return false;
	qsort(tree->bounds, n, sizeof(tree->bounds[0]), ascending);

	for (size_t i = 0; i < n; i++) {
		struct outcome outcome = outcome_of(tree, start, tree->bounds[i]);
		size_t last = tree->bounds_n;

		if (!outcome.known)
			return false;
		if (last > 0 && outcome.at == tree->outcomes[last - 1])
			continue;
		tree->bounds[last] = tree->bounds[i];
		tree->outcomes[last] = outcome.at;
		tree->bounds_n++;
	}
	return true;
}

/* After range @i comes a single number, and then @outcome again. */
static bool single_follows(const struct tree *tree, size_t i, size_t outcome)
{
	return i + 2 < tree->bounds_n && tree->outcomes[i + 2] == outcome &&
	       tree->bounds[i + 2] - tree->bounds[i + 1] == 1;
}

static void leaves_make(struct tree *tree)
{
	for (size_t i = 0; i < tree->bounds_n; i++) {
		struct leaf *leaf = &tree->leaves[tree->leaves_n++];

		*leaf = (struct leaf){ .first = tree->bounds[i], .outcome = tree->outcomes[i] };
		for (; leaf->singles_n < TREE_SINGLES_MAX &&
		       single_follows(tree, i, leaf->outcome);
		     i += 2) {
			leaf->singles[leaf->singles_n].number = tree->bounds[i + 1];
			leaf->singles[leaf->singles_n].outcome = tree->outcomes[i + 1];
			leaf->singles_n++;
		}
	}
}

/* Mark what can be reached from where arguments are looked at; all leads forward. */
static bool kept_find(struct tree *tree)
{
	for (size_t i = 0; i < tree->bounds_n; i++)
		if (tree->outcomes[i] < TREE_INSNS_MAX)
			tree->kept[tree->outcomes[i]] = true;
	for (size_t i = 0; i < tree->n; i++) {
		const struct sock_filter *insn = &tree->from[i];
		const size_t next = i + 1;
		size_t ways[2] = { next, next };

		if (!tree->kept[i] || insn->code == RETURN)
			continue;
		if (insn->code == JUMP) {
			ways[0] = ways[1] = next + insn->k;
		} else if (BPF_CLASS(insn->code) == BPF_JMP) {
			ways[0] = next + insn->jt;
			ways[1] = next + insn->jf;
		}
		if (BPF_CLASS(insn->code) == BPF_RET || ways[0] >= tree->n ||
		    ways[1] >= tree->n)
			return false;
		tree->kept[ways[0]] = tree->kept[ways[1]] = true;
	}
	return true;
}

/* Returns where it is. */
static size_t put(struct tree *tree, struct sock_filter insn)
{
	if (tree->first == 0) {
		tree->failed = true;
		return 0;
	}
	tree->to[--tree->first] = insn;
	return tree->first;
}

/* An answer that a jump reaches from here, put there if need be. */
static size_t answer(struct tree *tree, uint32_t k)
{
	for (size_t i = tree->first; i < tree->max && i - tree->first < TREE_REACH; i++)
		if (tree->to[i].code == RETURN && tree->to[i].k == k)
			return i;
	return put(tree, (struct sock_filter){ .code = RETURN, .k = k });
}

/* @label, or what leads there, within reach. */
static size_t near(struct tree *tree, size_t label)
{
	if (tree->failed || label - tree->first < TREE_REACH)
		return label;
	if (tree->to[label].code == RETURN)
		return answer(tree, tree->to[label].k);
	return put(tree,
	           (struct sock_filter){ .code = JUMP, .k = (uint32_t)(label - tree->first) });
}

/* Go to @yes if @code and @k hold, and else to @no. */
static size_t branch(struct tree *tree, uint16_t code, uint32_t k, size_t yes, size_t no)
{
	size_t at, jt, jf;

	yes = near(tree, yes);
	no = near(tree, no);
	at = tree->first;
	if (tree->failed)
		return 0;
	jt = yes - at;
	jf = no - at;
	tree->failed = jt > UINT8_MAX || jf > UINT8_MAX;
	return put(tree, (struct sock_filter){ code, (uint8_t)jt, (uint8_t)jf, k });
}

/* What comes next in the program is what lies at @label. */
static void lead_to(struct tree *tree, size_t label)
{
	if (label != tree->first)
		(void)put(tree, (struct sock_filter){ .code = JUMP,
		                                      .k = (uint32_t)(label - tree->first) });
}

/* Copy what is kept, last first. */
static void copy(struct tree *tree)
{
	for (size_t i = tree->n; i-- > 0;) {
		const struct sock_filter *insn = &tree->from[i];
		const size_t *next = &tree->labels[i + 1];

		if (!tree->kept[i] || tree->failed)
			continue;
		if (insn->code == RETURN) {
			tree->labels[i] = answer(tree, insn->k);
		} else if (insn->code == JUMP) {
			tree->labels[i] = next[insn->k];
		} else if (BPF_CLASS(insn->code) == BPF_JMP) {
			tree->labels[i] = branch(tree, insn->code, insn->k, next[insn->jt],
			                         next[insn->jf]);
		} else {
			lead_to(tree, *next);
			tree->labels[i] = put(tree, *insn);
		}
	}
}

static void refusals_put(struct tree *tree)
{
	static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the low half comes first");

	for (size_t i = 0; i < tree->refusals_n; i++) {
		const struct tree_refusal *refusal = &tree->refusals[i];
		size_t label = answer(tree, SECCOMP_RET_ALLOW);

		for (size_t v = 0; v < refusal->values_n; v++)
			label = branch(tree, JUMP_EQUAL, refusal->values[v],
			               answer(tree, refusal->answer), label);
		lead_to(tree, label);
		tree->labels[TREE_INSNS_MAX + i] = put(
			tree, (struct sock_filter){
				      .code = LOAD,
				      .k = (uint32_t)(offsetof(struct seccomp_data, args) +
		                                      refusal->argument * sizeof(uint64_t)) });
	}
}

static size_t leaf_put(struct tree *tree, const struct leaf *leaf)
{
	size_t label = tree->labels[leaf->outcome];

	for (size_t i = leaf->singles_n; i-- > 0;)
		label = branch(tree, JUMP_EQUAL, leaf->singles[i].number,
		               tree->labels[leaf->singles[i].outcome], label);
	return label;
}

static uint32_t leaf_first(const void *leaves, size_t i)
{
	const struct leaf *all = leaves;

	return all[i].first;
}

/* Leaves @first to before @end. */
static size_t search_put(struct tree *tree, size_t first, size_t end)
{
	size_t middle, above, below;

	if (end - first == 1)
		return leaf_put(tree, &tree->leaves[first]);
	middle = halve(tree->leaves, leaf_first, tree->leaves_n, first, end);
	above = search_put(tree, middle, end);
	below = search_put(tree, first, middle);
	return branch(tree, JUMP_GE, tree->leaves[middle].first, above, below);
}

/* Another architecture's calls are answered as before. Returns where ours begin, or 0. */
static size_t head_read(const struct tree *tree, uint32_t *ret_other)
{
	const struct sock_filter *from = tree->from;
	size_t other, start;

	if (tree->n <= TREE_HEAD || from[0].code != LOAD || from[0].k != arch_offset ||
	    from[1].code != JUMP_EQUAL)
		return 0;
	other = TREE_HEAD + (size_t)from[1].jf;
	start = TREE_HEAD + (size_t)from[1].jt;
	if (other >= tree->n || from[other].code != RETURN)
		return 0;
	/* The number must be what the first comparison is about. */
	if (start >= tree->n || from[start].code != LOAD || from[start].k != nr_offset)
		return 0;
	*ret_other = from[other].k;
	return start;
}

static void program_put(struct tree *tree, uint32_t other)
{
	size_t ours;

	copy(tree);
	refusals_put(tree);
	lead_to(tree, search_put(tree, 0, tree->leaves_n));
	ours = put(tree, (struct sock_filter){ .code = LOAD, .k = nr_offset });
	lead_to(tree, branch(tree, JUMP_EQUAL, tree->from[1].k, ours, answer(tree, other)));
	(void)put(tree, tree->from[0]);
}

static size_t rebuild(struct tree *tree)
{
	uint32_t other;
	const size_t start = head_read(tree, &other);

	if (start == 0 || !ranges_find(tree, start) || !kept_find(tree))
		return 0;
	leaves_make(tree);
	program_put(tree, other);
	if (tree->failed)
		return 0;
	memmove(tree->to, tree->to + tree->first,
	        (tree->max - tree->first) * sizeof(*tree->to));
	return tree->max - tree->first;
}

size_t tree_rebuild(const struct sock_filter *from, size_t n,
                    const struct tree_refusal *refusals, size_t refusals_n,
                    struct sock_filter *to, size_t max)
{
	cleanup_free struct tree *tree = calloc(1, sizeof(*tree));

	if (tree == NULL || n > TREE_INSNS_MAX || refusals_n > TREE_REFUSALS_MAX)
		return 0;
	tree->from = from;
	tree->n = n;
	tree->refusals = refusals;
	tree->refusals_n = refusals_n;
	tree->to = to;
	tree->first = tree->max = max;
	return rebuild(tree);
}
