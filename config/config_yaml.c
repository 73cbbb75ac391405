#include "config/config_yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

#include "config/config_hint.h"
#include "config/hash.h"

/* Keys of a map of this size or less are compared with one another; a larger map gets a table. */
#define SMALL_MAP 16

struct builder {
	yaml_parser_t parser;
	struct str text;
	const struct str *file;
	struct arena *arena;
	struct config_report *report;
	struct node *open[CONFIG_DEPTH_MAX];       /* lists and maps we are inside of */
	struct node **tail[CONFIG_DEPTH_MAX];      /* where the next child of each goes */
	size_t depth;
	struct node *root;
	struct str key;                            /* of the value that comes next */
	yaml_mark_t key_mark;
	bool has_key, has_twice;
	size_t documents;
};

struct config_place node_place(const struct node *node)
{
	return (struct config_place){ .file = *node->file, .line = node->line, .column = node->column };
}

struct config_place node_key_place(const struct node *node)
{
	return (struct config_place){ .file = *node->file, .line = node->key_line, .column = node->key_column };
}

const char *node_kind_words(const struct node *node)
{
	switch (node->kind) {
	case NODE_LIST: return "a list";
	case NODE_MAP: return "a map (key: value)";
	case NODE_TEXT: break;
	}
	return node->text.len || node->is_quoted ? "a single value" : "nothing";
}

const struct node *node_find(const struct node *map, struct str key)
{
	for node_each(item, map)
		if (str_eq(item->key, key))
			return item;
	return NULL;
}

static struct config_place mark_place(const struct builder *b, yaml_mark_t mark)
{
	return (struct config_place){ .file = *b->file, .line = mark.line + 1, .column = mark.column + 1 };
}

static bool refuse(struct builder *b, yaml_mark_t mark, const char *what)
{
	config_report_error(b->report, mark_place(b, mark), "%s", what);
	return false;
}

static bool refuse_memory(struct builder *b)
{
	config_report_error(b->report, (struct config_place){ .file = *b->file },
			    "the configuration takes more memory than there is");
	return false;
}

static struct config_place offset_place(const struct builder *b, size_t offset)
{
	struct config_place at = { .file = *b->file, .line = 1, .column = 1 };

	for (size_t i = 0; i < offset && i < b->text.len; i++) {
		bool is_tail = ((unsigned char)b->text.ptr[i] & 0xc0) == 0x80;

		at.column = b->text.ptr[i] == '\n' ? 1 : at.column + !is_tail;
		at.line += b->text.ptr[i] == '\n';
	}
	return at;
}

static bool refuse_octets(struct builder *b)
{
	const yaml_parser_t *p = &b->parser;
	struct config_place at = offset_place(b, p->problem_offset);
	/* Of a letter in Latin-1 it names the octet behind, which is plain ASCII. */
	bool is_foreign = p->problem_value < 0 || strstr(p->problem, "UTF-8 octet");
	const char *hint = config_hint_encoding(b->text, is_foreign ? 0xff : p->problem_value);

	if (p->problem_value >= 0)
		config_report_error(b->report, at, "not UTF-8 text: %s (0x%02x)%s", p->problem,
				    (unsigned)p->problem_value, hint);
	else
		config_report_error(b->report, at, "not UTF-8 text: %s%s", p->problem, hint);
	return false;
}

/* libyaml's own complaint, at the place where it stopped, and where what it was reading began. */
static bool refuse_syntax(struct builder *b)
{
	const yaml_parser_t *p = &b->parser;
	struct config_place at = mark_place(b, p->problem_mark);
	char begun[48] = "", hint[CONFIG_HINT_SIZE];

	if (p->error == YAML_MEMORY_ERROR)
		return refuse_memory(b);
	if (p->error == YAML_READER_ERROR)
		return refuse_octets(b);
	if (p->context && p->context_mark.line + 1 < at.line)
		snprintf(begun, sizeof begun, " that begins in line %zu", p->context_mark.line + 1);
	config_report_error(b->report, at, "not valid YAML: %s%s%s%s%s", p->problem, p->context ? " " : "",
			    p->context ? p->context : "", begun, config_hint_syntax(b->text, at.line, at.column, hint));
	return false;
}

static struct node *add_node(struct builder *b, enum node_kind kind, yaml_mark_t mark)
{
	struct node *node = arena_new(b->arena, struct node);

	if (!node)
		return NULL;
	node->kind = kind;
	node->file = b->file;
	node->line = (uint32_t)mark.line + 1;
	node->column = (uint32_t)mark.column + 1;
	if (b->has_key) {
		node->key = b->key;
		node->key_line = (uint32_t)b->key_mark.line + 1;
		node->key_column = (uint32_t)b->key_mark.column + 1;
		b->has_key = false;
	}
	if (b->depth == 0) {
		b->root = node;
		return node;
	}
	*b->tail[b->depth - 1] = node;
	b->tail[b->depth - 1] = &node->next;
	b->open[b->depth - 1]->count++;
	return node;
}

static bool wants_key(const struct builder *b)
{
	return b->depth && b->open[b->depth - 1]->kind == NODE_MAP && !b->has_key;
}

static bool on_text(struct builder *b, const yaml_event_t *event)
{
	struct str value = str_of((const char *)event->data.scalar.value, event->data.scalar.length), copy;
	bool is_quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;

	if (!arena_copy(b->arena, value, &copy))
		return refuse_memory(b);
	if (wants_key(b)) {
		b->key = copy;
		b->key_mark = event->start_mark;
		b->has_key = true;
		return true;
	}

	struct node *node = add_node(b, NODE_TEXT, event->start_mark);

	if (!node)
		return refuse_memory(b);
	node->text = copy;
	node->is_quoted = is_quoted;
	return true;
}

