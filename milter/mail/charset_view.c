#include "milter/mail/charset.h"

/* In a view this octet stands for what is no ASCII character. */
#define OPAQUE ((char)0x80)

/* How many octets the character at the start of s has, when it begins over 0x80 (WHATWG Encoding 10 to 14). 1 when the
 * trail is impossible: then that octet is read again, as itself. */
static size_t double_length(const struct charset *charset, struct str s)
{
	unsigned char lead = (unsigned char)s.ptr[0], trail = s.len > 1 ? (unsigned char)s.ptr[1] : 0;

	if (lead == 0x80 || lead == 0xff)
		return 1;
	if (charset->shape == CHARSET_SHIFT_JIS && ((lead >= 0xa0 && lead <= 0xdf) || lead > 0xfc))
		return 1;
	if ((charset->shape == CHARSET_GB || charset->shape == CHARSET_GBK) && trail >= 0x30 && trail <= 0x39) {
		unsigned char third = s.len > 3 ? (unsigned char)s.ptr[2] : 0;

		return third >= 0x81 && third <= 0xfe && ascii_is_digit(s.ptr[3]) ? 4 : 1;
	}
	return trail >= 0x40 && trail != 0x7f && trail != 0xff ? 2 : 1;
}

static void view_double(const struct charset *charset, char *bytes, size_t len)
{
	for (size_t at = 0; at < len;) {
		struct str rest = str_of(bytes + at, len - at);
		size_t n = (unsigned char)bytes[at] < 0x80 ? 1 : double_length(charset, rest);

		if (n > 1)
			memset(bytes + at, OPAQUE, n);
		at += n;
	}
}

/* Octets of ISO-2022-JP between two escape sequences, as they are read in a state. */
static void view_stretch(struct str text, char state, char *to)
{
	if (state == '$' || state == 'D') {
		/* Line ends stay what they are: senders forget to go back to ASCII before them. */
		for (size_t i = 0; i < text.len; i++)
			to[i] = text.ptr[i] == '\r' || text.ptr[i] == '\n' ? text.ptr[i] : OPAQUE;
		return;
	}
	memcpy(to, text.ptr, text.len);
	for (size_t i = 0; state == 'J' && i < text.len; i++)
		if (to[i] == '\\' || to[i] == '~')
			to[i] = OPAQUE;
	for (size_t i = 0; state == 'I' && i < text.len; i++)
		if (to[i] > ' ' && to[i] < 0x60)
			to[i] = OPAQUE;
}

/* Or more: not each begins a sequence. */
static size_t count_escapes(struct str text)
{
	size_t count = 0;

	for (size_t i = 0; i < text.len; i++)
		count += text.ptr[i] == '\033';
	return count;
}

static bool view_iso_2022_jp(struct str text, struct arena *arena, struct charset_view *out)
{
	size_t count = count_escapes(text) + 1, n = 1, view_at = 0;
	struct charset_stretch *stretches = arena_array(arena, count, sizeof *stretches);
	char *bytes = arena_alloc(arena, text.len + 1), state = 'B';
	bool is_behind = false;        /* right behind another sequence */

	if (!stretches || !bytes)
		return false;
	stretches[0].state = state;
	for (size_t at = 0; at < text.len;) {
		size_t escape = charset_escape(str_from(text, at), &state), end;

		if (escape && is_behind) {
			stretches[n - 1].state = CHARSET_LOST;
			memset(bytes + view_at, OPAQUE, escape);
			view_at += escape;
		}
		is_behind = escape > 0;
		if (escape) {
			at += escape;
			stretches[n++] = (struct charset_stretch){ .view_at = view_at, .text_at = at, .state = state };
			continue;
		}
		/* An escape octet that begins no sequence is an octet like others. */
		end = at + 1 + str_find_byte(str_from(text, at + 1), '\033');
		view_stretch(str_slice(text, at, end - at), state, bytes + view_at);
		view_at += end - at;
		at = end;
	}
	out->bytes = str_of(bytes, view_at);
	out->stretches = stretches;
	out->stretch_count = n;
	return true;
}

bool charset_view(const struct charset *charset, struct str text, struct arena *arena, struct charset_view *out)
{
	struct charset_view view = { .text = text, .bytes = text, .charset = charset };
	struct str copy;

	switch (charset->shape) {
	case CHARSET_ASCII_SAFE:
		break;
	case CHARSET_DOUBLE:
	case CHARSET_SHIFT_JIS:
	case CHARSET_GB:
	case CHARSET_GBK:
		if (!arena_copy(arena, text, &copy))
			return false;
		view_double(charset, (char *)(uintptr_t)copy.ptr, copy.len);
		view.bytes = copy;
		break;
	case CHARSET_ISO_2022_JP:
		if (!view_iso_2022_jp(text, arena, &view))
			return false;
		break;
	default:
		return false;
	}
	*out = view;
	return true;
}

/* The last stretch that begins before view_at, or at it when `before_escape` is not asked for. */
static const struct charset_stretch *find_stretch(const struct charset_view *view, size_t view_at, bool before_escape)
{
	size_t low = 0, high = view->stretch_count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;
		size_t begin = view->stretches[middle].view_at;

		if (begin < view_at || (begin == view_at && !before_escape))
			low = middle;
		else
			high = middle;
	}
	return &view->stretches[low];
}

size_t charset_view_at(const struct charset_view *view, size_t view_at, bool before_escape)
{
	if (view->stretch_count == 0)
		return view_at;

	const struct charset_stretch *stretch = find_stretch(view, view_at, before_escape);

	return stretch->text_at + (view_at - stretch->view_at);
}

char charset_view_state(const struct charset_view *view, size_t view_at, bool before_escape)
{
	return view->stretch_count ? find_stretch(view, view_at, before_escape)->state : 'B';
}
