"""A name server for tests, and the small world in which it is the only one: `nameserver.py ZONE COMMAND...`.

Runs COMMAND in a network of its own (loopback alone) whose resolver asks this server. ZONE is JSON: {"name": [record, ...]}, of records
["MX", "host"], ["A", "192.0.2.1"] and ["TXT", "text"]; or null for a name that there is not.
"""
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading

TYPES = {"A": 1, "MX": 15, "TXT": 16}
NO_SUCH_NAME = 3


def encode_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split(".") if label) + b"\0"


def read_question(packet):
    at, labels = 12, []
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode())
        at += 1 + packet[at]
    return ".".join(labels).lower(), struct.unpack("!H", packet[at + 1:at + 3])[0], packet[12:at + 5]


def encode(kind, value):
    if kind == "A":
        return socket.inet_aton(value)
    if kind == "TXT":                              # in strings of a few octets, as long ones come
        pieces = [value[at:at + 10].encode() for at in range(0, len(value), 10)]
        return b"".join(bytes([len(piece)]) + piece for piece in pieces)
    return struct.pack("!H", 10) + encode_name(value)


def answer(zone, packet):
    name, kind, question = read_question(packet)
    records = zone.get(name)
    found = [encode(*record) for record in records or [] if TYPES[record[0]] == kind]
    code = NO_SUCH_NAME if records is None else 0
    out = packet[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(found), 0, 0) + question
    return out + b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(data)) + data for data in found)


def serve(zone):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))

    def loop():
        while True:
            packet, peer = server.recvfrom(512)
            server.sendto(answer(zone, packet), peer)
    threading.Thread(target=loop, daemon=True).start()


def main():
    if sys.argv[1] != "--inside":
        os.execvp("unshare", ["unshare", "--mount", "--net", sys.executable, "-B", __file__, "--inside", *sys.argv[1:]])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for path, text in (("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n"),
                       ("/etc/nsswitch.conf", "hosts: dns\npasswd: files\ngroup: files\n")):
        with tempfile.NamedTemporaryFile("w", delete=False) as out:
            out.write(text)
        subprocess.run(["mount", "--bind", out.name, os.path.realpath(path)], check=True)
        os.unlink(out.name)
    serve(json.loads(sys.argv[2]))
    sys.exit(subprocess.run(sys.argv[3:]).returncode)


if __name__ == "__main__":
    main()
