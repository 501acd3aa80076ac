/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One YAML document as a tree in which every node knows where it stands, for schema
 * tables to be walked over. The only place that knows libyaml.
 *
 * The tree is built from libyaml's events and not by its document API, which resolves
 * aliases before anybody could refuse them. What a policy file has no use for is
 * refused here, with its place: anchors, aliases, tags, directives, a second document,
 * a key given twice, keys that are not plain text, NUL bytes, a byte order mark, and
 * whatever is larger or deeper than the bounds below.
 */
#ifndef POLICY_DOCUMENT_H
#define POLICY_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <base/err.h>

#define DOCUMENT_BYTES_MAX 65536
#define DOCUMENT_DEPTH_MAX 8
#define DOCUMENT_NODES_MAX 4096

enum document_kind {
	DOCUMENT_SCALAR,
	DOCUMENT_MAPPING,
	DOCUMENT_SEQUENCE,
};

/* Lines and columns count from 1; columns are characters, not bytes. */
struct document_node {
	enum document_kind kind;
	bool plain; /* a scalar without quotes */
	uint32_t line;
	uint32_t column;
	const char *file;
	char *text;                        /* of a scalar, else NULL */
	const struct document_node *first; /* a mapping's first key, a sequence's first item */
	const struct document_node *next;  /* the next key or item */
	const struct document_node *value; /* of a key */
};

struct document;

/*
 * Parse @n bytes at @text; @file (borrowed for the document's life) names them in
 * messages. -EINVAL with "FILE:LINE:COLUMN: what is wrong; what was expected" and
 * err->line, or -ENOMEM.
 */
int document_parse(const char *file, const char *text, size_t n, struct document **ret,
                   struct tn_error *err);

/* Accepts NULL. Always returns NULL. */
struct document *document_free(struct document *document);

const struct document_node *document_root(const struct document *document);

/* The value of @key in @mapping, or NULL. */
const struct document_node *document_get(const struct document_node *mapping, const char *key);

/* A scalar that says nothing: empty, or YAML's null written without quotes. */
bool document_is_empty(const struct document_node *node);

/*
 * Refuse what stands at @node. The message is made printable ASCII, so that a file's
 * bytes do no harm in a terminal, a log or a reply. Returns -EINVAL.
 */
__attribute__((format(printf, 3, 4))) int document_refuse(const struct document_node *node,
                                                          struct tn_error *err, const char *fmt,
                                                          ...);

/* The same for a whole file or a place in it of which there is no node. */
__attribute__((format(printf, 5, 6))) int document_refuse_at(const char *file, size_t line,
                                                             size_t column,
                                                             struct tn_error *err,
                                                             const char *fmt, ...);

#endif
