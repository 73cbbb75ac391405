#include "milter/rewrite_part.h"

#include "config/base/entities.h"
#include "milter/link/href.h"
#include "milter/link/text_link.h"
#include "milter/link/url.h"
#include "milter/mail/base64.h"
#include "milter/mail/qp.h"

/* One page being worked on. */
struct page {
	struct rewrite_job *job;
	const struct mime_part *part;
	const struct charset *charset;
	struct str octets;             /* the part without its transfer encoding */
	struct str text;               /* what is tokenised: `octets`, or UTF-8 made of a wide charset */
	struct charset_view view;      /* of `text` */
	struct edit_list edits;        /* of `text` */
	struct buf decoded, utf8, value, url, with;
	bool is_text;                  /* text/plain: URLs stand in it as they are */
	struct rewrite_part *out;
};

static void page_init(struct page *page)
{
	size_t max = 2 * REWRITE_PART_MAX;

	buf_init(&page->decoded, max);
	buf_init(&page->utf8, max);
	buf_init(&page->value, max);
	buf_init(&page->url, max);
	buf_init(&page->with, max);
	edit_init(&page->edits, page->job->arena);
}

static void page_clear(struct page *page)
{
	buf_clear(&page->decoded);
	buf_clear(&page->utf8);
	buf_clear(&page->value);
	buf_clear(&page->url);
	buf_clear(&page->with);
}

/* Where there is nothing to undo, the octets are the body's own. */
static const char *decode(struct page *page)
{
	const struct mime_part *part = page->part;

	if (part->body.len >= REWRITE_PART_MAX)
		return "too large to be rewritten";
	if (part->encoding == MIME_UNKNOWN)
		return "unknown transfer encoding";
	page->octets = part->body;
	if (part->encoding == MIME_QP || part->encoding == MIME_BASE64) {
		if (!mime_decode(part, &page->decoded))
			return part->encoding == MIME_QP ? "blanks behind soft line breaks" : "broken base64";
		page->octets = buf_view(&page->decoded);
	}
	return str_find(page->octets, STR("-----BEGIN PGP ")) < page->octets.len ? "inline PGP" : NULL;
}

/* An escape sequence that begins another character set than those of the charset, in which its octets would be others, or
 * that is cut off, so that what is appended would be its rest; in ISO-2022-JP the shifts too, which some senders put around
 * katakana and browsers pass over. */
static bool has_strange_escapes(const struct charset *charset, struct str s)
{
	bool is_known, is_iso_2022_jp = charset->shape == CHARSET_ISO_2022_JP;
	struct str before, rest = s;
	char state;

	if (is_iso_2022_jp && str_find_byte(s, '\016') < s.len)
		return true;
	while (str_cut(rest, '\033', &before, &rest)) {
		is_known = is_iso_2022_jp && charset_escape(str_of(rest.ptr - 1, rest.len + 1), &state);
		if (rest.len && memchr("$(.", rest.ptr[0], 3) && !is_known)
			return true;
	}
	return false;
}

