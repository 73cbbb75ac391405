#!/usr/bin/env python3
"""Verify a Sekisho relay log with nothing but this file, Python and the public key.

Written from the manual page sekisho-log(5) alone, to be a second opinion beside `sekisho log verify`.

    sekisho-log-verify.py [--node NODE] [--class CLASS] [--level files|records|content] [--no-personal-data]
                          [--keep 60d|1y [--now TIME]] [--checkpoint FILE]... [--witness KEY.pub] [--operator-key KEY.pub]
                          KEY.pub LOGDIR/CLASS

Exit codes: 0 intact, 1 tampering, 2 kept too long or too short, 3 cannot tell; of several the first of 1, 2, 3.
"""
import argparse
import base64
import bisect
import calendar
import contextlib
import datetime
import fcntl
import hashlib
import itertools
import json
import os
import re
import stat
import sys

TAMPERED, RETENTION, UNKNOWN = 1, 2, 3
JST = datetime.timezone(datetime.timedelta(hours=9))
LINE_MAX = 1 << 20
TAIL = re.compile(rb',"chain":"([0-9a-f]{64})"\}\Z')
HEAD = re.compile(rb'\{"seq":([0-9]{1,18}),"time":"([^"]*)","event":"([^"]*)"')
ERASED = re.compile(rb'\{"seq":([0-9]{1,18}),"erased":"([0-9a-f]{64})"\Z')
FILE = re.compile(r'(\d{4}-\d\d-\d\d)(?:\.([2-9]|[1-9]\d{1,5}))?\.jsonl\Z')
TIME = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+09:00\Z')
SALT = re.compile(r'[0-9a-f]{32}\Z')
HOUR, TRIES = datetime.timedelta(hours=1), 5
# What the members of a line hold; those that are not named here are for later versions.
STRINGS = ('event tenant id message queue_id host client auth helo tls from subject_hash verdict rule reply rcpt clock').split()
NUMBERS, OBJECTS, LISTS = ('size', 'nrcpt', 'tseq'), ('outcome', 'detail'), {'to': 1000, 'actions': 64}
NEEDED = {'checkpoint': ('node', 'class', 'head', 'hash', 'key', 'sig'), 'purged': ('node', 'class', 'file', 'last', 'hash', 'keep'),
          'erased': ('node', 'class', 'file', 'seqs'), 'restored': ('node', 'class', 'backup', 'last', 'hash')}
PERSONAL = ('client auth helo from to rcpt subject_hash message queue_id').split()
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
    with contextlib.suppress(ValueError):
        octets = base64.b64decode(text, validate=True)
        return octets if len(octets) == size and base64.b64encode(octets).decode() == text else None
    return None


def read_keys(path):
    """Key id -> raw key, of every PEM block in the file."""
    with open(path, encoding='ascii') as file:
        blocks = re.findall(r'-----BEGIN PUBLIC KEY-----\s(.*?)-----END PUBLIC KEY-----', file.read(), re.S)
    raws = [base64.b64decode(block)[-32:] for block in blocks]
    return {hashlib.sha256(raw).hexdigest()[:8]: raw for raw in raws}


def purge_time(date, keep):
    if keep[1] == 'd':
        day = date + datetime.timedelta(days=keep[0])
    else:                               # 29 February becomes 1 March
        leap = (date.month, date.day) == (2, 29) and not calendar.isleap(date.year + keep[0])
        day = datetime.date(date.year + keep[0], 3, 1) if leap else date.replace(year=date.year + keep[0])
    return datetime.datetime(day.year, day.month, day.day, tzinfo=JST) + datetime.timedelta(days=1)


def read_time(text):
    return datetime.datetime.fromisoformat(text)


# --- the log

class Moved(Exception):
    """A file was purged or erased in while the log was read."""


