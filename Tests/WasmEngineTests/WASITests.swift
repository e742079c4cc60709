// Programs for WASI preview 1 under the CGI convention, from text and from C.

import Foundation
import NIOCore
import Testing
import WasmRules

@testable import WasmEngine

/// A directory of a test, by paths.
struct MemoryDirectory: ContentDirectory {
    let files: [String: String]

    func open(_ path: [String]) -> ContentEntry? {
        let path = path.joined(separator: "/")
        if let text = files[path] { return .file(MemoryFile(bytes: Array(text.utf8))) }
        let prefix = path.isEmpty ? "" : path + "/"
        return path.isEmpty || files.keys.contains { $0.hasPrefix(prefix) } ? .directory : nil
    }

    func list(_ path: [String]) -> [ContentName]? {
        let prefix = path.map { $0 + "/" }.joined()
        let below = files.keys.filter { $0.hasPrefix(prefix) }
        let names = Set(below.map { String($0.dropFirst(prefix.count).prefix { $0 != "/" }) })
        return names.sorted().map { ContentName($0, isDirectory: files[prefix + $0] == nil) }
    }
}

@Suite struct WASITests {
    /// A program that writes a text to standard output and exits with a code.
    static func printing(_ text: String, code: Int) -> String {
        """
        (module
          (import "wasi_snapshot_preview1" "fd_write"
            (func $fd_write (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (memory (export "memory") 1)
          (data (i32.const 0) "\\10\\00\\00\\00\\00\\01\\00\\00")
          (data (i32.const 16) "\(text)")
          (func (export "_start")
            (i32.store (i32.const 4) (i32.const \(text.replacing("\\0a", with: ".").count)))
            (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
            (call $exit (i32.const \(code)))))
        """
    }

    @Test("standard output is the body, and header lines are headers only if they come first")
    func output() async throws {
        let plain = try await program(Self.printing("hi\\0a", code: 0)).run("any")
        #expect(plain.response.status == 200 && plain.text == "hi\n")
        let page = try await program(
            Self.printing("Status: 404 Gone\\0aContent-Type: text/x\\0a\\0abody", code: 0)
        ).run()
        #expect(page.response.status == 404 && page.text == "body")
        #expect(page.response.headers == [.init("content-type", "text/x")])
        for text in ["Status: 99\\0a\\0ab", "X: y\\0a\\0ab", "Status: 200\\0ab", "Status: 2"] {
            let outcome = try await program(Self.printing(text, code: 0)).run()
            #expect(outcome.response.status == 200)
            #expect(outcome.text == text.replacing("\\0a", with: "\n"))
        }
        let failed = try await program(Self.printing("oh", code: 3)).run()
        #expect(failed.status == .ok && failed.response.status == 500 && failed.text == "oh")
        #expect(failed.response.headers == [.init("weft-exit", "3")])
    }

    /// A program that looks at a path, and lists the root into so many bytes.
    static func looking(_ path: String, listing: Int) -> String {
        """
        (module
          (import "wasi_snapshot_preview1" "path_filestat_get"
            (func $look (param i32 i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_readdir"
            (func $list (param i32 i32 i32 i64 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 16) "\(path.padding(toLength: 16, withPad: " ", startingAt: 0))")
          (func (export "_start")
            (drop (call $look
              (i32.const 3) (i32.const 0) (i32.const 16) (i32.const \(path.utf8.count))
              (i32.const 64)))
            (drop (call $list (i32.const 3) (i32.const 1024) (i32.const \(listing))
              (i64.const 0) (i32.const 128)))))
        """
    }

    /// They read blocks, which takes much longer than what else a function of the host does.
    @Test("each name that is looked up is paid, and each entry of a listing")
    func lookups() async throws {
        func gas(_ path: String, listing: Int = 0) async throws -> Int64 {
            let program = try program(Self.looking(path, listing: listing))
            let directory = MemoryDirectory(files: ["one": "1", "in/a/two": "2", "in/b": "3"])
            return try await program.run { $0.directory = directory }.gas
        }
        let one = try await gas("one")
        #expect(try await gas("in/a") - one == 30_000)
        #expect(try await gas("in/a/..") == one)
        #expect(try await gas("no/ne/at") - one == 60_000 + 8 / 8, "it is looked for, too")
        #expect(try await gas("..") - one == -30_000, "nobody looks there")
        // Two entries: of 26 and 27 bytes.
        #expect(try await gas("one", listing: 4_096) - one == 2 * 30_000 + 53 / 8)
        #expect(try await gas("one", listing: 1) - one == 30_000)
    }

