#include <stdio.h>

#include "config/base/clock.h"
#include "config/base/domain.h"
#include "config/base/num.h"
#include "config/config_value.h"

#define PATH_LEN_MAX 1024
#define TEXT_LEN_MAX 1024

static bool store_int(const struct value *v, int64_t value)
{
	switch (v->row->size) {
	case sizeof(bool): *(bool *)value_field(v) = value != 0; break;
	case sizeof(int): *(int *)value_field(v) = (int)value; break;
	default: *(int64_t *)value_field(v) = value; break;
	}
	return true;
}

static bool store_text(const struct value *v, struct str text)
{
	return arena_copy(v->r->arena, text, (struct str *)value_field(v)) || config_no_memory(v->r);
}

static bool is_word(const struct node *node, const char *word)
{
	return !node->is_quoted && str_eq(node->text, str_from_c(word));
}

bool value_expected(const struct value *v, const char *what)
{
	return config_expected(v->r, v->scope, v->row->name, v->node, what);
}

bool value_is_clean(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
			return false;
	return true;
}

bool config_is_name(struct str s)
{
	if (s.len == 0 || s.len > CONFIG_NAME_MAX || !(ascii_is_lower(s.ptr[0]) || ascii_is_digit(s.ptr[0])))
		return false;
	for (size_t i = 1; i < s.len; i++)
		if (!ascii_is_lower(s.ptr[i]) && !ascii_is_digit(s.ptr[i]) && !memchr("._-", s.ptr[i], 3))
			return false;
	return true;
}

/* Generous: labels of anything but blanks and what an address or a pattern is made of, so that UTF-8 names pass. */
bool config_is_domain(struct str s)
{
	if (s.len == 0 || s.len > 255 || s.ptr[0] == '.' || s.ptr[s.len - 1] == '.' || str_find(s, STR("..")) < s.len)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] <= 0x20 || memchr("@*?<>()[]\",;:\\\x7f", s.ptr[i], 15))
			return false;
	return true;
}

/* A star before the @ would be a mailbox of that name, and is always meant for what "@domain" says. */
bool config_is_address_pattern(struct str s)
{
	struct str local, domain;

	if (!value_is_clean(s) || !str_cut_last(s, '@', &local, &domain) || local.len > 255)
		return false;
	if ((str_find_byte(local, '@') < local.len && local.ptr[0] != '"') || str_find_byte(local, '*') < local.len)
		return false;
	if (local.len == 0 && str_starts(domain, STR("*.")))
		domain = str_from(domain, 2);
	return config_is_domain(domain);
}

static bool read_text(const struct value *v)
{
	if (v->node->text.len == 0 || v->node->text.len > TEXT_LEN_MAX || !value_is_clean(v->node->text))
		return value_expected(v, "a text without control characters");
	return store_text(v, v->node->text);
}

static bool read_name(const struct value *v)
{
	if (!config_is_name(v->node->text))
		return value_expected(v, "a name of a-z, 0-9, \".\", \"_\" and \"-\", at most 64 long");
	return store_text(v, v->node->text);
}

static bool is_path(struct str s)
{
	return s.len > 1 && s.len < PATH_LEN_MAX && s.ptr[0] == '/' && value_is_clean(s);
}

static bool read_path(const struct value *v)
{
	if (!is_path(v->node->text))
		return value_expected(v, config_type_words(v->row->type));
	return store_text(v, v->node->text);
}

static bool is_port(struct str s)
{
	uint64_t port;

	return num_parse_u64(s, &port) && port >= 1 && port <= 65535;
}

/*
 * libmilter takes a spec without a scheme for a Unix path, listens on all interfaces without a host, and wraps ports
 * over 65535: so the spec is judged here.
 */
