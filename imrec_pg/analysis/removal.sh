LC_ALL=C
export LC_ALL
umask 077
kept=
kept_sha=
acted=0
left=0

if ! command -v sha256sum >/dev/null 2>&1 && ! command -v shasum >/dev/null 2>&1; then
    echo 'neither sha256sum nor shasum is installed: nothing was done' >&2
    exit 1
fi

# Whether a file is there and has a SHA-256 that begins so.
is_still() {
    [ -f "$1" ] && [ ! -L "$1" ] || return 1
    if command -v sha256sum >/dev/null 2>&1; then
        found=$(sha256sum <"$1")
    else
        found=$(shasum -a 256 <"$1")
    fi
    case $found in
        "$2"*) return 0 ;;
        *) return 1 ;;
    esac
}

leave() {
    left=$((left + 1))
    printf 'left alone, %s: %s\n' "$2" "$(printf '%s' "$1" | tr -c '[:print:]' '?')" >&2
}

# The photo that stays of those that follow; it is read again before each of them goes.
keep() {
    kept=$1
    kept_sha=$2
}

# Whether a file may go.
may_go() {
    if [ -z "$kept" ] || ! is_still "$kept" "$kept_sha"; then
        leave "$1" 'since the photo to keep is gone or has changed'
    elif ! is_still "$1" "$2"; then
        leave "$1" 'since it is gone or has changed'
    elif [ "$1" -ef "$kept" ]; then
        leave "$1" 'since it is the very file to keep'
    else
        return 0
    fi
    return 1
}

# Moves a file below the trash folder, where it keeps its path.
move() {
    may_go "$1" "$2" || return 0
    if [ -e "$trash$1" ] || [ -L "$trash$1" ]; then
        leave "$1" 'since the trash has a file of this name'
    elif mkdir -p "$trash${1%/*}" && mv "$1" "$trash$1"; then
        acted=$((acted + 1))
    else
        leave "$1" 'since it cannot be moved'
    fi
}

# Makes a file a second name of the same bytes.
link() {
    may_go "$1" "$2" || return 0
    new="${1%/*}/.imrec-pg-link.$$"
    if ! cmp -s "$kept" "$1"; then
        leave "$1" 'since it has other bytes'
    elif ln "$kept" "$new" && mv -f "$new" "$1"; then
        acted=$((acted + 1))
    else
        rm -f "$new"
        leave "$1" 'since it cannot be linked'
    fi
}
