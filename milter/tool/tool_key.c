/* sekisho key: the keys that sign the relay log, and what is taken out of it. */
#include <pwd.h>
#include <unistd.h>

#include "milter/record/sign.h"
#include "milter/tool/commands.h"

struct new {
	struct str owner;
	bool is_operator;
};

static const struct option options[] = {
	{ "--owner", OPTION_TEXT, offsetof(struct new, owner), "USER", NULL,
	  "give the files to this user, whom sekisho-milter runs as" },
	{ "--operator", OPTION_FLAG, offsetof(struct new, is_operator), NULL, NULL,
	  "the key that signs erasures (relay_log.operator_key_file); without erasures by rule it may be kept elsewhere" },
	{ NULL },
};

static bool give_to(const char *path, const struct passwd *user, struct err *err)
{
	if (chown(path, user->pw_uid, user->pw_gid) == 0)
		return true;
	return err_errno(err, ERR_BUSY, "giving %s to %s", path, user->pw_name);
}

static int run(struct tool *tool, const void *values)
{
	const struct new *new = values;
	const struct passwd *user = NULL;
	char id[SIGN_ID_LEN + 1];
	struct str file;
	struct err err;

	if (tool->operands.count == 0 && !tool_config(tool))
		return TOOL_UNKNOWN;
	file = tool->operands.count ? tool->operands.items[0]
	     : new->is_operator ? tool->config->operator_key_file : tool->config->log_key_file;
	if (file.len == 0)
		return tool_fail(tool, TOOL_NO, "relay_log.%s is none; say which file", new->is_operator ? "operator_key_file" : "key_file");
	if (new->owner.ptr && !(user = getpwnam(new->owner.ptr)))
		return tool_fail(tool, TOOL_NO, "there is no user " STR_FMT, STR_ARG(new->owner));

	struct str path = tool_text(tool, STR_FMT, STR_ARG(file)),
		   public = tool_text(tool, STR_FMT ".pub", STR_ARG(file));

	if (!sign_key_new(path.ptr, id, &err))
		return tool_fail(tool, err.kind == ERR_CONFIG ? TOOL_NO : TOOL_UNKNOWN, "%s", err.text);
	if (user && (!give_to(path.ptr, user, &err) || !give_to(public.ptr, user, &err)))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	if (tool->is_json) {
		json_object_open(&tool->json);
		json_member_str(&tool->json, "key", path);
		json_member_str(&tool->json, "public", public);
		json_member_str(&tool->json, "id", str_from_c(id));
		json_object_close(&tool->json);
		buf_add_byte(&tool->out, '\n');
	}
	tool_field(tool, "Key", STR_FMT " (keep it secret)", STR_ARG(path));
	tool_field(tool, "Public key", STR_FMT " (give it to whoever verifies)", STR_ARG(public));
	tool_field(tool, "Key id", "%s", id);
	return TOOL_OK;
}

const struct tool_command command_key_new = {
	.name = "key new",
	.operands = "[FILE]",
	.operands_max = 1,
	.summary = "make the key that signs the relay log",
	.about = "Makes an Ed25519 key pair: FILE (by default relay_log.key_file of the configuration, with --operator "
		 "relay_log.operator_key_file), which only its owner can read, and FILE.pub, with which anybody can verify. Never "
		 "overwrites a file.",
	.options = options,
	.values_size = sizeof(struct new),
	.has_json = true,
	.examples = "sekisho key new --owner sekisho\nsekisho key new --operator --owner sekisho\nsekisho key new ./relay-log.key",
	.ok = "made",
	.no = "a file of that name is there already, or there is no such user",
	.unknown = "it cannot be written",
	.run = run,
};
