//! Answers as people read them.

use serde_json::{Map, Value};

use super::command::{Command, Verb};
use super::shape::Answer;

/// How wide a table may be. Fixed, so that what a person pastes looks the same everywhere.
const WIDTH: usize = 80;
/// A column is not made narrower than this to fit.
const NARROW: usize = 12;
/// Between columns.
const GAP: &str = "  ";

/// The answer of `command` as people read it: `rows` of a list, `value` of a single object.
#[must_use]
pub fn shown(command: &Command, rows: &[Value], value: &Value) -> String {
    match (command.answer, rows) {
        (Answer::Listing { .. }, [row]) if command.verb == Verb::Help => page(row),
        (Answer::Listing { shown, .. }, rows) => table(shown, rows),
        (Answer::Rows(keys), rows) => {
            let headings: Vec<String> = keys
                .iter()
                .map(|key| key.to_uppercase().replace('_', " "))
                .collect();
            let headings = headings.iter().map(String::as_str);
            table(
                &keys.iter().copied().zip(headings).collect::<Vec<_>>(),
                rows,
            )
        }
        (Answer::Report(_, key), _) => {
            let text = value[key].as_str().unwrap_or_default();
            let lines = text.lines().map(|line| cell(&Value::from(line)) + "\n");
            lines.collect()
        }
        (Answer::Text(key), _) => value[key].as_str().unwrap_or_default().to_owned(),
        (Answer::Document, _) => format!("{value:#}\n"),
        (Answer::Record(keys) | Answer::Live(keys) | Answer::Conversation(keys), _) => {
            record(keys, value)
        }
    }
}

/// The manual of one command, from its row of `help`.
fn page(row: &Value) -> String {
    let text = |key: &str| row[key].as_str().unwrap_or_default();
    let mut out = format!("stanzactl {}\n\n", text("usage"));
    let prose = format!("{}. {}", text("help"), text("manual").replace('`', ""));
    for line in fold(prose.trim(), WIDTH) {
        out += &format!("{line}\n");
    }
    let list = |key: &str| row[key].as_array().map_or(&[][..], Vec::as_slice);
    let args: Vec<Value> = list("arguments").to_vec();
    if !args.is_empty() {
        let named = table(&[("typed", ""), ("help", "")], &args);
        out.push('\n');
        out += named.trim_start_matches('\n');
    }
    let keys: Vec<&str> = list("keys").iter().filter_map(Value::as_str).collect();
    if !keys.is_empty() {
        out += "\nWith --json:\n";
        for line in fold(&keys.join(", "), WIDTH - GAP.len()) {
            out += &format!("{GAP}{line}\n");
        }
    }
    out
}

/// Rows under their headings, in columns wide enough for their longest cell, numbers to the right. Columns that are of no
/// row are left out; what would pass [`WIDTH`] goes on in a second line of its cell, and nothing is cut off.
fn table(columns: &[(&str, &str)], rows: &[Value]) -> String {
    let columns: Vec<&(&str, &str)> = columns
        .iter()
        .filter(|(key, _)| rows.iter().any(|row| row.get(*key).is_some()))
        .collect();
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            columns
                .iter()
                .map(|(key, _)| entry(key, &row[*key]))
                .collect()
        })
        .collect();
    let numeric: Vec<bool> = columns
        .iter()
        .map(|(key, _)| is_numeric(key, rows))
        .collect();
    let widths = widths(&columns, &cells, &numeric);
    let headings: Vec<String> = columns
        .iter()
        .map(|(_, heading)| (*heading).to_owned())
        .collect();
    let mut out = String::new();
    let head = (!headings.iter().all(String::is_empty)).then_some(&headings);
    for line in head.into_iter().chain(&cells) {
        let folded: Vec<Vec<String>> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| fold(cell, *width))
            .collect();
        for at in 0..folded.iter().map(Vec::len).max().unwrap_or(0) {
            let mut text = String::new();
            for ((cell, width), right) in folded.iter().zip(&widths).zip(&numeric) {
                let part = cell.get(at).map_or("", String::as_str);
                text += &pad(part, *width, *right);
                text += GAP;
            }
            out += text.trim_end();
            out.push('\n');
        }
    }
    out
}

