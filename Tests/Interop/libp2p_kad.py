"""A foreign libp2p peer in the public DHT: a server of py-libp2p's, which does what it is told.

Usage: libp2p_kad.py IP ADDRESS

Listens at port 4001 of the IP address, joins by the node at the address, and prints a JSON object
with its peer id and address. Then each line of standard input is a JSON list, a command and its
arguments, and is answered by a line of JSON.
"""

import json
import logging
import sys

import multiaddr
import trio
from libp2p import new_host
from libp2p.kad_dht.kad_dht import DHTMode, KadDHT
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.tools.anyio_service import background_trio_service

logging.disable(logging.CRITICAL)


class Peer:
    def __init__(self, host, dht):
        self.host, self.dht = host, dht

    async def closest(self, key):
        found = await self.dht.peer_routing.find_closest_peers_network(key)
        return [peer for peer in found if peer != self.host.get_id()]

    async def provide(self, cid):
        return await self.dht.provide(cid)

    async def providers(self, cid):
        return [info.peer_id.to_string() for info in await self.dht.find_providers(cid)]

    async def find(self, peer):
        info = await self.dht.find_peer(ID.from_string(peer))
        return [str(address) for address in info.addrs] if info else []

    async def get(self, key):
        """The value under a key in hexadecimal digits, of the nearest peer that has one."""
        key = bytes.fromhex(key)
        for peer in await self.closest(key):
            record = await self.dht.value_store._get_from_peer(peer, key)
            if record is not None:
                return getattr(record, "value", record).hex()
        return None

    async def put(self, key, value):
        """Puts a value to the nearest peers; how many took it."""
        key, value = bytes.fromhex(key), bytes.fromhex(value)
        count = 0
        for peer in await self.closest(key):
            count += bool(await self.dht.value_store._store_at_peer(peer, key, value))
        return count


async def main(ip, address):
    host = new_host()
    listen = multiaddr.Multiaddr(f"/ip4/{ip}/tcp/4001")
    async with host.run(listen_addrs=[listen]):
        dht = KadDHT(host, DHTMode.SERVER)
        async with background_trio_service(dht):
            info = info_from_p2p_addr(multiaddr.Multiaddr(address))
            await host.connect(info)
            await dht.add_peer(info.peer_id, skip_server_mode_check=True)
            own = host.get_id().to_string()
            print(json.dumps({"peer": own, "address": f"{listen}/p2p/{own}"}), flush=True)
            peer = Peer(host, dht)
            while True:
                line = await trio.to_thread.run_sync(sys.stdin.readline)
                if not line:
                    return
                command, *arguments = json.loads(line)
                with trio.fail_after(240):
                    answer = await getattr(peer, command)(*arguments)
                print(json.dumps(answer), flush=True)


trio.run(main, *sys.argv[1:])
