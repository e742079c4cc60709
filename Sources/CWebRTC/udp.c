// Datagrams that leave one socket together: in one call of the system and, where several of the same
// length follow each other on one way, as one long datagram that the system or the network card cuts
// up (UDP_SEGMENT, udp(7)).

#define _GNU_SOURCE

#include "CWebRTC.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

// How many bytes wait at once, how many runs of datagrams, and how long one run may be.
enum { weft_udp_room = 128 << 10, weft_udp_runs = 64 };
enum { weft_udp_segments = 64, weft_udp_longest = 65000 };

// Datagrams of the same length that follow each other on one way; the last may be shorter.
typedef struct {
    weft_udp_path path;
    size_t start;
    size_t count;
    size_t segment;
    size_t segments;
} weft_udp_run;

struct weft_udp {
    size_t used;
    size_t run_count;
    bool is_segmenting;
    weft_udp_run runs[weft_udp_runs];
    uint8_t bytes[weft_udp_room];
};

weft_udp *weft_udp_new(void) {
    weft_udp *udp = calloc(1, sizeof(*udp));
    if (udp != NULL) udp->is_segmenting = true;
    return udp;
}

void weft_udp_free(weft_udp *udp) { free(udp); }

weft_udp_path weft_udp_path_make(
    const void *peer, size_t peer_count, const void *local, uint32_t interface) {
    weft_udp_path path;
    memset(&path, 0, sizeof(path));
    if (peer_count > sizeof(path.peer)) return path;
    memcpy(path.peer, peer, peer_count);
    path.peer_count = (uint32_t)peer_count;
    sa_family_t family;
    if (local == NULL) return path;
    memcpy(&family, local, sizeof(family));
    if (family == AF_INET) {
        memcpy(path.local, &((const struct sockaddr_in *)local)->sin_addr, 4);
        path.local_count = 4;
    } else if (family == AF_INET6) {
        const struct in6_addr *address = &((const struct sockaddr_in6 *)local)->sin6_addr;
        memcpy(path.local, address, 16);
        path.local_count = 16;
        if (IN6_IS_ADDR_LINKLOCAL(address)) path.interface = interface;
    }
    return path;
}

bool weft_udp_add(weft_udp *udp, const weft_udp_path *path, const uint8_t *bytes, size_t count) {
    if (count > weft_udp_room - udp->used) return false;
    weft_udp_run *last = udp->run_count > 0 ? &udp->runs[udp->run_count - 1] : NULL;
    bool is_same = last != NULL && udp->is_segmenting && count > 0 && count <= last->segment
                   && last->count == last->segment * last->segments
                   && last->segments < weft_udp_segments
                   && last->count + count <= weft_udp_longest
                   && memcmp(&last->path, path, sizeof(*path)) == 0;
    if (!is_same) {
        if (udp->run_count == weft_udp_runs) return false;
        last = &udp->runs[udp->run_count++];
        *last = (weft_udp_run){.path = *path, .start = udp->used, .segment = count};
    }
    memcpy(udp->bytes + udp->used, bytes, count);
    udp->used += count;
    last->count += count;
    last->segments += 1;
    return true;
}

typedef union {
    struct cmsghdr header;
    uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint16_t))];
} weft_udp_control;

static void weft_udp_put(
    struct msghdr *message, weft_udp_control *control, int level, int type, const void *value,
    size_t count) {
    struct cmsghdr *header =
        (struct cmsghdr *)(void *)(control->bytes + message->msg_controllen);
    header->cmsg_level = level;
    header->cmsg_type = type;
    header->cmsg_len = CMSG_LEN(count);
    memcpy(CMSG_DATA(header), value, count);
    message->msg_control = control->bytes;
    message->msg_controllen += CMSG_SPACE(count);
}

static void weft_udp_prepare(
    struct msghdr *message, weft_udp_run *run, struct iovec *piece, weft_udp_control *control) {
    memset(message, 0, sizeof(*message));
    memset(control, 0, sizeof(*control));
    message->msg_name = run->path.peer;
    message->msg_namelen = run->path.peer_count;
    message->msg_iov = piece;
    message->msg_iovlen = 1;
    if (run->path.local_count == 4) {
        struct in_pktinfo info = {.ipi_ifindex = 0};
        memcpy(&info.ipi_spec_dst, run->path.local, 4);
        weft_udp_put(message, control, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    } else if (run->path.local_count == 16) {
        struct in6_pktinfo info = {.ipi6_ifindex = run->path.interface};
        memcpy(&info.ipi6_addr, run->path.local, 16);
        weft_udp_put(message, control, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
    }
    if (run->segments > 1) {
        uint16_t segment = (uint16_t)run->segment;
        weft_udp_put(message, control, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment));
    }
}

// Sends the datagrams of a run one by one.
static void weft_udp_send_each(weft_udp *udp, int socket, weft_udp_run *run) {
    for (size_t done = 0; done < run->count; done += run->segment) {
        size_t left = run->count - done;
        struct iovec piece = {
            .iov_base = udp->bytes + run->start + done,
            .iov_len = left < run->segment ? left : run->segment};
        struct msghdr message;
        weft_udp_control control;
        weft_udp_run one = *run;
        one.segments = 1;
        weft_udp_prepare(&message, &one, &piece, &control);
        (void)sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}

void weft_udp_flush(weft_udp *udp, int socket) {
    struct mmsghdr messages[weft_udp_runs];
    struct iovec pieces[weft_udp_runs];
    weft_udp_control controls[weft_udp_runs];
    for (size_t index = 0; index < udp->run_count; index++) {
        weft_udp_run *run = &udp->runs[index];
        pieces[index] =
            (struct iovec){.iov_base = udp->bytes + run->start, .iov_len = run->count};
        weft_udp_prepare(&messages[index].msg_hdr, run, &pieces[index], &controls[index]);
        messages[index].msg_len = 0;
    }
    size_t next = 0;
    while (next < udp->run_count) {
        int sent = sendmmsg(
            socket, messages + next, (unsigned int)(udp->run_count - next),
            MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) {
            next += (size_t)sent;
            continue;
        }
        if (errno == EINTR) continue;
        // What there is no room for is lost, as it may be on its way.
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) break;
        // A way may be too narrow for what is cut up, or a card unable to do it; any other error is
        // that of one way, which costs the others nothing.
        if (udp->runs[next].segments > 1 && (errno == EINVAL || errno == EIO)) {
            if (errno == EIO) udp->is_segmenting = false;
            weft_udp_send_each(udp, socket, &udp->runs[next]);
        }
        next++;
    }
    udp->used = 0;
    udp->run_count = 0;
}
