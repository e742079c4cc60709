// A tiny contract: it answers with what it was asked.

#include <weft.h>

WEFT_METHOD(echo) {
    char query[64];
    int length = weft_field(WEFT_REQUEST, WEFT_QUERY, "", 0, query, sizeof query);
    weft_write("hello ", 6);
    weft_write(query, (size_t)(length < 64 ? length : 64));
}