fn is_numeric(key: &str, rows: &[Value]) -> bool {
    let mut values = rows
        .iter()
        .map(|row| &row[key])
        .filter(|value| !value.is_null())
        .peekable();
    values.peek().is_some() && values.all(Value::is_number)
}

/// As wide as their longest cell; the widest of the columns of text give way until all fit.
fn widths(columns: &[&(&str, &str)], cells: &[Vec<String>], numeric: &[bool]) -> Vec<usize> {
    let mut widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, (_, heading))| {
            let cells = cells.iter().filter_map(|row| row.get(at));
            let longest = cells.map(|text| width(text)).max();
            longest.unwrap_or(0).max(width(heading))
        })
        .collect();
    let gaps = GAP.len() * columns.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > WIDTH {
        let columns = widths.iter_mut().zip(numeric);
        let texts = columns.filter(|(width, numeric)| !**numeric && **width > NARROW);
        let Some((widest, _)) = texts.max_by_key(|(width, _)| **width) else {
            break;
        };
        *widest -= 1;
    }
    widths
}

/// Cuts `text` into lines of at most `most` characters: behind a blank if there is one, else before `/` or `@`, else
/// anywhere.
fn fold(text: &str, most: usize) -> Vec<String> {
    let mut letters: Vec<char> = text.chars().collect();
    let mut lines = Vec::new();
    while letters.len() > most {
        let reach = letters.get(..=most).unwrap_or_default();
        let blank = reach.iter().rposition(|letter| *letter == ' ');
        let mark = || reach.iter().rposition(|letter| matches!(letter, '/' | '@'));
        let at = blank.or_else(mark).filter(|at| *at > 0).unwrap_or(most);
        let rest = letters.split_off(at.min(letters.len()));
        lines.push(letters.iter().collect::<String>().trim_end().to_owned());
        letters = rest
            .into_iter()
            .skip_while(|letter| *letter == ' ')
            .collect();
    }
    lines.push(letters.iter().collect());
    lines
}

/// A cell of a table: `age_seconds` and its like as people say them.
fn entry(key: &str, value: &Value) -> String {
    match value.as_u64().filter(|_| key.ends_with("_seconds")) {
        None => cell(value),
        Some(seconds @ 0..60) => format!("{seconds}s"),
        Some(seconds @ 60..3600) => format!("{}m", seconds / 60),
        Some(seconds @ 3600..172_800) => format!("{}h", seconds / 3600),
        Some(seconds) => format!("{}d", seconds / 86_400),
    }
}

/// An object as lines of name and value; an object inside becomes lines of its own below its name.
fn record(keys: &[&str], value: &Value) -> String {
    let lines: Vec<(String, String)> = keys
        .iter()
        .flat_map(|key| match &value[*key] {
            Value::Object(inner) => nested(key, inner),
            Value::Array(list) if list.iter().any(Value::is_object) => list
                .iter()
                .enumerate()
                .map(|(at, item)| {
                    let name = if at == 0 {
                        (*key).to_owned()
                    } else {
                        String::new()
                    };
                    (name, inline(item))
                })
                .collect(),
            plain => vec![((*key).to_owned(), cell(plain))],
        })
        .collect();
    let widest = lines.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
    lines
        .iter()
        .map(|(name, value)| {
            let line = format!("{}  {value}", pad(&name.replace('_', " "), widest, false));
            format!("{}\n", line.trim_end())
        })
        .collect()
}

/// One record of a trace.
#[must_use]
pub fn trace(row: &Value) -> String {
    let text = |key: &str| cell(&row[key]);
    let mut out = String::new();
    if let Some(missed) = row["missed"].as_u64().filter(|missed| *missed > 0) {
        out += &format!("({missed} stanzas missed: this trace could not keep up)\n");
    }
    let to = if text("to").is_empty() {
        "-".to_owned()
    } else {
        text("to")
    };
    out += &format!("{} {} {} -> {to}", text("when"), text("kind"), text("from"));
    if !text("id").is_empty() {
        out += &format!(" id={}", text("id"));
    }
    out.push('\n');
    let steps = row["steps"].as_array().map_or(&[][..], Vec::as_slice);
    for step in steps {
        out += &format!(
            "    {:<22} {:<24} {:<8} {:>7} µs\n",
            cell(&step["point"]),
            cell(&step["handler"]),
            cell(&step["verdict"]),
            cell(&step["us"])
        );
    }
    out += &format!("    => {}\n", text("fate"));
    out
}

