"""An old router's NAT-PMP server (RFC 6886), which knows nothing of PCP, for the tests. It forwards
TCP ports with nftables. Usage: natpmp.py LAN-ADDRESS WAN-ADDRESS
"""

import socket
import struct
import subprocess
import sys
import time

PORT = 5351


def nft(text):
    subprocess.run(["nft", "-f", "-"], input=text, text=True, check=True)


def main(lan, wan):
    nft("""table ip old {
        map ports { type inet_service : ipv4_addr . inet_service; }
        chain in {
            type nat hook prerouting priority -100;
            iifname "wan" dnat ip to tcp dport map @ports
        }
    }""")
    start = time.monotonic()
    mapped = {}
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((lan, PORT))
    print("listening", flush=True)
    while True:
        request, peer = server.recvfrom(1100)
        epoch = int(time.monotonic() - start)
        if len(request) < 2:
            continue
        version, opcode = request[0], request[1]
        if version != 0:
            server.sendto(struct.pack(">BBHI", 0, 128 + opcode % 128, 1, epoch), peer)
        elif opcode == 0:
            answer = struct.pack(">BBHI", 0, 128, 0, epoch) + socket.inet_aton(wan)
            server.sendto(answer, peer)
        elif opcode == 2 and len(request) == 12:
            inner, outer, lifetime = struct.unpack(">HHI", request[4:12])
            for known in [port for port, to in mapped.items() if to == (peer[0], inner)]:
                del mapped[known]
                nft(f"delete element ip old ports {{ {known} }}")
            if lifetime > 0:
                while outer in mapped or outer < 1024:
                    outer += 1024
                mapped[outer] = (peer[0], inner)
                nft(f"add element ip old ports {{ {outer} : {peer[0]} . {inner} }}")
            answer = struct.pack(">BBHIHHI", 0, 130, 0, epoch, inner, outer, lifetime)
            server.sendto(answer, peer)


main(*sys.argv[1:])
