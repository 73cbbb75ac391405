#include "milter/mail/report_text.h"

#include "config/base/words.h"
#include "milter/mail/report_marks.h"

struct scan {
	struct str text;
	struct arena *arena;
	struct report_text *out;
	size_t room;
	size_t open;                   /* sighting that collects the lines, counted from 1; 0 none */
	size_t open_indent;
	bool open_has_words;
	const char *paragraph;         /* its first line */
	const char *transcript;        /* first line of the SMTP dialogue since the last refusal */
	bool is_gap;                   /* the line before was empty */
	struct str before;             /* the last line with words */
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* NUL is in no set: strchr would find it at the end of every one. */
static bool is_any(char c, const char *set)
{
	return c && strchr(set, c);
}

static size_t indent_of(struct str line)
{
	size_t n = 0;

	while (n < line.len && is_blank(line.ptr[n]))
		n++;
	return n;
}

static struct sighting *sighting_add(struct scan *s, enum sighting_kind kind, struct str address, struct str words)
{
	struct report_text *out = s->out;

	if (out->count == SIGHTINGS_MAX)
		return &out->items[out->count - 1];
	if (out->count == s->room) {
		size_t room = s->room ? s->room * 4 : 8;
		struct sighting *more = arena_array(s->arena, room, sizeof *more);

		if (!more)
			return NULL;
		if (out->count)
			memcpy(more, out->items, out->count * sizeof *more);
		out->items = more;
		s->room = room;
	}
	out->items[out->count] = (struct sighting){ .kind = kind, .address = address, .words = words };
	return &out->items[out->count++];
}

static bool is_local(char c)
{
	return ascii_is_alnum(c) || is_any(c, ".!#$%&*+-/=?^_`{|}~");
}

/* Behind a backslash that is not another's own (RFC 5321 4.1.2, quoted-pair). */
static bool is_escaped(struct str s, size_t from, size_t at)
{
	size_t begin = at;

	while (begin > from && s.ptr[begin - 1] == '\\')
		begin--;
	return (at - begin) % 2 == 1;
}

/* Where a local part in quotation marks begins that ends before `sign`; `sign` when none does. */
static size_t quoted_begin(struct str s, size_t from, size_t sign)
{
	size_t begin = sign > from && s.ptr[sign - 1] == '"' ? sign - 1 : from;

	while (begin > from && sign - begin < 256 && (s.ptr[begin - 1] != '"' || is_escaped(s, from, begin - 1)))
		begin--;
	return begin > from ? begin - 1 : sign;
}

/* The first address in s and where it begins; false when there is none. Each octet is looked at once. */
static bool address_next(struct str s, size_t from, struct str *out, size_t *out_at)
{
	for (size_t at = from; at < s.len;) {
		size_t sign = at + str_find_byte(str_from(s, at), '@'), begin = sign;

		if (sign >= s.len)
			return false;
		while (begin > at && sign - begin < 256 && is_local(s.ptr[begin - 1]))
			begin--;
		if (begin == sign)
			while (begin > at && sign - begin < 256 && (uint8_t)s.ptr[begin - 1] >= 0x80)
				begin--;       /* not one ASCII letter: an internationalised name, all of it */
		if (begin == sign)
			begin = quoted_begin(s, at, sign);
		if (str_starts_nocase(str_from(s, begin), STR("smtp=")))
			begin += 5;    /* X.400 gateways: "dda:smtp=a@b" */
		while (begin < sign && is_any(s.ptr[begin], "=/.`*-"))    /* "to=a@b", "--a@b" */
			begin++;

		size_t n = words_address(str_from(s, begin));

		if (n && begin + n > sign) {
			*out = str_slice(s, begin, n);
			*out_at = begin;
			return true;
		}
		at = sign + 1;
	}
	return false;
}

/* An address right here, whatever encloses it: <a@b>, "a@b", <"a..b"@c>, [SMTP:a@b], 'a@b'. *out_len with the brackets. */
static bool address_here(struct str s, struct str *out, size_t *out_len)
{
	size_t at = 0;

	while (at < s.len && at < 8 && is_any(s.ptr[at], "<\"'[(") && (s.ptr[at] != '"' || !words_address(str_from(s, at))))
		at++;
	if (str_starts_nocase(str_from(s, at), STR("smtp:")) || str_starts_nocase(str_from(s, at), STR("smtp=")))
		at += 5;

	size_t n = words_address(str_from(s, at));

	if (n == 0)
		return false;
	*out = str_slice(s, at, n);
	at += n;
	while (at < s.len && is_any(s.ptr[at], ">\"'])"))
		at++;
	*out_len = at;
	return true;
}

/* Bullets and quote marks before an address: "  * a@b", "-- a@b", ">>> a@b", "> a@b". */
static struct str bullets_skip(struct str line, bool *out_is_quoted)
{
	size_t at = indent_of(line), from = at;

