#include "milter/tool/tokens.h"

#include "config/base/io.h"

#define KEY_FILE_MAX ((size_t)1 << 20)

struct token_keys *tokens_keys(struct tool *tool)
{
	const struct config *config = tool_config(tool);
	struct token_keys *keys = NULL;
	struct buf text;
	struct err err;

	if (!config)
		return NULL;
	buf_init(&text, KEY_FILE_MAX);
	if (!io_read_secret(config->token_key_file.ptr, &text, &err))
		tool_fail(tool, TOOL_UNKNOWN, "tracking.key_file: %s", err.text);
	else if (!token_keys_read(buf_view(&text), &keys, &err))
		tool_fail(tool, TOOL_UNKNOWN, "tracking.key_file: " STR_FMT ": %s", STR_ARG(config->token_key_file), err.text);
	buf_clear(&text);
	return keys;
}
