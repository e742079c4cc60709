"""Hears what is said in multicast DNS on one device. Usage: mdns_listener.py DEVICE

Prints one JSON object for each answer about libp2p peers: over which version of IP it came, and
whether it says goodbye.
"""

import json
import selectors
import socket
import struct
import sys

SERVICE = b"\x04_p2p\x04_udp\x05local\x00"


def lines(device):
    index = socket.if_nametoindex(device)
    four = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    for line in (four, six):
        line.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    four.bind(("224.0.0.251", 5353))
    six.bind(("ff02::fb", 5353, 0, index))
    four.setsockopt(
        socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
        struct.pack("4s4si", socket.inet_aton("224.0.0.251"), b"\0" * 4, index))
    six.setsockopt(
        socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
        struct.pack("16sI", socket.inet_pton(socket.AF_INET6, "ff02::fb"), index))
    return {four: 4, six: 6}


def main(device):
    waiting = selectors.DefaultSelector()
    versions = lines(device)
    for line in versions:
        waiting.register(line, selectors.EVENT_READ)
    print(json.dumps({"hears": device}), flush=True)
    while True:
        for key, _ in waiting.select():
            packet = key.fileobj.recv(9_000)
            # An answer whose first record is the pointer from the service to a peer.
            if len(packet) < 12 + len(SERVICE) + 8 or not packet[2] & 0x80:
                continue
            if packet[12:12 + len(SERVICE)] != SERVICE:
                continue
            lifetime, = struct.unpack_from("!I", packet, 12 + len(SERVICE) + 4)
            said = {"version": versions[key.fileobj], "goodbye": lifetime == 0}
            print(json.dumps(said), flush=True)


main(sys.argv[1])
