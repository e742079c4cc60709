// SCTP associations over packets that somebody else carries (RFC 8261), without threads: what
// usrsctp does happens in the calls below.

#include "CWebRTC.h"

#include <errno.h>
#include <string.h>
#include <usrsctp.h>

// The port that WebRTC writes into its packets.
static const uint16_t weft_port = 5000;
// Streams each way.
static const uint16_t weft_streams = 1024;
// What a packet may hold, so that it fits into a datagram with what DTLS adds.
static const uint32_t weft_packet = 1180;
static const uint32_t weft_buffer = WEFT_SCTP_BUFFER;

static weft_output weft_packet_output;
static weft_wake weft_peer_wake;

static int weft_send_packet(void *address, void *buffer, size_t count, uint8_t tos, uint8_t df) {
    (void)tos;
    (void)df;
    // The sum of what comes is not looked at, as DTLS has checked it; the peer may look at ours.
    if (count >= 12) {
        uint32_t sum = 0;
        memcpy((uint8_t *)buffer + 8, &sum, sizeof(sum));
        sum = usrsctp_crc32c(buffer, count);
        memcpy((uint8_t *)buffer + 8, &sum, sizeof(sum));
    }
    weft_packet_output((uint64_t)(uintptr_t)address, buffer, count);
    return 0;
}

static void weft_upcall(struct socket *socket, void *peer, int flags) {
    (void)socket;
    (void)flags;
    weft_peer_wake((uint64_t)(uintptr_t)peer);
}

void weft_sctp_start(weft_output output, weft_wake wake) {
    weft_packet_output = output;
    weft_peer_wake = wake;
    usrsctp_init_nothreads(0, weft_send_packet, NULL);
    usrsctp_enable_crc32c_offload();
    usrsctp_sysctl_set_sctp_sendspace(weft_buffer);
    usrsctp_sysctl_set_sctp_recvspace(weft_buffer);
    usrsctp_sysctl_set_sctp_ecn_enable(0);
    usrsctp_sysctl_set_sctp_asconf_enable(0);
    usrsctp_sysctl_set_sctp_auth_enable(0);
    usrsctp_sysctl_set_sctp_pr_enable(1);
    usrsctp_sysctl_set_sctp_nr_outgoing_streams_default(weft_streams);
    // Each may sit in a packet's memory of its own, however little is in it.
    usrsctp_sysctl_set_sctp_max_chunks_on_queue(2 * weft_buffer / 1024);
    usrsctp_sysctl_set_sctp_initial_cwnd(10);
    usrsctp_sysctl_set_sctp_delayed_sack_time_default(20);
    usrsctp_sysctl_set_sctp_rto_min_default(200);
    usrsctp_sysctl_set_sctp_rto_max_default(10000);
    usrsctp_sysctl_set_sctp_rto_initial_default(1000);
    usrsctp_sysctl_set_sctp_init_rto_max_default(10000);
    usrsctp_sysctl_set_sctp_assoc_rtx_max_default(10);
    usrsctp_sysctl_set_sctp_path_rtx_max_default(10);
    // The checks of ICE tell sooner that a peer has gone.
    usrsctp_sysctl_set_sctp_heartbeat_interval_default(30000);
}

void weft_sctp_tick(uint32_t milliseconds) { usrsctp_handle_timers(milliseconds); }

static struct sockaddr_conn weft_address(uint64_t peer) {
    struct sockaddr_conn address;
    memset(&address, 0, sizeof(address));
    address.sconn_family = AF_CONN;
    address.sconn_port = htons(weft_port);
    address.sconn_addr = (void *)(uintptr_t)peer;
    return address;
}

static bool weft_set(struct socket *socket, int option, const void *value, socklen_t count) {
    return usrsctp_setsockopt(socket, IPPROTO_SCTP, option, value, count) == 0;
}

