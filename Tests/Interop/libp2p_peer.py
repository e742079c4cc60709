"""A foreign libp2p peer for the tests.

Usage: libp2p_peer.py noise|tls|ws|psk            listens on 127.0.0.1 and prints its address
       libp2p_peer.py noise|tls|ws|psk|webrtc1|webrtc2 ADDRESS [little]    dials, talks and prints ok

webrtc1 and webrtc2 are the versions of webrtc-direct. psk is Noise within the private network of private_network.py.

It serves ping, /weft-test/echo (what comes goes back) and /weft-test/sink (what comes is
hashed; the answer is its SHA-256), until its standard input ends. A dialer uses the same first.
"""

import hashlib
import logging
import os
import sys

import multiaddr
import private_network
import trio
import webrtc
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_x25519
from libp2p.host.ping import ID as PING
from libp2p.host.ping import handle_ping
from libp2p.network.stream.exceptions import StreamEOF, StreamError
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.security.tls.transport import PROTOCOL_ID as TLS
from libp2p.security.tls.transport import TLSTransport

ECHO, SINK = "/weft-test/echo", "/weft-test/sink"
SIZE = 64 << 20

logging.disable(logging.CRITICAL)


def make_host(security):
    if security.startswith("webrtc"):
        return webrtc.make_host(int(security[-1]))
    keys = create_new_key_pair()
    if security != "tls":
        options = {NOISE: NoiseTransport(keys, noise_privkey=create_x25519().private_key)}
    else:
        # Named muxers would be agreed on in the handshake, and then negotiated once more.
        options = {TLS: TLSTransport(keys)}
    return new_host(key_pair=keys, sec_opt=options, muxer_preference="YAMUX", **extra(security))


def extra(security):
    """Noise goes over TCP, or with ws inside a WebSocket."""
    if security == "psk":
        return {"psk": private_network.install()}
    return {"enable_websocket": True, "enable_tcp": False} if security == "ws" else {}


async def pieces(stream):
    while True:
        try:
            piece = await stream.read(1 << 16)
        except StreamEOF:
            return
        except StreamError as error:
            if not webrtc.is_end(error):
                raise
            return
        if not piece:
            return
        yield piece


async def echo(stream):
    async for piece in pieces(stream):
        await stream.write(piece)
    await webrtc.close_write(stream)


async def sink(stream):
    digest = hashlib.sha256()
    async for piece in pieces(stream):
        digest.update(piece)
    await stream.write(digest.digest())
    await webrtc.close_write(stream)


async def read_all(stream):
    out = bytearray()
    async for piece in pieces(stream):
        out += piece
    return bytes(out)


async def wait_for_end():
    await trio.to_thread.run_sync(sys.stdin.read)


def serve(host):
    host.set_stream_handler(PING, handle_ping)
    host.set_stream_handler(ECHO, echo)
    host.set_stream_handler(SINK, sink)


async def listen(security):
    host = make_host(security)
    place = "/ip4/127.0.0.1/tcp/0" + ("/ws" if security == "ws" else "")
    async with host.run(listen_addrs=[multiaddr.Multiaddr(place)]):
        serve(host)
        print(host.get_addrs()[0], flush=True)
        await wait_for_end()


async def dial(security, address, *little):
    host = make_host(security)
    # SCTP in Python takes its time, and loses what comes faster than it is read.
    is_slow = security.startswith("webrtc")
    async with host.run(listen_addrs=[]):
        serve(host)
        info = info_from_p2p_addr(multiaddr.Multiaddr(address))
        with trio.fail_after(240):
            await host.connect(info)
            stream = await host.new_stream(info.peer_id, [PING])
            for _ in range(3):
                question = os.urandom(32)
                await stream.write(question)
                answer = b""
                while len(answer) < 32:
                    answer += await stream.read(32 - len(answer))
                assert answer == question, "ping"
            await stream.close()

            async def one(size):
                stream = await host.new_stream(info.peer_id, [ECHO])
                data = os.urandom(size)

                async def send():
                    await stream.write(data)
                    await webrtc.close_write(stream)

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(send)
                    assert await read_all(stream) == data, "echo"

            async with trio.open_nursery() as nursery:
                sizes = [1, 1000, 5] + ([20_000] if little else [300_000])
                for size in sizes + ([] if is_slow else [1_000_000]):
                    nursery.start_soon(one, size)

            stream = await host.new_stream(info.peer_id, [SINK])
            digest = hashlib.sha256()
            piece = os.urandom(1 << (14 if little else 20))
            for _ in range(2 if is_slow else SIZE >> 20):
                digest.update(piece)
                await stream.write(piece)
            await webrtc.close_write(stream)
            assert await read_all(stream) == digest.digest(), "sink"
        print("ok", flush=True)
        await wait_for_end()


async def main():
    if len(sys.argv) == 2:
        await listen(sys.argv[1])
    else:
        await dial(*sys.argv[1:])


trio.run(main)