class Day:
    """One file, checked by itself; Log puts them side by side."""

    def __init__(self, name, status):
        self.name, self.stat, self.is_last = name, status, False
        match = FILE.match(name)
        self.date = datetime.date.fromisoformat(match[1])
        self.order = (self.date, int(match[2] or 1))
        self.begin, self.is_unread = None, False
        self.records = self.seq = 0
        self.is_restored = False        # since the last checkpoint
        self.chain = bytes(32)
        self.first_named = self.named = None
        self.last_time = self.signed_time = None
        self.names = []                 # where checkpoints give the log another name: number, node
        self.claims = []                # statements under another name than that: number, node, place
        self.seqs = []                  # of lines that were not erased, where a statement may name them
        self.erased = 0
        self.numbers, self.head_numbers, self.missing = {}, None, 0     # of tenants, at level content

    def name_now(self):
        return self.names[-1][1] if self.names else None

    def read(self, directory):
        """As of the moment at which the log is looked at."""
        with contextlib.suppress(FileNotFoundError), open(os.path.join(directory, self.name), 'rb', opener=at_once) as file:
            if os.fstat(file.fileno()).st_ino == self.stat.st_ino:
                return file.read(self.stat.st_size)
        raise Moved(f'{self.name}: removed or replaced meanwhile')


