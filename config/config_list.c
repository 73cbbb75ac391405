#include "config/base/clock.h"
#include "config/base/domain.h"
#include "config/base/num.h"
#include "config/config_value.h"

#define REPLY_LEN_MAX 400

/*
 * Room for a list's items in the snapshot; *out_items is NULL when there are none. An item that is not good is said and left
 * out: the checks that follow look at every one that is there.
 */
static bool list_begin(const struct value *v, size_t size, const struct node **out_first, size_t *out_count,
		       void **out_items)
{
	if (!config_read_items(v->r, v->scope, v->row->name, v->node, out_first, out_count))
		return false;
	*out_items = *out_count ? arena_array(v->r->arena, *out_count, size) : NULL;
	return *out_count == 0 || *out_items || config_no_memory(v->r);
}

bool value_read_networks(const struct value *v)
{
	struct net_list *out = value_field(v);
	const struct node *item;
	struct net_prefix *networks;
	size_t count, at = 0;
	bool ok = true;
	void *items;

	if (!list_begin(v, sizeof *networks, &item, &count, &items))
		return false;
	for (networks = items; item; item = config_next_item(v->node, item)) {
		if (item->kind != NODE_TEXT || !net_parse_prefix(item->text, &networks[at]))
			ok = config_expected(v->r, v->scope, v->row->name, item, config_type_words(SETTING_NETWORK));
		else
			at++;
	}
	*out = (struct net_list){ .items = items, .count = at };
	return ok;
}

/* Lists of texts of one kind. */
static bool read_texts(const struct value *v, bool (*is_good)(struct str),
		       bool (*copy)(struct arena *, struct str, struct str *), const char *what)
{
	const struct node *item;
	struct str_list *out = value_field(v);
	struct str *texts;
	size_t count, at = 0;
	bool ok = true;
	void *items;

	if (!list_begin(v, sizeof *texts, &item, &count, &items))
		return false;
	for (texts = items; item; item = config_next_item(v->node, item)) {
		if (item->kind != NODE_TEXT || !is_good(item->text))
			ok = config_expected(v->r, v->scope, v->row->name, item, what);
		else if (!copy(v->r->arena, item->text, &texts[at++]))
			return config_no_memory(v->r);
	}
	*out = (struct str_list){ .items = texts, .count = at };
	return ok;
}

bool value_read_addresses(const struct value *v)
{
	return read_texts(v, config_is_address_pattern, domain_key, CONFIG_ADDRESS_WORDS);
}

bool value_read_domains(const struct value *v)
{
	return read_texts(v, config_is_domain, domain_key, "a domain such as example.com");
}

/* As useradd(8) takes them, and with an @ in front a group. */
static bool is_user(struct str s)
{
	s = str_starts(s, STR("@")) ? str_from(s, 1) : s;
	for (size_t i = 0; i < s.len; i++)
		if (!ascii_is_alnum(s.ptr[i]) && s.ptr[i] != '_' && (i == 0 || (s.ptr[i] != '-' && s.ptr[i] != '.')))
			return false;
	return s.len > 0 && s.len <= 32;
}

bool value_read_users(const struct value *v)
{
	return read_texts(v, is_user, arena_copy, "a user such as alice, or a group such as @auditors");
}

/* "name:6379", "192.0.2.1:6379", "[2001:db8::1]:6379", "unix:/path" */
static bool is_server(struct str s)
{
	struct str host, port;
	uint64_t number;

	if (str_starts(s, STR("unix:")))
		return s.len > 6 && s.len <= 5 + SOCKET_PATH_MAX && s.ptr[5] == '/' && value_is_clean(s);
	if (!str_cut_last(s, ':', &host, &port) || !num_parse_u64(port, &number) || number == 0 || number > 65535)
		return false;
	if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
		host = str_slice(host, 1, host.len - 2);
	else if (str_find_byte(host, ':') < host.len)
		return false;
	return host.len > 0 && host.len < 256 && str_find_byte(host, ' ') == host.len && value_is_clean(host);
}

