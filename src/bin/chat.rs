//! `stanzactl chat`: where to connect, whom to believe, and the terminal around a conversation.

use std::io::{self, BufRead, IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ArgMatches;
use serde_json::Value;
use stanzad::client::{
    Account, ClientError, Fingerprint, Line, Secured, Server, Session, Trust, Until, converse,
};
use stanzad::control::{self, Answers, Complaint, Reply, Request};
use stanzad::jid::Jid;
use stanzad::net::Clock;

use crate::{Failure, secret_from_stdin};

/// The port of a server that is named without one (RFC 6120 §14.7).
const PORT: u16 = 5222;
/// Ports where TLS begins with the first byte by custom.
const DIRECT: [u16; 2] = [5223, 443];

/// What a terminal shows where something is to be typed.
const PROMPT: &str = "> ";
/// Takes the prompt away: to the line's begin, and nothing behind it.
const NO_PROMPT: &str = "\r\u{1b}[K";

/// The exit code of a conversation that failed.
pub(crate) fn exit(error: &ClientError) -> u8 {
    match error {
        ClientError::Refused(_) | ClientError::NotCome { .. } | ClientError::Output(_) => 1,
        ClientError::Password(_) | ClientError::Name(_) => 2,
        _ => 3,
    }
}

fn mistaken(message: String, hint: impl Into<Option<String>>) -> Failure {
    Failure::Mistaken(Complaint {
        code: "usage".to_owned(),
        message,
        hint: hint.into(),
        details: None,
    })
}

/// Runs a conversation to its end.
pub(crate) fn run(args: &ArgMatches, json: bool) -> Result<(), Failure> {
    let setting = |name: &str| args.get_one::<String>(name).map(String::as_str);
    let me = address(setting("me").unwrap_or_default())?;
    if me.local().is_none() {
        let hint = format!("a user's address reads alice@{me}");
        return Err(mistaken(
            format!("`{me}` is not the address of a user"),
            hint,
        ));
    }
    let to = setting("to").map(address).transpose()?;
    let socket = args.get_one::<PathBuf>("socket").map(PathBuf::as_path);
    let (server, trust) = reach(&me, socket, &setting)?;
    let until = Until {
        text: setting("until").map(str::to_owned),
        wait: seconds(setting("wait"))?,
    };
    let password = match setting("password-file") {
        Some(path) => first_line(Path::new(path))?,
        None if args.get_flag("password") => secret_from_stdin()?,
        None => rpassword::prompt_password(format!("Password for {}: ", me.bare_str()))
            .map_err(Failure::NoTerminal)?,
    };
    let account = Account { jid: me, password };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ClientError::System)?;
    let mut screen = Screen {
        json,
        prompt: !json && io::stdin().is_terminal() && io::stdout().is_terminal(),
    };
    let conversation = async {
        let session = Session::start(&server, &trust, &account, &Clock::system()).await?;
        let input = io::BufReader::new(Typed {
            prompt: screen.prompt,
        });
        converse(session, to, input, until, |line| screen.show(line)).await
    };
    let ended = runtime.block_on(conversation);
    // The thread that reads the input waits for a line that nobody will type.
    runtime.shutdown_background();
    screen.end();
    match ended {
        Err(ClientError::Output(error)) => Err(Failure::Output(error)),
        ended => Ok(ended?),
    }
}

fn address(given: &str) -> Result<Jid, Failure> {
    Jid::new(given).map_err(|error| mistaken(format!("`{given}` is not an address: {error}"), None))
}

fn seconds(given: Option<&str>) -> Result<Option<Duration>, Failure> {
    given
        .map(|given| {
            given
                .parse::<u32>()
                .map(|count| Duration::from_secs(count.into()))
                .map_err(|_| mistaken(format!("`{given}` is no number of seconds"), None))
        })
        .transpose()
}

fn first_line(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| mistaken(format!("cannot read {}: {error}", path.display()), None))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(mistaken(format!("no password in {}", path.display()), None)),
    }
}

