#include "milter/link/html.h"

#include "milter/link/html_foreign.h"

/* Classes of octets, so that the inner loops are one look and one test. */
enum { SPACE = 1, TAG_STOP = 2, NAME_STOP = 4, VALUE_STOP = 8 };
static const unsigned char classes[256] = {
	['\t'] = SPACE | TAG_STOP | NAME_STOP | VALUE_STOP, ['\n'] = SPACE | TAG_STOP | NAME_STOP | VALUE_STOP,
	['\f'] = SPACE | TAG_STOP | NAME_STOP | VALUE_STOP, ['\r'] = SPACE | TAG_STOP | NAME_STOP | VALUE_STOP,
	[' '] = SPACE | TAG_STOP | NAME_STOP | VALUE_STOP,  ['/'] = TAG_STOP | NAME_STOP,
	['>'] = TAG_STOP | NAME_STOP | VALUE_STOP,	    ['='] = NAME_STOP,
};

static bool is_class(char c, int class)
{
	return classes[(unsigned char)c] & class;
}

static const char *skip_until(const char *p, const char *end, int class)
{
	while (p < end && !is_class(*p, class))
		p++;
	return p;
}

static const char *skip_space(const char *p, const char *end)
{
	while (p < end && is_class(*p, SPACE))
		p++;
	return p;
}

enum step { STEP_ATTR, STEP_END, STEP_SELF_CLOSING, STEP_CUT };

/* From behind `=`: the value, by one of three ways of quoting. NULL: the page ends inside. */
static const char *value_read(const char *p, const char *end, struct html_attr *out)
{
	const char *begin, *stop;

	p = skip_space(p, end);
	if (p == end)
		return NULL;
	out->has_value = true;
	if (*p == '"' || *p == '\'') {
		begin = p + 1;
		stop = memchr(begin, *p, (size_t)(end - begin));
		if (!stop)
			return NULL;
		p = stop + 1;
	} else {
		begin = p;
		p = stop = skip_until(p, end, VALUE_STOP);
	}
	out->value = str_of(begin, (size_t)(stop - begin));
	return p;
}

/* One attribute, or the end of the tag (13.2.5.32 to 40). */
static enum step step(const char **at, const char *end, struct html_attr *out)
{
	const char *p = *at, *begin;

	for (;; p++) {
		p = skip_space(p, end);
		if (p == end)
			return STEP_CUT;
		if (*p == '>') {
			*at = p + 1;
			return STEP_END;
		}
		if (*p != '/')
			break;
		if (p + 1 < end && p[1] == '>') {
			*at = p + 2;
			return STEP_SELF_CLOSING;
		}
	}
	begin = p;
	p = skip_until(p + 1, end, NAME_STOP);      /* the first octet belongs to the name even when it is `=` */
	*out = (struct html_attr){ .name = str_of(begin, (size_t)(p - begin)), .value = str_of(p, 0) };
	begin = p;
	p = skip_space(p, end);
	if (p == end)
		return STEP_CUT;
	if (*p == '=')
		p = value_read(p + 1, end, out);
	else
		p = begin;
	*at = p;
	return p ? STEP_ATTR : STEP_CUT;
}

bool html_attr_next(const struct html *html, const struct html_token *token, size_t *cursor, struct html_attr *out)
{
	const char *p = html->page.ptr + *cursor;

	if (step(&p, html->page.ptr + token->end, out) != STEP_ATTR)
		return false;
	*cursor = (size_t)(p - html->page.ptr);
	return true;
}

bool html_attr_find(const struct html *html, const struct html_token *token, struct str name, struct html_attr *out)
{
	size_t cursor = token->attrs;

	while (html_attr_next(html, token, &cursor, out))
		if (str_eq_nocase(out->name, name))
			return true;
	return false;
}