bool value_read_servers(const struct value *v)
{
	const struct str_list *list = value_field(v);

	if (!read_texts(v, is_server, arena_copy, "host:port, as in 127.0.0.1:6379, or unix:/path"))
		return false;
	return list->count > 0 || value_expected(v, "at least one address");
}

bool value_read_identify(const struct value *v)
{
	struct config *config = &((struct config_draft *)v->base)->config;
	enum match_kind kinds[MATCH_KIND_COUNT];
	const struct node *item;
	size_t count, at = 0;

	if (!config_read_items(v->r, v->scope, v->row->name, v->node, &item, &count))
		return false;
	if (count == 0)
		return value_expected(v, "at least one of auth, cert, daemon, client and sender");
	for (; item; item = config_next_item(v->node, item)) {
		const struct setting_word *word = value_find_word(v->row->words, item);

		if (!word)
			return value_expected_word(v, item, NULL);
		for (size_t i = 0; i < at; i++)
			if (kinds[i] == (enum match_kind)word->value)
				return config_refuse(v->r, node_place(item), "identify: %s is given twice", word->word);
		kinds[at++] = (enum match_kind)word->value;
	}
	/* A list that is wrong changes nothing: no rule is out of reach for its sake. */
	memcpy(config->identify, kinds, at * sizeof *kinds);
	config->identify_count = at;
	return true;
}

bool value_read_require(const struct value *v)
{
	struct tenant *tenant = &((struct tenant_draft *)v->base)->tenant;
	const struct node *item;
	size_t count;

	if (!config_read_items(v->r, v->scope, v->row->name, v->node, &item, &count))
		return false;
	tenant->require_tls = tenant->require_auth = false;
	for (; item; item = config_next_item(v->node, item)) {
		const struct setting_word *word = value_find_word(v->row->words, item);

		if (!word)
			return value_expected_word(v, item, NULL);
		if (word->value == REQUIRE_TLS)
			tenant->require_tls = true;
		else
			tenant->require_auth = true;
	}
	return true;
}

bool value_read_percents(const struct value *v)
{
	struct quota *quota = &((struct quota_draft *)v->base)->quota;
	const struct node *item;
	int64_t last = 0, percent;
	size_t count;

	if (!config_read_items(v->r, v->scope, v->row->name, v->node, &item, &count))
		return false;
	if (count > QUOTA_WARN_MAX)
		return value_expected(v, "at most 4 levels");
	for (quota->warn_count = 0; item; item = config_next_item(v->node, item), last = percent) {
		if (item->kind != NODE_TEXT || !num_parse_i64(item->text, &percent) || percent < v->row->min ||
		    percent > v->row->max || percent <= last)
			return config_expected(v->r, v->scope, v->row->name, item, "numbers from 1 to 100 (per cent), ascending");
		quota->warn_at[quota->warn_count++] = (uint8_t)percent;
	}
	return true;
}

bool value_read_exclude(const struct value *v)
{
	struct quota *quota = &((struct quota_draft *)v->base)->quota;
	const struct node *item;
	struct str *recipients;
	size_t count, at = 0;
	bool ok = true;
	void *items;

	if (!list_begin(v, sizeof *recipients, &item, &count, &items))
		return false;
	for (recipients = items; item; item = config_next_item(v->node, item)) {
		const struct setting_word *word = value_find_word(v->row->words, item);

		if (word)
			*(word->value == EXCLUDE_NULL_SENDER ? &quota->exclude_null_sender :
			  word->value == EXCLUDE_LOCAL_DOMAINS ? &quota->exclude_local_domains :
			  &quota->exclude_same_tenant) = true;
		else if (item->kind != NODE_TEXT || !config_is_address_pattern(item->text))
			ok = value_expected_word(v, item, CONFIG_ADDRESS_WORDS);
		else if (!domain_key(v->r->arena, item->text, &recipients[at++]))
			return config_no_memory(v->r);
	}
	quota->exclude_recipients = (struct str_list){ .items = recipients, .count = at };
	return ok;
}

static struct record_class *find_class(struct record_class *classes, size_t count, struct str name)
{
	for (size_t i = 0; i < count; i++)
		if (str_eq(classes[i].name, name))
			return &classes[i];
	return NULL;
}