class Log:
    def __init__(self, args):
        self.args, self.codes, self.lines = args, set(), []
        self.keys = read_keys(args.key)
        self.operators = read_keys(args.operator_key) if args.operator_key else self.keys
        self.witnesses = read_keys(args.witness) if args.witness else None
        self.now = read_time(args.now) if args.now else datetime.datetime.now(JST)
        self.purged, self.checkpoints = [], 0
        self.erased, self.declared = [], {}     # lines that were erased; ranges that statements declare of a file, and when
        self.wanted = []                # checkpoints kept elsewhere: number, hash, path, node
        self.seen = {}                  # number -> hash of the records that they name
        self.first_seq = None

    def find(self, code, place, text):
        self.codes.add(code)
        self.lines.append(f'{place}: {text}')

    def signed(self, place, event, detail, raw):
        """A statement: is it signed rightly? None: with a key that was not given."""
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
            return None
        self.find(TAMPERED, place, f'a forged {event} record')
        return False

    def check_checkpoint(self, day, place, number, line, detail, is_sure):
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
        if detail['node'] != day.name_now():
            day.names.append((number, detail['node']))

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
        if self.args.class_name and detail.get('class') != self.args.class_name:
            self.find(TAMPERED, place, f'of another class: {detail.get("class")}')

    def check_begin(self, day, line):
        begin = read_begin(line)
        if not begin or (begin['previous'] and not is_file(begin['previous'])):
            return
        day.begin = begin
        self.check_owner(day.name, begin)
        if begin['file'] != day.name:
            self.find(TAMPERED, day.name, f'says that it is {begin["file"]}')

    def take_special(self, day, place, text, event, is_sure):
        """The lines in which the log speaks about itself."""
        number = int(HEAD.match(text)[1])
        try:
            text = text.decode('utf-8', 'surrogateescape')
            line, at = json.loads(text), text.index(',"detail":') + len(',"detail":')
            detail, end = json.JSONDecoder().raw_decode(text, at)
            if not all(name in detail for name in NEEDED[event]):
                raise ValueError
        except (ValueError, TypeError, RecursionError):
            day.named = None if event == 'checkpoint' else day.named
            return self.find(TAMPERED, place, f'a {event} record that cannot be read')
        if event == 'checkpoint':
            return self.check_checkpoint(day, place, number, line, detail, is_sure)
        is_good = self.signed(place, event, detail, text[at:end].encode('utf-8', 'surrogateescape'))
        if not is_good and (is_good is False or event != 'erased' or self.args.operator_key):
            return None                 # else it may be the operator's, whose key was not given
        self.check_owner(place, detail)
        if detail['node'] != day.name_now():
            day.claims.append((number, detail['node'], place))
        if event == 'purged':
            self.purged.append((detail['file'], detail['last'], detail['hash'], line['time'], place))
        elif event == 'restored':
            places = [(day.seq, day.chain.hex())]
            if day.begin:
                places.append((day.begin['after'], day.begin['hash']))
            if is_sure and (detail['last'], detail['hash']) not in places:
                return self.find(TAMPERED, place, 'a restored record of another place')
            day.is_restored = True
        else:
            self.take_erased(place, detail, line['time'] if is_good else None)

    def take_erased(self, place, detail, time):
        spans = [re.fullmatch(r'(\d{1,18})(?:-(\d{1,18}))?', piece) for piece in str(detail['seqs']).split(',')]
        if not all(spans) or not is_file(str(detail['file'])):
            return self.find(TAMPERED, place, 'an erased record that cannot be read')
        rows = self.declared.setdefault(detail['file'], [])
        rows.extend((int(span[1]), int(span[2] or span[1]), time) for span in spans)

    def check_content(self, day, place, line):
        """What a record holds, and the numbers of its tenant."""
        record = json_or_empty(line)
        if not is_record(record):
            self.find(TAMPERED, place, 'no record as sekisho-log(5) has it')
            return
        if record['event'] == 'begin':
            return
        if record['event'] == 'tenants':
            numbers = record.get('detail', {}).get('tseq')
            is_numbers = isinstance(numbers, dict) and all(is_number(number) for number in numbers.values())
            if day.head_numbers is not None or not is_numbers:
                return self.find(TAMPERED, place, "tenants' numbers that cannot be read, or not at the head of the file")
            day.numbers.update(numbers)
            return None
        if day.head_numbers is None:
            day.head_numbers = dict(day.numbers)
        if record.get('tenant') and record.get('tseq'):
            was = day.numbers.get(record['tenant'], 0)
            if record['tseq'] <= was:
                self.find(TAMPERED, place, f'number {record["tseq"]} of a tenant after its number {was}')
            else:
                day.missing += record['tseq'] - was - 1
            day.numbers[record['tenant']] = record['tseq']

    def check_personal(self, place, line):
        if b'@' in line or any(name in json_or_empty(line) for name in PERSONAL):
            self.find(RETENTION, place, 'personal data')

    def check_file(self, day, limit):
        """Every line; `limit`: (octet, seq, hash) where the next part says that the valid text ends."""
        try:
            text = day.read(self.args.dir)
        except OSError as error:
            day.is_unread = True
            self.find(UNKNOWN, day.name, f'cannot be read: {error}')
            return True
        if not text:
            return False
        seq, chain, offset, bad = 0, bytes(32), 0, 0
        known = False
        # splitlines would cut at carriage returns, too
        for number, line in enumerate(re.findall(rb'[^\n]*\n|[^\n]+', text)):
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
            if head and not is_time(head[2]):
                self.find(TAMPERED, place, 'a record without a time')
            event = head[3].decode('utf-8', 'replace') if head else 'erased'
            if number == 0 and event == 'begin':
                self.check_begin(day, json_or_empty(line))
                if day.begin:
                    known, seq, chain = True, day.begin['after'], bytes.fromhex(day.begin['hash'])
            elif event == 'begin':
                self.find(TAMPERED, place, 'a first line in the middle of a file')
            got = int((erased or head)[1])
            leaf = bytes.fromhex(erased[2].decode()) if erased else hashlib.sha256(leaf_text).digest()
            if got == seq + 1:
                bad = 0
            want = hashlib.sha256(chain + leaf).hexdigest().encode()
            if known and got != seq + 1 + bad:
                self.find(TAMPERED, place, f'record {got} after record {seq}')
                day.named = None
            elif known and not bad and tail[1] != want and self.args.level != 'files':
                self.find(TAMPERED, place, f'record {got} was altered')
                day.named = None
            day.seq, day.chain = seq, chain
            if erased:
                self.erased.append((day, got, place))
                day.erased += 1
            else:
                day.seqs.append(got)
                if self.args.no_personal_data:
                    self.check_personal(place, line)
                if self.args.level == 'content':
                    self.check_content(day, place, line)
            if event in ('checkpoint', 'purged', 'erased', 'restored') and not erased:
                self.take_special(day, place, line, event, known and not bad)
            known, bad, seq, chain = True, 0, got, bytes.fromhex(tail[1].decode())
            day.records += 1
            day.last_time = head[2].decode() if head and is_time(head[2]) else day.last_time
            self.first_seq = self.first_seq or got
            if any(got == number for number, *_ in self.wanted):
                self.seen[got] = chain.hex()
        day.seq, day.chain = seq, chain
        if day.missing > day.erased:
            self.find(TAMPERED, day.name, f'{day.missing} numbers of tenants are missing, and {day.erased} records were erased')
        if not day.begin:
            self.find(TAMPERED, day.name, 'does not begin with a line that says what it continues')
        return True

    def unless_unread(self, days, date):
        """What would excuse something stands in a file of that day or of a later one."""
        return UNKNOWN if any(day.is_unread and day.date >= date for day in days) else TAMPERED

    def check_joint(self, days, before, day):
        begin = day.begin
        if not begin:
            return
        if before is None and not begin['previous']:
            if begin['after'] or begin['hash'] != '0' * 64:
                self.find(TAMPERED, day.name, 'says that it begins the log, but its numbers do not')
        elif before is None or begin['previous'] != before.name:
            if not any(p[:3] == (begin['previous'], begin['after'], begin['hash']) for p in self.purged):
                date = datetime.date.fromisoformat((begin['previous'] or day.name)[:10])
                self.find(self.unless_unread(days, date), day.name,
                          f'continues {begin["previous"] or "nothing"}, which is not there and not purged')
        elif before.is_unread:
            return                      # that was said
        elif begin['after'] != before.seq:
            self.find(TAMPERED, before.name, f'ends at record {before.seq}, {day.name} continues {begin["after"]}')
        elif begin['hash'] != before.chain.hex():
            self.find(TAMPERED, day.name, f'does not continue {before.name}')
        elif self.args.level == 'content' and not before.erased:
            if before.numbers != (day.numbers if day.head_numbers is None else day.head_numbers):
                self.find(TAMPERED, day.name, f"does not begin with the tenants' numbers with which {before.name} ends")

    def check_names(self, days):
        """A relay may be renamed: what the log goes on from under its present name was its own before."""
        after = None
        for day in reversed([day for day in days if day.begin]):
            writers = [node for _, node in day.names] or [day.begin['node']]
            if self.args.node not in (None, *writers) and not (after and continues(day, after)):
                self.find(self.unless_unread(days, day.date), day.name, f'of another node: {writers[0]}')
            elif day.begin['node'] not in names(days) and not is_its_name(days, day, day.begin['after'] + 1, day.begin['node']):
                self.find(UNKNOWN, day.name, f'says that the log goes on as {day.begin["node"]}, and no checkpoint does')
            after = day
        for day in days:
            for number, node, place in day.claims:
                if not is_its_name(days, day, number, node):
                    self.find(self.unless_unread(days, day.date), place, f'a statement about another log: of node {node}')

    def check_erasures(self, days):
        declared = {name: Ranges(rows) for name, rows in self.declared.items()}
        for day, seq, place in self.erased:
            if day.name not in declared or seq not in declared[day.name]:
                self.find(self.unless_unread(days, day.date), place, f'record {seq} was erased, and no signed record declares it')
        for name, _, _, time, _ in self.purged:
            if name in [day.name for day in days] and read_time(time) + HOUR <= self.now:
                self.find(RETENTION, name, 'was declared purged, and is there')
        for day in days:
            rows = self.declared.get(day.name, [])
            due = Ranges(row for row in rows if row[2] and read_time(row[2]) + HOUR <= self.now)
            there = [seq for seq in day.seqs if seq in due]
            if there:
                self.find(RETENTION, day.name, f'record {there[0]} was declared erased, and is there ({len(there)} of them)')

    def check_retention(self, days):
        keep = (int(self.args.keep[:-1]), self.args.keep[-1])
        for name, _, _, time, place in self.purged:
            date = datetime.date.fromisoformat(name[:10])
            if read_time(time) < purge_time(date, keep):
                self.find(RETENTION, place, f'EARLY: {name}')
        for day in days:
            if self.now >= purge_time(day.date, keep) + HOUR:
                self.find(RETENTION, day.name, 'OVERDUE')

    def read_checkpoint(self, path):
        """A note that was kept elsewhere: one that is none says nothing about the log, and nothing against it."""
        with open(path, encoding='utf-8') as file:
            text, _, signatures = file.read().partition('\n\n')
        lines = text.split('\n')
        signers = [match.groups() for match in map(re.compile('\u2014 (\\S+) (\\S+)\\Z').match, signatures.split('\n')) if match]
        origin = re.fullmatch('sekisho:([^/]+)/([^/]+)', lines[0])
        if not origin or not re.fullmatch(r'\d{1,18}', lines[1]) or not unbase64(lines[2], 32):
            raise ValueError('no checkpoint')
        if not any(name == lines[0] and signed_note(name, blob, b'\x01', self.keys, text) for name, blob in signers):
            raise ValueError('no good signature of a key that was given')
        if self.witnesses is not None and not any(signed_note(name, blob, b'\x04', self.witnesses, text) for name, blob in signers):
            raise ValueError('no good countersignature of a witness whose key was given')
        if self.args.class_name not in (None, origin[2]):
            raise ValueError('of another log')
        self.wanted.append((int(lines[1]), unbase64(lines[2], 32).hex(), path, origin[1]))

    def read_checkpoints(self):
        for path in self.args.checkpoint:
            try:
                self.read_checkpoint(path)
            except (OSError, ValueError, IndexError) as error:
                self.find(UNKNOWN, path, f'says nothing about this log: {error}')

    def limits(self, days):
        """What parts say about the end of the file that they continue."""
        limits = {}
        for part in days:
            begin = None
            with contextlib.suppress(OSError):      # that is said when it is looked at
                begin = part.order[1] > 1 and read_begin(json_or_empty(part.read(self.args.dir).partition(b'\n')[0]))
            if begin and begin['previous'][:10] == part.name[:10]:
                limits[begin['previous']] = begin['end'], begin['after'], begin['hash']
        return limits

    def take_moment(self):
        """Files and their sizes while nobody writes: a gate holds CLASS/.lock meanwhile."""
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                fcntl.flock(stack.enter_context(open(os.path.join(self.args.dir, '.lock'), 'rb', opener=at_once)), fcntl.LOCK_SH)
            names = [name for name in os.listdir(self.args.dir) if is_file(name)]
            return [Day(name, self.stat(os.path.join(self.args.dir, name))) for name in names]

    @staticmethod
    def stat(path):
        try:
            return os.stat(path)
        except OSError:
            return os.lstat(path)

    def verify(self):
        self.read_checkpoints()
        days = sorted(self.take_moment(), key=lambda day: day.order)
        for day in days:
            if not stat.S_ISREG(day.stat.st_mode):
                self.find(TAMPERED, day.name, 'is no file')
        days = [day for day in days if stat.S_ISREG(day.stat.st_mode)]
        if days:
            days[-1].is_last = True
        limits = self.limits(days)
        full = [day for day in days if self.check_file(day, limits.get(day.name))]
        before = named = None
        is_restored = False             # since the last checkpoint
        for day in full:
            self.check_joint(full, before, day)
            if before and day.begin and not continues(before, day):
                named = None
            if day.first_named:
                self.check_once(named, day.first_named[:3] + (day.first_named[3] or is_restored,))
                named, is_restored = day.named, False
            is_restored = is_restored or day.is_restored
            before = day
        self.check_names(full)
        self.check_erasures(full)
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
        for seq, hash_, path, node in self.wanted:
            if self.seen.get(seq) == hash_:
                continue
            if self.args.node and node not in {self.args.node, *names(days)}:
                self.find(UNKNOWN, path, 'says nothing about this log: of another log')
            elif seq >= (self.first_seq or 0):
                may_stand = seq not in self.seen and any(day.is_unread for day in days)
                self.find(UNKNOWN if may_stand else TAMPERED, path, f'record {seq} is not the one that this checkpoint saw')


