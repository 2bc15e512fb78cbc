# The packages of package-lock.json, and nothing else, in ${CCZOO_CACHE:-$HOME/.cache/cczoo}; sourced.
# shellcheck shell=bash
# web_modules: sets WEB_MODULES to a folder with node_modules, or fails and says why.
web_modules() {
    local here cache home work
    here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
    command -v node >/dev/null && command -v npm >/dev/null || { echo "node and npm are not installed"; return 1; }
    cache=${CCZOO_CACHE:-$HOME/.cache/cczoo}
    home=$cache/web-$(sha256sum <"$here/package-lock.json" | cut -c 1-16)
    if [ ! -d "$home" ]; then
        mkdir -p "$cache"
        work=$(mktemp -d "$cache/web.XXXXXX")
        cp "$here/package.json" "$here/package-lock.json" "$work/"
        if ! (cd "$work" && npm ci --silent --ignore-scripts --no-audit --no-fund) >/dev/null 2>&1; then
            rm -rf "$work"
            echo "npm does not give the packages of tests/web/package-lock.json"
            return 1
        fi
        mv -T "$work" "$home" 2>/dev/null || rm -rf "$work" # another test was first
    fi
    WEB_MODULES=$home
}
