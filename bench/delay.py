"""A way over TCP on which every byte takes half a round trip, and a plain transfer over it.

Usage: delay.py proxy PORT RTT         prints a port that leads to PORT; ends with its standard
                                       input. RTT is in milliseconds
       delay.py serve                  prints a port at which everything is received and the
                                       number of bytes is answered
       delay.py send PORT BYTES        sends so much there, prints the seconds until the answer

The kernel connects to the proxy at once. A real connection costs a round trip before the first
byte, so the proxy withholds the first bytes of a connection by as much.
"""

import collections
import socket
import sys
import threading
import time

PIECE = 1 << 18
# A tuned window: what a connection may have on its way at a time. The proxy ends connections, so
# that their own windows do not reach through it; it stands for them.
WINDOW = 16 << 20
# What of it is on its way there, as long as what arrived is on its way to be acknowledged.
CAPACITY = WINDOW // 2


class Way:
    """One direction of a connection."""

    def __init__(self, source, target, delay, ready):
        self.source, self.target, self.delay, self.ready = source, target, delay, ready
        self.queue = collections.deque()
        self.held = 0
        self.changed = threading.Condition()
        threading.Thread(target=self.take, daemon=True).start()
        threading.Thread(target=self.give, daemon=True).start()

    def take(self):
        piece = b"-"
        while piece:
            try:
                piece = self.source.recv(PIECE)
            except OSError:
                piece = b""
            due = max(time.monotonic(), self.ready) + self.delay
            with self.changed:
                self.changed.wait_for(lambda: self.held < CAPACITY)
                self.queue.append((due, piece))
                self.held += len(piece)
                self.changed.notify_all()

    def give(self):
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.queue)
                due, piece = self.queue.popleft()
            time.sleep(max(0, due - time.monotonic()))
            try:
                if not piece:
                    self.target.shutdown(socket.SHUT_WR)
                    return
                self.target.sendall(piece)
            except OSError:
                # The reader has gone; what still comes is thrown away.
                pass
            with self.changed:
                self.held -= len(piece)
                self.changed.notify_all()


def listen():
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    return listener


def proxy(port, round_trip):
    listener = listen()

    def accept():
        while True:
            near, _ = listener.accept()
            far = socket.create_connection(("127.0.0.1", port))
            for end in [near, far]:
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ready = time.monotonic() + round_trip
            Way(near, far, round_trip / 2, ready)
            Way(far, near, round_trip / 2, ready)

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()


def serve():
    listener = listen()
    connection, _ = listener.accept()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW)
    count = 0
    buffer = bytearray(PIECE)
    while size := connection.recv_into(buffer):
        count += size
    connection.sendall(str(count).encode())
    connection.close()


def send(port, count):
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, WINDOW)
        piece = memoryview(bytes(PIECE))
        left = count
        while left > 0:
            connection.sendall(piece[:min(left, PIECE)])
            left -= PIECE
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while more := connection.recv(64):
            answer += more
    assert int(answer) == count, answer
    print(time.monotonic() - start, flush=True)


mode, *rest = sys.argv[1:]
if mode == "proxy":
    proxy(int(rest[0]), float(rest[1]) / 1000)
elif mode == "serve":
    serve()
else:
    send(int(rest[0]), int(rest[1]))
