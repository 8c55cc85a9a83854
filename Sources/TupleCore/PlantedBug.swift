#if PLANTED_BUGS
    /// Bugs that a test build plants on purpose, one at a time, each breaking one rule of `specs/0001-system-model.md`: the
    /// simulator has to find every one of them (`specs/0008-simulation.md`). Nothing of this is in a normal build.
    public enum PlantedBug: String, CaseIterable, Sendable {
        /// G1: answers do not wait for the passive servers.
        case acknowledgeEarly = "acknowledge-early"
        /// G1: answers do not wait for the active server's own disk.
        case acknowledgeBeforeSync = "acknowledge-before-sync"
        /// G1: a server outside the in-sync set may take over.
        case promoteOutsideTheSet = "promote-outside-the-set"
        /// G1: the active server goes on alone before the switch has recorded it.
        case goOnAloneEarly = "go-on-alone-early"
        /// G1: a newcomer is not waited for while the switch is asked to count it.
        case newcomerNotRequired = "newcomer-not-required"
        /// G1: a passive server confirms a snapshot before it is on its disk.
        case confirmSnapshotEarly = "confirm-snapshot-early"
        /// G1: entries are not synced.
        case noSync = "no-sync"
        /// G1, G11: recovery leaves the log's last record out.
        case loseTheTail = "lose-the-tail"
        /// G11: a record of which the body was cut short is taken for whole.
        case trustTornRecords = "trust-torn-records"
        /// G2: a GET does not wait for what it shows.
        case readEarly = "read-early"
        /// G3: a search that is made in slices passes over a pair where one ends.
        case cursorSkipsAPair = "cursor-skips-a-pair"
        /// G3: a search that is made in slices goes on in the space as it is then.
        case streamOfTheLiveSpace = "stream-of-the-live-space"
        /// G4: a takeover does not begin a new epoch.
        case reuseTheEpoch = "reuse-the-epoch"
        /// G4: the proxy acts on a record that is not on its disk.
        case forgetTheRecord = "forget-the-record"
        /// G5: snapshots do not carry sessions.
        case forgetSessions = "forget-sessions"
        /// G5: what was carried out is carried out again.
        case replayWithoutSession = "replay-without-session"
        /// G5: where a session's outcomes are cut between two chunks of a snapshot, one is lost.
        case loseAnOutcomeAtACut = "lose-an-outcome-at-a-cut"
        /// G6: what may have been carried out is said not to have been.
        case sayNotDone = "say-not-done"
        /// G6: how far back the memory reaches is told from a clock, not from what was forgotten.
        case horizonFromTheClock = "horizon-from-the-clock"
        /// G6: a snapshot does not carry how far back what was forgotten reaches.
        case forgetTheHorizon = "forget-the-horizon"
        /// G6: logged time jumps with the wall clock.
        case timeFromTheWallClock = "time-from-the-wall-clock"
        /// G6: an entry that forgets sessions does not raise the horizon.
        case forgetWithoutAHorizon = "forget-without-a-horizon"
        /// G7: a returning server keeps entries that nobody else has: positions are compared by index alone.
        case keepTheUnansweredTail = "keep-the-unanswered-tail"
        /// G8: a lost record is rebuilt from the first server that comes.
        case rebuildFromOne = "rebuild-from-one"
        /// G9: a request is given up for the loss of a server that had others, too.
        case blameBystanders = "blame-bystanders"
        /// G10: a passive server does more than the log says.
        case patternOnPassive = "pattern-on-passive"
        /// G10: a passive server forgets sessions by a rule of its own.
        case forgetOnPassive = "forget-on-passive"
        /// G12: an empty copy counts as one that holds the space.
        case promoteEmptyCopies = "promote-empty-copies"
        /// G12: a member that stands on an older copy of its directory, or on another one, counts as what it was.
        case trustAnyIncarnation = "trust-any-incarnation"
        /// G12: a start is not counted on disk before the server registers.
        case countStartsLate = "count-starts-late"
        /// G12: a server starts on another one's directory.
        case directoryWithoutName = "directory-without-name"

        /// The one that is planted. A test build sets it before anything runs, and runs on one thread.
        nonisolated(unsafe) public static var planted: PlantedBug?

        public var isOn: Bool { PlantedBug.planted == self }
    }
#endif
