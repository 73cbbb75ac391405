#include "milter/mail/mime.h"

#include "milter/mail/base64.h"
#include "milter/mail/qp.h"

/* A multipart whose delimiters are looked for, or a message around another. */
struct level {
	size_t part;
	struct str boundary;           /* empty: a message, which has none */
};

struct scanner {
	struct arena *arena;
	struct mime *mime;
	size_t size;                   /* of mime->parts */
	struct str rest;               /* what has not been read */
	struct level levels[MIME_DEPTH_MAX + 1];
	size_t level_count;
	size_t open_leaf;              /* a part that is no level and still open; MIME_NO_PARENT: none */
};

/* What the fields say about one part. */
static bool read_type(struct mime_part *part, struct arena *arena)
{
	struct str main, subtype;

	if (!header_main(part->content_type, arena, &main))
		return false;
	if (!str_cut(main, '/', &part->type, &subtype)) {
		part->doubt = "unreadable Content-Type";
		return true;
	}
	size_t end = 0;

	while (end < subtype.len && subtype.ptr[end] > ' ' && subtype.ptr[end] != '/')
		end++;
	if (end < subtype.len)
		part->doubt = "unreadable Content-Type";
	part->subtype = str_slice(subtype, 0, end);
	/* "text /html": RFC 822 allowed it, and readers take it for no HTML. */
	if (str_trim(part->type).len < part->type.len)
		part->doubt = "unreadable Content-Type";
	part->type = str_trim(part->type);
	return true;
}

/* How often a parameter seems to begin: "boundary=a boundary=b" lacks a semicolon, and readers guess. */
static size_t count_param(struct str value, struct str name)
{
	size_t count = 0;

	for (; value.len > name.len; value = str_from(value, 1)) {
		struct str rest;

		if (!str_starts_nocase(value, name))
			continue;
		rest = str_trim(str_slice(value, name.len, 80));
		count += str_starts(rest, STR("=")) || str_starts(rest, STR("*0")) || str_starts(rest, STR("*="));
	}
	return count;
}

/* boundary=b"q: neither a token nor quoted (RFC 2045 5.1), and no boundary or charset has the mark in its name. */
static bool has_quote(struct str value)
{
	return str_find_byte(value, '"') < value.len;
}

static bool read_type_params(struct mime_part *part, struct arena *arena)
{
	bool found;

	if (!header_param(part->content_type, STR("boundary"), arena, &part->boundary, &found) ||
	    !header_param(part->content_type, STR("charset"), arena, &part->charset, &found) ||
	    !header_param(part->content_type, STR("protocol"), arena, &part->protocol, &found) ||
	    !header_param(part->content_type, STR("name"), arena, &(struct str){ 0 }, &part->has_name))
		return false;
	if (count_param(part->content_type, STR("boundary")) > 1 || count_param(part->content_type, STR("charset")) > 1)
		part->doubt = "several parameters of one name in Content-Type";
	else if (has_quote(part->boundary) || has_quote(part->charset))
		part->doubt = "unreadable Content-Type";
	return true;
}

static bool read_disposition(struct mime_part *part, struct str value, struct arena *arena)
{
	bool found;

	if (!header_main(value, arena, &part->disposition) ||
	    !header_param(value, STR("filename"), arena, &(struct str){ 0 }, &found))
		return false;
	part->has_name |= found;
	return true;
}

static bool read_encoding(struct mime_part *part, struct str value, struct arena *arena)
{
	static const struct { struct str name; enum mime_encoding encoding; } rows[] = {
		{ STR_INIT(""), MIME_7BIT },
		{ STR_INIT("7bit"), MIME_7BIT },
		{ STR_INIT("8bit"), MIME_8BIT },
		{ STR_INIT("binary"), MIME_BINARY },
		{ STR_INIT("quoted-printable"), MIME_QP },
		{ STR_INIT("base64"), MIME_BASE64 },
	};
	struct str name;

	if (!header_main(value, arena, &name))
		return false;
	part->encoding = MIME_UNKNOWN;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (str_eq(rows[i].name, name))
			part->encoding = rows[i].encoding;
	return true;
}

