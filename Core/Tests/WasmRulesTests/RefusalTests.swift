// What is refused, and in which words: an author reads them.

import Testing
import WasmRules

@Suite struct RefusalTests {
    private func refusal(_ bytes: [UInt8]) -> String? {
        do throws(WasmRefusal) {
            _ = try InstrumentedModule(bytes)
            return nil
        } catch {
            return error.description
        }
    }

    /// A module that uses a feature, and whether that is in a function's code.
    static let features: [(WasmFeature, [UInt8], inCode: Bool)] = [
        (.threads, module(code: [0x41, 0, 0xfe, 0x10, 2, 0, 0x1a]), true),
        (.threads, module((5, [1, 3, 1, 1])), false),
        (.relaxedSIMD, module(code: [0xfd, 0x80, 2]), true),
        (.memory64, module((5, [1, 4, 1])), false),
        (.memory64, module((4, [1, 0x70, 5, 1, 1])), false),
        (.garbageCollection, module((1, [1, 0x5f, 0])), false),
        (.garbageCollection, module(code: [0xfb, 0, 0]), true),
        (.garbageCollection, module(code: [0xd0, 0x6e, 0x1a]), true),
        (.typedFunctionReferences, module(code: [0x14, 0]), true),
        (.typedFunctionReferences, module((1, [1, 0x60, 1, 0x63, 0x70, 0])), false),
        (.typedFunctionReferences, module((4, [1, 0x40, 0, 0x70, 0, 1])), false),
        (.exceptions, module((13, [1, 0, 0])), false),
        (.exceptions, module(code: [0x06, 0x40]), true),
        (.exceptions, module(code: [0x1f, 0x40, 0]), true),
        (.exceptions, module(code: [0x08, 0]), true),
        (.exceptions, module((2, list([name("m") + name("n") + [4, 0, 0]]))), false),
        (.tailCalls, module(code: [0x12, 0]), true),
        (.multipleMemories, module((5, [2, 0, 1, 0, 1])), false),
        (.multipleMemories, module(code: [0x3f, 1, 0x1a]), true),
        (.multipleMemories, module(code: [0x41, 0, 0x28, 0x42, 1, 0, 0x1a]), true),
        (
            .extendedConstants,
            module((6, [1, 0x7f, 0, 0x41, 1, 0x41, 2, 0x6a, 0x0b])), false
        ),
        (.customPageSizes, module((5, [1, 8, 1, 0])), false),
        (.stackSwitching, module(code: [0xe0, 0]), true),
        (.wideArithmetic, module(code: [0xfc, 0x13]), true),
        (.memoryControl, module(code: [0xfc, 0x12, 0]), true),
        (.components, [0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0], false),
    ]