static enum html_name name_of(struct str tag)
{
	static const struct { struct str text; enum html_name name; } rows[] = {    /* by length */
		{ STR_INIT("a"), HTML_A }, { STR_INIT("b"), HTML_B }, { STR_INIT("i"), HTML_I },
		{ STR_INIT("s"), HTML_S }, { STR_INIT("u"), HTML_U },
		{ STR_INIT("em"), HTML_EM }, { STR_INIT("tt"), HTML_TT },
		{ STR_INIT("big"), HTML_BIG }, { STR_INIT("img"), HTML_IMG }, { STR_INIT("svg"), HTML_SVG },
		{ STR_INIT("xmp"), HTML_XMP },
		{ STR_INIT("area"), HTML_AREA }, { STR_INIT("body"), HTML_BODY }, { STR_INIT("code"), HTML_CODE },
		{ STR_INIT("font"), HTML_FONT }, { STR_INIT("html"), HTML_HTML }, { STR_INIT("math"), HTML_MATH },
		{ STR_INIT("meta"), HTML_META }, { STR_INIT("nobr"), HTML_NOBR },
		{ STR_INIT("input"), HTML_INPUT }, { STR_INIT("small"), HTML_SMALL },
		{ STR_INIT("style"), HTML_STYLE }, { STR_INIT("table"), HTML_TABLE }, { STR_INIT("title"), HTML_TITLE },
		{ STR_INIT("iframe"), HTML_IFRAME }, { STR_INIT("keygen"), HTML_KEYGEN },
		{ STR_INIT("script"), HTML_SCRIPT }, { STR_INIT("select"), HTML_SELECT },
		{ STR_INIT("strike"), HTML_STRIKE }, { STR_INIT("strong"), HTML_STRONG },
		{ STR_INIT("noembed"), HTML_NOEMBED },
		{ STR_INIT("frameset"), HTML_FRAMESET }, { STR_INIT("noframes"), HTML_NOFRAMES },
		{ STR_INIT("template"), HTML_TEMPLATE }, { STR_INIT("textarea"), HTML_TEXTAREA },
		{ STR_INIT("plaintext"), HTML_PLAINTEXT },
		{ STR_INIT(""), HTML_OTHER },
	};
	static const unsigned char first_of_length[] = { 36, 0, 5, 7, 11, 19, 24, 30, 31, 35 };

	if (tag.len >= sizeof first_of_length)
		return HTML_OTHER;
	for (size_t i = first_of_length[tag.len]; rows[i].text.len == tag.len; i++)
		if (ascii_lower(tag.ptr[0]) == rows[i].text.ptr[0] && str_eq_nocase(tag, rows[i].text))
			return rows[i].name;
	return HTML_OTHER;
}

void html_init(struct html *html, struct str page)
{
	/* A byte order mark is no text. */
	*html = (struct html){ .page = page, .at = str_starts(page, STR("\xef\xbb\xbf")) ? 3 : 0 };
}

static bool ends(struct html *html, enum html_ending ending)
{
	html->at = html->page.len;
	html->ending = ending;
	return false;
}

/* A tag whose name begins at `name_at`. False: the page ends inside, and it is no tag. */
static bool tag_read(struct html *html, size_t at, size_t name_at, enum html_kind kind, struct html_token *out)
{
	const char *page = html->page.ptr, *end = page + html->page.len, *p = skip_until(page + name_at, end, TAG_STOP);
	struct html_attr attr;
	enum step last;

	*out = (struct html_token){ .kind = kind,
				    .at = at,
				    .tag = str_of(page + name_at, (size_t)(p - page) - name_at) };
	out->attrs = (size_t)(p - page);
	do
		last = step(&p, end, &attr);
	while (last == STEP_ATTR);
	if (last == STEP_CUT)
		return ends(html, HTML_IN_TAG);
	out->is_self_closing = last == STEP_SELF_CLOSING;
	out->end = (size_t)(p - page);
	out->name = name_of(out->tag);
	html->at = out->end;
	return true;
}

/* Raw text has begun where only the tree could say whether it does. */
static bool raw_begin(struct html *html, enum html_name name)
{
	if (html->is_in_select && name != HTML_SCRIPT && name != HTML_TEXTAREA)
		html->doubt = "raw text inside select";
	if (html->is_in_frameset && name != HTML_NOFRAMES)
		html->doubt = "raw text inside frameset";
	if (html->is_unsure)
		html->doubt = "raw text after badly nested SVG or MathML";
	html->raw = name;
	return true;
}

