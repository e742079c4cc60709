// A contract: weft://<cid>/greet?name=Ada answers a greeting.
//
// Each method reads the request, may fetch other contracts and content, writes the response, and
// ends. Nothing else is there: no clock, no files, no network.

#include "weft.h"

static size_t length(const char *text) {
    size_t count = 0;
    while (text[count]) count++;
    return count;
}

static void print(const char *text) { weft_write(text, length(text)); }

WEFT_METHOD(greet) {
    static char query[1024];
    int32_t count = weft_field(WEFT_REQUEST, WEFT_QUERY, "", 0, query, sizeof query - 1);
    if (count < 0 || count >= (int32_t)sizeof query) count = 0;
    query[count] = 0;
    const char *name = "world";
    if (query[0] == 'n' && query[1] == 'a' && query[2] == 'm' && query[3] == 'e' && query[4] == '=') {
        name = query + 5;
    }
    static const char header[] = "content-type", type[] = "text/plain; charset=utf-8";
    weft_header(header, sizeof header - 1, type, sizeof type - 1);
    print("Hello, ");
    print(name);
    print("!\n");
}