static bool read_keep(const struct value *v, const struct node *item, struct record_class *class)
{
	char quoted[CONFIG_QUOTE_SIZE];

	if (item->kind == NODE_TEXT && retention_parse(item->text, &class->keep))
		return true;
	return config_refuse(v->r, node_place(item),
			     "classes: expected whole days or years such as 60d or 1y (at most 100y) for class " STR_FMT ", found %s",
			     STR_ARG(item->key), item->kind == NODE_TEXT ? config_quote(item->text, quoted) : node_kind_words(item));
}

/* What is given comes over what is there: the defaults are read first. */
bool value_read_classes(const struct value *v)
{
	struct config *config = &((struct config_draft *)v->base)->config;
	size_t count = config->class_count;
	struct record_class *classes;
	bool ok = true;

	if (v->node->kind != NODE_MAP)
		return value_expected(v, "a map (class: how long to keep)");
	classes = arena_array(v->r->arena, count + v->node->count, sizeof *classes);
	if (!classes)
		return config_no_memory(v->r);
	if (count)
		memcpy(classes, config->classes, count * sizeof *classes);
	for node_each(item, v->node) {
		struct record_class *class = find_class(classes, count, item->key);

		if (!config_is_name(item->key)) {
			ok = config_refuse(v->r, node_key_place(item),
					   "classes: a class is named by a-z, 0-9, \".\", \"_\" and \"-\"");
			continue;
		}
		if (!class) {
			class = &classes[count++];
			if (!arena_copy(v->r->arena, item->key, &class->name))
				return config_no_memory(v->r);
		}
		ok &= read_keep(v, item, class);
	}
	if (count > CONFIG_CLASSES_MAX)
		ok = config_refuse(v->r, node_place(v->node), "classes: %zu, those that are there by themselves included; at most %d",
				   count, CONFIG_CLASSES_MAX);
	config->classes = classes;
	config->class_count = count;
	return ok;
}

static bool is_reply_tag(struct str tag)
{
	if (!str_starts(tag, STR("SKQ-")) || tag.len < 5 || tag.len > 20)
		return false;
	for (size_t i = 4; i < tag.len; i++)
		if (!ascii_is_upper(tag.ptr[i]))
			return false;
	return true;
}

static bool is_reply_text(struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] < 0x20 || (unsigned char)text.ptr[i] > 0x7e)
			return false;
	return text.len > 0 && text.len <= REPLY_LEN_MAX;
}

static bool copy_reply(struct arena *arena, const struct node *item, struct reply_text *out)
{
	out->line = item->key_line;
	out->column = item->key_column;
	return arena_copy(arena, *item->file, &out->file) && arena_copy(arena, item->key, &out->tag) &&
	       arena_copy(arena, item->text, &out->text);
}

bool value_read_replies(const struct value *v)
{
	struct config *config = &((struct config_draft *)v->base)->config;
	struct reply_text *texts;
	size_t at = 0;
	bool ok = true;

	if (v->node->kind != NODE_MAP)
		return value_expected(v, "a map (tag: text)");
	texts = arena_array(v->r->arena, v->node->count, sizeof *texts);
	if (!texts)
		return config_no_memory(v->r);
	for node_each(item, v->node) {
		char quoted[CONFIG_QUOTE_SIZE];

		if (!is_reply_tag(item->key))
			ok = config_refuse(v->r, node_key_place(item),
					   "replies: expected a tag such as SKQ-RATE, found %s",
					   config_quote(item->key, quoted));
		else if (item->kind != NODE_TEXT || !is_reply_text(item->text))
			ok = config_refuse(v->r, node_place(item),
					   "replies: expected one line of at most %d ASCII characters for "
					   STR_FMT, REPLY_LEN_MAX, STR_ARG(item->key));
		else if (!copy_reply(v->r->arena, item, &texts[at++]))
			return config_no_memory(v->r);
	}
	config->reply_texts = texts;
	config->reply_text_count = at;
	return ok;
}
