// The server's end of DTLS 1.2 over datagrams that somebody else sends and receives.

#include "CWebRTC.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/srtp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

// What a datagram may hold, so that it fits where the least is guaranteed (IPv6, with headers).
static const long weft_mtu = 1200;
// The longest record that is written, so that what is kept for one is no longer.
static const long weft_longest_record = 2048;

struct weft_dtls_server {
    SSL_CTX *context;
    // With the first cookies are made, with both they may have been.
    uint8_t secrets[2][32];
    // Looks at first messages whose senders have to prove where they are.
    weft_dtls *doorman;
};

struct weft_dtls {
    SSL *ssl;
    uint64_t peer;
    // NULL as long as it stands at the door.
    weft_output output;
    const uint8_t *datagram;
    size_t count;
    // At the door: the server's secrets, from where the message came, and the answer to it.
    const uint8_t (*secrets)[32];
    const uint8_t *address;
    size_t address_count;
    uint8_t *answer;
    size_t answer_room;
    size_t answer_count;
};

static int weft_write(BIO *bio, const char *bytes, int count) {
    weft_dtls *dtls = BIO_get_data(bio);
    if (dtls->output != NULL) {
        dtls->output(dtls->peer, (const uint8_t *)bytes, (size_t)count);
    } else if ((size_t)count <= dtls->answer_room) {
        memcpy(dtls->answer, bytes, (size_t)count);
        dtls->answer_count = (size_t)count;
    }
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

// How datagrams are read and written: one for each process, as OpenSSL has few numbers for them.
static BIO_METHOD *weft_method(void) {
    static BIO_METHOD *method;
    if (method != NULL) return method;
    BIO_METHOD *made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weft");
    if (made == NULL) return NULL;
    BIO_meth_set_write(made, weft_write);
    BIO_meth_set_read(made, weft_read);
    BIO_meth_set_ctrl(made, weft_control);
    method = made;
    return method;
}

static bool weft_cookie(
    const weft_dtls *dtls, int age, unsigned char *cookie, unsigned int *count) {
    *count = 32;
    return HMAC(
               EVP_sha256(), dtls->secrets[age], 32, dtls->address, dtls->address_count, cookie,
               count)
           != NULL;
}

// What somebody at an address has to bring back (RFC 6347, section 4.2.1).
static int weft_make_cookie(SSL *ssl, unsigned char *cookie, unsigned int *count) {
    const weft_dtls *dtls = SSL_get_app_data(ssl);
    return dtls->secrets != NULL && weft_cookie(dtls, 0, cookie, count);
}

static int weft_check_cookie(SSL *ssl, const unsigned char *cookie, unsigned int count) {
    uint8_t own[EVP_MAX_MD_SIZE];
    unsigned int own_count = 0;
    const weft_dtls *dtls = SSL_get_app_data(ssl);
    // Behind the door the same message is looked at once more.
    if (dtls->secrets == NULL) return 1;
    for (int age = 0; age < 2; age++) {
        if (weft_cookie(dtls, age, own, &own_count) && own_count == count
            && CRYPTO_memcmp(own, cookie, count) == 0)
            return 1;
    }
    return 0;
}

bool weft_dtls_renew(weft_dtls_server *server) {
    memcpy(server->secrets[1], server->secrets[0], sizeof(server->secrets[0]));
    return RAND_bytes(server->secrets[0], sizeof(server->secrets[0])) == 1;
}

weft_dtls_server *weft_dtls_server_new(
    const uint8_t *certificate, size_t certificate_count, const uint8_t *key, size_t key_count) {
    weft_dtls_server *server = calloc(1, sizeof(*server));
    if (server == NULL) return NULL;
    server->context = SSL_CTX_new(DTLS_server_method());
    if (server->context == NULL || !weft_dtls_renew(server)
        || !weft_dtls_renew(server))
        goto failed;
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
    SSL_CTX_set_cookie_generate_cb(server->context, weft_make_cookie);
    SSL_CTX_set_cookie_verify_cb(server->context, weft_check_cookie);
    SSL_CTX_set_max_send_fragment(server->context, weft_longest_record);
    SSL_CTX_set_read_ahead(server->context, 1);
    return server;
failed:
    ERR_clear_error();
    weft_dtls_server_free(server);
    return NULL;
}

void weft_dtls_server_free(weft_dtls_server *server) {
    if (server->doorman != NULL) weft_dtls_free(server->doorman);
    SSL_CTX_free(server->context);
    OPENSSL_cleanse(server->secrets, sizeof(server->secrets));
    free(server);
}

weft_dtls *weft_dtls_new(weft_dtls_server *server) {
    weft_dtls *dtls = calloc(1, sizeof(*dtls));
    if (dtls == NULL) return NULL;
    BIO_METHOD *method = weft_method();
    dtls->ssl = SSL_new(server->context);
    BIO *bio = method == NULL ? NULL : BIO_new(method);
    if (dtls->ssl == NULL || bio == NULL) {
        BIO_free(bio);
        SSL_free(dtls->ssl);
        free(dtls);
        return NULL;
    }
    BIO_set_data(bio, dtls);
    BIO_set_init(bio, 1);
    SSL_set_app_data(dtls->ssl, dtls);
    SSL_set_bio(dtls->ssl, bio, bio);
    SSL_set_mtu(dtls->ssl, weft_mtu);
    SSL_set_accept_state(dtls->ssl);
    return dtls;
}

void weft_dtls_start(weft_dtls *dtls, uint64_t peer, weft_output output) {
    dtls->peer = peer;
    dtls->output = output;
}

weft_dtls *weft_dtls_greet(
    weft_dtls_server *server, const uint8_t *address, size_t address_count, const uint8_t *bytes,
    size_t count, uint8_t *answer, size_t *answer_count) {
    size_t room = *answer_count;
    *answer_count = 0;
    if (server->doorman == NULL) server->doorman = weft_dtls_new(server);
    BIO_ADDR *unused = BIO_ADDR_new();
    weft_dtls *dtls = server->doorman;
    if (dtls == NULL || unused == NULL) {
        BIO_ADDR_free(unused);
        return NULL;
    }
    dtls->secrets = (const uint8_t(*)[32])server->secrets;
    dtls->address = address;
    dtls->address_count = address_count;
    dtls->answer = answer;
    dtls->answer_room = room;
    dtls->answer_count = 0;
    dtls->datagram = bytes;
    dtls->count = count;
    ERR_clear_error();
    int result = DTLSv1_listen(dtls->ssl, unused);
    ERR_clear_error();
    BIO_ADDR_free(unused);
    *answer_count = dtls->answer_count;
    dtls->datagram = NULL;
    dtls->secrets = NULL;
    dtls->address = NULL;
    dtls->answer = NULL;
    dtls->answer_room = 0;
    if (result > 0) {
        server->doorman = NULL;
        return dtls;
    }
    // What cannot go on is not asked again.
    if (result < 0) {
        weft_dtls_free(dtls);
        server->doorman = NULL;
    }
    return NULL;
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
