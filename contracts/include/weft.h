// What a contract can ask of its host: the native interface of contracts, version 1.
//
// A contract is a WebAssembly module that answers one request and ends. Its methods are its exports
// of type () -> (): the URL weft://<cid>/<method>/… calls the export <method>, a name of lower-case
// letters, digits and hyphens that begins with a letter; weft://<cid>/ calls "index". The export
// "_initialize", if there is one, runs first.
//
// Pointers lead into the contract's own memory, which it exports as "memory". What is read is copied
// out: a call with too small a buffer copies what fits and gives the whole length, so that asking
// with length 0 first tells how much there is. -1 means that there is nothing of that name.
//
// Misuse ends the call as a trap: a range outside of memory, a source that there is not, a negative
// offset or length, a name that is not UTF-8, a URL of another kind. Every function costs 200 gas, weft_fetch
// 5,000; and 1 for each 8 bytes that are copied in or out, weft_seed 8 for each byte.

#ifndef WEFT_H
#define WEFT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Begins the definition of a method: WEFT_METHOD(greet) { … }
#define WEFT_METHOD(name) __attribute__((export_name(#name))) void name(void)

#define WEFT_IMPORT(name) __attribute__((import_module("weft"), import_name(#name)))

/// A number for something that can be read: the request, another contract's answer, or content.
typedef int32_t weft_source;

/// The request that this call answers.
#define WEFT_REQUEST ((weft_source)0)

/// What weft_field can be asked for. Of answers there are only headers.
enum {
    /// GET, POST, …
    WEFT_METHOD_NAME = 0,
    /// What follows the contract's CID, percent-decoded once; begins with '/'.
    WEFT_PATH = 1,
    /// What follows '?', as it stands in the URL.
    WEFT_QUERY = 2,
    /// The value of a header, whose name is given in lower case.
    WEFT_HEADER = 3,
    /// The names of all headers, one a line, sorted.
    WEFT_HEADER_NAMES = 4,
};

/// What weft_status says of a call that has no answer. Such a call used all its gas.
enum {
    WEFT_OUT_OF_GAS = 1,
    WEFT_STACK_EXHAUSTED = 2,
    WEFT_TRAPPED = 3,
};

/// Copies text about a source; gives its length in bytes, or -1.
WEFT_IMPORT(field)
int32_t weft_field(
    weft_source source, int32_t kind, const char *name, size_t name_length, char *out,
    size_t out_length);

/// The bytes of a source's body.
WEFT_IMPORT(size)
int64_t weft_size(weft_source source);

/// Copies a range of a source's body; gives how many bytes there were to copy, 0 at the end.
WEFT_IMPORT(read)
int32_t weft_read(weft_source source, int64_t offset, void *out, size_t out_length);

/// Starts to call a contract (weft://<cid>/<method>…, or /<method>… for this contract itself), or to
/// get the content of a CID (ipfs://<cid>), and gives its source at once. Calls that are started
/// together run side by side; what they give does not depend on who is first. `headers` are lines
/// "name: value\n"; of these, content-type, accept, weft-dir, weft-gas and names that begin with
/// weft-arg- reach the contract that is called. weft-gas bounds what it may use; without it, that is
/// half of what is left. What it does not use comes back. A contract can fetch 4,096 times. A method
/// that the contract does not have is answered with 404, what is no contract with 422.
WEFT_IMPORT(fetch)
weft_source weft_fetch(
    const char *url, size_t url_length, const char *method, size_t method_length,
    const char *headers, size_t headers_length, const void *body, size_t body_length);

/// Waits for an answer, and gives its status: 200 to 599, or why there is none. Everything else that
/// is asked about such a source waits as well.
WEFT_IMPORT(status)
int32_t weft_status(weft_source source);

/// Sets the status of the response, 200 to 599; 200 if it is never set.
WEFT_IMPORT(respond)
void weft_respond(int32_t status);

/// Sets a header of the response, of at most 32. The name has up to 64 small letters, digits, '-' and
/// '_'.
WEFT_IMPORT(header)
void weft_header(const char *name, size_t name_length, const char *value, size_t value_length);

/// Appends to the body of the response.
WEFT_IMPORT(write)
void weft_write(const void *bytes, size_t length);

/// Appends a range of a source's body to the body of the response, without bringing it into memory.
WEFT_IMPORT(pass)
void weft_pass(weft_source source, int64_t offset, int64_t length);

/// Fills memory with bytes that follow from what is called with what: the same in every run.
WEFT_IMPORT(seed)
void weft_seed(void *out, size_t length);

#ifdef __cplusplus
}
#endif

#endif
