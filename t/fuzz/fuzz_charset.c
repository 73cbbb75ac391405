/* Any octets in the charset that the first one chooses: they become UTF-8, and the view of them is ASCII where they are. */
#include <assert.h>

#include "config/base/utf8.h"
#include "milter/mail/charset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_view(const struct charset_view *view)
{
	size_t last = 0;

	for (size_t i = 0; i <= view->bytes.len; i++) {
		size_t at = charset_view_at(view, i, false);

		assert(at >= last && at <= view->text.len && charset_view_at(view, i, true) <= at);
		if (i < view->bytes.len && (unsigned char)view->bytes.ptr[i] < 0x80)
			assert(view->text.ptr[at] == view->bytes.ptr[i]);
		last = at;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct charset *charset = &charset_table[size ? data[0] % charset_table_count : 0];
	struct str input = str_of((const char *)data + (size > 0), size - (size > 0)), utf8;
	struct charset_view view;
	struct arena arena;
	struct buf out;

	arena_init(&arena, (size_t)16 << 20);
	buf_init(&out, (size_t)1 << 20);
	charset_to_utf8(charset, input, &out);
	for (utf8 = buf_view(&out); utf8.len; utf8 = str_from(utf8, utf8_length(utf8)))
		assert(utf8_length(utf8) > 0);
	if (charset_view(charset, input, &arena, &view))
		check_view(&view);
	buf_clear(&out);
	arena_clear(&arena);
	return 0;
}
