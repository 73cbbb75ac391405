// Holds Sekisho's rewriting against readers that know nothing of it (readers.mjs). The rewritten message must have the
// same parts as the one that came, the same octets in all that is not the page, and the same tree in all that is, but
// for tracked destinations and a pixel. Every link that can be tracked is, or a reason is given why its part was left
// alone; and every tracked link, asked of a running sekisho-track, leads to the URL that a browser would have gone to.
//
// Usage: node run.mjs SEKISHO [--random N [SEED]] [FILE.eml...]
// Without more: the messages of messages.mjs, 1 000 random ones, and 200 of text/plain.
import { readFileSync } from 'node:fs';
import { Gate } from './gate.mjs';
import { messages } from './messages.mjs';
import { random_message } from './random_mail.mjs';
import { random_text } from './random_text.mjs';
import { browser_url, HOST, page_of, parts_of, tree_of } from './readers.mjs';

const RANDOM = 1000, TEXTS = 200, LINE_MAX = 998, TRACKED = `https://${HOST}/c/`;
const TOO_LONG = 900;                  // a destination whose tracked link may pass the limit

class Different extends Error {}
const demand = (condition, text) => { if (!condition) throw new Different(text); };

const gate = new Gate();
const pending = new Map();             // tracked URL: { name, old, wanted }
const reasons = new Map();             // why pages were left alone: how often
// Reasons that hold for the parts beside a random page.
const beside = ['inside a forwarded message', 'signed', 'encrypted', 'unknown charset', 'unknown transfer encoding'];

// --- one page

const host_of = (url) => new URL(url).hostname;
// Octets that mean nothing in the page's charset, and characters that a browser and the C library may write differently
// there, leave their link alone.
function is_doubtful(value, label) {
  const name = new TextDecoder(label || 'utf-8').encoding;
  if (/^utf-/.test(name)) return value.includes('\ufffd');
  return /^(gb|big5|euc|shift|iso-2022)/.test(name) ? /[^\0-\x7f\u3041-\u30ff\u4e00-\u9fff\uac00-\ud7a3]/.test(value) :
    /[\u0080-\u009f\ufffd]/.test(value);
}
// http://example.com/0 stands where no link is: in text, in attachments, in somebody else's mail.
const must_be_tracked = (link, wanted, label) => wanted !== null && !link.may_stay && host_of(wanted) !== HOST &&
  wanted.length < TOO_LONG && wanted !== 'http://example.com/0' && !is_doubtful(link.value, label);

function compare_page(name, before, after, seen, why) {
  const old_page = page_of(before), old = { links: [], pixels: 0 }, now = { links: [], pixels: 0 };
  if (old_page === undefined) {
    demand(before.content.equals(after.content), `part ${before.path} of an unknown charset differs`);
    return;
  }
  const old_tree = tree_of(old_page, old), new_tree = tree_of(page_of(after), now);
  demand(JSON.stringify(old_tree) === JSON.stringify(new_tree), `the tree differs in part ${before.path}`);
  demand(old.links.length === now.links.length, 'another number of links');
  old.links.forEach((link, i) => {
    const wanted = browser_url(link.value, before.params.charset), { value } = now.links[i];
    if (value === link.value) {
      demand(why || !seen.is_open || !must_be_tracked(link, wanted, before.params.charset),
        `${JSON.stringify(value)} is not tracked`);
      return;
    }
    demand(value.startsWith(TRACKED), `a link became ${value}`);
    pending.set(value, { name, old: link.value, wanted });
    seen.tracked.add(value);
  });
  demand(now.pixels - old.pixels <= 1, `${now.pixels} pixels in part ${before.path}`);
  seen.pixels += now.pixels;
}

// --- one message

// Behind a page in a multipart without end, line ends are the page's.
function compare_octets(raw, out, pieces) {
  const octets = (list) => Buffer.concat(list.map((piece) => piece.fixed));
  const at = pieces.findIndex((piece) => piece.page), begin = octets(pieces.slice(0, at)), behind = octets(pieces.slice(at
    + 1)), end = behind.subarray(/^(\r\n)*/.exec(behind.toString('latin1'))[0].length);
  const head_of = (octets_) => octets_.toString('latin1').split('\r\n\r\n')[0].split('\r\n')
    .filter((line) => !/^content-transfer-encoding:/i.test(line)).join('\n');
  demand(out.subarray(0, begin.length).equals(begin), 'octets before the page differ');
  demand(out.subarray(out.length - end.length).equals(end), 'octets behind the page differ');
  demand(head_of(pieces[at].head) === head_of(out.subarray(begin.length)), 'fields of the page differ');
}

function compare_lines(raw, out) {
  const known = new Set(raw.toString('latin1').split('\n'));
  for (const line of out.toString('latin1').split('\n'))
    demand(line.length <= LINE_MAX + 1 || known.has(line), `a line of ${line.length} octets`);
}

async function compare({ name, raw, links, pieces }) {
  const { out, whys } = gate.rewrite(raw), why = whys.find((text) => !pieces || !beside.includes(text));
  const seen = { tracked: new Set(), pixels: 0, is_open: pieces !== undefined };
  const before = await parts_of(raw), after = await parts_of(out);

  if (why) reasons.set(why, (reasons.get(why) || 0) + 1);
  demand(before.length === after.length, 'another number of parts');
  before.forEach((old, i) => {
    const now = after[i], is_page = old.type === 'text/html' && old.is_leaf;
    const fields = (part) => JSON.stringify(part.headers.filter((h) => !is_page || !/^content-transfer-encoding:/i.test(h)));
    demand(fields(old) === fields(now), `header of part ${old.path} differs`);
    if (is_page) compare_page(name, old, now, seen, why);
    else demand(old.content.equals(now.content), `octets of part ${old.path} differ`);
  });
  compare_lines(raw, out);
  if (pieces) compare_octets(raw, out, pieces);
  demand(gate.rewrite(out).out.equals(out), 'twice is not once');
  demand(seen.pixels <= 2, `${seen.pixels} pixels`);
  if (links !== undefined) demand(seen.tracked.size === links, `${seen.tracked.size} tracked links, not ${links}`);
}

