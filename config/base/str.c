#include "config/base/str.h"

struct str str_from_c(const char *c)
{
	return c ? str_of(c, strlen(c)) : STR_EMPTY;
}

bool str_eq(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static bool bytes_eq_nocase(const char *a, const char *b, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (ascii_lower(a[i]) != ascii_lower(b[i]))
			return false;
	return true;
}

bool str_eq_nocase(struct str a, struct str b)
{
	return a.len == b.len && bytes_eq_nocase(a.ptr, b.ptr, a.len);
}

bool str_is_ascii(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] & 0x80)
			return false;
	return true;
}

int str_cmp(struct str a, struct str b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int order = len ? memcmp(a.ptr, b.ptr, len) : 0;

	return order ? order : (a.len > b.len) - (a.len < b.len);
}

bool str_starts(struct str s, struct str prefix)
{
	return s.len >= prefix.len && str_eq(str_of(s.ptr, prefix.len), prefix);
}

bool str_starts_nocase(struct str s, struct str prefix)
{
	return s.len >= prefix.len && bytes_eq_nocase(s.ptr, prefix.ptr, prefix.len);
}

bool str_ends(struct str s, struct str suffix)
{
	return s.len >= suffix.len && str_eq(str_from(s, s.len - suffix.len), suffix);
}

bool str_ends_nocase(struct str s, struct str suffix)
{
	return s.len >= suffix.len && str_eq_nocase(str_from(s, s.len - suffix.len), suffix);
}

size_t str_find_byte(struct str s, char c)
{
	const char *hit = s.len ? memchr(s.ptr, c, s.len) : NULL;

	return hit ? (size_t)(hit - s.ptr) : s.len;
}

size_t str_find(struct str s, struct str needle)
{
	if (needle.len == 0)
		return 0;
	const char *hit = s.len >= needle.len ? memmem(s.ptr, s.len, needle.ptr, needle.len) : NULL;

	return hit ? (size_t)(hit - s.ptr) : s.len;
}

struct str str_from(struct str s, size_t at)
{
	/* An empty str may have no octets to point at, and NULL + 0 is nothing that C knows. */
	if (at >= s.len)
		return s.len ? str_of(s.ptr + s.len, 0) : s;
	return str_of(s.ptr + at, s.len - at);
}

struct str str_slice(struct str s, size_t at, size_t n)
{
	struct str tail = str_from(s, at);

	return n < tail.len ? str_of(tail.ptr, n) : tail;
}

bool str_cut(struct str s, char c, struct str *out_left, struct str *out_right)
{
	size_t at = str_find_byte(s, c);

	if (at == s.len)
		return false;
	*out_left = str_of(s.ptr, at);
	*out_right = str_from(s, at + 1);
	return true;
}

bool str_cut_last(struct str s, char c, struct str *out_left, struct str *out_right)
{
	const char *hit = s.len ? memrchr(s.ptr, c, s.len) : NULL;

	if (!hit)
		return false;
	size_t at = (size_t)(hit - s.ptr);

	*out_left = str_of(s.ptr, at);
	*out_right = str_from(s, at + 1);
	return true;
}

bool str_next(struct str *rest, char sep, struct str *out_piece)
{
	if (!rest->ptr || rest->len == 0)
		return false;
	if (!str_cut(*rest, sep, out_piece, rest)) {
		*out_piece = *rest;
		*rest = str_from(*rest, rest->len);
	}
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
	while (s.len && is_blank(s.ptr[0]))
		s = str_from(s, 1);
	while (s.len && is_blank(s.ptr[s.len - 1]))
		s.len--;
	return s;
}

uint64_t str_hash(struct str s)
{
	uint64_t hash = 14695981039346656037ULL;

	for (size_t i = 0; i < s.len; i++)
		hash = (hash ^ (unsigned char)s.ptr[i]) * 1099511628211ULL;
	return hash;
}

bool str_glob(struct str pattern, struct str s)
{
	size_t p = 0, at = 0, star = SIZE_MAX, star_at = 0;

	/* The classic two-cursor match: on a mismatch only the last star is asked to take one byte more. */
	while (at < s.len) {
		if (p < pattern.len && pattern.ptr[p] == '*') {
			star = p++;
			star_at = at;
		} else if (p < pattern.len &&
			   (pattern.ptr[p] == '?' || ascii_lower(pattern.ptr[p]) == ascii_lower(s.ptr[at]))) {
			p++;
			at++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			at = ++star_at;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.ptr[p] == '*')
		p++;
	return p == pattern.len;
}
