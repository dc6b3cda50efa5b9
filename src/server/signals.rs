//! Signals that end the server or have it read its files again.
//!
//! A thread of its own waits for them, so that a second signal ends the process whatever the rest of it
//! waits for: a disk, a thread, a reader of its log.

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

use crate::telemetry;

/// How long an orderly end may take once a second signal has asked for it.
const FORCED_STOP_LIMIT: Duration = Duration::from_secs(1);

/// How long the last line of the log may take then.
const LAST_LINE: Duration = Duration::from_millis(100);

/// The exit code of a process that was ended by force.
const FORCED: u8 = 75;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignalAction {
    /// SIGTERM or SIGINT, or SIGHUP from a terminal that has closed.
    Stop,
    /// SIGHUP.
    Reload,
}

/// The signals that are handlers, in the order in which they come.
#[derive(Debug)]
pub(super) struct Signals(mpsc::UnboundedReceiver<SignalAction>);

impl Signals {
    /// Listens for them instead of being ended by them.
    ///
    /// # Errors
    /// If the system gives no thread or no handler.
    pub(super) fn listen() -> io::Result<Self> {
        // SignalAction at once: a terminal that has closed is none any more.
        let hang_up = if io::stdin().is_terminal() {
            SignalAction::Stop
        } else {
            SignalAction::Reload
        };
        let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
        let mut handlers = {
            let _within = runtime.enter();
            Handlers::new(hang_up)?
        };
        let (sender, receiver) = mpsc::unbounded_channel();
        let heed = move || {
            runtime.block_on(pass_on(async || handlers.next().await, &sender));
            end_by_force();
        };
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(heed)?;
        Ok(Self(receiver))
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> SignalAction {
        match self.0.recv().await {
            Some(asked) => asked,
            // The thread has begun to end the process.
            None => pending().await,
        }
    }

    /// Waits for the next one that asks to end.
    pub(super) async fn end(&mut self) {
        while self.next().await != SignalAction::Stop {}
    }
}

#[derive(Debug)]
struct Handlers {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    /// What a hang-up asks for.
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

/// Passes on what is asked, up to and including the second time that it is the end.
async fn pass_on(
    mut next: impl AsyncFnMut() -> SignalAction,
    sender: &mpsc::UnboundedSender<SignalAction>,
) {
    let mut ends = 0;
    while ends < 2 {
        let asked = next().await;
        // Nobody receives it once the server has stopped and only its last traces are being sent.
        let _ = sender.send(asked);
        ends += usize::from(asked == SignalAction::Stop);
    }
}

/// Ends the process unless it ends by itself within a moment.
fn end_by_force() {
    thread::sleep(FORCED_STOP_LIMIT);
    tracing::error!("the server did not end in good order, so a second signal ends it by force");
    telemetry::flush_log(LAST_LINE);
    process::exit(i32::from(FORCED));
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
