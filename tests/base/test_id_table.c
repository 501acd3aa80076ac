/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include <base/fd.h>
#include <base/id_table.h>

TestSuite(id_table, .timeout = 20);

struct thing {
	struct id_node node;
	int value;
};

static struct id id_of(unsigned int n)
{
	struct id id = { { 0 } };

	/* The first two bytes choose the chain. */
	id.bytes[0] = (uint8_t)n;
	id.bytes[1] = (uint8_t)(n >> 8);
	id.bytes[15] = (uint8_t)(n >> 16);
	return id;
}

static struct thing *thing_add(struct id_table *table, unsigned int n)
{
	struct thing *thing = calloc(1, sizeof(*thing));

	cr_assert(thing != NULL);
	thing->node.id = id_of(n);
	thing->value = (int)n;
	id_table_add(table, &thing->node);
	return thing;
}

static int value_at(struct id_table *table, unsigned int n)
{
	struct id id = id_of(n);
	const struct thing *thing = id_table_find(table, &id);

	return thing == NULL ? -1 : thing->value;
}

Test(id_table, finds_what_was_added_and_nothing_else)
{
	static struct id_table table;

	cr_expect_eq(value_at(&table, 1), -1);
	(void)thing_add(&table, 1);
	(void)thing_add(&table, 700);
	cr_expect_eq(table.n, 2);
	cr_expect_eq(value_at(&table, 1), 1);
	cr_expect_eq(value_at(&table, 700), 700);
	cr_expect_eq(value_at(&table, 2), -1);
}

Test(id_table, tells_members_of_one_chain_apart)
{
	/* These have the first two bytes in common, or the ten bits that count. */
	enum {
		A = 5,
		B = A | 1 << 16,
		C = A | 2 << 16,
		D = A | ID_TABLE_CHAINS
	};
	static struct id_table table;
	struct thing *things[] = { thing_add(&table, A), thing_add(&table, B),
		                   thing_add(&table, C), thing_add(&table, D) };

	cr_expect_eq(value_at(&table, A), A);
	cr_expect_eq(value_at(&table, D), D);
	/* From the middle, the head and the end of the chain. */
	id_table_remove(&table, &things[1]->node);
	cr_expect_eq(value_at(&table, B), -1);
	id_table_remove(&table, &things[3]->node);
	id_table_remove(&table, &things[0]->node);
	cr_expect_eq(value_at(&table, A), -1);
	cr_expect_eq(value_at(&table, C), C);
	cr_expect_eq(value_at(&table, D), -1);
	cr_expect_eq(table.n, 1);
}

Test(id_table, is_not_changed_by_removing_what_is_not_in_it)
{
	static struct id_table table;
	struct thing stranger = { .node.id = id_of(9) };

	(void)thing_add(&table, 9);
	id_table_remove(&table, &stranger.node);
	cr_expect_eq(table.n, 1);
	cr_expect_eq(value_at(&table, 9), 9);
}

struct visits {
	struct id_table *table;
	size_t n;
	long sum;
};

static void count(void *member, void *context)
{
	struct visits *visits = context;
	const struct thing *thing = member;

	visits->n++;
	visits->sum += thing->value;
}

static void count_and_free(void *member, void *context)
{
	struct visits *visits = context;
	struct thing *thing = member;

	count(member, context);
	id_table_remove(visits->table, &thing->node);
	/* Whoever still looks into it is led astray. */
	explicit_bzero(thing, sizeof(*thing));
	free(thing);
}

Test(id_table, visits_every_member_once_even_if_each_visit_frees_it)
{
	enum {
		N = 5000
	};
	static struct id_table table;
	struct visits looked = { .table = &table }, freed = { .table = &table };
	struct visits after = { .table = &table };

	for (unsigned int i = 0; i < N; i++)
		(void)thing_add(&table, i);
	id_table_each(&table, count, &looked);
	cr_expect_eq(looked.n, N);
	cr_expect_eq(looked.sum, (long)N * (N - 1) / 2);
	id_table_each(&table, count_and_free, &freed);
	cr_expect_eq(freed.n, N);
	cr_expect_eq(freed.sum, looked.sum);
	cr_expect_eq(table.n, 0);
	id_table_each(&table, count, &after);
	cr_expect_eq(after.n, 0);
}
