import Journal
import TupleCore

/// The scrub: everything on disk is read again from time to time, slowly, and checked. What is damaged is replaced by
/// what this process has in memory: a fresh snapshot, and a new segment.
extension ServerJournal {
    /// A megabyte each: four megabytes a second.
    static let scrubPause = Duration.milliseconds(250)

    struct ScrubState {
        /// The pass that is under way.
        var pass: Scrub?
        /// Files of log and snapshots that are damaged, until they are replaced.
        var damaged: Set<String> = []
        /// The log has gone on in a new segment since the last of them was found, …
        var hasRotated = false
        /// … and a snapshot was taken after that.
        var hasSnapshot = false
    }

    /// One step of a pass, or the beginning of the next.
    func scrubOn() {
        guard let start = scrub.pass else {
            beginPass()
            return
        }
        scrub.pass = nil
        let base = snapshot
        process.perform(
            .reads,
            { () -> (Scrub, Scrub.Outcome) in
                var pass = start
                let outcome = pass.step()
                return (pass, outcome)
            }
        ) { [weak self] pass, outcome in
            guard let self else { return }
            switch outcome {
            case .goOn: self.scrub.pass = pass
            case .damaged(let file, let error):
                self.scrub.pass = pass
                // What was replaced meanwhile was not damaged, but gone.
                if error.isDamage || self.snapshot == base { self.found(damage: "\(error)", in: file) }
            case .done: break
            }
            self.scrubOn(after: self.scrub.pass == nil ? self.scrubInterval : Self.scrubPause)
        }
    }

    private func beginPass() {
        let record = member
        process.perform(
            .reads,
            { () -> Result<Bool, JournalError> in
                do throws(JournalError) { return .success(try record.isIntact()) } catch { return .failure(error) }
            }
        ) { [weak self] result in
            guard let self else { return }
            switch result {
            case .success(true): break
            case .success(false): if self.member.generation == record.generation { self.mendRecord() }
            case .failure(let error): self.onWarning?("not-scrubbed", "\(error)")
            }
            self.scrub.pass = self.writer.scrub(snapshot: self.snapshot == .zero ? nil : self.snapshot)
            self.scrubOn(after: Self.scrubPause)
        }
    }

    private func scrubOn(after pause: Duration) { process.after(pause) { [weak self] in self?.scrubOn() } }

    private func mendRecord() {
        let file = member.name + ".record"
        onDamage?(file, "'\(file)': one of its two copies is damaged")
        if attempt({ () throws(JournalError) in try member.repair() }) != nil { onMended?(file) }
    }

    // MARK: Mending

    /// A file of the log or a snapshot is damaged; what is in memory takes its place.
    func found(damage: String, in file: String) {
        guard !file.isEmpty, scrub.damaged.insert(file).inserted else { return }
        onDamage?(file, damage)
        scrub.hasRotated = false
        scrub.hasSnapshot = false
        keepSpare()
    }

    /// Whether a snapshot is wanted to replace what is damaged, and everything that it is to cover is closed.
    var mayMend: Bool {
        guard !scrub.damaged.isEmpty, !scrub.hasSnapshot else { return false }
        if !scrub.hasRotated, writer.hasSpare {
            scrub.hasRotated = attempt { () throws(JournalError) in try writer.beginSegment() } != nil
        }
        return scrub.hasRotated
    }

    func noteSnapshot() {
        guard scrub.hasRotated else { return }
        scrub.hasSnapshot = true
        finishMending()
    }

    /// A peer's state has replaced everything.
    func noteReplacement() {
        for file in scrub.damaged.sorted() { onMended?(file) }
        scrub.damaged = []
        scrub.pass = nil
    }

    /// Drops what is damaged, once the log behind the new snapshot is durable.
    func finishMending() {
        guard scrub.hasSnapshot, !scrub.damaged.isEmpty else { return }
        let files = scrub.damaged.sorted()
        let storage = storage
        // Kept for whoever wants to know; where that fails the file goes.
        for file in files where writer.uses(file: file) {
            tidy { () throws(StorageError) in try storage.setAside(file) }
        }
        release(retaining: 0)
        guard !files.contains(where: { writer.uses(file: $0) }) else { return }
        scrub.damaged = []
        for file in files { onMended?(file) }
    }
}
