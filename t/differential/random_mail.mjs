// Random messages: a random page in a random charset, encoded at random, somewhere in a random structure.
import iconv from 'iconv-lite';
import { Dice } from './dice.mjs';
import { iso2022jp } from './messages.mjs';
import { page, url } from './random_page.mjs';

const CRLF = '\r\n';
const with_iconv = (name) => (text) => iconv.encode(text, name);
const utf16be = (text) => Buffer.from(text, 'utf16le').swap16();

// label, words, encoder; `wide`: base64 alone can carry it
const charsets = [
  ['utf-8', ['日本語', 'お知らせ', 'Größe', 'Ünïcødé', '😀', 'привет', '한국어', '中文', '\u00a0', '…']],
  ['UTF8', ['日本語', 'é']],
  ['us-ascii', ['News', 'x'], with_iconv('latin1')],
  ['iso-8859-1', ['Café', 'Größe', 'ñ'], with_iconv('win1252')],
  ['windows-1252', ['“naïve”', '€', '–'], with_iconv('win1252')],
  ['iso-8859-15', ['Œuvre', '€uro'], with_iconv('iso-8859-15')],
  ['iso-8859-2', ['Żółć', 'Příliš'], with_iconv('iso-8859-2')],
  ['windows-1251', ['Новости', 'скидка'], with_iconv('win1251')],
  ['koi8-r', ['Новости', 'скидка'], with_iconv('koi8-r')],
  ['windows-1253', ['Νέα'], with_iconv('win1253')],
  ['iso-2022-jp', ['表示', 'ソ構', '“予約”', '＜こちら＞', 'お知らせ'], iso2022jp],
  ['iso-2022-jp', ['予約', 'お知らせ', '＝＆'], (text) => iso2022jp_oddly(text)],
  ['shift_jis', ['表示', 'ソ十能', '予約ー', 'ﾊﾝｶｸ', 'ポ'], with_iconv('shiftjis')],
  ['windows-31j', ['表示', '①', '髙'], with_iconv('shiftjis')],
  ['euc-jp', ['表示', '予約', 'お知らせ'], with_iconv('eucjp')],
  ['gb18030', ['中文', '㐀', '消息', '丂'], with_iconv('gb18030')],
  ['gb2312', ['中文', '消息'], with_iconv('gbk')],
  ['gbk', ['中文', '丂'], with_iconv('gbk')],
  ['big5', ['許功蓋', '中文'], with_iconv('big5')],
  ['euc-kr', ['한국어', '소식'], with_iconv('euc-kr')],
  ['utf-16le', ['日本語', '😀'], (text) => Buffer.from(text, 'utf16le'), 'wide'],
  ['utf-16be', ['日本語', 'é'], utf16be, 'wide'],
  ['utf-16', ['日本語', '“”'], (text) => Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(text, 'utf16le')]), 'wide'],
];

// Escapes where none is needed, the older JIS X 0208, Roman instead of ASCII, and no return at the end of a line.
function iso2022jp_oddly(text) {
  return Buffer.from(iso2022jp(text).toString('latin1').replaceAll('\x1b$B', (_, at) => (at % 2 ? '\x1b$@' : '\x1b$B'))
    .replaceAll('\x1b(B', (_, at) => (at % 3 ? '\x1b(B' : '\x1b(J')), 'latin1');
}

// U+E0xx are octets as they are.
function octets_of(text, encode) {
  return Buffer.concat(text.split(/([\ue000-\ue0ff])/).map((run) => (/^[\ue000-\ue0ff]$/.test(run) ? Buffer.from([run.charCodeAt(0) & 0xff]) : encode(run))));
}

// --- transfer encodings

function qp(d, octets) {
  const width = d.pick([76, 76, 76, 23, 10, 5]), eager = d.pick([0, 0, 0, 5, 50]), lower = d.chance(20),
    soft_blank = d.chance(10) ? ' ' : '';
  const lines = [];
  let line = '';
  const add = (atom) => {
    if (line.length + atom.length > width - 1 - soft_blank.length) { lines.push(`${line}=${soft_blank}`); line = ''; }
    line += atom;
  };
  const escape = (c) => { const hex = c.toString(16).padStart(2, '0'); return '='
    + (lower ? hex : hex.toUpperCase()); };
  const end = () => { if (/[ \t]$/.test(line)) { const c = line.charCodeAt(line.length - 1); line = line.slice(0,
    -1); add(escape(c)); } };
  for (let i = 0; i < octets.length; i++) {
    const c = octets[i];
    if (c === 13 && octets[i + 1] === 10 && !d.chance(3)) { end(); lines.push(line); line = ''; i++; }
    else if (((c >= 33 && c <= 126 && c !== 61) || c === 32 || c === 9) && !d.chance(eager)) add(String.fromCharCode(c));
    else add(escape(c));
    if (d.chance(1) && line) { lines.push(`${line}=`); line = ''; }
  }
  end();
  return Buffer.from(lines.concat(line).join(CRLF) + (d.chance(10) ? '=' : ''), 'latin1');
}

