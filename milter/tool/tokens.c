#include "milter/tool/tokens.h"

#include "milter/token_ring.h"

struct token_keys *tokens_keys(struct tool *tool)
{
	const struct config *config = tool_config(tool);
	struct token_keys *keys = NULL;
	struct err err;

	if (config && !token_ring_read(config->token_key_file, &keys, &err))
		tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	return keys;
}
