"""A foreign libp2p peer that uses a Weft node.

Usage: libp2p_client.py ADDRESS FILE CID...

An address of webrtc-direct is dialled in the version that WEBRTC_DIRECT says, 1 or 2.

Dials the node, asks who it is, pings it, fetches the blocks over bitswap into FILE, one after the
other, asks for one that nobody has, and prints what the node says of itself as JSON.
"""

import json
import logging
import os
import sys

import multiaddr
import trio
import webrtc
from libp2p import new_host
from libp2p.bitswap.cid import compute_cid, parse_cid
from libp2p.bitswap.client import BitswapClient
from libp2p.host.ping import ID as PING
from libp2p.identity.identify.identify import ID as IDENTIFY
from libp2p.identity.identify.identify import parse_identify_response
from libp2p.network.stream.exceptions import StreamEOF, StreamError
from libp2p.peer.peerinfo import info_from_p2p_addr

logging.disable(logging.CRITICAL)


async def identify(host, peer):
    stream = await host.new_stream(peer, [IDENTIFY])
    answer = bytearray()
    while True:
        try:
            piece = await stream.read(1 << 16)
        except StreamEOF:
            break
        except StreamError as error:
            if not webrtc.is_end(error):
                raise
            break
        if not piece:
            break
        answer += piece
    return parse_identify_response(bytes(answer))


async def ping(host, peer):
    stream = await host.new_stream(peer, [PING])
    for _ in range(3):
        question = os.urandom(32)
        await stream.write(question)
        answer = b""
        while len(answer) < 32:
            answer += await stream.read(32 - len(answer))
        assert answer == question, "ping"
    await stream.close()


async def fetch(host, peer, path, cids):
    async with trio.open_nursery() as nursery:
        client = BitswapClient(host)
        client.set_nursery(nursery)
        await client.start()
        session = client.new_session()
        with open(path, "wb") as file:
            for cid in cids:
                file.write(await session.get_block(parse_cid(cid), peer, timeout=120))
        missing = compute_cid(b"nobody has this")
        try:
            await session.get_block(missing, peer, timeout=3)
        except Exception:  # Each version of the client has a class of its own for this.
            pass
        else:
            raise AssertionError("a block that nobody has")
        await client.stop()
        nursery.cancel_scope.cancel()


def make_host(address):
    if "/webrtc-direct" not in address:
        return new_host()
    return webrtc.make_host(int(os.environ.get("WEBRTC_DIRECT", "2")))


async def main():
    host = make_host(sys.argv[1])
    async with host.run(listen_addrs=[]):
        info = info_from_p2p_addr(multiaddr.Multiaddr(sys.argv[1]))
        with trio.fail_after(240):
            await host.connect(info)
            found = await identify(host, info.peer_id)
            await ping(host, info.peer_id)
            await fetch(host, info.peer_id, sys.argv[2], sys.argv[3:])
    report = {
        "agent": found.agent_version,
        "protocols": list(found.protocols),
        "addresses": [str(multiaddr.Multiaddr(a)) for a in found.listen_addrs],
    }
    print(json.dumps(report), flush=True)


trio.run(main)
