/* sekisho - main of the operators' and auditors' tool. */
#include <unistd.h>

#include "config/base/io.h"
#include "config/base/log.h"
#include "milter/record/sign.h"
#include "milter/tool/run.h"

int main(int argc, char **argv)
{
	struct tool tool;
	int code;

	io_hold_standard();
	sign_count_shortages();
	log_open("sekisho", LOG_TO_STDERR, LOG_LEVEL_WARN);
	screen_adapt(STDOUT_FILENO);
	tool_init(&tool);
	code = tool_main(&tool, argv, (size_t)argc);
	tool_clear(&tool);
	return code;
}
