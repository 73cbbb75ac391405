// Pages that nobody wrote: what newsletters hold, mixed with all that a tokeniser, a URL parser and a rewriter can get
// wrong. Nothing here knows what is right; the readers in run.mjs do.
//
// A character from U+E000 to U+E0FF stands for one octet, 00 to FF, in any charset: that is how broken text comes in.

const octet = (byte) => String.fromCharCode(0xe000 + byte);
const nul = octet(0);

const schemes = ['http://', 'https://'];
const odd_schemes = ['HTTP://', 'hTTps://', 'http:\\\\', 'https:/\\', 'http&colon;//', '&#104;ttp://',
  '&#x68;ttps:&#47;&#x2F;', ' http://',
  '\r\n  https://', 'ht\r\ntp://', 'http:\t//', 'http:&sol;&sol;', 'http&#58//', '&#0104ttp://', 'http:///',
    'http:////', 'http:', 'https:/', '//',
  '/', '', './', '../', '#', '?', 'mailto:', 'tel:', 'sms:', 'javascript:', 'JaVaScRiPt:', 'java&#10;script:',
    'data:text/html,', 'ftp://', 'cid:',
  'intent://', 'https+notrack://', 'view-source:http://', 'about:', 'file:///', 'httpx://', 'xhttp://', 'x-http://',
    'http//', 'h&#116tp://',
  '{{', '*|', '%%', '<%=', '${', 'http&#8203;://', '\u00a0http://', '&nbsp;http://', '&Tab;https://',
    '&NewLine;http://', nul + 'http://',
  octet(1) + 'http://', 'http://http://', 'https://https//'];
const hosts = ['example.com', 'www.example.com', 'shop.example.co.jp', 'news.example', 'a.b.c.d.example.org'];
const odd_hosts = ['EXAMPLE.com', 'example.com.', 'xn--wgv71a119e.example', '127.0.0.1', '0x7f.1', '0177.0.0.1',
  '2130706433', '256.1.1.1', '1.2.3.4.5',
  '1.2.3', '[2001:db8::1]', '[::ffff:1.2.3.4]', '[::1', '[x]', 'user@example.com', 'user:pa%40ss@example.com',
    'u:p@v@example.com', '@example.com',
  'example.com:80', 'example.com:443', 'example.com:8080', 'example.com:', 'example.com:00080', 'example.com:65536',
    'example.com:x', 'exa%6Dple.com',
  'ex%zzample.com', 'exam ple.com', 'exam|ple.com', 'exam<ple.com', 'a_b.example.com', '-x-.example', 'example', '',
    '.', '..', 'x..y', '%2e',
  'exa\tmple.com', 'exa\r\nmple.com', 'example.com\\', '*|HOST|*', '{{host}}', '%HOST%', 'b&uuml;cher.example',
    '&#26085;&#26412;.example',
  'stra&szlig;e.example', 'example&#12290;com', 'ex&shy;ample.com', '&#x1F600;.example', 'EXAMPLE&period;com',
    'localhost', 'example.com&#64;evil.example',
  't.acme.example', 'T.ACME.example', 'x.t.acme.example', `${'a'.repeat(63)}.example`, `${'a'.repeat(64)}.example`,
    `${'abc.'.repeat(70)}example`];
const paths = ['', '/', '/a', '/a/b/c.html', '/news/2026/11/21/', '/%E6%97%A5%E6%9C%AC', '/?', '/index.php'];
const odd_paths = ['/a b', '/a%20b', '/%zz', '/%', '/%2', '/%2F%2f', '/a+b', '/../x', '/./x', '/%2e%2e/x', '//x',
  '/a//b', '/a\\b', '\\', '/;j=1', '/a|b',
  '/{x}', '/[x]', '/^', '/`', '/~x', '/@', '/:', '/,', '/!$()*', "/'", '/&quot;', '/&lt;x&gt;', '/&amp;', '/&', '/&&',
    '/&;', '/\r\nx', '/\tx', `/${nul}`,
  `/${octet(0x1f)}`, '/&#127;', '/&nbsp;', '/&#x3042;', '/&eacute;', '/&#128;', '/&#159;', '/&#xD800;', '/&#x110000;',
    '/&#0;', '/&#13;', '/&#9;',
  '/&#99999999999;', '/&#x;', '/&#;', '/&#65', '/&#x41;&#x42', '/&nosuch;', '/&#x1F600;', '/*|FNAME|*', '/{{id}}',
    '/%%id%%', '/<%= id %>', '/[[id]]',
  (d) => `/${'x'.repeat(d.pick([60, 300, 900, 1400]))}`, (d) => `/${'y/'.repeat(d.pick([700, 2000, 9000]))}`,
    (d) => `/${d.word}`, (d) => `/${d.word} ${d.word}`];