static bool read_milter_listen(const struct value *v)
{
	struct str spec = v->node->text, scheme, rest, port, host;

	if (!str_cut(spec, ':', &scheme, &rest) || !value_is_clean(spec))
		return value_expected(v, config_type_words(v->row->type));
	if (str_eq(scheme, STR("unix")) || str_eq(scheme, STR("local"))) {
		if (!is_path(rest))
			return value_expected(v, "unix: and an absolute path");
		if (rest.len > SOCKET_PATH_MAX)
			return value_expected(v, "a socket path of at most 107 octets");
		/* Two words of libmilter's for the same; the rest of the program reads one. */
		return arena_printf(v->r->arena, value_field(v), "unix:" STR_FMT, STR_ARG(rest)) || config_no_memory(v->r);
	}
	if (!str_eq(scheme, STR("inet")) && !str_eq(scheme, STR("inet6")))
		return value_expected(v, config_type_words(v->row->type));
	if (!str_cut(rest, '@', &port, &host))
		return value_expected(v, "a host after the port, as in inet:8890@127.0.0.1 (without one, all "
					 "interfaces would listen)");
	if (!is_port(port))
		return value_expected(v, "a port from 1 to 65535, as in inet:8890@127.0.0.1");
	if (host.len == 0 || host.len > 255 || str_find_byte(host, ' ') < host.len)
		return value_expected(v, "a host after the @, as in inet:8890@127.0.0.1");
	return store_text(v, spec);
}

static bool read_http_listen(const struct value *v)
{
	struct str host, port;
	struct net_addr addr;

	if (!str_cut_last(v->node->text, ':', &host, &port) || !is_port(port))
		return value_expected(v, config_type_words(v->row->type));
	if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
		host = str_slice(host, 1, host.len - 2);
	else if (str_find_byte(host, ':') < host.len)
		return value_expected(v, "an IPv6 address in brackets, as in [::1]:9185");
	if (str_starts_nocase(host, STR("IPv6:")) || !net_parse_addr(host, &addr))
		return value_expected(v, config_type_words(v->row->type));
	return store_text(v, v->node->text);
}

/* It becomes part of links in any charset, and is compared with what browsers send. */
static bool read_host(const struct value *v)
{
	struct str host;

	if (!domain_key(v->r->arena, v->node->text, &host))
		return config_no_memory(v->r);
	if (!config_is_domain(host) || str_find_byte(host, '.') == host.len || host.len > 253)
		return value_expected(v, config_type_words(v->row->type));
	for (size_t i = 0; i < host.len; i++)
		if (!ascii_is_alnum(host.ptr[i]) && host.ptr[i] != '-' && host.ptr[i] != '.')
			return value_expected(v, config_type_words(v->row->type));
	*(struct str *)value_field(v) = host;
	return true;
}

static bool read_bounded(const struct value *v, int64_t value)
{
	char what[96], least[CONFIG_BOUND_SIZE], most[CONFIG_BOUND_SIZE];

	if (value >= v->row->min && value <= v->row->max)
		return store_int(v, value);
	snprintf(what, sizeof what, "%s to %s", config_format_bound(v->row->type, v->row->min, least),
		 config_format_bound(v->row->type, v->row->max, most));
	return value_expected(v, what);
}

static bool read_duration(const struct value *v)
{
	int64_t us;

	if (!num_parse_duration(v->node->text, &us))
		return value_expected(v, config_type_words(v->row->type));
	return read_bounded(v, us);
}

static bool read_size(const struct value *v)
{
	int64_t octets;

	if (!num_parse_bytes(v->node->text, &octets))
		return value_expected(v, config_type_words(v->row->type));
	return read_bounded(v, octets);
}

static bool read_integer(const struct value *v)
{
	int64_t value;

	if (!num_parse_i64(v->node->text, &value))
		return value_expected(v, config_type_words(v->row->type));
	return read_bounded(v, value);
}

static bool read_date(const struct value *v)
{
	int64_t day;

	return jst_parse_date(v->node->text, &day) ? store_int(v, day) : value_expected(v, config_type_words(v->row->type));
}

static bool read_limit(const struct value *v)
{
	int64_t value;

	if (is_word(v->node, "none"))
		return store_int(v, LIMIT_NONE);
	if (!num_parse_i64(v->node->text, &value))
		return value_expected(v, config_type_words(v->row->type));
	return read_bounded(v, value);
}

