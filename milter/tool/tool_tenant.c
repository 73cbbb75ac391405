/* sekisho tenant: who there is, what they may do, and stopping one. */

#include "config/base/clock.h"
#include "milter/tool/commands.h"
#include "milter/tool/queue.h"
#include "milter/tool/settings.h"
#include "milter/tool/usage.h"
#include "policy/tenant.h"

/* Stopped, and by whom: the configuration or a person. */
struct state {
	bool is_stopped;
	const struct suspension *by;   /* NULL: by the configuration */
	struct suspension suspension;
};

static bool read_state(struct tool *tool, const struct tenant *tenant, struct state *out)
{
	struct err err;
	bool found;

	*out = (struct state){ .is_stopped = tenant->is_suspended };
	if (!tenant_suspension(tool->store, tenant->name, (struct member){ .kind = MEMBER_ALL }, &tool->arena,
			       &out->suspension, &found, &err)) {
		tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
		return false;
	}
	if (found && !tenant->is_suspended)
		out->by = &out->suspension;
	out->is_stopped |= found;
	return true;
}

static const char *action_name(const struct suspension *s)
{
	return s->is_halved ? "halve" : usage_excess_name(s->action);
}

static struct str suspension_text(struct tool *tool, const struct suspension *s)
{
	return tool_text(tool, "%s %s%s (%s)%s" STR_FMT, s->is_halved ? "limits halved" : "suspended",
			 s->until_us ? "until " : "until resumed", s->until_us ? tool_time(tool, s->until_us).ptr : "",
			 action_name(s), s->reason.len ? ": " : "", STR_ARG(s->reason));
}

static struct str state_text(struct tool *tool, const struct state *state)
{
	const struct suspension *s = state->by;

	if (!state->is_stopped)
		return STR("active");
	if (!s)
		return STR("suspended in the configuration (reject)");
	return suspension_text(tool, s);
}

static void write_suspension_json(struct tool *tool, const struct suspension *s)
{
	json_member_str(&tool->json, "suspended_by", s->actor);
	json_member_str(&tool->json, "action", str_from_c(action_name(s)));
	tool_json_time(tool, "since", s->since_us);
	tool_json_time(tool, "until", s->until_us);
	json_member_str_opt(&tool->json, "reason", s->reason);
}

static void write_state_json(struct tool *tool, const struct state *state)
{
	const struct suspension *s = state->by;

	json_member_str(&tool->json, "state", !state->is_stopped ? STR("active") : s && s->is_halved ? STR("halved") : STR("suspended"));
	if (!state->is_stopped)
		return;
	if (s) {
		write_suspension_json(tool, s);
		return;
	}
	json_member_str(&tool->json, "suspended_by", STR("configuration"));
	json_member_str(&tool->json, "action", STR("reject"));
}

/* --- its senders and logins */

struct members {
	struct tool *tool;
	size_t count;
};

static bool show_member(void *arg, const struct suspension *s)
{
	struct members *m = arg;
	struct tool *tool = m->tool;

	if (s->of.kind == MEMBER_ALL)
		return true;
	m->count++;
	if (tool->is_json) {
		json_object_open(&tool->json);
		json_member_str(&tool->json, member_kind_name(s->of.kind), s->of.name);
		write_suspension_json(tool, s);
		json_object_close(&tool->json);
		return true;
	}
	tool_field(tool, s->of.kind == MEMBER_SENDER ? "Sender" : "Login", STR_FMT ": " STR_FMT, STR_ARG(s->of.name),
		   STR_ARG(suspension_text(tool, s)));
	tool_field(tool, "", "since " STR_FMT " JST, by " STR_FMT, STR_ARG(tool_time(tool, s->since_us)), STR_ARG(s->actor));
	return true;
}

static bool show_members(struct tool *tool, const struct tenant *tenant)
{
	struct members m = { .tool = tool };
	struct err err;

	if (tool->is_json) {
		json_key(&tool->json, "members");
		json_array_open(&tool->json);
	}
	if (!tenant_each_suspension(tool->store, tenant->name, show_member, &m, &err)) {
		tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
		return false;
	}
	if (tool->is_json)
		json_array_close(&tool->json);
	return true;
}

/* --- list */

struct list {
	bool suspended;
};

static const struct option list_options[] = {
	{ "--suspended", OPTION_FLAG, offsetof(struct list, suspended), NULL, NULL, "only those that may not send" },
	{ NULL },
};

