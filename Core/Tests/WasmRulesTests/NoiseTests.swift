// Whatever bytes come, a module is taken or refused, in bounded time; what is taken is valid to
// others too, and its instrumented form passes our own validation again.

import Foundation
import TestSupport
import Testing

@testable import WasmRules

@Suite struct NoiseTests {
    /// Modules that use most instructions and sections.
    static func seeds(_ place: Workplace) throws -> [[UInt8]] {
        var seeds: [[UInt8]] = []
        for name in EngineTests.programs {
            seeds.append(try place.compile(name, ["-O1", "-mbulk-memory"]))
        }
        seeds.append(try place.compile("matrix", ["-O3", "-msimd128"]))
        for example in GasTests.cases {
            seeds.append(try place.assemble("(module \(example.text))"))
        }
        return seeds
    }

    @Test("every part of a module that is cut off is refused")
    func truncation() throws {
        let place = try Workplace()
        let whole = try place.compile("calls", ["-O2"])
        var taken: [Int] = []
        for count in 0..<whole.count
        where (try? InstrumentedModule(Array(whole.prefix(count)))) != nil { taken.append(count) }
        // What is left where a section ends may be a module: before the functions, and after the
        // code.
        let sections = try ModuleDecoder.decode(whole).sections
        let code = try #require(sections[.function]?.lowerBound)
        let end = try #require(sections[.code]?.upperBound)
        #expect(taken.allSatisfy { $0 < code || $0 >= end }, "\(taken) of \(whole.count)")
    }

    @Test("changed modules are refused, or V8 takes them and what they become")
    func mutations() throws {
        let place = try Workplace()
        var noise = Noise(seed: 4)
        var files: [String] = []
        var refused = 0
        for seed in try Self.seeds(place) {
            for _ in 0..<150 {
                let bytes = noise.mutation(of: seed)
                guard let module = try? InstrumentedModule(bytes) else {
                    refused += 1
                    continue
                }
                let number = files.count
                files.append(try place.write(bytes, "\(number).wasm"))
                files.append(try place.write(module.bytes, "\(number).instrumented.wasm"))
                let again = try ModuleDecoder.decode(module.bytes)
                var validator = FunctionValidator(again)
                for body in again.bodies.indices { _ = try validator.validate(body: body) }
            }
        }
        #expect(refused > 500 && files.count > 300, "\(refused) refused, \(files.count) files")
        let script = scripts.appending(path: "validate.mjs").path
        #expect(try place.run("node", [script] + files) == "")
    }

    @Test("noise is refused without harm")
    func noise() {
        var noise = Noise(seed: 5)
        for _ in 0..<2_000 {
            let bytes = module((UInt8.random(in: 0...13, using: &noise), noise.bytes(upTo: 200)))
            guard let taken = try? InstrumentedModule(bytes) else { continue }
            #expect((try? ModuleDecoder.decode(taken.bytes)) != nil)
        }
    }
}
