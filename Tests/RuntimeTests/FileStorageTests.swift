import Glibc
import Journal
import Testing
import TupleCore

@testable import Runtime

/// A directory that goes with the value.
private final class TemporaryDirectory {
    let path: String
    init() throws {
        var template = Array("/tmp/twinspace-storage-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }
    deinit {
        if let directory = opendir(path) {
            while let entry = readdir(directory) {
                let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                    String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
                }
                unlink(path + "/" + name)
            }
            closedir(directory)
        }
        rmdir(path)
    }
}

private func entry(_ index: UInt64) -> JournalRecord {
    JournalRecord(
        LogPosition(epoch: Epoch(1), index: LogIndex(index)),
        payload: [UInt8](repeating: UInt8(truncatingIfNeeded: index), count: 300))
}

@Suite struct FileStorageTests {
    private let settings = JournalSettings(segmentBytes: 8_192, retainedLogBytes: 0)

    @Test(arguments: [FileStorage.Zeroing.written, .allocated])
    func filesAreWhatTheProtocolSays(zeroing: FileStorage.Zeroing) throws {
        let directory = try TemporaryDirectory()
        let storage = try FileStorage(path: directory.path, zeroing: zeroing)
        let file = try storage.create("a", zeroedBytes: 3_000_000)
        #expect(try file.size() == 3_000_000)
        try file.write([UInt8]([1, 2, 3]).span.bytes, at: 2_999_999)
        try file.sync()
        #expect(try file.read(at: 2_999_998, count: 100) == [0, 1, 2, 3])
        #expect(try file.read(at: 4_000_000, count: 100) == [])
        #expect(throws: StorageError(.create, name: "a", reason: .alreadyExists, errorNumber: EEXIST)) {
            try storage.create("a", zeroedBytes: 0)
        }
        #expect(throws: StorageError(.open, name: "b", reason: .notFound, errorNumber: ENOENT)) {
            try storage.open("b")
        }
        for name in ["", "../a", "a/b", ".a", "lock"] {
            #expect(throws: StorageError(.create, name: name, reason: .invalidName)) {
                try storage.create(name, zeroedBytes: 0)
            }
        }
        try storage.rename("a", to: "b")
        try storage.syncDirectory()
        #expect(try storage.list() == ["b"])
        try storage.remove("b")
        #expect(try storage.list() == [])
        #expect(try file.read(at: 3_000_000, count: 2) == [2, 3])
    }

    @Test func namesAreExchanged() throws {
        let directory = try TemporaryDirectory()
        let storage = try FileStorage(path: directory.path)
        let first = try storage.create("a", zeroedBytes: 1)
        let second = try storage.create("b", zeroedBytes: 2)
        try storage.exchange("a", with: "b")
        try storage.syncDirectory()
        #expect(try storage.open("a").size() == 2)
        #expect(try storage.open("b").size() == 1)
        // Who has a file open keeps it.
        #expect(try (first.size(), second.size()) == (1, 2))
        #expect(throws: StorageError(.exchange, name: "a", reason: .notFound, errorNumber: ENOENT)) {
            try storage.exchange("a", with: "c")
        }
        #expect(throws: StorageError(.exchange, name: "../b", reason: .invalidName)) {
            try storage.exchange("a", with: "../b")
        }
        #expect(try storage.open("a").size() == 2)
    }

    @Test func theLockIsExclusiveAndGoesWithItsStorage() throws {
        let directory = try TemporaryDirectory()
        do {
            let first = try FileStorage(path: directory.path)
            try first.lock()
            let second = try FileStorage(path: directory.path)
            #expect(
                throws: StorageError(.lock, name: directory.path, reason: .locked, errorNumber: EWOULDBLOCK)
            ) { try second.lock() }
        }
        try FileStorage(path: directory.path).lock()
    }

    @Test func anUnusableDirectoryIsAnError() throws {
        let error = #expect(throws: StorageError.self) { try FileStorage(path: "/nonexistent/directory") }
        #expect(error?.reason == .notFound)
        #expect(error?.errorNumber == ENOENT)
    }

    @Test func aLinkIsNotFollowed() throws {
        let directory = try TemporaryDirectory()
        let storage = try FileStorage(path: directory.path)
        try #require(symlink("/dev/full", directory.path + "/link") == 0)
        #expect(throws: StorageError(.open, name: "link", reason: .other, errorNumber: ELOOP)) {
            try storage.open("link")
        }
    }

    @Test func aJournalIsRecoveredFromRealFiles() throws {
        let directory = try TemporaryDirectory()
        do {
            let opened = try Recovery.open(storage: FileStorage(path: directory.path), settings: settings)
            for index: UInt64 in 1...100 { try opened.writer.append(entry(index)) }
            try opened.writer.sync()
            try opened.writer.truncate(after: LogIndex(90))
        }
        let storage = try FileStorage(path: directory.path)
        do {
            let opened = try Recovery.open(storage: storage, settings: settings)
            #expect(opened.warnings.isEmpty)
            var cursor = try opened.records()
            for index: UInt64 in 1...90 { #expect(try cursor.next() == entry(index)) }
            #expect(try cursor.next() == nil)
            var snapshot = try SnapshotWriter(storage: storage, position: opened.writer.end)
            try snapshot.add([1, 2, 3])
            #expect(try snapshot.finish() == nil)
            try opened.writer.releaseSegments(coveredBy: opened.writer.end.index)?.perform()
            try opened.writer.close()
        }
        #expect(try storage.list().count == 2)
    }
}
