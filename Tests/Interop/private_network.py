"""Private networks (github.com/libp2p/specs, pnet) for py-libp2p.

py-libp2p 0.8.1 encrypts with Salsa20 and nonces of 8 bytes; the specification, go-libp2p and Kubo
have XSalsa20 and nonces of 24. This puts the specification's cipher, from PyCryptodome's Salsa20
and the key derivation of XSalsa20 (cr.yp.to/snuffle/xsalsa-20110204.pdf), in its place.
"""

import os
import struct

from Crypto.Cipher import Salsa20
from libp2p.network import swarm
from libp2p.security.pnet.psk_conn import PskConn

KEY = bytes([3]) * 32
NONCE = 24


def rotate(value, count):
    return (value << count | value >> 32 - count) & 0xFFFFFFFF


def quarter(state, a, b, c, d):
    state[b] ^= rotate((state[a] + state[d]) & 0xFFFFFFFF, 7)
    state[c] ^= rotate((state[b] + state[a]) & 0xFFFFFFFF, 9)
    state[d] ^= rotate((state[c] + state[b]) & 0xFFFFFFFF, 13)
    state[a] ^= rotate((state[d] + state[c]) & 0xFFFFFFFF, 18)


def derive(key, start):
    """HSalsa20: a key from a key and the first 16 bytes of a nonce."""
    k = struct.unpack("<8I", key)
    n = struct.unpack("<4I", start)
    c = struct.unpack("<4I", b"expand 32-byte k")
    state = [c[0], *k[:4], c[1], *n, c[2], *k[4:], c[3]]
    for _ in range(10):
        for column in ((0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11)):
            quarter(state, *column)
        for row in ((0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14)):
            quarter(state, *row)
    return struct.pack("<8I", *(state[i] for i in (0, 5, 10, 15, 6, 7, 8, 9)))


def cipher(key, nonce):
    return Salsa20.new(key=derive(key, nonce[:16]), nonce=nonce[16:])


class SpecifiedConn(PskConn):
    async def write(self, data):
        if self.write_cipher is None:
            nonce = os.urandom(NONCE)
            await self._conn.write(nonce)
            self.write_cipher = cipher(self._psk, nonce)
        await self._conn.write(self.write_cipher.encrypt(data))

    async def read(self, n=None):
        if self.read_cipher is None:
            nonce = b""
            while len(nonce) < NONCE:
                part = await self._conn.read(NONCE - len(nonce))
                if not part:
                    return b""
                nonce += part
            self.read_cipher = cipher(self._psk, nonce)
        data = await self._conn.read(n)
        return self.read_cipher.decrypt(data) if data else b""


def install():
    """Lets hosts that are given a key speak as the specification says."""
    swarm.new_protected_conn = SpecifiedConn
    return KEY.hex()
