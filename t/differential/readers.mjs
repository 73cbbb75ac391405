// Readers that know nothing of Sekisho: postal-mime takes messages apart, Node decodes charsets, parse5 reads pages as
// browsers do, Node's URL resolves them.
import iconv from 'iconv-lite';
import { parse } from 'parse5';
import PostalMime from 'postal-mime';
import { iso2022jp } from './messages.mjs';

export const HOST = 't.acme.example';

export async function parts_of(raw) {
  const parser = new PostalMime({ rfc822Attachments: true });
  await parser.parse(raw);
  const out = [];
  (function walk(node, path) {
    out.push({
      path,
      type: node.contentType.parsed.value.toLowerCase(),
      params: node.contentType.parsed.params,
      headers: node.headers.map((h) => `${h.originalKey || h.key}: ${h.value}`),
      is_leaf: !node.childNodes.length,
      content: node.content ? Buffer.from(node.content) : Buffer.alloc(0),
    });
    node.childNodes.forEach((child, i) => walk(child, `${path}.${i}`));
  })(parser.root, '0');
  return out;
}

// What a sender writes to have a link left alone (sekisho.yaml(5)).
const opt_outs = { 'data-sekisho': 'off', 'ses:no-track': null, clicktracking: 'off', 'data-msys-clicktrack': '0',
  'data-pm-no-track': null, 'disable-tracking': 'true' };
const is_opted_out = (attrs) => attrs.some(({ name, value }) => name in opt_outs &&
  (opt_outs[name] === null || value.trim().toLowerCase() === opt_outs[name]));

const is_pixel = (node) => node.tagName === 'img' &&
  node.attrs.some((a) => a.name === 'src' && a.value.startsWith(`https://${HOST}/o/`));
const is_link = (name, in_comment) => name === 'a' || name === 'area' || (in_comment && name.startsWith('v:'));

// A page's tree as nested arrays; destinations and pixels are taken out of it and go to seen.links and seen.pixels.
export function tree_of(html, seen, in_comment = false) {
  function attrs_of(node) {
    const attrs = node.attrs.map((a) => [a.prefix || '', a.name, a.value]);
    const href = attrs.find((a) => a[1] === 'href' && !a[0]) ||
      (/svg$/.test(node.namespaceURI) && attrs.find((a) => a[1] === 'href' && a[0] === 'xlink'));
    if (href && is_link(node.tagName, in_comment)) {
      // Behind a stray end tag only a tree knows whether this is still SVG.
      seen.links.push({ value: href[2], may_stay: href[0] === 'xlink' || is_opted_out(node.attrs) });
      href[2] = '*';
    }
    return attrs;
  }
  function walk(node) {
    if (node.nodeName === '#text') return node.value;
    if (node.nodeName === '#comment') {
      const inside = /^\[\s*if[^>]*\]>([^]*)<!\[endif\]\s*$/i.exec(node.data);
      return ['!', inside ? tree_of(inside[1], seen, true) : node.data];
    }
    const out = [node.nodeName, node.attrs ? attrs_of(node) : []];
    for (const child of [...(node.content ? node.content.childNodes : []), ...(node.childNodes || [])]) {
      if (is_pixel(child)) { seen.pixels++; continue; }
      const made = walk(child);
      if (typeof made === 'string' && typeof out.at(-1) === 'string' && out.length > 2) out.push(out.pop() + made);
      else out.push(made);
    }
    return out;
  }
  return walk(parse(html, { scriptingEnabled: false }));
}

const is_known = (label) => { try { return new TextDecoder(label) !== null; } catch { return false; } };

// The page that a part holds; undefined where its charset is known to nobody.
export function page_of(part) {
  const label = part.params.charset || 'utf-8';
  if (!is_known(label)) return undefined;
  const decoder = new TextDecoder(label, { ignoreBOM: true });
  // Some versions of Node take windows-1252 for ISO-8859-1.
  return decoder.encoding === 'windows-1252' ? iconv.decode(part.content, 'win1252') : decoder.decode(part.content);
}

// Where a browser goes, the query in the page's charset (WHATWG URL 4.3), of which URL of Node knows nothing; null: to
// no place on the web, or to one that depends on where the page stands.
export function browser_url(value, label) {
  const clean = value.replace(/[\t\r\n]/g, '').replace(/^[\0- ]+|[\0- ]+$/g, '');
  let url;
  if (!/^https?:[/\\]{2}/i.test(clean)) return null;
  try { url = new URL(clean); } catch { return null; }
  const name = new TextDecoder(label || 'utf-8').encoding, query = /^[^?#]*\?([^#]*)/.exec(clean);
  if (/^utf-/.test(name) || !query || !/[^\0-\x7f]/.test(query[1])) return url.href;
  let out = '';
  for (const octet of encode_query(query[1], name)) {
    const c = String.fromCharCode(octet);
    out += octet > 0x20 && octet < 0x7f && !'"#<>\''.includes(c) ? c : '%'
      + octet.toString(16).toUpperCase().padStart(2, '0');
  }
  const at = url.href.indexOf('?'), hash = url.href.indexOf('#');
  return url.href.slice(0, at + 1) + out + (hash >= 0 ? url.href.slice(hash) : '');
}

// Is it in a browser's table? JIS X 0212 is not, nor what Hong Kong put before Big5's own rows.
const is_sayable = (octets, name) =>
  !/^\?+$/.test(octets.toString('latin1')) && !(name === 'euc-jp' && octets.length === 3) &&
  !(name === 'big5' && octets.length === 2 && octets[0] < 0xa1);

// What a charset cannot say is a character reference, percent-encoded.
function encode_query(text, name) {
  const pieces = [];
  let run = '';
  const encode = (s) => (name === 'iso-2022-jp' ? iso2022jp(s) : iconv.encode(s,
    name === 'windows-1252' ? 'win1252' : name));
  for (const ch of text) {
    if (ch === '?' || ((ch !== '\ufffd' || name === 'gb18030') && is_sayable(encode(ch), name))) { run += ch; continue; }
    pieces.push(encode(run), Buffer.from(`%26%23${ch.codePointAt(0)}%3B`));
    run = '';
  }
  return Buffer.concat([...pieces, encode(run)]);
}
