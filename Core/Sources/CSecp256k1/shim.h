// The system's libsecp256k1 (github.com/bitcoin-core/secp256k1; Debian: libsecp256k1-dev).
#include <secp256k1.h>