/* "5%", "0.3%": thousandths. */
static bool read_percentage(const struct value *v)
{
	struct str text = v->node->text, tenth = STR("0"), whole;
	uint64_t units, tenths;

	whole = str_slice(text, 0, text.len ? text.len - 1 : 0);
	str_cut(whole, '.', &whole, &tenth);
	if (!str_ends(text, STR("%")) || tenth.len != 1 || whole.len > 9 || !num_parse_u64(whole, &units) ||
	    !num_parse_u64(tenth, &tenths))
		return value_expected(v, config_type_words(v->row->type));
	return read_bounded(v, (int64_t)(units * 10 + tenths));
}

static bool read_ratio(const struct value *v)
{
	return is_word(v->node, "none") ? store_int(v, LIMIT_NONE) : read_percentage(v);
}

static bool read_size_limit(const struct value *v)
{
	int64_t octets;

	if (is_word(v->node, "none"))
		return store_int(v, LIMIT_NONE);
	if (!num_parse_bytes(v->node->text, &octets))
		return value_expected(v, config_type_words(v->row->type));
	return read_bounded(v, octets);
}

/* 0660, 660 and 0o660 are the same: nobody means decimal. */
static bool read_mode(const struct value *v)
{
	struct str digits = v->node->text;
	int64_t mode = 0;

	if (str_starts(digits, STR("0o")))
		digits = str_from(digits, 2);
	if (digits.len < 3 || digits.len > 4)
		return value_expected(v, config_type_words(v->row->type));
	for (size_t i = 0; i < digits.len; i++) {
		if (digits.ptr[i] < '0' || digits.ptr[i] > '7')
			return value_expected(v, config_type_words(v->row->type));
		mode = mode * 8 + (digits.ptr[i] - '0');
	}
	if (mode > v->row->max)
		return value_expected(v, "an octal mode of at most 0777");
	return store_int(v, mode);
}

static bool read_bool(const struct value *v)
{
	bool is_said = str_eq(v->node->text, STR("true")) || str_eq(v->node->text, STR("false"));

	if (is_said && v->node->is_quoted)
		return value_expected(v, "true or false without quotes");
	if (!is_said)
		return value_expected(v, config_type_words(v->row->type));
	return store_int(v, is_word(v->node, "true"));
}

/* "defer, reject or hold", and what was nearly right. */
bool value_expected_word(const struct value *v, const struct node *node, const char *also)
{
	struct config_nearest nearest = { .name = node->text };
	char what[320], hint[CONFIG_QUOTE_SIZE], found[CONFIG_QUOTE_SIZE], where[SCOPE_TEXT_MAX];
	size_t at = 0;

	for (const struct setting_word *word = v->row->words; word->word; word++) {
		bool is_last = !word[1].word && !also;

		at += (size_t)snprintf(what + at, sizeof what - at, "%s%s", at == 0 ? "" : is_last ? " or " : ", ",
				       word->word);
		config_nearest_offer(&nearest, word->word);
	}
	if (also)
		snprintf(what + at, sizeof what - at, " or %s", also);
	if (node->kind != NODE_TEXT || node->text.len == 0)
		return config_expected(v->r, v->scope, v->row->name, node, what);
	return config_refuse(v->r, node_place(node), "%s%s: expected %s, found %s%s", v->row->name,
			     scope_text(v->scope, where), what, config_quote(node->text, found),
			     config_nearest_hint(&nearest, hint));
}

const struct setting_word *value_find_word(const struct setting_word *words, const struct node *node)
{
	for (; words->word; words++)
		if (node->kind == NODE_TEXT && str_eq(node->text, str_from_c(words->word)))
			return words;
	return NULL;
}

static bool read_word(const struct value *v)
{
	const struct setting_word *word = value_find_word(v->row->words, v->node);

	return word ? store_int(v, word->value) : value_expected_word(v, v->node, NULL);
}

static bool read_network(const struct value *v)
{
	if (!net_parse_prefix(v->node->text, (struct net_prefix *)value_field(v)))
		return value_expected(v, config_type_words(v->row->type));
	return true;
}

static bool read_address(const struct value *v)
{
	if (!config_is_address_pattern(v->node->text))
		return value_expected(v, config_type_words(v->row->type));
	return domain_key(v->r->arena, v->node->text, (struct str *)value_field(v)) || config_no_memory(v->r);
}

static bool keep_node(const struct value *v)
{
	*(const struct node **)value_field(v) = v->node;
	return true;
}

