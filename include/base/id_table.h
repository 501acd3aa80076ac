/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Find a thing by its UUID: a fixed array of chains, header-only. A member embeds
 * struct id_node as its first field, so that nothing is allocated here. The ids are
 * random, so their first bytes are hash enough.
 */
#ifndef BASE_ID_TABLE_H
#define BASE_ID_TABLE_H

#include <stddef.h>

#include <base/id.h>

#define ID_TABLE_CHAINS 1024

struct id_node {
	struct id id;
	struct id_node *next;
};

struct id_table {
	struct id_node *chains[ID_TABLE_CHAINS];
	size_t n;
};

static inline struct id_node **id_table_chain(struct id_table *table, const struct id *id)
{
	return &table->chains[(id->bytes[0] | id->bytes[1] << 8) % ID_TABLE_CHAINS];
}

static inline void *id_table_find(struct id_table *table, const struct id *id)
{
	struct id_node *node = *id_table_chain(table, id);

	while (node != NULL && !id_equal(&node->id, id))
		node = node->next;
	return node;
}

/* @node->id is set and not in the table yet. */
static inline void id_table_add(struct id_table *table, struct id_node *node)
{
	struct id_node **chain = id_table_chain(table, &node->id);

	node->next = *chain;
	*chain = node;
	table->n++;
}

static inline void id_table_remove(struct id_table *table, struct id_node *node)
{
	for (struct id_node **at = id_table_chain(table, &node->id); *at != NULL;
	     at = &(*at)->next)
		if (*at == node) {
			*at = node->next;
			table->n--;
			return;
		}
}

/* Call @visit for every member, which may remove and free it. */
static inline void id_table_each(struct id_table *table,
                                 void (*visit)(void *member, void *context), void *context)
{
	for (size_t i = 0; i < ID_TABLE_CHAINS; i++) {
		struct id_node *node = table->chains[i];

		while (node != NULL) {
			struct id_node *next = node->next;

			visit(node, context);
			node = next;
		}
	}
}

#endif
