#!/usr/bin/env bash
# Builds PythonRegex alone, optimized, and runs it against CPython 3.11, or under libFuzzer.
#
# usage: fuzz-regex.sh BUILD differential PAIRS [SEED]
#        fuzz-regex.sh BUILD differential --code-points
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
shared=(Tests/fuzz/FuzzInput.swift "$tests/Oracle.swift" "$tests/Comparison.swift")

# library FOLDER OPTION...: the module and its library.
library() {
    local folder=$1
    shift
    mkdir -p "$folder"
    "${swiftc[@]}" "$@" -parse-as-library -module-name PythonRegex -emit-module \
        -emit-module-path "$folder/PythonRegex.swiftmodule" -emit-library -static -o "$folder/libPythonRegex.a" Sources/PythonRegex/*.swift Sources/PythonRegex/Tables/*.swift
}

# program FOLDER NAME OPTION...: a program that is linked with it.
program() {
    local folder=$1 name=$2
    shift 2
    "${swiftc[@]}" -I "$folder" -module-name "$name" -o "$folder/$name" "$@" -L "$folder" -lPythonRegex -lpcre2-8 \
        -lswiftSynchronization
}

# What asks CPython.
differential() {
    library "$build/differential"
    program "$build/differential" regex_differential Tests/fuzz/differential/*.swift "${shared[@]}" \
        "$tests/RandomPattern.swift" "$tests/RandomPattern+Pieces.swift"
}

case $what in
differential)
    library "$build/differential"
    differential
    "$build/differential/regex_differential" "$@"
    ;;
parser)
    seconds=$1
    shift
    differential
    folder=$build/parser
    sanitizers=(-sanitize="${SANITIZERS:-fuzzer}")
    library "$folder" "${sanitizers[@]}"
    program "$folder" regex_parser "${sanitizers[@]}" -parse-as-library Tests/fuzz/parser/Parser.swift "${shared[@]}"
    python3 Tests/fuzz/parser/corpus.py "$folder/seeds" "$folder/dictionary"
    mkdir -p "$folder/corpus" "$folder/found"
    rm -f "$folder/inputs.inputs"
    # What traps, takes ten seconds or half a gigabyte is a finding: its input is in found/.
    TWINSPACE_FUZZ_INPUTS=$folder/inputs.inputs "$folder/regex_parser" "$folder/corpus" "$folder/seeds" \
        -dict="$folder/dictionary" -artifact_prefix="$folder/found/" -max_total_time="$seconds" -timeout=10 \
        -rss_limit_mb=512 -max_len=1500 -print_final_stats=1 "$@"
    echo "asking CPython about the inputs"
    find "$folder/corpus" -type f -print0 |
        xargs -0 -n 100000 "$build/differential/regex_differential" --inputs "$folder/inputs.inputs"
    ;;
*)
    echo "usage: fuzz-regex.sh BUILD differential PAIRS [SEED] | parser SECONDS" >&2
    exit 2
    ;;
esac
