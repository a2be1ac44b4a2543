# Completion of stanzactl for bash, made from its table of commands. In ~/.bashrc: source <(stanzactl completion bash)

@COMMON@
_stanzactl() {
    # Bash breaks words at `@` and more: the line itself says where an address begins.
    local line=${COMP_LINE:0:COMP_POINT} program=${COMP_WORDS[0]} begun= files= word kept=
    local -a words=() found=() socket=()
    read -ra words <<<"$line"
    if [[ $line != *[[:space:]] ]]; then
        begun=${words[${#words[@]} - 1]}
        unset "words[${#words[@]}-1]"
    fi
    _stanzactl_find "$begun" "${words[@]:1}"
    COMPREPLY=()
    if [[ -n $files ]]; then
        while IFS= read -r word; do
            COMPREPLY+=("$word")
        done < <(compgen -f -- "$begun")
        compopt -o filenames 2>/dev/null
        return
    fi
    # What bash takes for the word begun may be only its end; it is that which is replaced.
    word=${COMP_WORDS[COMP_CWORD]-}
    [[ $begun == *"$word" ]] && kept=${begun%"$word"}
    for word in "${found[@]}"; do
        [[ $word == "$begun"* ]] && COMPREPLY+=("${word#"$kept"}")
    done
}
complete -F _stanzactl stanzactl
