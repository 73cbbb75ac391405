/* Any octets as quoted-printable: editing them encoded is editing them decoded. The first two say where. */
#include <assert.h>

#include "milter/mail/base64.h"
#include "milter/mail/qp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = str_of((const char *)data + (size < 2 ? size : 2), size < 2 ? 0 : size - 2);
	struct buf plain, coded, got, want;

	buf_init(&plain, (size_t)1 << 20);
	buf_init(&coded, (size_t)4 << 20);
	buf_init(&got, (size_t)4 << 20);
	buf_init(&want, (size_t)1 << 20);
	qp_decode(input, &plain);

	size_t at = size < 2 ? 0 : data[0] * 3U % (plain.len + 1), len = size < 2 ? 0 : data[1] % (plain.len - at + 1);
	struct edit items[2] = { { at, len, STR("https://t.example/c/=_- .\xff") }, { plain.len, 0, STR("<img>") } };
	struct edit_list edits = { .items = items, .count = 2 };

	qp_edit(input, &edits, STR("\r\n"), &coded);
	qp_decode(buf_view(&coded), &got);
	edit_apply(buf_view(&plain), &edits, &want);
	assert(str_eq(buf_view(&got), buf_view(&want)));
	buf_reset(&coded);
	buf_reset(&got);
	qp_encode(buf_view(&plain), STR("\n"), &coded);
	qp_decode(buf_view(&coded), &got);
	assert(str_eq(buf_view(&got), buf_view(&plain)));
	buf_reset(&coded);
	base64_decode(input, &coded);
	buf_clear(&plain);
	buf_clear(&coded);
	buf_clear(&got);
	buf_clear(&want);
	return 0;
}