/// Where to connect and whom to believe: what the command line says, else what the daemon says on its console.
fn reach<'a>(
    me: &Jid,
    socket: Option<&Path>,
    setting: &impl Fn(&str) -> Option<&'a str>,
) -> Result<(Server, Trust), Failure> {
    let fingerprint = setting("fingerprint")
        .map(|given| given.parse::<Fingerprint>())
        .transpose()
        .map_err(|error| mistaken(error.to_string(), None))?;
    let secured = match setting("tls") {
        None => None,
        Some("direct") => Some(Secured::Direct),
        Some("starttls") => Some(Secured::StartTls),
        Some(other) => {
            let message = format!("`{other}` is no way to begin TLS");
            return Err(mistaken(message, "one of: direct, starttls".to_owned()));
        }
    };
    let told = match setting("connect") {
        // Nothing is left to ask.
        Some(_) if fingerprint.is_some() => None,
        // The server may be elsewhere, and no daemon here.
        Some(_) => summary(socket).ok().filter(|told| serves(told, me)),
        None => Some(summary(socket)?),
    };
    let mut trust = Trust {
        fingerprints: fingerprint.into_iter().collect(),
        authorities: fingerprint.is_none(),
    };
    if let Some(told) = &told
        && fingerprint.is_none()
    {
        trust.fingerprints = fingerprints(told);
    }
    let server = match (setting("connect"), &told) {
        (Some(given), _) => named(given, secured)?,
        (None, Some(told)) if !serves(told, me) => {
            let domains: Vec<&str> = rows(told, "domains")
                .iter()
                .filter_map(Value::as_str)
                .collect();
            return Err(mistaken(
                format!("the daemon here does not serve `{}`", me.domain()),
                format!(
                    "it serves {}; --connect HOST:PORT names another server",
                    domains.join(", ")
                ),
            ));
        }
        (None, told) => {
            nearest(told.as_ref().unwrap_or(&Value::Null), secured).ok_or_else(|| {
                mistaken(
                    "the daemon here has no socket with TLS for clients".to_owned(),
                    "--connect HOST:PORT names another server".to_owned(),
                )
            })?
        }
    };
    Ok((server, trust))
}

/// What the daemon says of itself.
fn summary(socket: Option<&Path>) -> Result<Value, Failure> {
    let request = Request {
        command: "summary".to_owned(),
        args: Default::default(),
    };
    for answer in Answers::ask(control::connect(socket)?, &request)? {
        match answer? {
            Reply::Done(value) => return Ok(value),
            Reply::Error(complaint) => return Err(Failure::Refused(complaint)),
            Reply::Row(_) => {}
        }
    }
    Err(Failure::Client(control::ClientError::Broken))
}

fn rows<'v>(told: &'v Value, key: &str) -> &'v [Value] {
    told[key].as_array().map_or(&[], Vec::as_slice)
}

fn serves(told: &Value, me: &Jid) -> bool {
    rows(told, "domains")
        .iter()
        .any(|domain| domain.as_str() == Some(me.domain()))
}

fn fingerprints(told: &Value) -> Vec<Fingerprint> {
    rows(told, "certificates")
        .iter()
        .filter_map(|row| row["fingerprint"].as_str()?.parse().ok())
        .collect()
}

/// The server of `--connect`.
fn named(given: &str, secured: Option<Secured>) -> Result<Server, Failure> {
    let bad = || {
        mistaken(
            format!("`{given}` is no server"),
            "it reads HOST:PORT: 127.0.0.1:5222, [::1]:5223, example.org".to_owned(),
        )
    };
    let (host, port) = match given.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, port.parse().map_err(|_| bad())?)
        }
        _ => (given, PORT),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        return Err(bad());
    }
    let custom = if DIRECT.contains(&port) {
        Secured::Direct
    } else {
        Secured::StartTls
    };
    Ok(Server {
        host: host.to_owned(),
        port,
        secured: secured.unwrap_or(custom),
    })
}