static bool weft_prepare(struct socket *socket) {
    if (usrsctp_set_non_blocking(socket, 1) != 0) return false;
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    if (usrsctp_setsockopt(socket, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) != 0)
        return false;
    uint32_t on = 1;
    if (!weft_set(socket, SCTP_NODELAY, &on, sizeof(on))) return false;
    if (!weft_set(socket, SCTP_RECVRCVINFO, &on, sizeof(on))) return false;
    struct sctp_assoc_value reset = {
        .assoc_id = SCTP_ALL_ASSOC, .assoc_value = SCTP_ENABLE_RESET_STREAM_REQ};
    if (!weft_set(socket, SCTP_ENABLE_STREAM_RESET, &reset, sizeof(reset))) return false;
    const uint16_t types[] = {SCTP_ASSOC_CHANGE, SCTP_STREAM_RESET_EVENT};
    for (size_t index = 0; index < sizeof(types) / sizeof(types[0]); index++) {
        struct sctp_event event = {
            .se_assoc_id = SCTP_ALL_ASSOC, .se_type = types[index], .se_on = 1};
        if (!weft_set(socket, SCTP_EVENT, &event, sizeof(event))) return false;
    }
    struct sctp_initmsg streams = {
        .sinit_num_ostreams = weft_streams, .sinit_max_instreams = weft_streams};
    return weft_set(socket, SCTP_INITMSG, &streams, sizeof(streams));
}

weft_sctp *weft_sctp_open(uint64_t peer) {
    struct sockaddr_conn address = weft_address(peer);
    usrsctp_register_address(address.sconn_addr);
    struct socket *socket =
        usrsctp_socket(AF_CONN, SOCK_STREAM, IPPROTO_SCTP, NULL, NULL, 0, NULL);
    if (socket == NULL) {
        usrsctp_deregister_address(address.sconn_addr);
        return NULL;
    }
    if (!weft_prepare(socket)
        || usrsctp_set_upcall(socket, weft_upcall, address.sconn_addr) != 0
        || usrsctp_bind(socket, (struct sockaddr *)&address, sizeof(address)) != 0
        || (usrsctp_connect(socket, (struct sockaddr *)&address, sizeof(address)) != 0
            && errno != EINPROGRESS)) {
        weft_sctp_close(socket, peer);
        return NULL;
    }
    struct sctp_paddrparams path;
    memset(&path, 0, sizeof(path));
    memcpy(&path.spp_address, &address, sizeof(address));
    path.spp_flags = SPP_PMTUD_DISABLE;
    path.spp_pathmtu = weft_packet;
    weft_set(socket, SCTP_PEER_ADDR_PARAMS, &path, sizeof(path));
    return socket;
}

void weft_sctp_close(weft_sctp *association, uint64_t peer) {
    usrsctp_close(association);
    usrsctp_deregister_address((void *)(uintptr_t)peer);
}

void weft_sctp_receive(uint64_t peer, const uint8_t *bytes, size_t count) {
    usrsctp_conninput((void *)(uintptr_t)peer, bytes, count, 0);
}

static weft_sctp_read_result weft_notification(const uint8_t *bytes, size_t count) {
    weft_sctp_read_result result = {.event = weft_sctp_notice};
    struct sctp_tlv header;
    if (count < sizeof(header)) return result;
    memcpy(&header, bytes, sizeof(header));
    if (header.sn_type == SCTP_ASSOC_CHANGE && count >= sizeof(struct sctp_assoc_change)) {
        struct sctp_assoc_change change;
        memcpy(&change, bytes, sizeof(change));
        if (change.sac_state == SCTP_COMM_UP) {
            result.event = weft_sctp_up;
        } else {
            // A peer that starts anew has forgotten its channels.
            result.event = weft_sctp_down;
        }
    } else if (header.sn_type == SCTP_STREAM_RESET_EVENT
               && count >= sizeof(struct sctp_stream_reset_event)) {
        struct sctp_stream_reset_event reset;
        memcpy(&reset, bytes, sizeof(reset));
        bool is_done =
            (reset.strreset_flags & (SCTP_STREAM_RESET_DENIED | SCTP_STREAM_RESET_FAILED)) == 0;
        if (!is_done) return result;
        result.event = (reset.strreset_flags & SCTP_STREAM_RESET_INCOMING_SSN) != 0
                           ? weft_sctp_closed_by_peer
                           : weft_sctp_closed;
        // The list of streams follows; none at all stands for every stream.
        result.count = (count - sizeof(reset)) / sizeof(uint16_t);
    }
    return result;
}

