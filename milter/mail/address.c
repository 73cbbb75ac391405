#include "milter/mail/address.h"

#include "config/base/domain.h"

enum token_kind {
	TOKEN_END,
	TOKEN_WORD,                    /* john, =?utf-8?B?44GC?=, and bytes that stand nowhere else */
	TOKEN_QUOTED,                  /* "j doe" */
	TOKEN_LITERAL,                 /* [192.0.2.1] */
	TOKEN_SPECIAL,                 /* one of < > @ , ; : . */
};

/* Blanks, folds and comments stand between tokens and are none. */
struct token {
	enum token_kind kind;
	size_t begin, end;
	char special;
	bool after_blank;
};

/* Words and dots that belong together: a local part, a domain, or a piece of a display name. */
struct run {
	size_t begin, end;
	bool is_plain;                 /* nothing to take out: no quotes, no blanks, no comments */
	bool is_odd;                   /* words without a dot or blank between them: a"b"c */
};

struct parser {
	struct str text;
	size_t at;
	struct token token;
	struct arena *arena;
	struct str *items;
	size_t count, room;
	bool is_broken;
	bool is_out_of_memory;
};

/* --- tokens */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

/* RFC 5322 3.2.3, and RFC 6532 3.2 for what is not ASCII */
static bool is_atext(char c)
{
	return ascii_is_alnum(c) || (c & 0x80) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

static bool is_special(char c)
{
	return c && strchr("<>@,;:.", c);
}

/* Past the closing byte of what was opened before `at`; a backslash takes the next byte with it. Folds are for quotes
 * alone: nobody takes them out of a literal. */
static size_t skip_to(struct parser *p, size_t at, char close)
{
	while (at < p->text.len && p->text.ptr[at] != close) {
		if (p->text.ptr[at] == '\\' && at + 1 < p->text.len)
			at++;
		p->is_broken |= is_control(p->text.ptr[at]) && (close == ']' || !is_blank(p->text.ptr[at]));
		at++;
	}
	if (at < p->text.len)
		return at + 1;
	p->is_broken = true;
	return p->text.len;
}

/* Comments nest (RFC 5322 3.2.2), to any depth: counting costs nothing. */
static size_t skip_comment(struct parser *p, size_t at)
{
	size_t depth = 0;

	while (at < p->text.len) {
		char c = p->text.ptr[at];

		at += c == '\\' ? 2 : 1;
		if (c == '(')
			depth++;
		else if (c == ')' && --depth == 0)
			return at;
	}
	p->is_broken = true;
	return p->text.len;
}

static bool skip_blanks(struct parser *p)
{
	size_t begin = p->at;

	while (p->at < p->text.len) {
		if (is_blank(p->text.ptr[p->at]))
			p->at++;
		else if (p->text.ptr[p->at] == '(')
			p->at = skip_comment(p, p->at);
		else
			break;
	}
	return p->at > begin;
}

static size_t skip_word(struct parser *p, size_t at)
{
	size_t begin = at;

	for (; at < p->text.len; at++) {
		char c = p->text.ptr[at];

		if (is_blank(c) || is_special(c) || c == '(' || c == '"' || (c == '[' && at == begin))
			break;
		p->is_broken |= !is_atext(c);
	}
	return at;
}

static void advance(struct parser *p)
{
	struct token *t = &p->token;
	bool after_blank = skip_blanks(p);

	*t = (struct token){ .kind = TOKEN_END, .begin = p->at, .end = p->at, .after_blank = after_blank };
	if (p->at == p->text.len)
		return;

	char c = p->text.ptr[p->at];

	if (is_special(c)) {
		t->kind = TOKEN_SPECIAL;
		t->special = c;
		t->end = p->at + 1;
	} else if (c == '"') {
		t->kind = TOKEN_QUOTED;
		t->end = skip_to(p, p->at + 1, '"');
	} else if (c == '[') {
		t->kind = TOKEN_LITERAL;
		t->end = skip_to(p, p->at + 1, ']');
	} else {
		t->kind = TOKEN_WORD;
		t->end = skip_word(p, p->at);
	}
	p->at = t->end;
}

static bool is_at(const struct parser *p, char special)
{
	return p->token.kind == TOKEN_SPECIAL && p->token.special == special;
}

/* --- runs */

static bool begins_run(const struct parser *p)
{
	return p->token.kind == TOKEN_WORD || p->token.kind == TOKEN_QUOTED || is_at(p, '.');
}

/* `other` is the second kind of word that may stand in it: quoted in a local part, a literal as a domain. */
static struct run parse_run(struct parser *p, enum token_kind other)
{
	struct run run = { .begin = p->token.begin, .end = p->token.begin, .is_plain = true };
	bool is_after_word = false;

	while (is_at(p, '.') || p->token.kind == TOKEN_WORD || p->token.kind == other) {
		bool is_first = run.end == run.begin, is_word = !is_at(p, '.');

		if (is_word && is_after_word && p->token.after_blank)
			break;
		run.is_odd |= is_word && is_after_word;
		run.is_plain &= p->token.kind != TOKEN_QUOTED && (is_first || !p->token.after_blank);
		run.end = p->token.end;
		is_after_word = is_word;
		advance(p);
	}
	return run;
}

/* What a quoted string says: without quotes, escapes and line ends. */
static size_t unquote(struct str quoted, char *out)
{
	size_t n = 0, end = quoted.len > 1 && quoted.ptr[quoted.len - 1] == '"' ? quoted.len - 1 : quoted.len;

	for (size_t i = 1; i < end; i++) {
		if (quoted.ptr[i] == '\\' && i + 1 < end)
			i++;
		if (quoted.ptr[i] != '\r' && quoted.ptr[i] != '\n')
			out[n++] = quoted.ptr[i];
	}
	return n;
}

/* A run's words and dots, put together into `out`, which has room for the run. */
static size_t run_spell(const struct parser *p, const struct run *run, char *out)
{
	struct parser inner = { .text = str_of(p->text.ptr, run->end), .at = run->begin };
	size_t n = 0;

	for (advance(&inner); inner.token.kind != TOKEN_END; advance(&inner)) {
		struct str word = str_slice(p->text, inner.token.begin, inner.token.end - inner.token.begin);

		if (inner.token.kind == TOKEN_QUOTED) {
			n += unquote(word, out + n);
		} else {
			memcpy(out + n, word.ptr, word.len);
			n += word.len;
		}
	}
	return n;
}

/* Dots may stand anywhere: some carriers gave out a..b@ and .a.@ and nobody quotes them. */
static bool needs_quotes(struct str local)
{
	for (size_t i = 0; i < local.len; i++)
		if (!is_atext(local.ptr[i]) && local.ptr[i] != '.')
			return true;
	return local.len == 0;
}

static size_t quote(struct str local, char *out)
{
	size_t n = 0;

	out[n++] = '"';
	for (size_t i = 0; i < local.len; i++) {
		if (local.ptr[i] == '"' || local.ptr[i] == '\\')
			out[n++] = '\\';
		out[n++] = local.ptr[i];
	}
	out[n++] = '"';
	return n;
}

/* --- addresses */

static void add(struct parser *p, struct str address)
{
	if (p->count == p->room || address.len > ADDRESS_MAX)
		p->is_broken = true;
	else if (str_find_byte(address, '@') < address.len && !domain_spell(p->arena, address, &address))
		p->is_out_of_memory = true;
	else
		p->items[p->count++] = address;
}

/* A dot at the end of a domain (`b.` is `b` to the DNS) is in nobody's list of domains. */
static size_t without_end_dots(const char *text, size_t begin, size_t end)
{
	while (end > begin + 1 && text[end - 1] == '.')
		end--;
	return end;
}

/* Writes local (and @domain) anew; both runs lie in the text, so twice their length and three is enough. */
static void add_spelt(struct parser *p, const struct run *local, const struct run *domain)
{
	size_t local_len = local->end - local->begin, domain_len = domain ? domain->end - domain->begin : 0;

	if (local_len + domain_len > 4 * ADDRESS_MAX) {
		p->is_broken = true;
		return;
	}

	char *spelt = arena_alloc(p->arena, local_len), *out = arena_alloc(p->arena, 2 * local_len + domain_len + 3);

	if (!spelt || !out) {
		p->is_out_of_memory = true;
		return;
	}

	struct str name = str_of(spelt, run_spell(p, local, spelt));
	size_t n = name.len;

	if (needs_quotes(name))
		n = quote(name, out);
	else if (name.len)
		memcpy(out, name.ptr, name.len);
	if (domain) {
		out[n++] = '@';
		n = without_end_dots(out, n, n + run_spell(p, domain, out + n));
	}
	add(p, str_of(out, n));
}

static void add_address(struct parser *p, const struct run *local, const struct run *domain)
{
	p->is_broken |= local->is_odd || domain->is_odd;
	if (domain->begin == domain->end) {
		p->is_broken = true;
	} else if (local->is_plain && domain->is_plain && local->end + 1 == domain->begin) {
		size_t end = without_end_dots(p->text.ptr, domain->begin, domain->end);

		add(p, str_slice(p->text, local->begin, end - local->begin));
	} else {
		add_spelt(p, local, domain);
	}
}

static void add_local(struct parser *p, const struct run *local)
{
	p->is_broken |= local->is_odd;
	add_spelt(p, local, NULL);
}

/* From the @ after `local`. With a@b@c, one reader takes a@b, another b@c. */
static void parse_at(struct parser *p, struct run local)
{
	for (bool is_first = true; is_at(p, '@'); is_first = false) {
		p->is_broken |= !is_first;
		advance(p);

		struct run domain = parse_run(p, TOKEN_LITERAL);

		add_address(p, &local, &domain);
		local = domain;
	}
}

/* <@relay1,@relay2:a@b>: RFC 5321 4.1.2 has the route ignored. */
static void skip_route(struct parser *p)
{
	while (p->token.kind != TOKEN_END && !is_at(p, ':') && !is_at(p, '>'))
		advance(p);
	if (is_at(p, ':'))
		advance(p);
	else
		p->is_broken = true;
}

/* What stands between < and >, up to the > or the end. */
static void parse_inside(struct parser *p)
{
	size_t found = 0;

	if (is_at(p, '@'))
		skip_route(p);
	while (p->token.kind != TOKEN_END && !is_at(p, '>')) {
		if (!begins_run(p)) {
			p->is_broken = true;
			advance(p);
			continue;
		}

		struct run run = parse_run(p, TOKEN_QUOTED);

		if (is_at(p, '@'))
			parse_at(p, run);
		else
			add_local(p, &run);
		found++;
	}
	p->is_broken |= found != 1;
}

static void parse_angle(struct parser *p)
{
	advance(p);
	parse_inside(p);
	if (is_at(p, '>'))
		advance(p);
	else
		p->is_broken = true;
}

bool address_parse_path(struct str text, struct arena *arena, struct str *out, struct err *err)
{
	struct str address = STR_EMPTY;
	struct parser p = { .text = str_trim(text), .arena = arena, .items = &address, .room = 1 };

	if (p.text.len == 0 || str_eq(p.text, STR("<>"))) {
		*out = STR_EMPTY;
		return true;
	}
	advance(&p);
	if (is_at(&p, '<'))
		parse_angle(&p);
	else
		parse_inside(&p);
	if (p.is_out_of_memory)
		return err_memory(err);
	if (p.is_broken || p.count != 1 || p.token.kind != TOKEN_END)
		return err_set(err, ERR_INPUT, "not an address");
	*out = address;
	return true;
}

/* --- lists */

/* One comma to the next, so far. */
struct item {
	struct run word;
	size_t words;                  /* runs that are no address */
	bool has_address;              /* outside of < > */
	bool has_angle;
};

/*
 * `Foo, Inc. <a@b>` is one mailbox to its writer: a word alone is taken for an address (the local `root` of a cron
 * job) only when the field has no other.
 */
static void end_item(struct parser *p, struct item *item, struct run *lone)
{
	p->is_broken |= item->has_address && item->words && !item->has_angle;
	if (item->words == 1 && !item->has_address && !item->has_angle && lone->begin == lone->end)
		*lone = item->word;
	*item = (struct item){ 0 };
}

static void parse_words(struct parser *p, struct item *item)
{
	struct run run = parse_run(p, TOKEN_QUOTED);

	p->is_broken |= item->has_angle;
	if (is_at(p, '@')) {
		parse_at(p, run);
		item->has_address = true;
	} else {
		item->word = run;
		item->words++;
	}
}

static void parse_item_token(struct parser *p, struct item *item, struct run *lone)
{
	if (begins_run(p)) {
		parse_words(p, item);
	} else if (is_at(p, '<')) {
		p->is_broken |= item->has_angle;
		item->has_angle = true;
		parse_angle(p);
	} else if (is_at(p, ',') || is_at(p, ';')) {
		end_item(p, item, lone);
		advance(p);
	} else if (is_at(p, ':')) {     /* a group's name ends here; its members are as others */
		p->is_broken |= item->has_address || item->has_angle;
		*item = (struct item){ 0 };
		advance(p);
	} else {
		p->is_broken = true;
		advance(p);
	}
}

static size_t count_byte(struct str s, char c)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += s.ptr[i] == c;
	return n;
}

bool address_parse_list(struct str value, struct arena *arena, struct address_list *out, struct err *err)
{
	size_t likely = count_byte(value, '@') + count_byte(value, '<') + 1;
	struct parser p = { .text = value, .arena = arena, .room = likely < ADDRESS_LIST_MAX ? likely : ADDRESS_LIST_MAX };
	struct item item = { 0 };
	struct run lone = { 0 };

	p.items = arena_array(arena, p.room, sizeof *p.items);
	if (!p.items)
		return err_memory(err);
	for (advance(&p); p.token.kind != TOKEN_END;)
		parse_item_token(&p, &item, &lone);
	end_item(&p, &item, &lone);
	if (p.count == 0 && !p.is_broken && lone.begin != lone.end)
		add_local(&p, &lone);
	if (p.is_out_of_memory)
		return err_memory(err);
	*out = (struct address_list){ .items = p.items, .count = p.count,
				      .is_broken = p.is_broken || p.count == 0 };
	return true;
}

struct str address_domain(struct str address)
{
	size_t at = address.len;

	while (at > 0 && address.ptr[at - 1] != '@')
		at--;
	return at > 0 ? str_from(address, at) : str_from(address, address.len);
}
