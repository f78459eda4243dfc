#!/bin/sh
# Checks every shell script there is.
set -eu
cd "$(dirname "$0")/../.."
command -v shellcheck >/dev/null || sh test/support/system.sh

set --
for script in install.sh hooks/* test/support/*.sh .ci/run; do
  if [ -f "$script" ]; then set -- "$@" "$script"; fi
done
exec shellcheck "$@"
