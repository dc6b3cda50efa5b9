//! Erasures that were asked for by requests.

use std::ops::ControlFlow;

use domain::time::EpochSeconds;

use crate::RequestAnswer;

/// A person was erased, by a request: its answer, so that the same request again has the same one. It names no person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasureAnswer {
    /// From how many orders.
    pub orders: u64,
    /// When it was answered.
    pub answered_sec: EpochSeconds,
    /// The request.
    pub answer: RequestAnswer,
}

/// Receives the answers to erasures one by one, until it wants no more.
pub type ErasureAnswerSink<'t> = &'t mut (dyn FnMut(ErasureAnswer) -> ControlFlow<()> + 't);
