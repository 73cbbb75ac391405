// Random text/plain messages with addresses in them, for tenants that want those led as well.
import iconv from 'iconv-lite';
import { Dice } from './dice.mjs';
import { iso2022jp } from './messages.mjs';

const with_iconv = (name) => (text) => iconv.encode(text, name);
const charsets = [
  ['utf-8', '日本語', (text) => Buffer.from(text)],
  ['us-ascii', 'x', (text) => Buffer.from(text.replace(/[^\0-\x7f]/g, 'x'))],
  ['iso-2022-jp', '日本語', iso2022jp],
  ['shift_jis', '表示ソ', with_iconv('shiftjis')],
  ['euc-jp', '予約', with_iconv('eucjp')],
  ['gb18030', '中文', with_iconv('gb18030')],
  ['utf-16le', '日本', (text) => Buffer.from(text, 'utf16le')],
];
const schemes = ['http://', 'https://', 'HTTP://', 'Https://'];
const hosts = ['example.com', 'www.example.co.jp', 'a.example:8080', '192.0.2.1', '[2001:db8::1]', 'u@example.com'];
const paths = ['', '/', '/a', '/a/b.html', '/a_(b)', '/a%20b', '/~x', '/a,b;c'];
const queries = ['', '?a=b&c=d', '?q=%E3%81%82', '?x=http://y.example/', '?a[]=1'];
const before = ['See ', '(', '<', '「', '"', ' ', '\r\n', '> ', 'URL: ', '* ', '://', 'mailto:', '-- \r\n'];
const behind = ['.', '。', ')', '>', '」', ',', ' ', ' and ', '\r\n', '!', '?', '...', ';', '"', "'", '*'];

const url = (d) => d.pick(schemes) + d.pick(hosts) + d.pick(paths) + d.pick(queries) + d.pick(['', '#x', '#!/y']);

function qp(octets) {
  let out = '', line = '';
  for (const c of octets) {
    const plain = c === 13 || c === 32 || (c >= 33 && c <= 126 && c !== 61);
    const atom = plain ? String.fromCharCode(c) : `=${c.toString(16).toUpperCase().padStart(2, '0')}`;
    if (c === 10) { out += `${line.replace(/ \r$/, '=20\r')}\n`; line = ''; continue; }
    if (line.length + atom.length > 70 && c !== 13) { out += `${line}=\r\n`; line = ''; }
    line += atom;
  }
  return out + line;
}

const encodings = {
  '8bit': (octets) => octets,
  'quoted-printable': (octets) => Buffer.from(qp(octets), 'latin1'),
  base64: (octets) => Buffer.from(`${octets.toString('base64').match(/.{1,76}/g).join('\r\n')}\r\n`),
};

export function random_text(seed) {
  const d = new Dice(seed), [label, word, encode] = d.pick(charsets);
  const words = () => d.pick([...before, word]) + (d.chance(80) ? url(d) : word) + d.pick([...behind, word]);
  const text = d.times(1, 8, words).join('');
  const way = label.startsWith('utf-16') ? 'base64' : d.pick(Object.keys(encodings));
  const head = ['From: a@example.com', `Content-Type: text/plain; charset=${label}`, `Content-Transfer-Encoding: ${way}`];
  const body = encodings[way](encode(`${text}\r\n`));
  return { name: `text ${seed}, ${label}, ${way}`, raw: Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]) };
}
