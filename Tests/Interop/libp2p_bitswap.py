"""A foreign libp2p peer that has a file, or fetches one, over bitswap.

Usage: libp2p_bitswap.py serve FILE [ws]       listens on 127.0.0.1, prints address and CID as JSON
       libp2p_bitswap.py lie FILE [ws]         the same, but one of its blocks has wrong bytes
       libp2p_bitswap.py fetch ADDRESS CID FILE   fetches a file, prints the seconds that it took
       libp2p_bitswap.py folder ADDRESS CID FOLDER   the same with a folder and all that is in it

With ws it listens for WebSockets. A server runs until its standard input ends.
"""

import json
import logging
import os
import sys
import time

import multiaddr
import trio
from libp2p import new_host
from libp2p.bitswap.client import BitswapClient
from libp2p.bitswap.cid import parse_cid
from libp2p.bitswap.dag import MerkleDag
from libp2p.bitswap.dag_pb import decode_dag_pb, is_directory_node
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_x25519
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport

logging.disable(logging.CRITICAL)


def make_host(transport="tcp"):
    keys = create_new_key_pair()
    noise = NoiseTransport(keys, noise_privkey=create_x25519().private_key)
    extra = {"enable_websocket": True, "enable_tcp": False} if transport == "ws" else {}
    return new_host(key_pair=keys, sec_opt={NOISE: noise}, muxer_preference="YAMUX", **extra)


async def start(host, nursery):
    client = BitswapClient(host)
    client.set_nursery(nursery)
    await client.start()
    return client


async def serve(lies, path, transport="tcp"):
    host = make_host(transport)
    place = multiaddr.Multiaddr("/ip4/127.0.0.1/tcp/0" + ("/ws" if transport == "ws" else ""))
    async with host.run(listen_addrs=[place]), trio.open_nursery() as nursery:
        client = await start(host, nursery)
        with open(path, "rb") as file:
            root = await MerkleDag(client).add_bytes(file.read(), chunk_size=1 << 18)
        if lies:
            store = client.block_store
            for cid in store.get_all_cids():
                data = await store.get_block(cid)
                if len(data) == 1 << 18:
                    await store.put_block(cid, bytes([data[0] ^ 1]) + data[1:])
                    break
        report = {"address": str(host.get_addrs()[0]), "root": str(parse_cid(root))}
        print(json.dumps(report), flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)
        nursery.cancel_scope.cancel()


async def take(dag, client, cid, peer, path):
    """Writes a file, or a folder with what is in it."""
    codec = parse_cid(cid).codec
    node = b"" if codec == "raw" else await client.new_session().get_block(cid, peer, timeout=240)
    if node and is_directory_node(node):
        os.mkdir(path)
        for link in decode_dag_pb(node)[0]:
            await take(dag, client, link.cid, peer, os.path.join(path, link.name))
        return
    data, _ = await dag.fetch_file(cid, peer, timeout=240)
    with open(path, "wb") as file:
        file.write(data)


async def fetch(address, root, path):
    host = make_host()
    async with host.run(listen_addrs=[]), trio.open_nursery() as nursery:
        client = await start(host, nursery)
        info = info_from_p2p_addr(multiaddr.Multiaddr(address))
        with trio.fail_after(300):
            await host.connect(info)
            began = time.monotonic()
            await take(MerkleDag(client), client, parse_cid(root), info.peer_id, path)
            print(json.dumps({"seconds": time.monotonic() - began}), flush=True)
        nursery.cancel_scope.cancel()


if sys.argv[1] in ("fetch", "folder"):
    trio.run(fetch, *sys.argv[2:])
else:
    trio.run(serve, sys.argv[1] == "lie", *sys.argv[2:])
