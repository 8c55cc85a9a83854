import Glibc
import Runtime
import TupleCore

/// A bar on standard error that is drawn over; only where that is a terminal.
final class ProgressBar {
    private let loop: EventLoop
    private let isShown: Bool
    private var nextDraw = Instant(nanoseconds: 0)
    private var drawnWidth = 0
    private static let interval = Duration.milliseconds(100)

    init(on loop: EventLoop) {
        self.loop = loop
        isShown = Terminal.isTerminal(STDERR_FILENO)
    }

    /// - Parameters:
    ///   - whole: nil where nobody knows.
    ///   - note: shown behind the bar.
    func update(done: Int, of whole: Int?, note: @autoclosure () -> String) {
        let now = loop.now
        guard isShown, now >= nextDraw else { return }
        nextDraw = now.advanced(by: ProgressBar.interval)
        let text = ProgressBar.text(done: done, of: whole, note: note())
        let padding = String(repeating: " ", count: max(0, drawnWidth - text.count))
        drawnWidth = text.count
        Terminal.writeError("\r\(text)\(padding)")
    }

    /// Makes room for other lines.
    func clear() {
        guard drawnWidth > 0 else { return }
        Terminal.writeError("\r\(String(repeating: " ", count: drawnWidth))\r")
        drawnWidth = 0
        nextDraw = Instant(nanoseconds: 0)
    }

    static func text(done: Int, of whole: Int?, note: String) -> String {
        guard let whole, whole > 0 else { return note }
        let share = min(max(0, done), whole)
        let filled = 30 * share / whole
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: 30 - filled)
        return "[\(bar)] \(100 * share / whole) % \(note)"
    }
}
