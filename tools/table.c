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
	/* What others wrote must not move the cursor or begin a line of its own. */
	for (char *p = copy; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
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

static void print_cell(const struct table *table, size_t column, const size_t *widths,
                       const char *text, FILE *file)
{
	bool last = column + 1 == table->columns_n;
	size_t blanks = widths[column] - width_of(text);

	if (table->columns[column].right)
		pad(file, blanks);
	(void)fputs(text, file);
	if (last) {
		(void)putc('\n', file);
		return;
	}
	pad(file, (table->columns[column].right ? 0 : blanks) + GAP);
}

int table_print(const struct table *table, FILE *file)
{
	size_t widths[TABLE_COLUMNS_MAX];

	assert(table->columns_n > 0 && table->columns_n <= TABLE_COLUMNS_MAX);
	if (table->failed)
		return -ENOMEM;
	for (size_t i = 0; i < table->columns_n; i++)
		widths[i] = width_of(table->columns[i].title);
	for (size_t i = 0; i < table->cells_n; i++) {
		size_t column = i % table->columns_n, width = width_of(table->cells[i]);

		widths[column] = width > widths[column] ? width : widths[column];
	}
	for (size_t i = 0; i < table->columns_n; i++)
		print_cell(table, i, widths, table->columns[i].title, file);
	for (size_t i = 0; i < table->cells_n; i++)
		print_cell(table, i % table->columns_n, widths, table->cells[i], file);
	return 0;
}
