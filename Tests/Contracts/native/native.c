// Asks the host of contracts what is easily answered in two ways: ends of ranges, absent things,
// misuse, and gas. Both engines have to say and take the same.

#include "weft.h"

static size_t length_of(const char *text) {
    size_t count = 0;
    while (text[count]) count++;
    return count;
}

static void print(const char *text) { weft_write(text, length_of(text)); }

static void print_number(int64_t number) {
    char digits[24];
    int at = sizeof digits;
    uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
    digits[--at] = '\n';
    do digits[--at] = (char)('0' + rest % 10); while ((rest /= 10) > 0);
    if (number < 0) digits[--at] = '-';
    weft_write(digits + at, sizeof digits - at);
}

static weft_source call(const char *url, const char *headers) {
    return weft_fetch(url, length_of(url), "", 0, headers, length_of(headers), "body", 4);
}

static weft_source content(const char *url) {
    return weft_fetch(url, length_of(url), "GET", 3, "", 0, "", 0);
}

// The number behind a slash at the end of the path.
static int path_number(void) {
    char path[64];
    int32_t count = weft_field(0, WEFT_PATH, "", 0, path, sizeof path);
    int number = 0;
    for (int32_t i = 0; i < count && i < (int32_t)sizeof path; i++) {
        if (path[i] >= '0' && path[i] <= '9') number = number * 10 + path[i] - '0';
    }
    return number;
}

static char text[4096];

WEFT_METHOD(fields) {
    for (int32_t kind = 0; kind <= 4; kind++) {
        const char *name = "weft-arg-one";
        int32_t count = weft_field(0, kind, name, length_of(name), text, sizeof text);
        print_number(count);
        weft_write(text, count < 0 ? 0 : (size_t)count);
        print("|\n");
    }
    print_number(weft_field(0, WEFT_HEADER, "user-agent", 10, text, 5));
    print_number(weft_field(0, WEFT_HEADER, "weft-gas", 8, text, 3));
    weft_write(text, 3);
    // Too small a buffer, none, and one that is nowhere but of no bytes.
    print_number(weft_field(0, WEFT_PATH, "", 0, text, 2));
    print_number(weft_field(0, WEFT_PATH, "", 0, 0, 0));
    print_number(weft_field(0, WEFT_PATH, "", 0, (char *)0xfffffff0, 0));
}

WEFT_METHOD(reads) {
    print_number(weft_size(0));
    print_number(weft_read(0, 0, text, 3));
    print_number(weft_read(0, 2, text, 100));
    print_number(weft_read(0, 1000000, text, 100));
    print_number(weft_read(0, INT64_MAX, text, 100));
    print_number(weft_read(0, 0, 0, 0));
    weft_pass(0, 0, 4);
    weft_pass(0, 3, INT64_MAX);
    weft_pass(0, 1000000, 4);
}

WEFT_METHOD(seeds) {
    unsigned char bytes[70];
    weft_seed(bytes, 33);
    weft_seed(bytes + 33, 37);
    for (int i = 0; i < 70; i++) {
        weft_write(&"0123456789abcdef"[bytes[i] >> 4], 1);
        weft_write(&"0123456789abcdef"[bytes[i] & 15], 1);
    }
}

WEFT_METHOD(headers) {
    weft_respond(201);
    weft_header("x-two", 5, "2", 1);
    weft_header("x-one", 5, "1", 1);
    weft_header("x-two", 5, "\xc3\xa9\t", 3);
    weft_header("content-type", 12, "", 0);
    for (int i = 0; i < path_number(); i++) {
        char name[4] = {'h', '-', (char)('a' + i % 26), (char)('a' + i / 26)};
        weft_header(name, 4, text, 10);
    }
    weft_respond(599);
}

