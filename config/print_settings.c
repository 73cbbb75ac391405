/*
 * print_settings - lists of the manual as mdoc, from the tables that the programs follow: all settings, for
 * sekisho.yaml(5); with the argument `metrics` all metrics, for sekisho-milter(8).
 */
#include <stdio.h>

#include "config/base/metrics.h"
#include "config/config_schema.h"

static void metrics_mdoc(struct buf *out)
{
	static const char *const types[] = { [METRIC_COUNTER] = "Counter", [METRIC_GAUGE] = "Gauge", [METRIC_HISTOGRAM] = "Histogram" };
	const struct metric_row *row;

	buf_add_c(out, ".Bl -tag -width Ds\n");
	for (size_t at = 0; (row = metrics_row(at)) != NULL; at++) {
		bool has_label = row->label && row->label[0];

		buf_printf(out, ".It Ic %s%s%s%s\n%s.\n%s, %s.\n", row->name, has_label ? "{" : "", has_label ? row->label : "",
			   has_label ? "}" : "", row->help, types[row->type], row->unit);
	}
	buf_add_c(out, ".El\n");
}

int main(int argc, char **argv)
{
	struct buf text;

	buf_init(&text, 1 << 20);
	if (argc > 1 && strcmp(argv[1], "metrics") == 0)
		metrics_mdoc(&text);
	else
		config_schema_mdoc(&text);

	bool ok = !text.failed && fwrite(text.ptr, 1, text.len, stdout) == text.len && fflush(stdout) == 0;

	buf_clear(&text);
	return ok ? 0 : 1;
}
