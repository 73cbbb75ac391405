/*
 * config_value - one value of a setting: text in, the field of the table's struct filled.
 *
 * config_value.c has the single values and the table of all types, config_list.c the lists and maps.
 */
#ifndef SEKISHO_CONFIG_VALUE_H
#define SEKISHO_CONFIG_VALUE_H

#include <sys/un.h>

#include "config/config_read.h"

#define SOCKET_PATH_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

/* What a reader of one value works on. */
struct value {
	struct reader *r;
	const struct scope *scope;
	const struct setting *row;
	const struct node *node;
	void *base;
};

typedef bool value_reader(const struct value *v);

static inline void *value_field(const struct value *v)
{
	return (char *)v->base + v->row->offset;
}

/* Report what was expected instead; always false. */
bool value_expected(const struct value *v, const char *what);
/* The same for one of a row's words, with the nearest; `also` (may be NULL) is one thing more that would do. */
bool value_expected_word(const struct value *v, const struct node *node, const char *also);
const struct setting_word *value_find_word(const struct setting_word *words, const struct node *node);
bool value_is_clean(struct str s);             /* no control characters */

value_reader value_read_networks, value_read_addresses, value_read_domains, value_read_users, value_read_servers, value_read_identify,
	value_read_require, value_read_percents, value_read_exclude, value_read_classes, value_read_replies;
/* config_content.c */
value_reader value_read_header, value_read_pattern, value_read_content;

#endif
