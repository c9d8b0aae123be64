#!/bin/bash
# step.sh NAME COMMAND...: runs COMMAND and says how long it took. Its exit code is COMMAND's.
set -u
name=$1
shift
printf '== %s\n' "$name"
began=$SECONDS
"$@"
code=$?
took=$((SECONDS - began))
if [ $code -eq 0 ]; then word=ok; else word=FAILED; fi
printf '%s\t%s\t%d s\n' "$word" "$name" "$took"
exit $code