static const char *doubt_of_count(size_t types, size_t encodings, size_t dispositions)
{
	return types > 1	  ? "several Content-Type fields"
	       : encodings > 1	  ? "several Content-Transfer-Encoding fields"
	       : dispositions > 1 ? "several Content-Disposition fields"
				  : NULL;
}

static bool read_fields(struct mime_part *part, const struct header *fields, size_t count, struct arena *arena)
{
	size_t types, encodings, dispositions;
	const struct header *type = header_find(fields, count, STR("Content-Type"), &types);
	const struct header *encoding = header_find(fields, count, STR("Content-Transfer-Encoding"), &encodings);
	const struct header *disposition = header_find(fields, count, STR("Content-Disposition"), &dispositions);

	if (!part->doubt)
		part->doubt = doubt_of_count(types, encodings, dispositions);
	if (type) {
		part->content_type = type->value;
		if (!read_type(part, arena) || !read_type_params(part, arena))
			return false;
	}
	return (!encoding || read_encoding(part, encoding->value, arena)) &&
	       (!disposition || read_disposition(part, disposition->value, arena));
}

/* The first three fields that matter are enough; a second of each shows that there is doubt. */
#define FIELDS_MAX 6

static size_t interesting_fields(struct str header, struct header *out)
{
	struct header field;
	size_t n = 0;

	while (n < FIELDS_MAX && header_next(&header, &field))
		if (str_eq_nocase(field.name, STR("Content-Type")) ||
		    str_eq_nocase(field.name, STR("Content-Transfer-Encoding")) ||
		    str_eq_nocase(field.name, STR("Content-Disposition")))
			out[n++] = field;
	return n;
}

/* Which level's delimiter is this line? Innermost first. level_count: none's. */
static size_t match_level(const struct scanner *sc, struct str line, bool *out_is_end)
{
	if (!str_starts(line, STR("--")))
		return sc->level_count;
	while (line.len && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r' ||
			    line.ptr[line.len - 1] == ' ' || line.ptr[line.len - 1] == '\t'))
		line.len--;
	line = str_from(line, 2);
	for (size_t i = sc->level_count; i-- > 0;) {
		struct str boundary = sc->levels[i].boundary;

		if (boundary.len == 0 || !str_starts(line, boundary))
			continue;
		*out_is_end = line.len == boundary.len + 2 && str_ends(line, STR("--"));
		if (line.len == boundary.len || *out_is_end)
			return i;
	}
	return sc->level_count;
}

/* RFC 2046 5.1.1 has a line be a delimiter that only begins with one. Most readers do not. */
static bool begins_as_delimiter(const struct scanner *sc, struct str line)
{
	if (!str_starts(line, STR("--")))
		return false;
	for (size_t i = 0; i < sc->level_count; i++)
		if (sc->levels[i].boundary.len && str_starts(str_from(line, 2), sc->levels[i].boundary))
			return true;
	return false;
}

/* A line of a part that is a delimiter to some readers; some end a line at a bare CR, too. */
static bool is_like_delimiter(const struct scanner *sc, struct str line)
{
	bool is_like = false;

	while (line.len && !is_like) {
		is_like = begins_as_delimiter(sc, line);
		line = str_from(line, str_find_byte(line, '\r') + 1);
	}
	return is_like;
}

/* "Content-Type : text/html" ends the header to some readers; so does a bare CR. */
static bool is_odd(const struct header *field)
{
	struct str line = field->line;

	if (line.len > field->name.len && line.ptr[field->name.len] != ':')
		return true;
	while ((line = str_from(line, str_find_byte(line, '\r'))).len) {
		if (!str_starts(line, STR("\r\n")))
			return true;
		line = str_from(line, 2);
	}
	return false;
}

