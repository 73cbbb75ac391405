/* sekisho top: the gate at work, on one screen that is drawn anew every two seconds. */
#include <time.h>

#include "config/base/clock.h"
#include "milter/tool/commands.h"
#include "milter/tool/daemon.h"
#include "milter/tool/terminal.h"
#include "milter/tool/top.h"

#define INTERVAL_DEFAULT_US (2 * US_PER_S)
#define ONCE_PAUSE_US (US_PER_S)       /* between the two samples that a rate is made of */
#define FRAME_MAX ((size_t)4 << 20)
#define PLAIN_COLUMNS 132

struct top_values {
	bool is_once;
	struct str sort, lang;
	int64_t interval_us;
};
#define TOP(field) offsetof(struct top_values, field)

static const struct option options[] = {
	{ "--interval", OPTION_DURATION, TOP(interval_us), "DURATION", NULL, "between two looks (default 2s)" },
	TOOL_LANG_OPTION(TOP(lang)),
	{ "--once", OPTION_FLAG, TOP(is_once), NULL, NULL, "print it once, with every tenant, and stop; for scripts" },
	{ "--sort", OPTION_WORD, TOP(sort), "COLUMN", "name|rate|recipients|refused|held|quota|bounced|complaints|total|last",
	  "rate (default), name, recipients, refused, held, quota, bounced, complaints, total or last" },
	{ NULL },
};

static struct top_view view_of(const struct top_values *want)
{
	struct top_view view = { .lang = tool_is_japanese(want->lang) ? TOP_JA : TOP_EN, .is_plain = want->is_once,
				 .interval_us = want->interval_us ? want->interval_us : INTERVAL_DEFAULT_US };

	top_find_column(want->sort.ptr ? want->sort : STR("rate"), &view.sort);
	return view;
}

/* --- once */

static void sleep_us(int64_t us)
{
	const struct timespec pause = { .tv_sec = us / US_PER_S, .tv_nsec = us % US_PER_S * 1000 };

	nanosleep(&pause, NULL);
}

static int show_once(struct tool *tool, struct top_source *source, struct top_view *view)
{
	struct top top = { .status = NULL };

	view->columns = PLAIN_COLUMNS;
	top_gather(source, &tool->arena, &top);
	if (top.status) {
		sleep_us(ONCE_PAUSE_US);
		top_gather(source, &tool->arena, &top);
	}
	if (!top.status)
		return tool_fail(tool, TOOL_NO, "the gate does not answer: %s", top.why);
	top_draw(&top, view, &tool->out);
	top_clear(&top);
	return TOOL_OK;
}

/* --- live */

static void draw(struct terminal *terminal, struct top *top, struct top_view *view)
{
	struct buf frame;

	buf_init(&frame, FRAME_MAX);
	terminal_size(terminal, &view->rows, &view->columns);
	top_draw(top, view, &frame);
	terminal_draw(terminal, buf_view(&frame));
	buf_clear(&frame);
}

static void watch(struct terminal *terminal, struct top_source *source, struct top_view *view)
{
	struct top top = { .status = NULL };
	struct arena arena;
	int64_t next_us = 0;

	arena_init(&arena, (size_t)64 << 20);
	for (int key = TERMINAL_TIME; key != TERMINAL_END && key != 'q'; key = terminal_wait(terminal, next_us)) {
		if (key == TERMINAL_TIME) {
			next_us = clock_mono_us() + view->interval_us;
			if (!view->is_paused) {
				arena_reset(&arena);
				top_gather(source, &arena, &top);
			}
		} else if (key != TERMINAL_RESIZED && !top_key(view, key)) {
			continue;
		}
		draw(terminal, &top, view);
	}
	top_clear(&top);
	arena_clear(&arena);
}

static int show_live(struct tool *tool, struct top_source *source, struct top_view *view)
{
	struct terminal *terminal;
	json_t *status;
	struct err err;

	/* One that goes away later comes back on the screen. */
	if (!daemon_ask(tool->config, "/status", &status, &err))
		return tool_fail(tool, TOOL_NO, "the gate does not answer: %s; `sekisho status` tells more", err.text);
	json_decref(status);
	if (!terminal_open(&terminal, &err))
		return tool_usage(tool, "%s; --once prints it once", err.text);
	watch(terminal, source, view);
	terminal_close(terminal);
	return TOOL_OK;
}

static int run(struct tool *tool, const void *values)
{
	const struct top_values *want = values;
	struct top_view view = view_of(want);
	struct top_source source;
	struct err err;
	int code;

	if (!tool_config(tool))
		return TOOL_UNKNOWN;
	if (tool->config->metrics_listen.len == 0)
		return tool_fail(tool, TOOL_NO, "the gate cannot be asked: metrics.listen is none");
	if (!tool_store_open(tool, TOOL_LOOK, &err))
		tool_fail(tool, TOOL_OK, "quotas and bounces are not shown: store: %s", err.text);
	if (!top_source_init(&source, tool->config, tool->store))
		return tool_fail(tool, TOOL_UNKNOWN, "out of memory");
	code = want->is_once ? show_once(tool, &source, &view) : show_live(tool, &source, &view);
	top_source_clear(&source);
	return code;
}

const struct tool_command command_top = {
	.name = "top",
	.operands = "",
	.summary = "the gate at work, live, tenant by tenant",
	.about = "Shows on one screen, drawn anew every two seconds, how the gate is and what each tenant that has sent since the "
		 "gate's start is doing: messages and recipients in the last minute, what was turned back or held, how full its "
		 "fullest quota is, and how much of today's mail bounced or was complained of. Columns come with the width of the "
		 "screen; a column's key sorts by it, twice the other way round, and ? lists the keys. The daemon is only looked "
		 "at. Quotas of each login or sender are shown by `sekisho quota show`.",
	.options = options,
	.values_size = sizeof(struct top_values),
	.examples = "sekisho top\nsekisho top --sort bounced --interval 10s\nsekisho top --once | head -20",
	.ok = "shown",
	.no = "the gate does not answer, or it cannot be asked (metrics.listen is none)",
	.unknown = "the configuration cannot be read",
	.run = run,
};
