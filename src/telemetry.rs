//! Logging: one line an event on standard error, for people on a terminal and as JSON elsewhere.
//!
//! Times are UTC in RFC 3339. Messages of callers are never logged; events carry ids as fields.

use std::{
    any::Any,
    backtrace::{Backtrace, BacktraceStatus},
    io::{self, IsTerminal},
    panic::PanicHookInfo,
};

use tracing::Subscriber;
use tracing_subscriber::{EnvFilter, filter::ParseError, fmt::MakeWriter};

use crate::config::{LogFormat, Logging};

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not one; a loaded configuration has a sound one.
    #[error("the log filter is not valid")]
    Filter(#[from] ParseError),
    /// This process logs already.
    #[error("logging was set up before")]
    Twice(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// Logs all events of this process to standard error, and every panic as one of them.
///
/// # Errors
///
/// When it is called a second time, or with a filter that was not checked.
pub fn init(logging: &Logging) -> Result<(), TelemetryError> {
    let terminal = io::stderr().is_terminal();
    let style = Style::of(logging.log_format, terminal);
    tracing::subscriber::set_global_default(subscriber(&logging.log, style, io::stderr)?)?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Coloured,
    Plain,
    Json,
}

impl Style {
    fn of(format: LogFormat, terminal: bool) -> Self {
        match (format, terminal) {
            (LogFormat::Auto | LogFormat::Human, true) => Self::Coloured,
            (LogFormat::Human, false) => Self::Plain,
            (LogFormat::Auto, false) | (LogFormat::Json, _) => Self::Json,
        }
    }
}

/// A failure to write a line is not reported: the report would go the same way, and fail with a
/// panic. A coloured style still honours `NO_COLOR`.
fn subscriber<W>(
    filter: &str,
    style: Style,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, ParseError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(filter)?)
        .log_internal_errors(false)
        .with_writer(writer);
    Ok(match style {
        Style::Coloured => Box::new(lines.finish()),
        Style::Plain => Box::new(lines.with_ansi(false).finish()),
        Style::Json => Box::new(lines.json().flatten_event(true).with_current_span(false).finish()),
    })
}

fn log_panic(info: &PanicHookInfo<'_>) {
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(
        message = "a task panicked",
        panic = panic_text(info.payload()),
        location = info.location().map(tracing::field::display),
        thread = std::thread::current().name(),
        backtrace,
    );
}

/// The text of a panic. Other payloads are values of the program, which are not for the log.
fn panic_text(payload: &dyn Any) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(filter: &str, style: Style) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = subscriber(filter, style, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("call", trace_id = "t-1");
            let _entered = span.enter();
            tracing::info!(order_id = "o-1", "order stored");
            tracing::debug!("details");
        });
        String::from_utf8(sink.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn json_lines_carry_time_level_message_fields_and_spans() {
        let text = logged("info", Style::Json);
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "order stored");
        assert_eq!(line["order_id"], "o-1");
        assert_eq!(line["spans"][0]["trace_id"], "t-1");
        let time = line["timestamp"].as_str().unwrap();
        assert!(time.ends_with('Z') && time.as_bytes()[10] == b'T', "{time} is RFC 3339 in UTC");
    }

    #[test]
    fn plain_lines_have_no_escape_codes() {
        let text = logged("info", Style::Plain);
        assert!(text.contains("order stored order_id=\"o-1\""), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn the_filter_decides_what_is_logged() {
        for (filter, lines) in [("debug", 2), ("info", 1), ("warn", 0), ("off", 0)] {
            assert_eq!(logged(filter, Style::Json).lines().count(), lines, "{filter}");
        }
    }

    #[test]
    fn the_style_follows_the_setting_and_the_terminal() {
        for (format, terminal, style) in [
            (LogFormat::Auto, true, Style::Coloured),
            (LogFormat::Auto, false, Style::Json),
            (LogFormat::Human, true, Style::Coloured),
            (LogFormat::Human, false, Style::Plain),
            (LogFormat::Json, true, Style::Json),
            (LogFormat::Json, false, Style::Json),
        ] {
            assert_eq!(Style::of(format, terminal), style, "{format:?} {terminal}");
        }
    }

    #[test]
    fn a_panic_is_logged_with_its_text_only() {
        assert_eq!(panic_text(&"plain"), "plain");
        assert_eq!(panic_text(&String::from("built")), "built");
        assert_eq!(panic_text(&42), "no message");
    }
}
