//! Orders, from the look at a cart to the list of what was ordered.

mod check;
mod concurrency;
mod create;
mod holds;
mod list;
mod lookup;
mod one_slot;
mod payment;
