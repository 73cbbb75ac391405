// Messages by the thousand, made of the cases that rewriters get wrong: pages x charsets x transfer encodings x structures.
// Each is { name, raw: Buffer, links: expected number of tracked links in all, or undefined }.
import iconv from 'iconv-lite';

const CRLF = '\r\n';

// ISO-2022-JP is in no npm encoder; its characters are those of EUC-JP, seven bits and an escape apart, and two of Roman,
// which it leaves when it must (WHATWG Encoding 12.2.2).
export function iso2022jp(text) {
  const roman = { '\u00a5': '\\', '\u203e': '~' };
  let out = '', state = 'B';
  const go = (wanted, escape) => { if (state !== wanted) out += `\x1b${escape}`; state = wanted; };
  for (const ch of text) {
    const euc = iconv.encode(ch, 'eucjp');
    if (roman[ch]) {
      go('J', '(J');
      out += roman[ch];
    } else if (euc.length === 2 && euc[0] > 0xa0) {
      go('$', '$B');
      out += String.fromCharCode(euc[0] & 0x7f, euc[1] & 0x7f);
    } else {
      if (state === '$' || '\\~'.includes(ch)) go('B', '(B');
      out += ch.codePointAt(0) < 0x80 ? ch : '?';
    }
  }
  go('B', '(B');
  return Buffer.from(out, 'latin1');
}

export const charsets = {
  'utf-8': { word: '日本語のお知らせ', encode: (s) => Buffer.from(s) },
  'us-ascii': { word: 'News', encode: (s) => Buffer.from(s) },
  'iso-8859-1': { word: 'Café Größe', encode: (s) => iconv.encode(s, 'latin1') },
  'windows-1252': { word: 'Café “naïve” €', encode: (s) => iconv.encode(s, 'win1252') },
  'koi8-r': { word: 'Новости', encode: (s) => iconv.encode(s, 'koi8-r') },
  'iso-2022-jp': { word: '表示ソ構“予約”は＜こちら＞', encode: iso2022jp },
  'shift_jis': { word: '表示ソ十能予約ー', encode: (s) => iconv.encode(s, 'shiftjis') },
  'euc-jp': { word: '表示ソ予約', encode: (s) => iconv.encode(s, 'eucjp') },
  'gb18030': { word: '中文消息㐀', encode: (s) => iconv.encode(s, 'gb18030') },
  'big5': { word: '許功蓋中文', encode: (s) => iconv.encode(s, 'big5') },
  'euc-kr': { word: '한국어 소식', encode: (s) => iconv.encode(s, 'euc-kr') },
  'utf-16le': { word: '日本語', encode: (s) => Buffer.from(s, 'utf16le'), only: 'base64' },
  'utf-16be': { word: '日本語', encode: (s) => Buffer.from(s, 'utf16le').swap16(), only: 'base64' },
  'utf-16': { word: '日本語', encode: (s) => Buffer.from('\ufeff' + s, 'utf16le'), only: 'base64' },
};

