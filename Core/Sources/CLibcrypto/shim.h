// The system's OpenSSL (openssl.org; Debian: libssl-dev): its stream cipher with authentication.
#include <openssl/evp.h>

// A macro of OpenSSL that Swift cannot see.
static const int weft_get_tag = EVP_CTRL_AEAD_GET_TAG;
static const int weft_set_tag = EVP_CTRL_AEAD_SET_TAG;