static void start_tag(struct html *html, struct html_token *token)
{
	if ((html->level_count || token->name == HTML_SVG || token->name == HTML_MATH || html->is_unsure) &&
	    !html_foreign_start(html, token))
		return;
	switch (token->name) {
	case HTML_SCRIPT: case HTML_STYLE: case HTML_XMP: case HTML_IFRAME: case HTML_NOEMBED: case HTML_NOFRAMES:
	case HTML_TITLE: case HTML_TEXTAREA: case HTML_PLAINTEXT:
		raw_begin(html, token->name);
		html->is_in_select &= token->name != HTML_TEXTAREA;
		break;
	case HTML_SELECT:
		html->is_in_select = !html->is_in_select;
		break;
	case HTML_INPUT: case HTML_KEYGEN:
		html->is_in_select = false;
		break;
	case HTML_FRAMESET:
		html->is_in_frameset = true;
		break;
	case HTML_TEMPLATE:
		html->templates++;
		break;
	default:
		break;
	}
}

static void end_tag(struct html *html, const struct html_token *token)
{
	html_foreign_end(html, token);
	if (token->name == HTML_SELECT)
		html->is_in_select = false;
	if (token->name == HTML_TEMPLATE && html->templates)
		html->templates--;
}

/* From behind "<!--" to the end of the comment (13.2.5.43 to 52): where its text stops, and where the page goes on. */
static bool comment_read(struct html *html, size_t at, struct html_token *out)
{
	struct str rest = str_from(html->page, at + 4);
	size_t text = 0, mark;

	if (str_starts(rest, STR(">"))) {
		mark = 1;
	} else if (str_starts(rest, STR("->"))) {
		mark = 2;
	} else {
		for (;; text++) {
			struct str tail = str_from(rest, text);

			text += str_find(tail, STR("--"));
			tail = str_from(rest, text);
			if (!tail.len)
				return ends(html, HTML_IN_COMMENT);
			mark = str_starts(tail, STR("-->")) ? 3 : str_starts(tail, STR("--!>")) ? 4 : 0;
			if (mark)
				break;
		}
	}
	*out = (struct html_token){ .kind = HTML_COMMENT, .at = at, .tag = str_slice(rest, 0, text) };
	out->end = html->at = at + 4 + text + mark;
	return true;
}

/* "<!", "<?", "</ ": a CDATA section, which is text, or something that ends at the next `>` (a doctype, a bogus comment). */
static bool declaration_read(struct html *html, size_t at, struct html_token *out, bool *out_is_token)
{
	struct str rest = str_from(html->page, at + 2);

	if (str_starts(rest, STR("[CDATA["))) {
		if (html->is_unsure || html_foreign_is_point(html))
			html->doubt = "CDATA at the edge of SVG or MathML";
		if (html_foreign_is_inside(html)) {
			size_t end = str_find(rest, STR("]]>"));

			*out_is_token = false;
			html->at = at + 2 + end + 3;
			return end < rest.len || ends(html, HTML_IN_TEXT);
		}
	}
	size_t end = str_find_byte(rest, '>');

	*out = (struct html_token){ .kind = HTML_COMMENT, .at = at, .tag = str_slice(rest, 0, end) };
	out->end = html->at = at + 2 + end + 1;
	return end < rest.len || ends(html, HTML_IN_COMMENT);
}

/* "</name" followed by what ends a tag's name, at the start of s? */
static bool is_end_of(struct str s, struct str name)
{
	return s.len > name.len + 2 && s.ptr[1] == '/' && str_starts_nocase(str_from(s, 2), name) &&
	       is_class(s.ptr[name.len + 2], TAG_STOP);
}

static const struct str raw_names[] = {
	[HTML_SCRIPT] = STR_INIT("script"),   [HTML_STYLE] = STR_INIT("style"),
	[HTML_XMP] = STR_INIT("xmp"),         [HTML_IFRAME] = STR_INIT("iframe"),
	[HTML_NOEMBED] = STR_INIT("noembed"), [HTML_NOFRAMES] = STR_INIT("noframes"),
	[HTML_TITLE] = STR_INIT("title"),     [HTML_TEXTAREA] = STR_INIT("textarea"),
};

