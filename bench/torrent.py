"""One file from a peer to an empty peer by libtorrent, over TCP on loopback.

Usage: torrent.py make FILE TORRENT        writes the torrent of a file
       torrent.py seed TORRENT FOLDER      prints its port; ends with its standard input and then
                                           prints the processor time it took
       torrent.py leech TORRENT FOLDER PORT   fetches it, prints wall and processor time
"""

import os
import sys
import time

import libtorrent

PIECE = 1 << 20


def processor_time():
    times = os.times()
    return times.user + times.system


def session(port):
    """A session that speaks TCP with loopback alone, with large buffers and without encryption."""
    mebibyte = 1 << 20
    return libtorrent.session({
        "listen_interfaces": f"127.0.0.1:{port}",
        "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
        "enable_outgoing_utp": False, "enable_incoming_utp": False,
        "allow_multiple_connections_per_ip": True,
        "out_enc_policy": int(libtorrent.enc_policy.disabled),
        "in_enc_policy": int(libtorrent.enc_policy.disabled),
        "rate_limit_ip_overhead": False,
        "aio_threads": 2, "hashing_threads": 2,
        "max_queued_disk_bytes": 64 * mebibyte,
        "send_buffer_watermark": 8 * mebibyte, "send_buffer_watermark_factor": 150,
        "recv_socket_buffer_size": 4 * mebibyte, "send_socket_buffer_size": 4 * mebibyte,
        "max_out_request_queue": 2000, "max_allowed_in_request_queue": 4000,
        "request_queue_time": 10, "mixed_mode_algorithm": 0,
        "alert_mask": libtorrent.alert.category_t.status_notification,
    })


def make(path, torrent):
    """The hashes of the second version of the format, SHA-256 over 16 KiB, are checked."""
    files = libtorrent.list_files(path)
    creator = libtorrent.create_torrent(files, PIECE, libtorrent.create_torrent.v2_only)
    libtorrent.set_piece_hashes(creator, os.path.dirname(path))
    with open(torrent, "wb") as out:
        out.write(libtorrent.bencode(creator.generate()))


def add(active, torrent, folder, flags):
    parameters = libtorrent.load_torrent_file(torrent)
    parameters.save_path = folder
    parameters.flags |= flags
    parameters.flags &= ~libtorrent.torrent_flags.auto_managed
    parameters.flags &= ~libtorrent.torrent_flags.paused
    return active.add_torrent(parameters)


def seed(torrent, folder):
    active = session(0)
    handle = add(active, torrent, folder, libtorrent.torrent_flags.seed_mode)
    while active.listen_port() == 0 or not handle.status().is_seeding:
        time.sleep(0.01)
    print(active.listen_port(), flush=True)
    sys.stdin.read()
    print(processor_time(), flush=True)


def leech(torrent, folder, port):
    active = session(0)
    start, used = time.monotonic(), processor_time()
    handle = add(active, torrent, folder, libtorrent.torrent_flags.default_flags)
    handle.connect_peer(("127.0.0.1", port))
    while not handle.status().is_seeding:
        active.wait_for_alert(20)
        active.pop_alerts()
    print(time.monotonic() - start, processor_time() - used, flush=True)


mode, *rest = sys.argv[1:]
if mode == "make":
    make(*rest)
elif mode == "seed":
    seed(*rest)
else:
    leech(rest[0], rest[1], int(rest[2]))
# The sessions end with the process: their threads need no orderly farewell.
os._exit(0)
