//! "Did you mean".

/// The candidate that is most like `word`, if any is like it at all.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    /// Below this likeness (0 to 1) a suggestion puzzles more than it helps.
    const LIKE: f64 = 0.75;
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= LIKE)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_finds_its_word_and_nonsense_finds_none() {
        let words = ["client_message_recv", "client_presence_recv", "route"];
        assert_eq!(
            nearest("client_mesage_recv", words),
            Some("client_message_recv")
        );
        assert_eq!(nearest("rout", words), Some("route"));
        assert_eq!(nearest("zzz", words), None);
    }
}
