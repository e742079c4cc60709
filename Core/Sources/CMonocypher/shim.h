// Monocypher (monocypher.org), which Scripts/monocypher brings and compiles for WebAssembly:
// Curve25519, ChaCha20 and Poly1305 where there is no library of the system's.
#include <monocypher.h>