/* tenants, plans and include: whatever file they stand in, one after another. */
static bool chain_node(const struct value *v)
{
	struct node_chain *chain = value_field(v);
	struct node_link *link;

	bool is_empty = v->node->kind == NODE_TEXT && v->node->text.len == 0 && !v->node->is_quoted;

	if (v->node->kind != NODE_MAP && !is_empty && v->row->type == SETTING_TENANTS)
		return value_expected(v, "a map (name: settings)");
	link = arena_new(v->r->scratch, struct node_link);
	if (!link)
		return config_no_memory(v->r);
	link->node = v->node;
	*(chain->last ? &chain->last->next : &chain->first) = link;
	chain->last = link;
	chain->count += v->node->count;
	return true;
}

static const struct {
	value_reader *read;
	bool is_single;                /* a single value, no list or map */
} types[SETTING_TYPE_COUNT] = {
	[SETTING_TEXT] = { read_text, true },
	[SETTING_NAME] = { read_name, true },
	[SETTING_PATH] = { read_path, true },
	[SETTING_MILTER_LISTEN] = { read_milter_listen, true },
	[SETTING_HTTP_LISTEN] = { read_http_listen, true },
	[SETTING_HOST] = { read_host, true },
	[SETTING_DURATION] = { read_duration, true },
	[SETTING_SIZE] = { read_size, true },
	[SETTING_INTEGER] = { read_integer, true },
	[SETTING_DATE] = { read_date, true },
	[SETTING_LIMIT] = { read_limit, true },
	[SETTING_SIZE_LIMIT] = { read_size_limit, true },
	[SETTING_MODE] = { read_mode, true },
	[SETTING_BOOL] = { read_bool, true },
	[SETTING_WORD] = { read_word, true },
	[SETTING_NETWORK] = { read_network, true },
	[SETTING_ADDRESS] = { read_address, true },
	[SETTING_NETWORKS] = { value_read_networks, false },
	[SETTING_ADDRESSES] = { value_read_addresses, false },
	[SETTING_DOMAINS] = { value_read_domains, false },
	[SETTING_USERS] = { value_read_users, false },
	[SETTING_SERVERS] = { value_read_servers, false },
	[SETTING_IDENTIFY] = { value_read_identify, false },
	[SETTING_REQUIRE] = { value_read_require, false },
	[SETTING_PERCENTAGE] = { read_percentage, true },
	[SETTING_RATIO] = { read_ratio, true },
	[SETTING_PERCENTS] = { value_read_percents, false },
	[SETTING_EXCLUDE] = { value_read_exclude, false },
	[SETTING_CLASSES] = { value_read_classes, false },
	[SETTING_REPLIES] = { value_read_replies, false },
	[SETTING_HEADER] = { value_read_header, true },
	[SETTING_PATTERN] = { value_read_pattern, true },
	[SETTING_CONTENT] = { value_read_content, false },
	[SETTING_RATE] = { keep_node, true },
	[SETTING_PERIOD] = { keep_node, true },
	[SETTING_RATES] = { keep_node, false },
	[SETTING_QUOTAS] = { keep_node, false },
	[SETTING_OVERRIDES] = { keep_node, false },
	[SETTING_MATCH] = { keep_node, false },
	[SETTING_TENANT] = { keep_node, false },
	[SETTING_TENANT_NAME] = { keep_node, true },
	[SETTING_TENANTS] = { chain_node, false },
	[SETTING_INCLUDE] = { chain_node, false },
};

bool config_takes_list(enum setting_type type)
{
	return !types[type].is_single;
}

bool config_read_value(struct reader *r, const struct scope *scope, const struct setting *row, const struct node *node,
		       void *base)
{
	struct value v = { .r = r, .scope = scope, .row = row, .node = node, .base = base };

	if (row->accepts_none && is_word(node, "none")) {
		if (row->type == SETTING_DURATION)
			return store_int(&v, 0);
		*(struct str *)value_field(&v) = STR_EMPTY;
		return true;
	}
	if (types[row->type].is_single && node->kind != NODE_TEXT)
		return value_expected(&v, config_type_words(row->type));
	return types[row->type].read(&v);
}
