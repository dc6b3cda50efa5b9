//! Logging: one line per event on standard error, for people on a terminal and as JSON elsewhere.
//!
//! Times are UTC in RFC 3339. Messages of callers are never logged; events carry ids as fields.
//! Events of a request also carry its names.

use std::{
    any::Any,
    backtrace::{Backtrace, BacktraceStatus},
    fmt,
    io::{self, IsTerminal},
    panic::PanicHookInfo,
    time::Duration,
};

use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer,
    field::RecordFields,
    filter::{FilterExt, ParseError, filter_fn},
    fmt::{
        FmtContext, FormatEvent, FormatFields, MakeWriter,
        format::{DefaultFields, Format, Json, JsonFields, Writer},
    },
    registry::LookupSpan,
};

use super::AnyLayer;
use crate::config::{LogFormat, Logging};
use kernel::log_queue::LogQueue;
use kernel::request::RequestContext;

/// Time limit for a panic to be written: it may be the last action of the process.
const PANIC_FLUSH: Duration = Duration::from_millis(100);

/// Writes all events to standard error by way of a queue.
pub(super) fn to_standard_error(
    logging: &Logging,
    queue: LogQueue,
) -> Result<AnyLayer, ParseError> {
    let reader = if io::stderr().is_terminal() {
        LogReader::Terminal
    } else {
        LogReader::Program
    };
    let style = Style::of(logging.log_format, reader);
    lines(&logging.log, style, queue)
}

/// Makes every panic an event.
pub(super) fn log_panics(queue: LogQueue) {
    std::panic::set_hook(Box::new(move |info| {
        log_panic(info);
        queue.flush(PANIC_FLUSH);
    }));
}

/// The reader of standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LogReader {
    Terminal,
    Program,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Coloured,
    Plain,
    Json,
}

impl Style {
    fn of(format: LogFormat, reader: LogReader) -> Self {
        match (format, reader) {
            (LogFormat::Auto | LogFormat::Human, LogReader::Terminal) => Self::Coloured,
            (LogFormat::Human, LogReader::Program) => Self::Plain,
            (LogFormat::Auto, LogReader::Program) | (LogFormat::Json, _) => Self::Json,
        }
    }
}

/// The layer that writes events. A failure to write is not reported, because the report would take
/// the same way and fail with a panic. The coloured style honours `NO_COLOR`.
///
/// Spans are filtered out: only traces use them, and keeping them here would cost memory.
fn lines<W>(filter: &str, style: Style, writer: W) -> Result<AnyLayer, ParseError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(filter)?.and(filter_fn(is_event));
    let lines = tracing_subscriber::fmt::layer()
        // The internal report goes to standard error with a macro that panics on failure.
        .log_internal_errors(false)
        .with_writer(writer);
    Ok(match style {
        Style::Coloured => lines.fmt_fields(NamedFields).with_filter(filter).boxed(),
        Style::Plain => lines
            .with_ansi(false)
            .fmt_fields(NamedFields)
            .with_filter(filter)
            .boxed(),
        Style::Json => {
            let objects = Format::default().json().flatten_event(true);
            let objects = objects.with_current_span(false).with_span_list(false);
            lines
                .fmt_fields(JsonFields::new())
                .event_format(NamedObjects(objects))
                .with_filter(filter)
                .boxed()
        }
    })
}

fn is_event(metadata: &Metadata<'_>) -> bool {
    metadata.is_event()
}

/// The fields of an event, followed by those of its request.
struct NamedFields;

impl<'w> FormatFields<'w> for NamedFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        DefaultFields::new().format_fields(writer.by_ref(), fields)?;
        let Some(served) = RequestContext::current() else {
            return Ok(());
        };
        served
            .fields()
            .try_for_each(|(name, value)| write!(writer, " {name}={value}"))
    }
}

/// The JSON object of an event with the fields of its request, whose values need no escaping.
struct NamedObjects(Format<Json>);

impl<S, N> FormatEvent<S, N> for NamedObjects
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(served) = RequestContext::current() else {
            return self.0.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.0
            .format_event(context, Writer::new(&mut line), event)?;
        // The fields are added inside of the finished object: the formatter has no hook for more
        // fields.
        let open = line.trim_end().strip_suffix('}').ok_or(fmt::Error)?;
        writer.write_str(open)?;
        served
            .fields()
            .try_for_each(|(name, value)| write!(writer, ",\"{name}\":\"{value}\""))?;
        writer.write_str("}\n")
    }
}

fn log_panic(info: &PanicHookInfo<'_>) {
    // Only with `RUST_BACKTRACE`: capturing is slow and its text is long.
    let backtrace = Backtrace::capture();
    let backtrace =
        (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
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
        // `panic!` with a literal carries a `&str`, with arguments a `String`.
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures_util::FutureExt;
    use serde_json::json;
    use tracing_subscriber::{Registry, layer::SubscriberExt};

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
        let lines = lines(filter, style, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(Registry::default().with(lines), || {
            let _span = tracing::info_span!("call", secret = "s-1").entered();
            let events = async {
                tracing::info!(order_id = "o-1", "order stored");
                tracing::debug!("details");
            };
            let served = RequestContext::new(Some(b"r-1"), Some("t-1".to_owned()));
            assert!(served.scope(events).now_or_never().is_some());
            tracing::error!("no request");
        });
        String::from_utf8(sink.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn json_lines_carry_time_level_message_fields_and_the_request() {
        let text = logged("info", Style::Json);
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let line = &lines[0];
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "order stored");
        assert_eq!(line["order_id"], "o-1");
        assert_eq!(
            (&line["request_id"], &line["trace_id"]),
            (&json!("r-1"), &json!("t-1"))
        );
        assert_eq!(
            (&lines[1]["message"], &lines[1]["request_id"]),
            (&json!("no request"), &json!(null))
        );
        let time = line["timestamp"].as_str().unwrap();
        assert!(
            time.ends_with('Z') && time.as_bytes()[10] == b'T',
            "{time} is RFC 3339 in UTC"
        );
    }

    #[test]
    fn plain_lines_have_no_escape_codes() {
        let text = logged("info", Style::Plain);
        assert!(
            text.contains("order stored order_id=\"o-1\" request_id=r-1 trace_id=t-1\n"),
            "{text}"
        );
        assert!(text.ends_with("no request\n"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn the_filter_decides_what_is_logged() {
        for (filter, lines) in [("debug", 3), ("info", 2), ("warn", 1), ("off", 0)] {
            assert_eq!(
                logged(filter, Style::Json).lines().count(),
                lines,
                "{filter}"
            );
        }
    }

    #[test]
    fn the_style_follows_the_setting_and_the_terminal() {
        use LogReader::{Program, Terminal};
        for (format, reader, style) in [
            (LogFormat::Auto, Terminal, Style::Coloured),
            (LogFormat::Auto, Program, Style::Json),
            (LogFormat::Human, Terminal, Style::Coloured),
            (LogFormat::Human, Program, Style::Plain),
            (LogFormat::Json, Terminal, Style::Json),
            (LogFormat::Json, Program, Style::Json),
        ] {
            assert_eq!(Style::of(format, reader), style, "{format:?} {reader:?}");
        }
    }

    #[test]
    fn a_panic_is_logged_with_its_text_only() {
        assert_eq!(panic_text(&"plain"), "plain");
        assert_eq!(panic_text(&String::from("built")), "built");
        assert_eq!(panic_text(&42), "no message");
    }
}
