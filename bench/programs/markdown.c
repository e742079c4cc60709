// Turns a long text in Markdown into HTML: cmark, from Debian's source package.
// flags: -lc -fno-jump-tables
// source: cmark

#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "cmark.h"

static char document[1 << 20];

WEFT_METHOD(run) {
    static const char *const parts[] = {
        "# A title with *emphasis*\n\n", "Some text with `code`, a [link](https://example.org/)",
        " and **strong** words that go on and on and on.\n", "\n- an item\n- another item\n\n",
        "> quoted text\n> over lines\n\n", "```\nint main(void);\n```\n\n", "1. one\n2. two\n\n",
        "&amp; &copy; <b>html</b> \\* escaped\n\n", "![picture](a.png \"title\")\n\n",
    };
    uint64_t random = 9, sum = 0;
    size_t length = 0;
    for (;;) {
        const char *part = parts[bench_next(&random) % (sizeof parts / sizeof *parts)];
        size_t count = strlen(part);
        if (length + count >= sizeof document) break;
        memcpy(document + length, part, count);
        length += count;
    }
    char *html = cmark_markdown_to_html(document, length, CMARK_OPT_DEFAULT);
    for (size_t i = 0; html[i]; i++) sum = bench_mix(sum, (uint8_t)html[i]);
    free(html);
    bench_answer(sum);
}