/* RFC 2781 takes UTF-16 without a mark for big-endian, the web for little; markup shows that the web is right. */
static const struct charset *utf16_order(struct str octets)
{
	static const struct { struct str begin; const char *label; } rows[] = {
		{ STR_INIT("\xff\xfe"), "utf-16le" }, { STR_INIT("\xfe\xff"), "utf-16be" },
		{ STR_INIT("<\0"), "utf-16le" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (str_starts(octets, rows[i].begin))
			return charset_find(str_from_c(rows[i].label));
	return NULL;
}

static const char *choose_charset(struct page *page)
{
	struct str label = page->part->charset, octets = page->octets;
	bool has_mark = str_starts(octets, STR("\xff\xfe")) || str_starts(octets, STR("\xfe\xff"));
	bool has_utf8_mark = str_starts(octets, STR("\xef\xbb\xbf"));

	if (!label.len && !has_utf8_mark && !page->is_text)
		label = href_declared_charset(octets);
	page->charset = label.len ? charset_find(label) : charset_utf8;
	if (!page->charset)
		return "unknown charset";
	if (page->charset->shape == CHARSET_WIDE) {
		if (!page->part->charset.len)
			page->charset = charset_utf8;   /* a page that says so in ASCII is none (HTML 13.2.3.3) */
		else if (str_eq_nocase(label, STR("utf-16")) || (has_mark && str_starts_nocase(label, STR("utf-16"))))
			page->charset = utf16_order(octets);    /* a mark outdoes what the label says of the order */
		if (!page->charset)
			return "UTF-16 of unknown order";
	}
	if (page->charset->shape == CHARSET_WIDE ? has_utf8_mark
						 : has_mark || (has_utf8_mark && !page->charset->is_utf8))
		return "charset against byte order mark";
	if (page->charset->shape == CHARSET_OTHER)
		return "charset that is not edited";
	if (has_strange_escapes(page->charset, octets))
		return "escape sequences of another charset";
	return NULL;
}

/* A wide charset is edited as UTF-8, when it comes back from there as it was. */
static const char *widen(struct page *page)
{
	struct buf back;
	bool is_same;

	if (page->part->encoding != MIME_BASE64)
		return "wide charset outside of base64";
	buf_init(&back, 2 * REWRITE_PART_MAX);
	is_same = charset_to_utf8(page->charset, page->octets, &page->utf8) &&
		  charset_from_utf8(page->charset, buf_view(&page->utf8), &back) &&
		  str_eq(buf_view(&back), page->octets);
	buf_clear(&back);
	page->text = buf_view(&page->utf8);
	return is_same ? NULL : "charset that does not come back as it was";
}

static bool encode_query(const void *context, struct str utf8, struct buf *out)
{
	return charset_query(context, utf8, out);
}

static bool is_plain(struct str s)
{
	unsigned char all = 0;

	for (size_t i = 0; i < s.len; i++)
		all |= (unsigned char)s.ptr[i] | (s.ptr[i] == '&' || s.ptr[i] == '\0' ? 0x80 : 0);
	return all < 0x80;
}

static bool is_lost(const struct page *page, const struct href *href)
{
	for (size_t at = href->at; page->view.stretch_count && at < href->at + href->len; at++)
		if (charset_view_state(&page->view, at, false) == CHARSET_LOST)
			return true;
	return false;
}

/* A link's value as characters, references undone. False: it cannot be read surely. */
static bool read_value(struct page *page, const struct href *href, struct str *out)
{
	struct str slice = str_slice(page->view.bytes, href->at, href->len);
	size_t begin = charset_view_at(&page->view, href->at, !page->is_text);
	size_t end = charset_view_at(&page->view, href->at + href->len, page->is_text);

	*out = slice;
	if (end - begin == slice.len && (page->is_text || is_plain(slice)))
		return true;
	if (page->is_text || is_lost(page, href))
		return false;
	buf_reset(&page->value);
	buf_reset(&page->url);
	if (charset_view_state(&page->view, href->at, true) == 'J')
		buf_add(&page->url, STR("\033(J"));
	buf_add(&page->url, str_slice(page->text, begin, end - begin));
	if (page->text.ptr != page->octets.ptr)
		buf_add(&page->value, buf_view(&page->url));
	else if (!charset_to_utf8(page->charset, buf_view(&page->url), &page->value) ||
		 !charset_is_sure(page->charset, buf_view(&page->value)))
		return false;
	buf_reset(&page->url);
	entities_decode(buf_view(&page->value), &page->url);
	buf_reset(&page->value);
	buf_add(&page->value, buf_view(&page->url));
	*out = buf_view(&page->value);
	return !page->value.failed && !page->url.failed;
}

static bool is_never(struct page *page, struct str host)
{
	const struct rewrite_job *job = page->job;

	if (str_eq_nocase(host, job->rules->host))
		return true;
	buf_reset(&page->with);
	if (job->never_count)
		url_add_page(buf_view(&page->url), &page->with);
	for (size_t i = 0; i < job->never_count; i++)
		if (str_eq(job->never[i], buf_view(&page->with)))
			return true;
	return page->with.failed;
}

/* "https://HOST/c/TOKEN" into page->with. */
static bool add_tracked(struct page *page, enum token_purpose purpose, struct err *err)
{
	struct rewrite_job *job = page->job;
	struct token token = job->token;

	token.purpose = purpose;
	token.recipient = job->recipient_tag;
	if (purpose == TOKEN_CLICK) {
		token.link = (uint16_t)(job->links + 1 < UINT16_MAX ? job->links + 1 : UINT16_MAX);
		token.url = buf_view(&page->url);
	}
	buf_add(&page->with, STR("https://"));
	buf_add(&page->with, job->rules->host);
	buf_add(&page->with, str_of((char[]){ '/', (char)purpose, '/' }, 3));
	return token_seal(job->sealer, &token, job->rules->host, &page->with, err);
}

static bool is_ascii_state(char state)
{
	return state == 'B' || state == 'J';
}

/* Escape sequences around an attribute's value go with it; those around a URL in a text are the words' beside it. */
static bool edit_value(struct page *page, const struct href *href, struct err *err)
{
	size_t begin = charset_view_at(&page->view, href->at, !page->is_text);
	size_t end = charset_view_at(&page->view, href->at + href->len, page->is_text);
	char before = charset_view_state(&page->view, href->at, !page->is_text);
	char after = charset_view_state(&page->view, href->at + href->len, page->is_text);
	struct str with;

	if (!is_ascii_state(before) || !is_ascii_state(after))
		return true;
	buf_reset(&page->with);
	if (!add_tracked(page, TOKEN_CLICK, err))
		return false;
	if (page->with.len > TOKEN_URL_MAX)
		return true;
	if (before != after)
		buf_add(&page->with, after == 'J' ? STR("\033(J") : STR("\033(B"));
	if (!arena_copy(page->job->arena, buf_view(&page->with), &with))
		return err_memory(err);
	page->job->links++;
	page->out->links++;
	return edit_add(&page->edits, begin, end - begin, with, err);
}

static bool edit_link(struct page *page, const struct href *href, struct err *err)
{
	struct url_encoder encoder = { .encode = encode_query, .context = page->charset };
	bool is_utf8 = page->charset->is_utf8 || page->charset->shape == CHARSET_WIDE;
	struct str value, host;

	if (!read_value(page, href, &value) || !url_may_be_http(value))
		return true;
	buf_reset(&page->url);
	if (!url_destination(value, is_utf8 ? NULL : &encoder, &page->url, &host))
		return true;
	/* A token is longer than what it holds: this saves sealing what is too long anyway. */
	if (page->url.len > TOKEN_URL_MAX || is_never(page, host))
		return true;
	return edit_value(page, href, err);
}

static bool is_own_pixel(struct page *page, const struct href *href)
{
	struct str src = str_slice(page->view.bytes, href->at, href->len), host = page->job->rules->host;

	return str_starts_nocase(src, STR("https://")) && str_starts_nocase(str_from(src, 8), host) &&
	       str_starts(str_from(src, 8 + host.len), STR("/o/"));
}

/* Text that nothing leads back to ASCII from goes on to the end: an escape inside would part what is read together. */
static size_t behind_text(const struct page *page, size_t at)
{
	bool is_text = !is_ascii_state(charset_view_state(&page->view, at, false)) &&
		       !is_ascii_state(charset_view_state(&page->view, at, true));

	return is_text ? page->view.bytes.len : at;
}

static bool edit_pixel(struct page *page, size_t at, struct err *err)
{
	bool before_escape;
	struct str with;

	at = behind_text(page, at);
	/* An escape that stands just before, and that nothing has been read with yet, comes behind the pixel. */
	before_escape = !is_ascii_state(charset_view_state(&page->view, at, false));
	buf_reset(&page->with);
	if (!is_ascii_state(charset_view_state(&page->view, at, before_escape)))
		buf_add(&page->with, STR("\033(B"));
	buf_add(&page->with, STR("<img src=\""));
	if (!add_tracked(page, TOKEN_OPEN, err))
		return false;
	buf_add(&page->with, STR("\" width=\"1\" height=\"1\" alt=\"\" style=\"border:0\">"));
	if (!arena_copy(page->job->arena, buf_view(&page->with), &with))
		return err_memory(err);
	page->out->pixels++;
	page->out->has_pixel = true;
	return edit_insert(&page->edits, charset_view_at(&page->view, at, before_escape), with, err);
}

static bool edit_page(struct page *page, bool wants_pixel, struct err *err)
{
	size_t links_before = page->job->links, at;
	struct href_scan scan;
	struct href href;

	href_init(&scan, page->view.bytes);
	while (href_next(&scan, &href)) {
		if (href.kind == HREF_IMAGE)
			page->out->has_pixel |= is_own_pixel(page, &href);
		else if (page->job->clicks && !edit_link(page, &href, err))
			return false;
	}
	if (href_doubt(&scan)) {
		page->out->why_not = href_doubt(&scan);
		page->edits.count = 0;
		page->job->links = links_before;
		page->out->links = 0;
		return true;
	}
	if (!wants_pixel || page->out->has_pixel || str_ends(page->view.text, STR("\033")))
		return true;
	return !href_pixel_place(&scan, &at) || edit_pixel(page, at, err);
}

/* format=flowed with DelSp=yes: the blank at the end of a line is not there to who reads. */
static bool read_is_joined(struct page *page, bool *out, struct err *err)
{
	struct str delsp;
	bool found;

	if (!header_param(page->part->content_type, STR("delsp"), page->job->arena, &delsp, &found))
		return err_memory(err);
	*out = str_eq_nocase(delsp, STR("yes"));
	return true;
}

#define CHARACTER_MAX 16               /* octets, an escape sequence included */

static bool goes_on(const void *arg, size_t at)
{
	const struct charset_view *view = &((const struct page *)arg)->view;
	struct buf utf8;

	buf_init(&utf8, (size_t)CHARSET_GROWTH * CHARACTER_MAX);
	charset_to_utf8(view->charset, str_slice(view->text, charset_view_at(view, at, true), CHARACTER_MAX), &utf8);
	bool is_letter = text_link_goes_on(buf_view(&utf8));

	buf_clear(&utf8);
	return is_letter;
}

static bool edit_text(struct page *page, struct err *err)
{
	struct text_links links = { .text = page->view.bytes, .goes_on = goes_on, .arg = page };
	struct href href = { .kind = HREF_LINK };

	if (!read_is_joined(page, &links.is_joined, err))
		return false;
	while (text_link_next(&links, href.at + href.len, &href.at, &href.len))
		if (!edit_link(page, &href, err))
			return false;
	return true;
}

/* One edit that turns the body into `text`; what both begin and end with stays. */
static bool replace_body(struct page *page, struct str text, struct err *err)
{
	struct str body = page->part->body, with;
	size_t same = 0, tail = 0;

	while (same < body.len && same < text.len && body.ptr[same] == text.ptr[same])
		same++;
	while (tail < body.len - same && tail < text.len - same &&
	       body.ptr[body.len - 1 - tail] == text.ptr[text.len - 1 - tail])
		tail++;
	if (!arena_copy(page->job->arena, str_slice(text, same, text.len - same - tail), &with))
		return err_memory(err);
	return edit_add(&page->out->edits, same, body.len - same - tail, with, err);
}

/* What stands behind the last digit stays. */
static struct str tail_of(struct str body)
{
	size_t len = body.len;

	while (len && (body.ptr[len - 1] == '\n' || body.ptr[len - 1] == '\r'))
		len--;
	return str_from(body, len);
}

static void encode_base64(struct page *page, struct str eol, struct buf *out)
{
	struct buf edited, octets;

	buf_init(&edited, out->max);
	buf_init(&octets, out->max);
	edit_apply(page->text, &page->edits, &edited);
	if (page->charset->shape != CHARSET_WIDE)
		base64_encode(buf_view(&edited), eol, out);
	else if (charset_from_utf8(page->charset, buf_view(&edited), &octets))
		base64_encode(buf_view(&octets), eol, out);
	else
		out->failed = true;
	if (edited.failed || octets.failed)
		out->failed = true;
	if (out->len >= eol.len)
		out->len -= eol.len;
	buf_add(out, tail_of(page->part->body));
	buf_clear(&edited);
	buf_clear(&octets);
}

static void encode_qp(struct page *page, struct str eol, struct buf *out)
{
	struct buf edited;

	buf_init(&edited, out->max);
	edit_apply(page->text, &page->edits, &edited);
	qp_encode(buf_view(&edited), eol, out);
	out->failed |= edited.failed;
	buf_clear(&edited);
}

/* The edits of the text become edits of the body. */
static bool encode(struct page *page, struct str eol, struct err *err)
{
	enum mime_encoding encoding = page->part->encoding;
	struct buf body;
	bool ok;

	if (encoding != MIME_QP && encoding != MIME_BASE64) {
		if (edit_lines_fit(page->text, &page->edits, REWRITE_LINE_MAX)) {
			page->out->edits = page->edits;
			return true;
		}
		page->out->to_qp = true;
	}
	buf_init(&body, 8 * REWRITE_PART_MAX);
	if (encoding == MIME_BASE64)
		encode_base64(page, eol, &body);
	else if (encoding == MIME_QP)
		qp_edit(page->part->body, &page->edits, eol, &body);
	else
		encode_qp(page, eol, &body);
	ok = body.failed ? err_memory(err) : replace_body(page, buf_view(&body), err);
	buf_clear(&body);
	return ok;
}

bool rewrite_part(struct rewrite_job *job, const struct mime_part *part, bool wants_pixel, struct str eol,
		  struct rewrite_part *out, struct err *err)
{
	struct page page = {
		.job = job, .part = part, .is_text = mime_is(part, STR("text"), STR("plain")), .out = out,
	};
	bool ok = true;

	*out = (struct rewrite_part){ .why_not = NULL };
	edit_init(&out->edits, job->arena);
	page_init(&page);
	out->why_not = decode(&page);
	page.text = page.octets;
	if (!out->why_not)
		out->why_not = choose_charset(&page);
	if (!out->why_not && page.charset->shape == CHARSET_WIDE)
		out->why_not = widen(&page);
	if (!out->why_not) {
		const struct charset *shape = page.text.ptr == page.octets.ptr ? page.charset : charset_utf8;

		ok = charset_view(shape, page.text, job->arena, &page.view) || err_memory(err);
		ok = ok && (page.is_text ? edit_text(&page, err) : edit_page(&page, wants_pixel, err));
	}
	if (ok && page.edits.count)
		ok = encode(&page, eol, err);
	page_clear(&page);
	return ok;
}
