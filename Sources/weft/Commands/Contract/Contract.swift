// weft contract: for those who write contracts

import ArgumentParser
import Glibc
import WasmRules
import Weft

struct Contract: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "contract", abstract: "Write, build, test and publish contracts.",
        subcommands: [
            NewContract.self, BuildContract.self, TestContract.self, InspectContract.self,
            PublishContract.self,
        ])
}

/// A contract's module: what its author compiled.
struct ContractModule {
    let bytes: [UInt8]
    /// The module as engines run it.
    let instrumented: InstrumentedModule
    /// Its features and sizes.
    let survey: ModuleSurvey

    /// Checks a module by the rules of contracts.
    ///
    /// - Throws: ``CommandFailure`` that says what the rules refuse.
    init(_ bytes: [UInt8]) throws {
        self.bytes = bytes
        do {
            instrumented = try InstrumentedModule(bytes)
            survey = try ModuleSurvey(bytes)
            try instrumented.checkImports()
        } catch {
            throw CommandFailure("\(error)")
        }
        guard isCommand || !methods.isEmpty else {
            throw CommandFailure(
                "the module has no method: export a function without parameters and results, such"
                    + " as @c(greet) in Swift, WEFT_METHOD(greet) in C, or main for WASI")
        }
    }

    /// Reads the module in a file.
    init(file: String) throws {
        try self.init(WholeFile.read(file, limit: WasmLimits.maxModuleBytes + 1))
    }

    /// Whether it is a WASI command, which is run for every path.
    var isCommand: Bool {
        survey.functions.contains { $0.name == "_start" && $0.type == Self.plain }
    }

    /// What can be called from outside.
    private static let plain = FunctionType(parameters: [], results: [])

    /// The methods that URLs can name.
    var methods: [ModuleSurvey.Function] {
        isCommand
            ? []
            : survey.functions.filter { function in
                function.type == Self.plain
                    && function.name.wholeMatch(of: /[a-z][a-z0-9-]*/) != nil
            }
    }

    /// A function as its author knows it, as far as the module tells.
    func name(ofFunction index: UInt32) -> String {
        guard let name = FunctionNames.name(of: index, in: bytes) else {
            return "function \(index)"
        }
        return SwiftName.text(name)
    }
}

/// Names of Swift functions, which compilers write in a form of their own.
enum SwiftName {
    @_silgen_name("swift_demangle")
    private static func demangle(
        _ name: UnsafePointer<CChar>, _ count: UInt, _ out: UnsafeMutablePointer<CChar>?,
        _ outCount: UnsafeMutablePointer<UInt>?, _ flags: UInt32
    ) -> UnsafeMutablePointer<CChar>?

    /// The name as it stands in Swift, or as it is.
    static func text(_ name: String) -> String {
        guard name.hasPrefix("$"), let found = demangle(name, UInt(name.utf8.count), nil, nil, 0)
        else { return name }
        defer { free(found) }
        // A function that the compiler made for certain types or arguments goes by its own name.
        var text = String(cString: found)
        let prefix = #/(generic specialization|function signature specialization) <.*?> of /#
        while let match = text.prefixMatch(of: prefix) {
            text.removeSubrange(match.range)
        }
        return text.replacing("Swift.", with: "")
    }
}

/// Numbers as a person reads them.
enum HumanNumber {
    /// Digits in groups of three.
    static func text(_ number: some BinaryInteger) -> String {
        var digits = Array(String(number))
        var place = digits.count - 3
        while place > 0, digits[place - 1] != "-" {
            digits.insert(",", at: place)
            place -= 3
        }
        return String(digits)
    }
}
