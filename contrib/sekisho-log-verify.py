#!/usr/bin/env python3
"""Verify a Sekisho relay log with nothing but this file, Python and the public key.

Written from the manual page sekisho-log(5) alone, to be a second opinion beside `sekisho log verify`.

    sekisho-log-verify.py [--node NODE] [--class CLASS] [--keep 60d|1y [--now TIME]] [--checkpoint FILE]... KEY.pub LOGDIR/CLASS

Exit codes: 0 intact, 1 tampering, 2 kept too long or too short, 3 cannot tell (or a wrong command line); of several the first
of 1, 2, 3.
"""
import argparse
import base64
import binascii
import bisect
import datetime
import hashlib
import json
import os
import re
import sys

TAMPERED, RETENTION, UNKNOWN = 1, 2, 3
JST = datetime.timezone(datetime.timedelta(hours=9))
LINE_MAX = 1 << 20
TAIL = re.compile(rb',"chain":"([0-9a-f]{64})"\}\Z')
HEAD = re.compile(rb'\{"seq":([0-9]{1,18}),"time":"([^"]*)","event":"([^"]*)"')
ERASED = re.compile(rb'\{"seq":([0-9]{1,18}),"erased":"([0-9a-f]{64})"\Z')
FILE = re.compile(r'(\d{4}-\d\d-\d\d)(?:\.([1-9]\d{0,5}))?\.jsonl\Z')
STATEMENT_TAIL = re.compile(rb',"sig":"([A-Za-z0-9+/]{86}==)"\}\Z')


# --- Ed25519 (RFC 8032), only as far as checking goes

P = 2 ** 255 - 19
L = 2 ** 252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def point_add(a, b):
    s, t = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    u, v = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = t - s, v - u, v + u, t + s
    return e * f % P, g * h % P, f * g % P, e * h % P


def point_mul(n, a):
    sum_ = (0, 1, 1, 0)
    while n:
        if n & 1:
            sum_ = point_add(sum_, a)
        a = point_add(a, a)
        n >>= 1
    return sum_


def point_read(octets):
    y = int.from_bytes(octets, 'little')
    sign, y = y >> 255, y & (2 ** 255 - 1)
    if y >= P:
        return None
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * ROOT % P
    if (x * x - xx) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


BASE = point_read((4 * pow(5, P - 2, P) % P).to_bytes(32, 'little'))


def ed25519_check(public, text, sig):
    a, r, s = point_read(public), point_read(sig[:32]), int.from_bytes(sig[32:], 'little')
    if len(sig) != 64 or a is None or r is None or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(sig[:32] + public + text).digest(), 'little') % L
    left, right = point_mul(s, BASE), point_add(r, point_mul(k, a))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


def unbase64(text, size):
    """The octets, or None: only padded base64 in its one spelling will do."""
    try:
        octets = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return octets if len(octets) == size and base64.b64encode(octets).decode() == text else None


def read_keys(path):
    """Key id -> raw key, of every PEM block in the file."""
    with open(path, encoding='ascii') as file:
        blocks = re.findall(r'-----BEGIN PUBLIC KEY-----\s(.*?)-----END PUBLIC KEY-----', file.read(), re.S)
    raws = [base64.b64decode(block)[-32:] for block in blocks]
    return {hashlib.sha256(raw).hexdigest()[:8]: raw for raw in raws}


# --- days

def day_start(date):
    return datetime.datetime(date.year, date.month, date.day, tzinfo=JST)


def purge_day(date, keep):
    if keep[1] == 'd':
        return date + datetime.timedelta(days=keep[0] + 1)
    try:
        same = date.replace(year=date.year + keep[0])
    except ValueError:                  # 29 February
        same = datetime.date(date.year + keep[0], 3, 1)
    return same + datetime.timedelta(days=1)


def read_time(text):
    return datetime.datetime.fromisoformat(text)


# --- the log

