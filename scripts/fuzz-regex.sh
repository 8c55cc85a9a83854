#!/usr/bin/env bash
# Builds PythonRegex alone, optimized, and runs it against CPython 3.11, or under libFuzzer.
#
# usage: fuzz-regex.sh BUILD differential PAIRS [SEED]
#        fuzz-regex.sh BUILD parser SECONDS [MORE OPTIONS OF LIBFUZZER...]
set -euo pipefail
cd "$(dirname "$0")/.."

build=$(realpath -m "$1")/fuzz
what=$2
shift 2
swiftc=("${SWIFT:-swift}c" -swift-version 6 -enable-testing -O -wmo
    -enable-upcoming-feature ExistentialAny -enable-upcoming-feature InternalImportsByDefault
    -enable-upcoming-feature MemberImportVisibility -I Sources/CPCRE2)
tests=$PWD/Tests/PythonRegexTests
oracle=("$tests/Oracle.swift" "$tests/Comparison.swift")

# library FOLDER OPTION...: the module and its library.
library() {
    local folder=$1
    shift
    mkdir -p "$folder"
    "${swiftc[@]}" "$@" -parse-as-library -module-name PythonRegex -emit-module -emit-module-path "$folder/PythonRegex.swiftmodule" \
        -emit-library -static -o "$folder/libPythonRegex.a" Sources/PythonRegex/*.swift Sources/PythonRegex/Tables/*.swift
}

# program FOLDER NAME OPTION...: a program that is linked with it.
program() {
    local folder=$1 name=$2
    shift 2
    "${swiftc[@]}" -I "$folder" -module-name "$name" -o "$folder/$name" "$@" -L "$folder" -lPythonRegex -lpcre2-8 \
        -lswiftSynchronization
}

case $what in
differential)
    library "$build/differential"
    cp Tests/fuzz/differential.swift "$build/differential/main.swift"
    program "$build/differential" regex_differential "$build/differential/main.swift" \
        Tests/fuzz/FuzzInput.swift "${oracle[@]}" "$tests/RandomPattern.swift" "$tests/RandomPattern+Pieces.swift"
    "$build/differential/regex_differential" "$@"
    ;;
*)
    echo "usage: fuzz-regex.sh BUILD differential PAIRS [SEED] | parser SECONDS" >&2
    exit 2
    ;;
esac
