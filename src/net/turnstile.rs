//! A turnstile: lets so many through per turn of a worker, so that a crowd of costly beginnings (TLS handshakes after a
//! restart) does not keep the worker from its sessions (DESIGN §5 Workers).

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::sync::{Notify, oneshot};
use tokio::task::yield_now;

/// One worker's turnstile. [`Turnstile::run`] must be spawned on it.
pub struct Turnstile {
    most: usize,
    passed: Cell<usize>,
    waiting: RefCell<VecDeque<oneshot::Sender<()>>>,
    used: Notify,
}

impl Turnstile {
    /// Lets `most` through per turn.
    #[must_use]
    pub fn new(most: usize) -> Rc<Turnstile> {
        Rc::new(Turnstile {
            most: most.max(1),
            passed: Cell::new(0),
            waiting: RefCell::default(),
            used: Notify::new(),
        })
    }

    /// Returns when the caller may begin: at once, or some turns later, in the order of the calls.
    pub async fn pass(&self) {
        if self.passed.get() < self.most {
            self.count_one();
            return;
        }
        let (sender, admitted) = oneshot::channel();
        self.waiting.borrow_mut().push_back(sender);
        // An error would say that the turnstile is gone: then nothing is left to wait for.
        let _ = admitted.await;
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.borrow().len()
    }

    /// Begins a new turn whenever somebody has passed in the last one; for ever.
    pub async fn run(self: Rc<Self>) {
        loop {
            self.used.notified().await;
            // Comes back when the worker has looked at everything else that is ready, sockets included.
            yield_now().await;
            self.passed.set(0);
            while self.passed.get() < self.most
                && let Some(next) = self.next_waiting()
            {
                // One that has given up costs no place.
                if next.send(()).is_ok() {
                    self.count_one();
                }
            }
        }
    }

    fn next_waiting(&self) -> Option<oneshot::Sender<()>> {
        self.waiting.borrow_mut().pop_front()
    }

    fn count_one(&self) {
        self.passed.set(self.passed.get().saturating_add(1));
        self.used.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::runtime::{Builder, LocalOptions};

    fn on_a_worker<F: Future<Output = ()>>(scene: impl FnOnce() -> F) {
        let runtime = Builder::new_current_thread()
            .build_local(LocalOptions::default())
            .unwrap();
        runtime.block_on(async { scene().await });
    }

    #[test]
    fn lets_so_many_through_per_turn_in_order() {
        on_a_worker(|| async {
            let turnstile = Turnstile::new(3);
            let passed = Rc::new(RefCell::new(Vec::new()));
            let tasks: Vec<_> = (0..10)
                .map(|number| {
                    let (turnstile, passed) = (turnstile.clone(), passed.clone());
                    tokio::task::spawn_local(async move {
                        turnstile.pass().await;
                        passed.borrow_mut().push(number);
                    })
                })
                .collect();
            // Everybody has come before the first new turn: three passed, the others wait.
            yield_now().await;
            assert_eq!(*passed.borrow(), [0, 1, 2]);
            assert_eq!(turnstile.waiting(), 7);

            let run = tokio::task::spawn_local(turnstile.clone().run());
            let mut most_at_once = 0;
            while passed.borrow().len() < 10 {
                let before = passed.borrow().len();
                yield_now().await;
                most_at_once = most_at_once.max(passed.borrow().len() - before);
            }
            assert_eq!(most_at_once, 3);
            assert_eq!(*passed.borrow(), (0..10).collect::<Vec<_>>());
            for task in tasks {
                task.await.unwrap();
            }
            run.abort();
        });
    }

    #[test]
    fn one_that_gives_up_holds_up_nobody() {
        on_a_worker(|| async {
            let turnstile = Turnstile::new(1);
            turnstile.pass().await;
            let gone = tokio::task::spawn_local({
                let turnstile = turnstile.clone();
                async move { turnstile.pass().await }
            });
            yield_now().await;
            gone.abort();
            let run = tokio::task::spawn_local(turnstile.clone().run());
            turnstile.pass().await;
            assert_eq!(turnstile.waiting(), 0);
            run.abort();
        });
    }
}
