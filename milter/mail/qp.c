#include "milter/mail/qp.h"

/* One line of encoded text: content, blanks that do not count, `=` of a soft break, line end. */
struct line {
	struct str content;            /* without trailing blanks and without the soft `=` */
	struct str blanks, eol;        /* as they stand; eol is empty at the end of the text */
	struct str all;
	bool is_soft;
};

/* Where the blanks before `end` begin; behind an `=`, a bare CR is one as well. */
static size_t without_blanks(struct str s, size_t end)
{
	size_t blank = end, soft;

	while (blank > 0 && (s.ptr[blank - 1] == ' ' || s.ptr[blank - 1] == '\t'))
		blank--;
	soft = blank;
	while (soft > 0 && (s.ptr[soft - 1] == ' ' || s.ptr[soft - 1] == '\t' || s.ptr[soft - 1] == '\r'))
		soft--;
	return soft > 0 && s.ptr[soft - 1] == '=' ? soft : blank;
}

static bool line_next(struct str *rest, struct line *out)
{
	if (rest->len == 0)
		return false;

	size_t lf = str_find_byte(*rest, '\n'), end = lf;

	if (end < rest->len && end > 0 && rest->ptr[end - 1] == '\r')
		end--;
	out->all = str_slice(*rest, 0, lf < rest->len ? lf + 1 : lf);
	out->eol = str_from(out->all, end);
	end = without_blanks(*rest, end);
	out->is_soft = end > 0 && rest->ptr[end - 1] == '=';
	out->content = str_slice(*rest, 0, out->is_soft ? end - 1 : end);
	out->blanks = str_slice(*rest, end, out->all.len - out->eol.len - end);
	*rest = str_from(*rest, out->all.len);
	return true;
}

