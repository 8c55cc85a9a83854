#!/usr/bin/env python3
"""Writes Sources/TupleCore/AlphanumericTable.swift: the code points that this Python's str.isalnum accepts.

Run with CPython 3.11 (Unicode 14): python3 Tests/oracle/alphanumeric_table.py > Sources/TupleCore/AlphanumericTable.swift
With --ranges it prints the ranges alone, one "first last" a line, for the test that compares both.
"""
import sys

ranges = []
for point in range(0x110000):
    if 0xD800 <= point <= 0xDFFF or not chr(point).isalnum():
        continue
    if ranges and ranges[-1][1] == point - 1:
        ranges[-1][1] = point
    else:
        ranges.append([point, point])

if "--ranges" in sys.argv:
    for first, last in ranges:
        print(first, last)
    sys.exit()

print("// Written by Tests/oracle/alphanumeric_table.py; change that, not this.\n")
print("/// The code points for which CPython 3.11's `str.isalnum` is true (Unicode 14), as ranges in order.")
print("enum AlphanumericTable {")
print("    /// - Complexity: O(1) for ASCII, else O(log ranges).")
print("    static func contains(_ point: UInt32) -> Bool {")
print("        if point < 0x80 {")
print("            return (0x30...0x39).contains(point) || (0x41...0x5A).contains(point) || (0x61...0x7A).contains(point)")
print("        }")
print("        var low = 0")
print("        var high = ranges.count")
print("        while low < high {")
print("            let middle = (low + high) / 2")
print("            if ranges[middle].last < point { low = middle + 1 } else { high = middle }")
print("        }")
print("        return low < ranges.count && ranges[low].first <= point")
print("    }\n")
print("    // swift-format-ignore")
print("    static let ranges: [(first: UInt32, last: UInt32)] = [")
line = "       "
for first, last in ranges:
    item = f" (0x{first:X}, 0x{last:X}),"
    if len(line) + len(item) > 118:
        print(line)
        line = "       "
    line += item
print(line)
print("    ]")
print("}")