class Report:
    def __init__(self):
        self.codes, self.lines = set(), []

    def find(self, code, place, text):
        self.codes.add(code)
        self.lines.append(f'{place}: {text}')

    def code(self):
        return min(self.codes - {0}, default=0)


class Day:
    """One file, checked by itself; Log puts them side by side."""

    def __init__(self, name, is_last):
        self.name, self.is_last = name, is_last
        match = FILE.match(name)
        self.date = datetime.date.fromisoformat(match[1])
        self.order = (self.date, int(match[2] or 1))
        self.begin = None
        self.records = self.seq = 0
        self.is_restored = False        # since the last checkpoint
        self.chain = bytes(32)
        self.first_named = self.named = None
        self.last_time = self.signed_time = None


class Log:
    def __init__(self, args):
        self.args, self.report = args, Report()
        self.keys = read_keys(args.key)
        self.operators = read_keys(args.operator_key) if args.operator_key else self.keys
        self.purged, self.checkpoints = [], 0
        self.erased, self.declared = [], []     # lines that were erased; ranges that statements declare
        self.wanted = {}                # seq -> (hash, name) of checkpoints kept elsewhere
        self.first_seq = None

    def find(self, code, place, text):
        self.report.find(code, place, text)

    # signatures

    def signed(self, place, event, detail, raw):
        """A statement: is it signed rightly?"""
        match = STATEMENT_TAIL.search(raw)
        keys = self.operators if event in ('erased', 'restored') else self.keys
        if 'key' not in detail and 'sig' not in detail:
            self.find(UNKNOWN, place, f'a {event} record that nobody signed')
            return False
        if match and detail.get('key') in keys:
            text = f'sekisho:{detail["node"]}/{detail["class"]} {event}\n'.encode() + raw[:match.start()]
            sig = unbase64(match[1].decode(), 64)
            if sig and ed25519_check(keys[detail['key']], text, sig):
                return True
        elif match and 'key' in detail:
            self.find(UNKNOWN, place, f'signed with key {detail["key"]}, which was not given')
            return False
        self.find(TAMPERED, place, f'a forged {event} record')
        return False

    def check_checkpoint(self, day, place, line, detail, is_sure):
        try:
            text = f'sekisho:{detail["node"]}/{detail["class"]}\n{detail["head"]}\n'
            text += base64.b64encode(bytes.fromhex(detail['hash'])).decode() + f'\ntime {line["time"]}\n'
            text += f'next {detail["next"]}\n' if 'next' in detail else ''
            key, sig = detail['key'], unbase64(detail['sig'], 64)
        except (KeyError, TypeError, ValueError):
            day.named = None
            return self.find(TAMPERED, place, 'a checkpoint that cannot be read')
        self.check_owner(place, detail)
        if is_sure and (detail['head'] != day.seq or detail['hash'] != day.chain.hex()):
            day.named = None
            return self.find(TAMPERED, place, 'this checkpoint signs other records than those before it')
        if key not in self.keys:
            return self.find(UNKNOWN, place, f'signed with key {key}, which was not given')
        once = (place, text.encode(), detail.get('once'), day.is_restored)
        day.is_restored = False
        if day.first_named is None:
            day.first_named = once
        else:
            self.check_once(day.named, once)
        day.named = detail.get('next')
        if not sig or not ed25519_check(self.keys[key], text.encode(), sig):
            return self.find(TAMPERED, place, 'the signature of this checkpoint is wrong')
        self.checkpoints += 1
        day.signed_time = line['time']

    def check_once(self, named, once):
        place, text, sig, is_restored = once
        public = unbase64(named, 32) if named else None
        if not named:
            return
        if not sig and is_restored:
            self.find(0, place, 'restored from a backup before this checkpoint')
        elif not sig:
            self.find(UNKNOWN, place, 'the row of one-time keys is broken here')
        elif not public or not unbase64(sig, 64) or not ed25519_check(public, text, unbase64(sig, 64)):
            self.find(TAMPERED, place, 'not signed with the one-time key that the checkpoint before named')

    def check_owner(self, place, detail):
        if self.args.node and detail.get('node') != self.args.node:
            self.find(TAMPERED, place, f'of another node: {detail.get("node")}')
        if self.args.class_name and detail.get('class') != self.args.class_name:
            self.find(TAMPERED, place, f'of another class: {detail.get("class")}')

    # lines

    def check_begin(self, day, line):
        detail = line.get('detail', {})
        try:
            begin = {name: detail[name] for name in ('node', 'class', 'file', 'previous', 'end', 'after', 'hash', 'tenants')}
            bytes.fromhex(begin['hash'])
        except (KeyError, ValueError, TypeError):
            return
        if begin['previous'] and not FILE.match(begin['previous']):
            return
        day.begin = begin
        self.check_owner(day.name, begin)
        if begin['file'] != day.name:
            self.find(TAMPERED, day.name, f'says that it is {begin["file"]}')

    def take_special(self, day, place, text, event, is_sure):
        """The lines in which the log speaks about itself; all others are never parsed."""
        try:
            line = json.loads(text)
            raw = text[text.index(b',"detail":') + 10:]
            size, detail = detail_size(raw), line['detail']
        except (ValueError, KeyError, TypeError):
            return self.find(TAMPERED, place, f'a {event} record that cannot be read')
        if event == 'checkpoint':
            return self.check_checkpoint(day, place, line, detail, is_sure)
        if not self.signed(place, event, detail, raw[:size]):
            return None
        if event == 'purged':
            self.purged.append((detail['file'], detail['last'], detail['hash'], line['time'], place))
        elif event == 'restored':
            self.check_owner(place, detail)
            places = [(day.seq, day.chain.hex())]
            if day.begin:
                places.append((day.begin['after'], day.begin['hash']))
            if is_sure and (detail['last'], detail['hash']) not in places:
                return self.find(TAMPERED, place, 'a restored record of another place')
            day.is_restored = True
        else:
            for piece in detail['seqs'].split(','):
                first, _, last = piece.partition('-')
                self.declared.append((int(first), int(last or first)))
        return None

    def check_file(self, day, limit):
        """Every line; `limit`: (octet, seq, hash) where the next part says that the valid text ends."""
        with open(os.path.join(self.args.dir, day.name), 'rb') as file:
            text = file.read()
        if not text:
            return False
        seq, chain, offset, bad = 0, bytes(32), 0, 0
        known = False
        for number, line in enumerate(split_lines(text)):
            if limit and (offset, seq, chain.hex()) == limit:
                break
            place, offset = f'{day.name} at {offset}', offset + len(line)
            tail = TAIL.search(line[:-1]) if line.endswith(b'\n') and len(line) <= LINE_MAX + 1 else None
            leaf_text = line[:tail.start()] if tail else b''
            erased, head = ERASED.match(leaf_text), HEAD.match(leaf_text)
            if not tail or not (erased or head):
                torn = day.is_last and not line.endswith(b'\n')
                self.find(UNKNOWN if torn else TAMPERED, place, 'ends in the middle of a line' if torn else 'no record')
                bad, day.named = bad + 1, None
                continue
            event = head[3].decode('utf-8', 'replace') if head else 'erased'
            if number == 0 and event == 'begin':
                self.check_begin(day, json_or_empty(line))
                if day.begin:
                    known, seq, chain = True, day.begin['after'], bytes.fromhex(day.begin['hash'])
            elif event == 'begin':
                self.find(TAMPERED, place, 'a first line in the middle of a file')
            got, leaf = int((erased or head)[1]), bytes.fromhex(erased[2].decode()) if erased else hashlib.sha256(leaf_text).digest()
            if got == seq + 1:
                bad = 0
            want = hashlib.sha256(chain + leaf).hexdigest().encode()
            if known and got != seq + 1 + bad:
                self.find(TAMPERED, place, f'record {got} after record {seq}')
                day.named = None
            elif known and not bad and tail[1] != want:
                self.find(TAMPERED, place, f'record {got} was altered')
                day.named = None
            day.seq, day.chain = seq, chain
            if erased:
                self.erased.append((got, place))
            if event in ('checkpoint', 'purged', 'erased', 'restored') and not erased:
                self.take_special(day, place, line, event, known and not bad)
            known, bad, seq, chain = True, 0, got, bytes.fromhex(tail[1].decode())
            day.records += 1
            day.last_time = head[2].decode('utf-8', 'replace') if head else day.last_time
            self.first_seq = self.first_seq or got
            if got in self.wanted and self.wanted[got][0] == chain.hex():
                del self.wanted[got]
        day.seq, day.chain = seq, chain
        if not day.begin:
            self.find(TAMPERED, day.name, 'does not begin with a line that says what it continues')
        return True

    # files

    def check_joint(self, before, day):
        begin = day.begin
        if not begin:
            return
        if before is None and not begin['previous']:
            if begin['after'] or begin['hash'] != '0' * 64:
                self.find(TAMPERED, day.name, 'says that it begins the log, but its numbers do not')
        elif before is None or begin['previous'] != before.name:
            if not any(p[:3] == (begin['previous'], begin['after'], begin['hash']) for p in self.purged):
                self.find(TAMPERED, day.name, f'continues {begin["previous"] or "nothing"}, which is not there and not purged')
        elif begin['after'] != before.seq:
            self.find(TAMPERED, before.name, f'ends at record {before.seq}, {day.name} continues {begin["after"]}')
        elif begin['hash'] != before.chain.hex():
            self.find(TAMPERED, day.name, f'does not continue {before.name}')

    def continues(self, before, day):
        begin = day.begin
        return before and begin and (begin['previous'], begin['after'], begin['hash']) == (
            before.name, before.seq, before.chain.hex())

    def check_erasures(self):
        declared = sorted(self.declared)
        starts, ends, end = [first for first, _ in declared], [], 0
        for _, last in declared:
            end = max(end, last)
            ends.append(end)
        for seq, place in self.erased:
            at = bisect.bisect_right(starts, seq) - 1
            if at < 0 or ends[at] < seq:
                self.find(TAMPERED, place, f'record {seq} was erased, and no signed record declares it')

    def check_retention(self, days):
        keep = (int(self.args.keep[:-1]), self.args.keep[-1])
        now = read_time(self.args.now) if self.args.now else datetime.datetime.now(JST)
        for name, _, _, time, place in self.purged:
            date = datetime.date.fromisoformat(name[:10])
            if read_time(time) < day_start(purge_day(date, keep)):
                self.find(RETENTION, place, f'EARLY: {name}')
        for day in days:
            if now >= day_start(purge_day(day.date, keep)) + datetime.timedelta(hours=1):
                self.find(RETENTION, day.name, 'OVERDUE')

    def read_checkpoint(self, path):
        with open(path, encoding='utf-8') as file:
            text, _, signatures = file.read().partition('\n\n')
        lines = text.split('\n')
        for line in signatures.splitlines():
            match = re.match('\u2014 (\\S+) (\\S+)\\Z', line)
            blob = unbase64(match[2], 68) if match and match[1] == lines[0] else None
            for raw in self.keys.values() if blob else ():
                if hashlib.sha256(lines[0].encode() + b'\n\x01' + raw).digest()[:4] == blob[:4] and \
                        ed25519_check(raw, text.encode() + b'\n', blob[4:]):
                    self.wanted[int(lines[1])] = (unbase64(lines[2], 32).hex(), path)
                    return
        raise ValueError(f'{path}: no checkpoint with a good signature')

    def limit(self, day, after):
        """What the part after this file says about its end."""
        if not after or after.date != day.date:
            return None
        with open(os.path.join(self.args.dir, after.name), 'rb') as file:
            detail = json_or_empty(file.readline(LINE_MAX + 1)).get('detail', {})
        return (detail.get('end'), detail.get('after'), detail.get('hash')) if detail.get('previous') == day.name else None

    def verify(self):
        for path in self.args.checkpoint:
            self.read_checkpoint(path)
        names = [name for name in os.listdir(self.args.dir) if FILE.match(name)]
        days = sorted((Day(name, False) for name in names), key=lambda day: day.order)
        if days:
            days[-1].is_last = True
        full = [day for at, day in enumerate(days) if self.check_file(day, self.limit(day, (days[at + 1:] or [None])[0]))]
        before = named = None
        is_restored = False             # since the last checkpoint
        for day in full:
            self.check_joint(before, day)
            if before and not self.continues(before, day):
                named = None
            if day.first_named:
                self.check_once(named, day.first_named[:3] + (day.first_named[3] or is_restored,))
                named, is_restored = day.named, False
            is_restored = is_restored or day.is_restored
            before = day
        self.check_erasures()
        if self.args.keep:
            self.check_retention(days)
        self.conclude(full)

    def conclude(self, days):
        times = [day.last_time for day in days if day.last_time]
        signed = [day.signed_time for day in days if day.signed_time]
        if not any(day.records for day in days):
            self.find(UNKNOWN, self.args.dir, 'there are no records')
        elif not self.checkpoints:
            self.find(UNKNOWN, self.args.dir, 'no checkpoint with a good signature')
        elif read_time(times[-1]) - read_time(signed[-1]) > datetime.timedelta(hours=2):
            self.find(UNKNOWN, self.args.dir, 'the last records span more than two hours without a checkpoint')
        for seq, (_, path) in self.wanted.items():
            if seq >= (self.first_seq or 0):
                self.find(TAMPERED, path, f'record {seq} is not the one that this checkpoint saw')


