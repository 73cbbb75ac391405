#include "milter/link/url.h"

#include <arpa/inet.h>

#include "config/base/domain.h"
#include "config/base/num.h"

/* What must not stand as it is, by component (WHATWG URL 1.3); octets over 0x7e and under 0x21 never may. */
enum component { IN_HOST = 0, IN_USER = 1, IN_PATH = 1, IN_QUERY = 2, IN_FRAGMENT = 4 };
static const unsigned char reserved[256] = {
	['"'] = IN_PATH | IN_QUERY | IN_FRAGMENT, ['<'] = IN_PATH | IN_QUERY | IN_FRAGMENT,
	['>'] = IN_PATH | IN_QUERY | IN_FRAGMENT, ['`'] = IN_PATH | IN_FRAGMENT,
	['{'] = IN_PATH, ['}'] = IN_PATH, ['\''] = IN_QUERY,
	['#'] = IN_QUERY,              /* in no query that was written, but half of a character in ISO-2022-JP */
};

static void add_encoded(struct str s, enum component component, struct buf *out)
{
	static const char digits[16] = "0123456789ABCDEF";
	size_t run = 0;

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c > ' ' && c < 0x7f && !(reserved[c] & component))
			continue;
		buf_add(out, str_slice(s, run, i - run));
		buf_add(out, str_of((char[]){ '%', digits[c >> 4], digits[c & 15] }, 3));
		run = i + 1;
	}
	buf_add(out, str_from(s, run));
}

static bool is_slash(char c)
{
	return c == '/' || c == '\\';
}

static bool is_dropped(char c)
{
	return c == '\t' || c == '\n' || c == '\r';
}

/* Is `s` the scheme, dropped octets left out? The length it takes, colon included; 0 when not. */
static size_t scheme_length(struct str s, struct str scheme)
{
	size_t at = 0, matched = 0;

	for (; at < s.len && matched < scheme.len; at++)
		if (ascii_lower(s.ptr[at]) == scheme.ptr[matched])
			matched++;
		else if (!is_dropped(s.ptr[at]))
			return 0;
	return matched == scheme.len ? at : 0;
}

static struct str trim_controls(struct str s)
{
	while (s.len && (unsigned char)s.ptr[0] <= ' ')
		s = str_from(s, 1);
	while (s.len && (unsigned char)s.ptr[s.len - 1] <= ' ')
		s.len--;
	return s;
}

bool url_may_be_http(struct str value)
{
	value = trim_controls(value);
	return scheme_length(value, STR("http")) > 0;
}

/* WHATWG URL 3.1: code points that no domain has, even after percent decoding. */
static bool is_forbidden(unsigned char c)
{
	return c <= ' ' || c == 0x7f || (c < 0x7f && strchr("#/:<>?@[\\]^|%", c));
}

/* One number of an IPv4 address: decimal, 0octal, 0xhex; "0x" is zero. */
static bool ipv4_number(struct str s, uint64_t *out)
{
	uint64_t value = 0, base = 10;

	if (s.len == 0)
		return false;
	if (str_starts_nocase(s, STR("0x"))) {
		base = 16;
		s = str_from(s, 2);
	} else if (s.len > 1 && s.ptr[0] == '0') {
		base = 8;
		s = str_from(s, 1);
	}
	for (size_t i = 0; i < s.len; i++) {
		int digit = ascii_hex(s.ptr[i]);

		if (digit < 0 || (uint64_t)digit >= base)
			return false;
		value = value > UINT32_MAX ? value : value * base + (uint64_t)digit;
	}
	*out = value;
	return true;
}

static bool is_digits(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!ascii_is_digit(s.ptr[i]))
			return false;
	return s.len > 0;
}

/* A host whose last label is a number must be an IPv4 address (3.5 "ends in a number"). */
static bool ipv4_is_good(struct str host)
{
	struct str last = host, left, label;
	uint64_t value, room = 256;
	size_t count = 0;

	if (str_ends(host, STR(".")))
		host.len--;
	last = host;
	str_cut_last(host, '.', &left, &last);
	if (!is_digits(last) && !(str_starts_nocase(last, STR("0x")) && ipv4_number(last, &value)))
		return true;
	while (str_next(&host, '.', &label)) {
		bool is_last = label.ptr == last.ptr;

		if (++count > 4 || !ipv4_number(label, &value) || (!is_last && value > 255))
			return false;
	}
	for (; count < 4; count++)
		room *= 256;
	return value < room;
}