weft_sctp_read_result weft_sctp_read(weft_sctp *association, uint8_t *room, size_t count) {
    struct sctp_rcvinfo info;
    memset(&info, 0, sizeof(info));
    socklen_t info_count = sizeof(info);
    unsigned int info_type = 0;
    int flags = 0;
    ssize_t read =
        usrsctp_recvv(association, room, count, NULL, NULL, &info, &info_count, &info_type, &flags);
    weft_sctp_read_result result = {.event = weft_sctp_nothing};
    if (read < 0) {
        if (errno != EWOULDBLOCK && errno != EAGAIN && errno != ENOTCONN && errno != EINPROGRESS)
            result.event = weft_sctp_down;
        return result;
    }
    if ((flags & MSG_NOTIFICATION) != 0) {
        result = weft_notification(room, (size_t)read);
        if (result.event == weft_sctp_closed || result.event == weft_sctp_closed_by_peer) {
            memmove(
                room, room + sizeof(struct sctp_stream_reset_event),
                result.count * sizeof(uint16_t));
        }
        return result;
    }
    if (read == 0) {
        result.event = weft_sctp_down;
        return result;
    }
    result.event = weft_sctp_data;
    result.count = (size_t)read;
    result.stream = info.rcv_sid;
    result.protocol = ntohl(info.rcv_ppid);
    result.is_end = (flags & MSG_EOR) != 0;
    return result;
}

int weft_sctp_send(
    weft_sctp *association, const uint8_t *bytes, size_t count, uint16_t stream,
    uint32_t protocol) {
    struct sctp_sendv_spa spa;
    memset(&spa, 0, sizeof(spa));
    spa.sendv_flags = SCTP_SEND_SNDINFO_VALID;
    spa.sendv_sndinfo.snd_sid = stream;
    spa.sendv_sndinfo.snd_ppid = htonl(protocol);
    spa.sendv_sndinfo.snd_flags = SCTP_EOR;
    ssize_t sent = usrsctp_sendv(
        association, bytes, count, NULL, 0, &spa, sizeof(spa), SCTP_SENDV_SPA, 0);
    if (sent >= 0) return 0;
    return errno == EAGAIN ? EWOULDBLOCK : errno;
}

int weft_sctp_close_stream(weft_sctp *association, uint16_t stream) {
    _Alignas(struct sctp_reset_streams) uint8_t
        room[sizeof(struct sctp_reset_streams) + sizeof(uint16_t)];
    struct sctp_reset_streams *reset = (struct sctp_reset_streams *)room;
    memset(room, 0, sizeof(room));
    reset->srs_flags = SCTP_STREAM_RESET_OUTGOING;
    reset->srs_number_streams = 1;
    reset->srs_stream_list[0] = stream;
    return weft_set(association, SCTP_RESET_STREAMS, reset, sizeof(room)) ? 0 : errno;
}

void weft_sctp_ask(weft_sctp *association, uint64_t peer) {
    struct sockaddr_conn address = weft_address(peer);
    struct sctp_paddrparams path;
    memset(&path, 0, sizeof(path));
    memcpy(&path.spp_address, &address, sizeof(address));
    path.spp_flags = SPP_HB_DEMAND;
    weft_set(association, SCTP_PEER_ADDR_PARAMS, &path, sizeof(path));
}

uint32_t weft_sctp_round_trip(weft_sctp *association) {
    struct sctp_status status;
    socklen_t count = sizeof(status);
    memset(&status, 0, sizeof(status));
    if (usrsctp_getsockopt(association, IPPROTO_SCTP, SCTP_STATUS, &status, &count) != 0) return 0;
    return status.sstat_primary.spinfo_srtt;
}
