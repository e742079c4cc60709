"""Offers a connection of data channels by aiortc. Usage: webrtc_offer.py

Prints the offer as one line of JSON, reads the answer as one, and prints the state that the connection
comes to. Ends with standard input. The other side should open no data channels: aiortc would number its
own as they are.
"""

import asyncio
import json
import os
import sys
import threading

import aioice.ice
from aiortc import RTCPeerConnection, RTCSessionDescription

# Nothing leaves this machine.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]


def say(what):
    print(json.dumps(what), flush=True)


def read(answer, loop):
    """Hands on the one line of standard input; its end is that of the program."""
    line = sys.stdin.readline()
    if line:
        loop.call_soon_threadsafe(answer.set_result, json.loads(line))
    sys.stdin.read()
    os._exit(0)


async def main():
    loop = asyncio.get_running_loop()
    answer = loop.create_future()
    threading.Thread(target=read, args=(answer, loop), daemon=True).start()
    connection = RTCPeerConnection()
    done = loop.create_future()
    connection.createDataChannel("init")

    @connection.on("connectionstatechange")
    def changed():
        state = connection.connectionState
        if state in ("connected", "failed", "closed") and not done.done():
            done.set_result(state)

    await connection.setLocalDescription(await connection.createOffer())
    say({"offer": connection.localDescription.sdp})
    await connection.setRemoteDescription(
        RTCSessionDescription(sdp=(await answer)["answer"], type="answer"))
    say({"state": await done})
    await asyncio.Event().wait()


asyncio.run(main())
