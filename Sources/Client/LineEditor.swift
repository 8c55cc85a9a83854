import CEdit
import Glibc

/// Lines from a terminal, with editing, completion and a history (libedit).
final class LineEditor {
    private static let historyLines: Int32 = 1_000

    private let editor: OpaquePointer
    private let past: OpaquePointer
    private let historyPath: String?

    /// Nil where libedit cannot work with the terminal.
    init?(historyPath: String?) {
        guard let editor = twinspace_el_init(Product.name) else { return nil }
        guard let past = history_init() else {
            el_end(editor)
            return nil
        }
        self.editor = editor
        self.past = past
        self.historyPath = historyPath
        _ = twinspace_history_size(past, LineEditor.historyLines)
        _ = twinspace_history_unique(past)
        if let historyPath { _ = twinspace_history_load(past, historyPath) }
        _ = twinspace_el_prompt(editor)
        _ = twinspace_el_emacs(editor)
        // What ends the process restores the terminal before. The interrupt key does not: it clears the line.
        _ = twinspace_el_signal(editor, 1)
        _ = twinspace_el_history(editor, past)
        _ = twinspace_el_interrupt(editor)
        _ = twinspace_el_complete(editor) { editor, _ in LineEditor.complete(editor) }
    }

    deinit {
        history_end(past)
        el_end(editor)
    }

    /// The next line's bytes, with its end; nil at the end of input.
    func readLine() -> [UInt8]? {
        var count: Int32 = 0
        _ = twinspace_el_prepare(editor)
        guard let line = el_gets(editor, &count), count > 0 else { return nil }
        return [UInt8](UnsafeRawBufferPointer(start: line, count: Int(count)))
    }

    /// Keeps the line, in the file too: at once, since a shell may end at any time.
    func remember(_ line: String) {
        _ = twinspace_history_enter(past, line)
        if let historyPath { _ = twinspace_history_save(past, historyPath) }
    }

    /// The first word, where only one command begins like it.
    private static func complete(_ editor: OpaquePointer?) -> UInt8 {
        guard let editor, let line = el_line(editor)?.pointee, let begin = line.buffer, let cursor = line.cursor else {
            return UInt8(CC_ERROR)
        }
        let count = UnsafePointer(cursor) - UnsafePointer(begin)
        let typed = String(decoding: UnsafeRawBufferPointer(start: begin, count: count), as: UTF8.self)
        let matches = Shell.words.filter { $0.hasPrefix(typed) }
        guard matches.count == 1, let match = matches.first else { return UInt8(CC_REFRESH_BEEP) }
        let rest = String(match.dropFirst(typed.count)) + " "
        return UInt8(el_insertstr(editor, rest) == 0 ? CC_REFRESH : CC_ERROR)
    }
}
