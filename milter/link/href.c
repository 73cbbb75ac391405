#include "milter/link/href.h"

/* Ways to say "do not track this link": the attribute, and the value it must have (NULL: any). */
static const struct { struct str name; const char *value; } opt_outs[] = {
	{ STR_INIT("data-sekisho"), "off" },
	{ STR_INIT("ses:no-track"), NULL },            /* Amazon SES */
	{ STR_INIT("clicktracking"), "off" },          /* SendGrid */
	{ STR_INIT("data-msys-clicktrack"), "0" },     /* SparkPost */
	{ STR_INIT("data-pm-no-track"), NULL },        /* Postmark */
	{ STR_INIT("disable-tracking"), "true" },      /* Mailgun */
};

static bool is_opt_out(const struct html_attr *attr)
{
	for (size_t i = 0; i < sizeof opt_outs / sizeof *opt_outs; i++)
		if (str_eq_nocase(attr->name, opt_outs[i].name))
			return !opt_outs[i].value ||
			       str_eq_nocase(str_trim(attr->value), str_from_c(opt_outs[i].value));
	return false;
}

void href_init(struct href_scan *scan, struct str page)
{
	*scan = (struct href_scan){ .body_end = page.len + 1, .html_end = page.len + 1 };
	html_init(&scan->page, page);
}

static bool is_link_element(const struct html_token *token, bool in_comment)
{
	if (token->kind != HTML_START)
		return false;
	if (token->name == HTML_A || token->name == HTML_AREA)
		return true;
	return in_comment && token->tag.len > 2 && str_starts_nocase(token->tag, STR("v:"));
}

/* The value that `token` leads to: its first href, or an SVG anchor's first xlink:href when it has no href. */
static bool link_value(const struct html *html, const struct html_token *token, struct str *out)
{
	struct html_attr attr, href = { .has_value = false }, xlink = { .has_value = false };
	bool has_href = false, has_xlink = false;
	size_t cursor = token->attrs;

	while (html_attr_next(html, token, &cursor, &attr)) {
		if (!has_href && str_eq_nocase(attr.name, STR("href"))) {
			href = attr;
			has_href = true;
		} else if (!has_xlink && token->is_svg && str_eq_nocase(attr.name, STR("xlink:href"))) {
			xlink = attr;
			has_xlink = true;
		} else if (is_opt_out(&attr)) {
			return false;
		}
	}
	*out = has_href ? href.value : xlink.value;
	return has_href ? href.has_value : xlink.has_value;
}

static bool is_in_plain_html(const struct html *html)
{
	return !html->raw && !html->level_count && !html->is_unsure && !html->is_in_select && !html->is_in_frameset &&
	       !html->templates;
}

/* "[if ...]> ... <![endif]": what stands between, for readers that are Outlook. */
static bool comment_page(struct str text, struct str *out)
{
	struct str opener, inside;

	if (!str_starts(text, STR("[")) || !str_cut(text, '>', &opener, &inside) || !str_ends(opener, STR("]")))
		return false;
	if (!str_starts_nocase(str_trim(str_from(opener, 1)), STR("if")))
		return false;
	inside = str_trim(inside);
	if (!str_ends_nocase(inside, STR("<![endif]")))
		return false;
	inside.len -= strlen("<![endif]");
	*out = inside;
	return true;
}

static bool report(const struct href_scan *scan, enum href_kind kind, struct str value, struct href *out)
{
	*out = (struct href){ .kind = kind, .at = (size_t)(value.ptr - scan->page.page.ptr), .len = value.len };
	return true;
}

static bool comment_next(struct href_scan *scan, struct href *out)
{
	struct html_token token;
	struct str value;

	while (html_next(&scan->comment, &token))
		if (is_link_element(&token, true) && link_value(&scan->comment, &token, &value)) {
			return report(scan, HREF_LINK, value, out);
		}
	scan->is_in_comment = false;
	return false;
}

/* Does the last run of tags go on to `at`? Blanks between count for nothing: in a table they open nothing again. */
static bool is_run_until(const struct href_scan *scan, size_t at)
{
	return scan->run_to && str_trim(str_slice(scan->page.page, scan->run_to, at - scan->run_to)).len == 0;
}

/*
 * A pixel is text to a browser: where a formatting element has lost its parent ("<p><b>x</p>"), it would open that element
 * again around the pixel. So it stands before the tags that took the parent away, while all is still open: end tags, and
 * start tags that end a paragraph.
 */
static size_t place_before(const struct href_scan *scan, size_t at)
{
	return scan->open_total && is_run_until(scan, at) ? scan->run_from : at;
}

/* What neither opens nor ends an element leaves a run as it is: comments, and end tags of what is not open. */
static void run_pass(struct href_scan *scan, const struct html_token *token)
{
	scan->run_to = is_run_until(scan, token->at) ? token->end : 0;  /* text between: nobody needs to look there again */
}

