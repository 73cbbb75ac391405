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

static size_t doubles_check(const struct bounce_rules *rules, size_t at, bounce_lint_fn *found, void *arg)
{
	const struct bounce_rule *rule = &rules->rules[at];

	for (size_t i = 0; i < at; i++) {
		const struct bounce_rule *other = &rules->rules[i];

		if (str_eq(other->id, rule->id)) {
			found(arg, rule, "the same id twice", other);
			return 1;
		}
		if (is_same(rule, other)) {
			found(arg, rule, rule->reason == other->reason ? "the same rule twice" : "two reasons for the same words",
			      other);
			return 1;
		}
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
		count += doubles_check(rules, i, found, arg);
		arena_reset(&arena);
	}
	arena_clear(&arena);
	return count;
}
