/*
 * rules - the bounce rules that a command judges by.
 */
#ifndef SEKISHO_TOOL_RULES_H
#define SEKISHO_TOOL_RULES_H

#include "milter/tool/tool.h"
#include "policy/bounce_rules.h"

/* A file's before those that came with the program; `path` empty: the file that the configuration names, if any. The caller
 * frees them. False: said on stderr. */
bool tool_rules(struct tool *tool, struct str path, struct bounce_rules **out);

#endif
