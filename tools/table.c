/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "output.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <base/fd.h>

#define GAP 2 /* blanks between columns */

void table_init(struct table *table, const struct table_column *columns, size_t n)
{
	*table = (struct table){ .columns = columns, .columns_n = n };
}

void table_done(struct table *table)
{
	for (size_t i = 0; i < table->cells_n; i++)
		free(table->cells[i]);
	free(table->cells);
	*table = (struct table){ 0 };
}

void table_add(struct table *table, const char *cell)
{
	char *copy;

	if (table->cells_n == table->cells_size) {
		size_t size = table->cells_size == 0 ? 64 : table->cells_size * 2;
		char **cells = reallocarray(table->cells, size, sizeof(*cells));

		if (cells == NULL) {
			table->failed = true;
			return;
		}
		table->cells = cells;
		table->cells_size = size;
	}
	copy = strdup(cell);
	if (copy == NULL) {
		table->failed = true;
		return;
	}
	output_clean(copy);
	table->cells[table->cells_n++] = copy;
}

/* Columns on a terminal, one per character: bytes that continue one do not count. */
static size_t width_of(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void pad(FILE *file, size_t n)
{
	while (n-- > 0)
		(void)putc(' ', file);
}

/* Whether any row has something in it, or it is there anyway. */
static bool column_shown(const struct table *table, size_t column)
{
	if ((table->spare & UINT64_C(1) << column) == 0)
		return true;
	for (size_t i = column; i < table->cells_n; i += table->columns_n)
		if (table->cells[i][0] != '\0')
			return true;
	return false;
}

/* What is printed of a row: so wide each, 0 for what is left out. */
struct layout {
	size_t widths[TABLE_COLUMNS_MAX];
	size_t last;
};

static struct layout layout_of(const struct table *table)
{
	struct layout layout = { { 0 }, 0 };

	for (size_t i = 0; i < table->columns_n; i++) {
		if (!column_shown(table, i))
			continue;
		layout.widths[i] = width_of(table->columns[i].title);
		layout.last = i;
	}
	for (size_t i = 0; i < table->cells_n; i++) {
		size_t *width = &layout.widths[i % table->columns_n];
		const size_t own = width_of(table->cells[i]);

		*width = *width > 0 && own > *width ? own : *width;
	}
	return layout;
}

static void print_cell(const struct table *table, size_t column, const struct layout *layout,
                       const char *text, FILE *file)
{
	const bool right = table->columns[column].right;
	size_t blanks;

	if (layout->widths[column] == 0)
		return;
	blanks = layout->widths[column] - width_of(text);
	if (right)
		pad(file, blanks);
	(void)fputs(text, file);
	if (column == layout->last) {
		(void)putc('\n', file);
		return;
	}
	pad(file, (right ? 0 : blanks) + GAP);
}

int table_print(const struct table *table, FILE *file)
{
	struct layout layout;

	assert(table->columns_n > 0 && table->columns_n <= TABLE_COLUMNS_MAX);
	if (table->failed)
		return -ENOMEM;
	layout = layout_of(table);
	for (size_t i = 0; i < table->columns_n; i++)
		print_cell(table, i, &layout, table->columns[i].title, file);
	for (size_t i = 0; i < table->cells_n; i++)
		print_cell(table, i % table->columns_n, &layout, table->cells[i], file);
	return 0;
}
