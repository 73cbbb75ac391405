#include "config/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool err_set(struct err *err, enum err_kind kind, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return false;
	err->kind = kind;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof err->text, fmt, ap);
	va_end(ap);
	return false;
}

bool err_errno(struct err *err, enum err_kind kind, const char *fmt, ...)
{
	int why = errno;
	va_list ap;

	if (!err)
		return false;
	err->kind = why == ENOSPC || why == EDQUOT ? ERR_FULL : kind;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof err->text, fmt, ap);
	va_end(ap);

	size_t used = strlen(err->text);

	snprintf(err->text + used, sizeof err->text - used, ": %s", strerrordesc_np(why) ? strerrordesc_np(why) : "unknown error");
	return false;
}

bool err_wrap(struct err *err, const char *fmt, ...)
{
	char inner[ERR_TEXT_MAX];
	va_list ap;

	if (!err)
		return false;
	memcpy(inner, err->text, sizeof inner);
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof err->text, fmt, ap);
	va_end(ap);

	size_t used = strlen(err->text);

	snprintf(err->text + used, sizeof err->text - used, ": %s", inner);
	return false;
}

bool err_memory(struct err *err)
{
	return err_set(err, ERR_BUSY, "out of memory");
}
