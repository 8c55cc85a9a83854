import Foundation

/// What CPython 3.11 answered, written down by `Tests/oracle/record_cases.py`, so that it is known where there is
/// another Python or none.
struct RecordedCases {
    let subjects: [String]
    private(set) var cases: [(pattern: String, answer: Answer)] = []

    enum Answer {
        /// Places of the subjects that match.
        case matches(Set<Int>)
        case refused(reason: String, position: Int?, text: String)
    }

    init(file: URL) throws {
        let lines = try Data(contentsOf: file).split(separator: 0x0A)
        let head = try lines.first.map { try JSONSerialization.jsonObject(with: $0) } as? [String: Any]
        subjects = head?["subjects"] as? [String] ?? []
        for line in lines.dropFirst() {
            guard let row = try JSONSerialization.jsonObject(with: line) as? [Any], row.count >= 2,
                let pattern = row[0] as? String
            else { throw Oracle.Failure.line(String(decoding: line, as: UTF8.self)) }
            if let places = row[1] as? String {
                cases.append((pattern, .matches(Self.places(places))))
            } else if row.count == 5, let reason = row[2] as? String, let text = row[4] as? String {
                cases.append((pattern, .refused(reason: reason, position: row[3] as? Int, text: text)))
            } else {
                throw Oracle.Failure.line(String(decoding: line, as: UTF8.self))
            }
        }
    }

    /// `0-3,7` as numbers.
    private static func places(_ text: String) -> Set<Int> {
        var places: Set<Int> = []
        for run in text.split(separator: ",") {
            let ends = run.split(separator: "-").compactMap { Int($0) }
            if let first = ends.first, let last = ends.last { places.formUnion(first...last) }
        }
        return places
    }

    /// Questions about all subjects that match and every `step`th of the others, with the answers.
    func questions(step: Int) -> ([Oracle.Question], [Oracle.Answer]) {
        var questions: [Oracle.Question] = []
        var answers: [Oracle.Answer] = []
        for (number, (pattern, answer)) in cases.enumerated() {
            switch answer {
            case .refused(let reason, let position, let text):
                questions.append(Oracle.Question(pattern: pattern, subjects: []))
                answers.append(.refused(reason: reason, position: position, text: text))
            case .matches(let places):
                // Another share of the subjects each time.
                let asked = subjects.indices.filter { places.contains($0) || ($0 + number).isMultiple(of: step) }
                questions.append(Oracle.Question(pattern: pattern, subjects: asked.map { subjects[$0] }))
                answers.append(.matches(asked.map(places.contains)))
            }
        }
        return (questions, answers)
    }
}