/* One more than the value of a hex digit; 0 for what is none. */
static const unsigned char hex_values[256] = {
	['0'] = 1, ['1'] = 2, ['2'] = 3, ['3'] = 4, ['4'] = 5, ['5'] = 6, ['6'] = 7, ['7'] = 8, ['8'] = 9, ['9'] = 10,
	['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
	['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

/* The octet at the start of s, and how many octets of s stand for it. */
static size_t atom_read(struct str s, char *out)
{
	if (s.ptr[0] == '=' && s.len >= 3) {
		unsigned high = hex_values[(unsigned char)s.ptr[1]], low = hex_values[(unsigned char)s.ptr[2]];

		if (high && low) {
			*out = (char)((high - 1) << 4 | (low - 1));
			return 3;
		}
	}
	*out = s.ptr[0];
	return 1;
}

bool qp_decode(struct str in, struct buf *out)
{
	bool is_clear = true;
	struct line line;

	if (in.len == 0)
		return true;
	if (!buf_reserve(out, in.len))
		return false;

	char *to = out->ptr + out->len;

	while (line_next(&in, &line)) {
		struct str s = line.content;

		is_clear &= !line.is_soft || line.blanks.len == 0;
		while (s.len) {
			size_t n = s.ptr[0] == '=' ? atom_read(s, to++) : str_find_byte(s, '=');

			if (s.ptr[0] != '=') {
				memcpy(to, s.ptr, n);
				to += n;
			}
			s = str_of(s.ptr + n, s.len - n);
		}
		if (!line.is_soft && line.eol.len) {
			memcpy(to, line.eol.ptr, line.eol.len);
			to += line.eol.len;
		}
	}
	out->len = (size_t)(to - out->ptr);
	return is_clear;
}

/* Writes encoded text and keeps its lines short. */
struct encoder {
	struct buf *out;
	struct str eol;
	size_t column;
};

/* A dot or "From " at the start of a line suffers in old transports, and "--" could be a delimiter of the message. */
static bool suffers_first(char c)
{
	return c == '.' || c == 'F' || c == '-';
}

/* True: there was none, and a line begins. */
static bool encoder_room(struct encoder *enc, size_t n)
{
	if (enc->column + n < QP_LINE_MAX)
		return false;
	buf_add_byte(enc->out, '=');
	buf_add(enc->out, enc->eol);
	enc->column = 0;
	return true;
}

static void encoder_escape(struct encoder *enc, char c)
{
	static const char digits[16] = "0123456789ABCDEF";
	unsigned char byte = (unsigned char)c;
	char text[3] = { '=', digits[byte >> 4], digits[byte & 15] };

	encoder_room(enc, sizeof text);
	buf_add(enc->out, str_of(text, sizeof text));
	enc->column += sizeof text;
}

/* What began a line in the original may begin one here; what a break of ours would put there may not. */
static void encoder_raw(struct encoder *enc, struct str atom)
{
	if (encoder_room(enc, atom.len) && suffers_first(atom.ptr[0])) {
		encoder_escape(enc, atom.ptr[0]);
		return;
	}
	buf_add(enc->out, atom);
	enc->column += atom.len;
}

static void encoder_add(struct encoder *enc, char c)
{
	bool is_plain = (c == ' ' || c == '\t' || (c > ' ' && c < 0x7f)) && c != '=';

	if (is_plain) {
		encoder_room(enc, 1);
		is_plain = enc->column > 0 || !suffers_first(c);
	}
	if (is_plain)
		encoder_raw(enc, str_of(&c, 1));
	else
		encoder_escape(enc, c);
}

/* RFC 2045 6.7 (3): a blank that is meant cannot stand last. */
static void encoder_end(struct encoder *enc)
{
	struct buf *out = enc->out;
	char last = enc->column && !out->failed ? out->ptr[out->len - 1] : 'x';

	if (last == ' ' || last == '\t') {
		out->len--;
		enc->column--;
		encoder_escape(enc, last);
	}
}

static void encoder_break(struct encoder *enc, struct str eol)
{
	encoder_end(enc);
	buf_add(enc->out, eol);
	enc->column = 0;
}

void qp_encode(struct str in, struct str eol, struct buf *out)
{
	struct encoder enc = { .out = out, .eol = eol };

	while (in.len) {
		if (str_starts(in, eol)) {
			encoder_break(&enc, eol);
			in = str_from(in, eol.len);
		} else {
			encoder_add(&enc, in.ptr[0]);
			in = str_from(in, 1);
		}
	}
	encoder_end(&enc);
}

/* qp_edit walks encoded lines and decoded offsets side by side. */
struct editor {
	struct encoder enc;
	const struct edit_list *edits;
	size_t next;                   /* the edit that comes */
	size_t at;                     /* decoded offset */
	size_t skip_to;                /* decoded octets before this one leave */
	bool is_touched;               /* the line being written has been changed */
};

static void editor_begin_edits(struct editor *ed)
{
	while (ed->next < ed->edits->count && ed->edits->items[ed->next].at == ed->at) {
		const struct edit *edit = &ed->edits->items[ed->next++];

		for (size_t i = 0; i < edit->with.len; i++)
			encoder_add(&ed->enc, edit->with.ptr[i]);
		ed->skip_to = edit->at + edit->len;
		ed->is_touched = true;
	}
}

static size_t line_decoded_length(const struct line *line)
{
	size_t decoded = line->is_soft ? 0 : line->eol.len;
	char c;

	for (struct str s = line->content; s.len;) {
		bool is_escape = s.ptr[0] == '=';
		size_t n = is_escape ? atom_read(s, &c) : str_find_byte(s, '=');

		decoded += is_escape ? 1 : n;
		s = str_of(s.ptr + n, s.len - n);
	}
	return decoded;
}

static bool editor_leaves_alone(const struct editor *ed, size_t decoded_len, bool is_last)
{
	size_t end = ed->at + decoded_len;

	if (ed->is_touched || ed->skip_to > ed->at)
		return false;
	if (ed->next == ed->edits->count)
		return true;
	return is_last ? ed->edits->items[ed->next].at > end : ed->edits->items[ed->next].at >= end;
}

/* Readers should not see blanks at the end of a line, but some do: what was there stays, on a line of its own if need be. */
static void editor_blanks(struct editor *ed, const struct line *line, const char *before)
{
	struct str blanks = line->blanks.len < QP_LINE_MAX ? line->blanks : STR_EMPTY;

	if (ed->enc.column + line->is_soft + blanks.len > QP_LINE_MAX) {
		buf_add_byte(ed->enc.out, '=');
		buf_add(ed->enc.out, ed->enc.eol);
	}
	buf_add_c(ed->enc.out, before);
	buf_add(ed->enc.out, blanks);
	buf_add(ed->enc.out, line->eol);
	ed->enc.column = 0;
}

static void editor_end_line(struct editor *ed, const struct line *line, bool is_last)
{
	/* The line end is one or two decoded octets; an edit may begin before either. */
	char kept[2];
	size_t kept_len = 0;

	for (size_t i = 0; !line->is_soft && i < line->eol.len; i++) {
		bool is_parted = ed->next < ed->edits->count && ed->edits->items[ed->next].at == ed->at;

		for (size_t k = 0; is_parted && k < kept_len; k++)
			encoder_add(&ed->enc, kept[k]);
		kept_len = is_parted ? 0 : kept_len;
		editor_begin_edits(ed);
		if (ed->at++ >= ed->skip_to)
			kept[kept_len++] = line->eol.ptr[i];
	}
	if (line->is_soft && (line->eol.len || is_last)) {
		if (is_last)            /* what is appended stands before a soft break that ends the text */
			editor_begin_edits(ed);
		/* In the midst of what leaves it parts nothing, and what stays behind shall not begin a line for it. */
		ed->is_touched = ed->skip_to > ed->at;
		if (!ed->is_touched || is_last)
			editor_blanks(ed, line, "=");
	} else if (kept_len == line->eol.len && kept_len) {
		encoder_end(&ed->enc);
		editor_blanks(ed, line, "");
		ed->is_touched = false;
	} else {
		for (size_t i = 0; i < kept_len; i++)
			encoder_add(&ed->enc, kept[i]);
	}
}

static void editor_line(struct editor *ed, const struct line *line, bool is_last)
{
	ed->is_touched = true;
	for (struct str s = line->content; s.len;) {
		char c;
		size_t n = atom_read(s, &c);

		editor_begin_edits(ed);
		if (ed->at++ < ed->skip_to)
			;
		/* What comes behind may have become two digits, or a line feed. */
		else if (n == 1 && (c == '=' || c == '\r'))
			encoder_escape(&ed->enc, c);
		else
			encoder_raw(&ed->enc, str_slice(s, 0, n));
		s = str_from(s, n);
	}
	editor_end_line(ed, line, is_last);
}

void qp_edit(struct str in, const struct edit_list *edits, struct str eol, struct buf *out)
{
	struct editor ed = { .enc = { .out = out, .eol = eol }, .edits = edits };
	struct line line;

	while (line_next(&in, &line)) {
		size_t decoded_len = line_decoded_length(&line);

		if (editor_leaves_alone(&ed, decoded_len, in.len == 0)) {
			buf_add(out, line.all);
			ed.at += decoded_len;
			/* Whatever is appended at the end of the text goes on behind this line. */
			ed.enc.column = line.eol.len ? 0 : line.all.len;
		} else {
			editor_line(&ed, &line, in.len == 0);
		}
	}
	editor_begin_edits(&ed);
	if (ed.is_touched)
		encoder_end(&ed.enc);
}