def split_lines(text):
    """With their newlines; splitlines would also cut at a carriage return."""
    lines = [line + b'\n' for line in text.split(b'\n')]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def detail_size(raw):
    """Octets of the JSON object that `raw` begins with."""
    depth, in_string, skip = 0, False, False
    for at, octet in enumerate(raw):
        if skip:
            skip = False
        elif in_string:
            skip, in_string = octet == 0x5c, octet != 0x22
        elif octet == 0x22:
            in_string = True
        elif octet in b'{[':
            depth += 1
        elif octet in b'}]':
            depth -= 1
            if depth == 0:
                return at + 1
    raise ValueError('no object')


def json_or_empty(line):
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.print_usage(sys.stderr)
        self.exit(UNKNOWN, f'{self.prog}: {message}\n')


def main():
    parser = Parser(description=__doc__.split('\n')[0])
    parser.add_argument('--node')
    parser.add_argument('--class', dest='class_name')
    parser.add_argument('--keep', help='60d, 1y: was everything kept so long, and no longer?')
    parser.add_argument('--now', help='RFC 3339; for --keep')
    parser.add_argument('--checkpoint', action='append', default=[], help='a checkpoint that was kept elsewhere')
    parser.add_argument('--operator-key', help='public keys of who may erase and restore, PEM')
    parser.add_argument('key', help='public keys, PEM')
    parser.add_argument('dir', help='LOGDIR/CLASS')
    args = parser.parse_args()
    if args.keep and not re.fullmatch(r'[1-9]\d{0,4}[dy]', args.keep):
        parser.error('--keep takes 60d or 1y')
    try:
        log = Log(args)
    except (OSError, ValueError) as error:
        parser.error(f'{args.key}: {error}')
    try:
        log.verify()
    except (OSError, ValueError) as error:
        log.find(UNKNOWN, args.dir, str(error))
    for line in log.report.lines[:100]:
        print(line.encode('ascii', 'backslashreplace').decode())
    print({0: 'intact', 1: 'TAMPERED', 2: 'RETENTION', 3: 'CANNOT TELL'}[log.report.code()])
    return log.report.code()


if __name__ == '__main__':
    sys.exit(main())
