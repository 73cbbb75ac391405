/* sekisho link decode: what tracked links mean. */
#include <stdio.h>

#include "config/base/clock.h"
#include "milter/tool/commands.h"
#include "milter/tool/paths.h"
#include "milter/tool/tokens.h"
#include "milter/track/hit.h"

#define LINE_MAX_LEN 65536

struct decode {
	bool wants_destination;
};

static const struct option decode_options[] = {
	{ "--destination", OPTION_FLAG, offsetof(struct decode, wants_destination), NULL, NULL,
	  "print where it leads and nothing else; an empty line where it leads nowhere" },
	{ NULL },
};

/* "https://HOST/c/TOKEN", and what browsers and search engines make of it: "http://Host:80/c/TOKEN?x#y". */
static bool open_url(const struct token_keys *keys, struct str url, struct arena *arena, struct token *out)
{
	struct str scheme, rest, host, purpose, text;

	if (!str_cut(url, ':', &scheme, &rest) || !str_starts(rest, STR("//")) ||
	    !(str_eq_nocase(scheme, STR("https")) || str_eq_nocase(scheme, STR("http"))) ||
	    !str_cut(str_from(rest, 2), '/', &host, &rest) || !str_cut(rest, '/', &purpose, &text) ||
	    purpose.len != 1 || !strchr("cou", purpose.ptr[0]))
		return false;
	str_cut(text, '#', &text, &rest);
	str_cut(text, '?', &text, &rest);
	return token_open(keys, (enum token_purpose)purpose.ptr[0], token_host(host), text, arena, out);
}

static const char *purpose_name(enum token_purpose purpose)
{
	return purpose == TOKEN_CLICK ? "click" : purpose == TOKEN_OPEN ? "open" : "unsubscribe";
}

static struct str readable(struct arena *arena, struct str name)
{
	struct str out;

	return hit_readable(name, arena, &out) ? out : STR_EMPTY;
}

/* Unsubscribing names the address, all else the digits that records have. */
static struct str recipient_of(struct arena *arena, const struct token *token)
{
	struct str out;

	if (token->purpose == TOKEN_UNSUBSCRIBE)
		return readable(arena, token->recipient);
	return hit_reader_of_tag(token->recipient, arena, &out) ? out : STR_EMPTY;
}

/* The last day on which it leads somewhere. False: there is none. */
static bool last_day(const struct tool *tool, const struct token *token, int64_t *out)
{
	int64_t days = tool->config->tracking_expire_us / DAY_US;

	*out = token->day + days;
	return days > 0 && token->purpose != TOKEN_UNSUBSCRIBE;
}

static void write_token(struct tool *tool, const struct token *token, struct arena *arena)
{
	char day[JST_DATE_LEN + 1], until[JST_DATE_LEN + 1];
	int64_t last;
	bool expires = last_day(tool, token, &last), is_expired = last < jst_day(clock_now_us());

	jst_format_date(token->day, day);
	jst_format_date(last, until);
	if (tool->is_json) {
		json_init(&tool->json, &tool->out);
		json_object_open(&tool->json);
		json_member_str(&tool->json, "purpose", str_from_c(purpose_name(token->purpose)));
		json_member_str(&tool->json, "tenant", token->tenant);
		json_member_str(&tool->json, "message", readable(arena, token->message));
		json_member_str_opt(&tool->json, "recipient", recipient_of(arena, token));
		json_member_str(&tool->json, "made", str_from_c(day));
		if (expires) {
			json_member_str(&tool->json, "until", str_from_c(until));
			json_member_bool(&tool->json, "expired", is_expired);
		}
		json_member_i64_opt(&tool->json, "link", token->link);
		json_member_str_opt(&tool->json, "destination", token->url);
		json_object_close(&tool->json);
		buf_add_byte(&tool->out, '\n');
		return;
	}
	tool_field(tool, "Purpose", "%s", purpose_name(token->purpose));
	tool_field(tool, "Tenant", STR_FMT, STR_ARG(token->tenant));
	tool_field(tool, "Message", STR_FMT, STR_ARG(readable(arena, token->message)));
	if (token->recipient.len)
		tool_field(tool, "Recipient", STR_FMT, STR_ARG(recipient_of(arena, token)));
	tool_field(tool, "Made", "%s", day);
	if (expires)
		tool_field(tool, is_expired ? "Expired" : "Works until", "%s", until);
	if (token->url.len) {
		tool_field(tool, "Link", "%u", (unsigned)token->link);
		tool_field(tool, "Destination", STR_FMT, STR_ARG(token->url));
	}
}

