#include "config/config_match.h"

#include <stdlib.h>

#include "config/config_hint.h"
#include "config/config_reach.h"
#include "config/hash.h"

/* What a rule's key is made of: `text`, and `more` where there are two parts. */
enum match_form {
	FORM_AUTH,             /* "boss@acme.example" */
	FORM_AUTH_PATTERN,     /* "acme-*": the texts before the first and after the last wildcard */
	FORM_CERT,             /* issuer, subject */
	FORM_DAEMON,
	FORM_CLIENT,           /* 16 octets of address, one of length */
	FORM_ADDRESS,          /* "user@domain" */
	FORM_DOMAIN,           /* "domain", of "@domain" */
	FORM_SUBDOMAINS,       /* "domain", of "@*.domain" */
};

static const struct {
	enum match_kind kind;
	bool is_exact;                 /* letters' case counts */
} forms[] = {
	[FORM_AUTH] = { MATCH_AUTH, false },
	[FORM_AUTH_PATTERN] = { MATCH_AUTH, false },
	[FORM_CERT] = { MATCH_CERT, true },
	[FORM_DAEMON] = { MATCH_DAEMON, false },
	[FORM_CLIENT] = { MATCH_CLIENT, true },
	[FORM_ADDRESS] = { MATCH_SENDER, false },
	[FORM_DOMAIN] = { MATCH_SENDER, false },
	[FORM_SUBDOMAINS] = { MATCH_SENDER, false },
};

struct match_rule {
	enum match_form form;
	uint32_t next;                 /* pattern with the same key, less to say; 1 + its place, 0: none */
	struct str text, more;
	struct str pattern;            /* FORM_AUTH_PATTERN: the whole */
	uint64_t hash;
	const struct tenant *tenant;
};

/* Lengths of the texts before the first and after the last wildcard. */
struct shape {
	uint32_t before, after;
};

struct match_index {
	uint64_t seed;
	const struct match_rule *rules;
	size_t rule_count;
	uint32_t *slots;               /* 1 + a rule's place; 0: free */
	size_t slot_mask;
	const struct shape *shapes;    /* most text before the first wildcard first */
	size_t shape_count;
	int lengths[129];              /* of networks there are, longest first */
	size_t length_count;
};

/* A rule on its way into the index. */
struct match_link {
	struct match_rule rule;
	const struct node *node;
	struct match_link *next;
};

static bool is_wild(struct str s)
{
	return str_find_byte(s, '*') < s.len || str_find_byte(s, '?') < s.len;
}

/* The text before the first wildcard and after the last. */
static void split_pattern(struct str pattern, struct str *out_before, struct str *out_after)
{
	size_t first = 0, last = pattern.len;

	while (pattern.ptr[first] != '*' && pattern.ptr[first] != '?')
		first++;
	while (pattern.ptr[last - 1] != '*' && pattern.ptr[last - 1] != '?')
		last--;
	*out_before = str_of(pattern.ptr, first);
	*out_after = str_from(pattern, last);
}

/* "a**b" means "a*b": one form, so that equal rules look equal. */
static bool copy_pattern(struct reader *r, struct str pattern, struct str *out)
{
	char *copy = arena_alloc(r->arena, pattern.len);
	size_t len = 0;

	if (!copy)
		return config_no_memory(r);
	for (size_t i = 0; i < pattern.len; i++)
		if (pattern.ptr[i] != '*' || len == 0 || copy[len - 1] != '*')
			copy[len++] = ascii_lower(pattern.ptr[i]);
	*out = str_of(copy, len);
	return true;
}

static bool make_auth_rule(struct reader *r, const struct node *node, struct str auth, struct match_rule *out)
{
	if (!is_wild(auth)) {
		out->form = FORM_AUTH;
		out->text = auth;
		return true;
	}
	out->form = FORM_AUTH_PATTERN;
	if (!copy_pattern(r, auth, &out->pattern))
		return false;
	split_pattern(out->pattern, &out->text, &out->more);
	if (out->pattern.len - out->text.len - out->more.len > 1 && ++r->match_middles > MATCH_MIDDLES_MAX)
		return config_refuse(r, node_place(node),
				     "match: more than %d auth patterns with text between wildcards",
				     MATCH_MIDDLES_MAX);
	return true;
}

