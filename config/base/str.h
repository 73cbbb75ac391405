/*
 * str - borrowed bytes with a length.
 *
 * Mail is bytes: NUL is ordinary, nothing here looks for a terminator. A str never owns what it points to.
 * Case folding is ASCII only, as SMTP, MIME and our own names need it; other bytes compare as they are.
 */
#ifndef SEKISHO_STR_H
#define SEKISHO_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
	const char *ptr;
	size_t len;
};

#define STR_INIT(lit) { .ptr = "" lit, .len = sizeof(lit) - 1 }   /* for rows of static tables */
#define STR(lit) ((struct str)STR_INIT(lit))                      /* for expressions */
#define STR_EMPTY ((struct str){ .ptr = "", .len = 0 })
#define STR_FMT "%.*s"                                            /* with STR_ARG: printf of a str */
#define STR_ARG(s) ((int)((s).len > 4096 ? 4096 : (s).len)), ((s).ptr)

static inline struct str str_of(const char *ptr, size_t len)
{
	return (struct str){ .ptr = ptr, .len = len };
}

/* A NULL pointer becomes the empty str. */
struct str str_from_c(const char *c);

bool str_eq(struct str a, struct str b);
bool str_eq_nocase(struct str a, struct str b);
bool str_is_ascii(struct str s);
int str_cmp(struct str a, struct str b);          /* byte order, then shorter first: for sorting */
bool str_starts(struct str s, struct str prefix);
bool str_starts_nocase(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
bool str_ends_nocase(struct str s, struct str suffix);

/* Where a byte (or the first of several bytes in a row) stands; s.len when it does not. */
size_t str_find_byte(struct str s, char c);
size_t str_find(struct str s, struct str needle);

/* The tail from `at`, or `n` bytes from `at`; both stay inside s. */
struct str str_from(struct str s, size_t at);
struct str str_slice(struct str s, size_t at, size_t n);

/* Splits at the first `c`, which belongs to neither half. Without `c`: false, and the outputs stay as they were. */
bool str_cut(struct str s, char c, struct str *out_left, struct str *out_right);
/* The same at the last `c`. */
bool str_cut_last(struct str s, char c, struct str *out_left, struct str *out_right);
/* Takes the next piece up to `sep` off the front of `rest`; false once rest is used up. "a,,b" has three pieces, "" none. */
bool str_next(struct str *rest, char sep, struct str *out_piece);

/* Without SP, HTAB, CR and LF at both ends. */
struct str str_trim(struct str s);

/* FNV-1a, 64 bits: for tables whose keys outsiders do not choose, who can find collisions. Stays what it is: return paths hold it. */
uint64_t str_hash(struct str s);

/* Shell-like match of the whole of s: `*` any run, `?` one byte; ASCII case folded. Linear in s.len for one star, never recursive. */
bool str_glob(struct str pattern, struct str s);

static inline bool ascii_is_digit(char c) { return c >= '0' && c <= '9'; }
static inline bool ascii_is_upper(char c) { return c >= 'A' && c <= 'Z'; }
static inline bool ascii_is_lower(char c) { return c >= 'a' && c <= 'z'; }
static inline bool ascii_is_alpha(char c) { return ascii_is_upper(c) || ascii_is_lower(c); }
static inline bool ascii_is_alnum(char c) { return ascii_is_alpha(c) || ascii_is_digit(c); }
static inline char ascii_lower(char c) { return ascii_is_upper(c) ? (char)(c + 32) : c; }
/* 0 to 15, or -1. */
static inline int ascii_hex(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#endif
