"""Asks a node for IPNS records by the fetch protocol, over py-libp2p.

Usage: libp2p_fetch.py ADDRESS PEER_ID RECORD_FILE

PEER_ID's record has to be what RECORD_FILE holds; nothing else is given. Prints ok.
"""

import logging
import sys

import multiaddr
import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_x25519
from libp2p.custom_types import TProtocol
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.utils.varint import encode_uvarint

FETCH = TProtocol("/libp2p/fetch/0.0.1")

logging.disable(logging.CRITICAL)


def varint(data):
    """The number at the start, and what follows it."""
    value = shift = 0
    for place, byte in enumerate(data):
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, data[place + 1:]
        shift += 7
    raise SystemExit("a number without end")


def fields(message):
    """The fields of a protobuf message by their numbers."""
    found = {}
    while message:
        tag, message = varint(message)
        value, message = varint(message)
        if tag & 7 == 2:
            found[tag >> 3], message = message[:value], message[value:]
        else:
            found[tag >> 3] = value
    return found


async def ask(host, peer, key):
    stream = await host.new_stream(peer, [FETCH])
    request = b"\x0a" + encode_uvarint(len(key)) + key
    await stream.write(encode_uvarint(len(request)) + request)
    answer = b""
    try:
        while piece := await stream.read(1 << 14):
            answer += piece
    except StreamEOF:
        pass
    length, body = varint(answer)
    if len(body) != length:
        raise SystemExit(f"{len(body)} bytes instead of {length}")
    return fields(body)


async def main(address, name, file):
    keys = create_new_key_pair()
    host = new_host(
        key_pair=keys, muxer_preference="YAMUX",
        sec_opt={NOISE: NoiseTransport(keys, noise_privkey=create_x25519().private_key)})
    with open(file, "rb") as record:
        wanted = record.read()
    async with host.run(listen_addrs=[]):
        info = info_from_p2p_addr(multiaddr.Multiaddr(address))
        with trio.fail_after(240):
            await host.connect(info)
            key = b"/ipns/" + ID.from_string(name).to_bytes()
            found = await ask(host, info.peer_id, key)
            if found.get(1, 0) != 0 or found.get(2) != wanted:
                raise SystemExit(f"the record: {found!r}")
            own = b"/ipns/" + host.get_id().to_bytes()
            for key in [own, b"/ipns/", b"/etc/passwd", b""]:
                if await ask(host, info.peer_id, key) != {1: 1}:
                    raise SystemExit(f"{key!r} was found")
    print("ok", flush=True)


trio.run(main, *sys.argv[1:])