function base64(d, octets) {
  const text = octets.toString('base64'), width = d.pick([76, 76, 76, 64, 60, 31, 4, 1000]);
  if (d.chance(5)) return Buffer.from(text.slice(0, 990) === text ? text : text.match(/.{1,988}/g).join(CRLF));
  let lines = (text.match(new RegExp(`.{1,${width}}`, 'g')) || []).map((l) => (d.chance(2) ? `${l} ` : l)
    + (d.chance(1) ? CRLF : ''));
  return Buffer.from((d.chance(10) ? lines.join(CRLF).replace(/=+$/, '') : lines.join(CRLF))
    + (d.chance(80) ? CRLF : ''));
}

const plain = (field) => ({ field, encode: (_, octets) => octets });
const encodings = { '7bit': plain('7bit'), '8bit': plain('8bit'), binary: plain('binary'), none: plain(null),
  'odd 8bit': plain('8BIT (x)'),
  qp: { field: 'quoted-printable', encode: qp }, 'QP': { field: 'Quoted-Printable', encode: qp },
    base64: { field: 'base64', encode: base64 }, 'odd base64': { field: ' BASE64', encode: base64 } };

// What a line of SMTP cannot hold.
const fits_lines = (octets) => !octets.includes(0) && octets.toString('latin1').split(CRLF).every((l) => l.length <= 998 && !/[\r\n]/.test(l));

// --- structures

const pick_boundary = (d) => d.pick(['b', '=_x', '----=_Part_1', "a'()+_,-./:=?b", 'b b', '0', '--', '=_='])
  + d.state.toString(36);
const quoted = (boundary) => (/^[A-Za-z0-9_]+$/.test(boundary) ? boundary : `"${boundary}"`);
const head = (fields) => Buffer.from(fields.filter(Boolean).join(CRLF) + CRLF + CRLF);

// Leaves and multiparts as lists of pieces: { fixed: Buffer } stays as it is, { page: true, head, body } may change.
const fixed = (...buffers) => [{ fixed: Buffer.concat(buffers.map((b) => Buffer.from(b))) }];
const HTML = '<html><body><a href="http://example.com/0">x</a></body></html>\r\n';
const others = [
  () => fixed(head(['Content-Type: text/plain; charset=utf-8', 'Content-Transfer-Encoding: 8bit']),
    'テキスト http://example.com/0\r\n<a href="http://example.com/0">\r\n'),
  () => fixed(head([]), 'no header at all http://example.com/0\r\n'),
  () => fixed(head(['Content-Type: text/plain; format=flowed; delsp=yes']),
    'x \r\n> http://example.com/0 \r\n-- \r\nx\r\n'),
  (d) => fixed(head(['Content-Type: application/pdf; name="x.pdf"', 'Content-Transfer-Encoding: base64',
    'Content-Disposition: attachment; filename="x.pdf"']), base64(d, Buffer.from(HTML.repeat(9)))),
  () => fixed(head(['Content-Type: text/html; charset=utf-8',
    'Content-Disposition: attachment; filename="=?utf-8?B?44GC?=.html"']), HTML),
  () => fixed(head(['Content-Type: text/html; name=x.html', 'Content-Disposition: ATTACHMENT']), HTML),
  () => fixed(head(['Content-Type: message/rfc822']), head(['Subject: inside', 'Content-Type: text/html']), HTML),
  () => fixed(head(['Content-Type: message/rfc822', 'Content-Disposition: attachment']),
    head(['Content-Type: multipart/mixed; boundary=inner']), '--inner\r\nContent-Type: text/html\r\n\r\n', HTML,
    '--inner--\r\n'),
  () => fixed(head(['Content-Type: multipart/signed; micalg=pgp-sha256; protocol="application/pgp-signature"; boundary=sig']), '--sig\r\nContent-Type: text/html\r\n\r\n', HTML, '--sig\r\nContent-Type: application/pgp-signature\r\n\r\n-----BEGIN PGP SIGNATURE-----\r\n--sig--\r\n'),
  () => fixed(head(['Content-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary=enc']),
    '--enc\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n--enc\r\nContent-Type: application/octet-stream\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n--enc--\r\n'),
  () => fixed(head(['Content-Type: text/calendar; method=REQUEST']),
    'BEGIN:VCALENDAR\r\nURL:http://example.com/0\r\nEND:VCALENDAR\r\n'),
  () => fixed(head(['Content-Type: text/x-amp-html']),
    '<!doctype html><html amp4email><a href="http://example.com/0">\r\n'),
  () => fixed(head(['Content-Type: image/gif', 'Content-Transfer-Encoding: base64', 'Content-ID: <x>']),
    'R0lGODlhAQABAAAAACw=\r\n'),
  () => fixed(head(['Content-Type: application/xhtml+xml']), HTML),
  () => fixed(head(['Content-Type: text/html; charset=x-nosuch']), HTML),
  () => fixed(head(['Content-Type: text/html', 'Content-Transfer-Encoding: x-uuencode']), HTML),
];

