#include "milter/tool/settings.h"

#include "config/base/clock.h"
#include "milter/tool/usage.h"

static struct str join(struct tool *tool, struct str_list list, const char *empty)
{
	struct buf buf;
	struct str out;

	if (list.count == 0)
		return str_from_c(empty);
	buf_init(&buf, (size_t)1 << 24);
	for (size_t i = 0; i < list.count; i++)
		buf_printf(&buf, "%s" STR_FMT, i ? ", " : "", STR_ARG(list.items[i]));
	out = tool_text(tool, STR_FMT, STR_ARG(buf_view(&buf)));
	buf_clear(&buf);
	return out;
}

static struct str text_readers(struct tool *tool, const struct tenant *t)
{
	return join(tool, t->readers, "nobody but operators");
}

static struct str join_allowed(struct tool *tool, struct str_list allowed, bool is_monitor, const char *none)
{
	return tool_text(tool, STR_FMT "%s", STR_ARG(join(tool, allowed, none)), is_monitor && allowed.count ? ", monitored" : "");
}

static struct str text_senders(struct tool *tool, const struct tenant *t)
{
	return join_allowed(tool, t->senders, t->senders_is_monitor, "any envelope sender");
}

static struct str text_recipients(struct tool *tool, const struct tenant *t)
{
	return join_allowed(tool, t->recipients, t->recipients_is_monitor, "anybody");
}

static struct str text_from(struct tool *tool, const struct tenant *t)
{
	return tool_text(tool, "%s%s", t->from == FROM_SENDERS ? "only senders" : "any header From",
			 t->from_is_monitor ? ", monitored" : "");
}

static struct str text_require(struct tool *tool, const struct tenant *t)
{
	return tool_text(tool, "%s%s%s", t->require_tls ? "TLS" : "", t->require_tls && t->require_auth ? " and " : "",
			 t->require_auth ? "login" : t->require_tls ? "" : "nothing");
}

static struct str text_recipients_max(struct tool *tool, const struct tenant *t)
{
	if (t->recipients_max == LIMIT_NONE)
		return STR("no limit a message");
	return tool_text(tool, STR_FMT " a message, then %s%s", STR_ARG(tool_number(tool, t->recipients_max)),
			 usage_excess_name(t->recipients_on_excess), t->recipients_max_is_monitor ? ", monitored" : "");
}

static struct str text_size(struct tool *tool, const struct tenant *t)
{
	if (t->size_max == LIMIT_NONE)
		return STR("no limit");
	return tool_text(tool, STR_FMT " bytes%s", STR_ARG(tool_number(tool, t->size_max)), t->size_is_monitor ? ", monitored" : "");
}

static struct str text_content(struct tool *tool, const struct tenant *t)
{
	struct buf buf;
	struct str out;

	if (t->content_count == 0)
		return STR("none");
	buf_init(&buf, (size_t)1 << 20);
	for (size_t i = 0; i < t->content_count; i++) {
		const struct content_rule *rule = &t->content[i];

		buf_printf(&buf, "%s" STR_FMT ": " STR_FMT " as " STR_FMT ", then %s%s", i ? "; " : "", STR_ARG(rule->name),
			   STR_ARG(rule->header), STR_ARG(rule->match), usage_excess_name(rule->action),
			   rule->is_monitor ? ", monitored" : "");
	}
	out = tool_text(tool, STR_FMT, STR_ARG(buf_view(&buf)));
	buf_clear(&buf);
	return out;
}

static struct str text_time(struct tool *tool, int64_t us)
{
	return us ? tool_text(tool, "for " STR_FMT, STR_ARG(tool_duration(tool, us))) : STR("not");
}

static struct str text_suppress(struct tool *tool, const struct tenant *t)
{
	static const char *const does[] = { [SUPPRESS_MODE_MONITOR] = "recorded", [SUPPRESS_MODE_REJECT] = "refused" };

	if (t->suppress == SUPPRESS_MODE_OFF)
		return STR("off");
	return tool_text(tool, "listed recipients are %s; a hard bounce is listed " STR_FMT ", a complaint " STR_FMT "%s",
			 does[t->suppress], STR_ARG(text_time(tool, t->suppress_hard_us)),
			 STR_ARG(text_time(tool, t->suppress_complaint_us)),
			 t->suppress_releases ? "; a delivery takes a bounce back" : "");
}

static struct str text_return_path(struct tool *tool, const struct tenant *t)
{
	static const char *const goes[] = { [RETURNED_SENDER] = "go on to the sender", [RETURNED_ACCEPT] = "go to the MTA",
					    [RETURNED_DISCARD] = "are discarded" };

	if (t->return_domain.len == 0)
		return STR("none");
	return tool_text(tool, "at " STR_FMT ", for " STR_FMT "; bounces %s", STR_ARG(t->return_domain),
			 STR_ARG(tool_duration(tool, t->return_keep_us)), goes[t->returned_mail]);
}

static struct str text_share(struct tool *tool, const char *what, int64_t bound)
{
	return bound == LIMIT_NONE ? STR_EMPTY : tool_text(tool, "%.1f %% %s, ", (double)bound / 10, what);
}

static struct str text_times(struct tool *tool, int64_t bound, const char *what)
{
	return bound == LIMIT_NONE ? STR_EMPTY : tool_text(tool, STR_FMT "%s", STR_ARG(tool_number(tool, bound)), what);
}

static struct str text_guard(struct tool *tool, const struct tenant *t)
{
	static const char *const actions[] = { [GUARD_NOTIFY] = "told of", [GUARD_HALVE] = "limits halved",
					       [GUARD_DEFER] = "deferred", [GUARD_REJECT] = "rejected", [GUARD_HOLD] = "held" };
	struct str hard = text_share(tool, "hard bounces", t->guard_hard);
	struct str unknown = text_share(tool, "unknown users", t->guard_unknown);
	struct str complaints = text_share(tool, "complaints", t->guard_complaints);