function qp(buffer, { lower = false, soft = 76, trailing = '' } = {}) {
  const lines = [];
  let line = '';
  const add = (atom) => {
    if (line.length + atom.length > soft - 1) { lines.push(line + '='); line = ''; }
    line += atom;
  };
  for (let i = 0; i < buffer.length; i++) {
    const c = buffer[i];
    if (c === 13 && buffer[i + 1] === 10) {
      line = line.replace(/[ \t]$/, (blank) => '=' + blank.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0'));
      lines.push(line + trailing);
      line = '';
      i++;
    } else if ((c >= 33 && c <= 126 && c !== 61) || c === 32 || c === 9) {
      add(String.fromCharCode(c));
    } else {
      const hex = c.toString(16).padStart(2, '0');
      add('=' + (lower ? hex : hex.toUpperCase()));
    }
  }
  line = line.replace(/[ \t]$/, (blank) => '=' + blank.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0'));
  return lines.concat(line).join(CRLF);
}

const b64 = (buffer, width = 76) => (buffer.toString('base64').match(new RegExp(`.{1,${width}}`, 'g')) || []).join(CRLF);

export const encodings = {
  '7bit': { field: '7bit', encode: (b) => b, clean: (b) => b.every((c) => c < 0x80) },
  '8bit': { field: '8bit', encode: (b) => b },
  none: { field: null, encode: (b) => b },
  binary: { field: 'binary', encode: (b) => b },
  qp: { field: 'quoted-printable', encode: (b) => Buffer.from(qp(b)) },
  'qp-short': { field: 'Quoted-Printable (short lines)', encode: (b) => Buffer.from(qp(b, { soft: 23, lower: true })) },
  'qp-trailing': { field: 'quoted-printable', encode: (b) => Buffer.from(qp(b, { soft: 60, trailing: ' \t' })) },
  base64: { field: 'base64', encode: (b) => Buffer.from(b64(b) + CRLF) },
  'base64-line': { field: 'BASE64', encode: (b) => Buffer.from(b.toString('base64')) },
  'base64-odd': { field: 'base64', encode: (b) => Buffer.from(b64(b, 31).replace(/=+$/, '')) },
};

// %W is a word of the charset. `links`: how many of them are tracked.
export const pages = [
  ['plain', '<!DOCTYPE html><html><head><title>%W</title></head><body><p>%W <a href="http://example.com/a?x=1&amp;y=2">%W</a></p></body></html>\r\n', 1],
  ['quoting', '<p><a href=\'https://example.com/1\'>%W</a><a href=https://example.com/2>%W</a><a  HREF = "http://EXAMPLE.com/3" >%W</a><a href=http://example.com/4/></p>', 4],
  ['between', '<a id="x"href="http://example.com/1"title=""/>%W<a/href="http://example.com/2"/><br/>%W', 2],
  ['twice', '<a href="http://example.com/1" href="http://example.com/2">%W</a>', 1],
  ['lookalikes', '<a data-href="http://example.com/0" title="href=&quot;http://example.com/0&quot;" xhref=http://example.com/0>%W</a>', 0],
  ['brackets', '<a title="<a href=\'http://example.com/0\'>" href="http://example.com/?a>b">%W</a>', 1],
  ['missing quote', '<a href="http://example.com/1>%W</a><p><a href="http://example.com/2">%W</a>', undefined],
  ['cut', '<p>%W</p></body><a href="http://example.com/0', 0],
  ['comments', '<!--<a href="http://example.com/0">%W--!><a href="http://example.com/1">%W</a><!--><a href="http://example.com/2">%W</a><!--->%W', 2],
  ['bogus', '<!x <a href=http://example.com/0><?php <a href=http://example.com/0></ <a href=http://example.com/0>%W<a href=http://example.com/1>', 1],
  ['cdata', '<![CDATA[<a href="http://example.com/0">]]>%W<svg><![CDATA[><a href="http://example.com/0">%W]]><a href="http://example.com/1"></a></svg>', 1],
  ['script', '<script>var a="<a href=\'http://example.com/0\'>%W</a>"<!-- <script></script> --></script><a href="http://example.com/1">%W</a>', 1],
  ['raw', '<style>a::after{content:"<a href=http://example.com/0>"}</style><xmp><a href="http://example.com/0"></xmp><a href="http://example.com/1">%W</a>', 1],
  ['rcdata', '<head><title><a href="http://example.com/0"> %W &amp; </title></head><body><textarea></body><a href="http://example.com/0"></textarea><a href="http://example.com/1">%W', 1],
  ['plaintext', '<a href="http://example.com/1">%W</a><plaintext></body><a href="http://example.com/0">', 1],
  ['noscript', '<noscript><a href="http://example.com/1">%W</a></noscript>', 1],
  ['svg', '<svg><a xlink:href="http://example.com/1"><text>%W</text></a><style><a href="http://example.com/2">x</a></style></svg>%W', 2],
  ['adoption', '<p><b><a href="http://example.com/1">%W<p>%W</b>%W</a>%W', 1],
  ['foster', '<table><a href="http://example.com/1">%W</a><tr><td><a href="http://example.com/2">%W</a></table>', 2],
  ['xhtml', '<?xml version="1.0"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "x"><html xmlns="http://www.w3.org/1999/xhtml"><body><a href="http://example.com/1" />%W</body></html>', 1],
  ['base', '<base href="http://base.example/"><a href="rel">%W</a><a href="//example.com/0">%W</a><a href="http://example.com/1">%W</a>', 1],
  ['schemes', '<a href="mailto:a@example.com">%W</a><a href="tel:1"></a><a href="javascript:void(0)"></a><a href="cid:x"></a><a href="data:text/html,x"></a><a href="intent://x"></a><a href="https+notrack://x/"></a><a href="#x"></a><a href="">%W</a>', 0],
  ['bodies', '<body>%W<a href="http://example.com/1"></a></body></html><body><p>%W<a href="http://example.com/2"></a></body></html>%W', 2],
  ['fake end', '<a title="</body>" href="http://example.com/1">%W</a><!-- </body> --><textarea></body></textarea>%W', 1],
  ['open b', '<p><b>%W<a href="http://example.com/1">%W', 1],
  ['open title', '<a href="http://example.com/1">%W</a><title>%W', 1],
  ['open comment', '<a href="http://example.com/1">%W</a><!-- %W', 1],
  ['open table', '<table><tr><td><a href="http://example.com/1">%W', 1],
  ['open select', '<a href="http://example.com/1">%W</a><select><option>%W', 1],
  ['fragment', '%W <a href="http://example.com/#!/a?b">%W</a>', 1],
  ['empty', '', 0],
  ['entities', '<a href="http&colon;&#47;&#x2f;example.com/?a=1&AMP;b=2&amp;amp;c&copy=3&reg_id=4&order;&lt2&notit;&notin;&#38;d=&quot;&apos;">%W</a>', 1],
  ['numeric', '<a href="http://example.com/?&#128;&#xd800;&#x110000;&#0;&#65">%W</a>', 1],
  ['whitespace', '<a href=" \r\n http://exam\r\nple.com/a b\tc \r\n">%W</a><a href="ht\r\ntp://example.com/2">%W</a>', 2],
  ['url parts', '<a href="http://u:p@example.com:8080/a%zz%2F+%20?q=%E3%81%82#f">%W</a><a href="http://[2001:db8::1]/">%W</a><a href="http://example.com?x">%W</a>', 3],
  ['url bytes', '<a href="http://example.com/a b&quot;<>`{}|^[]\\c?d\'|\\e#f`">%W</a><a href="http:\\\\example.com\\x">%W</a>', 2],
  ['url broken', '<a href="http://">%W</a><a href="http://a b/">%W</a><a href="http://256.1.1.1/"></a><a href="http://x:99999/"></a>', 0],
  ['placeholders', '<a href="{{url}}">%W</a><a href="http://*|x|*/">%W</a><a href="http://example.com/?u=*|x|*&v=%x%">%W</a>', 1],
  ['iri', '<a href="http://example.com/%W?q=%W#%W">%W</a>', undefined],
  ['idn', '<a href="http://xn--wgv71a119e.example/">%W</a>', 1],
  ['nested url', '<a href="http://example.com/?u=https://other.example/?a=b%26c&amp;d">%W</a>', 1],
  ['long 1', `<a href="http://example.com/?${'x'.repeat(900)}">%W</a>`, 1],
  ['long 5000', `<a href="http://example.com/?${'x'.repeat(5000)}">%W</a><a href="http://example.com/1">%W</a>`, 1],
  ['own', '<a href="https://t.acme.example/c/abc">%W</a><a href="http://example.com/1">%W</a>', 1],
  ['opt out', '<a href="http://example.com/0" data-sekisho="off">%W</a><a ses:no-track href="http://example.com/0">%W</a><a href="http://example.com/0" clicktracking=off>%W</a><a href="http://example.com/1">', 1],
  ['mso', '<!--[if mso]><v:roundrect href="http://example.com/1"><center>%W</center></v:roundrect><a href="http://example.com/2">%W</a><![endif]--><!--[if !mso]><!--><a href="http://example.com/3">%W</a><!--<![endif]-->', 3],
  ['mso open', '<!--[if mso]><a href="http://example.com/0">%W--><a href="http://example.com/1">%W</a>', 1],
  ['area', '<map name=m><area href="http://example.com/1"><area nohref></map>%W', 1],
  ['long line', `<p>${'x'.repeat(970)}<a href="http://example.com/1">%W</a></p></body>\r\n`, 1],
  ['longer line', `<p>${'x '.repeat(1000)}<a href="http://example.com/1">%W</a></p></body>\r\n`, 1],
  ['dots', '.\r\n..\r\nFrom %W\r\n.<a href="http://example.com/1">%W</a>\r\n.\r\n', 1],
  ['trailing', '<p>%W  \r\n<a href="http://example.com/1">%W</a> \r\n\t\r\n</body> \r\n\r\n', 1],
  ['many', Array.from({ length: 60 }, (_, i) => `<tr><td><a href="http://example.com/${i}?a=b&amp;c=${i}">%W</a></td></tr>\r\n`).join(''), 60],
  ['template', '<template><a href="http://example.com/1">%W</a></template>%W', 1],
  ['select', '<select><option><a href="http://example.com/0">%W</option></select><a href="http://example.com/1">%W</a>', undefined],
  ['nul', '<a href="http://example.com/\0x">%W</a>', 1],
  ['attributes', `<a ${Array.from({ length: 300 }, (_, i) => `a${i}="%W"`).join(' ')} href="http://example.com/1">%W</a>`, 1],
  ['deep', '<div>'.repeat(400) + '<a href="http://example.com/1">%W</a>', 1],
  ['visible', '<a href="http://example.com/1">http://example.com/1</a> %W', 1],
];

const header = (fields) => fields.filter(Boolean).join(CRLF) + CRLF + CRLF;
const part = (type, encoding, body, more) =>
  Buffer.concat([Buffer.from(header([type && `Content-Type: ${type}`, encoding && `Content-Transfer-Encoding: ${encoding}`, more])), body]);
const multi = (boundary, parts, { preamble = '', epilogue = '', end = `--${boundary}--${CRLF}`, blanks = '' } = {}) =>
  Buffer.concat([Buffer.from(preamble), ...parts.map((p) => Buffer.concat([Buffer.from(`--${boundary}${blanks}${CRLF}`), p, Buffer.from(CRLF)])),
    Buffer.from(end + epilogue)]);
const top = (fields, body) => Buffer.concat([Buffer.from(header(['From: News <news@example.com>', 'To: user@example.net',
  'Subject: =?utf-8?B?44GK55+l44KJ44Gb?=', 'Date: Sat, 21 Nov 2026 10:00:00 +0900', 'Message-ID: <1@example.com>', 'MIME-Version: 1.0', ...fields])), body]);
const pdf = () => part('application/pdf; name="x.pdf"', 'base64', Buffer.from(b64(Buffer.from('%PDF <a href="http://example.com/0">')) + CRLF), 'Content-Disposition: attachment; filename="x.pdf"');
const text = () => part('text/plain; charset=utf-8', '8bit', Buffer.from('テキスト http://example.com/0 <a href="http://example.com/0">\r\n'));

// How the HTML part (its Content-Type, encoding and octets) stands in a message. `times`: how often its links count.
export const structures = [
  ['single', 1, (t, e, b) => top([`Content-Type: ${t}`, e && `Content-Transfer-Encoding: ${e}`], b)],
  ['alternative', 1, (t, e, b) => top(['Content-Type: multipart/alternative; boundary="=_(a):?"'], multi('=_(a):?', [text(), part(t, e, b)]))],
  ['mixed', 1, (t, e, b) => top(['Content-Type: multipart/mixed;\r\n boundary=b1'], multi('b1', [part('multipart/alternative; boundary=b1b', null, multi('b1b', [text(), part(t, e, b)])), pdf()],
    { preamble: 'preamble <a href="http://example.com/0">\r\n', epilogue: 'epilogue <a href="http://example.com/0">\r\n' }))],
  ['related', 1, (t, e, b) => top(['Content-Type: multipart/related; boundary=r; type="text/html"'], multi('r', [part(t, e, b), part('image/gif', 'base64', Buffer.from('R0lGODlhAQABAAAAACw=\r\n'), 'Content-ID: <x>')]))],
  ['unclosed', 1, (t, e, b) => top(['Content-Type: multipart/mixed; boundary=u'], multi('u', [text(), part(t, e, b)], { end: '' }))],
  ['blanks', 1, (t, e, b) => top(['Content-Type: multipart/mixed; boundary=u'], multi('u', [part(t, e, b), text()], { blanks: ' \t' }))],
  ['attached', 0, (t, e, b) => top(['Content-Type: multipart/mixed; boundary=u'], multi('u', [text(), part(t, e, b, 'Content-Disposition: attachment; filename="x.html"')]))],
  ['inline', 1, (t, e, b) => top(['Content-Type: multipart/mixed; boundary=u'], multi('u', [text(), part(t, e, b, 'Content-Disposition: inline')]))],
  ['signed', 0, (t, e, b) => top(['Content-Type: multipart/signed; protocol="application/pgp-signature"; boundary=s'], multi('s', [part(t, e, b), part('application/pgp-signature', null, Buffer.from('-----BEGIN PGP SIGNATURE-----\r\n'))]))],
  ['forwarded', 0, (t, e, b) => top(['Content-Type: multipart/mixed; boundary=f'], multi('f', [text(), part('message/rfc822', null, top([`Content-Type: ${t}`, e && `Content-Transfer-Encoding: ${e}`], b))]))],
  ['two', 2, (t, e, b) => top(['Content-Type: multipart/mixed; boundary=t'], multi('t', [part(t, e, b), part(t, e, b)]))],
  ['dkim', 0, (t, e, b) => top(['DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=x; b=x', `Content-Type: ${t}`, e && `Content-Transfer-Encoding: ${e}`], b)],
];

const labels = [(c) => `text/html; charset=${c}`, (c) => `Text/HTML; Charset="${c.toUpperCase()}"`, (c) => `text/html (x); charset*=us-ascii'en'${c}`];

export function* messages() {
  let n = 0, turn = 0;
  for (const [charset, { word, encode, only }] of Object.entries(charsets))
    for (const [encoding_name, encoding] of Object.entries(encodings)) {
      if (only && !encoding_name.startsWith(only)) continue;
      for (const [page_name, page, links] of pages) {
        if (turn++ % 3) continue;
        const octets = encode(page.replaceAll('%W', word));
        // Readers disagree about blanks at the end of a line of quoted-printable: not inside a destination, then.
        if (encoding_name === 'qp-trailing' && page_name === 'whitespace') continue;
        // U+FFFD and the euro sign: standards and libraries disagree.
        if (page_name === 'numeric' && /^(gb18030|big5)$/.test(charset)) continue;
        if (encoding.clean && !encoding.clean(octets)) continue;
        // Pages, charsets and encodings meet in a third of all ways; the structures take turns.
        const [structure, times, build] = structures[n++ % structures.length];
        const type = labels[n % 7 === 0 ? 2 : n % 5 === 0 ? 1 : 0](charset);
        yield { name: `${page_name}, ${charset}, ${encoding_name}, ${structure}`, raw: build(type, encoding.field, encoding.encode(octets)),
          links: links === undefined ? undefined : links * times };
      }
    }
}
