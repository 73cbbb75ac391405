#include "config/base/words.h"
#include "milter/mail/arf.h"
#include "milter/mail/report_reading.h"

static bool complaint_add(struct reading *r, struct str address)
{
	if (address.len == 0 || words_address(address) != address.len || report_recipient_find(r->out, address))
		return true;
	return report_recipient_add(r, address) != NULL;
}

/* The one recipient in the returned message's To, when its reporter hid nobody. */
static struct str returned_recipient(struct str returned)
{
	struct str to = parts_field(returned, STR("X-HmXmrOriginalRecipient"));

	if (to.len == 0)
		to = parts_field(returned, STR("To"));
	if (str_find_byte(to, ',') < to.len)
		return STR_EMPTY;
	if (str_find_byte(to, '<') < to.len) {
		to = str_from(to, str_find_byte(to, '<') + 1);
		to = str_slice(to, 0, str_find_byte(to, '>'));
	}
	return words_address(to) == to.len ? to : STR_EMPTY;
}

struct str report_part_returned(const struct part *part)
{
	struct str header, body;

	if (part->kind == PART_HEADERS)
		return part->body;
	parts_split(part->body, &header, &body);
	return header;
}

const struct part *report_part(const struct reading *r, enum part_kind kind)
{
	for (size_t i = 0; i < r->parts.count; i++)
		if (r->parts.items[i].kind == kind)
			return &r->parts.items[i];
	return NULL;
}

bool report_take_complaint(struct reading *r)
{
	const struct part *feedback = report_part(r, PART_FEEDBACK), *returned = report_part(r, PART_MESSAGE);
	struct str text, header = STR_EMPTY;
	struct arf_report arf = { .feedback_type = STR("abuse") };

	if (!returned)
		returned = report_part(r, PART_HEADERS);
	if (returned)
		header = report_part_returned(returned);
	if (feedback) {
		if (!part_decode(feedback, REPORT_TEXT_MAX, r->arena, &text))
			return err_memory(r->err);
		if (!arf_parse(text, &arf, NULL))
			return true;
	} else if (parts_field(header, STR("X-HmXmrOriginalRecipient")).len == 0 &&
		   r->head.complaint_recipient.len == 0) {
		return true;
	}
	r->out->kind = REPORT_COMPLAINT;
	r->out->shape = feedback ? "arf" : "jmrp";
	r->out->evidence = arf.feedback_type;
	r->out->feedback_type = arf.feedback_type;
	if (!arf_is_complaint(arf.feedback_type)) {
		r->out->kind = REPORT_NOTICE;
		return true;
	}
	for (size_t i = 0; i < arf.count; i++)
		if (!complaint_add(r, arf.recipients[i]))
			return false;
	if (r->out->count == 0 && !complaint_add(r, r->head.complaint_recipient))
		return false;
	if (r->out->count == 0 && !complaint_add(r, returned_recipient(header)))
		return false;
	return r->out->count > 0 || report_recipient_add(r, STR_EMPTY) != NULL;
}
