#!/usr/bin/env bash
. "$(dirname "$0")/solution.sh"
cache=${CCZOO_CACHE:-$HOME/.cache/cczoo}
for need in "$cache"/tensorflow-*/lib "$cache"/models/federated-* /usr/share/datasets/fashion-mnist; do
    [ -d "$need" ] || {
        echo "skipped: TensorFlow, the exported networks or the images are missing (solutions/06-horizontal-fl/prepare.sh)"
        exit 77
    }
done
solution_test 06-horizontal-fl