/// The daemon's socket that is best to reach from here: a loopback address before others, TLS from the first byte before
/// STARTTLS.
fn nearest(told: &Value, wanted: Option<Secured>) -> Option<Server> {
    let mut found: Vec<(bool, bool, SocketAddr)> = rows(told, "listening")
        .iter()
        .filter_map(|row| {
            let addr: SocketAddr = row["address"].as_str()?.parse().ok()?;
            let direct = match (row["tls"].as_str()?, wanted) {
                ("direct", None | Some(Secured::Direct)) => true,
                ("either", wanted) => wanted != Some(Secured::StartTls),
                ("required" | "offered", None | Some(Secured::StartTls)) => false,
                _ => return None,
            };
            let ip = match addr.ip() {
                ip if !ip.is_unspecified() => ip,
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            };
            Some((!ip.is_loopback(), !direct, SocketAddr::new(ip, addr.port())))
        })
        .collect();
    found.sort();
    let (_, starttls, addr) = found.first()?;
    Some(Server {
        host: addr.ip().to_string(),
        port: addr.port(),
        secured: if *starttls {
            Secured::StartTls
        } else {
            Secured::Direct
        },
    })
}

/// Standard input; at a terminal it prompts for each line.
struct Typed {
    prompt: bool,
}

impl io::Read for Typed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut input = io::stdin().lock();
        let available = input.fill_buf()?;
        let count = available.len().min(into.len());
        let (Some(into), Some(from)) = (into.get_mut(..count), available.get(..count)) else {
            return Ok(0);
        };
        into.copy_from_slice(from);
        input.consume(count);
        drop(input);
        if self.prompt && count > 0 {
            let mut out = io::stdout().lock();
            // Without a screen nobody misses the prompt.
            let _ = write!(out, "{PROMPT}").and_then(|()| out.flush());
        }
        Ok(count)
    }
}

/// Where lines are shown.
struct Screen {
    json: bool,
    prompt: bool,
}

impl Screen {
    fn show(&mut self, line: &Line) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            serde_json::to_writer(&mut out, line)?;
            writeln!(out)?;
        } else if self.prompt {
            write!(out, "{NO_PROMPT}{}\n{PROMPT}", line.shown())?;
        } else {
            writeln!(out, "{}", line.shown())?;
        }
        out.flush()
    }

    /// Leaves the terminal with an empty line.
    fn end(&mut self) {
        if self.prompt {
            let mut out = io::stdout().lock();
            let _ = write!(out, "{NO_PROMPT}").and_then(|()| out.flush());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn the_nearest_socket_is_on_loopback_and_has_tls_from_the_first_byte() {
        let listening = |rows: &[(&str, &str)]| {
            let rows: Vec<Value> = rows
                .iter()
                .map(|(address, tls)| json!({"address": address, "tls": tls}))
                .collect();
            json!({ "listening": rows })
        };
        let near = |rows: &[(&str, &str)], wanted| {
            nearest(&listening(rows), wanted).map(|server| (server.to_string(), server.secured))
        };
        let shipped = [
            ("127.0.0.1:5222", "required"),
            ("[::1]:5222", "required"),
            ("127.0.0.1:5223", "direct"),
            ("[::1]:5223", "direct"),
        ];
        let direct = Some(("127.0.0.1:5223".to_owned(), Secured::Direct));
        assert_eq!(near(&shipped, None), direct);
        let starttls = Some(("127.0.0.1:5222".to_owned(), Secured::StartTls));
        assert_eq!(near(&shipped, Some(Secured::StartTls)), starttls);
        let everywhere = Some(("[::1]:5222".to_owned(), Secured::StartTls));
        let far = [("192.0.2.1:5223", "direct"), ("[::]:5222", "offered")];
        assert_eq!(near(&far, None), everywhere);
        let either = Some(("127.0.0.1:443".to_owned(), Secured::Direct));
        assert_eq!(near(&[("0.0.0.0:443", "either")], None), either);
        assert_eq!(near(&[("127.0.0.1:5222", "none")], None), None);
    }

    #[test]
    fn a_server_is_named_with_or_without_port() {
        let name = |given| named(given, None).map(|server| (server.to_string(), server.secured));
        for (given, shown, secured) in [
            ("example.org", "example.org:5222", Secured::StartTls),
            ("example.org:443", "example.org:443", Secured::Direct),
            ("[::1]:5223", "[::1]:5223", Secured::Direct),
            ("::1", "[::1]:5222", Secured::StartTls),
        ] {
            assert_eq!(name(given).unwrap(), (shown.to_owned(), secured));
        }
        assert!(name("example.org:x").is_err());
        assert!(name(":5222").is_err());
    }
}