    @Test("a program that is stopped by an exit costs what it used")
    func exitGas() async throws {
        let program = try program(Self.printing("hi", code: 0))
        let outcome = try await program.run()
        #expect(outcome.gas < 20_000)
        #expect(outcome.gas == (try await program.run()).gas)
    }

    @Test("a C program sees its request", .enabled(if: Workplace.hasWASI))
    func request() async throws {
        let module = try Workplace().compile(
            """
            #include <stdio.h>
            #include <stdlib.h>
            #include <time.h>
            #include <unistd.h>
            extern char **environ;
            int main(int argc, char **argv) {
              printf("Content-Type: text/plain\\n\\n");
              for (int i = 0; i < argc; i++) printf("%s\\n", argv[i]);
              for (char **e = environ; *e; e++) printf("%s\\n", *e);
              char line[100];
              while (fgets(line, sizeof line, stdin)) printf("> %s", line);
              struct timespec now;
              clock_gettime(CLOCK_REALTIME, &now);
              unsigned char random[4];
              getentropy(random, 4);
              printf("%lld %02x%02x\\n", (long long)now.tv_sec, random[0], random[1]);
              fprintf(stderr, "done");
              return 0;
            }
            """)
        let outcome = try await Program(module, engine: try Engine.shared()).run("a") {
            $0.verb = "POST"
            $0.path = "/a/b c"
            $0.query = "q=1"
            $0.headers = [.init("accept", "x/y"), .init("content-type", "t/u")]
            $0.body = .bytes(ByteBuffer(string: "one\ntwo\n"))
        }
        #expect(outcome.status == .ok)
        #expect(outcome.response.headers == [.init("content-type", "text/plain")])
        #expect(
            outcome.text == """
                contract
                a
                b c
                REQUEST_METHOD=POST
                PATH_INFO=/a/b c
                QUERY_STRING=q=1
                CONTENT_TYPE=t/u
                CONTENT_LENGTH=8
                HTTP_ACCEPT=x/y
                > one
                > two
                0 2c34

                """)
        #expect(String(buffer: outcome.diagnostics) == "done")
    }

    @Test("a C program reads a directory, and cannot write", .enabled(if: Workplace.hasWASI))
    func directory() async throws {
        let module = try Workplace().compile(
            """
            #include <dirent.h>
            #include <errno.h>
            #include <fcntl.h>
            #include <stdio.h>
            #include <string.h>
            #include <sys/stat.h>
            #include <unistd.h>
            static void list(const char *path) {
              DIR *folder = opendir(path);
              if (!folder) { printf("%s: %s\\n", path, strerror(errno)); return; }
              for (struct dirent *e; (e = readdir(folder));)
                printf("%s%s\\n", e->d_name, e->d_type == DT_DIR ? "/" : "");
              closedir(folder);
            }
            int main(void) {
              list("/");
              list("/sub");
              struct stat status;
              printf("%d %lld\\n", stat("/sub/b.txt", &status), (long long)status.st_size);
              int both = open("/sub/b.txt", O_RDWR);
              printf("%d\\n", (int)write(both, "x", 1));
              FILE *file = fopen("/sub/../sub/./b.txt", "r");
              char text[20] = "";
              if (!file) return 1;
              fseek(file, -4, SEEK_END);
              fread(text, 1, 19, file);
              fclose(file);
              printf("%s\\n", text);
              printf("%d %d %d\\n", open("/new", O_CREAT | O_WRONLY),
                open("/none", O_RDONLY), open("/../etc/passwd", O_RDONLY));
              printf("%d %d\\n", unlink("/a.txt"), mkdir("/d", 0777));
              return 0;
            }
            """)
        let program = try Program(module, engine: try Engine.shared())
        let outcome = try await program.run {
            $0.directory = MemoryDirectory(files: ["a.txt": "A", "sub/b.txt": "some text"])
        }
        #expect(outcome.status == .ok)
        #expect(
            outcome.text == """
                a.txt
                sub/
                b.txt
                0 9
                -1
                text
                -1 -1 -1
                -1 -1

                """)
        let bare = try await program.run()
        #expect(bare.response.status == 500 && bare.text.hasPrefix("/: "))
    }
}
