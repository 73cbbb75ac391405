/* Any octets as a page: its links lie inside it in rising order, and a pixel put where it may stand is found there. */
#include <assert.h>

#include "config/base/entities.h"
#include "milter/link/href.h"
#include "milter/link/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t scan(struct str page, struct buf *out, bool *out_has_place, size_t *out_place)
{
	struct href_scan scan;
	struct href href;
	struct str host;
	size_t last = 0, images = 0;
	struct buf url;

	buf_init(&url, (size_t)1 << 23);
	href_init(&scan, page);
	while (href_next(&scan, &href)) {
		assert(href.at >= last && href.at <= page.len && href.len <= page.len - href.at);
		last = href.at + href.len;
		images += href.kind == HREF_IMAGE;
		buf_reset(out);
		entities_decode(str_slice(page, href.at, href.len), out);
		buf_reset(&url);
		url_destination(buf_view(out), NULL, &url, &host);
	}
	buf_clear(&url);
	*out_has_place = href_pixel_place(&scan, out_place) && !href_doubt(&scan);
	assert(!*out_has_place || *out_place <= page.len);
	return images;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = str_of((const char *)data, size);
	size_t place = 0, again, images;
	struct buf out, page;
	bool has_place;

	buf_init(&out, (size_t)1 << 22);
	buf_init(&page, (size_t)1 << 21);
	href_declared_charset(input);
	images = scan(input, &out, &has_place, &place);
	if (has_place) {
		buf_add(&page, str_slice(input, 0, place));
		buf_add(&page, STR("<img src=x>"));
		buf_add(&page, str_from(input, place));
		assert(scan(buf_view(&page), &out, &has_place, &again) == images + 1);
	}
	buf_clear(&out);
	buf_clear(&page);
	return 0;
}