static struct str peek_line(struct str rest)
{
	size_t lf = str_find_byte(rest, '\n');

	return str_slice(rest, 0, lf < rest.len ? lf + 1 : lf);
}

static const char odd_field[] = "a field that some readers take for text";

/* The header at the cursor. A delimiter ends it as well as an empty line does. */
static struct str take_header(struct scanner *sc, const char **out_doubt)
{
	const char *begin = sc->rest.ptr;
	struct header field;
	bool is_end;

	while (match_level(sc, peek_line(sc->rest), &is_end) == sc->level_count && header_next(&sc->rest, &field))
		if (is_odd(&field))
			*out_doubt = odd_field;

	struct str header = str_of(begin, (size_t)(sc->rest.ptr - begin)), line = peek_line(sc->rest);

	if (str_eq(line, STR("\n")) || str_eq(line, STR("\r\n")))
		sc->rest = str_from(sc->rest, line.len);
	else
		*out_doubt = "no empty line after the header";
	return header;
}

static struct mime_part *part_new(struct scanner *sc, size_t parent)
{
	struct mime *mime = sc->mime;

	if (mime->count == sc->size) {
		size_t size = sc->size ? sc->size * 2 : 8;
		struct mime_part *parts = arena_array(sc->arena, size, sizeof *parts);

		if (!parts)
			return NULL;
		if (mime->count)
			memcpy(parts, mime->parts, mime->count * sizeof *parts);
		mime->parts = parts;
		sc->size = size;
	}
	const struct mime_part *above = parent == MIME_NO_PARENT ? NULL : &mime->parts[parent];
	struct mime_part *part = &mime->parts[mime->count++];
	bool in_digest = above && mime_is(above, STR("multipart"), STR("digest"));

	*part = (struct mime_part){
		.parent = parent,
		.depth = above ? above->depth + 1 : 0,
		.type = in_digest ? STR("message") : STR("text"),
		.subtype = in_digest ? STR("rfc822") : STR("plain"),
		.encoding = MIME_7BIT,
		.is_inside_message = above && (above->is_inside_message || str_eq(above->type, STR("message"))),
	};
	return part;
}

/* The part has its fields: is it a level of its own, or a leaf? */
static void part_begin(struct scanner *sc, struct mime_part *part)
{
	size_t index = (size_t)(part - sc->mime->parts);
	bool is_multipart = str_eq(part->type, STR("multipart"));
	bool is_message = mime_is(part, STR("message"), STR("rfc822")) || mime_is(part, STR("message"), STR("global"));

	part->body = sc->rest;
	sc->open_leaf = index;
	if (!is_multipart && !is_message)
		return;
	/* RFC 2045 6.4 forbids it; most readers then take a multipart as it stands, and a message as a file. */
	if (part->encoding > MIME_BINARY)
		part->doubt = "encoded multipart or message";
	if (is_multipart && part->boundary.len == 0)
		part->doubt = "multipart without boundary";
	if (is_multipart ? part->boundary.len == 0 : part->encoding > MIME_BINARY)
		return;
	if (sc->level_count > MIME_DEPTH_MAX) {
		sc->mime->is_cut = true;
		return;
	}
	sc->levels[sc->level_count++] =
		(struct level){ .part = index, .boundary = is_multipart ? part->boundary : STR_EMPTY };
	sc->open_leaf = MIME_NO_PARENT;
}

static void part_end(struct mime_part *part, const char *end)
{
	/* RFC 2046 5.1.1: the line end before a delimiter belongs to the delimiter. */
	if (end > part->body.ptr && end[-1] == '\n')
		end--;
	if (end > part->body.ptr && end[-1] == '\r' && end[0] == '\n')
		end--;
	part->body.len = end > part->body.ptr ? (size_t)(end - part->body.ptr) : 0;
}

