#!/bin/bash
# fuzz.sh GO TIME: runs every fuzz target of the module for TIME.
set -euo pipefail
go=$1 time=$2
cd "$(dirname "$0")/.."
grep -rlE '^func Fuzz' --include='*_test.go' pkg | sort | while read -r file; do
  dir=./$(dirname "$file")
  sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file" | while read -r target; do
    printf '== %s %s\n' "$dir" "$target"
    "$go" test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$dir"
  done
done
