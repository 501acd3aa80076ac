/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "document.h"

#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include <base/fd.h>

struct document {
	const char *file;
	size_t nodes_n;
	struct document_node nodes[DOCUMENT_NODES_MAX];
};

/* A mapping or sequence that has begun and not ended. */
struct level {
	struct document_node *node;
	struct document_node *last; /* key or item */
	bool key_open;              /* @last is a key without its value */
};

struct builder {
	struct document *document;
	const char *text;
	size_t n;
	struct level levels[DOCUMENT_DEPTH_MAX];
	size_t depth;
	size_t documents;
};

static void document_freep(struct document **document)
{
	(void)document_free(*document);
}

__attribute__((format(printf, 5, 0))) static int refuse_va(const char *file, size_t line,
                                                           size_t column, struct tn_error *err,
                                                           const char *fmt, va_list ap)
{
	char msg[TN_ERROR_MSG_BYTES];
	int n = snprintf(msg, sizeof(msg), "%s:%zu:%zu: ", file, line, column);

	if (n >= 0 && (size_t)n < sizeof(msg))
		(void)vsnprintf(msg + n, sizeof(msg) - (size_t)n, fmt, ap);
	for (char *p = msg; *p != '\0'; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	return err_parse(err, (uint32_t)line, "%s", msg);
}

int document_refuse(const struct document_node *node, struct tn_error *err, const char *fmt,
                    ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = refuse_va(node->file, node->line, node->column, err, fmt, ap);
	va_end(ap);
	return r;
}

int document_refuse_at(const char *file, size_t line, size_t column, struct tn_error *err,
                       const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = refuse_va(file, line, column, err, fmt, ap);
	va_end(ap);
	return r;
}

/* Refuse what stands at @mark. */
#define refuse_mark(b, mark, err, ...)                                                         \
	document_refuse_at((b)->document->file, (mark).line + 1, (mark).column + 1, (err),     \
	                   __VA_ARGS__)

/* Refuse the byte at @offset, which libyaml could not read as a character. */
static int refuse_byte(const char *file, const char *text, size_t offset, const char *problem,
                       struct tn_error *err)
{
	size_t line = 1, column = 1;

	for (size_t i = 0; i < offset; i++) {
		column++;
		if (text[i] == '\n') {
			line++;
			column = 1;
		}
	}
	return document_refuse_at(file, line, column, err, "%s; expected UTF-8 text", problem);
}

static int parser_error(const struct builder *b, const yaml_parser_t *parser,
                        struct tn_error *err)
{
	if (parser->error == YAML_MEMORY_ERROR)
		return err_set(err, TN_SYSTEM, ENOMEM, "parse %s", b->document->file);
	if (parser->error == YAML_READER_ERROR)
		return refuse_byte(b->document->file, b->text,
		                   parser->problem_offset < b->n ? parser->problem_offset
		                                                 : b->n,
		                   parser->problem, err);
	return refuse_mark(b, parser->problem_mark, err,
	                   "malformed YAML: %s; expected 'key: value' lines indented by spaces",
	                   parser->problem);
}

/* The other place where @key stands in @mapping, or NULL. */
static const struct document_node *key_find(const struct document_node *mapping,
                                            const char *key)
{
	const struct document_node *node = mapping->first;

	while (node != NULL && strcmp(node->text, key) != 0)
		node = node->next;
	return node;
}

/* Hang a node that has just begun below what is open. */
static int attach(struct builder *b, struct document_node *node, struct tn_error *err)
{
	struct level *level = b->depth > 0 ? &b->levels[b->depth - 1] : NULL;
	const struct document_node *twin;

	if (level == NULL) /* the root */
		return 0;
	assert(level->node != NULL);
	if (level->key_open) {
		level->last->value = node;
		level->key_open = false;
		return 0;
	}
	if (level->node->kind == DOCUMENT_MAPPING) {
		if (node->kind != DOCUMENT_SCALAR)
			return document_refuse(node, err,
			                       "key is not plain text; expected a name");
		twin = key_find(level->node, node->text);
		if (twin != NULL)
			return document_refuse(
				node, err,
				"duplicate key '%.64s', first at %s:%u:%u; expected it once",
				node->text, twin->file, twin->line, twin->column);
		level->key_open = true;
	}
	if (level->last == NULL)
		level->node->first = node;
	else
		level->last->next = node;
	level->last = node;
	return 0;
}

/* A node of @kind that begins at @mark. */
static int node_add(struct builder *b, enum document_kind kind, yaml_mark_t mark,
                    struct document_node **ret, struct tn_error *err)
{
	struct document *document = b->document;
	struct document_node *node;

	if (document->nodes_n == DOCUMENT_NODES_MAX)
		return refuse_mark(b, mark, err, "too many values; expected at most %d",
		                   DOCUMENT_NODES_MAX);
	if (kind != DOCUMENT_SCALAR && b->depth == DOCUMENT_DEPTH_MAX)
		return refuse_mark(b, mark, err,
		                   "nested too deeply; expected at most %d levels",
		                   DOCUMENT_DEPTH_MAX);
	node = &document->nodes[document->nodes_n++];
	*node = (struct document_node){
		.kind = kind,
		.file = document->file,
		.line = (uint32_t)mark.line + 1,
		.column = (uint32_t)mark.column + 1,
	};
	*ret = node;
	return 0;
}

static int refuse_extras(const struct builder *b, const yaml_event_t *event,
                         const yaml_char_t *anchor, const yaml_char_t *tag,
                         struct tn_error *err)
{
	if (anchor != NULL)
		return refuse_mark(b, event->start_mark, err,
		                   "anchor '&%.64s'; expected no anchors or aliases",
		                   (const char *)anchor);
	if (tag != NULL)
		return refuse_mark(b, event->start_mark, err, "tag '%.64s'; expected no tags",
		                   (const char *)tag);
	return 0;
}

static int on_scalar(struct builder *b, const yaml_event_t *event, struct tn_error *err)
{
	const char *text = (const char *)event->data.scalar.value;
	size_t n = event->data.scalar.length;
	struct document_node *node;
	int r = refuse_extras(b, event, event->data.scalar.anchor, event->data.scalar.tag, err);

	if (r < 0)
		return r;
	if (memchr(text, '\0', n) != NULL)
		return refuse_mark(b, event->start_mark, err,
		                   "NUL in a value; expected text without");
	r = node_add(b, DOCUMENT_SCALAR, event->start_mark, &node, err);
	if (r < 0)
		return r;
	node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	node->text = strdup(text);
	if (node->text == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "parse %s", b->document->file);
	return attach(b, node, err);
}

static int on_begin(struct builder *b, enum document_kind kind, const yaml_event_t *event,
                    struct tn_error *err)
{
	bool sequence = kind == DOCUMENT_SEQUENCE;
	const yaml_char_t *anchor = sequence ? event->data.sequence_start.anchor
	                                     : event->data.mapping_start.anchor;
	const yaml_char_t *tag = sequence ? event->data.sequence_start.tag
	                                  : event->data.mapping_start.tag;
	struct document_node *node;
	int r = refuse_extras(b, event, anchor, tag, err);

	if (r < 0)
		return r;
	r = node_add(b, kind, event->start_mark, &node, err);
	if (r < 0)
		return r;
	r = attach(b, node, err);
	if (r < 0)
		return r;
	b->levels[b->depth++] = (struct level){ .node = node };
	return 0;
}

static int on_document(struct builder *b, const yaml_event_t *event, struct tn_error *err)
{
	if (b->documents++ > 0)
		return refuse_mark(b, event->start_mark, err,
		                   "second document; expected one document in a file");
	if (event->data.document_start.version_directive != NULL ||
	    event->data.document_start.tag_directives.start !=
	            event->data.document_start.tag_directives.end)
		return refuse_mark(b, event->start_mark, err,
		                   "directive; expected a document without");
	return 0;
}

static int on_event(struct builder *b, const yaml_event_t *event, struct tn_error *err)
{
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		return on_document(b, event, err);
	case YAML_ALIAS_EVENT:
		return refuse_mark(b, event->start_mark, err,
		                   "alias '*%.64s'; expected no anchors or aliases",
		                   (const char *)event->data.alias.anchor);
	case YAML_SCALAR_EVENT:
		return on_scalar(b, event, err);
	case YAML_SEQUENCE_START_EVENT:
		return on_begin(b, DOCUMENT_SEQUENCE, event, err);
	case YAML_MAPPING_START_EVENT:
		return on_begin(b, DOCUMENT_MAPPING, event, err);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		b->depth--;
		return 0;
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_STREAM_END_EVENT:
	case YAML_DOCUMENT_END_EVENT:
		return 0;
	}
	return 0;
}