static bool ipv6_is_good(struct str host)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr addr;

	if (host.len < 4 || host.len - 2 >= sizeof text || host.ptr[host.len - 1] != ']')
		return false;
	memcpy(text, host.ptr + 1, host.len - 2);
	text[host.len - 2] = '\0';
	return strlen(text) == host.len - 2 && inet_pton(AF_INET6, text, &addr) == 1;
}

/* The octet at *at, percent decoding done, and *at behind it; -1: a percent sign that begins none. */
static int octet_read(struct str host, size_t *at)
{
	int high, low;

	if (host.ptr[*at] != '%')
		return (unsigned char)host.ptr[(*at)++];
	high = *at + 2 < host.len ? ascii_hex(host.ptr[*at + 1]) : -1;
	low = high < 0 ? -1 : ascii_hex(host.ptr[*at + 2]);
	*at += 3;
	return low < 0 ? -1 : high * 16 + low;
}

/* The octets at the start of s that are a symbol which browsers take in a domain and IDNA does not: U+2600 to U+27BF, U+1F300
 * to U+1FAFF, and the selector behind it. */
static size_t symbol_length(struct str s)
{
	unsigned char second = s.len > 2 ? (unsigned char)s.ptr[1] : 0, third = s.len > 3 ? (unsigned char)s.ptr[2] : 0;

	if (str_starts(s, STR("\xef\xb8\x8f")) || (s.ptr[0] == '\xe2' && second >= 0x98 && second <= 0x9e))
		return 3;
	return s.ptr[0] == '\xf0' && second == 0x9f && third >= 0x8c && third <= 0xab ? 4 : 0;
}

/* What is not ASCII is good when the DNS can hold it; a browser has no URL otherwise. */
static bool wide_domain_is_good(struct str host)
{
	struct buf typed, plain, labels;
	struct str rest;
	bool ok;

	buf_init(&typed, host.len + 1);
	buf_init(&plain, host.len + 1);
	buf_init(&labels, DOMAIN_TYPED_MAX);
	for (size_t at = 0; at < host.len;)
		buf_add_byte(&typed, (char)octet_read(host, &at));
	for (rest = buf_view(&typed); rest.len;) {
		size_t symbol = symbol_length(rest);

		buf_add_byte(&plain, symbol ? 'x' : rest.ptr[0]);
		rest = str_from(rest, symbol ? symbol : 1);
	}
	ok = !typed.failed && !plain.failed && domain_labels(buf_view(&plain), &labels) && ipv4_is_good(buf_view(&labels));
	buf_clear(&typed);
	buf_clear(&plain);
	buf_clear(&labels);
	return ok;
}

static bool domain_is_good(struct str host)
{
	bool is_wide = false;

	for (size_t at = 0; at < host.len;) {
		int octet = octet_read(host, &at);

		if (octet < 0 || is_forbidden((unsigned char)octet))
			return false;
		is_wide |= octet >= 0x80;
	}
	return is_wide ? wide_domain_is_good(host) : host.len > 0 && ipv4_is_good(host);
}

static bool port_is_good(struct str port)
{
	uint64_t value = 0;

	while (port.len > 1 && port.ptr[0] == '0')
		port = str_from(port, 1);
	return port.len == 0 || (num_parse_u64(port, &value) && value <= 65535);
}

static bool add_authority(struct str authority, struct buf *out, size_t *out_host_at, size_t *out_host_len)
{
	struct str user, host = authority, port = STR_EMPTY;
	bool has_user = str_cut_last(authority, '@', &user, &host);
	size_t bracket = host.len && host.ptr[0] == '[' ? str_find_byte(host, ']') + 1 : 0;
	struct str tail = bracket > host.len ? host : str_from(host, bracket), before;

	if (str_cut(tail, ':', &before, &port))
		host.len = (size_t)(port.ptr - host.ptr) - 1;
	if (!port_is_good(port) || !(bracket ? ipv6_is_good(host) : domain_is_good(host)))
		return false;
	if (has_user) {
		add_encoded(user, IN_USER, out);
		buf_add_byte(out, '@');
	}
	*out_host_at = out->len;
	add_encoded(host, IN_HOST, out);
	*out_host_len = out->len - *out_host_at;
	if (port.len) {
		buf_add_byte(out, ':');
		buf_add(out, port);
	}
	return true;
}

