"""Asks running nodes about their peers and DHT through client libraries that were made for Kubo.

Usage: kubo_mesh.py API_URL…, of three nodes that know nothing of each other. Ends with 0 when
everything was as the libraries expect.
"""

import asyncio
import os
import sys
import urllib.parse
import warnings

import aioipfs
import ipfshttpclient
import multibase

# The library names the versions of Kubo that it knows; this is another program.
warnings.simplefilter("ignore")


def same(found, wanted, what):
    if found != wanted:
        raise SystemExit(f"{what}: found {found!r}, wanted {wanted!r}")


async def refused(what, call):
    try:
        await call
    except aioipfs.APIError:
        return
    raise SystemExit(f"{what} was not refused")


async def gather(stream):
    return [entry async for entry in stream]


async def until(what, condition):
    for _ in range(400):
        found = await condition()
        if found:
            return found
        await asyncio.sleep(0.05)
    raise SystemExit(f"there was no {what}")


def place(url):
    address = urllib.parse.urlparse(url)
    return f"/ip4/{address.hostname}/tcp/{address.port}"


async def swarm(one, two, three):
    """The first is connected to the second, which is to the third; answers who they are."""
    ids = [(await client.id())["ID"] for client in (one, two, three)]
    ways = [(await client.id())["Addresses"][0] for client in (one, two, three)]
    same(await one.swarm.connect(ways[1]), {"Strings": [f"connect {ids[1]} success"]}, "connect")
    await two.swarm.connect(ways[2])
    (entry,) = (await one.swarm.peers(latency=True, direction=True))["Peers"]
    same(entry["Peer"], ids[1], "swarm peers")
    same(f"{entry['Addr']}/p2p/{ids[1]}", ways[1], "where it is")
    same(len((await two.swarm.peers())["Peers"]), 2, "both directions")
    await refused("an address that is none", one.swarm.connect("nowhere"))
    pongs = await gather(one.core.ping(ids[1], count=2))
    same([x["Success"] for x in pongs[:2]], [True, True], "ping")
    same(pongs[0]["Time"] > 0, True, "round trip")
    same(pongs[-1]["Text"].startswith("Average latency"), True, "ping's last word")
    return ids, ways


async def routing(one, two, three, ids):
    """What the first announces the third finds, by asking the second."""
    cid = (await one.add_bytes(os.urandom(1000)))["Hash"]

    async def provided():
        try:
            return await gather(one.routing.provide(cid)) or True
        except aioipfs.APIError:
            # It has not yet heard that the second serves the DHT.
            return None

    await until("server to announce to", provided)

    async def providers():
        events = await gather(three.routing.findprovs(cid, numproviders=1))
        return [x["Responses"][0] for x in events if x["Type"] == 4]

    (found,) = await until("provider", providers)
    same(found["ID"], ids[0], "who provides it")
    same(bool(found["Addrs"]), True, "where that is")
    answer = await three.routing.findpeer(ids[0])
    same((answer["Type"], answer["Responses"][0]["ID"]), (2, ids[0]), "findpeer")
    same(len(answer["Responses"][0]["Addrs"]) > 0, True, "where the peer is")
    await refused("what is not here", two.routing.provide(cid).__anext__())
    # By that, the third gets the block.
    same(len(await three.block.get(cid)), 1000, "the block")


async def figures(one):
    before = await one.stats.bw()
    same(set(before), {"TotalIn", "TotalOut", "RateIn", "RateOut"}, "stats bw")
    same(before["TotalIn"] > 0 and before["TotalOut"] > 0, True, "bytes")


async def topics(one, two, ids):
    """What the second publishes the first hears."""
    for client in (one, two):
        # The library asks for the version to know the form.
        client._agent_version = aioipfs.IpfsDaemonVersion("0.40.0")

    async def listen(client):
        async for message in client.pubsub.sub("scores"):
            return message

    listening = asyncio.create_task(listen(one))
    own = asyncio.create_task(listen(two))
    # Of this argument the library leaves the form to the caller.
    topic = multibase.encode("base64url", "scores").decode()

    async def met():
        return ids[0] in (await two.pubsub.peers(topic))["Strings"]

    await until("subscriber", met)
    await two.pubsub.pub("scores", b"3:2")
    heard = await listening
    same((heard["data"], heard["from"]), (b"3:2", ids[1]), "what was heard")
    same((await own)["data"], b"3:2", "what was said")


def older(url, other):
    """The library that others use."""
    with ipfshttpclient.connect(f"{place(url)}/http", timeout=120) as client:
        same({x["Peer"] for x in client.swarm.peers()["Peers"]} >= {other}, True, "swarm peers")
        same(client.ping(other, count=1)[0]["Success"], True, "ping")


async def main(urls):
    clients = [aioipfs.AsyncIPFS(maddr=place(url)) for url in urls]
    try:
        ids, ways = await swarm(*clients)
        await routing(*clients, ids)
        await figures(clients[0])
        await topics(clients[0], clients[1], ids)
        await asyncio.to_thread(older, urls[0], ids[1])
        same(
            await clients[0].swarm.disconnect(ways[1]),
            {"Strings": [f"disconnect {ids[1]} success"]}, "swarm disconnect")
    finally:
        for client in clients:
            await client.close()
    print("ok")


asyncio.run(asyncio.wait_for(main(sys.argv[1:]), 240))
