# Values that the running daemon lists: under the key $1 of the rows of the command that follows. Only plain ones, because
# peers choose some of them and a shell would run the rest.
_stanzactl_values() {
    local key=$1 value
    shift
    while IFS= read -r value; do
        found+=("$value")
    done < <("$program" "${socket[@]}" --json "$@" 2>/dev/null </dev/null |
        LC_ALL=C sed -n 's|^ *"'"$key"'": "\([A-Za-z0-9][A-Za-z0-9@._+=/-]*\)",\{0,1\}$|\1|p')
}

# Fills `found` with what may come next, or says that it is a file: $1 is the word begun, the others stand before it.
_stanzactl_find() {
    local begun=$1 word last= first= second= count=0 helping= name=
    shift
    for word in "$@"; do
        if [[ -n $last ]]; then
            [[ $last == --socket ]] && socket=(--socket "$word")
            last=
            continue
        fi
        case $word in
        @VALUED@) last=$word ;;
        -*) ;;
        *)
            if [[ $count == 0 && -z $helping && $word == help ]]; then
                helping=yes
                continue
            fi
            count=$((count + 1))
            [[ $count == 1 ]] && first=$word
            [[ $count == 2 ]] && second=$word
            ;;
        esac
    done
    case $last in
    '') ;;
    @FILES@)
        files=yes
        return
        ;;
    *) return ;;
    esac
    case "$first $second " in
@NAMES@
    *)
            # A first word whose second is still to come, or nothing yet.
            name=$first
            [[ $count -gt 1 ]] && return
            count=0
            ;;
    esac
    case $name in
        *' '*) count=$((count - 2)) ;;
        *) [[ $count -gt 0 ]] && count=$((count - 1)) ;;
    esac
    if [[ $begun == -* ]]; then
        found=(@EVERYWHERE@)
        case $name in
@OPTIONS@
        esac
        return
    fi
    case "$name:$count:$helping" in
@CASES@
    esac
}
