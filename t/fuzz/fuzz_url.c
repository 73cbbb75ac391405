/* Any octets as a link's value: what comes out is ASCII, http or https, and leads to itself; its page is its own page. */
#include <assert.h>

#include "milter/link/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = str_of((const char *)data, size), host, host_again;
	struct buf out, again;

	buf_init(&out, (size_t)1 << 22);
	buf_init(&again, (size_t)1 << 22);
	if (url_destination(input, NULL, &out, &host)) {
		assert(url_may_be_http(input));
		assert(str_starts(buf_view(&out), STR("http://")) || str_starts(buf_view(&out), STR("https://")));
		for (size_t i = 0; i < out.len; i++)
			assert(out.ptr[i] > ' ' && out.ptr[i] < 0x7f);
		assert(url_destination(buf_view(&out), NULL, &again, &host_again));
		assert(str_eq(buf_view(&out), buf_view(&again)) && str_eq(host, host_again));
		buf_reset(&again);
		url_add_page(buf_view(&out), &again);
		buf_reset(&out);
		url_add_page(buf_view(&again), &out);
		assert(str_eq(buf_view(&out), buf_view(&again)));
	}
	buf_clear(&out);
	buf_clear(&again);
	return 0;
}
