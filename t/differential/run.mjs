// Holds sekisho rewrite against readers that know nothing of it: postal-mime takes messages apart, Node decodes charsets,
// parse5 reads pages as browsers do. For every message the rewritten one must have the same parts, the same octets in all
// that is not HTML, and the same tree in all that is, but for tracked destinations and one pixel; and every tracked link
// must open to the URL that a browser would have gone to.
//
// Usage: node run.mjs SEKISHO [FILE.eml...]     (without files: the messages of messages.mjs)
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import iconv from 'iconv-lite';
import { parse } from 'parse5';
import PostalMime from 'postal-mime';
import { iso2022jp, messages } from './messages.mjs';

const HOST = 't.acme.example';
const [tool, ...files] = process.argv.slice(2);
const dir = mkdtempSync(join(tmpdir(), 'sekisho-differential.'));
const config = join(dir, 'sekisho.yaml');

writeFileSync(config, `relay_log: {key_file: none, dir: ${dir}}
state_dir: ${dir}
tracking: {key_file: ${dir}/tracking.key}
tenants:
  acme:
    match: [{auth: acme}]
    tracking: {host: ${HOST}, opens: true, clicks: true}
`);

function sekisho(args, input) {
  const done = spawnSync(tool, ['-c', config, ...args], { input, maxBuffer: 1 << 28 });
  if (done.status === null || done.status > 1) throw new Error(`sekisho ${args.join(' ')}: ${done.stderr}`);
  return done.stdout;
}

class Different extends Error {}
const demand = (condition, text) => { if (!condition) throw new Different(text); };

async function parts_of(raw) {
  const parser = new PostalMime({ rfc822Attachments: true });
  await parser.parse(raw);
  const out = [];
  (function walk(node, path) {
    out.push({ path, type: node.contentType.parsed.value.toLowerCase(), params: node.contentType.parsed.params,
      headers: node.headers.map((h) => `${h.originalKey || h.key}: ${h.value}`), is_leaf: !node.childNodes.length,
      content: node.content ? Buffer.from(node.content) : Buffer.alloc(0) });
    node.childNodes.forEach((child, i) => walk(child, `${path}.${i}`));
  })(parser.root, '0');
  return out;
}

// A page's tree as nested arrays, tracked destinations and pixels taken out into `links`.
function tree_of(html, links) {
  const is_pixel = (node) => node.tagName === 'img' && node.attrs.some((a) => a.name === 'src' && a.value.startsWith(`https://${HOST}/o/`));
  function attrs_of(node) {
    const seen = node.attrs.map((a) => [a.prefix || '', a.name, a.value]);
    if (node.tagName === 'a' || node.tagName === 'area' || node.tagName.startsWith('v:')) {
      const href = seen.find((a) => a[1] === 'href' && !a[0]) || seen.find((a) => a[1] === 'href' && a[0] === 'xlink');
      if (href) { links.push(href[2]); href[2] = '*'; }
    }
    return seen;
  }
  function walk(node) {
    if (node.nodeName === '#text') return node.value;
    if (node.nodeName === '#comment') {
      const inside = /^\[\s*if[^>]*\]>([^]*)<!\[endif\]\s*$/i.exec(node.data);
      return ['!', inside ? tree_of(inside[1], links) : node.data];
    }
    const out = [node.nodeName, node.attrs ? attrs_of(node) : []];
    const children = [...(node.content ? node.content.childNodes : []), ...(node.childNodes || [])];
    for (const child of children) {
      if (is_pixel(child)) { links.pixels = (links.pixels || 0) + 1; continue; }
      const made = walk(child);
      if (typeof made === 'string' && typeof out.at(-1) === 'string' && out.length > 2) out.push(out.pop() + made);
      else out.push(made);
    }
    return out;
  }
  return walk(parse(html, { scriptingEnabled: false }));
}

function decode(part) {
  const decoder = new TextDecoder(part.params.charset || 'utf-8', { ignoreBOM: true });
  // Some versions of Node take windows-1252 for ISO-8859-1.
  return decoder.encoding === 'windows-1252' ? iconv.decode(part.content, 'win1252') : decoder.decode(part.content);
}

