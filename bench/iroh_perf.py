"""A raw stream over QUIC between two peers of iroh.

Usage: iroh_perf.py serve                   prints its address; ends with its standard input
       iroh_perf.py dial ADDRESS BYTES      sends BYTES, receives as many, prints two times
"""

import asyncio
import sys
import time

import iroh

ALPN = b"weft-bench/perf"
# Large pieces, so that crossing into Python costs little.
PIECE = 1 << 20


async def bind():
    return await iroh.Endpoint.bind(iroh.EndpointOptions(
        preset=iroh.preset_minimal(), bind_addr="127.0.0.1:0", alpns=[ALPN],
        relay_mode=iroh.RelayMode.disabled()))


async def receive(stream):
    """Reads to the end of a stream; returns how many bytes came."""
    count = 0
    while piece := await stream.read(PIECE):
        count += len(piece)
    return count


async def send(stream, count):
    piece = bytes(PIECE)
    while count > 0:
        await stream.write_all(piece[:min(count, PIECE)])
        count -= PIECE
    await stream.finish()


async def answer(connection):
    """Each stream begins with how many bytes it wants back, then brings its own."""
    while True:
        stream = await connection.accept_bi()
        wanted = b""
        while len(wanted) < 8:
            wanted += await stream.recv().read(8 - len(wanted))
        await receive(stream.recv())
        await send(stream.send(), int.from_bytes(wanted, "big"))


async def serve():
    iroh.iroh_ffi.uniffi_set_event_loop(asyncio.get_running_loop())
    endpoint = await bind()
    print(f"{endpoint.id()}@{endpoint.bound_sockets()[0]}", flush=True)

    async def accept():
        incoming = await endpoint.accept_next()
        await answer(await (await incoming.accept()).connect())

    accepting = asyncio.create_task(accept())
    await asyncio.to_thread(sys.stdin.read)
    accepting.cancel()


async def dial(address, size):
    iroh.iroh_ffi.uniffi_set_event_loop(asyncio.get_running_loop())
    name, place = address.split("@")
    endpoint = await bind()
    target = iroh.EndpointAddr(iroh.EndpointId.from_string(name), None, [place])
    connection = await endpoint.connect(target, ALPN)
    for upload, download in [(size, 0), (0, size)]:
        start = time.monotonic()
        stream = await connection.open_bi()
        await stream.send().write_all(download.to_bytes(8, "big"))
        await send(stream.send(), upload)
        if await receive(stream.recv()) != download:
            raise RuntimeError("the stream ended early")
        print(time.monotonic() - start, flush=True)
    await endpoint.close()


if sys.argv[1] == "serve":
    asyncio.run(serve())
else:
    asyncio.run(dial(sys.argv[2], int(sys.argv[3])))
