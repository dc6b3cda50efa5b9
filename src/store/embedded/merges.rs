//! Merging tables in the time of cores that would be idle otherwise.
//!
//! A thread of low priority is not enough: whoever has begun to run may keep the core for its 3 ms, whatever
//! its priority, while answers wait. Under the policy `SCHED_IDLE` it has to leave as soon as anybody else
//! wants to run. The engine calls a filter for every record that it merges, in the thread that merges and
//! without a lock held; that is where the policy is chosen. All records are kept.

use std::sync::Arc;

use fjall::compaction::filter::{
    CompactionFilter, CompactionFilterResult, Context, Factory, ItemAccessor, Verdict,
};
use preempt_rt::sched::{
    ParameterizedScheduler, Pid, RtResult, Scheduler, SchedulerParams, get_scheduler,
    get_scheduler_params,
};

/// What the engine asks for the filter of a keyspace.
type Factories = Arc<dyn Fn(&str) -> Option<Arc<dyn Factory>> + Send + Sync>;

/// Has every merge done in idle time.
pub(super) fn in_idle_time() -> Factories {
    Arc::new(|_| Some(Arc::new(InIdleTime)))
}

struct InIdleTime;

impl Factory for InIdleTime {
    fn name(&self) -> &'static str {
        "in idle time"
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        Box::new(Merge(None))
    }
}

/// One merge, from its first record on.
struct Merge(Option<RtResult<IdleTime>>);

impl CompactionFilter for Merge {
    fn filter_item(&mut self, _: ItemAccessor<'_>, _: &Context) -> CompactionFilterResult {
        // Where it may not be said, callers wait a little more.
        let _ = self.0.get_or_insert_with(IdleTime::begin);
        Ok(Verdict::Keep)
    }
}

/// As long as it lives, the thread that made it runs only where nobody else wants to.
struct IdleTime {
    before: ParameterizedScheduler,
}

impl IdleTime {
    fn begin() -> RtResult<Self> {
        let thread = Pid::current_thread();
        let before = get_scheduler(thread)?.with_params(get_scheduler_params(thread)?);
        Scheduler::SCHED_IDLE
            .with_params(SchedulerParams { priority: 0 })
            .set_current()?;
        Ok(Self { before })
    }
}

impl Drop for IdleTime {
    fn drop(&mut self) {
        let _ = self.before.clone().set_current();
    }
}
