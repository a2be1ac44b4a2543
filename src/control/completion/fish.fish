# Completion of stanzactl for fish, made from its table of commands. In config.fish: stanzactl completion fish | source

# The words before the cursor, options and their values left out.
function __stanzactl_words
    set -l last
    for word in (commandline -opc)[2..-1]
        if test -n "$last"
            set last
            continue
        end
        switch $word
            case @VALUED@
                set last $word
            case '-*'
            case '*'
                echo $word
        end
    end
end

# Whether the command of those words is being typed.
function __stanzactl_of
    set -l words (__stanzactl_words)
    test (count $words) -ge (count $argv); or return 1
    for at in (seq (count $argv))
        test "$words[$at]" = "$argv[$at]"; or return 1
    end
end

# Likewise, with $argv[1] more words behind them.
function __stanzactl_at
    set -l words (__stanzactl_words)
    test (count $words) -eq (math $argv[1] + (count $argv) - 1); and __stanzactl_of $argv[2..-1]
end

# Values that the running daemon lists: under the key $argv[1] of the rows of the command that follows. Only plain ones,
# because peers choose some of them.
function __stanzactl_values
    set -l line (commandline -opc)
    set -l socket
    if set -l at (contains -i -- --socket $line)
        set socket --socket $line[(math $at + 1)]
    end
    $line[1] $socket --json $argv[2..-1] 2>/dev/null </dev/null | string replace -rf '^ *"'$argv[1]'": "([A-Za-z0-9][A-Za-z0-9@._+=/-]*)",?$' '$1'
end

complete -c stanzactl -f
complete -c stanzactl -l socket -r -F -d 'The daemon\'s socket, or the directory it is in'
complete -c stanzactl -l json -d 'Print JSON'
complete -c stanzactl -l help -d 'Print help'
@RULES@
