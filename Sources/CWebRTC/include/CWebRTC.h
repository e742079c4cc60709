// What WebRTC needs of OpenSSL (the server's end of DTLS) and of usrsctp (associations without
// sockets), without the macros, callbacks and unions that Swift cannot use.
//
// Everything here is used from one thread. Peers have numbers, which are used once in a process.

#ifndef WEFT_CWEBRTC_H
#define WEFT_CWEBRTC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// MARK: DTLS

typedef struct weft_dtls_server weft_dtls_server;
typedef struct weft_dtls weft_dtls;

/// Called with each datagram that is to be sent to a peer.
typedef void (*weft_output)(uint64_t peer, const uint8_t *_Nonnull bytes, size_t count);

/// A server with a certificate and its private key, both in DER; NULL if they do not fit.
weft_dtls_server *_Nullable weft_dtls_server_new(
    const uint8_t *_Nonnull certificate, size_t certificate_count, const uint8_t *_Nonnull key,
    size_t key_count);
void weft_dtls_server_free(weft_dtls_server *_Nonnull server);

/// Makes cookies with a new secret from now on; those of the one before are still taken, older ones
/// are not. False if there is no randomness.
bool weft_dtls_renew(weft_dtls_server *_Nonnull server);

/// The server's end of a connection; NULL if there is no memory. Start it before it is used.
weft_dtls *_Nullable weft_dtls_new(weft_dtls_server *_Nonnull server);
/// A connection whose peer has proven to be at `address`, if `bytes` are the first message of a
/// handshake that brings back a cookie made for it; read it, as the message is in it. Otherwise
/// NULL, nothing is kept, and if `answer_count`, which is the room before, is not 0 then `answer` is
/// to be sent there: the cookie, not much longer than the message.
weft_dtls *_Nullable weft_dtls_greet(
    weft_dtls_server *_Nonnull server, const uint8_t *_Nonnull address, size_t address_count,
    const uint8_t *_Nonnull bytes, size_t count, uint8_t *_Nonnull answer,
    size_t *_Nonnull answer_count);
/// Whose connection it is, and where its datagrams go from now on.
void weft_dtls_start(weft_dtls *_Nonnull dtls, uint64_t peer, weft_output _Nonnull output);
void weft_dtls_free(weft_dtls *_Nonnull dtls);

/// Takes a datagram, which may be answered at once. Read what is in it until there is nothing.
void weft_dtls_receive(weft_dtls *_Nonnull dtls, const uint8_t *_Nonnull bytes, size_t count);
/// Reads one record of what was received: its length, 0 if there is none, -1 if the connection is
/// over.
int weft_dtls_read(weft_dtls *_Nonnull dtls, uint8_t *_Nonnull room, size_t count);
/// Sends one record. False if the connection is over.
bool weft_dtls_send(weft_dtls *_Nonnull dtls, const uint8_t *_Nonnull bytes, size_t count);
/// Whether the handshake is over.
bool weft_dtls_is_open(const weft_dtls *_Nonnull dtls);
/// The SHA2-256 of the peer's certificate, 32 bytes. False if there is none.
bool weft_dtls_fingerprint(const weft_dtls *_Nonnull dtls, uint8_t *_Nonnull digest);
/// In how many milliseconds something has to be sent again; -1 if nothing has.
int64_t weft_dtls_timeout(weft_dtls *_Nonnull dtls);
/// Sends it again. False if the connection is over.
bool weft_dtls_resend(weft_dtls *_Nonnull dtls);
/// Tells the peer that the connection is over.
void weft_dtls_close(weft_dtls *_Nonnull dtls);

// MARK: UDP

/// Where datagrams go, and from which of this machine's addresses.
typedef struct {
    /// As the system writes it (sockaddr_in, sockaddr_in6).
    uint8_t peer[28];
    uint32_t peer_count;
    /// An IP address of this machine, 4 or 16 bytes; 0 bytes for any.
    uint8_t local[16];
    uint32_t local_count;
    /// The interface, where the local address means nothing without it.
    uint32_t interface;
} weft_udp_path;

weft_udp_path weft_udp_path_make(
    const void *_Nonnull peer, size_t peer_count, const void *_Nullable local, uint32_t interface);

/// Datagrams that wait to be sent together.
typedef struct weft_udp weft_udp;
weft_udp *_Nullable weft_udp_new(void);
void weft_udp_free(weft_udp *_Nonnull udp);
/// Adds a datagram. False if there is no room before the others are sent.
bool weft_udp_add(
    weft_udp *_Nonnull udp, const weft_udp_path *_Nonnull path, const uint8_t *_Nonnull bytes,
    size_t count);
/// Sends them; those that cannot be sent are lost.
void weft_udp_flush(weft_udp *_Nonnull udp, int socket);

// MARK: SCTP

/// What an association may hold of what was sent and not confirmed, and of what has come and was
/// not read, in bytes each.
#define WEFT_SCTP_BUFFER (512 << 10)

struct socket;
typedef struct socket weft_sctp;

/// What has been read of an association.
typedef enum {
    weft_sctp_nothing,
    /// A message, or a part of one that is longer than the room.
    weft_sctp_data,
    /// The association is there.
    weft_sctp_up,
    /// The association is over.
    weft_sctp_down,
    /// The peer has closed its direction of a stream.
    weft_sctp_closed_by_peer,
    /// Our direction of a stream is closed.
    weft_sctp_closed,
    /// Something that does not matter.
    weft_sctp_notice,
} weft_sctp_event;

typedef struct {
    weft_sctp_event event;
    size_t count;
    uint16_t stream;
    uint32_t protocol;
    /// Whether this is the end of the message.
    bool is_end;
} weft_sctp_read_result;

/// Called when the association with a peer has something to read, or has room again.
typedef void (*weft_wake)(uint64_t peer);

/// Called once in a process, before anything else. Packets to peers go to `output`.
void weft_sctp_start(weft_output _Nonnull output, weft_wake _Nonnull wake);
/// Does what is due, after so many milliseconds.
void weft_sctp_tick(uint32_t milliseconds);
/// Opens an association with a peer that opens one with us; NULL if that is not possible.
weft_sctp *_Nullable weft_sctp_open(uint64_t peer);
/// Ends an association at once.
void weft_sctp_close(weft_sctp *_Nonnull association, uint64_t peer);
/// Takes a packet.
void weft_sctp_receive(uint64_t peer, const uint8_t *_Nonnull bytes, size_t count);
/// Reads what the association has. For closed streams `count` of their numbers, two bytes each as
/// this machine orders them, are in `room`; none stand for all streams.
weft_sctp_read_result weft_sctp_read(
    weft_sctp *_Nonnull association, uint8_t *_Nonnull room, size_t count);
/// Sends a message: 0, EWOULDBLOCK if there is no room now, or another error.
int weft_sctp_send(
    weft_sctp *_Nonnull association, const uint8_t *_Nonnull bytes, size_t count, uint16_t stream,
    uint32_t protocol);
/// Closes our direction of a stream, after what was sent on it. 0 or an error.
int weft_sctp_close_stream(weft_sctp *_Nonnull association, uint16_t stream);
/// Asks the peer whether it is there.
void weft_sctp_ask(weft_sctp *_Nonnull association, uint64_t peer);
/// The smoothed time of a round trip in milliseconds; 0 if it is not known.
uint32_t weft_sctp_round_trip(weft_sctp *_Nonnull association);

#endif