/* The place of the end tag of the element we are in; the page's length when there is none. */
static size_t raw_end(const struct html *html, struct str name)
{
	size_t at = html->at;

	while (at < html->page.len) {
		struct str rest = str_from(html->page, at);
		size_t less = str_find_byte(rest, '<');

		at += less;
		if (less < rest.len && is_end_of(str_from(rest, less), name))
			return at;
		at += less < rest.len;
	}
	return at;
}

enum script { SCRIPT_PLAIN, SCRIPT_ESCAPED /* <!-- */, SCRIPT_TWICE /* <!-- <script> */ };

/* The same for a script (13.2.5.15 to 31): inside <!-- -->, <script> hides the next </script>. */
static size_t script_end(const struct html *html)
{
	static const struct str name = STR_INIT("script");
	enum script state = SCRIPT_PLAIN;

	for (size_t at = html->at, dashes = 0; at < html->page.len; at++) {
		struct str rest = str_from(html->page, at);
		char c = rest.ptr[0];

		if (c == '>' && dashes >= 2)
			state = SCRIPT_PLAIN;
		dashes = c == '-' ? dashes + 1 : 0;
		if (c != '<')
			continue;
		if (state == SCRIPT_PLAIN && str_starts(rest, STR("<!--"))) {
			state = SCRIPT_ESCAPED;
			at += 3;
			dashes = 2;
		} else if (is_end_of(rest, name)) {
			if (state != SCRIPT_TWICE)
				return at;
			state = SCRIPT_ESCAPED;
		} else if (state == SCRIPT_ESCAPED && rest.len > 7 && str_starts_nocase(str_from(rest, 1), name) &&
			   is_class(rest.ptr[7], TAG_STOP)) {
			state = SCRIPT_TWICE;
		}
	}
	return html->page.len;
}

static bool raw_skip(struct html *html, struct html_token *out)
{
	enum html_name name = html->raw;
	size_t at;

	if (name == HTML_PLAINTEXT)
		return ends(html, HTML_IN_TEXT);
	at = name == HTML_SCRIPT ? script_end(html) : raw_end(html, raw_names[name]);
	if (at == html->page.len)
		return ends(html, HTML_IN_TEXT);
	html->raw = HTML_OTHER;
	if (!tag_read(html, at, at + 2, HTML_END, out))
		return false;
	end_tag(html, out);
	return true;
}

/* What begins with the `<` at `at`: a token (true in *out_is_token) or something to pass over. False: the page ends in it. */
static bool markup_read(struct html *html, size_t at, struct html_token *out, bool *out_is_token)
{
	struct str rest = str_from(html->page, at);
	char c = rest.len > 1 ? rest.ptr[1] : '\0', d = rest.len > 2 ? rest.ptr[2] : '\0';

	*out_is_token = true;
	if (ascii_is_alpha(c)) {
		if (!tag_read(html, at, at + 1, HTML_START, out))
			return false;
		start_tag(html, out);
		return true;
	}
	if (c == '/' && ascii_is_alpha(d)) {
		if (!tag_read(html, at, at + 2, HTML_END, out))
			return false;
		end_tag(html, out);
		return true;
	}
	if (str_starts(rest, STR("<!--")))
		return comment_read(html, at, out);
	if (c == '!' || c == '?' || (c == '/' && rest.len > 2))
		return declaration_read(html, at, out, out_is_token);
	*out_is_token = false;
	html->at = at + 1;
	html->has_text = true;
	return c != '/' || ends(html, HTML_IN_TAG);
}

static void note_text(struct html *html, struct str text)
{
	const char *end = text.ptr + text.len;

	if (!html->has_text && text.len)
		html->has_text = skip_space(text.ptr, end) < end;
}

bool html_next(struct html *html, struct html_token *out)
{
	bool is_token = false;

	if (html->raw)
		return raw_skip(html, out);
	while (html->at < html->page.len) {
		struct str rest = str_from(html->page, html->at);
		size_t less = str_find_byte(rest, '<');

		note_text(html, str_slice(rest, 0, less));
		if (less == rest.len)
			break;
		if (!markup_read(html, html->at + less, out, &is_token))
			return false;
		if (is_token)
			return true;
	}
	return ends(html, HTML_IN_DATA);
}
