//! The loop between a reader of lines, a stream and a screen.

use std::io::{self, BufRead};
use std::time::Duration;

use jiff::Zoned;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::stream::ANSWER_TIME;
use super::{Act, Chat, ClientError, Line, Session};
use crate::jid::Jid;

/// How long the stream may be silent before the server is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(60);

/// Typed lines that wait for the stream.
const LINES_AHEAD: usize = 16;

/// When a conversation ends, besides `/quit` and the user's signal.
#[derive(Clone, Debug, Default)]
pub struct Until {
    /// As soon as a line with this text has been shown.
    pub text: Option<String>,
    /// This long after the last typed line has reached the server; with a text: this long after the start.
    pub wait: Option<Duration>,
}

/// How long a text is waited for if nobody says.
const TEXT_TIME: Duration = Duration::from_secs(60);

/// Runs a conversation to its end. Lines are read from `input` by a thread of their own, which stays behind when it waits
/// for a line: the caller is expected to end the process. `show` gets what is to be seen.
///
/// # Errors
/// The connection is lost, `show` fails, or what `until` waits for does not come.
pub async fn converse(
    session: Session,
    to: Option<Jid>,
    input: impl BufRead + Send + 'static,
    until: Until,
    show: impl FnMut(&Line) -> io::Result<()>,
) -> Result<(), ClientError> {
    let chat = Chat::new(session.jid.clone(), to);
    let mut conversation = Conversation {
        session,
        chat,
        show,
        back: 0,
        found: false,
        quit: false,
        until,
    };
    let ended = conversation.run(lines(input)).await;
    use ClientError::{Ended, Lost, Output, Silent};
    if !matches!(ended, Err(Lost(_) | Ended(_) | Silent(_) | Output(_))) {
        conversation.part().await;
    }
    ended
}

/// The lines of `input`, read aside; closed at its end.
fn lines(mut input: impl BufRead + Send + 'static) -> mpsc::Receiver<String> {
    let (tell, told) = mpsc::channel(LINES_AHEAD);
    std::thread::spawn(move || {
        let mut line = Vec::new();
        while matches!(input.read_until(b'\n', &mut line), Ok(count) if count > 0) {
            let text = String::from_utf8_lossy(&line).into_owned();
            if tell.blocking_send(text).is_err() {
                return;
            }
            line.clear();
        }
    });
    told
}

struct Conversation<S> {
    session: Session,
    chat: Chat,
    show: S,
    until: Until,
    /// The last of our pings and fences that is back.
    back: u64,
    /// The text that ends it has been shown.
    found: bool,
    quit: bool,
}

/// What wakes the loop.
enum Event {
    Typed(String),
    NoMoreLines,
    Heard(Result<crate::xml::Element, ClientError>),
    Late,
    Interrupted,
}

impl<S: FnMut(&Line) -> io::Result<()>> Conversation<S> {
    async fn run(&mut self, mut typed: mpsc::Receiver<String>) -> Result<(), ClientError> {
        let start = Instant::now();
        let hello = self.chat.hello();
        self.act(hello).await?;
        let mut open = true;
        // The fence behind the last line, and since when it is back.
        let (mut last, mut delivered) = (None, None);
        let mut heard_at = start;
        let mut asked: Option<(u64, Instant)> = None;
        while !self.found {
            if last.is_some_and(|fence| self.back >= fence) && delivered.is_none() {
                delivered = Some(Instant::now());
            }
            if asked.is_some_and(|(number, _)| self.back >= number) {
                asked = None;
            }
            if let Some(end) = self
                .end(start, delivered)
                .filter(|end| *end <= Instant::now())
            {
                return self.at(end.saturating_duration_since(start));
            }
            let silence = asked.map_or(heard_at + SILENCE, |(_, at)| at + ANSWER_TIME);
            let wake = self
                .end(start, delivered)
                .map_or(silence, |end| end.min(silence));
            match self.event(&mut typed, open, wake).await {
                Event::Typed(line) => {
                    let acts = self.chat.typed(&line);
                    self.act(acts).await?;
                }
                Event::NoMoreLines => open = false,
                Event::Heard(stanza) => {
                    heard_at = Instant::now();
                    let acts = self.chat.heard(&stanza?, &Zoned::now());
                    self.act(acts).await?;
                }
                Event::Late if Instant::now() < silence => {}
                Event::Late if asked.is_some() => return Err(ClientError::Silent(ANSWER_TIME)),
                Event::Late => {
                    let (ping, number) = self.chat.ping();
                    self.session.stream.send(&ping).await?;
                    asked = Some((number, Instant::now()));
                }
                Event::Interrupted => return Ok(()),
            }
            open &= !self.quit;
            if !open && last.is_none() {
                let (fence, number) = self.chat.fence();
                self.session.stream.send(&fence).await?;
                last = Some(number);
                asked = Some((number, Instant::now()));
            }
        }
        Ok(())
    }

    /// Says good-bye and shows what comes until the server has too (RFC 6120 §4.4). What goes wrong now is no matter.
    async fn part(&mut self) {
        let parting = async {
            self.session.stream.end().await?;
            loop {
                let stanza = self.session.stream.next().await?;
                for act in self.chat.heard(&stanza, &Zoned::now()) {
                    if let Act::Show(line) = act {
                        (self.show)(&line).map_err(ClientError::Output)?;
                    }
                }
            }
        };
        let parted: Result<Result<(), ClientError>, _> = timeout(ANSWER_TIME, parting).await;
        drop(parted);
    }

    async fn event(
        &mut self,
        typed: &mut mpsc::Receiver<String>,
        open: bool,
        wake: Instant,
    ) -> Event {
        tokio::select! {
            line = typed.recv(), if open => line.map_or(Event::NoMoreLines, Event::Typed),
            stanza = self.session.stream.next() => Event::Heard(stanza),
            () = sleep_until(wake) => Event::Late,
            Ok(()) = tokio::signal::ctrl_c() => Event::Interrupted,
        }
    }

    /// When it ends by the clock, as far as that is known.
    fn end(&self, start: Instant, delivered: Option<Instant>) -> Option<Instant> {
        match &self.until.text {
            _ if self.quit => delivered,
            Some(_) => Some(start + self.until.wait.unwrap_or(TEXT_TIME)),
            None => delivered.map(|at| at + self.until.wait.unwrap_or_default()),
        }
    }

    /// The clock has ended it.
    fn at(&self, time: Duration) -> Result<(), ClientError> {
        match &self.until.text {
            Some(text) if !self.quit => Err(ClientError::NotCome {
                text: text.clone(),
                time,
            }),
            _ => Ok(()),
        }
    }

    async fn act(&mut self, acts: Vec<Act>) -> Result<(), ClientError> {
        for act in acts {
            match act {
                Act::Send(stanza) => self.session.stream.send(&stanza).await?,
                Act::Show(line) => {
                    (self.show)(&line).map_err(ClientError::Output)?;
                    let text = self.until.text.as_deref();
                    self.found |= text.is_some_and(|text| line.shown().contains(text));
                }
                Act::Back(number) => self.back = self.back.max(number),
                Act::Quit => self.quit = true,
            }
        }
        Ok(())
    }
}