// --- links in text/plain

// How much of the old text a tracked link stands for: an address that leads where the link does, and what comes next.
async function address_length(text, path, behind) {
  const { location } = await gate.ask(path);
  for (let len = text.length; len > 0; len--) {
    let href = null;
    try { href = new URL(text.slice(0, len)).href; } catch { /* no address */ }
    if (href === new URL(location).href && text.startsWith(behind, len)) return len;
  }
  return undefined;
}

// Readers differ on an address whose brackets do not match; what ends its sentence is not its own.
function brackets_match(address) {
  const opened = { ')': 0, ']': 0 };
  for (const sign of address.replace(/[.,;:!?'*_~\]>]+$/, '')) {
    if (sign === '(') opened[')']++;
    else if (sign === '[') opened[']']++;
    else if (sign in opened && opened[sign]-- === 0) return false;
  }
  return !opened[')'] && !opened[']'];
}

// Nor do they agree whether emphasis or a hyphen at the end is the address's, or what ends a sentence between quotes or angle
// brackets.
function ends_clearly(address) {
  const [tail] = address.replace(/^<|>$/g, '').match(/[^A-Za-z0-9/=]*$/);
  return !/[*_~-]/.test(tail) && !address.includes('"') && !(address.startsWith('<') && tail);
}

async function compare_text({ raw }) {
  const { out, whys } = gate.rewrite(raw, 'texts');
  const [before] = await parts_of(raw), [after] = await parts_of(out);
  const tracked = [...page_of(after).matchAll(new RegExp(`${TRACKED}[A-Za-z0-9_-]+`, 'g'))].map(([link]) => link);
  const pieces = page_of(after).split(new RegExp(`${TRACKED}[A-Za-z0-9_-]+`));
  let rest = page_of(before);
  // What no other address can have swallowed, no line end in brackets may have parted, and no letter goes on behind.
  const plain = (rest.match(/(^|\s)https?:\/\/[!-~]*(?![!-~\u0080-\uffff])|<https?:\/\/[!-;=?-~]*>/gi) || [])
    .filter((address) => brackets_match(address) && ends_clearly(address));
  demand(!whys.length, whys.join());
  demand(tracked.length >= plain.length, `${tracked.length} links are tracked, not ${plain.length}`);
  demand(rest.startsWith(pieces[0]), 'the text before the first link differs');
  rest = rest.slice(pieces[0].length);
  for (const [i, link] of tracked.entries()) {
    const len = await address_length(rest, new URL(link).pathname, pieces[i + 1]);
    demand(len !== undefined, `${link} does not lead where ${JSON.stringify(rest.slice(0, 60))} does`);
    rest = rest.slice(len + pieces[i + 1].length);
  }
  demand(rest === '', `${JSON.stringify(rest)} is lost`);
  demand(gate.rewrite(out, 'texts').out.equals(out), 'twice is not once');
}

// --- where tracked links lead

async function check_destinations(failures) {
  const fail = (p, text) => failures.has(p.name) || failures.set(p.name, text);
  await Promise.all([...pending].map(async ([url, p]) => {
    const answer = await gate.ask(new URL(url).pathname), location = answer?.location;
    let got = null;
    try { got = new URL(location).href; } catch { /* stays null */ }
    if (answer?.status !== 302 || got !== p.wanted || /[^\x21-\x7e]/.test(location))
      fail(p, `${JSON.stringify(p.old)} leads to ${location} (${answer?.status}), not ${p.wanted}`);
  }));
}

// --- all

function* random_texts(count) {
  for (let i = 1; i <= count; i++) yield { ...random_text(i), is_text: true };
}

function* random_messages(count, seed) {
  for (let i = 0; i < count; i++) yield random_message(seed + i);
}

function* chosen(args) {
  if (!args.length) {
    yield* messages();
    yield* random_messages(RANDOM, 1);
    yield* random_texts(TEXTS);
  } else if (args[0] === '--random') {
    yield* random_messages(Number(args[1]), Number(args[2] || 1));
  } else {
    for (const file of args) yield { name: file, raw: readFileSync(file) };
  }
}

async function main([sekisho, ...args]) {
  const failures = new Map();
  let count = 0;
  await gate.open(sekisho);
  try {
    for (const message of chosen(args)) {
      count++;
      try {
        await (message.is_text ? compare_text : compare)(message);
      } catch (error) {
        if (!(error instanceof Different)) throw error;
        failures.set(message.name, error.message);
      }
    }
    await check_destinations(failures);
  } finally {
    await gate.close();
  }
  for (const [name, why] of failures) console.log(`FAIL ${name}: ${why}`);
  for (const [why, times] of [...reasons].sort((a, b) => b[1] - a[1])) console.log(`${times} times ${why}`);
  console.log(`${pending.size} destinations resolved`);
  console.log(`differential: ${count - failures.size} passed, ${failures.size} failed`);
  process.exitCode = failures.size ? 1 : 0;
}

await main(process.argv.slice(2));
