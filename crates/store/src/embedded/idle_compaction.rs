//! Compactions under `SCHED_IDLE`, so that they use cores that would be idle otherwise.
//!
//! A lower priority is not enough for compactions, which run for seconds: once scheduled, a thread keeps its
//! core for a slice of 3 ms whatever its nice value. Under `SCHED_IDLE` it leaves as soon as another thread
//! wants to run. The engine calls a compaction filter for every record, in the thread that compacts and
//! without a lock held, so the filter sets the policy. It keeps all records.

use std::sync::Arc;

use fjall::compaction::filter::{
    CompactionFilter, CompactionFilterResult, Context, Factory, ItemAccessor, Verdict,
};
use preempt_rt::sched::{
    ParameterizedScheduler, Pid, RtResult, Scheduler, SchedulerParams, get_scheduler,
    get_scheduler_params,
};

/// What the engine asks for the filter of a keyspace.
type FilterFactories = Arc<dyn Fn(&str) -> Option<Arc<dyn Factory>> + Send + Sync>;

/// Filters that run every compaction under `SCHED_IDLE`.
pub(super) fn filter_factories() -> FilterFactories {
    Arc::new(|_| Some(Arc::new(IdleCompaction)))
}

struct IdleCompaction;

impl Factory for IdleCompaction {
    fn name(&self) -> &'static str {
        "idle compaction"
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        Box::new(IdleFilter(None))
    }
}

/// The filter of one compaction; it holds the policy from the first record on.
struct IdleFilter(Option<RtResult<IdlePolicy>>);

impl CompactionFilter for IdleFilter {
    fn filter_item(&mut self, _: ItemAccessor<'_>, _: &Context) -> CompactionFilterResult {
        // Best effort: where the policy cannot be set, calls wait a little longer beside compactions.
        let _ = self.0.get_or_insert_with(IdlePolicy::enter);
        Ok(Verdict::Keep)
    }
}

/// Restores the former policy of the thread when it is dropped.
struct IdlePolicy {
    before: ParameterizedScheduler,
}

impl IdlePolicy {
    fn enter() -> RtResult<Self> {
        let thread = Pid::current_thread();
        let before = get_scheduler(thread)?.with_params(get_scheduler_params(thread)?);
        Scheduler::SCHED_IDLE
            .with_params(SchedulerParams { priority: 0 })
            .set_current()?;
        Ok(Self { before })
    }
}

impl Drop for IdlePolicy {
    fn drop(&mut self) {
        // Best effort: a thread that stays idle writes SSTables more slowly, and the engine has others.
        let _ = self.before.clone().set_current();
    }
}
