import Testing

/// The house rules, held against the tree as it is.
@Suite struct TidyTests {
    private func expectNone(_ complaints: [String]) {
        for complaint in complaints { Issue.record(Comment(rawValue: complaint)) }
    }

    @Test func theTreeIsFound() {
        #expect(Project.swiftSources.contains { $0.path == "Sources/TupleCore/Limits.swift" })
        #expect(Project.everything.contains { $0.path == "Makefile" })
    }

    @Test func roomsImportOnlyWhatIsBelowThem() {
        expectNone(Project.swiftSources.flatMap(Rules.imports))
    }

    @Test func coresHaveNoClockNoRandomnessAndNoIO() {
        expectNone(Project.swiftSources.flatMap(Rules.determinism))
    }

    @Test func noFileIsTooLong() {
        expectNone(
            (Project.sources + Project.files(below: "Tests", extensions: ["swift", "py", "sh"])).flatMap(Rules.size))
    }

    @Test func nothingIsAnnouncedInsteadOfDone() {
        expectNone(Project.everything.flatMap(Rules.unfinished))
    }

    @Test func namesMeanSomething() {
        expectNone(Project.swiftSources.flatMap(Rules.emptyNames))
    }

    @Test func promisesToTheCompilerHaveReasons() {
        expectNone(Project.swiftSources.flatMap(Rules.uncheckedPromises))
    }

    @Test func noPathOfOneMachineIsMentioned() {
        expectNone(Project.everything.filter { !$0.path.hasPrefix("Tests/TidyTests/") }.flatMap(Rules.machinePaths))
    }

    @Test func noFileIsEmpty() {
        expectNone(Project.sources.flatMap(Rules.emptiness))
    }

    @Test func aRoomWithFilesHasNoPlaceholder() {
        let rooms = Dictionary(grouping: Project.swiftSources) { $0.room ?? "" }
        for (room, files) in rooms where files.count > 1 {
            #expect(!files.contains { $0.name.contains("Placeholder") }, "\(room) has a placeholder beside its files")
        }
    }

    /// Each guarantee of specs/0001 names the tests that defend it, and they are there.
    @Test func everyGuaranteeIsDefendedByTests() throws {
        let page = try #require(Project.documents.first { $0.path == "specs/0001-system-model.md" })
        let tests = Dictionary(
            uniqueKeysWithValues: Project.files(below: "Tests", extensions: ["swift", "py"]).map { ($0.path, $0.text) })
        expectNone(Rules.defences(of: page, in: tests))
    }

    /// Scripts look for the log's words, so each is documented.
    @Test func everyWarningIsOnAPage() {
        let pages = Project.documents.filter { $0.path.hasPrefix("specs/") || $0.path == "README.md" }.map(\.text)
        let names = Set(Project.swiftSources.flatMap { Rules.warnings(in: $0.text) })
        #expect(names.isSuperset(of: ["threads-hang", "not-tidied", "signal-not-handled", "link-lost", "failed"]))
        for name in names.sorted() {
            #expect(pages.contains { $0.contains("`\(name)`") }, "`\(name)` is on no page")
        }
    }

    @Test func everySpecificationIsLinkedFromTheirIndex() {
        let specifications = Project.documents.filter { $0.path.hasPrefix("specs/") }
        guard let index = specifications.first(where: { $0.path == "specs/README.md" }) else {
            Issue.record("there is no specs/README.md")
            return
        }
        for file in specifications where file.path != index.path {
            let link = file.path.dropFirst("specs/".count)
            #expect(index.text.contains("](\(link)"), "\(file.path) is not linked from specs/README.md")
        }
    }
}
