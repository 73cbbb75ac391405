#include "milter/tool/top_line.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/base/num.h"
#include "config/base/utf8.h"
#include "milter/tool/screen.h"

static const char *const words[WORDS][2] = {
	[W_TITLE] = { "Sekisho", "関所 Sekisho" },
	[W_UP] = { "up", "稼働" },
	[W_MAIL] = { "Mail", "メール" },
	[W_PER_MINUTE] = { "/min", "通/分" },
	[W_PER_SECOND] = { "/s", "通/秒" },
	[W_ACCEPTED] = { "accepted", "受理" },
	[W_DEFERRED] = { "deferred", "一時拒否" },
	[W_REJECTED] = { "rejected", "拒否" },
	[W_HELD] = { "held", "保留" },
	[W_SESSIONS] = { "Sessions", "接続" },
	[W_OPEN] = { "open", "本接続中" },
	[W_SINCE] = { "since the start", "本（起動後の累計）" },
	[W_ANSWER] = { "answers in", "応答" },
	[W_STORE] = { "Store", "ストア" },
	[W_CHARGE] = { "charges in", "照会" },
	[W_LOCAL] = { "AWAY: this relay counts by itself", "接続断：この中継のみで計数中" },
	[W_FAILURE] = { "failure", "失敗" },
	[W_FAILURES] = { "failures", "失敗" },
	[W_LOG] = { "Relay log", "中継記録" },
	[W_SYNC] = { "on disk in", "書込" },
	[W_FREE] = { "% free", "% 空き" },
	[W_FULL] = { "DISK FULL: mail is deferred", "ディスク満杯：メールは一時拒否されます" },
	[W_LOW] = { "DISK LOW", "ディスク残量わずか" },
	[W_CLOCK] = { "Clock", "時計" },
	[W_OFF] = { "off by at most", "誤差" },
	[W_CONFIG] = { "Settings", "設定" },
	[W_TENANT] = { "tenant", "テナント" },
	[W_TENANTS] = { "tenants", "テナント" },
	[W_NOT_RELOADED] = { "NOT RELOADED", "再読込失敗" },
	[W_MAILLOG] = { "MTA's log", "MTA ログ" },
	[W_BEHIND] = { "s behind", "秒遅れ" },
	[W_READ] = { "read to its end", "読了" },
	[W_NOBODY] = { "No tenant has sent since the gate was started.", "起動後に送信したテナントはありません。" },
	[W_MORE] = { "more", "件" },
	[W_SUSPENDED] = { "suspended", "停止中" },
	[W_KEYS] = { "q quit  ? keys  space pause  < > sort  / order  arrows scroll",
		     "q 終了  ? キー  空白 一時停止  < > 並べ替え  / 逆順  矢印 移動" },
	[W_PAUSED] = { "PAUSED", "一時停止" },
	[W_CHART] = { "messages a minute, up to", "通/分 最大" },
	[W_GONE] = { "The gate does not answer", "関所が応答しません" },
};

const char *line_word(const struct top_view *view, enum word w)
{
	return words[w][view->lang];
}

void line_style(struct line *line, const char *sequence)
{
	if (!line->view->is_plain && getenv("NO_COLOR") && sequence[0] && strchr(sequence, '3'))
		sequence = BOLD;               /* https://no-color.org: emphasis yes, colour no */
	if (!line->view->is_plain)
		buf_add_c(line->out, sequence);
}

void line_put(struct line *line, struct str text)
{
	while (text.len) {
		size_t len = utf8_length(text), width;

		len = len ? len : 1;
		width = screen_width(str_slice(text, 0, len));
		if (line->used + width > line->view->columns)
			return;
		buf_add(line->out, str_slice(text, 0, len));
		line->used += width;
		text = str_from(text, len);
	}
}

void line_blanks(struct line *line, size_t n)
{
	for (; n && line->used < line->view->columns; n--, line->used++)
		buf_add_byte(line->out, ' ');
}

void line_putf(struct line *line, const char *fmt, ...)
{
	char text[512];
	struct buf clean;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	buf_init(&clean, sizeof text * 12);
	screen_clean(&clean, str_from_c(text), false);
	line_put(line, buf_view(&clean));
	buf_clear(&clean);
}

void line_end(struct line *line)
{
	line_style(line, PLAIN);
	while (line->view->is_plain && line->out->len && line->out->ptr[line->out->len - 1] == ' ')
		line->out->len--;
	buf_add_byte(line->out, '\n');
	line->used = 0;
}

const char *line_number(int64_t n, char room[32])
{
	char digits[24];
	int len = snprintf(digits, sizeof digits, "%lld", (long long)n), at = 0;

	for (int i = 0; i < len; i++) {
		room[at++] = digits[i];
		if (ascii_is_digit(digits[i]) && i + 1 < len && (len - i - 1) % 3 == 0)
			room[at++] = ',';
	}
	room[at] = '\0';
	return room;
}

const char *line_span(int64_t us, char room[32])
{
	int64_t s = us / US_PER_S;

	if (us < 1000)
		snprintf(room, 32, "%lld us", (long long)us);
	else if (us < US_PER_S)
		snprintf(room, 32, "%.1f ms", (double)us / 1000);
	else if (s < 60)
		snprintf(room, 32, "%.1f s", (double)us / US_PER_S);
	else if (s < 3600)
		snprintf(room, 32, "%lld:%02lld", (long long)s / 60, (long long)s % 60);
	else if (s < 2 * 86400)
		snprintf(room, 32, "%lld:%02lld:%02lld", (long long)s / 3600, (long long)s / 60 % 60,
			 (long long)s % 60);
	else
		snprintf(room, 32, "%lld d", (long long)s / 86400);
	return room;
}

const char *line_hour(int64_t t_us, char room[JST_TIME_LEN + 1])
{
	jst_format_time(t_us, room);
	room[19] = '\0';
	return room + 11;
}
