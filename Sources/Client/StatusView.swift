import TupleCore
import WireProtocol

/// The proxy's status object for people. What it has beyond the known members is shown as well.
enum StatusView {
    static func text(_ status: Term, format: OutputFormat, style: Style) -> [UInt8] {
        switch format {
        case .json: JSON.text(status) + [UInt8(ascii: "\n")]
        case .plain: plain(status)
        case .table: table(status, style)
        }
    }

    private static let serverColumns = ["name", "role", "state", "index", "lag", "address"]

    /// `name value` lines; one `server` line for each, its members with tabs in between, below a line that names them.
    private static func plain(_ status: Term) -> [UInt8] {
        guard case .object(let members) = status else { return JSON.text(status) + [UInt8(ascii: "\n")] }
        var output: [UInt8] = []
        for member in members where member.name != [UInt8]("servers".utf8) {
            output.append(contentsOf: Style.harmless(member.name) + [UInt8(ascii: "\t")] + word(member.value))
            output.append(UInt8(ascii: "\n"))
        }
        if !servers(status).isEmpty {
            output.append(contentsOf: "# server\t\(serverColumns.joined(separator: "\t"))\n".utf8)
        }
        for server in servers(status) {
            let cells = [[UInt8]("server".utf8)] + serverColumns.map { word(server[$0]) }
            output.append(contentsOf: cells.joined(separator: [UInt8(ascii: "\t")]))
            output.append(UInt8(ascii: "\n"))
        }
        return output
    }

    private static func table(_ status: Term, _ style: Style) -> [UInt8] {
        guard case .object(let members) = status else { return JSON.text(status) + [UInt8(ascii: "\n")] }
        var output: [UInt8] = []
        for member in members where member.name != [UInt8]("servers".utf8) {
            let name = String(decoding: Style.harmless(member.name), as: UTF8.self)
            let padding = String(repeating: " ", count: max(1, 12 - name.count))
            output.append(contentsOf: "\(name)\(padding)".utf8)
            output.append(contentsOf: coloured(name, member.value, style))
            output.append(UInt8(ascii: "\n"))
        }
        let servers = servers(status)
        guard !servers.isEmpty else { return output + [UInt8]("\nno servers\n".utf8) }
        let rows = servers.map { server in serverColumns.map { word(server[$0]) } }
        return output + [UInt8(ascii: "\n")]
            + Table(header: serverColumns.map { $0.uppercased() }, rows: rows).text(style)
    }

    private static func coloured(_ name: String, _ value: Term, _ style: Style) -> [UInt8] {
        let text = word(value)
        switch (name, value) {
        case ("redundant", .boolean(true)): return [UInt8](style.green("yes").utf8)
        case ("redundant", .boolean(false)):
            return [UInt8](style.red("no: the active server holds the only copy of what is written now").utf8)
        case ("active", .null): return [UInt8](style.red("none: requests wait").utf8)
        default: return text
        }
    }

    private static func servers(_ status: Term) -> [Term] {
        if case .list(let servers)? = status["servers"] { servers } else { [] }
    }

    /// A scalar as it is, a list of strings with commas, anything else as JSON.
    private static func word(_ term: Term?) -> [UInt8] {
        switch term {
        case nil, .null: [UInt8(ascii: "-")]
        case .string(let bytes): Style.harmless(bytes)
        case .list(let items) where items.isEmpty: [UInt8(ascii: "-")]
        case .list: term.map(TupleText.text(of:)) ?? []
        case .boolean, .number, .object: term.map { JSON.text($0) } ?? []
        }
    }
}

extension Term {
    /// The value of the object's first member with that name; nil where there is none, or this is no object.
    subscript(name: String) -> Term? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name.elementsEqual(name.utf8) }?.value
    }
}
