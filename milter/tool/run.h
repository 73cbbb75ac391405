/*
 * run - a command line of sekisho(1): finds the row of its command, reads its options and runs it.
 */
#ifndef SEKISHO_RUN_H
#define SEKISHO_RUN_H

#include "milter/tool/tool.h"

/* `argv` with the program's name. The exit code. */
int tool_main(struct tool *tool, char *const *argv, size_t argc);

#endif
