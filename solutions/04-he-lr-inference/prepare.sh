#!/usr/bin/env bash
# Data and models, once per machine: models are trained in the clear, by their owners. Prints the folder. Exit status as scripts/fetch-debian-file.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${CCZOO_CACHE:-$HOME/.cache/cczoo}
vectors=${CCZOO_VECTORS:-$root/../shared/vectors}/lr
sklearn=usr/lib/python3/dist-packages/sklearn/datasets/data/breast_cancer.csv
aer=usr/lib/R/site-library/AER/data/CreditCard.rda
original=(generated)
[ ! -r "$vectors/lrtest_mid_eval.csv" ] || original=(original "$vectors/lrtest_mid_lrmodel.csv" "$vectors/lrtest_mid_eval.csv")
out=$cache/he-lr-$({ cat "$here/data.py" "$0"; echo "${original[0]}"; } | sha256sum | cut -c1-16)
if [ ! -d "$out" ]; then
    cancer=$("$root/scripts/fetch-debian-file" python3-sklearn $sklearn fed3eb72d0575ef6192293f5093c6e801b1476b577d0386bf4455504522172ed)
    credit=$("$root/scripts/fetch-debian-file" r-cran-aer $aer 6993636043db1488973c7ae0817c265f257b3280fcc93b10b080c3d0aea7d34a)
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/he-lr.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    "$here/data.py" "$work" "${original[@]}"
    "$here/data.py" "$work" cancer "$cancer"
    "$here/data.py" "$work" credit "$credit"
    "$here/data.py" "$work" large 20000
    mv -T "$work" "$out" 2>/dev/null || [ -d "$out" ]
fi
echo "$out"