static int build(struct builder *b, yaml_parser_t *parser, struct tn_error *err)
{
	bool end = false;

	while (!end) {
		__attribute__((cleanup(yaml_event_delete))) yaml_event_t event = { 0 };
		int r;

		if (yaml_parser_parse(parser, &event) == 0)
			return parser_error(b, parser, err);
		r = on_event(b, &event, err);
		if (r < 0)
			return r;
		end = event.type == YAML_STREAM_END_EVENT;
	}
	if (b->document->nodes_n == 0)
		return document_refuse_at(b->document->file, 1, 1, err,
		                          "nothing in it; expected 'key: value' lines");
	return 0;
}

/* What need not be parsed to be refused, and what libyaml would put up with. */
static int text_check(const char *file, const char *text, size_t n, struct tn_error *err)
{
	const char *nul = n > 0 ? memchr(text, '\0', n) : NULL;

	if (n > DOCUMENT_BYTES_MAX)
		return document_refuse_at(file, 1, 1, err,
		                          "larger than %d bytes; expected at most that",
		                          DOCUMENT_BYTES_MAX);
	if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		return document_refuse_at(file, 1, 1, err,
		                          "byte order mark; expected UTF-8 without one");
	if (nul != NULL)
		return refuse_byte(file, text, (size_t)(nul - text), "NUL byte", err);
	return 0;
}

