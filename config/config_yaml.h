/*
 * config_yaml - one YAML file as a small tree, each node with its place.
 *
 * What makes YAML surprising or expensive is refused by name: anchors and aliases (the billion laughs), tags, several
 * documents in one file, keys given twice, nesting deeper than CONFIG_DEPTH_MAX. Values stay text; whoever asks for a
 * number parses one.
 *
 * Input    octets anybody may have written
 * Memory   the tree in `arena`, its texts too; the input is not needed afterwards
 * Errors   into the report, with the place
 * Bounds   linear in the input; no recursion
 */
#ifndef SEKISHO_CONFIG_YAML_H
#define SEKISHO_CONFIG_YAML_H

#include "config/config_report.h"

enum node_kind { NODE_TEXT, NODE_LIST, NODE_MAP };

struct node {
	struct node *next;             /* of the same list or map */
	struct node *first;            /* of a list's items or a map's values */
	struct str key;                /* of a map's value */
	struct str text;
	const struct str *file;
	uint32_t line, column, key_line, key_column;
	uint32_t count;                /* of items or values */
	enum node_kind kind : 8;
	bool is_twice;                 /* its key is given again, and what stands there is left out */
	bool is_quoted;                /* "text" and 'text' are never a word such as none */
};

/* An empty file has no root: *out_root is NULL. `file` is kept by the nodes. False, and a root all the same, where keys are
 * given twice and nothing else is wrong: what else there is to say can be said too. */
bool config_yaml_read(struct str text, const struct str *file, struct arena *arena, struct config_report *report,
		      struct node **out_root);

struct config_place node_place(const struct node *node);
struct config_place node_key_place(const struct node *node);
const char *node_kind_words(const struct node *node);   /* "a list" */
/* The value of a map's key; NULL when there is none. */
const struct node *node_find(const struct node *map, struct str key);

#define node_each(item, parent) (const struct node *item = (parent)->first; item; item = item->next)

#endif
