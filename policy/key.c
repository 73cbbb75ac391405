#include "policy/key.h"

#include "config/base/digest.h"
#include "config/base/hex.h"

/* Nothing that a key's own form, a glob or a terminal could take for something else. */
static bool is_plain(struct str part)
{
	if (part.len > KEY_PART_MAX)
		return false;
	for (size_t i = 0; i < part.len; i++)
		if (!ascii_is_alnum(part.ptr[i]) && !memchr("@.-_+=<>[]:/", part.ptr[i], 12))
			return false;
	return true;
}

bool key_part(struct str part, bool is_last, struct arena *arena, struct str *out)
{
	unsigned char hash[DIGEST_LEN];

	if (is_plain(part) && (is_last || str_find_byte(part, ':') == part.len)) {
		*out = part;
		return true;
	}
	digest_of(part, hash);

	char *text = arena_alloc(arena, 1 + 2 * sizeof hash);

	if (!text)
		return false;
	text[0] = '#';
	hex_write(hash, sizeof hash, text + 1);
	*out = str_of(text, 1 + 2 * sizeof hash);
	return true;
}
