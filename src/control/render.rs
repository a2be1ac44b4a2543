//! Answers as people read them.

use serde_json::{Map, Value};

/// Rows under their headings, in columns wide enough for their longest cell; numbers to the right.
#[must_use]
pub fn table(columns: &[&str], rows: &[Value]) -> String {
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| columns.iter().map(|column| cell(&row[*column])).collect())
        .collect();
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let longest = cells
                .iter()
                .filter_map(|row| row.get(at))
                .map(|text| width(text));
            longest.max().unwrap_or(0).max(width(column))
        })
        .collect();
    let numeric: Vec<bool> = columns
        .iter()
        .map(|column| {
            let mut values = rows
                .iter()
                .map(|row| &row[*column])
                .filter(|value| !value.is_null())
                .peekable();
            values.peek().is_some() && values.all(Value::is_number)
        })
        .collect();
    let headings = columns
        .iter()
        .map(|column| column.to_uppercase().replace('_', " "))
        .collect();
    let mut out = String::new();
    for line in std::iter::once(&headings).chain(&cells) {
        let mut text = String::new();
        for ((cell, width), right) in line.iter().zip(&widths).zip(&numeric) {
            text += &pad(cell, *width, *right);
            text += "  ";
        }
        out += text.trim_end();
        out.push('\n');
    }
    out
}

/// An object as lines of name and value; an object inside becomes lines of its own below its name.
#[must_use]
pub fn record(keys: &[&str], value: &Value) -> String {
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
        let shown = table(&["jid", "sessions", "waiting"], &rows);
        let expected = "\
JID              SESSIONS  WAITING
alice@localhost         2        0
bø@localhost           11      400
";
        assert_eq!(shown, expected);
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
