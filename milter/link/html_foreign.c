#include "milter/link/html_foreign.h"

/* Is `tag` one of the names in `list`, which has one blank around each? */
static bool is_in(struct str tag, const char *list)
{
	char key[20] = " ";

	if (tag.len == 0 || tag.len > sizeof key - 3)
		return false;
	for (size_t i = 0; i < tag.len; i++)
		key[1 + i] = ascii_lower(tag.ptr[i]);
	key[1 + tag.len] = ' ';
	return strstr(list, key) != NULL;
}

static bool is_void(struct str tag)
{
	return is_in(tag, " area base basefont bgsound br col embed frame hr img image input keygen link meta param "
			  "source track wbr ");
}

/* Start tags that cannot stand in foreign content and end it. */
static bool is_breakout(const struct html *html, const struct html_token *token)
{
	struct html_attr attr;

	if (is_in(token->tag,
		  " b big blockquote body br center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 head hr i img li"
		  " listing menu meta nobr ol p pre ruby s small span strong strike sub sup table tt u ul var "))
		return true;
	return is_in(token->tag, " font ") &&
	       (html_attr_find(html, token, STR("color"), &attr) || html_attr_find(html, token, STR("face"), &attr) ||
		html_attr_find(html, token, STR("size"), &attr));
}

static const struct html_level *top(const struct html *html)
{
	return html->level_count ? &html->levels[html->level_count - 1] : NULL;
}

bool html_foreign_is_inside(const struct html *html)
{
	return html->level_count && top(html)->element != ELEMENT_HTML;
}

bool html_foreign_is_point(const struct html *html)
{
	return html_foreign_is_inside(html) && top(html)->element != ELEMENT_SVG && top(html)->element != ELEMENT_MATH;
}

/* Do HTML's rules hold for a start tag when this is the innermost element? */
static bool takes_html(const struct html_level *level, const struct html_token *token)
{
	switch (level->element) {
	case ELEMENT_HTML:
	case ELEMENT_SVG_POINT:
	case ELEMENT_ANNOTATION_HTML:
		return true;
	case ELEMENT_MATH_TEXT:
		return !is_in(token->tag, " mglyph malignmark ");
	case ELEMENT_ANNOTATION:
		return token->name == HTML_SVG;
	default:
		return false;
	}
}

static void push(struct html *html, const struct html_token *token, enum html_element element)
{
	if (html->level_count == HTML_FOREIGN_MAX) {
		html->doubt = "SVG or MathML too deep";
		return;
	}
	html->levels[html->level_count++] = (struct html_level){ .tag = token->tag, .element = element };
}

static enum html_element svg_element(struct str tag)
{
	return is_in(tag, " foreignobject desc title ") ? ELEMENT_SVG_POINT : ELEMENT_SVG;
}

static enum html_element math_element(const struct html *html, const struct html_token *token)
{
	struct html_attr attr;

	if (is_in(token->tag, " mi mo mn ms mtext "))
		return ELEMENT_MATH_TEXT;
	if (!is_in(token->tag, " annotation-xml "))
		return ELEMENT_MATH;
	if (html_attr_find(html, token, STR("encoding"), &attr) &&
	    (str_eq_nocase(attr.value, STR("text/html")) || str_eq_nocase(attr.value, STR("application/xhtml+xml"))))
		return ELEMENT_ANNOTATION_HTML;
	return ELEMENT_ANNOTATION;
}

static bool is_math(enum html_element element)
{
	return element == ELEMENT_MATH || element == ELEMENT_MATH_TEXT || element == ELEMENT_ANNOTATION ||
	       element == ELEMENT_ANNOTATION_HTML;
}

/* Ends foreign elements up to one in which HTML may stand, or all of them. */
static void break_out(struct html *html)
{
	while (html->level_count && (top(html)->element == ELEMENT_SVG || top(html)->element == ELEMENT_MATH ||
				     top(html)->element == ELEMENT_ANNOTATION))
		html->level_count--;
}

bool html_foreign_start(struct html *html, struct html_token *token)
{
	bool is_html = !html->level_count || takes_html(top(html), token);

	if (!is_html && is_breakout(html, token)) {
		break_out(html);
		is_html = true;
	}
	if (html->is_unsure && is_breakout(html, token))
		html->is_unsure = false;        /* either way we are in HTML now */
	if (!is_html) {
		enum html_element above = top(html)->element;

		token->is_svg = !is_math(above);
		if (!token->is_self_closing)
			push(html, token, is_math(above) ? math_element(html, token) : svg_element(token->tag));
		return false;
	}
	if (token->name == HTML_SVG || token->name == HTML_MATH) {
		if (!token->is_self_closing)
			push(html, token, token->name == HTML_SVG ? ELEMENT_SVG : ELEMENT_MATH);
		return false;
	}
	if (html->level_count && !is_void(token->tag))
		push(html, token, ELEMENT_HTML);
	return true;
}

/* An end tag among HTML elements inside foreign content: only the plain case is certain. */
static void end_html(struct html *html, size_t count, struct str tag)
{
	if (str_eq_nocase(html->levels[count - 1].tag, tag)) {
		html->level_count = count - 1;
		return;
	}
	for (size_t i = 0; i < html->level_count; i++)
		if (str_eq_nocase(html->levels[i].tag, tag))
			html->is_unsure = true;
}

void html_foreign_end(struct html *html, const struct html_token *token)
{
	if (!html->level_count)
		return;
	if (html_foreign_is_inside(html) && is_in(token->tag, " br p ")) {
		break_out(html);
		return;
	}
	for (size_t count = html->level_count; count > 0; count--) {
		const struct html_level *level = &html->levels[count - 1];

		if (level->element == ELEMENT_HTML) {
			end_html(html, count, token->tag);
			return;
		}
		if (str_eq_nocase(level->tag, token->tag)) {
			html->level_count = count - 1;
			return;
		}
	}
	if (is_in(token->tag, " body html math svg "))
		return;
	/* It is for an element around the <svg>, if there is one; then all of this has ended. */
	html->is_unsure = true;
	html->level_count = 0;
}
