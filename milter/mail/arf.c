#include "milter/mail/arf.h"

/* The address without brackets and without "rfc822;"; reporters who hide the recipient leave no "@" in it. */
static struct str address_of(struct str value)
{
	size_t type = str_find_byte(value, ';');

	if (type < value.len)
		value = str_from(value, type + 1);
	value = str_trim(value);
	if (value.len && value.ptr[0] == '<')
		value = str_slice(value, 1, str_find_byte(value, '>') - 1);
	return str_find_byte(value, '@') < value.len ? value : STR_EMPTY;
}

static void recipient_add(struct arf_report *out, struct str address)
{
	if (address.len == 0 || out->count == ARF_RECIPIENTS_MAX)
		return;
	for (size_t i = 0; i < out->count; i++)
		if (str_eq_nocase(out->recipients[i], address))
			return;
	out->recipients[out->count++] = address;
}

bool arf_is_complaint(struct str feedback_type)
{
	static const struct str others[] = { STR_INIT("not-spam"), STR_INIT("auth-failure"), STR_INIT("dkim"),
					     STR_INIT("adsp"), STR_INIT("spf"), STR_INIT("dmarc") };

	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (str_eq_nocase(feedback_type, others[i]))
			return false;
	return true;
}

bool arf_parse(struct str text, struct arf_report *out, struct err *err)
{
	struct str line, name, value;

	*out = (struct arf_report){ .feedback_type = STR_EMPTY };
	while (str_next(&text, '\n', &line)) {
		if (line.len == 0 || line.ptr[0] == ' ' || line.ptr[0] == '\t' || !str_cut(line, ':', &name, &value))
			continue;
		name = str_trim(name);
		value = str_trim(value);
		if (str_eq_nocase(name, STR("Feedback-Type")))
			out->feedback_type = value;
		else if (str_eq_nocase(name, STR("Original-Rcpt-To")) || str_eq_nocase(name, STR("Removal-Recipient")) ||
			 str_eq_nocase(name, STR("X-Original-Rcpt-To")))
			recipient_add(out, address_of(value));
	}
	if (out->feedback_type.len == 0)
		return err_set(err, ERR_INPUT, "feedback report without a Feedback-Type");
	return true;
}