def at_once(path, flags):
    """What is a FIFO by now keeps nobody waiting."""
    return os.open(path, flags | os.O_NONBLOCK)


def names(days):
    return {node for day in days for _, node in day.names}


def is_its_name(days, day, number, node):
    """A log's names are those under which it is signed: was the last one so before that record of `day`, or is one behind it? Where
    none was before, the first line must do."""
    before = [name for one in days if one.order <= day.order for at, name in one.names if at < number]
    behind = [name for one in days if one.order >= day.order for at, name in one.names if at > number]
    return node in behind or node == (before[-1] if before else day.begin and day.begin['node'])


def continues(before, day):
    return [day.begin[name] for name in ('previous', 'after', 'hash')] == [before.name, before.seq, before.chain.hex()]


class Ranges:
    """Of numbers; joined where they overlap."""

    def __init__(self, rows):
        rows = sorted((first, last) for first, last, _ in rows)
        self.starts, self.ends = [first for first, _ in rows], list(itertools.accumulate((last for _, last in rows), max))

    def __contains__(self, number):
        at = bisect.bisect_right(self.starts, number) - 1
        return at >= 0 and self.ends[at] >= number


def is_file(name):
    with contextlib.suppress(ValueError):
        return bool(FILE.match(name) and datetime.date.fromisoformat(name[:10]))
    return False


