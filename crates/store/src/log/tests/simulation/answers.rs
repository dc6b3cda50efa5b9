//! Whether the log answers like the model.

use std::{fmt::Debug, ops::ControlFlow, sync::Arc};

use domain::{
    order::{Order, OrderId},
    time::{EpochSeconds, Seconds},
};

use super::{
    model::Model,
    units::{NOW, USERS, holds, slots},
};
use crate::{
    BlockSink, ErasureAnswer, ErasureAnswerSink, LifecycleChange, LifecycleRevision, LifecycleSink,
    ListedOrder, OrderKey, OrderUpdate, Read, ReadError, Recovered, Selection, SlotBlock, Store,
    log::reader::LogReader,
};

/// What is wrong, in words.
pub(super) type Finding = String;

/// How a log may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tolerance {
    /// As the model does.
    None,
    /// As the model does, or with an error: the disk was damaged.
    Errors,
}

impl Tolerance {
    /// Compares an answer. Answers whether there was one.
    fn compare<T: PartialEq + Debug>(
        self,
        what: &dyn Debug,
        answer: Result<T, ReadError>,
        expected: &T,
    ) -> Result<bool, Finding> {
        match (answer, self) {
            (Ok(answer), _) if answer == *expected => Ok(true),
            (Ok(answer), _) => Err(format!("{what:?}: {answer:?} in place of {expected:?}")),
            (Err(_), Self::Errors) => Ok(false),
            (Err(error), Self::None) => Err(format!("{what:?}: {error:?}")),
        }
    }
}

/// Asks for everything. Returns how many questions were answered with an error.
pub(super) fn compare_all(
    reader: &Arc<LogReader>,
    model: &Model,
    tolerance: Tolerance,
) -> Result<usize, Finding> {
    let mut errors = 0;
    let mut count = |answered: bool| errors += usize::from(!answered);
    for token in model.tokens() {
        let key = reader.keys.order_key(token);
        let expected = now(model.store().find_request(&key));
        count(tolerance.compare(token, reader.replay(&key), &expected)?);
        let expected = now(model.store().failed_attempts(&key));
        let attempts = reader.last_failed_attempt(&key);
        count(tolerance.compare(&("failed attempts", token), attempts, &expected)?);
        let expected = now(model.store().find_order(&key.order_id()));
        count(tolerance.compare(&("order", token), reader.stored_order(&key), &expected)?);
        let expected = history_in(model, &key.order_id());
        count(tolerance.compare(&("history", token), history(reader, &key), &expected)?);
    }
    for id in holds() {
        let expected = now(model.store().find_hold(id));
        let hold = reader.hold_among(id, reader.work.find_hold(id));
        count(tolerance.compare(&id, hold, &expected)?);
    }
    for slot in slots() {
        let blocks = collected(|take| reader.each_block(&slot, take));
        let expected = collected(|take| model.store().block_history(&slot, take));
        let expected = expected.map_err(|error| error.to_string())?;
        count(tolerance.compare(&slot, blocks, &expected)?);
    }
    let changes = lifecycle_changes(|take| reader.each_lifecycle_change(take));
    let expected = lifecycle_changes(|take| model.store().lifecycle_changes(take));
    let expected = expected.expect("memory does not fail");
    count(tolerance.compare(&"lifecycle", changes, &expected)?);
    let answers = erasure_answers(|take| reader.each_erasure_answer(take));
    let expected = erasure_answers(|take| model.store().erasure_answers(take));
    let expected = expected.expect("memory does not fail");
    count(tolerance.compare(&"erasure answers", answers, &expected)?);
    let states = reader.states_in_use();
    count(tolerance.compare(&"states", Ok(states), &model.store().states_in_use())?);
    for selection in selections(model) {
        let (orders, result) = listed(|take| reader.list(&selection, None, &|_| true, take));
        let (expected, _) = listed(|take| model.store().list(&selection, None, &|_| true, take));
        let is_part = expected.starts_with(&orders);
        if !is_part {
            return Err(format!(
                "{selection:?}: {orders:?} in place of {expected:?}"
            ));
        }
        let answer = result.map(|()| orders.len());
        count(tolerance.compare(&selection, answer, &expected.len())?);
    }
    Ok(errors)
}