	while (at < line.len && is_any(line.ptr[at], "*->"))
		at++;
	*out_is_quoted = at == from + 1 && line.ptr[from] == '>';
	if (at > from && at < line.len && !is_blank(line.ptr[at]) && line.ptr[at] != '<')
		return str_from(line, from);
	while (at < line.len && is_blank(line.ptr[at]))
		at++;
	return str_from(line, at);
}

static bool words_contain_any(struct str label, const struct str *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (str_find(label, list[i]) < label.len)
			return true;
	return false;
}

/* Who sent the returned message, as reports of many tongues name him. */
static const struct str senders[] = {
	STR_INIT(" from "), STR_INIT(" sender "), STR_INIT(" sent by "), STR_INIT(" absender "),
	STR_INIT(" expéditeur "), STR_INIT(" expediteur "), STR_INIT(" remitente "), STR_INIT(" remetente "),
	STR_INIT(" mittente "), STR_INIT(" afzender "), STR_INIT(" avsändare "), STR_INIT(" afsender "),
	STR_INIT(" avsender "), STR_INIT(" lähettäjä "), STR_INIT(" nadawca "), STR_INIT(" odesílatel "),
	STR_INIT(" feladó "), STR_INIT(" gönderen "), STR_INIT(" отправитель "), STR_INIT(" 差出人 "), STR_INIT(" 送信者 "),
	STR_INIT(" 送信元 "), STR_INIT(" 发件人 "), STR_INIT(" 發件人 "), STR_INIT(" 寄件人 "), STR_INIT(" 寄件者 "),
	STR_INIT(" 보낸 사람 "), STR_INIT(" 보낸사람 "), STR_INIT(" 발신자 "), STR_INIT(" відправник "), STR_INIT(" подател "),
	STR_INIT(" αποστολέασ "), STR_INIT(" αποστολεασ "), STR_INIT(" expeditor "), STR_INIT(" odosielateľ "), STR_INIT(" pošiljatelj "),
	STR_INIT(" pošiljalac "), STR_INIT(" пошиљалац "), STR_INIT(" saatja "), STR_INIT(" siuntėjas "), STR_INIT(" sūtītājs "), STR_INIT(" remitent "),
	STR_INIT(" pengirim "), STR_INIT(" người gửi "), STR_INIT("ผู้ส่ง"), STR_INIT(" שולח "), STR_INIT(" השולח "),
};

/* Fields of the returned message, and people to write to: not whom the report is about. */
static const struct str other_labels[] = {
	STR_INIT(" cc "), STR_INIT(" bcc "), STR_INIT(" reply "),
	STR_INIT(" date "), STR_INIT(" message id "), STR_INIT(" contact "), STR_INIT(" server "), STR_INIT(" host "),
	STR_INIT(" mta "), STR_INIT(" support "), STR_INIT(" help "), STR_INIT(" path "), STR_INIT(" sent "),
	STR_INIT(" postmaster "), STR_INIT(" administrator "), STR_INIT(" mailto "), STR_INIT(" subject "),
	STR_INIT(" assistance "), STR_INIT(" hilfe "), STR_INIT(" aide "), STR_INIT(" ayuda "), STR_INIT(" assistenza "),
	STR_INIT(" kontakt "), STR_INIT(" http "), STR_INIT(" https "), STR_INIT(" said "), STR_INIT(" reason "), STR_INIT(" diagnostic code "),
	STR_INIT(" error "), STR_INIT(" generating "), STR_INIT(" help"), STR_INIT(" original envelope "), STR_INIT(" original address "),
};

/* The To and From fields of the returned message, as mail programs of many tongues write them. */
static const struct str to_names[] = {
	STR_INIT(" to "), STR_INIT(" apparently to "), STR_INIT(" an "), STR_INIT(" à "), STR_INIT(" para "), STR_INIT(" a "),
	STR_INIT(" aan "), STR_INIT(" till "), STR_INIT(" til "), STR_INIT(" do "), STR_INIT(" кому "),
};
static const struct str from_names[] = {
	STR_INIT(" von "), STR_INIT(" de "), STR_INIT(" da "), STR_INIT(" van "), STR_INIT(" från "), STR_INIT(" fra "),
	STR_INIT(" od "), STR_INIT(" от "), STR_INIT(" от кого "), STR_INIT(" kimden "), STR_INIT(" від "), STR_INIT(" από "), STR_INIT(" απο "),
	STR_INIT(" de la "), STR_INIT(" dari "), STR_INIT(" từ "), STR_INIT(" จาก "), STR_INIT(" من "), STR_INIT(" מאת "),
	STR_INIT(" المرسل "),          /* the recipient is "المرسل إليه" */
};

static bool is_one_of(struct str label, const struct str *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (str_eq(label, list[i]))
			return true;
	return false;
}

/* What leads to whom to ask. */
static const struct str asks[] = {
	STR_INIT(" from "), STR_INIT(" sent by "), STR_INIT(" please contact "), STR_INIT(" help contact "),
	STR_INIT(" assistance contact "), STR_INIT(" information contact "), STR_INIT(" questions contact "), STR_INIT(" problems contact "),
	STR_INIT(" please email "), STR_INIT(" please mail "), STR_INIT(" write to "), STR_INIT(" mail us at "), STR_INIT(" email us at "),
	STR_INIT(" contact us at "), STR_INIT(" contact us "), STR_INIT(" wenden sie sich an "), STR_INIT(" wenden sie sich bitte an "),
	STR_INIT(" kontaktieren sie "), STR_INIT(" kontaktieren sie bitte "), STR_INIT(" schreiben sie an "),
	STR_INIT(" contactez "), STR_INIT(" contacter "), STR_INIT(" écrivez à "), STR_INIT(" adressez vous à "),
	STR_INIT(" en contacto con "), STR_INIT(" contacte con "), STR_INIT(" contacte a "), STR_INIT(" escriba a "),
	STR_INIT(" em contato com "), STR_INIT(" em contacto com "), STR_INIT(" contattare "), STR_INIT(" scrivere a "),
	STR_INIT(" contact op met "), STR_INIT(" contact opnemen met "), STR_INIT(" kontakta "), STR_INIT(" kontakt oss på "),
	STR_INIT(" yhteyttä "), STR_INIT(" o kontakt "), STR_INIT(" skontaktuj się z "), STR_INIT(" kontaktujte "),
	STR_INIT(" обращайтесь "), STR_INIT(" обратитесь к "), STR_INIT(" обращайтесь по адресу "), STR_INIT(" пишите на "),
	STR_INIT(" пишите нам "), STR_INIT("問い合わせ "), STR_INIT("問い合わせ先 "), STR_INIT("問合せ "), STR_INIT("問合せ先 "),
	STR_INIT("連絡ください "), STR_INIT("联系我们 "), STR_INIT("请联系 "), STR_INIT("聯絡我們 "), STR_INIT("請聯絡 "), STR_INIT("문의 "), STR_INIT("문의처 "),
};

static bool ends_in_any(struct str words, const struct str *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (str_ends(words, list[i]))
			return true;
	return false;
}

/* "some words: a@b" */
static bool label_read(struct str line, struct str *out_address, enum sighting_kind *out_kind, size_t *out_end)
{
	char folded[96];
	struct words words;
	struct str label, rest = str_from(line, indent_of(line));
	size_t colon = str_find_byte(rest, ':'), width = 1, n;

	if ((colon > 60 || colon == rest.len) && (colon = str_find(str_slice(rest, 0, 60), STR("："))) < rest.len)
		width = strlen("：");          /* East Asian scripts have one of their own */
	if (colon == 0 || colon >= 60 || colon >= rest.len)
		return false;
	label = str_slice(rest, 0, colon);
	rest = str_from(rest, colon + width);
	rest = str_from(rest, indent_of(rest));
	if (!address_here(rest, out_address, &n))
		return false;
	words_init(&words, folded, sizeof folded);
	words_add(&words, label);
	if (is_one_of(words_view(&words), to_names, sizeof to_names / sizeof *to_names)) {
		*out_kind = SIGHTING_TO;
	} else {
		if (words_contain_any(words_view(&words), senders, sizeof senders / sizeof *senders) ||
		    words_contain_any(words_view(&words), other_labels, sizeof other_labels / sizeof *other_labels) ||
		    ends_in_any(words_view(&words), asks, sizeof asks / sizeof *asks) ||
		    is_one_of(words_view(&words), from_names, sizeof from_names / sizeof *from_names))
			return false;
		*out_kind = str_find(words_view(&words), STR(" rcpt to ")) < words.len ? SIGHTING_REPLY : SIGHTING_LABEL;
	}
	*out_end = (size_t)(rest.ptr + n - line.ptr);
	return true;
}

/* The open sighting's words end before `end`. */
static void open_close(struct scan *s, const char *end)
{
	if (s->open) {
		struct str *words = &s->out->items[s->open - 1].words;

		words->len = end > words->ptr ? (size_t)(end - words->ptr) : 0;
	}
	s->open = 0;
}

static bool ends_in_colon(struct str line)
{
	return str_ends(line, STR(":")) || str_ends(line, STR("："));
}

/* "a@b, c@d": what is said about the first is said about all. */
static bool others_add(struct scan *s, enum sighting_kind kind, struct str rest)
{
	struct str address;
	size_t n;

	for (rest = str_trim(rest); str_starts(rest, STR(",")) || str_starts(rest, STR(";")); rest = str_trim(str_from(rest, n))) {
		rest = str_trim(str_from(rest, 1));
		if (!address_here(rest, &address, &n))
			break;

		struct sighting *it = sighting_add(s, kind, address, STR_EMPTY);

		if (!it)
			return false;
		it->beside = s->open;
	}
	return true;
}

/* Words after which a sentence names the recipient. */
static const struct str leads[] = {
	STR_INIT(" to "), STR_INIT(" for "), STR_INIT(" recipient "), STR_INIT(" recipients "), STR_INIT(" user "), STR_INIT(" mailbox "),
	STR_INIT(" address "), STR_INIT(" account "), STR_INIT(" addressed "), STR_INIT(" list "), STR_INIT(" group "),
	STR_INIT(" an "), STR_INIT(" à "), STR_INIT(" para "), STR_INIT(" a "), STR_INIT(" aan "), STR_INIT(" generated from "),
	STR_INIT(" till "), STR_INIT(" til "), STR_INIT(" do "), STR_INIT(" на адрес "), STR_INIT(" для "),
};

static bool lead_stands(struct str before)
{
	char folded[64];
	struct words words;

	before = str_trim(before);
	if (before.len > 40)
		before = str_from(before, before.len - 40);
	words_init(&words, folded, sizeof folded);
	words_add(&words, before);
	for (size_t i = 0; i < sizeof leads / sizeof *leads; i++)
		if (str_ends(words_view(&words), leads[i]))
			return true;
	return false;
}

static bool open_begin(struct scan *s, enum sighting_kind kind, struct str line, struct str address, size_t after)
{
	/* The same recipient again: his words go on. */
	if (s->open && str_eq_nocase(s->out->items[s->open - 1].address, address))
		return true;
	open_close(s, line.ptr);

	struct sighting *it = sighting_add(s, kind, address, str_from(line, after));

	if (!it)
		return false;
	it->is_below_words = !s->is_gap && s->before.len && !ends_in_colon(s->before) && !lead_stands(s->before);
	s->open = (size_t)(it - s->out->items) + 1;
	s->open_indent = indent_of(line);
	s->open_has_words = str_trim(str_from(line, after)).len > 3;
	return true;
}

/* "name@domain <real@domain>": the one in brackets is meant. */
static void address_prefer_bracketed(struct str line, struct str *address, size_t *after)
{
	struct str rest = str_from(line, *after), second;
	size_t at = indent_of(rest), n;

	if (at == 0 || at >= rest.len || rest.ptr[at] != '<' || !address_here(str_from(rest, at), &second, &n))
		return;
	*address = second;
	*after += at + n;
}

/* `"Neko" <a@b>`: a name in quotation marks, then the address; *out_end is behind it. */
static bool named_read(struct str line, struct str *out_address, size_t *out_end)
{
	struct str rest = str_from(line, indent_of(line));
	size_t quote, at, n;

	if (rest.len == 0 || rest.ptr[0] != '"')
		return false;
	quote = str_find_byte(str_from(rest, 1), '"') + 2;
	at = quote + indent_of(str_from(rest, quote));
	if (at >= rest.len || rest.ptr[at] != '<' || !address_here(str_from(rest, at), out_address, &n))
		return false;
	*out_end = (size_t)(rest.ptr + at + n - line.ptr);
	return true;
}

/*
 * "... was sent by", "Absender:", "For help, contact": an address in the line below is the sender's, or a helper's. A
 * sentence that ends so is no label: "was returned to the sender.", "550 5.7.1 unauthorized sender".
 */
static bool ends_like_sender(struct str line)
{
	bool is_wide, is_label, is_sentence;
	char folded[96];
	struct words words;

	line = str_trim(line);
	is_wide = str_ends(line, STR("："));
	is_label = ends_in_colon(line);
	is_sentence = str_ends(line, STR("."));
	line.len -= is_wide ? strlen("：") : 0;
	words_init(&words, folded, sizeof folded);
	words_add(&words, str_from(line, line.len > 60 ? line.len - 60 : 0));
	return (is_label && ends_in_any(words_view(&words), senders, sizeof senders / sizeof *senders)) ||
	       (!is_sentence && ends_in_any(words_view(&words), asks, sizeof asks / sizeof *asks)) ||
	       is_one_of(words_view(&words), senders, sizeof senders / sizeof *senders) ||
	       is_one_of(words_view(&words), from_names, sizeof from_names / sizeof *from_names);
}

static bool line_opens(struct scan *s, struct str line, bool *out_taken)
{
	struct str address, head;
	enum sighting_kind kind;
	bool is_quoted;
	size_t n;

	*out_taken = false;
	head = bullets_skip(line, &is_quoted);
	if (s->open && indent_of(line) <= s->open_indent && report_is_local_delivery(head) &&
	    report_names_owner(str_from(s->text, (size_t)(line.ptr + line.len - s->text.ptr)))) {
		open_close(s, line.ptr);
		return true;
	}
	if (report_is_local_delivery(s->before) && str_starts(head, STR("generated by ")))
		head = str_from(head, strlen("generated by "));
	if (address_here(head, &address, &n)) {
		struct str tail = str_trim(str_from(head, n));
		size_t after = (size_t)(head.ptr + n - line.ptr);

		/* deeper than the address above and right below it: its words, folded */
		if (s->open && !s->is_gap && indent_of(line) > s->open_indent)
			return true;
		if ((is_quoted && tail.len) || ends_like_sender(s->before))
			return true;
		address_prefer_bracketed(line, &address, &after);
		*out_taken = true;
		return open_begin(s, SIGHTING_LINE, line, address, after) && others_add(s, SIGHTING_LINE, str_from(line, after));
	}
	if (line.len && line.ptr[0] == '>' && !str_starts(line, STR(">>")))
		return true;
	if (named_read(line, &address, &n) && !ends_like_sender(s->before)) {
		*out_taken = true;
		return open_begin(s, SIGHTING_LINE, line, address, n);
	}
	if (label_read(line, &address, &kind, &n)) {
		*out_taken = true;
		if (kind == SIGHTING_LABEL)    /* "Unknown user: a@b": the label is a word about it too */
			return open_begin(s, kind, line, address, 0) && others_add(s, kind, str_from(line, n));
		return sighting_add(s, kind, address, str_from(line, n)) != NULL;
	}
	return true;
}

/* SMTP dialogue: ">>> RCPT To:<a>", "<<< 550 ...", and what sendmail makes of it: "550 5.1.1 <a>... User unknown". */
static bool line_dialogue(struct scan *s, struct str line, bool *out_taken)
{
	struct str rest = str_from(line, indent_of(line)), address;
	bool is_command = str_starts(rest, STR(">>>")), is_reply = str_starts(rest, STR("<<<"));
	bool is_verdict = words_reply(rest) >= 400;
	size_t at;

	if (is_command && address_here(str_trim(str_from(rest, 3)), &address, &at))
		is_command = false;    /* ">>> a@b" names a recipient */

	*out_taken = is_command || is_reply || is_verdict;
	if (!*out_taken) {
		if (str_find(rest, STR("talking to")) < rest.len)
			s->transcript = line.ptr;
		return true;
	}
	if (!s->transcript)            /* what leads to it stands right above: "mx.example did not like our RCPT TO:" */
		s->transcript = is_command || !s->paragraph ? line.ptr : s->paragraph;
	if (is_reply && words_reply(str_trim(str_from(rest, 3))) < 400)
		return true;
	if (is_command && str_find(rest, STR("<")) < rest.len && !str_starts_nocase(str_trim(str_from(rest, 3)), STR("rcpt")))
		return true;
	if (!address_next(rest, 0, &address, &at))
		return true;
	if (is_command)                /* only if nobody refuses it by name */
		return sighting_add(s, SIGHTING_SENTENCE, address,
				    str_of(s->transcript, (size_t)(line.ptr + line.len - s->transcript)));

	struct str words = str_of(s->transcript, (size_t)(line.ptr + line.len - s->transcript));

	if (is_verdict) {
		s->transcript = NULL;
		s->paragraph = NULL;
	}
	return sighting_add(s, SIGHTING_REPLY, address, words) != NULL;
}

static bool line_mentions(struct scan *s, struct str line)
{
	struct str address;
	size_t at = 0;

	for (size_t from = 0; address_next(line, from, &address, &at); from = at + address.len) {
		bool leads_here = lead_stands(str_slice(line, 0, at));

		if (!sighting_add(s, leads_here ? SIGHTING_SENTENCE : SIGHTING_MENTION, address, str_from(line, at + address.len)))
			return false;
	}
	return true;
}

/* "(expanded from <c@d>)", "(generated from c@d)", "(Originally addressed to c@d)" belong to the open sighting. */
static void line_alias(struct scan *s, struct str line)
{
	size_t at = str_find(line, STR(" from "));
	struct str address;

	if (!s->open || s->out->items[s->open - 1].was.len)
		return;
	if (at == line.len)
		at = str_find(line, STR(" from: "));
	if (at == line.len || (str_find(str_slice(line, 0, at), STR("expanded")) == at &&
			       str_find(str_slice(line, 0, at), STR("generated")) == at))
		return;
	if (address_next(line, at, &address, &at))
		s->out->items[s->open - 1].was = address;
}

static bool is_status_field(struct str line)
{
	line = str_from(line, indent_of(line));
	return str_starts_nocase(line, STR("final-recipient")) || str_starts_nocase(line, STR("original-recipient:"));
}

static bool line_read(struct scan *s, struct str line)
{
	struct str bare = str_trim(line);
	bool taken;

	if (bare.len == 0) {
		s->is_gap = true;
		s->paragraph = NULL;
		return true;
	}
	if (!s->paragraph)
		s->paragraph = line.ptr;
	/* A heading after the recipient's own words opens something else, a transcript mostly. */
	if (s->open && s->open_has_words && (str_starts(bare, STR("-----")) || str_starts(bare, STR("_____"))))
		open_close(s, line.ptr);
	if (is_status_field(line)) {
		s->out->has_fields = true;
		open_close(s, line.ptr);
	}
	if (!line_dialogue(s, line, &taken))
		return false;
	if (taken)
		s->open_has_words = true;
	if (!taken && !line_opens(s, line, &taken))
		return false;
	if (!taken) {
		s->open_has_words = true;
		if (str_find_byte(line, '@') < line.len && !line_mentions(s, line))
			return false;
	}
	line_alias(s, line);
	s->before = bare;
	s->is_gap = false;
	return true;
}

bool report_text_read(struct str text, struct arena *arena, struct report_text *out)
{
	struct scan s = { .text = text, .arena = arena, .out = out, .before = STR_EMPTY };
	struct str rest = text, line;

	*out = (struct report_text){ .text = text, .returned = str_from(text, text.len) };
	while (str_next(&rest, '\n', &line)) {
		if (line.len && line.ptr[line.len - 1] == '\r')
			line.len--;
		if (report_is_end(line)) {
			out->text.len = (size_t)(line.ptr - text.ptr);
			out->returned = str_from(text, out->text.len);
			break;
		}
		if (!line_read(&s, line))
			return false;
	}
	open_close(&s, out->text.ptr + out->text.len);
	for (size_t i = 0; i < out->count; i++) {
		struct sighting *it = &out->items[i];

		if (it->beside)
			it->words = out->items[it->beside - 1].words;
		else if (it->kind >= SIGHTING_SENTENCE)    /* a sentence's words run on to the end */
			it->words.len = (size_t)(out->text.ptr + out->text.len - it->words.ptr);
	}
	return true;
}

size_t report_text_names(struct str text, struct str anchor, struct str *out, size_t max)
{
	size_t at = str_find(text, anchor), count = 0;
	struct str line, rest;

	if (at == text.len)
		return 0;
	rest = str_from(text, at);
	(void)str_next(&rest, '\n', &line);
	while (count < max && str_next(&rest, '\n', &line)) {
		struct str name = str_trim(line), why;

		if (name.len == 0 && count == 0)
			continue;
		why = str_trim(str_from(name, str_find_byte(name, ' ')));      /* "neko (user not found)" */
		name = str_slice(name, 0, str_find_byte(name, ' '));
		if (name.len == 0 || name.len > 64 || !is_blank(line.ptr[0]) || (why.len && why.ptr[0] != '('))
			break;
		out[count++] = name;
	}
	return count;
}