	struct str volume = text_times(tool, t->guard_volume, " times the busiest hour of a week, ");
	struct str clients = text_times(tool, t->guard_clients, " addresses a login, ");

	if (hard.len + unknown.len + complaints.len + volume.len + clients.len == 0)
		return STR("off");
	return tool_text(tool, "over " STR_FMT STR_FMT STR_FMT STR_FMT STR_FMT "of at least " STR_FMT " recipients%s: %s",
			 STR_ARG(hard), STR_ARG(unknown), STR_ARG(complaints), STR_ARG(volume), STR_ARG(clients),
			 STR_ARG(tool_number(tool, t->guard_sample)),
			 !t->guards_senders ? "" : t->guards_tenant ? ", each sender too" : ", each sender", actions[t->guard_action]);
}

static struct str text_kept(struct tool *tool, struct str name)
{
	const struct record_class *class = config_find_class(tool->config, name);

	if (!class)
		return name;

	int64_t n = class->keep.is_years ? class->keep.days / RETENTION_YEAR_DAYS : class->keep.days;

	return tool_text(tool, STR_FMT ", kept %lld %s%s", STR_ARG(name), (long long)n, class->keep.is_years ? "year" : "day",
			 n == 1 ? "" : "s");
}

static struct str text_class(struct tool *tool, const struct tenant *t)
{
	return text_kept(tool, t->record_class);
}

static struct str text_bounce_class(struct tool *tool, const struct tenant *t)
{
	return text_kept(tool, config_bounce_class(t));
}

/* ", warm-up from 200 on 2026-12-01 by 100% a day" */
static struct str text_warm_up(struct tool *tool, const struct quota *quota)
{
	char date[JST_DATE_LEN + 1];

	if (!quota->warm_start)
		return STR_EMPTY;
	jst_format_date(quota->warm_from, date);
	return tool_text(tool, ", warm-up from " STR_FMT " on %s by %g%% a day", STR_ARG(tool_limit(tool, quota->warm_start)), date,
			 (double)quota->warm_growth / 10);
}

/* Quotas of one of the three settings that make them: PREFIX-PERIOD, or any other name. */
static struct str text_quotas_of(struct tool *tool, const struct tenant *t, const char *prefix)
{
	struct buf buf;
	struct str out;

	buf_init(&buf, (size_t)1 << 20);
	for (size_t i = 0; i < t->quota_count; i++) {
		const struct quota *quota = &t->quotas[i];
		bool is_pool = str_starts(quota->name, STR("pool-")), is_login = str_starts(quota->name, STR("per-login-"));
		bool is_wanted = prefix ? str_starts(quota->name, str_from_c(prefix)) : !is_pool && !is_login;

		if (is_wanted)
			buf_printf(&buf, "%s" STR_FMT ": " STR_FMT " " STR_FMT STR_FMT ", then %s", buf.len ? "; " : "",
				   STR_ARG(quota->name), STR_ARG(tool_limit(tool, quota->limit)),
				   STR_ARG(usage_describe(tool, quota)), STR_ARG(text_warm_up(tool, quota)),
				   usage_excess_name(quota->on_excess));
	}
	out = buf.len ? tool_text(tool, STR_FMT, STR_ARG(buf_view(&buf))) : STR("none");
	buf_clear(&buf);
	return out;
}

static struct str text_quotas(struct tool *tool, const struct tenant *t)
{
	return text_quotas_of(tool, t, NULL);
}

static struct str text_pool(struct tool *tool, const struct tenant *t)
{
	return text_quotas_of(tool, t, "pool-");
}

static struct str text_per_login(struct tool *tool, const struct tenant *t)
{
	return text_quotas_of(tool, t, "per-login-");
}

static struct str text_tracking(struct tool *tool, const struct tenant *t)
{
	static const char *const signed_words[] = { [SIGNED_SKIP] = "skip", [SIGNED_STRIP] = "strip", [SIGNED_REWRITE] = "rewrite" };

	if (t->tracking_host.len == 0)
		return STR("none");
	return tool_text(tool, "links to " STR_FMT ": %s%s%s%s%s%s; signed mail: %s", STR_ARG(t->tracking_host),
			 t->tracks_opens ? "opens" : "", t->tracks_opens && t->tracks_clicks ? " and " : "",
			 t->tracks_clicks ? "clicks" : t->tracks_opens ? "" : "nothing",
			 t->tracks_text ? ", in plain text too" : "", t->is_anonymous ? ", readers not named" : "",
			 t->adds_list_unsubscribe ? ", List-Unsubscribe" : "", signed_words[t->on_signed]);
}

const struct setting_line setting_lines[] = {
	{ "readers", text_readers },
	{ "senders", text_senders },
	{ "recipients", text_recipients },
	{ "from", text_from },
	{ "require", text_require },
	{ "recipients_max", text_recipients_max },
	{ "size_max", text_size },
	{ "content", text_content },
	{ "return_path", text_return_path },
	{ "suppress", text_suppress },
	{ "guard", text_guard },
	{ "pool", text_pool },
	{ "default_per_login", text_per_login },
	{ "quotas", text_quotas },
	{ "tracking", text_tracking },
	{ "record_class", text_class },
	{ "bounce_class", text_bounce_class },
	{ NULL },
};

struct str setting_text(struct tool *tool, const struct tenant *tenant, const char *name)
{
	for (const struct setting_line *line = setting_lines; line->name; line++)
		if (strcmp(line->name, name) == 0)
			return line->text(tool, tenant);
	return STR_EMPTY;
}
