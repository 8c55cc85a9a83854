import TupleCore
import WireProtocol

/// How far an operator's command has come, as the proxy's status shows it. Pure.
struct OperatorProgress {
    private enum Goal {
        /// Another server is active, this one where it is named.
        case active(NodeID?)
        /// These servers hold every acknowledged write; nil until it is known which they are.
        case inSync(Set<String>?)
    }

    private var goal: Goal
    private var activeBefore: String?
    /// A resynchronisation is over only after it has begun, and a short one may not be seen at all: so many looks.
    private var looks = 0
    private static let looksBeforeItBegins = 10
    private var hasBegun = false

    /// Nil for commands that are done when they are answered.
    init?(_ request: OperatorRequest) {
        func name(_ member: String) -> String? {
            guard case .string(let bytes)? = request.argument[member] else { return nil }
            return String(decoding: bytes, as: UTF8.self)
        }
        switch request.command {
        case "switchover": goal = .active(name("to").flatMap { NodeID($0) })
        case "resync": goal = .inSync(name("server").map { [$0] })
        default: return nil
        }
    }

    /// Takes in how things are before the command.
    mutating func begin(_ status: Term?) {
        activeBefore = OperatorProgress.text(status?["active"])
        guard case .inSync(nil) = goal, let status else { return }
        let passive = OperatorProgress.servers(status).filter { OperatorProgress.text($0["role"]) == "passive" }
        goal = .inSync(Set(passive.compactMap { OperatorProgress.text($0["name"]) }))
    }

    /// What is not seen yet, as in "within 10s no other server has become active".
    var missing: String {
        switch goal {
        case .active(nil): "no other server has become active"
        case .active(let name?): "\(name) has not become active"
        case .inSync(nil): "no server was seen to hold all"
        case .inSync(let names?): "\(names.sorted().joined(separator: " and ")) did not hold every acknowledged write"
        }
    }

    /// The command's reply once it is done; nil before that, and where nobody says how things are.
    mutating func reply(to status: Term?) -> OperatorReply? {
        guard let status else { return nil }
        let (epoch, active) = (status["epoch"] ?? .null, OperatorProgress.text(status["active"]))
        switch goal {
        case .active(let wanted):
            guard let active, wanted.map({ $0.name == active }) ?? (active != activeBefore) else { return nil }
            return OperatorReply(
                message: "switchover: \(active) is active now\(activeBefore.map { ", \($0) was before" } ?? "")",
                result: .object([
                    .init(name: [UInt8]("from".utf8), value: activeBefore.map(Term.string) ?? .null),
                    .init(name: [UInt8]("to".utf8), value: .string(active)),
                    .init(name: [UInt8]("epoch".utf8), value: epoch),
                ]))
        case .inSync(let names):
            looks += 1
            let wanted = OperatorProgress.servers(status).filter { server in
                guard let names else { return OperatorProgress.text(server["role"]) == "passive" }
                return OperatorProgress.text(server["name"]).map { names.contains($0) } ?? false
            }
            let isThere = wanted.count >= names?.count ?? 1
            let isOver = isThere && wanted.allSatisfy { OperatorProgress.isFollowing($0) }
            if !isOver { hasBegun = true }
            guard isOver, hasBegun || looks >= OperatorProgress.looksBeforeItBegins else { return nil }
            let list = wanted.compactMap { OperatorProgress.text($0["name"]) }.sorted()
            return OperatorReply(
                message:
                    "resync: \(list.joined(separator: ", ")) \(list.count == 1 ? "holds" : "hold") every acknowledged write",
                result: .object([.init(name: [UInt8]("insync".utf8), value: .list(list.map(Term.string)))]))
        }
    }

    private static func isFollowing(_ server: Term) -> Bool {
        server["insync"] == .boolean(true) && text(server["state"]) == "following"
    }

    private static func servers(_ status: Term) -> [Term] {
        if case .list(let servers)? = status["servers"] { servers } else { [] }
    }

    private static func text(_ term: Term?) -> String? {
        guard case .string(let bytes)? = term else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }
}