static bool make_client_rule(struct reader *r, const struct net_prefix *prefix, struct match_rule *out)
{
	char key[sizeof prefix->addr.octets + 1];

	memcpy(key, prefix->addr.octets, sizeof prefix->addr.octets);
	key[sizeof key - 1] = (char)prefix->length;
	out->form = FORM_CLIENT;
	return arena_copy(r->arena, str_of(key, sizeof key), &out->text) || config_no_memory(r);
}

static void make_sender_rule(struct str sender, struct match_rule *out)
{
	out->form = sender.ptr[0] != '@' ? FORM_ADDRESS :
		    str_starts(sender, STR("@*.")) ? FORM_SUBDOMAINS : FORM_DOMAIN;
	out->text = str_from(sender, out->form == FORM_ADDRESS ? 0 : out->form == FORM_DOMAIN ? 1 : 3);
}

/* Pasted quotation marks and full-width letters: legal, but hardly a name that anybody has. */
static void warn_wide(struct reader *r, const struct scope *scope, const struct node *node, struct str name)
{
	char where[SCOPE_TEXT_MAX], quoted[CONFIG_QUOTE_SIZE], hint[CONFIG_HINT_SIZE];

	if (config_hint_wide(name, hint)[0])
		config_report_warning(r->report, node_place(node), STR_FMT "%s: found %s%s", STR_ARG(node->key),
				      scope_text(scope, where), config_quote(name, quoted), hint);
}

static bool make_rule(struct reader *r, const struct scope *scope, const struct node *node,
		      const struct match_draft *draft, struct match_rule *out)
{
	struct str word = node->first->key;
	char where[SCOPE_TEXT_MAX];

	warn_wide(r, scope, node->first, draft->auth.len ? draft->auth : draft->daemon);
	if (str_eq(word, STR("auth")))
		return make_auth_rule(r, node, draft->auth, out);
	if (str_eq(word, STR("client")))
		return make_client_rule(r, &draft->client, out);
	if (str_eq(word, STR("sender"))) {
		make_sender_rule(draft->sender, out);
		return true;
	}
	if (str_eq(word, STR("daemon"))) {
		if (is_wild(draft->daemon))
			config_report_warning(r->report, node_place(node),
					      "daemon%s: no pattern is read here, this matches nobody; write one rule for each name",
					      scope_text(scope, where));
		out->form = FORM_DAEMON;
		out->text = draft->daemon;
		return true;
	}
	out->form = FORM_CERT;
	out->text = draft->issuer;
	out->more = draft->subject;
	return (out->text.len && out->more.len) ||
	       config_refuse(r, node_place(node), "cert%s: needs both issuer and subject", scope_text(scope, where));
}

bool config_match_add(struct reader *r, const struct scope *scope, const struct tenant *tenant, const struct node *node)
{
	struct match_draft draft = { .auth = STR_EMPTY };
	struct match_link *link;
	char where[SCOPE_TEXT_MAX];

	if (!config_read_map(r, scope, node, TABLE_MATCH, false, &draft))
		return false;
	if (node->count != 1)
		return config_refuse(r, node_place(node), "a rule%s has one condition; write a rule for each",
				     scope_text(scope, where));
	link = arena_new(r->scratch, struct match_link);
	if (!link)
		return config_no_memory(r);
	if (!make_rule(r, scope, node, &draft, &link->rule))
		return false;
	link->rule.tenant = tenant;
	link->node = node;
	*(r->match_last ? &r->match_last->next : &r->match_first) = link;
	r->match_last = link;
	r->match_count++;
	return true;
}

/* --- the table */

static uint64_t key_hash(const struct match_index *index, enum match_form form, struct str text, struct str more)
{
	uint64_t hash = hash_nocase(index->seed + form, text);

	return more.len ? hash_nocase(hash, more) : hash;
}

static bool has_key(const struct match_rule *rule, uint64_t hash, enum match_form form, struct str text,
		    struct str more)
{
	if (rule->hash != hash || rule->form != form)
		return false;
	return forms[form].is_exact ? str_eq(rule->text, text) && str_eq(rule->more, more) :
				      str_eq_nocase(rule->text, text) && str_eq_nocase(rule->more, more);
}

