#!/usr/bin/env bash
# The data, once per machine: that of solution 05. Prints the file. Exit status as scripts/fetch-debian-file.
set -euo pipefail
exec "$(dirname "$0")/../05-paillier-lr/prepare.sh"
