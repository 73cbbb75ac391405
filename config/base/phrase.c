/*
 * The table has one row a state and one column a byte class. First the phrases are laid down as a trie, then a walk in
 * breadth gives each state the longest other state that is a suffix of it (`fail`) and fills the gaps of its row from
 * there, so that scanning never goes back.
 *
 * What a state reports: `own` is the first phrase that ends exactly here (others equal to it follow by `same`), and
 * `report` the nearest state on the fail path, itself included, that has one.
 */
#include "config/base/phrase.h"

#include <stdlib.h>

#include "config/base/num.h"

#define NONE UINT32_MAX

struct phrase_set {
	uint8_t class_of[256];
	size_t classes;                /* class 0: in no phrase */
	size_t states;
	uint16_t *next;                /* [state * classes + class] */
	uint32_t *own;
	uint16_t *report;              /* 0: nothing; the root never reports */
	uint16_t *fail;
	uint32_t *same;                /* by phrase */
};

static void classes_assign(struct phrase_set *set, const struct str *phrases, size_t count)
{
	bool used[256] = { false };

	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < phrases[i].len; k++)
			used[(uint8_t)phrases[i].ptr[k]] = true;
	set->classes = 1;
	for (size_t byte = 0; byte < 256; byte++)
		if (used[byte] && set->classes < 256)
			set->class_of[byte] = (uint8_t)set->classes++;
}

static bool tables_alloc(struct phrase_set *set, size_t states_max, size_t count)
{
	size_t cells;

	if (!size_mul(states_max, set->classes, &cells))
		return false;
	set->next = calloc(cells, sizeof *set->next);
	set->own = malloc(states_max * sizeof *set->own);
	set->report = calloc(states_max, sizeof *set->report);
	set->fail = calloc(states_max, sizeof *set->fail);
	set->same = malloc((count ? count : 1) * sizeof *set->same);
	return set->next && set->own && set->report && set->fail && set->same;
}

static void phrase_lay_down(struct phrase_set *set, struct str phrase, uint32_t id)
{
	size_t state = 0;

	for (size_t k = 0; k < phrase.len; k++) {
		uint16_t *cell = &set->next[state * set->classes + set->class_of[(uint8_t)phrase.ptr[k]]];

		if (!*cell) {
			set->own[set->states] = NONE;
			*cell = (uint16_t)set->states++;
		}
		state = *cell;
	}
	set->same[id] = NONE;
	if (set->own[state] == NONE) {
		set->own[state] = id;
		return;
	}
	uint32_t last = set->own[state];

	while (set->same[last] != NONE)
		last = set->same[last];
	set->same[last] = id;
}

/* Fail links and full rows, in breadth: a row is complete before any longer state looks into it. */
static bool rows_complete(struct phrase_set *set)
{
	uint16_t *queue = malloc(set->states * sizeof *queue);
	size_t head = 0, tail = 0, classes = set->classes;

	if (!queue)
		return false;
	for (size_t c = 0; c < classes; c++)
		if (set->next[c])
			queue[tail++] = set->next[c];
	while (head < tail) {
		size_t state = queue[head++], fail = set->fail[state];

		set->report[state] = set->own[state] != NONE ? (uint16_t)state : set->report[fail];
		for (size_t c = 0; c < classes; c++) {
			uint16_t *cell = &set->next[state * classes + c], other = set->next[fail * classes + c];

			if (*cell) {
				set->fail[*cell] = other;
				queue[tail++] = *cell;
			} else {
				*cell = other;
			}
		}
	}
	free(queue);
	return true;
}

bool phrase_set_new(const struct str *phrases, size_t count, struct phrase_set **out, struct err *err)
{
	size_t states_max = 1;
	struct phrase_set *set;

	for (size_t i = 0; i < count; i++) {
		if (phrases[i].len == 0)
			return err_set(err, ERR_CONFIG, "phrase %zu is empty", i);
		if (!size_add(states_max, phrases[i].len, &states_max))
			return err_memory(err);
	}
	set = calloc(1, sizeof *set);
	if (!set)
		return err_memory(err);
	classes_assign(set, phrases, count);
	if (states_max > PHRASE_STATES_MAX)
		states_max = PHRASE_STATES_MAX;
	if (!tables_alloc(set, states_max, count)) {
		phrase_set_free(set);
		return err_memory(err);
	}
	set->states = 1;
	set->own[0] = NONE;
	for (size_t i = 0; i < count; i++) {
		if (set->states + phrases[i].len > PHRASE_STATES_MAX) {
			phrase_set_free(set);
			return err_set(err, ERR_CONFIG, "phrase %zu: all phrases together are too long", i);
		}
		phrase_lay_down(set, phrases[i], (uint32_t)i);
	}
	if (!rows_complete(set)) {
		phrase_set_free(set);
		return err_memory(err);
	}
	*out = set;
	return true;
}

void phrase_set_free(struct phrase_set *set)
{
	if (!set)
		return;
	free(set->next);
	free(set->own);
	free(set->report);
	free(set->fail);
	free(set->same);
	free(set);
}

void phrase_scan(const struct phrase_set *set, struct str text, phrase_hit_fn *hit, void *arg)
{
	size_t state = 0;

	for (size_t at = 0; at < text.len; at++) {
		state = set->next[state * set->classes + set->class_of[(uint8_t)text.ptr[at]]];
		for (size_t s = set->report[state]; s; s = set->report[set->fail[s]])
			for (uint32_t id = set->own[s]; id != NONE; id = set->same[id])
				if (!hit(arg, id, at + 1))
					return;
	}
}
