"""Takes peers and links away in the middle of a transfer. Usage: faults.py WEFT SECONDS…

SECONDS are how long the link to the only owner is cut. Prints one JSON object for each thing that
held, with what it cost.
"""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time

from network import Network, Node, alone, until

SIZE = 64 << 20
BLOCK = 1 << 20
# What each owner sends in a second, so that the transfer lasts.
RATE = 4 << 20
# How soon after a cut a transfer goes on, besides what three looks at it take. TCP by itself takes as
# long again as the cut lasted.
HEALED = 3


def held(what, **more):
    print(json.dumps({"held": what, **more}), flush=True)


def received(node):
    """The bytes of blocks, and of what is said about them, that have come in."""
    return node.json("bandwidth")[0]["exchange"]["received"]["bytes"]


class Transfer:
    """A download from several owners, watched."""

    def __init__(self, reader, root, content):
        self.reader, self.content = reader, content
        self.target = os.path.join(reader.place, "got")
        self.start, self.before = time.monotonic(), received(reader)
        self.process = subprocess.Popen(
            reader.words(
                "fetch", f"ipfs://{root}", "-o", self.target, "--trace", "--deadline", "600s"),
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env=reader.environment())

    def reach(self, share):
        """Waits until so much of the content has come."""
        until("progress", lambda: received(self.reader) - self.before > share * SIZE)

    def end(self):
        """Waits for the end; gives the seconds and how much more than the content came."""
        _, errors = self.process.communicate(timeout=620)
        if self.process.returncode != 0:
            raise RuntimeError(f"the fetch failed after {time.monotonic() - self.start:.1f} s: {errors}")
        seconds = time.monotonic() - self.start
        with open(self.target, "rb") as file:
            assert file.read() == self.content
        os.unlink(self.target)
        return round(seconds, 1), received(self.reader) - self.before - SIZE


def main(weft, cuts):
    with contextlib.ExitStack() as stack:
        net = stack.enter_context(Network())
        for name in ("reader", "first", "second", "third"):
            net.public(name)
        content = hashlib.shake_256(b"faults").digest(SIZE)
        reader = stack.enter_context(Node(weft, "reader"))
        owners = [
            stack.enter_context(Node(weft, name, bandwidth_out=str(RATE)))
            for name in ("first", "second", "third")]
        place = os.path.join(reader.place, "original")
        with open(place, "wb") as file:
            file.write(content)
        roots = [owner.call("add", "-q", place).stdout.strip() for owner in owners]
        assert len(set(roots)) == 1, roots
        ways = [f"/ip4/{net.addresses[owner.space]}/tcp/4001/p2p/{owner.peer}" for owner in owners]

        def begin():
            reader.call("pin", "rm", roots[0], check=False)
            reader.call("repo", "gc")
            for way in ways:
                reader.call("connect", way)
            return Transfer(reader, roots[0], content)

        # Of what comes from three at once, next to nothing comes twice.
        transfer = begin()
        seconds, more = transfer.end()
        assert more < SIZE // 50, more
        held("three owners at once", seconds=seconds, more=more)

        transfer = begin()
        transfer.reach(0.3)
        owners[0].stop(signal.SIGKILL)
        seconds, more = transfer.end()
        # What it had begun to send is one block; the rest was not sent by anybody else.
        assert more < BLOCK + SIZE // 100, more
        held("kill -9 in the middle", seconds=seconds, more=more)
        owners[0].start()

        transfer = begin()
        transfer.reach(0.3)
        with net.cut("second"):
            seconds, more = transfer.end()
            assert more < BLOCK + SIZE // 100, more
            held("a cut link in the middle", seconds=seconds, more=more)
            until("end of the dead connection", lambda: not reader.ways(owners[1].peer))
            held("the dead connection is noticed")

        # From one owner that has it alone, so that everything depends on its return.
        own = hashlib.shake_256(b"alone").digest(SIZE)
        with open(place, "wb") as file:
            file.write(own)
        root = owners[2].call("add", "-q", place).stdout.strip()

        def begin_alone(caller=reader, way=ways[2]):
            reader.call("repo", "gc")
            caller.call("connect", way)
            transfer = Transfer(reader, root, own)
            transfer.reach(0.2)
            return transfer

        to_reader = f"/ip4/{net.addresses['reader']}/tcp/4001/p2p/{reader.peer}"
        # Whoever called the other, it is the reader who has to call again.
        callers = [("owner", owners[2], to_reader), ("reader", reader, ways[2])]
        if len(cuts) == 1:
            callers = callers[:1]
        for cut in cuts:
            for who, caller, way in callers:
                reader.call("disconnect", owners[2].peer, check=False)
                transfer = begin_alone(caller, way)
                with net.cut("third"):
                    time.sleep(cut)
                waited, look = resumed(reader)
                _, more = transfer.end()
                held(f"a cut of {cut} s heals: the transfer goes on", called=who, waited=waited,
                     more=more)
                assert waited < HEALED + 3 * look, (waited, look)

        reader.call("disconnect", owners[2].peer, check=False)
        transfer = begin_alone()
        owners[2].stop(signal.SIGKILL)
        owners[2].start()
        waited, _ = resumed(reader)
        _, more = transfer.end()
        held("the only owner is restarted: the transfer goes on", waited=waited, more=more)


def resumed(reader):
    """How many seconds it takes until blocks come again, and one look at what has come."""
    start, before = time.monotonic(), received(reader)
    look = time.monotonic() - start
    until("progress", lambda: received(reader) > before + BLOCK)
    return round(time.monotonic() - start, 1), round(look, 1)


alone()
main(sys.argv[1], [int(text) for text in sys.argv[2:]])
