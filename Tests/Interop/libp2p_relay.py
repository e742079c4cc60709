"""A foreign libp2p peer that relays, is reached through a relay, or reaches others through one.

Usage: libp2p_relay.py relay ADDRESS                listens and relays without limits
       libp2p_relay.py target ADDRESS RELAY FILE    takes a place at a relay and has a file
       libp2p_relay.py dial ADDRESS CIRCUIT [CID]   dials through a relay, pings, fetches a CID

Each prints one JSON object a line: first its address or peer id, then what has happened. It runs
until its standard input ends.
"""

import hashlib
import json
import logging
import os
import sys

import multiaddr
import trio
from libp2p import new_host
from libp2p.bitswap.cid import parse_cid
from libp2p.bitswap.client import BitswapClient
from libp2p.bitswap.dag import MerkleDag
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_x25519
from libp2p.host.ping import ID as PING
from libp2p.host.ping import handle_ping
from libp2p.identity.identify_push.identify_push import push_identify_to_peer
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.relay.circuit_v2.config import RelayConfig, RelayRole
from libp2p.relay.circuit_v2.dcutr import DCUtRProtocol
from libp2p.relay.circuit_v2.protocol import PROTOCOL_ID, CircuitV2Protocol
from libp2p.relay.circuit_v2.resources import RelayLimits
from libp2p.relay.circuit_v2.transport import CircuitV2Transport
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.tools.anyio_service.context import background_trio_service

if os.environ.get("WEFT_TEST_LOG"):
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
else:
    logging.disable(logging.CRITICAL)

# How long whatever is asked for may take, in seconds, on the slowest machine.
PATIENCE = 240
UNLIMITED = RelayLimits(duration=0, data=0, max_circuit_conns=8, max_reservations=8)


def say(**what):
    print(json.dumps(what), flush=True)


def make_host():
    keys = create_new_key_pair()
    noise = NoiseTransport(keys, noise_privkey=create_x25519().private_key)
    return new_host(key_pair=keys, sec_opt={NOISE: noise}, muxer_preference="YAMUX")


async def until_end(nursery):
    await trio.to_thread.run_sync(sys.stdin.read)
    nursery.cancel_scope.cancel()


def directly(host, peer):
    """By which addresses without a relay the peer is connected."""
    found = []
    for connection in host.get_network().connections.get(peer, []):
        for address in connection.get_transport_addresses() or []:
            if "p2p-circuit" not in str(address):
                found.append(str(address))
    return found


async def watch(host, peer):
    """Says when a direct connection to a peer is there."""
    while not directly(host, peer):
        await trio.sleep(0.2)
    say(direct=directly(host, peer)[0])


async def relay(place):
    host = make_host()
    async with host.run(listen_addrs=[place]), trio.open_nursery() as nursery:
        protocol = CircuitV2Protocol(host, UNLIMITED, allow_hop=True)
        # It writes a status into circuits whose limit of bytes is 0, which the specification calls
        # none.
        protocol.resource_manager.track_data_transfer = lambda *_: True
        async with background_trio_service(protocol):
            host.set_stream_handler(PING, handle_ping)
            say(address=str(host.get_addrs()[0]))
            await until_end(nursery)


async def with_client(place, work):
    """Runs a host that may be at either end of a circuit."""
    host = make_host()
    protocol = CircuitV2Protocol(host, UNLIMITED, allow_hop=False)
    roles = RelayConfig(roles=RelayRole.STOP | RelayRole.CLIENT)
    async with host.run(listen_addrs=[place]), trio.open_nursery() as nursery:
        host.set_stream_handler(PING, handle_ping)
        bitswap = BitswapClient(host)
        bitswap.set_nursery(nursery)
        await bitswap.start()
        async with background_trio_service(protocol):
            transport = CircuitV2Transport(host, protocol, roles)
            await work(host, transport, bitswap, nursery)
            # Only now, and said to all: else what goes through a relay might go directly before.
            async with background_trio_service(DCUtRProtocol(host)):
                for peer in list(host.get_network().connections):
                    await push_identify_to_peer(host, peer)
                await until_end(nursery)


async def target(place, relay_address, path):
    async def work(host, transport, bitswap, nursery):
        info = info_from_p2p_addr(multiaddr.Multiaddr(relay_address))
        with trio.fail_after(PATIENCE):
            await host.connect(info)
            stream = await host.new_stream(info.peer_id, [PROTOCOL_ID])
            if not await transport.reserve(stream, info.peer_id, nursery):
                raise RuntimeError("no place at the relay")
        with open(path, "rb") as file:
            root = await MerkleDag(bitswap).add_bytes(file.read(), chunk_size=1 << 16)
        say(peer=str(host.get_id()), root=str(parse_cid(root)))

        async def others():
            known = {info.peer_id, host.get_id()}
            while True:
                for peer in list(host.get_network().connections):
                    if peer not in known:
                        known.add(peer)
                        say(met=str(peer))
                        nursery.start_soon(watch, host, peer)
                await trio.sleep(0.2)

        nursery.start_soon(others)

    await with_client(place, work)


async def dial(place, circuit, root=None):
    async def work(host, transport, bitswap, nursery):
        address = multiaddr.Multiaddr(circuit)
        relay_address, peer = transport.parse_circuit_ma(address)
        with trio.fail_after(PATIENCE):
            await host.connect(info_from_p2p_addr(relay_address))
            await transport.dial(address)
            stream = await host.new_stream(peer, [PING])
            question = os.urandom(32)
            await stream.write(question)
            answer = b""
            while len(answer) < 32:
                answer += await stream.read(32 - len(answer))
            assert answer == question, "ping"
            await stream.close()
        say(peer=str(host.get_id()), pinged=not directly(host, peer))
        if root:
            with trio.fail_after(PATIENCE):
                data, _ = await MerkleDag(bitswap).fetch_file(parse_cid(root), peer, timeout=PATIENCE)
            say(sha256=hashlib.sha256(data).hexdigest(), relayed=not directly(host, peer))
        nursery.start_soon(watch, host, peer)

    await with_client(place, work)


async def main():
    role, place, *rest = sys.argv[1:]
    await {"relay": relay, "target": target, "dial": dial}[role](
        multiaddr.Multiaddr(place), *rest)


trio.run(main)