const names = ['a', 'id', 'utm_source', 'q', 'copy', 'copy2', 'reg', 'reg_id', 'order', 'lt', 'gt', 'amp', 'amp;amp',
  'para', 'sect', 'times', 'curren', 'not',
  'notit', 'notin', 'notin;', 'copy;', 'micro', 'AMP', 'LT', 'quot', 'apos', 'deg', 'uml', 'ETH', 'yen', 'cent', 'shy',
    'acute', 'x[]', 'lang', 'rang', 'image',
  'int', 'part', 'prod', 'sum', 'theta', 'region', 'degree', 'section', 'paragraph', 'currency', 'timestamp', 'amplify',
    'ltr', 'hash', '#38', '#x26', '#'];
const values = ['1', 'b', 'news', '2026-11-21', 'a%26b', 'a%2', '%E3%81%82', '', 'a+b', 'x.y~z',
  'https://other.example/?c=d', 'http%3A%2F%2Fx%2F'];
const odd_values = ['a b', "it's", '&quot;x&quot;', '&lt;b&gt;', 'a|b', '{x}', '[x]', '^`', '\\', '&#x3042;',
  '&eacute;', '&euro;', '&#128512;', '&nbsp;', '&', '&&amp;',
  '&amp;amp;', '&amp;#38;', '*|UNIQID|*', '{{ email }}', '%%email%%', '<%email%>', `${nul}`,
    `${octet(0xe3)}${octet(0x81)}`, '\r\n', '\t', 'x'.repeat(500),
  (d) => d.word, (d) => `${d.word}&${d.word}`, (d) => `${d.word} ${d.word}`];
const fragments = ['', '', '', '#top', '#!/a?b', '#a b', '#&quot;`', '#a#b', (d) => `#${d.word}`, '#%zz', '#&amp;',
  '#{x}'];

function query(d) {
  if (d.chance(50)) return '';
  return '?' + d.times(1, 4, () => d.mostly(60, ['a', 'id', 'utm_source', 'q', 'lang'], names) + d.pick(['=', '=', '=',
    '=', '', ';=', '=='])
    + d.mostly(70, values, odd_values)).join(d.pick(['&amp;', '&amp;', '&', '&', '&#38;', '&AMP;', '&amp', ';', '?',
      '&#x26']));
}

export function url(d) {
  return d.mostly(80, schemes, odd_schemes) + d.mostly(80, hosts, odd_hosts) + d.mostly(60, paths, odd_paths) + query(d)
    + d.roll(fragments)
    + (d.chance(6) ? d.pick([' ', '\r\n', '\t', '&#32;', '&nbsp;', nul]) : '');
}