def signed_note(name, blob, kind, keys, text):
    """Is this signature line one of these keys'? kind 1: of the text; kind 4: a witness's, of the text and when it was seen."""
    blob, text = unbase64(blob, 68 if kind == b'\x01' else 76), text.encode() + b'\n'
    if not blob:
        return False
    if kind == b'\x04':
        text = f'cosignature/v1\ntime {int.from_bytes(blob[4:12], "big")}\n'.encode() + text
    return any(hashlib.sha256(name.encode() + b'\n' + kind + raw).digest()[:4] == blob[:4] and
               ed25519_check(raw, text, blob[-64:]) for raw in keys.values())


def is_time(octets):
    with contextlib.suppress(ValueError):
        return bool(TIME.match(octets.decode()) and read_time(octets.decode()))
    return False


def is_number(value):
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2 ** 63


def is_text(value):
    """Not half a character: what is no UTF-8 stands as sekisho-log(5) has it."""
    with contextlib.suppress(UnicodeEncodeError):
        return isinstance(value, str) and value.encode('utf-8', 'surrogateescape') is not None
    return False


def read_begin(line):
    detail = line.get('detail')
    good = dict.fromkeys(('node', 'class', 'file', 'previous', 'hash'), is_text)
    good.update(dict.fromkeys(('end', 'after', 'tenants'), lambda value: is_number(value) and value >= 0))
    if not isinstance(detail, dict) or not all(name in detail and check(detail[name]) for name, check in good.items()):
        return None
    return detail if re.fullmatch('[0-9a-f]{64}', detail['hash']) else None