/* Whatever is open inside of level `keep - 1` ends here. */
static void close_down_to(struct scanner *sc, size_t keep, const char *end)
{
	if (sc->open_leaf != MIME_NO_PARENT)
		part_end(&sc->mime->parts[sc->open_leaf], end);
	sc->open_leaf = MIME_NO_PARENT;
	while (sc->level_count > keep)
		part_end(&sc->mime->parts[sc->levels[--sc->level_count].part], end);
}

/* A part with its header at the cursor; a message/rfc822 has another right behind. */
static bool parts_open(struct scanner *sc, size_t parent)
{
	for (;;) {
		struct header fields[FIELDS_MAX];
		struct mime_part *part = NULL;

		if (sc->mime->count == MIME_PARTS_MAX) {
			sc->mime->is_cut = true;
			return true;
		}
		part = part_new(sc, parent);
		if (!part)
			return false;
		part->header = take_header(sc, &part->doubt);
		if (!read_fields(part, fields, interesting_fields(part->header, fields), sc->arena))
			return false;
		part_begin(sc, part);
		/* A multipart waits for its first delimiter. */
		if (sc->open_leaf != MIME_NO_PARENT || str_eq(part->type, STR("multipart")))
			return true;
		parent = (size_t)(part - sc->mime->parts);
	}
}

static bool scan_lines(struct scanner *sc)
{
	while (sc->rest.len) {
		struct str line = peek_line(sc->rest);
		bool is_end = false;
		size_t level = match_level(sc, line, &is_end);

		if (level == sc->level_count) {
			if (sc->open_leaf != MIME_NO_PARENT && is_like_delimiter(sc, line))
				sc->mime->parts[sc->open_leaf].doubt = "a line that is a delimiter to some readers";
			sc->rest = str_from(sc->rest, line.len);
			continue;
		}
		close_down_to(sc, level + 1, line.ptr);

		size_t part = sc->levels[level].part;

		sc->rest = str_from(sc->rest, line.len);
		if (is_end) {
			/* What follows is the epilogue: the multipart stays open, its delimiters mean nothing any more. */
			sc->levels[level].boundary = STR_EMPTY;
		} else if (!parts_open(sc, part)) {
			return false;
		}
	}
	return true;
}

bool mime_scan(const struct header *fields, size_t count, struct str body, struct arena *arena, struct mime *out,
	       struct err *err)
{
	struct mime mime = { .parts = NULL };
	struct scanner sc = { .arena = arena, .mime = &mime, .rest = body, .open_leaf = MIME_NO_PARENT };
	struct mime_part *root = part_new(&sc, MIME_NO_PARENT);

	if (!root || !read_fields(root, fields, count, arena))
		return err_memory(err);
	for (size_t i = 0; i < count; i++)
		if (is_odd(&fields[i]))
			root->doubt = odd_field;
	part_begin(&sc, root);
	if (sc.level_count && !str_eq(root->type, STR("multipart")) && !parts_open(&sc, 0))
		return err_memory(err);
	if (!scan_lines(&sc))
		return err_memory(err);
	*out = mime;
	return true;
}

bool mime_scan_text(struct str text, struct arena *arena, struct mime *out, struct err *err)
{
	struct header fields[FIELDS_MAX];
	struct str header, body;
	bool has_blank;

	header_split(text, &header, &body, &has_blank);
	return mime_scan(fields, interesting_fields(header, fields), body, arena, out, err);
}

bool mime_is(const struct mime_part *part, struct str type, struct str subtype)
{
	return str_eq(part->type, type) && str_eq(part->subtype, subtype);
}

bool mime_decode(const struct mime_part *part, struct buf *out)
{
	switch (part->encoding) {
	case MIME_QP:
		return qp_decode(part->body, out);
	case MIME_BASE64:
		return base64_decode(part->body, out);
	case MIME_UNKNOWN:
		return false;
	default:
		buf_add(out, part->body);
		return !out->failed;
	}
}