/* So does the text of a <script> and its like, whose start tag stands in the run. */
static void run_pass_raw(struct href_scan *scan, const struct html_token *token)
{
	if (scan->run_to)
		scan->run_to = token->end;
}

static bool is_idle(const struct href_scan *scan, const struct html_token *token)
{
	return token->kind == HTML_END && scan->open[token->name] <= scan->open_outside[token->name];
}

/* An end tag among SVG's is SVG's own, one inside of an <object> may be: what is open outside stays so. */
static void note_formatting(struct href_scan *scan, const struct html_token *token, bool was_plain)
{
	size_t *open = &scan->open[token->name];
	bool is_open = *open > scan->open_outside[token->name], ends = is_open && was_plain && !scan->markers;

	if (token->kind == HTML_END) {
		scan->open_total -= ends;
		*open -= ends;
	} else if (!token->is_svg && !(is_open && (token->name == HTML_A || token->name == HTML_NOBR))) {
		++*open;
		scan->open_total++;
		scan->opened_at[token->name] = ++scan->opened;
	}
}

/* Does this end tag take the parent of another formatting element away ("<a><small>x</a>")? */
static bool is_misnested(const struct href_scan *scan, const struct html_token *token)
{
	if (token->kind != HTML_END || scan->open_total < 2 || !scan->open[token->name])
		return false;
	for (size_t i = 0; i < HTML_FORMATTING_MAX; i++)
		if (scan->open[i] && scan->opened_at[i] > scan->opened_at[token->name])
			return true;
	return false;
}

static void note_run(struct href_scan *scan, const struct html_token *token, bool was_plain)
{
	if (!is_run_until(scan, token->at))
		scan->run_from = token->at;
	scan->run_to = was_plain ? token->end : 0;    /* behind an SVG a new run begins */
}

/* Start tags that open no body. */
static bool stands_in_head(const struct html_token *token)
{
	static const struct str names[] = {
		STR_INIT("head"), STR_INIT("link"), STR_INIT("base"), STR_INIT("basefont"), STR_INIT("bgsound"), STR_INIT("noscript"),
	};

	switch (token->name) {
	case HTML_HTML: case HTML_META: case HTML_NOFRAMES: case HTML_SCRIPT: case HTML_STYLE: case HTML_TEMPLATE: case HTML_TITLE:
		return true;
	default:
		for (size_t i = 0; i < sizeof names / sizeof *names; i++)
			if (str_eq_nocase(token->tag, names[i]))
				return true;
		return false;
	}
}

static void note_table(struct href_scan *scan, bool begins)
{
	if (begins && scan->tables++ == 0)
		memcpy(scan->open_outside, scan->open, sizeof scan->open);
	else if (!begins && scan->tables && --scan->tables == 0)
		memset(scan->open_outside, 0, sizeof scan->open_outside);
}

static void note_marker(struct href_scan *scan, bool begins)
{
	if (begins)
		scan->markers++;
	else
		scan->markers -= scan->markers > 0;
}

/* By length, for there are many tags and few of these. */
static void note_other(struct href_scan *scan, const struct html_token *token)
{
	bool begins = token->kind == HTML_START, is_cell = false;
	struct str tag = token->tag;

	switch (tag.len) {
	case 2:
		is_cell = str_eq_nocase(tag, STR("td")) || str_eq_nocase(tag, STR("th"));
		break;
	case 3:
		scan->is_before_line = begins && str_eq_nocase(tag, STR("pre"));
		break;
	case 6:
		if (str_eq_nocase(tag, STR("object")) || str_eq_nocase(tag, STR("applet")))
			note_marker(scan, begins);
		break;
	case 7:
		scan->is_before_line = begins && str_eq_nocase(tag, STR("listing"));
		is_cell = str_eq_nocase(tag, STR("caption"));
		if (str_eq_nocase(tag, STR("marquee")))
			note_marker(scan, begins);
		break;
	default:
		break;
	}
	if (is_cell && begins && scan->tables == 1)
		memcpy(scan->open_outside, scan->open, sizeof scan->open);      /* what a table holds outside of its cells, too */
}

static void note_element(struct href_scan *scan, const struct html_token *token)
{
	if (token->kind == HTML_START && !scan->has_element)
		scan->has_element = !stands_in_head(token);
	if (token->name == HTML_TABLE)
		note_table(scan, token->kind == HTML_START);
	scan->is_before_line = false;
	if (token->name == HTML_OTHER)
		note_other(scan, token);
	scan->is_in_columns = token->kind == HTML_START && scan->tables &&
			      (str_eq_nocase(token->tag, STR("colgroup")) || str_eq_nocase(token->tag, STR("col")));
}

