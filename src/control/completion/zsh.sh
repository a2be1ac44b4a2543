#compdef stanzactl
# Completion of stanzactl for zsh, made from its table of commands. In ~/.zshrc, behind compinit: source <(stanzactl completion zsh)

@COMMON@
_stanzactl() {
    local program=${words[1]} files=
    local -a found=() socket=()
    _stanzactl_find "${words[CURRENT]}" "${(@)words[2,CURRENT-1]}"
    if [[ -n $files ]]; then
        _files
        return
    fi
    compadd -- "${found[@]}"
}
if [[ ${zsh_eval_context[-1]} == loadautofunc ]]; then
    _stanzactl "$@"
else
    compdef _stanzactl stanzactl
fi