WEFT_METHOD(misuse) {
    switch (path_number()) {
    case 1: weft_size(1); break;
    case 2: weft_seed((void *)0xfffffff0, 32); break;
    case 3: weft_field(0, 5, "", 0, text, 1); break;
    case 4: weft_respond(199); break;
    case 5: weft_header("X-Upper", 7, "1", 1); break;
    case 6: weft_header("x-control", 9, "\n", 1); break;
    case 7: weft_status(0); break;
    case 8: content("https://example.org/"); break;
    case 9: call("/fields", "weft-gas: many\n"); break;
    case 10: weft_write("", 0xffffffff); break;
    case 11: weft_field(0, WEFT_HEADER, "\xff", 1, text, 1); break;
    case 12: call("/fields", "no colon\n"); break;
    case 13: content("ipfs://nothing"); break;
    case 14: call("weft://nothing/fields", ""); break;
    case 15: call("/fields?a b", ""); break;
    case 16: call("/fields", "weft-gas: 0\n"); break;
    case 17: weft_size(-1); break;
    case 18: weft_fetch("/fields", 7, "get", 3, "", 0, "", 0); break;
    case 19: weft_fetch("/fields", 7, "GET", 3, "", 0, text, 0x7fffffff); break;
    case 20: call("/%ff", ""); break;
    case 21: call("", ""); break;
    case 22: weft_read(0, -1, text, 100); break;
    case 23: weft_pass(0, -1, 4); break;
    case 24: weft_pass(0, 0, -4); break;
    case 25: {
        // A URL of content with a thousand names and one.
        static char url[8192] = "ipfs://bafkqaaa";
        for (int i = 0; i < 2002; i++) url[15 + i] = i % 2 ? 'a' : '/';
        content(url);
        break;
    }
    default: print("no such misuse\n");
    }
}

// What a call that goes wrong looks like to its caller, and what comes back of its gas.
WEFT_METHOD(calls) {
    static const char *const urls[] = {
        "/fields/of%20it?x=1", "/misuse/1", "/deep", "/loop", "/none", "/", "/Fields", "/headers/3",
    };
    weft_source sources[8];
    for (int i = 0; i < 8; i++) sources[i] = call(urls[i], "weft-gas: 3000000\nweft-arg-one: 1\n");
    for (int i = 7; i >= 0; i--) {
        print_number(weft_status(sources[i]));
        print_number(weft_size(sources[i]));
        print_number(weft_field(sources[i], WEFT_HEADER_NAMES, "", 0, text, sizeof text));
        print_number(weft_field(sources[i], WEFT_PATH, "", 0, text, sizeof text));
        weft_pass(sources[i], 0, 40);
    }
    print_number(weft_status(call("/fields", "weft-gas:  3000000 \t\nweft-arg-one:\t1 \n")));
    print_number(weft_field(0, WEFT_HEADER, "weft-arg-\xe1\xbf\xaf", 12, text, sizeof text));
    // The last one is never asked for, but paid.
    call("/seeds", "");
}

WEFT_METHOD(contents) {
    char url[256];
    int32_t count = weft_read(0, 0, url, sizeof url - 32);
    if (count > 0 && url[count - 1] == '\n') count--;
    static const char *const tails[] = {
        "", "/", "/one.txt", "/none", "/one.txt/none", "/\xcc\x81/none", "/one.txt/\xcc\x81",
    };
    for (int i = 0; i < 7; i++) {
        size_t tail = length_of(tails[i]);
        for (size_t j = 0; j < tail; j++) url[count + j] = tails[i][j];
        weft_source source = weft_fetch(url, count + tail, "", 0, "", 0, "", 0);
        print_number(weft_status(source));
        print_number(weft_size(source));
        weft_pass(source, 1, 5);
    }
}

// Calls itself with all that is left, again and again.
WEFT_METHOD(nest) {
    int number = path_number();
    if (number == 0) return;
    static char url[] = "/nest/00";
    url[6] = (char)('0' + (number - 1) / 10);
    url[7] = (char)('0' + (number - 1) % 10);
    weft_source source = call(url, "");
    print_number(weft_status(source));
    weft_pass(source, 0, 1000);
}

WEFT_METHOD(twice) {
    print_number(weft_status(call("/seeds", "weft-gas: 100000\n")));
    print_number(weft_status(call("/seeds", "weft-gas: 100000\n")));
    print_number(weft_status(call("/seeds", "weft-gas: 100000000000000\n")));
}

static int deeper(volatile int *number) {
    volatile int mine = *number + 1;
    return deeper(&mine) + mine;
}

WEFT_METHOD(deep) {
    int number = 0;
    print_number(deeper(&number));
}

WEFT_METHOD(loop) {
    for (volatile int i = 0;; i = i + 1) {}
}

WEFT_METHOD(grow) {
    for (int i = 0; i < 100; i++) {
        if (__builtin_wasm_memory_grow(0, 1000) == (size_t)-1) {
            print_number(i);
            break;
        }
    }
    print_number((int64_t)__builtin_wasm_memory_size(0));
    // The last byte there is, and the first that there is not.
    size_t size = __builtin_wasm_memory_size(0) << 16;
    weft_read(0, 0, (char *)size - 4, 4);
    weft_write((char *)size - 4, 4);
    if (path_number() == 1) weft_write((char *)size - 4, 5);
}

WEFT_METHOD(divide) {
    volatile int one = 1, number = path_number();
    print_number(one / number);
}
