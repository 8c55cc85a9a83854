import Glibc
import Testing

@testable import Runtime

@Suite struct ExportFileTests {
    private let folder: String

    init() throws {
        var template = [CChar]("/tmp/export-file-XXXXXX".utf8CString)
        let made = try #require(mkdtemp(&template))
        folder = String(cString: made)
    }

    private func text(_ path: String) -> String? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var buffer = [UInt8](repeating: 0, count: 256)
        return String(decoding: buffer[..<fread(&buffer, 1, buffer.count, file)], as: UTF8.self)
    }

    private func put(_ text: String, _ path: String, mode: mode_t = 0o644) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode)
        _ = write(descriptor, text, text.utf8.count)
        close(descriptor)
        chmod(path, mode)
    }

    private func mode(_ path: String) -> mode_t {
        var information = stat()
        return lstat(path, &information) == 0 ? information.st_mode : 0
    }

    private func export(_ text: String, to path: String) throws {
        let file = try ExportFile(path)
        try file.write([UInt8](text.utf8))
        try file.commit()
    }

    private func clean() {
        _ = ["old", "link", "far", "pipe", "new"].map { unlink("\(folder)/\($0)") } + [rmdir(folder)]
    }

    @Test func aFileKeepsItsPermissions() throws {
        defer { clean() }
        put("old", "\(folder)/old", mode: 0o600)
        try export("new", to: "\(folder)/old")
        #expect(text("\(folder)/old") == "new" && mode("\(folder)/old") & 0o777 == 0o600)
    }

    @Test func aLinkStaysAndItsFileIsReplaced() throws {
        defer { clean() }
        symlink("far", "\(folder)/link")
        try export("first", to: "\(folder)/link")
        #expect(mode("\(folder)/link") & S_IFMT == S_IFLNK && text("\(folder)/far") == "first")
        try export("second", to: "\(folder)/link")
        #expect(mode("\(folder)/link") & S_IFMT == S_IFLNK && text("\(folder)/far") == "second")
    }

    @Test func aDeviceStaysOne() throws {
        defer { clean() }
        // A terminal of its own: were it replaced, nobody else would miss it.
        let terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY)
        defer { close(terminal) }
        var (number, unlocked): (CInt, CInt) = (0, 0)
        // TIOCGPTN and TIOCSPTLCK.
        try #require(ioctl(terminal, 0x8004_5430, &number) == 0 && ioctl(terminal, 0x4004_5431, &unlocked) == 0)
        let path = "/dev/pts/\(number)"
        symlink(path, "\(folder)/link")
        try ExportFile.check("\(folder)/link")
        try export("shown", to: "\(folder)/link")
        var buffer = [UInt8](repeating: 0, count: 64)
        #expect(read(terminal, &buffer, buffer.count) == 5 && mode(path) & S_IFMT == S_IFCHR)
    }

    @Test func aPipeIsWrittenTo() throws {
        defer { clean() }
        let path = "\(folder)/pipe"
        mkfifo(path, 0o600)
        #expect(throws: SystemError.self, "nobody reads") { try ExportFile(path, waits: false) }
        let reader = open(path, O_RDONLY | O_NONBLOCK)
        defer { close(reader) }
        let file = try ExportFile(path, waits: false)
        try file.write([UInt8]("through".utf8))
        try file.commit()
        var buffer = [UInt8](repeating: 0, count: 64)
        #expect(read(reader, &buffer, buffer.count) == 7 && mode(path) & S_IFMT == S_IFIFO)
    }

    @Test func whatIsNotCommittedLeavesNoTrace() throws {
        put("old", "\(folder)/old")
        do {
            let file = try ExportFile("\(folder)/old")
            try file.write([1])
        }
        #expect(text("\(folder)/old") == "old")
        clean()
        #expect(access(folder, F_OK) != 0, "the folder was not empty")
    }

    @Test func aCheckFindsWhatCannotBeWrittenAndLeavesNothing() throws {
        #expect(throws: SystemError.self) { try ExportFile.check("\(folder)/not/there") }
        #expect(throws: SystemError.self) { try ExportFile.check(folder) }
        try ExportFile.check("\(folder)/new")
        clean()
        #expect(access(folder, F_OK) != 0, "something was left")
    }
}
