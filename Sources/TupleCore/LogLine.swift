/// A line of the operator log.
public struct LogLine: Hashable, Sendable {
    public enum Level: String, Sendable { case debug, info, warn, error, alert }
    public var level: Level
    public var event: String
    public var fields: [Field]

    public struct Field: Hashable, Sendable {
        public var key: String
        public var value: String
        public init(_ key: String, _ value: some CustomStringConvertible) {
            self.key = key
            self.value = value.description
        }
    }

    public init(_ level: Level, _ event: String, _ fields: [Field] = []) {
        self.level = level
        self.event = event
        self.fields = fields
    }
}
