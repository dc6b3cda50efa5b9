//! Making calls at a pace.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use boxoffice::wire::proto::v3::booking_service_client::BookingServiceClient;
use tokio::{
    sync::{
        mpsc::{self, UnboundedReceiver, UnboundedSender},
        oneshot,
    },
    task::JoinSet,
};
use tonic::transport::{Channel, Endpoint};

use super::{
    Failure,
    tally::{Run, Sample, Tally},
    target::{Pace, Target},
    workload::{Answer, Workload},
};

/// How often progress is noted.
const SAMPLE: Duration = Duration::from_millis(250);

/// How often progress is told.
const SAMPLES_TOLD: usize = 8;

/// How exactly calls of an open loop are made at their moments.
const TICK: Duration = Duration::from_micros(250);

type Client = BookingServiceClient<Channel>;

/// What is known while calls are made.
#[derive(Debug, Default)]
struct Progress {
    done: AtomicU64,
    bad: AtomicU64,
}

impl Progress {
    fn note(&self, answer: &Answer) {
        self.done.fetch_add(1, Ordering::Relaxed);
        if matches!(answer, Answer::Bad(_)) {
            self.bad.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Makes all calls.
pub(super) async fn run(target: &Target, workload: &Arc<Workload>) -> Result<Run, Failure> {
    let clients = connect(target).await?;
    let callers = Callers {
        workload: Arc::clone(workload),
        progress: Arc::default(),
        calls: target.calls,
    };
    let (stop, stopped) = oneshot::channel();
    let begun = Instant::now();
    let watching = tokio::spawn(watch(Arc::clone(&callers.progress), begun, stopped));
    let tallies = match target.pace {
        Pace::Closed { in_flight } => callers.closed(&clients, in_flight).join_all().await,
        Pace::Open { per_second } => callers.open(&clients, per_second, begun).join_all().await,
    };
    let elapsed = begun.elapsed();
    // It may be waiting for nothing else.
    let _ = stop.send(());
    Ok(Run::new(
        target.clone(),
        Workload::clone(workload),
        elapsed,
        tallies,
        watching.await?,
    ))
}

async fn connect(target: &Target) -> Result<Vec<Client>, Failure> {
    let mut clients = Vec::new();
    for _ in 0..target.connections {
        let channel = Endpoint::from_shared(target.address.clone())?
            .connect()
            .await?;
        clients.push(BookingServiceClient::new(channel).max_decoding_message_size(usize::MAX));
    }
    Ok(clients)
}

/// Those who call, all at once.
struct Callers {
    workload: Arc<Workload>,
    progress: Arc<Progress>,
    calls: u64,
}

impl Callers {
    fn closed(&self, clients: &[Client], in_flight: u64) -> JoinSet<Tally> {
        let next = Arc::new(AtomicU64::new(0));
        let mut callers = JoinSet::new();
        for client in clients
            .iter()
            .flat_map(|client| (0..in_flight).map(|_| client.clone()))
        {
            let (workload, progress) = (Arc::clone(&self.workload), Arc::clone(&self.progress));
            let (next, calls) = (Arc::clone(&next), self.calls);
            callers.spawn(async move {
                let mut tally = Tally::default();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= calls {
                        return tally;
                    }
                    let begun = Instant::now();
                    let answer = workload.make(number, &mut client.clone()).await;
                    progress.note(&answer);
                    tally.note(answer, begun.elapsed());
                }
            });
        }
        callers
    }

    fn open(&self, clients: &[Client], per_second: u64, begun: Instant) -> JoinSet<Tally> {
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
        thread::spawn(move || set_the_pace(&queues, calls, per_second, begun));
        callers
    }
}

/// A call that was due at a moment.
type Due = (u64, Instant);

/// Makes calls due, one connection after the other. It sleeps in a thread of its own, for a
/// runtime's timer is too coarse for many calls a millisecond.
fn set_the_pace(queues: &[UnboundedSender<Due>], calls: u64, per_second: u64, begun: Instant) {
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
) -> Tally {
    let mut under_way = JoinSet::new();
    let mut tally = Tally::default();
    loop {
        tokio::select! {
            Some((number, due)) = due.recv() => {
                let (workload, mut client) = (Arc::clone(&workload), client.clone());
                under_way.spawn(async move { (workload.make(number, &mut client).await, due.elapsed()) });
            }
            Some(made) = under_way.join_next() => {
                let (answer, took) = made.unwrap_or_else(|bug| (Answer::Bad(bug.to_string()), Duration::ZERO));
                progress.note(&answer);
                tally.note(answer, took);
            }
            else => return tally,
        }
    }
}

/// Notes how far it has come, and tells it now and then.
async fn watch(
    progress: Arc<Progress>,
    begun: Instant,
    mut stopped: oneshot::Receiver<()>,
) -> Vec<Sample> {
    let mut samples = vec![Sample::default()];
    let mut looks = tokio::time::interval(SAMPLE);
    looks.tick().await;
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            _ = &mut stopped => return samples,
        }
        let sample = Sample {
            at: begun.elapsed(),
            done: progress.done.load(Ordering::Relaxed),
        };
        samples.push(sample);
        if samples.len() % SAMPLES_TOLD == 0 {
            let (done, bad) = (sample.done, progress.bad.load(Ordering::Relaxed));
            eprintln!(
                "{:>6} s {done:>10} answers, {bad} of them not good",
                sample.at.as_secs()
            );
        }
    }
}
