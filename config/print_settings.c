/* print_settings - the list of all settings as mdoc, for sekisho.yaml(5). */
#include <stdio.h>

#include "config/config_schema.h"

int main(void)
{
	struct buf text;

	buf_init(&text, 1 << 20);
	config_schema_mdoc(&text);

	bool ok = !text.failed && fwrite(text.ptr, 1, text.len, stdout) == text.len && fflush(stdout) == 0;

	buf_clear(&text);
	return ok ? 0 : 1;
}
