//! What somebody may have meant who typed a command that does not exist.

use super::command::{COMMANDS, Command, GROUPS};

/// Words less alike than this are different words.
const LIKE: f64 = 0.75;
/// Names less alike than this, blanks left out, are different names.
const SAME: f64 = 0.9;
/// Suggestions given at most.
const MOST: usize = 4;

impl Command {
    /// The commands and groups nearest to the words typed, best first; empty when none is near. Arguments behind the
    /// command's words do no harm.
    #[must_use]
    pub fn nearest(given: &str) -> Vec<&'static str> {
        let given = given.to_lowercase();
        let words: Vec<&str> = given.split_whitespace().collect();
        let mut near: Vec<(f64, &'static str)> = COMMANDS
            .iter()
            .filter_map(|command| Some((likeness(command.name, &words)?, command.name)))
            .collect();
        let groups = GROUPS.iter().map(|(group, _)| *group);
        let groups: Vec<(f64, &'static str)> = groups
            // A whole command says more.
            .filter(|group| !Command::of_group(group).any(|(_, have)| has(&near, have.name)))
            .filter_map(|group| Some((likeness(group, words.get(..1)?)?, group)))
            .collect();
        near.extend(groups);
        if near.is_empty() {
            near = second_words(&words);
        }
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        let best = near.first().map_or(0.0, |(likeness, _)| *likeness);
        // Runners-up only when they are about as good.
        near.retain(|(likeness, _)| best - likeness < 0.02);
        near.truncate(MOST);
        near.into_iter().map(|(_, name)| name).collect()
    }
}

fn has(near: &[(f64, &str)], name: &str) -> bool {
    near.iter().any(|(_, have)| *have == name)
}

/// How alike `name` and the first of `words` are, from 0 to 1; `None`: not at all.
fn likeness(name: &str, words: &[&str]) -> Option<f64> {
    let wanted: Vec<&str> = name.split(' ').collect();
    let typed = words.get(..wanted.len());
    let word_by_word = typed.and_then(|typed| {
        let each = wanted.iter().zip(typed);
        let each: Vec<f64> = each
            .map(|(wanted, typed)| strsim::jaro_winkler(wanted, typed))
            .collect();
        let all = each.iter().all(|likeness| *likeness >= LIKE);
        all.then(|| each.iter().sum::<f64>() / each.len() as f64)
    });
    word_by_word.or_else(|| {
        // `userlist`, `user-list`.
        let typed = words.first()?.replace(['-', '_', '.', ':'], "");
        let likeness = strsim::jaro_winkler(&name.replace(' ', ""), &typed);
        (wanted.len() > 1 && likeness >= SAME).then_some(likeness)
    })
}

/// `list`: every command whose second word it is.
fn second_words(words: &[&str]) -> Vec<(f64, &'static str)> {
    let Some(typed) = words.first() else {
        return Vec::new();
    };
    let names = COMMANDS.iter().map(|command| command.name);
    names
        .filter(|name| {
            name.split_once(' ')
                .is_some_and(|(_, second)| second == *typed)
        })
        .map(|name| (1.0, name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_commands_have_their_nearest() {
        let cases = [
            ("sumary", &["summary"][..]),
            ("user ad alice@localhost", &["user add"]),
            ("sesion lst", &["session list"]),
            ("Session List", &["session list"]),
            ("userlist", &["user list"]),
            ("script-reload", &["script reload"]),
            ("sesion", &["session"]),
            ("sesion blah", &["session"]),
            ("zzz", &[]),
            ("", &[]),
        ];
        for (given, expected) in cases {
            assert_eq!(Command::nearest(given), expected, "{given}");
        }
        assert!(Command::nearest("list").contains(&"session list"));
    }
}
