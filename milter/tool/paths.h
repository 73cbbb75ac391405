/*
 * paths - return paths, for people: whose, which message, until when.
 */
#ifndef SEKISHO_PATHS_H
#define SEKISHO_PATHS_H

#include "milter/link/token.h"
#include "milter/tool/tool.h"

/* Prints what the address says. False: it is no return path that these keys and this configuration made. */
bool paths_decode(struct tool *tool, const struct token_keys *keys, struct str address);

#endif