/// The blocks that a store hands over.
fn collected(
    read: impl FnOnce(BlockSink<'_>) -> Result<(), ReadError>,
) -> Result<Vec<SlotBlock>, ReadError> {
    let mut blocks = Vec::new();
    read(&mut |block| {
        blocks.push(block);
        ControlFlow::Continue(())
    })?;
    Ok(blocks)
}

/// The updates of an order, newest first.
fn history(reader: &LogReader, key: &OrderKey) -> Result<Vec<OrderUpdate>, ReadError> {
    let mut updates = Vec::new();
    reader.each_update(key, &mut |update| {
        updates.push(update);
        ControlFlow::Continue(())
    })?;
    Ok(updates)
}

fn lifecycle_changes(
    read: impl FnOnce(LifecycleSink<'_>) -> Result<(), ReadError>,
) -> Result<Vec<LifecycleChange>, ReadError> {
    let mut changes = Vec::new();
    read(&mut |change| {
        changes.push(change);
        ControlFlow::Continue(())
    })?;
    Ok(changes)
}

fn erasure_answers(
    read: impl FnOnce(ErasureAnswerSink<'_>) -> Result<(), ReadError>,
) -> Result<Vec<ErasureAnswer>, ReadError> {
    let mut answers = Vec::new();
    read(&mut |answer| {
        answers.push(answer);
        ControlFlow::Continue(())
    })?;
    Ok(answers)
}

fn history_in(model: &Model, order: &OrderId) -> Vec<OrderUpdate> {
    let mut updates = Vec::new();
    let read = model.store().history(order, &mut |update| {
        updates.push(update);
        ControlFlow::Continue(())
    });
    read.expect("memory does not fail");
    updates
}

fn selections(model: &Model) -> Vec<Selection> {
    let mut selections: Vec<_> = USERS
        .into_iter()
        .map(|user| Selection::User(user.into()))
        .collect();
    let second = |seconds| NOW.saturating_add(Seconds::new(seconds));
    let (from, until) = (second(-20), second(30));
    selections.push(Selection::Created { from, until });
    selections.push(Selection::Visit {
        from: EpochSeconds::MIN,
        until: EpochSeconds::MAX,
    });
    let ids = model.tokens().iter().rev().take(10);
    let ids = ids.map(|token| model.order_key(token).order_id());
    selections.push(Selection::Ids(ids.collect()));
    selections
}

/// An order of a list, and its newest update.
type PresentOrder = (Order, Option<OrderUpdate>);

type List<'l> = &'l mut dyn FnMut(ListedOrder) -> ControlFlow<()>;

fn listed(
    list: impl FnOnce(List<'_>) -> Result<(), ReadError>,
) -> (Vec<PresentOrder>, Result<(), ReadError>) {
    let mut orders = Vec::new();
    let result = list(&mut |listed| {
        orders.push((listed.order, listed.update));
        ControlFlow::Continue(())
    });
    (orders, result)
}

/// Compares what a server gets when it starts.
pub(super) fn compare_recovered(recovered: &Recovered, model: &Model) -> Result<(), Finding> {
    let expected = model.store().recover().map_err(|error| error.to_string())?;
    let (recovered, expected) = (Comparable::of(recovered), Comparable::of(&expected));
    if recovered == expected {
        return Ok(());
    }
    Err(format!("recovered {recovered:?} in place of {expected:?}"))
}

/// [`Recovered`] in an order of its own.
#[derive(Debug, PartialEq)]
struct Comparable {
    orders: u64,
    times: [Option<EpochSeconds>; 2],
    rest: [Vec<String>; 8],
    lifecycle: (Vec<LifecycleRevision>, Option<String>),
}

impl Comparable {
    fn of(recovered: &Recovered) -> Self {
        let Recovered {
            orders,
            sold,
            updated,
            begun,
            retried,
            lifecycle,
            draft,
            pending,
            holds,
            blocks,
            prices,
            newest_order_sec,
            slots_forgotten_until,
        } = recovered;
        Self {
            orders: *orders,
            times: [*newest_order_sec, *slots_forgotten_until],
            rest: [
                sorted(sold),
                sorted(updated),
                sorted(begun),
                sorted(retried),
                sorted(pending),
                sorted(holds),
                sorted(blocks),
                sorted(&prices.entries),
            ],
            lifecycle: (lifecycle.clone(), draft.clone()),
        }
    }
}

fn sorted<T: Debug>(values: &[T]) -> Vec<String> {
    let mut texts: Vec<_> = values.iter().map(|value| format!("{value:?}")).collect();
    texts.sort_unstable();
    texts
}

fn now<T>(read: Read<T>) -> T {
    match read {
        Read::Now(answer) => answer.expect("memory does not fail"),
        Read::Later(_) => panic!("memory does not wait"),
    }
}
