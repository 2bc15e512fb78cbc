#!/usr/bin/env bash
# What this solution needs, once per machine: TensorFlow's C library and the exported networks.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
"$root/scripts/fetch-tensorflow"
"$root/scripts/export-models"