static void list_one(struct tool *tool, struct table *table, const struct tenant *tenant, const struct state *state)
{
	if (tool->is_json) {
		json_object_open(&tool->json);
		json_member_str(&tool->json, "tenant", tenant->name);
		json_member_str_opt(&tool->json, "plan", tenant->plan);
		json_member_i64(&tool->json, "quotas", (int64_t)tenant->quota_count);
		write_state_json(tool, state);
		json_object_close(&tool->json);
		return;
	}
	table_add(table, (struct str[]){ tenant->name, tenant->plan.len ? tenant->plan : STR("-"),
					 tool_number(tool, (int64_t)tenant->quota_count), state_text(tool, state) });
}

static int run_list(struct tool *tool, const void *values)
{
	static const struct column columns[] = {
		{ "TENANT", COLUMN_FOLD }, { "PLAN", COLUMN_FOLD }, { "QUOTAS", COLUMN_RIGHT }, { "STATE", COLUMN_FOLD },
	};
	const struct list *list = values;
	const struct config *config = tool_config(tool);
	struct str pattern = tool->operands.count ? tool->operands.items[0] : STR("*");
	struct table table;
	struct state state;

	if (!config || !tool_store(tool, TOOL_LOOK))
		return TOOL_UNKNOWN;
	table_init(&table, &tool->arena, columns, sizeof columns / sizeof *columns);
	if (tool->is_json)
		json_array_open(&tool->json);
	for (size_t i = 0; i < config->tenant_count; i++) {
		const struct tenant *tenant = &config->tenants[i];

		if (!str_glob(pattern, tenant->name))
			continue;
		if (!read_state(tool, tenant, &state))
			return TOOL_UNKNOWN;
		if (!list->suspended || state.is_stopped)
			list_one(tool, &table, tenant, &state);
	}
	if (tool->is_json) {
		json_array_close(&tool->json);
		buf_add_byte(&tool->out, '\n');
	} else if (table.rows) {
		tool_table(tool, &table);
	} else {
		tool_print(tool, "None.\n");
	}
	return TOOL_OK;
}

const struct tool_command command_tenant_list = {
	.name = "tenant list",
	.operands = "[PATTERN]",
	.operands_max = 1,
	.summary = "all tenants, and who of them may send",
	.about = "Lists the tenants of the configuration, or those whose name matches a pattern with * and ?, with their plan, "
		 "how many quotas they have, and whether they may send. Times are JST.",
	.options = list_options,
	.values_size = sizeof(struct list),
	.has_json = true,
	.examples = "sekisho tenant list\nsekisho tenant list 'shop-*' --suspended",
	.ok = "listed, perhaps none",
	.unknown = "configuration or store cannot be read",
	.run = run_list,
};

/* --- show: every setting, and where it comes from */

static struct str origin_text(struct tool *tool, const struct tenant *tenant, const char *setting)
{
	switch (config_setting_origin(tenant, setting)) {
	case ORIGIN_TENANT:
		return STR("tenant");
	case ORIGIN_PLAN:
		return tool_text(tool, "plan " STR_FMT, STR_ARG(tenant->plan));
	case ORIGIN_DEFAULTS:
		return STR("defaults");
	case ORIGIN_BUILT_IN:
	case ORIGIN_COUNT:
		break;
	}
	return STR("built in");
}

static void show_settings(struct tool *tool, const struct tenant *tenant)
{
	static const struct column columns[] = {
		{ "SETTING", COLUMN_LEFT }, { "VALUE", COLUMN_FOLD }, { "FROM", COLUMN_FOLD },
	};
	struct table table;

	table_init(&table, &tool->arena, columns, 3);
	for (const struct setting_line *line = setting_lines; line->name; line++)
		table_add(&table, (struct str[]){ str_from_c(line->name), line->text(tool, tenant),
						  origin_text(tool, tenant, line->name) });
	tool_print(tool, "\n");
	tool_table(tool, &table);
}

static void show_settings_json(struct tool *tool, const struct tenant *tenant)
{
	json_key(&tool->json, "settings");
	json_object_open(&tool->json);
	for (const struct setting_line *line = setting_lines; line->name; line++) {
		json_key(&tool->json, line->name);
		json_object_open(&tool->json);
		json_member_str(&tool->json, "value", line->text(tool, tenant));
		json_member_str(&tool->json, "from", origin_text(tool, tenant, line->name));
		json_object_close(&tool->json);
	}
	json_object_close(&tool->json);
}

static int show_json(struct tool *tool, const struct tenant *tenant, const struct state *state, const struct usage_list *usage)
{
	json_object_open(&tool->json);
	json_member_str(&tool->json, "tenant", tenant->name);
	json_member_str_opt(&tool->json, "plan", tenant->plan);
	write_state_json(tool, state);
	if (!show_members(tool, tenant))
		return TOOL_UNKNOWN;
	show_settings_json(tool, tenant);
	usage_write_json(tool, usage);
	json_object_close(&tool->json);
	buf_add_byte(&tool->out, '\n');
	return TOOL_OK;
}

