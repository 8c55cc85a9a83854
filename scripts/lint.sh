#!/usr/bin/env bash
# Checks layout and style of the Swift files, and the syntax of everything else that runs. All findings are shown.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
echo "swift format lint"
"${SWIFT:-swift}" format lint --strict --parallel --recursive Sources Tests Package.swift || failed=1

while IFS= read -r -d '' file; do
    case "$file" in
    *.sh | .ci/run)
        bash -n "$file" || failed=1
        [ -x "$file" ] || { echo "$file: a script that is not executable" && failed=1; }
        ;;
    *.py)
        python3 -c 'import ast, sys; ast.parse(open(sys.argv[1], encoding="utf-8").read(), sys.argv[1])' "$file" ||
            failed=1
        ;;
    esac
    if [ -n "$(tail -c 1 "$file")" ]; then
        echo "$file: no line end at the end of the file"
        failed=1
    fi
    if grep -nP '[ \t]+$' "$file" /dev/null; then
        echo "$file: white space at a line's end"
        failed=1
    fi
done < <(find .ci scripts docker Tests -type f \( -name '*.sh' -o -name '*.py' -o -path '.ci/run' \) -print0)

if command -v shellcheck >/dev/null; then
    echo "shellcheck"
    find .ci scripts docker Tests -type f \( -name '*.sh' -o -path '.ci/run' \) -print0 | xargs -0 shellcheck || failed=1
fi
exit "$failed"
