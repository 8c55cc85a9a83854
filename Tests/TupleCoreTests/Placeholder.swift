import Testing

@testable import TupleCore