// A value in one of the ways in which values are written; what would end it too early is taken out.
function valued(d, value) {
  const equals = d.mostly(85, ['='], [' = ', '= ', ' =', '\r\n=\r\n', '=\t', '\f=\f']);
  switch (d.int(8)) {
    case 0: return `${equals}'${value.replaceAll("'", d.pick(['&#39;', '&apos;', '&#x27']))}'`;
    case 1: return equals + (value.replace(/[\s>"'\f]/g, '').replace(/^$/, 'x'));
    default: return `${equals}"${value.replaceAll('"', d.pick(['&quot;', '&#34;', '%22']))}"`;
  }
}

const attributes = ['class=x', 'style="color:#c00"', "title='a > b'", 'target="_blank"', 'rel=noopener', 'id=x',
  'title="&lt;a href=&quot;http://example.com/0&quot;&gt;"',
  'data-href="http://example.com/0"', 'xhref=http://example.com/0', 'title="href=http://example.com/0"', 'hreflang=ja',
    'name', 'a="b"c="d"', '/', '=x', '"', "'", '<',
  'href', 'HREF=""', `x${nul}y=1`, 'xmlns:v="urn:x"', 'xlink:href="http://example.com/x"', 'title=`',
    'onclick="location=\'http://example.com/0\'"', 'ping="http://example.com/p"',
  '\u3000=x', (d) => `title="${d.word}"`, (d) => `${d.word}=1`, (d) => `href="${url(d).replaceAll('"', '')}"`,
    'style="background:url(http://example.com/b)"', 'title="</a><a href=\'http://example.com/0\'>"'];
const opt_outs = ['data-sekisho="off"', 'ses:no-track', 'clicktracking=off', "data-msys-clicktrack='0'",
  'data-pm-no-track', 'disable-tracking=true', 'data-sekisho=on', 'clicktracking="on"'];

function attribute_list(d, link) {
  const list = d.times(0, 2, () => d.mostly(75, attributes.slice(0, 7), attributes));
  if (link !== null) list.splice(d.int(list.length + 1), 0, link);
  if (d.chance(3)) list.push(d.pick(opt_outs));
  return list.map((a) => d.mostly(90, [' '], ['\r\n', '\t', '/', ' / ', '  ', '\f', '']) + a).join('') + d.mostly(90,
    [''], [' ', '/', ' /', '\r\n']);
}

const case_of = (d, name) => d.mostly(85, [name], [name.toUpperCase(), name[0].toUpperCase() + name.slice(1)]);
export const link_tag = (d,
  name = 'a') => `<${case_of(d, name)}${attribute_list(d, case_of(d, 'href') + valued(d, url(d)))}>`;
const anchor = (d) => link_tag(d) + d.mostly(90, [inline, inline, '<img src="http://example.com/i.png" alt="">'], ['',
  block, anchor]) + d.mostly(92, ['</a>'], ['', '</A >', '</a href="http://example.com/0">', '</b>']);
const tag = (d, name) => `<${case_of(d, name)}${d.chance(30) ? attribute_list(d, null) : ''}>`;

const texts = ['News ', ' and ', 'a &amp; b', '&nbsp;', '&copy 2026', '&lt;b&gt;', '1 < 2', 'a > b', '&#x3042;',
  '"quoted"', "it's", '\r\n', '\r\n  ', ' ', 'http://example.com/plain', '&', '<', '<3',
  '< a href="http://example.com/0">', '=', '.',
  '--', (d) => d.word, (d) => d.word, (d) => `${d.word} ${d.word}`, octet(0x1b), nul, `${octet(0xc3)}`,
    `${octet(0x80)}${octet(0xff)}`];
const inlines = ['b', 'i', 'span', 'font', 'strong', 'em', 'u', 'small', 'code', 'sup', 'nobr', 'big', 'x-y',
  'custom-element', 'o:p', 'address', 'abbr'];
const blocks = ['p', 'div', 'h1', 'center', 'blockquote', 'ul', 'li', 'dl', 'dd', 'form', 'pre', 'section', 'fieldset',
  'marquee', 'object', 'button', 'applet', 'listing', 'details', 'main', 'dialog'];
const inline = (d) => d.roll([...texts, (e) => { const name = e.pick(inlines); return tag(e, name) + e.roll(texts)
  + (e.chance(85) ? `</${name}>` : ''); }, '<br>', '<br/>', '<img src=x.png alt="">', '<wbr>']);

const comments = ['<!-- x -->', '<!--><p>-->', '<!--->', '<!---->', '<!-- <a href="http://example.com/0"> -->',
  '<!-- a -- b -->', '<!-- x --!>', '<!--x--->', '<!-- <!-- x -->', '<!x>', '<!>', '<?php echo "x" ?>',
  '<?xml version="1.0"?>', '</ x>', '</>', '</3>', '<!doctype html>', '<![CDATA[x]]>',
    '<![CDATA[<a href="http://example.com/0">]]>', '<!-->', '<!--a->b-->', '<!--[endif]-->',
  '<![if !mso]>', '<![endif]>', '<!-- </body> -->'];
const mso = (d) => `<!--[if ${d.pick(['mso', 'gte mso 9', '!vml', '(mso)|(IE)', 'mso 12'])}]>${d.times(1, 3, () => d.roll([() => `<v:roundrect${attribute_list(d, 'href' + valued(d, url(d)))}>${d.roll(texts.slice(0, 8))}</v:roundrect>`,
  () => link_tag(d) + 'x</a>', '<table><tr><td width="600">', '</td></tr></table>', '<o:x/>', '<style>td{}</style>',
    (e) => e.word])).join('').replaceAll('--', '')}<![endif]-->`;
const revealed = (d) => `<!--[if !mso]><!-->${anchor(d)}<!--<![endif]-->`;

const raws = [(d) => `<style>a:after{content:"${d.chance(50) ? '<a href=http://example.com/0>' : ''}"}</style>`,
  (d) => `<style type="text/css"><!-- td { color: red } ${d.word} --></style>`,
  '<script>var a = "<a href=\'http://example.com/0\'>";</script>',
    '<script><!-- document.write("<script>x</scr"+"ipt>") --></script>',
    '<script><!-- <script></script> <a href="http://example.com/0"> --></script>',
  '<script type="application/ld+json">{"url":"http://example.com/0"}</script>',
    '<textarea></body><a href="http://example.com/0"></textarea>', '<title><a href="http://example.com/0"></title>',
    '<xmp><a href="http://example.com/0"></xmp>',
  '<iframe src="http://example.com/f"><a href="http://example.com/0"></iframe>',
    '<noembed><a href="http://example.com/0"></noembed>', '<noframes><a href="http://example.com/0"></noframes>',
  (d) => `<noscript>${anchor(d)}</noscript>`, '<script/>x</script >', '<style></styles></style\r\n>',
    '<title>&amp;</TITLE>', '<textarea>\r\n</textarea x=">">', '<script></script\t>', '<script>"</script "',
    '"></script>'];
const foreign = [(d) => `<svg>${d.times(1, 3, () => d.roll([link_tag, 'x', '</a>', '<g>', '</g>', '<path d="M0 0"/>', '<title>t</title>', '<style>a{}</style>', '<![CDATA[<a href="http://example.com/0">]]>', '<text>x</text>',
  (e) => `<a xlink:href${valued(e, url(e))}>x</a>`, '<foreignObject><p>x</p></foreignObject>',
    '<desc>x</desc>'])).join('')}</svg>`,
(d) => `<math><mi>x</mi><mtext>${anchor(d)}</mtext></math>`,
  (d) => `<math><annotation-xml encoding="text/html">${anchor(d)}</annotation-xml></math>`, '<svg/>', '<math/>',
(d) => `<svg><foreignObject>${anchor(d)}<div>x</div></foreignObject></svg>`, (d) => `<svg><p>${anchor(d)}`,
  (d) => `<math><a href="http://example.com/m">x</a></math>`];
const scopes = [(d) => `<template>${anchor(d)}</template>`,
  (d) => `<select><option>x${d.chance(50) ? '</option>' : ''}</select>`,
  (d) => `<map name=m>${link_tag(d, 'area')}<area nohref></map>`, (d) => `<select>${anchor(d)}</select>`,
  (d) => `<form><input value="http://example.com/0"><button>${anchor(d)}</button></form>`,
    '<base href="http://base.example/">', '<base target=_blank>', (d) => `<object data=x>${anchor(d)}</object>`,
    '<link rel=stylesheet href="http://example.com/s.css">',
  '<meta name=x content="http://example.com/0">', '<input type=image src=x>', '<hr>', '<frame src=x>',
    '<body bgcolor=white>', '<html lang=ja>', '<head>', '</head>', '<image src=x>', '<isindex>', '<keygen>',
    '<video src=x></video>'];

const cell = (d) => `<td${d.chance(50) ? attribute_list(d, null) : ''}>${d.times(1, 3, () => d.roll([inline, anchor, block])).join('')}${d.chance(85) ? '</td>' : ''}`;
const table = (d) => `<table${d.chance(50) ? ' width="100%" cellpadding=0' : ''}>${d.mostly(85, [''], ['<caption>x</caption>', '<colgroup><col>', '<tbody>', '<thead>', anchor, 'text', '<form>'])}${d.times(1, 3, () => `<tr>${d.times(1, 2, () => cell(d)).join('')}${d.chance(85) ? '</tr>' : ''}\r\n`).join('')}${d.chance(92) ? '</table>' : ''}`;

function block(d) {
  const name = d.pick(d.chance(70) ? ['p', 'div', 'p', 'div', 'h1', 'li'] : blocks);
  return tag(d, name) + d.times(0, 3, () => d.roll([inline, inline, anchor])).join('')
    + (d.chance(85) ? `</${name}>` : '') + d.mostly(80, ['\r\n'], ['', ' ', '\r', '\n']);
}

const misnested = [(d) => `<p><b>${anchor(d)}<p>x</b>y`,
  (d) => `<a href="http://example.com/1"><table><tr><td>${anchor(d)}</table></a>`,
  (d) => `${link_tag(d)}<div>x</a>y</div>`, (d) => `<b><i>${anchor(d)}</b></i>`, '</p>', '</br>', '</table>',
  '</div></div>', '</a>', '</b>',
  (d) => `<p><font color=red>${inline(d)}</p>`, (d) => `<nobr>x<nobr>${anchor(d)}`, (d) => `<li>x<li>${anchor(d)}`,
    (d) => `<dd><dt>${anchor(d)}`, (d) => '<div>'.repeat(d.pick([3, 50, 300])) + anchor(d),
    (d) => `<b>${link_tag(d)}</b>x</a>`,
  (d) => `<a ${d.times(100, 300, (i) => `a${i}=${i}`).join(' ')} href="http://example.com/many">x</a>`,
    (d) => `<a title="${'t'.repeat(d.pick([900, 5000, 20000]))}" href="http://example.com/long">x</a>`,
    (d) => `<p>${'z'.repeat(d.pick([970, 1100, 3000]))}${anchor(d)}`];
const pieces = [block, block, block, block, anchor, anchor, anchor, table, table, inline, inline,
  (d) => d.roll(comments), mso, revealed, (d) => d.roll(raws), (d) => d.roll(foreign), (d) => d.roll(scopes),
  (d) => d.roll(misnested)];
const plain_pieces = [block, block, anchor, anchor, table, table, inline, mso];

const openings = ['<!DOCTYPE html>\r\n<html lang="ja">\r\n<head><title>%W</title></head>\r\n<body>\r\n', '<html><body>',
  '<HTML><HEAD>\r\n<META http-equiv="Content-Type" content="text/html; charset=%C">\r\n</HEAD><BODY bgColor=#ffffff>\r\n',
  '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">\r\n<html xmlns="http://www.w3.org/1999/xhtml"><head><meta charset="%C" /></head><body>', '', '<p>', '<?xml version="1.0"?>\r\n<html><body>',
  '<!-- comment first --><!doctype html><body>', '<html><head><style>p { margin: 0 }</style></head><body>', '<body>',
    '<center>', '<html><head><title>%W</title>', '<div dir="ltr">',
    '<html xmlns:v="urn:schemas-microsoft-com:vml"><body>', '\r\n\r\n<html>', '<head></head>'];
const closings = ['</body></html>\r\n', '</body>\r\n</html>\r\n', '</body>\r\n</html>', '', '\r\n', '</html>\r\n',
  '</BODY></HTML>\r\n\r\n', '</body></html>\r\n<p>after</p>\r\n', '</body></html><!-- after -->\r\n',
  '</body></html></body></html>\r\n', '</body >\r\n</html\r\n>\r\n', '</body></html> \t\r\n ', '\r\n\r\n'];
const odd_closings = ['<b>', '<p><b>open', '<table><tr><td>', '<table>', '<table><tr>', '<table><colgroup>\r\n',
  '<select><option>x', '<!-- open', '<title>open', '<textarea>open</body>', '<style>open</body></html>', '<script>open',
  '<a href="http://example.com/cut', '<a href="http://example.com/cut"', '<a', '<', '</', '</bod', '</body', '<!',
  '<!-', '&', '&am', '<plaintext></body><a href="http://example.com/0">', '<frameset><frame></frameset>', '<template>',
    '<svg>', '<svg><title>', '<math><mi>', '<xmp>', '<ul><li><p><i><b>', '<button>',
    '<p><a href="http://example.com/open">', '<object>', '<![CDATA[', '<svg><![CDATA[x',
  '</body><a href="http://example.com/late">late</a>', '</html><p>', '</body></html><b>', '<p><u>x</p></body></html>',
    '<p><b><i>x</p></div></body>\r\n</html>\r\n', '<head></html>\r\n', '<nobr>', '<form></html>', '</p></body>\r\n',
    octet(0x1b) + '$B', octet(0xe3), octet(0x81), octet(0x1b) + '$B8f\r\n',
  '<p><b>x</p><![endif]></body></html>\r\n', '<p><b>x</p><script>y</script></body>', '<p><b>x</p><?y></ z></body>',
    '<b><i>x</b></i><table><tr><td><pre>\r\nx',
  `<${octet(0x1b)}(B${octet(0x1b)}(Ba href="http://example.com/0">x</a>`];

/* A page in the charset that `charset` is the name of; `word` is one of its words. */
export function page(d, charset, word) {
  d.word = word;
  const kinds = d.chance(50) ? plain_pieces : pieces, ends = d.chance(85) ? closings : odd_closings;
  return d.roll(openings).replaceAll('%W', word).replaceAll('%C', charset) + d.times(0, d.pick([2, 5, 12]),
    () => d.roll(kinds)).join('') + d.roll(ends);
}
