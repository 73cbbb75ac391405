#include "policy/bounce_lint.h"

#define SAMPLE_MEMORY ((size_t)256 * 1024)

static struct str first_word(struct str list)
{
	return str_slice(list, 0, str_find_byte(list, ' '));
}

static size_t sample_check(const struct bounce_rules *rules, const struct bounce_rule *rule, struct arena *arena,
			   bounce_lint_fn *found, void *arg)
{
	struct bounce_facts facts = {
		.diagnostic = rule->sample,
		.remote = first_word(rule->host),
		.category = rule->category,
		.shape = rule->shape.len ? rule->shape.ptr : NULL,
	};
	struct bounce_verdict verdict;
	struct str shape;

	if (rule->shape.len && arena_copy(arena, rule->shape, &shape))
		facts.shape = shape.ptr;
	if (rule->priority >= BOUNCE_PRIORITY_DESTINATION)     /* such rules are looked for in the text */
		facts.text = rule->sample;
	bounce_judge(rules, &facts, arena, &verdict);
	if (verdict.rule == rule)
		return 0;
	found(arg, rule, verdict.rule ? "its sample is won by another rule" : "does not match its sample", verdict.rule);
	return 1;
}

static bool is_same(const struct bounce_rule *a, const struct bounce_rule *b)
{
	return str_eq(a->text, b->text) && str_eq(a->reply, b->reply) && str_eq(a->status, b->status) &&
	       str_eq(a->host, b->host) && str_eq(a->shape, b->shape) && str_eq(a->category, b->category) &&
	       str_eq(a->without, b->without) && a->commands == b->commands && a->address == b->address;
}

/* Could one word match both patterns, as 5.1.1 does "?.1.1" and "5.1.*"? */
static bool globs_meet(struct str a, struct str b)
{
	for (size_t i = 0; i < a.len && i < b.len; i++) {
		if (a.ptr[i] == '*' || b.ptr[i] == '*')
			return true;
		if (a.ptr[i] != b.ptr[i] && a.ptr[i] != '?' && b.ptr[i] != '?')
			return false;
	}
	return a.len == b.len;
}

static bool hosts_meet(struct str a, struct str b)
{
	return str_ends_nocase(a, b) || str_ends_nocase(b, a);
}

static bool replies_meet(struct str a, struct str b)
{
	return str_starts(a, b) || str_starts(b, a);
}

static bool words_equal(struct str a, struct str b)
{
	return str_eq_nocase(a, b);
}

/* Of two lists with blanks between: does any word of the one meet one of the other? An empty list asks for nothing. */
static bool lists_meet(struct str a, struct str b, bool (*meet)(struct str a, struct str b))
{
	struct str x, y;

	if (a.len == 0 || b.len == 0)
		return true;
	while (str_next(&a, ' ', &x))
		for (struct str rest = b; str_next(&rest, ' ', &y);)
			if (meet(x, y))
				return true;
	return false;
}

/* Can all that both ask for be true of one reply? */
static bool conditions_meet(const struct bounce_rule *a, const struct bounce_rule *b)
{
	return (!a->commands || !b->commands || (a->commands & b->commands)) &&
	       (!a->address || !b->address || a->address == b->address) && lists_meet(a->status, b->status, globs_meet) &&
	       lists_meet(a->host, b->host, hosts_meet) && lists_meet(a->reply, b->reply, replies_meet) &&
	       lists_meet(a->shape, b->shape, words_equal) && lists_meet(a->category, b->category, words_equal);
}

static const char *fault_of_pair(const struct bounce_rule *rule, const struct bounce_rule *other)
{
	bool is_one_mind = rule->reason == other->reason;

	if (str_eq(other->id, rule->id))
		return "the same id twice";
	if (is_same(rule, other))
		return is_one_mind ? "the same rule twice" : "two reasons for the same words";
	if (!is_one_mind && rule->text.len && str_eq_nocase(rule->text, other->text) && rule->priority == other->priority &&
	    conditions_meet(rule, other))
		return "ambiguous: the same words and priority, another reason, and both conditions can be true at once";
	return NULL;
}

static size_t pairs_check(const struct bounce_rules *rules, size_t at, bounce_lint_fn *found, void *arg)
{
	for (size_t i = 0; i < at; i++) {
		const char *fault = fault_of_pair(&rules->rules[at], &rules->rules[i]);

		if (!fault)
			continue;
		found(arg, &rules->rules[at], fault, &rules->rules[i]);
		return 1;
	}
	return 0;
}

size_t bounce_lint(const struct bounce_rules *rules, bounce_lint_fn *found, void *arg)
{
	size_t count = 0;
	struct arena arena;

	arena_init(&arena, SAMPLE_MEMORY);
	for (size_t i = 0; i < rules->count; i++) {
		count += sample_check(rules, &rules->rules[i], &arena, found, arg);
		count += pairs_check(rules, i, found, arg);
		arena_reset(&arena);
	}
	arena_clear(&arena);
	return count;
}