static int run_show(struct tool *tool, const void *values)
{
	const struct config *config = tool_config(tool);
	struct usage_list usage;
	struct state state;
	struct err err;

	(void)values;
	if (!config)
		return TOOL_UNKNOWN;

	const struct tenant *tenant = tool_tenant(tool, tool->operands.items[0]);

	if (!tenant)
		return TOOL_NO;
	if (!tool_store(tool, TOOL_LOOK) || !read_state(tool, tenant, &state))
		return TOOL_UNKNOWN;
	if (!usage_read(tool, tenant, NULL, STR_EMPTY, &usage, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	if (tool->is_json)
		return show_json(tool, tenant, &state, &usage);
	tool_field(tool, "Tenant", STR_FMT, STR_ARG(tenant->name));
	tool_field(tool, "Plan", STR_FMT, STR_ARG(tenant->plan.len ? tenant->plan : STR("none")));
	tool_field(tool, "State", STR_FMT, STR_ARG(state_text(tool, &state)));
	if (state.by)
		tool_field(tool, "", "since " STR_FMT " JST, by " STR_FMT, STR_ARG(tool_time(tool, state.by->since_us)),
			   STR_ARG(state.by->actor));
	if (!show_members(tool, tenant))
		return TOOL_UNKNOWN;
	show_settings(tool, tenant);
	if (usage.count) {
		tool_print(tool, "\n");
		usage_write(tool, &usage, 10);
	}
	return TOOL_OK;
}

static const struct option show_options[] = { { NULL } };

const struct tool_command command_tenant_show = {
	.name = "tenant show",
	.operands = "NAME",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "what a tenant may do, and has used",
	.about = "Shows the policy that is in force for a tenant and where each setting comes from (the tenant itself, its plan, "
		 "the defaults, or built in), whether it may send, and what it has used of its quotas.",
	.options = show_options,
	.has_json = true,
	.examples = "sekisho tenant show acme",
	.ok = "shown",
	.no = "there is no such tenant",
	.unknown = "configuration or store cannot be read",
	.run = run_show,
};

/* --- suspend, resume */

struct suspend {
	int64_t for_us;
	struct str action, reason, sender, login;
};
#define SUSPEND(field) offsetof(struct suspend, field)

static const struct option suspend_options[] = {
	{ "--for", OPTION_DURATION, SUSPEND(for_us), "TIME", NULL, "how long: 90s, 15m, 2h, 30d (default: until resumed)" },
	{ "--action", OPTION_WORD, SUSPEND(action), "WORD", "defer|reject|hold|halve",
	  "defer (the mail waits at the sender), reject (default without --for), hold (in the MTA's queue), or halve (mail passes, "
	  "but with half of each limit); with --for the default is defer" },
	{ "--sender", OPTION_TEXT, SUSPEND(sender), "ADDRESS", NULL, "only mail with this envelope sender" },
	{ "--login", OPTION_TEXT, SUSPEND(login), "LOGIN", NULL, "only mail of this SASL login" },
	{ "--reason", OPTION_PROSE, SUSPEND(reason), "TEXT", NULL, "why, in ASCII; the sender reads it too" },
	{ NULL },
};

static enum excess_action action_of(const struct suspend *suspend)
{
	if (!suspend->action.ptr)
		return suspend->for_us ? EXCESS_DEFER : EXCESS_REJECT;
	return str_eq(suspend->action, STR("defer")) ? EXCESS_DEFER
	     : str_eq(suspend->action, STR("hold")) ? EXCESS_HOLD : EXCESS_REJECT;
}

/*
 * One of the tenant's, or the tenant. Whom to stop: what names nobody must not pass for somebody. Whom to free: a guard stops
 * whatever sent the mail, "root" and "a*b@c.example" too. TOOL_OK, or the exit code.
 */
static int member_of(struct tool *tool, struct str sender, struct str login, bool is_to_stop, struct member *out)
{
	struct str name = sender.ptr ? sender : login;

	*out = (struct member){ .kind = sender.ptr ? MEMBER_SENDER : login.ptr ? MEMBER_LOGIN : MEMBER_ALL };
	if (sender.ptr && login.ptr)
		return tool_usage(tool, "either --sender or --login");
	if (out->kind == MEMBER_ALL)
		return TOOL_OK;
	if (is_to_stop && str_find_byte(name, '*') < name.len)
		return tool_usage(tool, "--%s names one %s: no pattern", member_kind_name(out->kind), member_kind_name(out->kind));
	if (sender.ptr && is_to_stop && !tool_recipient(tool, name, &name))
		return TOOL_NO;
	if (sender.ptr && !is_to_stop && !tool_bare(tool, "--sender", &name))
		return TOOL_USAGE;
	out->name = sender.ptr ? tool_spelt(tool, name) : name;
	return TOOL_OK;
}

/* "acme", "acme, sender a@b" */
static struct str whole_name(struct tool *tool, const struct tenant *tenant, struct member member)
{
	return member.kind == MEMBER_ALL ? tenant->name
					 : tool_text(tool, STR_FMT ", %s " STR_FMT, STR_ARG(tenant->name),
						     member_kind_name(member.kind), STR_ARG(member.name));
}

/* Configuration, tenant, trace and store for a change; 0 when all is there, else the exit code. */
static int prepare(struct tool *tool, const struct tenant **out)
{
	if (!tool_config(tool))
		return TOOL_UNKNOWN;
	*out = tool_tenant(tool, tool->operands.items[0]);
	if (!*out)
		return TOOL_NO;
	return tool_ops(tool) && tool_store(tool, TOOL_CHANGE) ? TOOL_OK : TOOL_UNKNOWN;
}

/* An object about it, still open. */
static void begin_json(struct tool *tool, const struct tenant *tenant, struct member member)
{
	json_object_open(&tool->json);
	json_member_str(&tool->json, "tenant", tenant->name);
	if (member.kind != MEMBER_ALL)
		json_member_str(&tool->json, member_kind_name(member.kind), member.name);
}

static void end_json(struct tool *tool)
{
	json_object_close(&tool->json);
	buf_add_byte(&tool->out, '\n');
}

#define QUEUE_DAYS 5                   /* mail waits no longer: Postfix' maximal_queue_lifetime, Sendmail's Timeout.queuereturn */

/* From a date: what lets it go finds what was held, however much later. */
static void tell_pipe(struct tool *tool, const struct tenant *tenant, const char *hold, const char *undo)
{
	char since[JST_DATE_LEN + 1];

	jst_format_date(jst_day(clock_now_us()) - QUEUE_DAYS, since);
	tool_print(tool,
		   "\n    " STR_FMT " log search \\\n      --class " STR_FMT " --tenant " STR_FMT " \\\n"
		   "      --event accepted --from %s --limit 1000000 --json |\n"
		   "      jq -r '.queue_id // empty' | %s\n\nTo let it go again, the same with: %s\n",
		   STR_ARG(tool_self(tool)), STR_ARG(tenant->record_class), STR_ARG(tenant->name), since, hold, undo);
}

/* What was let pass is the MTA's. Where none is configured in its usual place, it may be either. */
static void tell_of_queue(struct tool *tool, const struct tenant *tenant)
{
	struct queue_mta mta;

	queue_choose(tool, &(struct queue_options){ 0 }, &mta);
	tool_print(tool, "\nWhat passed before and waits in the MTA's queue will still go out.\n");
	if (!mta.sendmail) {
		tool_print(tool, "To hold it there, with Postfix, as root:\n");
		tell_pipe(tool, tenant, "postsuper -h -", "postsuper -H -");
	}
	if (!mta.postfix) {
		tool_print(tool, "To hold it there, with Sendmail, as root:\n");
		tell_pipe(tool, tenant, "xargs -I{} sendmail -Qsuspended -qI{}", "xargs -I{} sendmail -qQ -Q -qI{}");
	}
}

static int run_suspend(struct tool *tool, const void *values)
{
	const struct suspend *suspend = values;
	const struct tenant *tenant;
	int64_t now_us = clock_now_us();
	struct suspension s = { .action = action_of(suspend), .is_halved = str_eq(suspend->action, STR("halve")), .since_us = now_us,
				.actor = tool_actor(tool), .reason = suspend->reason.ptr ? suspend->reason : STR_EMPTY };
	struct err err;
	int code = member_of(tool, suspend->sender, suspend->login, true, &s.of);

	if (code != TOOL_OK || (code = prepare(tool, &tenant)) != TOOL_OK)
		return code;
	if (suspend->for_us > TENANT_SUSPEND_MAX_US)
		return tool_usage(tool, "--for: ten years at most; leave it out for no end");
	s.until_us = suspend->for_us ? now_us + suspend->for_us : 0;
	if (!tool_record(tool, &(struct tool_trace){ .event = STR("suspended"), .command = STR("tenant suspend"),
						     .tenant = tenant->name, .member = s.of.kind, .reason = s.reason, .count = -1 }))
		return TOOL_UNKNOWN;
	if (!tenant_suspend(tool->store, tenant->name, &s, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	tool_print(tool, STR_FMT ": " STR_FMT "\n", STR_ARG(whole_name(tool, tenant, s.of)), STR_ARG(suspension_text(tool, &s)));
	tool_warn_letters(tool, s.reason);
	if (tool->is_json) {
		begin_json(tool, tenant, s.of);
		write_suspension_json(tool, &s);
		end_json(tool);
	} else if (s.of.kind == MEMBER_ALL && !s.is_halved) {
		tell_of_queue(tool, tenant);
	}
	return TOOL_OK;
}

const struct tool_command command_tenant_suspend = {
	.name = "tenant suspend",
	.operands = "NAME",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "let nothing of a tenant pass",
	.about = "Stops a tenant's mail, or that of one of its senders or logins, from the next message on, until it is resumed or "
		 "the time is over. Replaces an earlier suspension. Leaves a record in class ops, which does not name the sender or login. "
		 "What passed before and waits in the MTA's queue will still go out: of a whole tenant it is said how to hold that, "
		 "which needs jq(1) and root.",
	.options = suspend_options,
	.values_size = sizeof(struct suspend),
	.has_json = true,
	.examples = "sekisho tenant suspend acme --for 2h --reason 'password stolen'\nsekisho tenant suspend acme --action hold",
	.ok = "suspended",
	.no = "there is no such tenant, or that is no address",
	.unknown = "configuration, store or record cannot be read or written",
	.run = run_suspend,
};

struct resume {
	struct str reason, sender, login;
};

static const struct option resume_options[] = {
	{ "--reason", OPTION_PROSE, offsetof(struct resume, reason), "TEXT", NULL, "why, for the record in class ops" },
	{ "--sender", OPTION_TEXT, offsetof(struct resume, sender), "ADDRESS", NULL, "only this envelope sender of its" },
	{ "--login", OPTION_TEXT, offsetof(struct resume, login), "LOGIN", NULL, "only this SASL login of its" },
	{ NULL },
};

/* The tenant with all its senders and logins, or one of them. */
static bool resume_member(struct tool *tool, const struct tenant *tenant, struct member member, int64_t *out_count,
			  struct err *err)
{
	bool was = false;

	if (member.kind == MEMBER_ALL)
		return tenant_resume_all(tool->store, tenant->name, out_count, err);
	if (!tenant_resume(tool->store, tenant->name, member, &was, err))
		return false;
	*out_count = was;
	return true;
}

static int run_resume(struct tool *tool, const void *values)
{
	const struct resume *resume = values;
	const struct tenant *tenant;
	struct member member;
	int code = member_of(tool, resume->sender, resume->login, false, &member);
	struct err err;
	int64_t count;

	if (code != TOOL_OK || (code = prepare(tool, &tenant)) != TOOL_OK)
		return code;
	if (!tool_record(tool, &(struct tool_trace){ .event = STR("resumed"), .command = STR("tenant resume"),
						     .tenant = tenant->name, .member = member.kind, .reason = resume->reason, .count = -1 }))
		return TOOL_UNKNOWN;
	if (!resume_member(tool, tenant, member, &count, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	if (tenant->is_suspended)
		return tool_fail(tool, TOOL_NO, STR_FMT " is suspended in the configuration (suspended: true); change it there",
				 STR_ARG(tenant->name));
	tool_print(tool, STR_FMT ": %s\n", STR_ARG(whole_name(tool, tenant, member)), count ? "active again" : "was not suspended");
	if (tool->is_json) {
		begin_json(tool, tenant, member);
		json_member_i64(&tool->json, "resumed", count);
		end_json(tool);
	}
	return TOOL_OK;
}

const struct tool_command command_tenant_resume = {
	.name = "tenant resume",
	.operands = "NAME",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "let a tenant's mail pass again",
	.about = "Ends the suspensions of a tenant and of all its senders and logins, or of one of these alone, whoever made them, from "
		 "the next message on. Leaves a record in class ops, which does not name the sender or login.",
	.options = resume_options,
	.values_size = sizeof(struct resume),
	.has_json = true,
	.examples = "sekisho tenant resume acme --reason 'password changed'\nsekisho tenant resume acme --sender news@acme.example",
	.ok = "it may send",
	.no = "there is no such tenant, or it is suspended in the configuration",
	.unknown = "configuration, store or record cannot be read or written",
	.run = run_resume,
};
