/* sekisho - main of the operators' and auditors' tool. */
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/base/io.h"
#include "config/base/log.h"
#include "config/base/memory.h"
#include "milter/record/sign.h"
#include "milter/tool/run.h"

int main(int argc, char **argv)
{
	struct tool tool;
	int code;

	io_hold_standard();
	sign_count_shortages();
	json_set_alloc_funcs(memory_malloc, free);
	log_open("sekisho", LOG_TO_STDERR, LOG_LEVEL_WARN);
	screen_adapt(STDOUT_FILENO);
	tool_init(&tool);
	code = tool_main(&tool, argv, (size_t)argc);
	tool_clear(&tool);
	return code;
}
