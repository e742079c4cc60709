"""Publishes and subscribes together with a node, as foreign libp2p peers.

Usage: libp2p_pubsub.py PROTOCOL NODE_ADDRESS API_URL

Three peers that speak PROTOCOL (such as /meshsub/1.2.0): two dial the node, and one is dialled by
it. They do not know each other, so that what one of them gets from another has gone through the
node. Prints ok.
"""

import json
import logging
import os
import queue
import sys
import threading
import urllib.parse
import urllib.request

import multiaddr
import multibase
import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_x25519
from libp2p.custom_types import TProtocol
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.tools.anyio_service import background_trio_service

NEWS, WEATHER = "news/äöü", "weather"

logging.disable(logging.CRITICAL)


def fail(what):
    """Ends at once: unwinding what runs here would hide the reason."""
    print(what, file=sys.stderr, flush=True)
    os._exit(1)


def same(found, wanted, what):
    if found != wanted:
        fail(f"{what}: found {found!r}, wanted {wanted!r}")


def text(data):
    """Topics and data as the RPC has them."""
    return multibase.encode("base64url", data).decode()


class API:
    """The node's side, by its RPC."""

    def __init__(self, url):
        self.url = url
        self.received = {}

    def open(self, path, arguments, body=None, headers={}):
        query = urllib.parse.urlencode(arguments)
        request = urllib.request.Request(
            f"{self.url}/api/v0/{path}?{query}", data=body or b"", headers=headers)
        return urllib.request.urlopen(request, timeout=240)

    def call(self, path, *arguments):
        with self.open(path, [("arg", value) for value in arguments]) as answer:
            return json.loads(answer.read())

    def publish(self, topic, data):
        body = (b"--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n"
                + data + b"\r\n--b--\r\n")
        form = {"Content-Type": "multipart/form-data; boundary=b"}
        with self.open("pubsub/pub", [("arg", text(topic.encode()))], body, form) as answer:
            same(answer.read(), b"", "the answer to pub")

    def subscribe(self, topic):
        messages = self.received[topic] = queue.Queue()

        def read():
            with self.open("pubsub/sub", [("arg", text(topic.encode()))]) as answer:
                for line in answer:
                    messages.put(json.loads(line))

        threading.Thread(target=read, daemon=True).start()

    def peers(self, topic):
        return set(self.call("pubsub/peers", text(topic.encode()))["Strings"])


class Foreign:
    """One py-libp2p peer."""

    def __init__(self, protocol):
        keys = create_new_key_pair()
        self.host = new_host(
            key_pair=keys, muxer_preference="YAMUX",
            sec_opt={NOISE: NoiseTransport(keys, noise_privkey=create_x25519().private_key)})
        self.router = GossipSub(
            protocols=[TProtocol(protocol)], degree=6, degree_low=4, degree_high=12,
            heartbeat_interval=1, spam_protection_enabled=False)
        self.pubsub = Pubsub(self.host, self.router, strict_signing=True)
        self.ending, self.ended = trio.Event(), trio.Event()
        self.subscriptions = {}

    @property
    def id(self):
        return self.host.get_id().to_string()

    async def run(self, task_status):
        listening = [multiaddr.Multiaddr("/ip4/127.0.0.1/tcp/0")]
        async with (
            self.host.run(listen_addrs=listening), background_trio_service(self.pubsub),
            background_trio_service(self.router),
        ):
            await self.pubsub.wait_until_ready()
            task_status.started()
            await self.ending.wait()
            await self.host.close()
        self.ended.set()

    async def subscribe(self, topic):
        self.subscriptions[topic] = await self.pubsub.subscribe(topic)

    async def publish(self, topic, data, to):
        """Publishes once there is somebody to send it to; what goes to nobody is lost."""
        await until(lambda: to in self.router.mesh.get(topic, ()), f"the mesh of {self.id}")
        await self.pubsub.publish(topic, data)

    async def expect(self, topic, data, author):
        with trio.move_on_after(30):
            message = await self.subscriptions[topic].get()
            same(message.data, data, f"what {self.id} got")
            same(message.from_id, author, "its author")
            return
        fail(f"{self.id} did not get {data[:20]!r} of {topic}")

    async def stop(self):
        self.ending.set()
        await self.ended.wait()


async def until(condition, what):
    """Waits for something that the node does in its own time."""
    with trio.move_on_after(30):
        while True:
            if await trio.to_thread.run_sync(condition):
                return
            await trio.sleep(0.1)
    fail(f"in vain: {what}")


