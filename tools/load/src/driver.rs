//! Makes calls at a pace.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::proto::booking_service_client::BookingServiceClient;
use tokio::{
    sync::{
        mpsc::{self, UnboundedReceiver, UnboundedSender},
        oneshot,
    },
    task::JoinSet,
};
use tonic::transport::{Channel, Endpoint};

use crate::{
    Error,
    outcomes::{Recorder, Run, SAMPLE, Sample},
    target::{Pace, Target},
    workload::{Outcome, Workload},
};

/// Samples from one line of progress to the next.
const SAMPLES_PER_LINE: usize = 8;

/// Precision of the moments of an open loop.
const TICK: Duration = Duration::from_micros(250);

type Client = BookingServiceClient<Channel>;

/// Progress of a run.
#[derive(Debug, Default)]
struct Progress {
    done: AtomicU64,
    rejected: AtomicU64,
}

impl Progress {
    fn note(&self, answer: &Outcome) {
        self.done.fetch_add(1, Ordering::Relaxed);
        if matches!(answer, Outcome::Rejected(_)) {
            self.rejected.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Makes all calls.
pub(crate) async fn run(target: &Target, workload: &Arc<Workload>) -> Result<Run, Error> {
    let clients = connect(target).await?;
    let callers = LoadDriver {
        workload: Arc::clone(workload),
        progress: Arc::default(),
        calls: target.calls,
    };
    let (stop, stopped) = oneshot::channel();
    let begun = Instant::now();
    let watching = tokio::spawn(sample_progress(
        Arc::clone(&callers.progress),
        begun,
        stopped,
    ));
    let recorders = match target.pace {
        Pace::Closed { in_flight } => callers.closed(&clients, in_flight).join_all().await,
        Pace::Open { per_second } => callers.open(&clients, per_second, begun).join_all().await,
    };
    let elapsed = begun.elapsed();
    // Best effort: the sampler may have ended with its runtime.
    let _ = stop.send(());
    Ok(Run::new(
        target.clone(),
        Workload::clone(workload),
        elapsed,
        recorders,
        watching.await?,
    ))
}

async fn connect(target: &Target) -> Result<Vec<Client>, Error> {
    let mut clients = Vec::new();
    for _ in 0..target.connections {
        let channel = Endpoint::from_shared(target.address.clone())?
            .connect()
            .await?;
        clients.push(BookingServiceClient::new(channel).max_decoding_message_size(usize::MAX));
    }
    Ok(clients)
}

/// Spawns the callers of a run.
struct LoadDriver {
    workload: Arc<Workload>,
    progress: Arc<Progress>,
    calls: u64,
}

impl LoadDriver {
    fn closed(&self, clients: &[Client], in_flight: u64) -> JoinSet<Recorder> {
        let next = Arc::new(AtomicU64::new(0));
        let mut callers = JoinSet::new();
        for client in clients
            .iter()
            .flat_map(|client| (0..in_flight).map(|_| client.clone()))
        {
            let (workload, progress) = (Arc::clone(&self.workload), Arc::clone(&self.progress));
            let (next, calls) = (Arc::clone(&next), self.calls);
            callers.spawn(async move {
                let mut recorder = Recorder::default();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= calls {
                        return recorder;
                    }
                    let begun = Instant::now();
                    let answer = workload.make(number, &mut client.clone()).await;
                    progress.note(&answer);
                    recorder.note(answer, begun.elapsed());
                }
            });
        }
        callers
    }

    fn open(&self, clients: &[Client], per_second: u64, begun: Instant) -> JoinSet<Recorder> {
        let mut callers = JoinSet::new();
        let mut queues = Vec::new();
        for client in clients {
            let (queue, due) = mpsc::unbounded_channel();
            queues.push(queue);
            callers.spawn(call_when_due(
                client.clone(),
                Arc::clone(&self.workload),
                Arc::clone(&self.progress),
                due,
            ));
        }
        let calls = self.calls;
        thread::spawn(move || announce_due_calls(&queues, calls, per_second, begun));
        callers
    }
}

/// A call and the moment at which it is due.
type Due = (u64, Instant);

/// Announces due calls to the connections in turn. A thread of its own sleeps between them: the
/// timer of the runtime has a resolution of a millisecond, and many calls are due within one.
fn announce_due_calls(
    queues: &[UnboundedSender<Due>],
    calls: u64,
    per_second: u64,
    begun: Instant,
) {
    for (number, queue) in (0..calls).zip(queues.iter().cycle()) {
        let due = begun + Duration::from_nanos(number.saturating_mul(1_000_000_000) / per_second);
        while let Some(early) = due
            .checked_duration_since(Instant::now())
            .filter(|early| *early > TICK)
        {
            thread::sleep(early);
        }
        if queue.send((number, due)).is_err() {
            return;
        }
    }
}

/// Makes the calls of one connection when they are due, whether or not those before are answered.
async fn call_when_due(
    client: Client,
    workload: Arc<Workload>,
    progress: Arc<Progress>,
    mut due: UnboundedReceiver<Due>,
) -> Recorder {
    let mut under_way = JoinSet::new();
    let mut recorder = Recorder::default();
    loop {
        tokio::select! {
            Some((number, due)) = due.recv() => {
                let (workload, mut client) = (Arc::clone(&workload), client.clone());
                under_way.spawn(async move { (workload.make(number, &mut client).await, due.elapsed()) });
            }
            Some(made) = under_way.join_next() => {
                let (answer, took) = made.unwrap_or_else(|bug| (Outcome::Rejected(bug.to_string()), Duration::ZERO));
                progress.note(&answer);
                recorder.note(answer, took);
            }
            else => return recorder,
        }
    }
}

/// Samples the progress, and prints it now and then.
async fn sample_progress(
    progress: Arc<Progress>,
    begun: Instant,
    mut stopped: oneshot::Receiver<()>,
) -> Vec<Sample> {
    let mut samples = vec![Sample::default()];
    let mut ticks = tokio::time::interval(SAMPLE);
    ticks.tick().await;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = &mut stopped => return samples,
        }
        let sample = Sample {
            at: begun.elapsed(),
            done: progress.done.load(Ordering::Relaxed),
        };
        samples.push(sample);
        if samples.len() % SAMPLES_PER_LINE == 0 {
            let (done, rejected) = (sample.done, progress.rejected.load(Ordering::Relaxed));
            eprintln!(
                "{:>6} s {done:>10} answers, {rejected} of them rejected",
                sample.at.as_secs()
            );
        }
    }
}
