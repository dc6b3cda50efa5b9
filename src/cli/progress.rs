//! What a command shows while it works: a bar of bytes, a count of orders.

use indicatif::{ProgressBar, ProgressStyle};

use store::log::Progress;

/// A bar on standard error; where that is no terminal, nothing is drawn.
#[derive(Debug)]
pub(super) struct ByteBar(ProgressBar);

impl ByteBar {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) =
            ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes}, {eta} left")
        {
            bar.set_style(style);
        }
        Self(bar)
    }

    pub(super) fn show(&self, progress: Progress) {
        self.0.set_length(progress.all);
        self.0.set_position(progress.done);
    }
}

impl Drop for ByteBar {
    fn drop(&mut self) {
        // The line belongs to what is printed next.
        self.0.finish_and_clear();
    }
}

/// A count of orders on standard error; where that is no terminal, nothing is drawn.
#[derive(Debug)]
pub(super) struct OrderCount(ProgressBar);

impl OrderCount {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::no_length();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} orders, {elapsed}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    pub(super) fn show(&self, orders: usize) {
        self.0.set_position(orders.try_into().unwrap_or(u64::MAX));
    }
}

impl Drop for OrderCount {
    fn drop(&mut self) {
        // As that of bytes.
        self.0.finish_and_clear();
    }
}
