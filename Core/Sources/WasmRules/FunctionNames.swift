// The names of functions, which linkers keep in the custom section "name" (core specification 2.0,
// appendix "Custom Sections"). They only serve messages, so whatever is wrong with them is no
// error.

/// Looks up the names of functions.
public enum FunctionNames {
    /// The name of a function by the section "name"; nil if the module does not tell it.
    public static func name(of function: UInt32, in module: [UInt8]) -> String? {
        guard module.count > 8 else { return nil }
        var reader = WasmReader(module, 8..<module.count)
        do throws(WasmRefusal) {
            while !reader.isAtEnd {
                let id = try reader.readByte()
                var section = WasmReader(module, try reader.readPart())
                if id != SectionID.custom.rawValue { continue }
                guard try section.readName().utf8.elementsEqual("name".utf8) else { continue }
                return try name(of: function, inSection: &section)
            }
        } catch {
            // A module that is refused may well be cut off before its names.
        }
        return nil
    }

    private static func name(
        of function: UInt32, inSection section: inout WasmReader
    ) throws(WasmRefusal) -> String? {
        while !section.isAtEnd {
            let id = try section.readByte()
            var names = WasmReader(section.bytes, try section.readPart())
            guard id == 1 else { continue }
            for _ in 0..<(try names.readU32()) {
                let index = try names.readU32()
                let name = try names.readName()
                if index == function { return name }
            }
        }
        return nil
    }
}
