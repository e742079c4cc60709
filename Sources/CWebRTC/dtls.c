// The server's end of DTLS 1.2 over datagrams that somebody else sends and receives.

#include "CWebRTC.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/srtp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

// What a datagram may hold, so that it fits where the least is guaranteed (IPv6, with headers).
static const long weft_mtu = 1200;

struct weft_dtls_server {
    SSL_CTX *context;
    BIO_METHOD *method;
};

struct weft_dtls {
    SSL *ssl;
    uint64_t peer;
    weft_output output;
    const uint8_t *datagram;
    size_t count;
};

static int weft_write(BIO *bio, const char *bytes, int count) {
    weft_dtls *dtls = BIO_get_data(bio);
    dtls->output(dtls->peer, (const uint8_t *)bytes, (size_t)count);
    return count;
}

static int weft_read(BIO *bio, char *room, int count) {
    weft_dtls *dtls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (dtls->datagram == NULL) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t taken = dtls->count < (size_t)count ? dtls->count : (size_t)count;
    memcpy(room, dtls->datagram, taken);
    dtls->datagram = NULL;
    return (int)taken;
}

static long weft_control(BIO *bio, int command, long value, void *pointer) {
    (void)bio;
    (void)value;
    (void)pointer;
    switch (command) {
        case BIO_CTRL_FLUSH: return 1;
        case BIO_CTRL_DGRAM_QUERY_MTU: return weft_mtu;
        // What UDP and IP add is not counted in it.
        case BIO_CTRL_DGRAM_GET_MTU_OVERHEAD: return 0;
        default: return 0;
    }
}

// Any certificate will do: who the peer is shows in the handshake above, which names this one.
static int weft_accept_any(int is_fine, X509_STORE_CTX *store) {
    (void)is_fine;
    (void)store;
    return 1;
}

weft_dtls_server *weft_dtls_server_new(
    const uint8_t *certificate, size_t certificate_count, const uint8_t *key, size_t key_count) {
    weft_dtls_server *server = calloc(1, sizeof(*server));
    if (server == NULL) return NULL;
    server->context = SSL_CTX_new(DTLS_server_method());
    server->method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weft");
    if (server->context == NULL || server->method == NULL) goto failed;
    BIO_meth_set_write(server->method, weft_write);
    BIO_meth_set_read(server->method, weft_read);
    BIO_meth_set_ctrl(server->method, weft_control);
    if (SSL_CTX_use_certificate_ASN1(server->context, (int)certificate_count, certificate) != 1
        || SSL_CTX_use_PrivateKey_ASN1(EVP_PKEY_EC, server->context, key, (long)key_count) != 1
        || SSL_CTX_set_min_proto_version(server->context, DTLS1_2_VERSION) != 1
        // No media are sent, but some peers go on only when it is agreed how they would be.
        || SSL_CTX_set_tlsext_use_srtp(server->context, "SRTP_AES128_CM_SHA1_80") != 0)
        goto failed;
    SSL_CTX_set_options(
        server->context, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(server->context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(
        server->context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, weft_accept_any);
    SSL_CTX_set_mode(server->context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(server->context, 1);
    return server;
failed:
    ERR_clear_error();
    weft_dtls_server_free(server);
    return NULL;
}

void weft_dtls_server_free(weft_dtls_server *server) {
    SSL_CTX_free(server->context);
    BIO_meth_free(server->method);
    free(server);
}

weft_dtls *weft_dtls_new(weft_dtls_server *server, uint64_t peer, weft_output output) {
    weft_dtls *dtls = calloc(1, sizeof(*dtls));
    if (dtls == NULL) return NULL;
    dtls->peer = peer;
    dtls->output = output;
    dtls->ssl = SSL_new(server->context);
    BIO *bio = BIO_new(server->method);
    if (dtls->ssl == NULL || bio == NULL) {
        BIO_free(bio);
        SSL_free(dtls->ssl);
        free(dtls);
        return NULL;
    }
    BIO_set_data(bio, dtls);
    BIO_set_init(bio, 1);
    SSL_set_bio(dtls->ssl, bio, bio);
    SSL_set_mtu(dtls->ssl, weft_mtu);
    SSL_set_accept_state(dtls->ssl);
    return dtls;
}

void weft_dtls_free(weft_dtls *dtls) {
    SSL_free(dtls->ssl);
    free(dtls);
}

void weft_dtls_receive(weft_dtls *dtls, const uint8_t *bytes, size_t count) {
    dtls->datagram = bytes;
    dtls->count = count;
}

static bool weft_is_over(weft_dtls *dtls, int result) {
    int error = SSL_get_error(dtls->ssl, result);
    ERR_clear_error();
    return error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE;
}

int weft_dtls_read(weft_dtls *dtls, uint8_t *room, size_t count) {
    ERR_clear_error();
    int result = SSL_read(dtls->ssl, room, (int)count);
    // The bytes belong to the caller, who may not keep them.
    if (result <= 0) dtls->datagram = NULL;
    if (result > 0) return result;
    return weft_is_over(dtls, result) ? -1 : 0;
}

bool weft_dtls_send(weft_dtls *dtls, const uint8_t *bytes, size_t count) {
    ERR_clear_error();
    int result = SSL_write(dtls->ssl, bytes, (int)count);
    return result > 0 || !weft_is_over(dtls, result);
}

bool weft_dtls_is_open(const weft_dtls *dtls) { return SSL_is_init_finished(dtls->ssl); }

bool weft_dtls_fingerprint(const weft_dtls *dtls, uint8_t *digest) {
    X509 *certificate = SSL_get1_peer_certificate(dtls->ssl);
    if (certificate == NULL) return false;
    unsigned int count = 32;
    int result = X509_digest(certificate, EVP_sha256(), digest, &count);
    X509_free(certificate);
    return result == 1 && count == 32;
}

int64_t weft_dtls_timeout(weft_dtls *dtls) {
    struct timeval time;
    if (DTLSv1_get_timeout(dtls->ssl, &time) != 1) return -1;
    return (int64_t)time.tv_sec * 1000 + (time.tv_usec + 999) / 1000;
}

bool weft_dtls_resend(weft_dtls *dtls) {
    ERR_clear_error();
    bool is_fine = DTLSv1_handle_timeout(dtls->ssl) >= 0;
    ERR_clear_error();
    return is_fine;
}

void weft_dtls_close(weft_dtls *dtls) {
    ERR_clear_error();
    if (SSL_is_init_finished(dtls->ssl)) SSL_shutdown(dtls->ssl);
    ERR_clear_error();
}
