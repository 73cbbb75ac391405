#include "milter/field.h"

#include "milter/mail/charset.h"
#include "milter/mail/header.h"

bool field_keep(struct arena *arena, struct str name, struct str value, const struct content_field **fields)
{
	struct content_field *field = arena_new(arena, struct content_field);
	struct str text;
	struct err err;
	struct buf buf;
	bool ok;

	if (!field || !arena_copy(arena, name, &field->name))
		return false;
	buf_init(&buf, (value.len + 1) * CHARSET_GROWTH);
	header_text(value, &buf);
	ok = buf_done(&buf, &text, &err) && arena_copy_squeezed(arena, text, &field->value);
	buf_clear(&buf);
	if (!ok)
		return false;
	field->next = *fields;
	*fields = field;
	return true;
}
