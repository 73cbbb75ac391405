#include "t/lib/configured.h"

#include "config/base/buf.h"
#include "config/config_report.h"
#include "t/lib/unit.h"

#define TEXT_MAX 65536

struct config *configured_file(const char *path)
{
	struct config *config = NULL;
	struct config_report report;
	struct err err = { .text = "" };

	if (!config_load(path, &config, &report))
		config_report_first(&report, &err);
	ck_assert_msg(config, "%s", err.text);
	config_report_clear(&report);
	return config;
}

struct config *configured(const char *name, const char *format, ...)
{
	struct buf text;
	struct config *config;
	va_list args;

	buf_init(&text, TEXT_MAX);
	va_start(args, format);
	buf_vprintf(&text, format, args);
	va_end(args);
	ck_assert(!text.failed);
	config = configured_file(unit_file(name, buf_view(&text)));
	buf_clear(&text);
	return config;
}
