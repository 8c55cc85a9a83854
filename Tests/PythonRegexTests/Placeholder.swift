import Testing

@testable import PythonRegex