static bool on_open(struct builder *b, enum node_kind kind, yaml_mark_t mark)
{
	if (wants_key(b))
		return refuse(b, mark, "a list or a map cannot be a key");
	if (b->depth == CONFIG_DEPTH_MAX) {
		config_report_error(b->report, mark_place(b, mark), "nested deeper than %d levels", CONFIG_DEPTH_MAX);
		return false;
	}

	struct node *node = add_node(b, kind, mark);

	if (!node)
		return refuse_memory(b);
	b->open[b->depth] = node;
	b->tail[b->depth++] = &node->first;
	return true;
}

/*
 * Said, and left out, so that what is wrong beside it is found in the same run. The file's own maps (milter, tenants) stay
 * as if each stood in a file of its own: others refer to what is in them. What to look at next.
 */
static struct node **pass_twice(struct builder *b, struct node *map, struct node *first, struct node **again)
{
	char quoted[CONFIG_QUOTE_SIZE];

	config_report_error(b->report, node_key_place(*again), "key %s is given twice; the first is in line %u",
			    config_quote((*again)->key, quoted), first->key_line);
	b->has_twice = true;
	if (map == b->root && (*again)->kind == NODE_MAP)
		return &(*again)->next;
	first->is_twice = true;
	*again = (*again)->next;
	map->count--;
	return again;
}

static void compare_keys(struct builder *b, struct node *map)
{
	for (struct node **item = &map->first; *item;) {
		struct node *other = map->first;

		while (!str_eq(other->key, (*item)->key))
			other = other->next;
		item = other == *item ? &(*item)->next : pass_twice(b, map, other, item);
	}
}

static bool look_up_keys(struct builder *b, struct node *map)
{
	uint64_t seed = hash_seed();
	size_t size = 64;

	while (size < (size_t)map->count * 2)
		size *= 2;

	struct node **table = calloc(size, sizeof *table);

	if (!table)
		return refuse_memory(b);
	for (struct node **item = &map->first; *item;) {
		size_t at = hash_nocase(seed, (*item)->key) & (size - 1);

		while (table[at] && !str_eq(table[at]->key, (*item)->key))
			at = (at + 1) & (size - 1);
		if (table[at]) {
			item = pass_twice(b, map, table[at], item);
			continue;
		}
		table[at] = *item;
		item = &(*item)->next;
	}
	free(table);
	return true;
}

static bool on_close(struct builder *b)
{
	struct node *node = b->open[--b->depth];

	if (node->kind == NODE_MAP && node->count > SMALL_MAP)
		return look_up_keys(b, node);
	if (node->kind == NODE_MAP)
		compare_keys(b, node);
	return true;
}

static bool is_plain(struct builder *b, const yaml_char_t *anchor, const yaml_char_t *tag, yaml_mark_t mark)
{
	if (anchor)
		return refuse(b, mark, "anchors and aliases (&x, *x) are not accepted; write the value out");
	if (tag)
		return refuse(b, mark, "tags (!x) are not accepted; write the plain value");
	return true;
}

/* False: stop, the report says why. */
static bool on_event(struct builder *b, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		return b->documents++ == 0 ||
		       refuse(b, event->start_mark, "a second document begins here; a file holds one");
	case YAML_ALIAS_EVENT:
		return is_plain(b, event->data.alias.anchor, NULL, event->start_mark);
	case YAML_SCALAR_EVENT:
		return is_plain(b, event->data.scalar.anchor, event->data.scalar.tag, event->start_mark) &&
		       on_text(b, event);
	case YAML_SEQUENCE_START_EVENT:
		return is_plain(b, event->data.sequence_start.anchor, event->data.sequence_start.tag,
				event->start_mark) &&
		       on_open(b, NODE_LIST, event->start_mark);
	case YAML_MAPPING_START_EVENT:
		return is_plain(b, event->data.mapping_start.anchor, event->data.mapping_start.tag,
				event->start_mark) &&
		       on_open(b, NODE_MAP, event->start_mark);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return on_close(b);
	default:
		return true;
	}
}

static bool run(struct builder *b)
{
	for (;;) {
		yaml_event_t event;

		if (!yaml_parser_parse(&b->parser, &event))
			return refuse_syntax(b);

		bool is_end = event.type == YAML_STREAM_END_EVENT;
		bool ok = on_event(b, &event);

		yaml_event_delete(&event);
		if (is_end || !ok)
			return ok;
	}
}

bool config_yaml_read(struct str text, const struct str *file, struct arena *arena, struct config_report *report,
		      struct node **out_root)
{
	/* Editors put a byte order mark first. libyaml, told the encoding, would count it as a column. */
	text = str_from(text, str_starts(text, STR("\xef\xbb\xbf")) ? 3 : 0);

	struct builder b = { .text = text, .file = file, .arena = arena, .report = report };

	if (!yaml_parser_initialize(&b.parser))
		return refuse_memory(&b);
	yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&b.parser, (const unsigned char *)text.ptr, text.len);

	bool ok = run(&b);

	yaml_parser_delete(&b.parser);
	if (!ok)
		return false;
	/* "---" alone, or comments alone, is a file without settings. */
	bool is_empty = b.root && b.root->kind == NODE_TEXT && b.root->text.len == 0 && !b.root->is_quoted;

	*out_root = is_empty ? NULL : b.root;
	return !b.has_twice;
}
