import Journal

/// What goes wrong with a simulated server's disk.
extension ServerHost {
    /// A bit of a file changes while the server is down.
    ///
    /// - Returns: false where there is no file.
    package func rot(_ random: inout SeededRandom) -> Bool {
        precondition(replica == nil, "\(machine) runs")
        let files = ((try? storage.disk.list()) ?? []).filter { !(storage.disk.contents(of: $0) ?? []).isEmpty }
        guard !files.isEmpty else { return false }
        let file = random.pick(files)
        let bits = (storage.disk.contents(of: file)?.count ?? 0) * 8
        // Half of the time near the beginning, where more than zeros is.
        let bit = random.below(random.once(in: 2) ? min(bits, 8 * 1_024) : bits)
        storage.disk.flip(bit: bit, of: file)
        world.tell("\(machine): bit \(bit) of \(file) changes")
        isDamaged = true
        return true
    }

    package func failDisk(syncsAfter: Int? = nil, writesAfter: Int? = nil) {
        var faults = InMemoryStorage.Faults()
        faults.syncsUntilFailure = syncsAfter
        faults.writesUntilFailure = writesAfter
        storage.disk.setFaults(faults)
    }

    /// Nothing more fits on the disk.
    package func fillDisk() {
        var faults = InMemoryStorage.Faults()
        faults.capacityBytes = 0
        storage.disk.setFaults(faults)
    }

    /// The disk and the process are as they should be.
    package func mend() {
        storage.disk.setFaults(InMemoryStorage.Faults())
        storage.mend()
        diskSlowness = 1
        standstill.forgetStop()
    }
}
