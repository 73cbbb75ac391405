#include "milter/mail/report_json.h"

#include "config/base/json.h"
#include "milter/mail/arf.h"

/* The string value behind "key": at the start of `s` or later; empty when there is none. */
static bool string_member(struct str s, struct str key, struct arena *arena, struct str *out)
{
	size_t at = str_find(s, key), end = 0;
	struct str value;
	struct buf plain;

	*out = STR_EMPTY;
	if (at == s.len)
		return true;
	value = str_trim(str_from(s, at + key.len));
	if (value.len == 0 || value.ptr[0] != ':')
		return true;
	value = str_trim(str_from(value, 1));
	if (value.len == 0 || value.ptr[0] != '"')
		return true;
	value = str_from(value, 1);
	while (end < value.len && value.ptr[end] != '"')
		end += value.ptr[end] == '\\' ? 2 : 1;
	value = str_slice(value, 0, end);
	if (str_find_byte(value, '\\') == value.len) {
		*out = value;
		return true;
	}
	buf_init(&plain, value.len * 2 + 16);

	bool ok = !json_unescape(&plain, value) || arena_copy(arena, buf_view(&plain), out);

	buf_clear(&plain);
	return ok;
}

/* The objects of one list: up to its closing bracket. */
static struct str list_find(struct str text, struct str key)
{
	size_t at = str_find(text, key);
	struct str list = str_from(text, at + key.len);

	return at == text.len ? STR_EMPTY : str_slice(list, 0, str_find_byte(list, ']'));
}

static bool recipients_read(struct str list, struct arena *arena, struct report *out)
{
	struct str rest = list, object;
	size_t count = 0;

	while (str_next(&rest, '}', &object))
		count += str_find(object, STR("\"emailAddress\"")) < object.len;
	if (count == 0)
		return true;
	if (count > REPORT_RECIPIENTS_MAX)
		count = REPORT_RECIPIENTS_MAX;
	out->recipients = arena_array(arena, count, sizeof *out->recipients);
	if (!out->recipients)
		return false;
	rest = list;
	while (out->count < count && str_next(&rest, '}', &object)) {
		struct report_recipient *it = &out->recipients[out->count];
		struct str action;

		*it = (struct report_recipient){ .action = DSN_FAILED };
		if (!string_member(object, STR("\"emailAddress\""), arena, &it->address) ||
		    !string_member(object, STR("\"status\""), arena, &it->status) ||
		    !string_member(object, STR("\"diagnosticCode\""), arena, &it->diagnostic) ||
		    !string_member(object, STR("\"action\""), arena, &action))
			return false;
		if (it->address.len == 0)
			continue;
		if (str_eq(action, STR("delayed")))
			it->action = DSN_DELAYED;
		if (str_starts_nocase(it->diagnostic, STR("smtp;")))
			it->diagnostic = str_trim(str_from(it->diagnostic, 5));
		out->count++;
	}
	return true;
}

bool report_json_read(struct str text, struct arena *arena, struct report *out)
{
	struct str bounced = list_find(text, STR("\"bouncedRecipients\":")), id;
	struct str complained = list_find(text, STR("\"complainedRecipients\":"));

	if (!recipients_read(bounced.len ? bounced : complained, arena, out) ||
	    !string_member(text, STR("\"messageId\""), arena, &id))
		return false;
	if (out->count == 0)
		return true;
	out->kind = bounced.len ? REPORT_BOUNCE : REPORT_COMPLAINT;
	out->shape = "amazonses-json";
	out->evidence = bounced.len ? STR("bouncedRecipients") : STR("complainedRecipients");
	out->message_id = id;
	if (out->kind == REPORT_COMPLAINT) {
		if (!string_member(text, STR("\"complaintFeedbackType\""), arena, &out->feedback_type))
			return false;
		if (!arf_is_complaint(out->feedback_type)) {
			out->kind = REPORT_NOTICE;
			out->count = 0;
		}
		return true;
	}
	/* "Transient", "Permanent" and the sub-type are words too: "MailboxFull", "MessageTooLarge", "Suppressed" */
	return string_member(text, STR("\"bounceSubType\""), arena, &out->context);
}
