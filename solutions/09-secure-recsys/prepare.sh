#!/usr/bin/env bash
# MovieLens' small data set, once per machine. Exit status as scripts/fetch-movielens.
set -euo pipefail
cd "$(dirname "$0")/../.."
echo "== ratings of films"
scripts/fetch-movielens | sed 's/^/   /'
