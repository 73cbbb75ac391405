#include "milter/tool/paths.h"

#include "config/base/clock.h"
#include "milter/mail/address.h"
#include "milter/return_path.h"

struct answer {
	struct return_path path;
	struct str sender;             /* empty: the store does not know it (any more) */
	int64_t made_us, until_us;
	bool is_expired;
};

static void write_json(struct tool *tool, const struct answer *a)
{
	json_init(&tool->json, &tool->out);
	json_object_open(&tool->json);
	json_member_str(&tool->json, "purpose", STR("return path"));
	json_member_str(&tool->json, "tenant", a->path.tenant->name);
	json_member_str(&tool->json, "message", str_from_c(a->path.path.message));
	json_member_str_opt(&tool->json, "sender", a->sender);
	json_member_bool(&tool->json, "several_recipients", !return_path_is_single(&a->path));
	tool_json_time(tool, "made", a->made_us);
	tool_json_time(tool, "until", a->until_us);
	json_member_bool(&tool->json, "expired", a->is_expired);
	json_object_close(&tool->json);
	buf_add_byte(&tool->out, '\n');
}

static void write_person(struct tool *tool, const struct answer *a)
{
	tool_field(tool, "Purpose", "return path");
	tool_field(tool, "Tenant", STR_FMT, STR_ARG(a->path.tenant->name));
	tool_field(tool, "Message", "%s", a->path.path.message);
	if (a->sender.len)
		tool_field(tool, "Sender", STR_FMT, STR_ARG(a->sender));
	tool_field(tool, "Recipients", "%s", return_path_is_single(&a->path) ? "one" : "several");
	tool_field(tool, "Made", STR_FMT " JST", STR_ARG(tool_time(tool, a->made_us)));
	tool_field(tool, a->is_expired ? "Expired" : "Taken until", STR_FMT " JST", STR_ARG(tool_time(tool, a->until_us)));
}

bool paths_decode(struct tool *tool, const struct token_keys *keys, struct str address)
{
	struct answer a = { .sender = STR_EMPTY };
	enum return_path_kind kind;
	struct err err;

	if (!address_parse_path(address, &tool->arena, &address, &err))
		return false;
	kind = return_path_look(tool->config, keys, address, clock_now_us(), &a.path);
	if (kind != RETURN_PATH_GOOD && kind != RETURN_PATH_EXPIRED)
		return false;
	a.is_expired = kind == RETURN_PATH_EXPIRED;
	a.made_us = path_made_us(&a.path.path);
	a.until_us = a.made_us + a.path.tenant->return_keep_us;
	if (!tool_store_open(tool, TOOL_LOOK, &err) || !return_path_sender(tool->store, &a.path, &tool->arena, &a.sender, &err))
		tool_fail(tool, TOOL_OK, "whose it was before is not known: %s", err.text);
	(tool->is_json ? write_json : write_person)(tool, &a);
	return true;
}
