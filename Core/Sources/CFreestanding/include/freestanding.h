// What Embedded Swift expects of a C library, for a WebAssembly module that has none, and what the
// module asks of the page that it runs in. On hosts this target is empty.
#ifndef WEFT_FREESTANDING_H
#define WEFT_FREESTANDING_H

#include <stddef.h>
#include <stdint.h>

#if __wasm__
#define WEFT_IMPORT(name) __attribute__((import_module("weft"), import_name(name)))
#else
#define WEFT_IMPORT(name)
#endif

// Sends bytes on the channel of a connection. They are copied before it returns zero if the channel
// is full.
WEFT_IMPORT("send")
uint32_t weft_host_send(uint32_t connection, const void *bytes, size_t count);

// Sends a message on a data channel of a connection; its kind is the number that it has in SCTP,
// and zero closes the data channel. Zero as above.
WEFT_IMPORT("message")
uint32_t weft_host_message(
    uint32_t connection, uint32_t stream, uint32_t kind, const void *bytes, size_t count);

// Has the browser compute the SHA2-256 of bytes, which are copied before it returns; the digest is
// told later (`weft_hashed`). Zero if it computes none.
WEFT_IMPORT("hash")
uint32_t weft_host_hash(uint32_t number, const void *bytes, size_t count);

// Whether the page keeps the block with this multihash on disk: zero if not.
WEFT_IMPORT("stored")
uint32_t weft_host_stored(const void *hash, size_t hash_count);

// Has the page keep a block on disk, as far as it has room. Its bytes are copied before it returns.
WEFT_IMPORT("store")
void weft_host_store(const void *hash, size_t hash_count, const void *bytes, size_t count);

// Has the page forget a block on disk.
WEFT_IMPORT("unstore")
void weft_host_unstore(const void *hash, size_t hash_count);

// Has the page read a block from disk, which is told later (`weft_read_from_disk`).
WEFT_IMPORT("load")
void weft_host_load(uint32_t number, const void *hash, size_t hash_count);

// Has the page bring the block with this CID, which is text, for a reading: from the first of those
// that it knows besides peers, or the one after that, as `attempt` says. It is told later
// (`weft_brought`). Zero if there are not so many.
WEFT_IMPORT("bring")
uint32_t weft_host_bring(
    uint32_t number, uint32_t reading, uint32_t attempt, const void *cid, size_t cid_count);

// Tells what has happened: its kind, what it happened to, a number, and bytes, which are copied
// before it returns. The page calls the module no sooner than the module has returned.
WEFT_IMPORT("event")
void weft_host_event(
    uint32_t kind, uint32_t subject, double number, const void *bytes, size_t count);

#endif
