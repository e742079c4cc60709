"""Hosts of py-libp2p that dial webrtc-direct."""

import aioice.ice
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.transport.webrtc.config import WebRTCTransportConfig
from libp2p.transport.webrtc.stream import WebRTCStream
from libp2p.transport.webrtc.transport import WebRTCDirectTransport

# Nothing leaves this machine.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]


def make_transport(version, key):
    config = WebRTCTransportConfig(webrtc_direct_dial_version=version)
    return WebRTCDirectTransport(key.private_key, config)


def make_host(version):
    """A host that dials in this version, 1 or 2."""
    key = create_new_key_pair()
    return new_host(key_pair=key, transports=[make_transport(version, key)])


def is_end(error):
    """Whether this is how a data channel's end is told, which has no class of its own there."""
    return "closed by remote" in str(error) or "Read side is closed" in str(error)


async def close_write(stream):
    """Ends our direction of a stream. What is public there ends both, over data channels."""
    if isinstance(stream.muxed_stream, WebRTCStream):
        await stream.muxed_stream._close_write()
    else:
        await stream.close_write()