/* The slot that holds this key, or the free one where it would go. */
static size_t find_slot(const struct match_index *index, uint64_t hash, enum match_form form, struct str text,
			struct str more)
{
	size_t slot = hash & index->slot_mask;

	while (index->slots[slot] && !has_key(&index->rules[index->slots[slot] - 1], hash, form, text, more))
		slot = (slot + 1) & index->slot_mask;
	return slot;
}

static const struct match_rule *find_rule(const struct match_index *index, enum match_form form, struct str text,
					  struct str more)
{
	uint32_t at = index->slots[find_slot(index, key_hash(index, form, text, more), form, text, more)];

	return at ? &index->rules[at - 1] : NULL;
}

/* --- building it */

static bool refuse_claim(struct reader *r, const struct match_rule *rule, const struct node *node,
			 const struct match_rule *other, const struct node *other_node)
{
	if (rule->tenant == other->tenant)
		return config_refuse(r, node_place(node), "match: tenant " STR_FMT " has this rule already, in line %u",
				     STR_ARG(rule->tenant->name), other_node->line);
	return config_refuse(r, node_place(node), "match: tenant " STR_FMT " claims what tenant " STR_FMT " claims in "
			     STR_FMT ":%u:%u", STR_ARG(rule->tenant->name), STR_ARG(other->tenant->name),
			     STR_ARG(*other_node->file), other_node->line, other_node->column);
}

/* Patterns with the same outer texts: more letters in all come first, being narrower. */
static bool insert_pattern(struct reader *r, struct match_rule *rules, const struct node **nodes, uint32_t at,
			   uint32_t *head)
{
	struct match_rule *rule = &rules[at];

	while (*head) {
		struct match_rule *other = &rules[*head - 1];

		if (str_eq(other->pattern, rule->pattern))
			return refuse_claim(r, rule, nodes[at], other, nodes[*head - 1]);
		if (other->pattern.len < rule->pattern.len)
			break;
		head = &other->next;
	}
	rule->next = *head;
	*head = at + 1;
	return true;
}

static bool insert_rules(struct reader *r, struct match_index *index, struct match_rule *rules,
			 const struct node **nodes)
{
	bool ok = true;

	for (uint32_t at = 0; at < r->match_count; at++) {
		struct match_rule *rule = &rules[at];
		uint32_t *slot;

		rule->hash = key_hash(index, rule->form, rule->text, rule->more);
		slot = &index->slots[find_slot(index, rule->hash, rule->form, rule->text, rule->more)];
		if (rule->form == FORM_AUTH_PATTERN)
			ok &= insert_pattern(r, rules, nodes, at, slot);
		else if (*slot)
			ok = refuse_claim(r, rule, nodes[at], &rules[*slot - 1], nodes[*slot - 1]);
		else
			*slot = at + 1;
	}
	return ok;
}

static int shape_order(const void *a, const void *b)
{
	const struct shape *x = a, *y = b;

	if (x->before != y->before)
		return x->before < y->before ? 1 : -1;
	return (x->after < y->after) - (x->after > y->after);
}

static bool collect_shapes(struct reader *r, struct match_index *index)
{
	struct shape *shapes = arena_array(r->arena, r->match_count, sizeof *shapes);
	size_t count = 0, kept = 0;

	if (!shapes)
		return config_no_memory(r);
	for (size_t i = 0; i < r->match_count; i++)
		if (index->rules[i].form == FORM_AUTH_PATTERN)
			shapes[count++] = (struct shape){
				.before = (uint32_t)index->rules[i].text.len,
				.after = (uint32_t)index->rules[i].more.len,
			};
	if (count)
		qsort(shapes, count, sizeof *shapes, shape_order);
	for (size_t i = 0; i < count; i++)
		if (kept == 0 || shape_order(&shapes[kept - 1], &shapes[i]) != 0)
			shapes[kept++] = shapes[i];
	index->shapes = shapes;
	index->shape_count = kept;
	return true;
}

static void collect_lengths(struct match_index *index, size_t count)
{
	bool is_there[129] = { false };

	for (size_t i = 0; i < count; i++)
		if (index->rules[i].form == FORM_CLIENT)
			is_there[(unsigned char)index->rules[i].text.ptr[16]] = true;
	for (int length = 128; length >= 0; length--)
		if (is_there[length])
			index->lengths[index->length_count++] = length;
}

