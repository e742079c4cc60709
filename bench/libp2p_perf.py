"""The perf protocol by py-libp2p, over TCP with Noise.

Usage: libp2p_perf.py serve                   prints its address; ends with its standard input
       libp2p_perf.py dial ADDRESS BYTES      sends BYTES, receives as many, prints two times
"""

import logging
import sys
import time

import multiaddr
import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_x25519
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.perf import PerfService
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport

logging.disable(logging.CRITICAL)


async def main():
    keys = create_new_key_pair()
    security = {NOISE: NoiseTransport(keys, noise_privkey=create_x25519().private_key)}
    host = new_host(key_pair=keys, sec_opt=security, muxer_preference="YAMUX")
    serving = sys.argv[1] == "serve"
    places = [multiaddr.Multiaddr("/ip4/127.0.0.1/tcp/0")] if serving else []
    async with host.run(listen_addrs=places):
        service = PerfService(host)
        await service.start()
        if serving:
            print(host.get_addrs()[0], flush=True)
            await trio.to_thread.run_sync(sys.stdin.read)
            return
        address, size = multiaddr.Multiaddr(sys.argv[2]), int(sys.argv[3])
        await host.connect(info_from_p2p_addr(address))
        for upload, download in [(size, 0), (0, size)]:
            start = time.monotonic()
            async for _ in service.measure_performance(address, upload, download):
                pass
            print(time.monotonic() - start, flush=True)


trio.run(main)
