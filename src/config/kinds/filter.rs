//! Filters of the log.

use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use super::ValueKind;

/// Directives that say which events are logged.
pub(in crate::config) struct LogFilter;

impl ValueKind for LogFilter {
    type Value = String;

    fn label(&self) -> &'static str {
        "FILTER"
    }

    fn takes(&self) -> String {
        "a level (`off`, `error`, `warn`, `info`, `debug`, `trace`) or `target=level`, with commas between"
            .to_owned()
    }

    /// A word alone would be taken for a target, so that a misspelt level silences everything; here
    /// it has to be a level.
    fn read(&self, text: &str) -> Option<String> {
        EnvFilter::try_new(text).ok()?;
        let is_level = |word: &str| !word.is_empty() && word.parse::<LevelFilter>().is_ok();
        let sound = |directive: &str| directive.contains('=') || is_level(directive);
        (text.contains('[') || text.split(',').all(sound)).then(|| text.to_owned())
    }
}
