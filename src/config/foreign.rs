//! Words of Momentum's configurations that mean nothing here, and what stands in their place.

/// A word that Momentum knows.
#[derive(Debug)]
pub(super) struct Foreign {
    /// The option or scope, in Momentum's spelling.
    pub(super) word: &'static str,
    /// What to write, or why nothing needs to be written.
    pub(super) instead: &'static str,
}

const REMOVE: &str = "remove it: stanzad has nothing like it";

/// Every such word, by what it is about.
pub(super) static FOREIGN: &[Foreign] = &[
    // Listeners.
    word(
        "accept_queue_backlog",
        "remove it: workers accept for themselves; `listen_backlog` is the queue",
    ),
    word(
        "events_per_iter",
        "remove it: `max_stanzas_per_turn` and `max_handshakes_per_turn` bound a worker's turn",
    ),
    word(
        "event_loop",
        "write `pool_name`, and a ThreadPool of that name",
    ),
    word("EventLoop", "write ThreadPool \"name\" { Concurrency = 4 }"),
    word("esmtp_listener", "remove it: stanzad speaks no SMTP"),
    word("ecstream_listener", "remove it: stanzad speaks no SMTP"),
    word(
        "eccluster_listener",
        "remove it: stanzad has no cluster so far",
    ),
    word("http_listener", "remove it: stanzad serves no HTTP so far"),
    word(
        "pathway",
        "set its options in `xmpp_listener`, in a `Listen` or in a `Peer`",
    ),
    word(
        "pathway_group",
        "set its options in `xmpp_listener`, in a `Listen` or in a `Peer`",
    ),
    word("always_allow", "remove it: nobody gets in without a login"),
    word("always_deny", "write a firewall rule"),
    word(
        "listener_sessions",
        "write `max_unauthenticated_per_address` and `max_sessions_per_user`",
    ),
    word(
        "service_sessions",
        "write `max_unauthenticated_per_address` and `max_sessions_per_user`",
    ),
    word(
        "timeout",
        "remove it: the console's connections have a deadline of their own",
    ),
    word("use_ssl", "write tls = \"direct\""),
    // Authentication.
    word(
        "AuthDigestMD5Parameters",
        "write AuthPlainParameters = [ uri = \"store:\" ]: DIGEST-MD5 is broken, SCRAM replaces it",
    ),
    word(
        "AuthCramMD5Parameters",
        "write AuthPlainParameters = [ uri = \"store:\" ]: SCRAM replaces CRAM-MD5",
    ),
    word(
        "AuthLoginParameters",
        "write AuthPlainParameters = [ uri = \"store:\" ]",
    ),
    word(
        "enable_authentication",
        "remove it: a login is always asked for",
    ),
    word(
        "enable_authorization",
        "write `file_mode`: whoever may open the console's socket is an operator",
    ),
    word(
        "AuthorizationParameters",
        "write `file_mode`: whoever may open the console's socket is an operator",
    ),
    word(
        "Authorization",
        "write `file_mode`: whoever may open the console's socket is an operator",
    ),
    word(
        "auth_ds",
        "remove it: `stanzactl user add` makes users in the store",
    ),
    word(
        "Datasource",
        "remove it: `stanzactl user add` makes users in the store",
    ),
    // TLS.
    word(
        "tls_ciphers",
        "remove it: only suites without known weakness are offered",
    ),
    word("tls_protocols", "remove it: TLS 1.2 and 1.3 are spoken"),
    word("tls_engine", "remove it: there is one"),
    word(
        "tls_verify_mode",
        "remove it: clients show no certificates so far",
    ),
    word(
        "tls_client_ca",
        "remove it: clients show no certificates so far",
    ),
    word("tls_allow_renegotiation", "remove it: nothing renegotiates"),
    // The process.
    word(
        "Security",
        "start it as the user that it shall be: docs/man/stanzad.8",
    ),
    word(
        "Pidfile",
        "remove it: the service manager knows the process, `stanzactl summary` tells it",
    ),
    word("spoolbase", "write data_dir = \"/var/lib/stanzad\""),
    word(
        "spool_mode",
        "remove it: only the daemon's user may read its data",
    ),
    word("masterdb_file", "write data_dir = \"/var/lib/stanzad\""),
    word(
        "server_max_file_descriptors",
        "write LimitNOFILE in the service's unit",
    ),
    word("memory_goal", "write memory_soft_limit, in bytes"),
    word("memory_hwm", "write memory_hard_limit, in bytes"),
    word("Debug_Flags", "write log_level = \"debug\""),
    word(
        "TimestampFormat",
        "remove it: time stamps are RFC 3339, UTC",
    ),
    word("match_cache_size", "remove it: patterns need no cache"),
    word("match_cache_life", "remove it: patterns need no cache"),
    word(
        "Local_Changes_Only",
        "remove it: the console writes to Local_Changes_File and nowhere else",
    ),
    word("Stack_Size", REMOVE),
    word(
        "Backlog",
        "remove it: a worker's queue is bounded by what its peers may send",
    ),
    // Logs and monitoring.
    word(
        "xmpp_logger",
        "remove it: `log_level` sets the log, `stanzactl trace` follows one address",
    ),
    word(
        "ec_logger",
        "remove it: the log goes to standard error; `log_level` sets it",
    ),
    word(
        "custom_logger",
        "remove it: the log goes to standard error; `log_level` sets it",
    ),
    word(
        "SNMP",
        "remove it: `stanzactl --json summary` has the counters",
    ),
    word(
        "SNMP_TRAPS",
        "remove it: `stanzactl --json summary` has the counters",
    ),
    word(
        "inbound_audit",
        "remove it: `max_unauthenticated_per_address` bounds an address",
    ),
    word("inbound_throttle_messages", REMOVE),
    // Mail.
    word("binding", "remove it: stanzad sends no mail"),
    word("binding_group", "remove it: stanzad sends no mail"),
    word("host", "write Domain"),
    word("cluster", "remove it: stanzad has no cluster so far"),
];

const fn word(word: &'static str, instead: &'static str) -> Foreign {
    Foreign { word, instead }
}

/// What to do about `word`, whatever its case, if Momentum knows it and we do not.
pub(super) fn foreign(word: &str) -> Option<&'static Foreign> {
    FOREIGN
        .iter()
        .find(|foreign| foreign.word.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::place::PLACES;
    use crate::config::table::find;

    #[test]
    fn no_word_is_both_ours_and_foreign() {
        for foreign in FOREIGN {
            let scope = |row: &&crate::config::place::PlaceInfo| {
                row.word.eq_ignore_ascii_case(foreign.word)
            };
            assert!(find(foreign.word).is_none(), "{}", foreign.word);
            assert!(PLACES.iter().find(scope).is_none(), "{}", foreign.word);
        }
    }
}