/* A rule of a kind that `identify` does not list would never be looked at. */
static bool check_reachable(struct reader *r, const struct config *config, const struct match_link *link)
{
	enum match_kind kind = forms[link->rule.form].kind;

	for (size_t i = 0; i < config->identify_count; i++)
		if (config->identify[i] == kind)
			return true;
	return config_refuse(r, node_place(link->node),
			     "match: tenant " STR_FMT " has a rule on %s, which identify does not list",
			     STR_ARG(link->rule.tenant->name), match_kind_name(kind));
}

/* Of the tenant whose rules are looked at. */
struct claims {
	const struct tenant *tenant;
	struct config_reach allowed;
};

/* What a rule claims and `senders` allows nothing of would only be refused. A tenant's rules come together. */
static bool check_allowed(struct reader *r, const struct match_link *link, struct claims *claims)
{
	static const char *const begins[] = { [FORM_ADDRESS] = "", [FORM_DOMAIN] = "@", [FORM_SUBDOMAINS] = "@*." };
	const struct match_rule *rule = &link->rule;
	struct str claim;

	if (forms[rule->form].kind != MATCH_SENDER || rule->tenant->senders.count == 0 || rule->tenant->senders_is_monitor)
		return true;
	if (claims->tenant != rule->tenant && !config_reach_init(&claims->allowed, rule->tenant->senders, r->scratch))
		return config_no_memory(r);
	claims->tenant = rule->tenant;
	if (!arena_printf(r->scratch, &claim, "%s" STR_FMT, begins[rule->form], STR_ARG(rule->text)))
		return config_no_memory(r);
	return config_reach_meets(&claims->allowed, claim) ||
	       config_refuse(r, node_place(link->node), "match: tenant " STR_FMT " claims " STR_FMT ", of which its senders allow nothing",
			     STR_ARG(rule->tenant->name), STR_ARG(claim));
}

bool config_match_build(struct reader *r, struct config *config)
{
	struct match_index *index = arena_new(r->arena, struct match_index);
	struct match_rule *rules = arena_array(r->arena, r->match_count, sizeof *rules);
	const struct node **nodes = arena_array(r->scratch, r->match_count, sizeof *nodes);
	struct claims claims = { .tenant = NULL };
	size_t slots = 16, at = 0;
	bool ok = true;

	while (slots < r->match_count * 2)
		slots *= 2;
	if (!index || !rules || !nodes)
		return config_no_memory(r);
	index->slots = arena_array(r->arena, slots, sizeof *index->slots);
	if (!index->slots)
		return config_no_memory(r);
	index->slot_mask = slots - 1;
	index->seed = hash_seed();
	index->rules = rules;
	index->rule_count = r->match_count;
	for (const struct match_link *link = r->match_first; link; link = link->next, at++) {
		rules[at] = link->rule;
		nodes[at] = link->node;
		ok &= check_reachable(r, config, link) && check_allowed(r, link, &claims);
	}
	collect_lengths(index, r->match_count);
	config->match = index;
	return collect_shapes(r, index) && insert_rules(r, index, rules, nodes) && ok;
}

/* --- asking it */

static const struct match_rule *match_auth(const struct match_index *index, struct str auth)
{
	const struct match_rule *rule = auth.len ? find_rule(index, FORM_AUTH, auth, STR_EMPTY) : NULL;

	for (size_t i = 0; !rule && auth.len && i < index->shape_count; i++) {
		struct shape shape = index->shapes[i];

		if (auth.len < (size_t)shape.before + shape.after)
			continue;
		struct str before = str_slice(auth, 0, shape.before), after = str_from(auth, auth.len - shape.after);

		rule = find_rule(index, FORM_AUTH_PATTERN, before, after);
		while (rule && !str_glob(rule->pattern, auth))
			rule = rule->next ? &index->rules[rule->next - 1] : NULL;
	}
	return rule;
}

