import TupleCore
import WireProtocol

/// How answers are shown.
enum OutputFormat: String, CaseIterable {
    /// For people.
    case table
    /// For shell scripts: a line a pair, tabs in between.
    case plain
    /// For programs: a JSON object a line.
    case json
}

/// What is to be written where.
struct Rendering: Equatable {
    /// For standard output.
    var output: [UInt8] = []
    /// For standard error.
    var errors: [UInt8] = []
}

/// Turns answers into text. Pure.
struct AnswerRenderer {
    var format: OutputFormat
    /// Colours and the like on standard output, and on standard error.
    var outputStyle = Style.none
    var errorStyle = Style.none

    /// - Parameters:
    ///   - operatorName: of the request that was answered.
    ///   - given: how many items a PUT's or POST's list had.
    ///   - rule: what the space's elements may be, where that is known: for the sentences beside malformed items.
    func render(
        _ answer: Answer, to operatorName: String, given: Int, rule: ElementRule? = nil,
        selection: Selection = Selection()
    ) -> Rendering {
        let answer = selection(answer)
        var rendering = Rendering()
        if format == .json {
            if selection.changesJSON, answer.status == .ok {
                JSON.write(selection.json(of: answer), to: &rendering.output)
            } else {
                answer.writeJSON(details: rule, to: &rendering.output)
            }
            rendering.output.append(UInt8(ascii: "\n"))
            return rendering
        }
        if !answer.warning.isEmpty { append(problem: "warning", answer.warning, to: &rendering.errors) }
        guard answer.status == .ok else {
            let message = answer.message.isEmpty ? answer.status.explanation : answer.message
            append(problem: answer.status.name, message, to: &rendering.errors)
            return rendering
        }
        if let rule { append(detailsOf: answer.rejected, rule, to: &rendering.errors) }
        if selection.showsCount {
            rendering.output = [UInt8]("\(answer.pairs.count)\n".utf8)
            return rendering
        }
        if selection.showsKeys, answer.rejected.isEmpty { return keys(answer.pairs, rendering) }
        let rows = answer.rejected.isEmpty ? AnswerRenderer.rows(answer.pairs) : AnswerRenderer.rows(answer.rejected)
        if format == .plain {
            for row in rows {
                rendering.output.append(contentsOf: row.joined(separator: [UInt8(ascii: "\t")]))
                rendering.output.append(UInt8(ascii: "\n"))
            }
            return rendering
        }
        if !rows.isEmpty {
            let header = answer.rejected.isEmpty ? ["KEY", "VALUE"] : ["REASON", "KEY", "VALUE"]
            rendering.output = Table(header: header, rows: rows).text(outputStyle)
        }
        var footer = AnswerRenderer.footer(answer, operatorName, given)
        if selection.isDryRun { footer += " would be removed" }
        rendering.output.append(contentsOf: [UInt8]((outputStyle.dim(footer) + "\n").utf8))
        return rendering
    }

    private func keys(_ pairs: [Pair], _ rendering: Rendering) -> Rendering {
        var rendering = rendering
        let keys = pairs.map { [TupleText.text(of: Term($0.key))] }
        if format == .table {
            if !keys.isEmpty { rendering.output = Table(header: ["KEY"], rows: keys).text(outputStyle) }
            let footer = keys.count == 1 ? "1 key" : "\(keys.count) keys"
            rendering.output.append(contentsOf: [UInt8]((outputStyle.dim(footer) + "\n").utf8))
        } else {
            rendering.output = keys.flatMap { $0[0] + [UInt8(ascii: "\n")] }
        }
        return rendering
    }

    /// Why items are malformed: a line for each on standard error, so that the lines of standard output stay what they are.
    private func append(detailsOf rejected: [Rejected], _ rule: ElementRule, to output: inout [UInt8]) {
        for item in rejected {
            if let detail = item.detail(rule) { append(problem: Reason.malformed.name, detail, to: &output) }
        }
    }

    /// `twinspace: unavailable: …`.
    func append(problem: String, _ message: String, to output: inout [UInt8]) {
        let name = problem == "warning" ? errorStyle.yellow(problem) : errorStyle.red(problem)
        output.append(contentsOf: [UInt8]("\(Product.name): \(name): ".utf8))
        output.append(contentsOf: Style.harmless([UInt8](message.utf8)))
        output.append(UInt8(ascii: "\n"))
    }

    /// How the answer was found, and the time from request to answer: two lines for standard error.
    static func explanation(of answer: Answer, after time: Duration) -> [UInt8] {
        let words = answer.explanation.isEmpty ? "the server does not say" : answer.explanation
        let (seconds, attoseconds) = time.components
        let microseconds = seconds * 1_000_000 + attoseconds / 1_000_000_000_000
        return [UInt8]("\(Product.name): plan: ".utf8) + Style.harmless([UInt8](words.utf8))
            + [UInt8]("\n\(Product.name): time: \(microseconds) µs from request to answer\n".utf8)
    }

    private static func rows(_ pairs: [Pair]) -> [[[UInt8]]] {
        pairs.map { [TupleText.text(of: Term($0.key)), TupleText.text(of: Term($0.value))] }
    }

    private static func rows(_ rejected: [Rejected]) -> [[[UInt8]]] {
        rejected.map { rejected in
            let reason = [UInt8](rejected.reason.name.utf8)
            guard case .list(let parts) = rejected.item, parts.count == 2 else {
                return [reason, JSON.text(rejected.item)]
            }
            return [reason] + parts.map(TupleText.text)
        }
    }

    private static func footer(_ answer: Answer, _ operatorName: String, _ given: Int) -> String {
        func pairs(_ count: Int) -> String { count == 1 ? "1 pair" : "\(count) pairs" }
        let back = answer.rejected.isEmpty ? "" : ", \(answer.rejected.count) given back"
        return switch Operator(rawValue: operatorName) {
        case nil where operatorName == Command.set.rawValue: "\(pairs(given - answer.rejected.count)) set\(back)"
        case .put: "\(pairs(given - answer.rejected.count)) added\(back)"
        case .post: "\(pairs(given - answer.rejected.count)) changed\(back)"
        case .delete: "\(pairs(answer.pairs.count)) removed"
        case nil where operatorName == OutcomeQuestion.operatorName: "carried out"
        case .get, nil: pairs(answer.pairs.count)
        }
    }
}
