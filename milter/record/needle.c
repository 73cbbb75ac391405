#include "milter/record/needle.h"

#define LANES 16

typedef unsigned char lanes __attribute__((vector_size(LANES)));
typedef uint64_t words __attribute__((vector_size(LANES)));

static void take_place(struct needle *needle, int which, size_t place)
{
	char c = ascii_lower(needle->text.ptr[place]);

	needle->places[which] = place;
	needle->octets[which] = (unsigned char)c;
	needle->folds[which] = ascii_is_alpha(c) ? 0x20 : 0;
}

void needle_init(struct needle *needle, struct str text, struct str sample)
{
	size_t counts[256] = { 0 }, best = 0, second = 0;

	*needle = (struct needle){ .text = text };
	for (size_t i = 0; i < sample.len; i++)
		counts[(unsigned char)ascii_lower(sample.ptr[i])]++;
#define COUNT(at) counts[(unsigned char)ascii_lower(text.ptr[at])]
	for (size_t i = 1; i < text.len; i++)
		best = COUNT(i) < COUNT(best) ? i : best;
	second = best == 0 ? text.len - 1 : 0;
	for (size_t i = 0; i < text.len; i++)
		second = i != best && COUNT(i) < COUNT(second) ? i : second;
#undef COUNT
	take_place(needle, 0, best < second ? best : second);
	take_place(needle, 1, best < second ? second : best);
}

static lanes all(unsigned char octet)
{
	return (lanes){ 0 } + octet;
}

static lanes load(const char *at)
{
	lanes out;

	memcpy(&out, at, LANES);
	return out;
}

static bool is_here(const struct needle *needle, struct str text, size_t at)
{
	return str_eq_nocase(str_slice(text, at, needle->text.len), needle->text);
}

static size_t find_slowly(const struct needle *needle, struct str text, size_t at)
{
	for (; at + needle->text.len <= text.len; at++)
		if (((unsigned char)text.ptr[at + needle->places[0]] | needle->folds[0]) == needle->octets[0] && is_here(needle, text, at))
			return at;
	return text.len;
}

size_t needle_find(const struct needle *needle, struct str text)
{
	const lanes first = all(needle->octets[0]), second = all(needle->octets[1]);
	const lanes fold_first = all(needle->folds[0]), fold_second = all(needle->folds[1]);
	size_t at = 0;

	for (; at + needle->places[1] + LANES <= text.len; at += LANES) {
		const char *here = text.ptr + at;
		lanes hits = (lanes)((load(here + needle->places[0]) | fold_first) == first) &
			     (lanes)((load(here + needle->places[1]) | fold_second) == second);
		words any = (words)hits;

		if ((any[0] | any[1]) == 0)
			continue;
		for (size_t i = 0; i < LANES; i++)
			if (hits[i] && is_here(needle, text, at + i))
				return at + i;
	}
	return find_slowly(needle, text, at);
}
