//! The future that every operation of the store gives back.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use super::StoreError;

/// The result of an operation, when it is known: for writes that is after COMMIT and its sync.
///
/// The operation is queued by the call that gave this, in call order; dropping the answer does not undo it. Needs no runtime:
/// it may be awaited on any thread.
#[must_use = "the outcome is known only when this is awaited"]
#[derive(Debug)]
pub struct Answer<T>(oneshot::Receiver<Result<T, StoreError>>);

/// Where an engine puts the result.
pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

impl<T> Answer<T> {
    pub(super) fn pending() -> (Reply<T>, Answer<T>) {
        let (reply, answer) = oneshot::channel();
        (reply, Answer(answer))
    }

    /// An answer that is there already: refused at the door.
    pub(super) fn refused(error: StoreError) -> Answer<T> {
        let (reply, answer) = Answer::pending();
        answered(reply, Err(error));
        answer
    }

    /// Blocks the calling thread: for start-up, offline tools and tests, never for a worker.
    ///
    /// # Errors
    /// As the operation's.
    pub fn wait(self) -> Result<T, StoreError> {
        self.0.blocking_recv().unwrap_or(Err(StoreError::Closed))
    }
}

impl<T> Future for Answer<T> {
    type Output = Result<T, StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // A reply dropped unused means that the engine ended before it came to the operation.
        Pin::new(&mut self.0)
            .poll(cx)
            .map(|received| received.unwrap_or(Err(StoreError::Closed)))
    }
}

/// Gives `result` to whoever waits; nobody may wait any more, and that is no fault.
pub(super) fn answered<T>(reply: Reply<T>, result: Result<T, StoreError>) {
    let _nobody_waits = reply.send(result);
}
