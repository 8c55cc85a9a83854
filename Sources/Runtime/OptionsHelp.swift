import CLibUV
import Glibc

extension OptionsSpecification {
    private static let pageWidth = 80
    private static let helpIndent = 6

    /// The page that `--help` prints, 80 columns wide.
    package func helpPage() -> String {
        var page = "Usage: \(program) \(usage)\n\n"
        page += OptionsSpecification.wrapped(summary, indent: 0)
        for group in groups + [common] {
            page += "\n\(group.title)\n"
            for option in group.options { page += entry(option) }
        }
        page += "\nEvery option can be given as an environment variable: --max-things is\n"
        page += "TWINSPACE_MAX_THINGS. An option wins over its variable.\n"
        if !example.isEmpty {
            page += "\nExample:\n"
            for line in example.split(separator: "\n", omittingEmptySubsequences: false) {
                page += line.isEmpty ? "\n" : "  \(line)\n"
            }
        }
        return page
    }

    private var common: Group {
        Group(
            "Other:",
            [
                Option("help", .toggle, help: "Print this page."),
                Option("version", .toggle, help: "Print the version."),
            ])
    }

    private func entry(_ option: Option) -> String {
        let placeholder = option.kind.placeholder
        var text = option.help
        if option.isRequired { text += " Required." }
        if let value = option.defaultText { text += " Default: \(value)." }
        let letter = option.letter.map { "-\($0), " } ?? ""
        return "  \(letter)--\(option.name)\(placeholder.isEmpty ? "" : " " + placeholder)\n"
            + OptionsSpecification.wrapped(text, indent: OptionsSpecification.helpIndent)
    }

    /// Fills lines with words; a word longer than a line gets one of its own.
    static func wrapped(_ text: String, indent: Int) -> String {
        let margin = String(repeating: " ", count: indent)
        var lines: [String] = []
        for paragraph in text.split(separator: "\n", omittingEmptySubsequences: false) {
            var line = margin
            for word in paragraph.split(separator: " ") {
                if line.count > indent, line.count + 1 + word.count > pageWidth {
                    lines.append(line)
                    line = margin
                }
                line += line.count > indent ? " " + word : String(word)
            }
            lines.append(line.count > indent ? line : "")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// For mains: parses this process's arguments and environment. Help and version go to standard output and end the
    /// process with 0; an error goes to standard error and ends it with 2.
    package func parseProcess() -> OptionValues {
        do throws(OptionsError) {
            let arguments = try ProcessText.arguments(program: program)
            switch try parse(arguments, environment: ProcessText.environment(program: program)) {
            case .values(let values): return values
            case .help(let page):
                print(page, terminator: "")
                exit(0)
            case .version(let line):
                print(line)
                exit(0)
            }
        } catch {
            let text = Array("\(error)\n".utf8)
            _ = write(STDERR_FILENO, text, text.count)
            exit(OptionsError.exitCode)
        }
    }
}

package enum ProcessEnvironment {
    /// The process's environment variables; the first of a name counts.
    package static func variables() -> [String: String] {
        var items: UnsafeMutablePointer<uv_env_item_t>?
        var count: Int32 = 0
        guard uv_os_environ(&items, &count) == 0, let items else { return [:] }
        defer { uv_os_free_environ(items, count) }
        var variables: [String: String] = [:]
        for item in UnsafeBufferPointer(start: items, count: Int(count)) {
            guard let name = item.name, let value = item.value else { continue }
            let key = String(cString: name)
            if variables[key] == nil { variables[key] = String(cString: value) }
        }
        return variables
    }
}