static bool is_address(struct str s)
{
	return str_find_byte(s, '@') < s.len && str_find(s, STR("://")) == s.len;
}

static bool decode_one(struct tool *tool, const struct decode *want, const struct token_keys *keys, struct str url)
{
	struct token token = { .url = STR_EMPTY };
	struct arena arena;
	bool ok;

	if (str_starts(url, STR("<")) && str_ends(url, STR(">")))
		url = str_slice(url, 1, url.len - 2);
	if (is_address(url) && !want->wants_destination && paths_decode(tool, keys, url))
		return true;
	arena_init(&arena, (size_t)1 << 20);
	ok = open_url(keys, url, &arena, &token);

	if (want->wants_destination) {
		buf_add(&tool->out, ok ? token.url : STR_EMPTY);
		buf_add_byte(&tool->out, '\n');
	} else if (ok) {
		write_token(tool, &token, &arena);
	} else {
		tool_fail(tool, TOOL_NO, "no link or return path of ours, or its key is not in the file any more: " STR_FMT,
			  STR_ARG(url));
	}
	arena_clear(&arena);
	if (tool->out.len > LINE_MAX_LEN)
		tool_flush(tool);
	return ok;
}

/* A line longer than any link is none of ours; its rest goes with it. */
static bool next_line(char line[LINE_MAX_LEN])
{
	if (!fgets(line, LINE_MAX_LEN, stdin))
		return false;
	if (!strchr(line, '\n'))
		for (int c = getc(stdin); c != '\n' && c != EOF;)
			c = getc(stdin);
	return true;
}

static int decode_lines(struct tool *tool, const struct decode *want, const struct token_keys *keys)
{
	char line[LINE_MAX_LEN];
	bool ok = true;
	struct err err;

	while (next_line(line))
		ok &= decode_one(tool, want, keys, str_trim(str_from_c(line)));
	if (!ferror(stdin))
		return ok ? TOOL_OK : TOOL_NO;
	err_errno(&err, ERR_BUSY, "standard input");
	return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
}

static int run_decode(struct tool *tool, const void *values)
{
	struct str url = tool->operands.items[0];
	struct token_keys *keys = tokens_keys(tool);
	int code;

	if (!keys)
		return TOOL_UNKNOWN;
	if (str_eq(url, STR("-")))
		code = decode_lines(tool, values, keys);
	else
		code = decode_one(tool, values, keys, url) ? TOOL_OK : TOOL_NO;
	token_keys_free(keys);
	return code;
}

const struct tool_command command_link_decode = {
	.name = "link decode",
	.operands = "URL|ADDRESS|-",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "what a tracked URL or a return path means",
	.about = "Opens a tracked link, pixel or unsubscribe URL with the keys of tracking.key_file: whose it is, "
		 "which message, which recipient where it had just one, where it leads, and until when, with "
		 "tracking.links_expire. Of a return path: whose "
		 "message, from whom, and until when mail to it is taken. `-` reads them from standard input, one a line.",
	.options = decode_options,
	.values_size = sizeof(struct decode),
	.has_json = true,
	.examples = "sekisho link decode https://t.acme.example/c/AQGisw7NTs...\n"
		    "sekisho link decode 01m7z2jkrv...@bounce.acme.example\nsekisho link decode --destination - "
		    "< urls",
	.ok = "all of them are ours",
	.no = "one is not, or was altered, or its key is gone",
	.unknown = "no configuration, no key, or standard input cannot be read",
	.run = run_decode,
};
