//! Signals that stop the server or reload its files.
//!
//! A thread of its own waits for them, so that a second signal ends the process whatever the rest
//! of it waits for: a disk, a thread, or the reader of its log.

use std::{
    future::pending,
    io::{self, IsTerminal},
    process, thread,
    time::Duration,
};

use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

use crate::{exit_code, telemetry};

/// Time limit of the orderly shutdown after the second signal.
const FORCED_STOP_LIMIT: Duration = Duration::from_secs(1);

/// Time limit for writing the last log line after that.
const LAST_LINE: Duration = Duration::from_millis(100);

/// The action that a signal requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignalAction {
    /// SIGTERM or SIGINT, or SIGHUP from a terminal that has closed.
    Stop,
    /// SIGHUP.
    Reload,
}

/// The actions of received signals, in their order.
#[derive(Debug)]
pub(super) struct Signals(mpsc::UnboundedReceiver<SignalAction>);

impl Signals {
    /// Installs the handlers, which replace the default action of the signals.
    ///
    /// # Errors
    /// If the system gives no thread or no handler.
    pub(super) fn listen() -> io::Result<Self> {
        // Decided now: once the terminal has closed, standard input is no terminal any more.
        let hang_up = if io::stdin().is_terminal() {
            SignalAction::Stop
        } else {
            SignalAction::Reload
        };
        // A runtime of its own: the control runtime may be blocked when the second signal comes.
        let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
        let mut handlers = {
            let _within = runtime.enter();
            Handlers::new(hang_up)?
        };
        let (sender, receiver) = mpsc::unbounded_channel();
        let heed = move || {
            runtime.block_on(pass_on(async || handlers.next().await, &sender));
            // In this thread, because no other can be relied on any more.
            end_by_force();
        };
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(heed)?;
        Ok(Self(receiver))
    }

    /// Waits for the next action.
    pub(super) async fn next(&mut self) -> SignalAction {
        match self.0.recv().await {
            Some(asked) => asked,
            // The thread of the signals is about to end the process.
            None => pending().await,
        }
    }

    /// Waits for the next request to stop. Reloads during a shutdown are ignored.
    pub(super) async fn end(&mut self) {
        while self.next().await != SignalAction::Stop {}
    }
}

#[derive(Debug)]
struct Handlers {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    /// The action of SIGHUP.
    on_hang_up: SignalAction,
}

impl Handlers {
    fn new(on_hang_up: SignalAction) -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            on_hang_up,
        })
    }

    async fn next(&mut self) -> SignalAction {
        tokio::select! {
            _ = self.terminate.recv() => SignalAction::Stop,
            _ = self.interrupt.recv() => SignalAction::Stop,
            _ = self.hang_up.recv() => self.on_hang_up,
        }
    }
}

/// Forwards actions, up to and including the second request to stop.
async fn pass_on(
    mut next: impl AsyncFnMut() -> SignalAction,
    sender: &mpsc::UnboundedSender<SignalAction>,
) {
    let mut ends = 0;
    while ends < 2 {
        let asked = next().await;
        // Best effort: the receiver is gone once the server has stopped and only the last traces
        // are sent.
        let _ = sender.send(asked);
        ends += usize::from(asked == SignalAction::Stop);
    }
}

/// Ends the process by force if it has not ended within a moment.
fn end_by_force() {
    thread::sleep(FORCED_STOP_LIMIT);
    tracing::error!("the server did not end in good order, so a second signal ends it by force");
    telemetry::flush_log(LAST_LINE);
    // `exit` and not `abort`: scripts tell this end from a crash by the code.
    process::exit(i32::from(exit_code::FORCED));
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    #[tokio::test]
    async fn signals_are_passed_on_until_the_second_that_asks_to_end() {
        use SignalAction::{Reload, Stop};
        let mut asked = VecDeque::from([Reload, Stop, Reload, Reload, Stop, Reload]);
        let (sender, receiver) = mpsc::unbounded_channel();
        pass_on(async || asked.pop_front().unwrap(), &sender).await;
        assert_eq!(asked, [Reload], "the last is nobody's business any more");
        let mut signals = Signals(receiver);
        for expected in [Reload, Stop, Reload, Reload, Stop] {
            assert_eq!(signals.next().await, expected);
        }
    }

    #[tokio::test]
    async fn a_server_that_has_stopped_can_still_be_ended_by_force() {
        let (sender, receiver) = mpsc::unbounded_channel();
        drop(receiver);
        pass_on(async || SignalAction::Stop, &sender).await;
    }
}
