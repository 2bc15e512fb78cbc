#!/usr/bin/env bash
# MovieLens' small data set, once per machine.
set -euo pipefail
cd "$(dirname "$0")/../.."
echo "== ratings of films"
scripts/fetch-movielens | sed 's/^/   /'