def is_record(record):
    """Each member that is there: does it hold what such a member holds?"""
    def has(name, good):
        return name not in record or good(record[name])

    return (bool(record) and all(has(name, is_text) for name in STRINGS) and
            all(has(name, is_number) for name in NUMBERS) and
            all(has(name, lambda value: isinstance(value, dict)) for name in OBJECTS) and
            all(has(name, lambda value, most=most: isinstance(value, list) and len(value) <= most and
                    all(is_text(item) for item in value)) for name, most in LISTS.items()) and
            has('time', lambda value: isinstance(value, str) and TIME.match(value)) and
            has('salt', lambda value: isinstance(value, str) and SALT.match(value)))


def json_or_empty(line):
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(line.decode('utf-8', 'surrogateescape'))
        return value if isinstance(value, dict) else {}
    return {}


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.print_usage(sys.stderr)
        self.exit(UNKNOWN, f'{self.prog}: {message}\n')


def look(args):
    """A purge or an erasure that comes meanwhile makes it another log: from the start, then."""
    for left in reversed(range(TRIES)):
        log = Log(args)
        try:
            log.verify()
        except Moved as error:
            if left:
                continue
            log.find(UNKNOWN, args.dir, str(error))
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            log.find(UNKNOWN, args.dir, repr(error))
        return log


def main():
    parser = Parser(description=__doc__.split('\n')[0])
    parser.add_argument('--node')
    parser.add_argument('--class', dest='class_name')
    parser.add_argument('--keep', help='60d, 1y: was everything kept so long, and no longer?')
    parser.add_argument('--now', help='RFC 3339; for --keep')
    parser.add_argument('--level', choices=('files', 'records', 'content'), default='records',
                        help="files: no record's chain value; content: also what each record holds, and each tenant's own numbers")
    parser.add_argument('--no-personal-data', action='store_true', help="also: does any line hold a customer's data?")
    parser.add_argument('--checkpoint', action='append', default=[], help='a checkpoint that was kept elsewhere')
    parser.add_argument('--witness', metavar='KEY', help='public keys, PEM: one of them must have countersigned each checkpoint')
    parser.add_argument('--operator-key', help='public keys of who may erase and restore, PEM')
    parser.add_argument('key', help='public keys, PEM')
    parser.add_argument('dir', help='LOGDIR/CLASS')
    args = parser.parse_args()
    if args.keep and not re.fullmatch(r'[1-9]\d{0,4}[dy]', args.keep):
        parser.error('--keep takes 60d or 1y')
    if args.witness and not args.checkpoint:
        parser.error('--witness is about a --checkpoint')
    try:
        log = look(args)
    except (OSError, ValueError) as error:
        parser.error(f'a key or a time: {error}')
    code = min(log.codes - {0}, default=0)
    for line in log.lines[:100]:
        print(line.encode('ascii', 'backslashreplace').decode())
    print({0: 'intact', TAMPERED: 'TAMPERED', RETENTION: 'RETENTION', UNKNOWN: 'CANNOT TELL'}[code])
    return code


if __name__ == '__main__':
    sys.exit(main())
