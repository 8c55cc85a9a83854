import Testing

@testable import TupleStore