async def heard(api, topic, data, author):
    try:
        message = await trio.to_thread.run_sync(lambda: api.received[topic].get(timeout=240))
    except queue.Empty:
        fail(f"the node did not get {data[:20]!r} of {topic}")
    same(multibase.decode(message["data"]), data, "what the node got")
    same(message["from"], author, "its author")
    same([multibase.decode(name).decode() for name in message["topicIDs"]], [topic], "its topic")
    same(len(multibase.decode(message["seqno"])), 8, "its number")


async def several_topics(api, node, one, two):
    """Each gets what it subscribed to, from the node and through it."""
    await until(lambda: api.peers(NEWS) == {one.id}, "one peer of the first topic")
    await until(lambda: api.peers(WEATHER) == {one.id, two.id}, "two peers of the other")
    same(set(api.call("pubsub/ls")["Strings"]),
         {text(NEWS.encode()), text(WEATHER.encode())}, "topics")
    await one.publish(NEWS, b"from one", node)
    await heard(api, NEWS, b"from one", one.id)
    await one.expect(NEWS, b"from one", one.host.get_id())
    await trio.to_thread.run_sync(api.publish, WEATHER, b"from the node")
    await heard(api, WEATHER, b"from the node", node.to_string())
    for peer in [one, two]:
        await peer.expect(WEATHER, b"from the node", node)
    await two.publish(WEATHER, b"from two", node)
    await heard(api, WEATHER, b"from two", two.id)
    await one.expect(WEATHER, b"from two", two.host.get_id())
    await two.expect(WEATHER, b"from two", two.host.get_id())
    for number in range(20):
        data = bytes([number]) * 20_000
        await trio.to_thread.run_sync(api.publish, WEATHER, data)
        await heard(api, WEATHER, data, node.to_string())
        for peer in [one, two]:
            await peer.expect(WEATHER, data, node)


async def unsigned(api, bad, good):
    """What nobody signed, or somebody else, is not delivered, and does not spoil the rest."""
    message = rpc_pb2.Message(
        data=b"unsigned", topicIDs=[NEWS], from_id=bad.host.get_id().to_bytes(), seqno=b"12345678")
    for signature in [None, b"x" * 64]:
        if signature:
            message.signature = signature
        rpc = rpc_pb2.RPC(publish=[message])
        for stream in bad.pubsub.peers.values():
            await bad.pubsub.write_msg(stream, rpc)
    await good.pubsub.publish(NEWS, b"signed")
    await heard(api, NEWS, b"signed", good.id)


async def main(nursery, protocol, address, url):
    api = API(url)
    node = info_from_p2p_addr(multiaddr.Multiaddr(address))
    api.subscribe(NEWS)
    api.subscribe(WEATHER)
    await until(lambda: len(api.call("pubsub/ls")["Strings"]) == 2, "both subscriptions")
    one, two, three = [Foreign(protocol) for _ in range(3)]
    for peer in [one, two, three]:
        await nursery.start(peer.run)
    for peer in [one, two]:
        await peer.host.connect(node)
        await peer.subscribe(WEATHER)
    await one.subscribe(NEWS)
    await several_topics(api, node.peer_id, one, two)

    # The node dials the third.
    await three.subscribe(NEWS)
    there = f"{three.host.get_transport_addrs()[0]}/p2p/{three.id}"
    await trio.to_thread.run_sync(lambda: api.call("swarm/connect", there))
    await until(lambda: api.peers(NEWS) == {one.id, three.id}, "the peer that was dialled")
    await trio.to_thread.run_sync(api.publish, NEWS, b"to the third")
    await three.expect(NEWS, b"to the third", node.peer_id)
    await heard(api, NEWS, b"to the third", node.peer_id.to_string())
    await three.publish(NEWS, b"from the third", node.peer_id)
    await heard(api, NEWS, b"from the third", three.id)

    # One leaves, and one ends a subscription; the rest goes on.
    await two.stop()
    await until(lambda: api.peers(WEATHER) == {one.id}, "the peer that left")
    await one.pubsub.unsubscribe(NEWS)
    await until(lambda: api.peers(NEWS) == {three.id}, "the subscription that ended")
    await one.publish(WEATHER, b"still here", node.peer_id)
    await heard(api, WEATHER, b"still here", one.id)
    await three.publish(NEWS, b"here too", node.peer_id)
    await heard(api, NEWS, b"here too", three.id)
    await unsigned(api, one, three)
    print("ok", flush=True)
    os._exit(0)


async def bounded():
    with trio.move_on_after(120):
        async with trio.open_nursery() as nursery:
            await main(nursery, *sys.argv[1:])
    fail("not done in two minutes")


trio.run(bounded)
