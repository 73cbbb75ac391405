#include "milter/track/page.h"

#include "config/base/utf8.h"

static const char style[] =
	":root{color-scheme:light dark}"
	"body{margin:0;font:1.125rem/1.7 system-ui,sans-serif;background:#fff;color:#1a1a1a}"
	"main{max-width:34rem;margin:0 auto;padding:3rem 1.25rem}"
	"h1{font-size:1.6rem;line-height:1.35;margin:0 0 1rem;text-wrap:balance}p{text-wrap:pretty}:lang(ja){word-break:auto-phrase}"
	".address{font-weight:600;overflow-wrap:anywhere}"
	"button{font:inherit;font-weight:600;padding:.7rem 1.6rem;border:2px solid #0b57a4;border-radius:.4rem;"
	"background:#0b57a4;color:#fff;cursor:pointer}"
	"button:focus-visible,a:focus-visible{outline:3px solid #c77700;outline-offset:3px}"
	"footer{margin-top:3rem;font-size:1rem}a{color:#0b57a4}"
	"@media(prefers-color-scheme:dark){body{background:#161616;color:#f0f0f0}a{color:#9cc7f5}"
	"button{background:#9cc7f5;border-color:#9cc7f5;color:#10233a}}";

struct words {
	const char *lang, *title, *heading, *text, *after, *button, *other;
};

/* `text`, the address, `after`: one paragraph each. */
static const struct words words[PAGE_COUNT][PAGE_LANGUAGE_COUNT] = {
	[PAGE_ASK] = {
		{ "ja", "配信停止", "メールの配信を停止しますか", "次のメールアドレスへの配信を停止します。",
		  "ボタンを押すまでは、何も変わりません。", "配信を停止する", "English" },
		{ "en", "Unsubscribe", "Unsubscribe from this mail?", "No more mail will be sent to this address:",
		  "Nothing changes until you press the button.", "Unsubscribe", "日本語" },
	},
	[PAGE_DONE] = {
		{ "ja", "配信停止の完了", "配信を停止しました", "次のメールアドレスへの配信を停止しました。",
		  "すでに送信処理中のメールは、行き違いで届くことがあります。", NULL, "English" },
		{ "en", "Unsubscribed", "You are unsubscribed", "No more mail will be sent to this address:",
		  "A message that is on its way already may still arrive.", NULL, "日本語" },
	},
	[PAGE_LATER] = {
		{ "ja", "配信停止の未完了", "いま手続きができません", "申し訳ありません。数分後にもう一度お試しください。", NULL, "もう一度試す", "English" },
		{ "en", "Not unsubscribed yet", "This did not work just now", "We are sorry. Please try again in a few minutes.", NULL, "Try again",
		  "日本語" },
	},
	[PAGE_SHORT] = {
		{ "ja", "一時的に開けません", "いまリンクを開けません",
		  "申し訳ありません。数分後に、メールのリンクからもう一度開いてください。", NULL, NULL, "English" },
		{ "en", "Not available just now", "This link could not be opened just now",
		  "We are sorry. Please open the link in your mail again in a few minutes.", NULL, NULL, "日本語" },
	},
	[PAGE_UNKNOWN] = {
		{ "ja", "リンクを開けません", "このリンクは正しくありません",
		  "アドレスが途中で切れているか、書き換えられています。メールのリンクをもう一度お確かめください。", NULL, NULL, "English" },
		{ "en", "Link not found", "This link is not valid",
		  "Its address is incomplete or was changed. Please check the link in your mail once more.", NULL, NULL, "日本語" },
	},
	[PAGE_EXPIRED] = {
		{ "ja", "リンクの期限切れ", "このリンクは期限が切れています",
		  "このメールのリンクは、もう開くことができません。送信元のサイトを直接ご覧ください。", NULL, NULL, "English" },
		{ "en", "Link expired", "This link has expired",
		  "Links of this message can no longer be opened. Please visit the sender's site.", NULL, NULL, "日本語" },
	},
	[PAGE_DENIED] = {
		{ "ja", "リンクを開けません", "このリンクは無効になりました", "安全のため、このリンクの利用を停止しました。", NULL, NULL, "English" },
		{ "en", "Link disabled", "This link was disabled", "It was taken out of use for safety.", NULL, NULL, "日本語" },
	},
	[PAGE_WRONG] = {
		{ "ja", "要求の誤り", "この要求は受け付けられません", "メールのリンクからもう一度開いてください。", NULL, NULL, "English" },
		{ "en", "Bad request", "This request cannot be answered", "Please open the link in your mail once more.", NULL, NULL, "日本語" },
	},
};