static void add_path(struct str path, struct buf *out)
{
	size_t at = out->len;

	add_encoded(path, IN_PATH, out);
	for (; !out->failed && at < out->len; at++)
		if (out->ptr[at] == '\\')
			out->ptr[at] = '/';
}

static bool is_ascii(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] >= 0x80)
			return false;
	return true;
}

static bool add_query(struct str query, const struct url_encoder *encoder, struct buf *out)
{
	struct buf octets;
	bool ok;

	if (!encoder || is_ascii(query)) {
		add_encoded(query, IN_QUERY, out);
		return true;
	}
	buf_init(&octets, out->max);
	ok = encoder->encode(encoder->context, query, &octets);
	if (ok)
		add_encoded(buf_view(&octets), IN_QUERY, out);
	buf_clear(&octets);
	return ok;
}

/* `s` has no scheme and no leading slashes any more. */
static bool add_rest(struct str s, const struct url_encoder *encoder, struct buf *out, size_t *out_host_at,
		     size_t *out_host_len)
{
	struct str fragment = STR_EMPTY, query = STR_EMPTY;
	bool has_fragment = str_cut(s, '#', &s, &fragment), has_query = str_cut(s, '?', &s, &query);
	size_t end = 0;

	while (end < s.len && !is_slash(s.ptr[end]))
		end++;
	if (!add_authority(str_slice(s, 0, end), out, out_host_at, out_host_len))
		return false;
	add_path(str_from(s, end), out);
	if (has_query) {
		buf_add_byte(out, '?');
		if (!add_query(query, encoder, out))
			return false;
	}
	if (has_fragment) {
		buf_add_byte(out, '#');
		add_encoded(fragment, IN_FRAGMENT, out);
	}
	return !out->failed;
}

static bool add_destination(struct str s, const struct url_encoder *encoder, struct buf *out, size_t *out_host_at,
			    size_t *out_host_len)
{
	size_t scheme = scheme_length(s, STR("https:")), slashes = 0;
	struct str name = STR("https://");

	if (!scheme) {
		scheme = scheme_length(s, STR("http:"));
		name = STR("http://");
	}
	s = str_from(s, scheme);
	while (slashes < s.len && is_slash(s.ptr[slashes]))
		slashes++;
	/* With fewer than two a page of the same scheme reads it as relative: what it means depends on the reader. */
	if (!scheme || slashes < 2)
		return false;
	buf_add(out, name);
	return add_rest(str_from(s, slashes), encoder, out, out_host_at, out_host_len);
}

bool url_destination(struct str value, const struct url_encoder *encoder, struct buf *out, struct str *out_host)
{
	size_t before = out->len, host_at = 0, host_len = 0;
	struct buf clean;
	bool ok;

	value = trim_controls(value);
	buf_init(&clean, value.len + 1);
	for (size_t i = 0; i < value.len; i++)
		if (is_dropped(value.ptr[i])) {
			/* Rare: only then is it copied. */
			for (i = 0; i < value.len; i++)
				if (!is_dropped(value.ptr[i]))
					buf_add_byte(&clean, value.ptr[i]);
			value = buf_view(&clean);
			break;
		}
	ok = !clean.failed && add_destination(value, encoder, out, &host_at, &host_len);
	buf_clear(&clean);
	if (!ok) {
		out->len = before;
		return false;
	}
	*out_host = str_of(out->ptr + host_at, host_len);
	return true;
}

void url_add_page(struct str url, struct buf *out)
{
	struct str port = str_starts(url, STR("https:")) ? STR(":443") : STR(":80"), page = url, fragment = STR_EMPTY, host;
	size_t end = str_find(url, STR("://")) + 3;

	str_cut(url, '#', &page, &fragment);
	if (str_starts(fragment, STR("/")) || str_starts(fragment, STR("!")))
		page = url;
	while (end < page.len && page.ptr[end] != '/' && page.ptr[end] != '?')
		end++;
	host = str_slice(page, 0, end);
	if (str_ends(host, port))
		host.len -= port.len;
	for (size_t i = 0; i < host.len; i++)
		buf_add_byte(out, ascii_lower(host.ptr[i]));
	page = str_from(page, end);
	if (!str_starts(page, STR("/")))
		buf_add_byte(out, '/');
	buf_add(out, page);
}
