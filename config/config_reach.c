#include "config/config_reach.h"

#include "config/hash.h"

enum mark {
	MARK_PATTERN,                  /* itself, as it is written */
	MARK_AT,                       /* "domain": of some of its own addresses */
	MARK_BELOW,                    /* "domain": of some of its subdomains' */
	MARK_ALL_BELOW,                /* "domain", of "@*.domain" */
};

static struct str domain_of(struct str pattern, bool *out_is_below)
{
	struct str local, domain = pattern;

	str_cut_last(pattern, '@', &local, &domain);
	*out_is_below = str_starts(pattern, STR("@*."));
	return str_from(domain, *out_is_below ? 2 : 0);
}

/* Where the mark stands, or would. */
static uint64_t *find(const struct config_reach *reach, enum mark mark, struct str text, uint64_t *out_hash)
{
	uint64_t hash = hash_nocase(reach->seed + mark, text) | 1;
	size_t at = hash >> 1 & reach->mask;

	while (reach->slots[at] && reach->slots[at] != hash)
		at = (at + 1) & reach->mask;
	*out_hash = hash;
	return &reach->slots[at];
}

static void note(struct config_reach *reach, enum mark mark, struct str text)
{
	uint64_t hash, *slot = find(reach, mark, text, &hash);

	*slot = hash;
}

static bool has(const struct config_reach *reach, enum mark mark, struct str text)
{
	uint64_t hash;

	return *find(reach, mark, text, &hash) == hash;
}

static void note_pattern(struct config_reach *reach, struct str pattern)
{
	bool is_below;
	struct str label, domain = domain_of(pattern, &is_below);

	note(reach, MARK_PATTERN, pattern);
	note(reach, is_below ? MARK_BELOW : MARK_AT, domain);
	if (is_below)
		note(reach, MARK_ALL_BELOW, domain);
	while (str_cut(domain, '.', &label, &domain))
		note(reach, MARK_BELOW, domain);
}

bool config_reach_init(struct config_reach *reach, struct str_list list, struct arena *arena)
{
	size_t slots = 16, marks = 0;

	for (size_t i = 0; i < list.count; i++) {
		marks += 3;
		for (size_t at = 0; at < list.items[i].len; at++)
			marks += list.items[i].ptr[at] == '.';
	}
	while (slots < marks * 2)
		slots *= 2;
	*reach = (struct config_reach){ .seed = hash_seed(), .slots = arena_array(arena, slots, sizeof *reach->slots), .mask = slots - 1 };
	for (size_t i = 0; reach->slots && i < list.count; i++)
		note_pattern(reach, list.items[i]);
	return reach->slots != NULL;
}

bool config_reach_meets(const struct config_reach *reach, struct str pattern)
{
	bool is_below;
	struct str label, whole, domain = domain_of(pattern, &is_below);
	bool is_domain = !is_below && pattern.ptr[0] == '@';

	whole = str_from(pattern, pattern.len - domain.len - 1);
	if (has(reach, MARK_PATTERN, pattern) || (!is_below && has(reach, MARK_PATTERN, whole)) ||
	    (is_domain && has(reach, MARK_AT, domain)) || (is_below && has(reach, MARK_BELOW, domain)))
		return true;
	while (str_cut(domain, '.', &label, &domain))
		if (has(reach, MARK_ALL_BELOW, domain))
			return true;
	return false;
}
