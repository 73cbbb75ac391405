#include "config/base/domain.h"

#include <idn2.h>

#include "config/base/memory.h"

/* UTS 46 turns the wide forms of < and @ into the plain ones, which belong into no domain. */
static bool is_good(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!ascii_is_alnum(s.ptr[i]) && !memchr(".-_", s.ptr[i], 3))
			return false;
	return s.len && s.ptr[0] != '.' && str_find(s, STR("..")) == s.len;
}

bool domain_labels(struct str domain, struct buf *out)
{
	const int flags = IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL;
	char typed[DOMAIN_TYPED_MAX + 1] = "";
	uint8_t *found = NULL;
	struct str labels;
	bool ok;

	if (domain.len > DOMAIN_TYPED_MAX || str_find_byte(domain, '\0') < domain.len)
		return false;
	memcpy(typed, domain.ptr, domain.len);
	int code = idn2_lookup_u8((const uint8_t *)typed, &found, flags);

	if (code == IDN2_MALLOC) {             /* it may have A-labels: nobody shall think that it has none */
		memory_ran_out();
		out->failed = true;
	}
	if (code != IDN2_OK)
		return false;
	labels = str_from_c((const char *)found);
	while (str_ends(labels, STR(".")))
		labels.len--;
	ok = is_good(labels);
	if (ok)
		buf_add(out, labels);
	idn2_free(found);
	return ok && !out->failed;
}

/* *out_done: `front` and the A-labels of `domain` are in *out. */
static bool convert(struct arena *arena, struct str front, struct str domain, struct str *out, bool *out_done)
{
	struct buf labels;
	bool ok;

	buf_init(&labels, DOMAIN_TYPED_MAX);
	*out_done = domain_labels(domain, &labels);
	ok = !labels.failed && (!*out_done || arena_concat(arena, out, front, buf_view(&labels)));
	buf_clear(&labels);
	return ok;
}

bool domain_spell(struct arena *arena, struct str address, struct str *out)
{
	struct str local, domain = address, front;
	bool is_done = false;

	if (!str_is_ascii(address)) {
		str_cut_last(address, '@', &local, &domain);
		if (str_starts(domain, STR("*.")))
			domain = str_from(domain, 2);
		front = str_slice(address, 0, address.len - domain.len);
		if (!str_is_ascii(domain) && !convert(arena, front, domain, out, &is_done))
			return false;
	}
	if (!is_done)
		*out = address;
	return true;
}

bool domain_key(struct arena *arena, struct str address, struct str *out)
{
	return domain_spell(arena, address, &address) && arena_copy_lower(arena, address, out);
}
