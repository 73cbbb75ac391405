/*
 * tokens - the keys of tracked links, as the configuration names them; for commands that make or read such links.
 */
#ifndef SEKISHO_TOKENS_H
#define SEKISHO_TOKENS_H

#include "milter/link/token.h"
#include "milter/tool/tool.h"

/* NULL: said on stderr already, exit with TOOL_UNKNOWN. */
struct token_keys *tokens_keys(struct tool *tool);

#endif