static const struct match_rule *match_client(const struct match_index *index, const struct net_addr *client)
{
	const struct match_rule *rule = NULL;

	for (size_t i = 0; client && !rule && i < index->length_count; i++) {
		char key[sizeof client->octets + 1] = { 0 };
		int length = index->lengths[i];

		memcpy(key, client->octets, (size_t)(length + 7) / 8);
		if (length % 8)
			key[length / 8] = (char)(key[length / 8] & 0xff00 >> length % 8);
		key[sizeof key - 1] = (char)length;
		rule = find_rule(index, FORM_CLIENT, str_of(key, sizeof key), STR_EMPTY);
	}
	return rule;
}

#define DOMAIN_LEN_MAX 255

static const struct match_rule *match_sender(const struct match_index *index, struct str sender)
{
	struct str local, domain;
	const struct match_rule *rule;

	if (!str_cut_last(sender, '@', &local, &domain) || domain.len > DOMAIN_LEN_MAX)
		return NULL;
	rule = find_rule(index, FORM_ADDRESS, sender, STR_EMPTY);
	if (!rule)
		rule = find_rule(index, FORM_DOMAIN, domain, STR_EMPTY);
	while (!rule && str_cut(domain, '.', &local, &domain))
		rule = find_rule(index, FORM_SUBDOMAINS, domain, STR_EMPTY);
	return rule;
}

/* A client without an address handed the mail in on this host. */
static bool is_sender_believed(const struct config *config, const struct net_addr *client)
{
	return !client || net_list_covers(&config->sender_match_networks, client);
}

static const struct match_rule *match_kind(const struct config *config, enum match_kind kind,
					   const struct match_facts *facts)
{
	const struct match_index *index = config->match;

	switch (kind) {
	case MATCH_AUTH:
		return match_auth(index, facts->auth);
	case MATCH_CERT:
		return facts->cert_subject.len && facts->cert_issuer.len ?
		       find_rule(index, FORM_CERT, facts->cert_issuer, facts->cert_subject) : NULL;
	case MATCH_DAEMON:
		return facts->daemon_name.len ? find_rule(index, FORM_DAEMON, facts->daemon_name, STR_EMPTY) : NULL;
	case MATCH_CLIENT:
		return match_client(index, facts->client);
	case MATCH_SENDER:
		return is_sender_believed(config, facts->client) ? match_sender(index, facts->sender) : NULL;
	case MATCH_KIND_COUNT:
		break;
	}
	return NULL;
}

const struct tenant *config_match(const struct config *config, const struct match_facts *facts, enum match_kind *out_by)
{
	for (size_t i = 0; i < config->identify_count; i++) {
		const struct match_rule *rule = match_kind(config, config->identify[i], facts);

		if (rule) {
			*out_by = config->identify[i];
			return rule->tenant;
		}
	}
	return NULL;
}

bool config_match_first(const struct config *config, enum match_kind kind, struct str *out_text)
{
	for (size_t i = 0; i < config->match->rule_count; i++)
		if (forms[config->match->rules[i].form].kind == kind) {
			*out_text = config->match->rules[i].text;
			return true;
		}
	return false;
}

bool config_match_has(const struct config *config, enum match_kind kind)
{
	struct str text;

	return config_match_first(config, kind, &text);
}

const char *match_kind_name(enum match_kind kind)
{
	static const char *const names[MATCH_KIND_COUNT] = {
		[MATCH_AUTH] = "auth", [MATCH_CERT] = "cert", [MATCH_DAEMON] = "daemon", [MATCH_CLIENT] = "client",
		[MATCH_SENDER] = "sender",
	};

	return kind < MATCH_KIND_COUNT ? names[kind] : "none";
}

bool address_list_covers(struct str_list list, struct str address)
{
	struct str local, domain;

	if (!str_cut_last(address, '@', &local, &domain))
		return false;
	for (size_t i = 0; i < list.count; i++) {
		struct str item = list.items[i];

		if (item.len == 0 || item.ptr[0] != '@') {
			if (str_eq_nocase(item, address))
				return true;
		} else if (str_starts(item, STR("@*."))) {
			/* ".domain" must be preceded by something. */
			if (domain.len > item.len - 2 && str_ends_nocase(domain, str_from(item, 2)))
				return true;
		} else if (str_eq_nocase(str_from(item, 1), domain)) {
			return true;
		}
	}
	return false;
}