function multipart(d, subtype, parts, is_unclosed) {
  const boundary = pick_boundary(d), blanks = d.mostly(92, [''], [' ', '\t', '  ']);
  const pieces = [...fixed(head([`Content-Type: multipart/${subtype};${d.pick([' ', '\r\n ', '\r\n\t', ''])}boundary=${quoted(boundary)}`, d.chance(15) && 'Content-Transfer-Encoding: 7bit']),
    d.mostly(60, [''], ['This is a multi-part message.\r\n', '<a href="http://example.com/0">\r\n', '\r\n',
      `--${boundary}x\r\n`, `-- ${boundary}\r\n`]))];
  parts.forEach((part) => pieces.push(...fixed(`--${boundary}${blanks}${CRLF}`), ...part, ...fixed(CRLF)));
  return pieces.concat(is_unclosed ? fixed('') : fixed(`--${boundary}--${blanks}${CRLF}`, d.mostly(80, [''], ['\r\n',
    'epilogue <a href="http://example.com/0">\r\n', `--${boundary}\r\n`])));
}

// The page's part with others around it.
function structure(d, part, depth) {
  const kind = d.pick(['alternative', 'mixed', 'mixed', 'related', 'parallel', 'x-unknown', 'Alternative']);
  const parts = [...d.times(0, 2, () => d.pick(others)(d)), depth > 0 && d.chance(40) ? structure(d, part,
    depth - 1) : part, ...d.times(0, kind.toLowerCase() === 'alternative' ? 1 : 2, () => d.pick(others)(d))];
  return multipart(d, kind, parts, d.chance(8));
}

function part_head(d, label, charset_param, field) {
  const type = d.mostly(85, ['text/html'], ['Text/HTML', 'TEXT/HTML', 'text/html (page)', ' text/html ',
    'text/html\r\n ']);
  const fields = [`Content-Type: ${type}${charset_param}`, field && `Content-Transfer-Encoding: ${field}`,
    d.chance(15) && d.pick(['Content-Disposition: inline', 'Content-ID: <page>',
    'Content-Location: http://example.com/',
    'Content-Disposition: inline; filename=x.html', 'Content-Language: ja', 'X-Odd:',
      'Content-Description: =?utf-8?Q?=E3=81=82?='])];
  return head(d.chance(20) ? fields.reverse() : fields);
}

const top_fields = ['From: News <news@example.com>', 'To: user@example.net', 'Subject: =?utf-8?B?44GK55+l44KJ44Gb?=',
  'Date: Sat, 21 Nov 2026 10:00:00 +0900', 'MIME-Version: 1.0'];

/* One message: { name, raw, pieces, leaves_alone: why nothing at all may change }. */
export function random_message(seed) {
  const d = new Dice(seed);
  const [label, words, encode = (text) => Buffer.from(text), wide] = d.pick(charsets);
  const text = page(d, label, d.pick(words));
  let octets = octets_of(wide ? text.replace(/[\ue000-\ue0ff]/g, '') : text, encode);
  let said = label, name = label;
  if (!wide && d.chance(4)) { said = d.pick(['utf-8', 'shift_jis', 'iso-8859-1', 'euc-jp',
    'gb18030']); name += ` said to be ${said}`; }
  const param = d.mostly(90, [`; charset=${said}`, `; charset="${said}"`], [`;\r\n charset=${said.toUpperCase()}`,
    `; Charset=${said} (x)`, `; charset*=us-ascii'en'${said}`, `; format=flowed; charset=${said}`]);
  const fits = fits_lines(octets), is_7bit = octets.every((c) => c < 0x80);
  const ways = Object.keys(encodings).filter((way) => (/base64/.test(way) ? true : wide ? false : /qp/i.test(way) ? true : fits && (way !== '7bit' || is_7bit)));
  const way = d.pick(ways), { field, encode: encode_transfer } = encodings[way];
  const part = [{ page: true, head: part_head(d, said, param, field), body: encode_transfer(d, octets) }];
  const lines = d.chance(10) ? [...top_fields].reverse() : [...top_fields];
  lines.push(`Message-ID: <${seed}@example.com>`);
  const pieces = [...fixed(lines.join(CRLF) + CRLF), ...(d.chance(35) ? part : structure(d, part, 3))];
  return { name: `random ${seed}, ${name}, ${way}`, raw: Buffer.concat(pieces.map((p) => p.fixed || Buffer.concat([p.head, p.body]))), pieces };
}

export { url };
