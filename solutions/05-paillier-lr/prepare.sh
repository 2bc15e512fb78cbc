#!/usr/bin/env bash
# The data, once per machine: Wisconsin diagnostic breast cancer, 569 patients, 30 measurements. Prints the file. Exit status as scripts/fetch-debian-file.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
"$root/scripts/fetch-debian-file" python3-sklearn \
    usr/lib/python3/dist-packages/sklearn/datasets/data/breast_cancer.csv \
    fed3eb72d0575ef6192293f5093c6e801b1476b577d0386bf4455504522172ed
