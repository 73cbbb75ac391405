/* commands - the rows of sekisho(1), each defined beside what it does, in tool_*.c. */
#ifndef SEKISHO_COMMANDS_H
#define SEKISHO_COMMANDS_H

#include "milter/tool/tool.h"

extern const struct tool_command command_check;

#endif