// Where a browser goes: the query in the page's charset (WHATWG URL 4.3), which URL of Node does not know.
function browser_url(value, label) {
  let url;
  try { url = new URL(value); } catch { return null; }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return null;
  const name = new TextDecoder(label || 'utf-8').encoding;
  if (/^utf-/.test(name) || !/\?[^#]*[^\0-\x7f]/.test(value)) return url.href;
  const clean = value.replace(/[\t\r\n]/g, '').trim();
  const query = /\?([^#]*)/.exec(clean)[1];
  let out = '';
  for (const c of encode_query(query, name)) out += c > 0x20 && c < 0x7f && !'"#<>\''.includes(String.fromCharCode(c)) ? String.fromCharCode(c) : '%' + c.toString(16).toUpperCase().padStart(2, '0');
  const at = url.href.indexOf('?'), hash = url.href.indexOf('#');
  return url.href.slice(0, at + 1) + out + (hash >= 0 ? url.href.slice(hash) : '');
}

// What a charset cannot say is a character reference, percent-encoded.
function encode_query(text, name) {
  const pieces = [];
  let run = '';
  const encode = (s) => (name === 'iso-2022-jp' ? iso2022jp(s) : iconv.encode(s, name === 'windows-1252' ? 'win1252' : name));
  for (const ch of text) {
    if (ch !== '?' && ch !== '\ufffd' && encode(ch).toString('latin1') !== '?') { run += ch; continue; }
    pieces.push(encode(run), Buffer.from(`%26%23${ch.codePointAt(0)}%3B`));
    run = '';
  }
  return Buffer.concat([...pieces, encode(run)]);
}

const pending = [];      // { name, token URL, wanted }

function compare_page(name, before, after, seen) {
  const old_links = [], new_links = [];
  const old_tree = tree_of(decode(before), old_links), new_tree = tree_of(decode(after), new_links);
  demand(JSON.stringify(old_tree) === JSON.stringify(new_tree), `the tree differs in part ${before.path}`);
  demand(old_links.length === new_links.length, 'another number of links');
  old_links.forEach((old, i) => {
    if (new_links[i] === old) return;
    demand(new_links[i].startsWith(`https://${HOST}/c/`), `a link became ${new_links[i]}`);
    pending.push({ name, url: new_links[i], wanted: browser_url(old, before.params.charset), old });
  });
  seen.tracked.push(...new Set(new_links.filter((l) => l.startsWith(`https://${HOST}/c/`) && !old_links.includes(l))));
  seen.pixels += new_links.pixels || 0;
}

async function compare(name, raw, links) {
  const out = sekisho(['rewrite', '--tenant', 'acme'], raw);
  const before = await parts_of(raw), after = await parts_of(out), seen = { tracked: [], pixels: 0 };

  demand(before.length === after.length, 'another number of parts');
  before.forEach((old, i) => {
    const now = after[i], is_html = old.type === 'text/html' && old.is_leaf;
    const fields = (part) => JSON.stringify(part.headers.filter((h) => !is_html || !/^content-transfer-encoding:/i.test(h)));
    demand(fields(old) === fields(now), `header of part ${old.path} differs`);
    if (!is_html) demand(old.content.equals(now.content), `octets of part ${old.path} differ`);
    else if (!old.content.equals(now.content)) compare_page(name, old, now, seen);
  });
  for (const line of out.toString('latin1').split('\n'))
    demand(line.length <= 999 || raw.toString('latin1').includes(line), `a line of ${line.length} octets`);
  demand(sekisho(['rewrite', '--tenant', 'acme'], out).equals(out), 'twice is not once');
  demand(seen.pixels <= 2, `${seen.pixels} pixels`);
  if (links !== undefined) demand(seen.tracked.length === links, `${seen.tracked.length} tracked links, not ${links}`);
}

function check_destinations() {
  const failed = new Map();
  if (!pending.length) return failed;
  const opened = sekisho(['link', 'decode', '--destination', '-'], pending.map((p) => p.url).join('\n') + '\n').toString().split('\n');
  pending.forEach((p, i) => {
    let got = null;
    try { got = new URL(opened[i]).href; } catch { /* stays null */ }
    if (got !== p.wanted || /[^\x21-\x7e]/.test(opened[i])) failed.set(p.name, `${JSON.stringify(p.old)} leads to ${opened[i]}, not ${p.wanted}`);
  });
  return failed;
}

const failures = new Map();
let count = 0;
try {
  sekisho(['key', 'rotate'], '');
  const all = files.length ? files.map((f) => ({ name: f, raw: readFileSync(f) })) : messages();
  for (const { name, raw, links } of all) {
    count++;
    try {
      await compare(name, raw, links);
    } catch (error) {
      if (!(error instanceof Different)) throw error;
      failures.set(name, error.message);
    }
  }
  for (const [name, why] of check_destinations()) if (!failures.has(name)) failures.set(name, why);
  for (const [name, why] of failures) console.log(`${name}: ${why}`);
  console.log(`differential: ${count - failures.size} passed, ${failures.size} failed`);
  process.exitCode = failures.size ? 1 : 0;
} finally {
  rmSync(dir, { recursive: true });
}