int document_parse(const char *file, const char *text, size_t n, struct document **ret,
                   struct tn_error *err)
{
	__attribute__((cleanup(document_freep))) struct document *document = NULL;
	__attribute__((cleanup(yaml_parser_delete))) yaml_parser_t parser = { 0 };
	struct builder b = { .text = text, .n = n };
	int r = text_check(file, text, n, err);

	if (r < 0)
		return r;
	document = calloc(1, sizeof(*document));
	if (document == NULL || yaml_parser_initialize(&parser) == 0)
		return err_set(err, TN_SYSTEM, ENOMEM, "parse %s", file);
	document->file = file;
	b.document = document;

	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
	r = build(&b, &parser, err);
	if (r < 0)
		return r;

	*ret = document;
	document = NULL;
	return 0;
}

struct document *document_free(struct document *document)
{
	if (document == NULL)
		return NULL;
	for (size_t i = 0; i < document->nodes_n; i++)
		free(document->nodes[i].text);
	free(document);
	return NULL;
}

const struct document_node *document_root(const struct document *document)
{
	return &document->nodes[0];
}

const struct document_node *document_get(const struct document_node *mapping, const char *key)
{
	const struct document_node *node = key_find(mapping, key);

	return node != NULL ? node->value : NULL;
}

bool document_is_empty(const struct document_node *node)
{
	static const char *const nulls[] = { "~", "null", "Null", "NULL" };

	if (node->kind != DOCUMENT_SCALAR)
		return false;
	for (size_t i = 0; node->plain && i < ARRAY_LEN(nulls); i++)
		if (strcmp(node->text, nulls[i]) == 0)
			return true;
	return node->text[0] == '\0';
}
