// Writes a JSON document and parses it into a tree, again and again.

#include "bench.h"

void *malloc(size_t count);
void free(void *bytes);

typedef enum { null, boolean, number, text, list, object } kind;
typedef struct value {
    kind kind;
    double number;
    const char *text;
    size_t length;
    struct value *first, *next;
} value;

static char document[1 << 20];
static size_t length;

static void put(char c) { if (length < sizeof document - 1) document[length++] = c; }
static void put_text(const char *text) { while (*text) put(*text++); }
static void put_number(uint64_t n) {
    char digits[20];
    int count = 0;
    do digits[count++] = (char)('0' + n % 10); while (n /= 10);
    while (count) put(digits[--count]);
}

static void write_document(uint64_t *random) {
    length = 0;
    put('[');
    for (int i = 0; i < 4000; i++) {
        if (i) put(',');
        put_text("{\"id\":");
        put_number(bench_next(random) % 100000);
        put_text(", \"name\":\"entry \\u00e9 ");
        put_number(i);
        put_text("\", \"price\":-");
        put_number(bench_next(random) % 1000);
        put('.');
        put_number(bench_next(random) % 100);
        put_text("e2,\"tags\":[\"a\",\"bb\",\"ccc\",null,true,false]}");
    }
    put(']');
}

static const char *at;

static value *make(kind kind) {
    value *made = malloc(sizeof *made);
    *made = (value){.kind = kind};
    return made;
}

static void skip(void) { while (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r') at++; }

static value *parse_text(void) {
    value *made = make(text);
    made->text = ++at;
    while (*at && *at != '"') at += *at == '\\' ? 2 : 1;
    made->length = at++ - made->text;
    return made;
}

static value *parse_number(void) {
    value *made = make(number);
    double sign = 1, scale = 1;
    if (*at == '-') sign = -1, at++;
    while (*at >= '0' && *at <= '9') made->number = made->number * 10 + (*at++ - '0');
    if (*at == '.') {
        for (at++; *at >= '0' && *at <= '9'; at++) made->number += (*at - '0') * (scale /= 10);
    }
    if (*at == 'e') {
        int exponent = 0;
        for (at++; *at >= '0' && *at <= '9'; at++) exponent = exponent * 10 + (*at - '0');
        while (exponent-- > 0) made->number *= 10;
    }
    made->number *= sign;
    return made;
}

static value *parse(void) {
    skip();
    switch (*at) {
    case '"': return parse_text();
    case 'n': at += 4; return make(null);
    case 't': at += 4; return make(boolean);
    case 'f': at += 5; return make(boolean);
    case '[':
    case '{': {
        value *made = make(*at == '[' ? list : object), **last = &made->first;
        char end = *at++ == '[' ? ']' : '}';
        for (skip(); *at && *at != end; skip()) {
            if (*at == ',' || *at == ':') { at++; continue; }
            *last = parse();
            last = &(*last)->next;
        }
        at++;
        return made;
    }
    default: return parse_number();
    }
}

static uint64_t total(value *tree) {
    uint64_t sum = bench_mix(tree->kind, tree->length);
    if (tree->kind == number) sum = bench_mix(sum, (uint64_t)(int64_t)tree->number);
    for (value *child = tree->first; child;) {
        value *next = child->next;
        sum = bench_mix(sum, total(child));
        child = next;
    }
    free(tree);
    return sum;
}

WEFT_METHOD(run) {
    uint64_t random = 6, sum = 0;
    for (int round = 0; round < 20; round++) {
        write_document(&random);
        document[length] = 0;
        at = document;
        sum = bench_mix(sum, total(parse()));
    }
    bench_answer(sum);
}