fn nested(name: &str, inner: &Map<String, Value>) -> Vec<(String, String)> {
    let own = (name.to_owned(), String::new());
    let below = inner
        .iter()
        .map(|(key, value)| (format!("  {key}"), cell(value)));
    std::iter::once(own).chain(below).collect()
}

fn inline(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let parts: Vec<String> = fields
                .iter()
                .map(|(key, value)| format!("{key} {}", cell(value)))
                .collect();
            parts.join(", ")
        }
        plain => cell(plain),
    }
}

/// A value as one line; characters that would move the terminal's cursor are shown as escapes.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => {
            let mut shown = String::with_capacity(text.len());
            for letter in text.chars() {
                if letter.is_control() {
                    shown.extend(letter.escape_default());
                } else {
                    shown.push(letter);
                }
            }
            shown
        }
        Value::Array(list) => list.iter().map(inline).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn pad(text: &str, to: usize, right: bool) -> String {
    let blanks = " ".repeat(to.saturating_sub(width(text)));
    if right {
        blanks + text
    } else {
        text.to_owned() + &blanks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn table_aligns_its_columns() {
        let rows = [
            json!({"jid": "alice@localhost", "sessions": 2, "waiting": 0}),
            json!({"jid": "bø@localhost", "sessions": 11, "waiting": 400}),
        ];
        let columns = [
            ("jid", "JID"),
            ("sessions", "SESSIONS"),
            ("waiting", "WAITING"),
            ("of_no_row", "NEVER"),
        ];
        let shown = table(&columns, &rows);
        let expected = "\
JID              SESSIONS  WAITING
alice@localhost         2        0
bø@localhost           11      400
";
        assert_eq!(shown, expected);
    }

    #[test]
    fn tables_fit_a_terminal_and_lose_nothing() {
        let jid = "a.rather.long.name@chat.department.example.org/Conversations.abcdefgh";
        let rows = [
            json!({"jid": jid, "address": "127.0.0.1:5222", "age_seconds": 59}),
            json!({"jid": "a@x", "address": "[2001:db8::1]:50000", "age_seconds": 7300}),
        ];
        let columns = [("jid", "JID"), ("address", "FROM"), ("age_seconds", "AGE")];
        let shown = table(&columns, &rows);
        assert!(shown.lines().all(|line| width(line) <= WIDTH), "{shown}");
        assert!(
            shown.contains(" 59s\n") && shown.contains(" 2h\n"),
            "{shown}"
        );
        assert!(shown.contains("\n/Conversations.abcdefgh\n"), "{shown}");
        assert!(
            shown.contains("a.rather.long.name@chat.department.example.org "),
            "{shown}"
        );
    }

    #[test]
    fn text_is_folded_at_blanks_then_at_marks_then_anywhere() {
        assert_eq!(fold("one two three", 8), ["one two", "three"]);
        assert_eq!(
            fold("alice@localhost/desk", 16),
            ["alice@localhost", "/desk"]
        );
        assert_eq!(fold("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(fold("", 3), [""]);
    }

    #[test]
    fn record_puts_inner_objects_below_their_name() {
        let value = json!({"version": "0.1.0", "listening": [{"address": "127.0.0.1:5222", "tls": "required"}],
            "counters": {"logins": 3}});
        let shown = record(&["version", "listening", "counters"], &value);
        let expected = "\
version    0.1.0
listening  address 127.0.0.1:5222, tls required
counters
  logins   3
";
        assert_eq!(shown, expected);
    }

    #[test]
    fn trace_shows_steps_and_fate() {
        let row = json!({"when": "2026-01-02T03:04:05.006Z", "kind": "message", "id": "m1", "from": "a@x/1", "to": "echo@x",
            "steps": [{"point": "client_message_recv", "handler": "script:dialplan", "verdict": "done", "us": 13}],
            "fate": "taken by script:dialplan", "missed": 2});
        let expected = "\
(2 stanzas missed: this trace could not keep up)
2026-01-02T03:04:05.006Z message a@x/1 -> echo@x id=m1
    client_message_recv    script:dialplan          done          13 µs
    => taken by script:dialplan
";
        assert_eq!(trace(&row), expected);
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(cell(&json!("a\u{1b}[2Jb")), "a\\u{1b}[2Jb");
    }
}
