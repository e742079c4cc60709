// config.toml: read, checked, documented, and changed in place so that comments stay.

import Glibc
import TOMLKit

/// The text of a configuration file and what it says.
public struct ConfigurationFile: Sendable, Equatable {
    /// The text as it stands in the file.
    public private(set) var text: String
    /// What it says, with the default for everything that it does not.
    public private(set) var configuration: Configuration
    /// The names of the keys that the text sets.
    public private(set) var setKeys: Set<String>

    /// Reads a configuration from its text.
    public init(text: String) throws(ConfigurationError) {
        self.text = text
        (configuration, setKeys) = try Self.parse(text)
    }

    /// Reads the file of a repository; writes the documented template where there is none.
    public static func open(_ path: String) throws -> ConfigurationFile {
        guard let bytes = try SmallFile.read(path) else {
            let file = try ConfigurationFile(text: template)
            try file.write(to: path)
            return file
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw ConfigurationError.badFile(path: path, problem: "it is not UTF-8")
        }
        do {
            return try ConfigurationFile(text: text)
        } catch {
            throw ConfigurationError.badFile(path: path, problem: error.description)
        }
    }

    /// Writes the file in one step.
    public func write(to path: String) throws(SystemError) {
        try SmallFile.replace(path, with: Array(text.utf8))
    }

    /// The value of a key, set or default.
    public func value(of name: String) throws(ConfigurationError) -> ConfigurationValue {
        try ConfigurationKey.named(name).read(configuration)
    }

    /// Changes one key, from text as it is given on a command line: a plain value, or a TOML or
    /// JSON list, or for lists also items joined by commas.
    public mutating func set(_ name: String, to text: String) throws(ConfigurationError) {
        let key = try ConfigurationKey.named(name)
        var value = ConfigurationValue.string(text)
        if case .list = key.read(Configuration()) { value = try Self.list(text, for: key) }
        try set(key, to: value)
    }

    private mutating func set(
        _ key: ConfigurationKey, to value: ConfigurationValue
    ) throws(ConfigurationError) {
        var changed = configuration
        guard key.write(&changed, value) else {
            throw .badValue(key: key.name, expected: key.expects, found: value.text)
        }
        let normal = key.read(changed)
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        ConfigurationText.set(key, to: normal.toml, in: &lines)
        let edited = lines.joined(separator: "\n")
        // Whatever form the file had: the new text must say the new value and nothing else new.
        guard let result = try? ConfigurationFile(text: edited), result.configuration == changed
        else { throw .cannotEdit(key: key.name) }
        self = result
    }

    /// A file that says nothing, but names and explains every key with its default.
    public static var template: String {
        var out = """
            # The configuration of a Weft node. Everything here has a default, shown behind '#'.
            # Change a line by removing its '#', or with 'weft config set KEY VALUE'.
            # A running node reads this file when it starts; 'weft config set' tells it at once
            # what it can take at once.

            """
        let defaults = Configuration()
        var section: Substring = ""
        for key in ConfigurationKey.all {
            if key.section != section {
                section = key.section
                out += "\n[\(section)]\n"
            }
            for line in wrap(key.summary) { out += "# \(line)\n" }
            out += "# \(key.leaf) = \(key.read(defaults).toml)\n"
        }
        return out
    }

    private static func wrap(_ text: String) -> [String] {
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ") {
            if !line.isEmpty && line.count + word.count > 90 {
                lines.append(line)
                line = ""
            }
            line += line.isEmpty ? String(word) : " " + word
        }
        return lines + [line]
    }
}

// From TOML to values. TOMLKit's types do not leave this extension.
extension ConfigurationFile {
    private static func parse(
        _ text: String
    ) throws(ConfigurationError) -> (Configuration, Set<String>) {
        var configuration = Configuration()
        var names: Set<String> = []
        let root = try table(text)
        for section in root.keys.sorted() {
            guard let table = root[section]?.table else {
                throw .unknownKey(section, nearest: ConfigurationKey.nearest(to: section))
            }
            for leaf in table.keys.sorted() {
                let key = try ConfigurationKey.named("\(section).\(leaf)")
                guard let found = table[leaf], let value = value(found),
                    key.write(&configuration, value)
                else {
                    let found = table[leaf]?.debugDescription ?? ""
                    throw .badValue(key: key.name, expected: key.expects, found: found)
                }
                names.insert(key.name)
            }
        }
        return (configuration, names)
    }

    private static func table(_ text: String) throws(ConfigurationError) -> TOMLTable {
        do {
            return try TOMLTable(string: text)
        } catch let error as TOMLParseError {
            throw .syntax(line: error.source.begin.line, message: error.description)
        } catch {
            throw .syntax(line: 0, message: "\(error)")
        }
    }

    private static func value(_ found: any TOMLValueConvertible) -> ConfigurationValue? {
        if let text = found.string { return .string(text) }
        if let number = found.int { return .integer(Int64(number)) }
        guard let array = found.array else { return nil }
        var items: [String] = []
        for item in array {
            guard let text = item.string else { return nil }
            items.append(text)
        }
        return .list(items)
    }

    private static func list(
        _ text: String, for key: ConfigurationKey
    ) throws(ConfigurationError) -> ConfigurationValue {
        guard text.hasPrefix("[") else {
            let items = text.split(separator: ",").map { item in
                String(item.drop { $0 == " " })
            }
            return .list(items)
        }
        guard let array = try? table("list = " + text)["list"], let list = value(array) else {
            throw .badValue(key: key.name, expected: key.expects, found: text)
        }
        return list
    }
}