    @Test("a feature that contracts cannot use is named, with the function and what helps")
    func featureNames() throws {
        for (feature, bytes, inCode) in Self.features {
            let text = try #require(refusal(bytes), "\(feature) is taken")
            let place = inCode ? ", in function 0 (compute)" : ""
            #expect(
                text.hasPrefix(
                    "the module uses \(feature.name), which contracts cannot\(place), at byte "))
            #expect(text.hasSuffix("; \(feature.advice)"))
        }
        #expect(Set(Self.features.map(\.0)) == Set(WasmFeature.allCases))
    }

    static let limits: [(String, [UInt8])] = [
        ("it has too many types", module((1, number(4_001)))),
        ("a type has too many parameters", module((1, [1, 0x60] + number(201)))),
        ("a type has too many results", module((1, [1, 0x60, 0] + number(51)))),
        ("it has too many imports", module((2, number(501)))),
        ("it has too many functions", module(someTypes, (3, number(20_001)))),
        ("it has too many tables", module((4, number(17)))),
        ("a table has more than 65,536 elements", module((4, [1, 0x70, 0] + number(65_537)))),
        ("its memory begins with more than 4,096 pages", module((5, [1, 0] + number(4_097)))),
        ("it has too many globals", module((6, number(4_001)))),
        ("it has too many exports", module((7, number(4_001)))),
        ("a name is too long", module((2, [1] + number(1_025)))),
        ("it has too many element segments", module((9, number(4_001)))),
        ("it has too many data segments", module((11, number(10_001)))),
        (
            "a function's code has more than 256 KiB",
            module(code: [UInt8](repeating: 1, count: 256 << 10))
        ),
        (
            "a function has more than 2,000 variables",
            module(
                code: [],
                variables: [2] + number(1_001) + [0x7f] + number(1_000) + [0x7f])
        ),
        (
            "a function has more than 2,000 variables",
            module(code: [], variables: [1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7f])
        ),
        (
            "a function has more than 4,000 blocks within each other",
            module(code: [UInt8](repeating: 2, count: 4_001).flatMap { [$0, 0x40] })
        ),
        (
            "a function has too many branches, for its variables, or calls",
            module(
                code: [UInt8](repeating: 2, count: 2_001).flatMap { [$0, 0x40, 0x0b] },
                variables: [1] + number(2_000) + [0x7f])
        ),
        (
            "a function has too many branches, for its variables, or calls",
            module(code: copies(2_858))
        ),
        (
            "its functions have too many branches, for their variables, or calls",
            module(
                someTypes, (3, number(9) + [UInt8](repeating: 0, count: 9)), (4, [1, 0x70, 0, 1]),
                (10, list([[UInt8]](repeating: part([0] + copies(2_600) + [0x0b]), count: 9))))
        ),
        (
            "a br_table has too many labels",
            module(code: [0x41, 0, 0x0e] + number(4_001) + [UInt8](repeating: 0, count: 4_002))
        ),
        (
            "a function has more than 2,000 operands on its stack",
            module(code: [UInt8](repeating: 0x41, count: 2_001).flatMap { [$0, 0] })
        ),
        ("it has more than 4 MiB", module((0, name("x") + [UInt8](repeating: 0, count: 4 << 20)))),
    ]

    /// Instructions that take an engine 0.14 ms each to compile.
    private static func copies(_ count: Int) -> [UInt8] {
        (0..<count).flatMap { _ in [0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 0x0e, 0, 0] as [UInt8] }
    }

    @Test("what is larger than a contract may be is refused before it is kept")
    func limitNames() throws {
        for (reason, bytes) in Self.limits {
            let text = try #require(refusal(bytes), "\(reason): it is taken")
            #expect(text.hasPrefix("the module is too large for a contract: \(reason)"), "\(text)")
        }
    }

    @Test("a module that grows too much by being instrumented is refused")
    func expansion() throws {
        // Each part of a condition is a byte, and eight when it is instrumented.
        func bomb(_ count: Int) -> [UInt8] {
            let parts = (0..<32_000).flatMap { _ in [0x41, 0, 4, 0x40, 1, 5, 1, 0x0b] as [UInt8] }
            let function = part([0] + parts + [0x0b])
            return module(
                someTypes, (3, number(count) + [UInt8](repeating: 0, count: count)),
                (10, list([[UInt8]](repeating: function, count: count))))
        }
        #expect(refusal(bomb(1)) == nil)
        let text = try #require(refusal(bomb(15)))
        #expect(text.contains("it has more than 12 MiB when instrumented"), "\(text)")
    }

    static let rules: [(String, [UInt8])] = [
        (
            "it imports something other than a function",
            module((2, list([name("env") + name("memory") + [2, 0, 1]])))
        ),
        (
            "it imports something other than a function",
            module((2, list([name("env") + name("g") + [3, 0x7f, 0]])))
        ),
        (
            "it imports a function of other than integers",
            module(someTypes, (2, list([name("env") + name("f") + [0, 2]])))
        ),
        (
            "it exports a name that begins with weft:",
            module(
                someTypes, (3, [1, 0]), (7, list([name("weft:gas") + [0, 0]])),
                (10, list([[2, 0, 0x0b]])))
        ),
    ]

    @Test("the rules of contracts alone are told")
    func ruleNames() throws {
        for (reason, bytes) in Self.rules {
            let text = try #require(refusal(bytes), "\(reason): it is taken")
            #expect(text.hasPrefix("the module cannot be a contract: \(reason), "), "\(text)")
        }
    }

    static let invalid: [(String, [UInt8])] = [
        ("an instruction takes more than there is", module(code: [0x1a])),
        ("an instruction takes another type than there is", module(code: [0x42, 0, 0x45, 0x1a])),
        ("a block leaves more than its results", module(code: [0x41, 0])),
        ("a label that is not there", module(code: [0x0c, 1])),
        ("a function that is not there", module(code: [0x10, 1])),
        ("a variable that is not there", module(code: [0x20, 0])),
        ("a global that is not there", module(code: [0x23, 0])),
        ("a table that is not there", module(code: [0xfc, 0x10, 1])),
        ("a type that is not there", module(code: [0x02, 9, 0x0b])),
        ("an else without its if", module(code: [0x05])),
        (
            "an if without an else gives other than it takes",
            module(code: [0x41, 0, 0x04, 0x7f, 0x41, 0, 0x0b, 0x1a])
        ),
        ("a select is of two types", module(code: [0x41, 0, 0x42, 0, 0x41, 0, 0x1b, 0x1a])),
        ("an alignment is larger than the access", module(code: [0x41, 0, 0x28, 3, 0, 0x1a])),
        (
            "a reference to a function that is not declared as referenced",
            module(code: [0xd2, 0, 0x1a])
        ),
        (
            "two exports have the same name",
            module((5, [1, 0, 1]), (7, list([name("m") + [2, 0], name("m") + [2, 0]])))
        ),
        ("a maximum is less than its minimum", module((5, [1, 1, 2, 1]))),
        (
            "the start function takes or gives something",
            module(someTypes, (3, [1, 1]), (8, [0]), (10, list([[4, 0, 0x20, 0, 0x0b]])))
        ),
    ]

    @Test("what breaks the specification's rules is told by the rule")
    func invalidNames() throws {
        for (reason, bytes) in Self.invalid {
            let text = try #require(refusal(bytes), "\(reason): it is taken")
            #expect(text.hasPrefix("the module is not valid: \(reason), "), "\(text)")
        }
    }

    static let malformed: [(String, [UInt8])] = [
        ("it does not begin as modules do", []),
        ("it does not begin as modules do", Array("#include".utf8)),
        ("its version is not 1", [0, 0x61, 0x73, 0x6d, 2, 0, 0, 0]),
        ("it ends too early", module((5, []))),
        ("a list is cut off", module((1, [5]))),
        ("no section has this number", module((14, []))),
        ("a section comes twice or in the wrong place", module((5, [0]), (4, [0]))),
        ("a section comes twice or in the wrong place", module((5, [0]), (5, [0]))),
        ("a section is longer than its content", module((5, [0, 0]))),
        ("there are functions without code", module(someTypes, (3, [1, 0]))),
        ("no instruction has this number", module(code: [0xff])),
        ("no value type has this number", module((6, [1, 0, 0, 0x41, 0, 0x0b]))),
        ("a number is too long", module((5, [0x80, 0x80, 0x80, 0x80, 0x80, 0]))),
        ("a name is not UTF-8", module((0, [1, 0xff]))),
        ("data segments were not announced", module(code: [0xfc, 9, 0])),
        ("there are more or fewer data segments than announced", module((12, [1]))),
    ]

    @Test("what is not a module is told by what it lacks")
    func malformedNames() throws {
        for (reason, bytes) in Self.malformed {
            let text = try #require(refusal(bytes), "\(reason): it is taken")
            #expect(text.hasPrefix("not a WebAssembly module: \(reason), "), "\(text)")
        }
    }
}