static void note_place(struct href_scan *scan, const struct html_token *token, bool was_plain, bool ends_raw)
{
	scan->last_end = token->end;
	if (token->kind == HTML_COMMENT) {
		scan->is_before_line = false;
		run_pass(scan, token);
		return;
	}
	note_element(scan, token);
	if (ends_raw) {
		run_pass_raw(scan, token);
		return;
	}
	if (token->name != HTML_OTHER && token->name < HTML_FORMATTING_MAX) {
		bool is_lost = is_misnested(scan, token);

		if (is_idle(scan, token))
			run_pass(scan, token);
		note_formatting(scan, token, was_plain);
		if (is_lost)
			note_run(scan, token, was_plain);
		return;
	}
	if (token->kind == HTML_END && token->name == HTML_BODY && was_plain)
		scan->body_end = place_before(scan, token->at);
	else if (token->kind == HTML_END && token->name == HTML_HTML && was_plain)
		scan->html_end = place_before(scan, token->at);
	note_run(scan, token, was_plain);
}

bool href_next(struct href_scan *scan, struct href *out)
{
	struct html_token token;
	struct str value;
	struct html_attr src;

	if (scan->is_in_comment && comment_next(scan, out))
		return true;
	for (;;) {
		bool was_raw = scan->page.raw, was_plain = is_in_plain_html(&scan->page);

		if (!html_next(&scan->page, &token))
			return false;
		note_place(scan, &token, was_plain, was_raw);
		if (token.kind == HTML_COMMENT && comment_page(token.tag, &value)) {
			html_init(&scan->comment, value);
			scan->is_in_comment = true;
			if (comment_next(scan, out))
				return true;
		} else if (is_link_element(&token, false) && link_value(&scan->page, &token, &value)) {
			return report(scan, HREF_LINK, value, out);
		} else if (token.kind == HTML_START && token.name == HTML_IMG &&
			   html_attr_find(&scan->page, &token, STR("src"), &src)) {
			return report(scan, HREF_IMAGE, src.value, out);
		}
	}
}

/* Behind the last tag, and the line end that it swallows. */
static size_t place_behind_tag(const struct href_scan *scan)
{
	struct str rest = str_from(scan->page.page, scan->last_end);
	size_t swallowed = !scan->is_before_line ? 0 : str_starts(rest, STR("\r\n")) ? 2 : str_starts(rest, STR("\n"));

	return scan->last_end + swallowed;
}

/* Where a page that has no end tag goes on: the text goes on ending as it did, with its line end. */
static size_t place_at_end(const struct href_scan *scan)
{
	struct str page = scan->page.page;

	/* In a table, text and blanks go different ways: nothing may come between them. */
	if (scan->tables)
		return place_before(scan, place_behind_tag(scan));
	if (str_ends(page, STR("\n")))
		page.len--;
	while (str_ends(page, STR("\r")))
		page.len--;
	if (scan->is_before_line && page.len == scan->last_end)
		page = scan->page.page;
	return place_before(scan, page.len);
}

bool href_pixel_place(const struct href_scan *scan, size_t *out_at)
{
	size_t none = scan->page.page.len + 1;

	if (scan->page.is_in_frameset)
		return false;
	if (scan->body_end < none || scan->html_end < none) {
		*out_at = scan->body_end < none ? scan->body_end : scan->html_end;
		return true;
	}
	*out_at = place_at_end(scan);
	/* Without a body the pixel would open one, and blanks behind it would be text; it would end a colgroup. */
	return !scan->is_in_columns && scan->page.ending == HTML_IN_DATA && is_in_plain_html(&scan->page) && (scan->has_element || scan->page.has_text);
}

const char *href_doubt(const struct href_scan *scan)
{
	return scan->page.doubt;
}

/* "text/html; charset=x": what browsers take from a meta element's content (HTML 12.2.3.2). */
static struct str charset_in_content(struct str content)
{
	static const struct str key = STR_INIT("charset");

	for (size_t at = 0; at + key.len <= content.len; at++) {
		struct str rest = str_from(content, at);
		size_t end = 0;

		if (!str_starts_nocase(rest, key))
			continue;
		rest = str_trim(str_from(rest, key.len));
		if (!rest.len || rest.ptr[0] != '=')
			continue;
		rest = str_trim(str_from(rest, 1));
		if (rest.len && (rest.ptr[0] == '"' || rest.ptr[0] == '\''))
			return str_slice(rest, 1, str_find_byte(str_from(rest, 1), rest.ptr[0]));
		while (end < rest.len && rest.ptr[end] > ' ' && rest.ptr[end] != ';')
			end++;
		return str_slice(rest, 0, end);
	}
	return STR_EMPTY;
}

struct str href_declared_charset(struct str page)
{
	struct html_token token;
	struct html_attr attr;
	struct html html;

	html_init(&html, str_slice(page, 0, 1024));
	while (html_next(&html, &token)) {
		if (token.kind != HTML_START || token.name != HTML_META)
			continue;
		if (html_attr_find(&html, &token, STR("charset"), &attr))
			return str_trim(attr.value);
		if (html_attr_find(&html, &token, STR("http-equiv"), &attr) &&
		    str_eq_nocase(attr.value, STR("content-type")) &&
		    html_attr_find(&html, &token, STR("content"), &attr) && charset_in_content(attr.value).len)
			return charset_in_content(attr.value);
	}
	return STR_EMPTY;
}