/* An address for a page: markup escaped, what is no UTF-8 or a control character shown as U+FFFD. */
static void add_escaped(struct str s, struct buf *out)
{
	while (s.len) {
		size_t n = utf8_length(s);

		if (n == 0 || (n == 1 && ((unsigned char)*s.ptr < 0x20 || *s.ptr == 0x7f)))
			buf_add_c(out, "\xef\xbf\xbd");
		else if (*s.ptr == '<')
			buf_add_c(out, "&lt;");
		else if (*s.ptr == '&')
			buf_add_c(out, "&amp;");
		else if (*s.ptr == '"')
			buf_add_c(out, "&quot;");
		else
			buf_add(out, str_slice(s, 0, n));
		s = str_from(s, n ? n : 1);
	}
}

static void add_form(const struct words *w, struct buf *out)
{
	buf_printf(out,
		   "<form method=\"post\" action=\"?lang=%s\">"
		   "<input type=\"hidden\" name=\"List-Unsubscribe\" value=\"One-Click\">"
		   "<button type=\"submit\">%s</button></form>\n",
		   w->lang, w->button);
}

void page_write(enum page page, enum page_language language, struct str recipient, struct buf *out)
{
	const struct words *w = &words[page][language];
	const char *other = language == PAGE_JA ? "en" : "ja";

	buf_printf(out,
		   "<!DOCTYPE html>\n<html lang=\"%s\">\n<head>\n<meta charset=\"utf-8\">\n"
		   "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
		   "<meta name=\"robots\" content=\"noindex, nofollow\">\n<title>%s</title>\n"
		   "<style>%s</style>\n</head>\n<body>\n<main>\n"
		   "<h1>%s</h1>\n<p>%s</p>\n",
		   w->lang, w->title, style, w->heading, w->text);
	if (recipient.len) {
		buf_add_c(out, "<p class=\"address\">");
		add_escaped(recipient, out);
		buf_add_c(out, "</p>\n");
	}
	if (w->after)
		buf_printf(out, "<p>%s</p>\n", w->after);
	if (w->button)
		add_form(w, out);
	/* The result of a POST has no address to switch the language of without asking again. */
	if (page == PAGE_ASK)
		buf_printf(out, "<footer><a href=\"?lang=%s\" lang=\"%s\" hreflang=\"%s\">%s</a></footer>\n", other,
			   other, other, w->other);
	buf_add_c(out, "</main>\n</body>\n</html>\n");
}

/* "0.8" as 800; what is no weight is 0. */
static int weight_of(struct str params)
{
	struct str name, value;
	int weight = 0, digit = 1000;

	if (!str_cut(params, '=', &name, &value) || !str_eq_nocase(str_trim(name), STR("q")))
		return 1000;
	value = str_trim(value);
	for (size_t i = 0; i < value.len && i < 5; i++) {
		if (value.ptr[i] == '.')
			continue;
		if (!ascii_is_digit(value.ptr[i]))
			return 0;
		weight += (value.ptr[i] - '0') * digit;
		digit /= 10;
	}
	return weight < 1000 ? weight : 1000;
}

enum page_language page_language_of(struct str accept_language)
{
	static const struct str names[] = { [PAGE_JA] = STR_INIT("ja"), [PAGE_EN] = STR_INIT("en") };
	int best[] = { [PAGE_JA] = 0, [PAGE_EN] = 0 };
	struct str item, range, params;

	if (str_trim(accept_language).len == 0)
		return PAGE_JA;
	while (str_next(&accept_language, ',', &item)) {
		if (!str_cut(item, ';', &range, &params)) {
			range = item;
			params = STR_EMPTY;
		}
		range = str_trim(range);
		for (size_t i = 0; i < PAGE_LANGUAGE_COUNT; i++) {
			int weight = weight_of(params);

			if (str_starts_nocase(range, names[i]) && (range.len == 2 || range.ptr[2] == '-') &&
			    weight > best[i])
				best[i] = weight;
		}
	}
	return best[PAGE_JA] > best[PAGE_EN] ? PAGE_JA : PAGE_EN;
}
