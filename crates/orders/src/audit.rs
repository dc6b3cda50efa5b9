//! The audit log: orders created, replayed, changed and listed, calls rejected, files reloaded, and starts
//! and stops of the server.
//!
//! It names users, certificates, addresses, orders and merchants. It has no personal data of
//! customers, no tokens and no passwords. A user name is logged only if there is such a user,
//! because anything else sent as a name may be a password.

mod event;
mod file;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

pub use event::{AuditEvent, AuditedBlock, AuditedChange, AuditedOutcome};

use event::AuditRecord;
use file::AuditFile;
use kernel::clock::Clock;

/// The target of the lines that go to the ordinary log.
pub const TARGET: &str = "boxoffice::audit";

/// Where the audit log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditLog {
    /// Nowhere.
    Off,
    /// To standard error, among the lines of the log.
    Stderr,
    /// To a file of its own.
    File(PathBuf),
}

/// Writes the audit log. No caller ever waits for it.
#[derive(Debug)]
pub struct Audit {
    sink: AuditSink,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
enum AuditSink {
    Off,
    /// Events of the ordinary log.
    Log,
    /// Lines of JSON in a file.
    File(AuditFile),
}

impl Audit {
    /// The audit log that the settings ask for, its times by `clock`.
    ///
    /// # Errors
    /// If its file cannot be opened.
    pub fn open(setting: &AuditLog, clock: Arc<dyn Clock>) -> io::Result<Arc<Self>> {
        let sink = match setting {
            AuditLog::Off => AuditSink::Off,
            AuditLog::Stderr => AuditSink::Log,
            AuditLog::File(path) => AuditSink::File(AuditFile::open(path, Arc::clone(&clock))?),
        };
        Ok(Arc::new(Self { sink, clock }))
    }

    /// Whether events are recorded. If not, nothing need be prepared for them.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !matches!(self.sink, AuditSink::Off)
    }

    /// Records an event, with the names of the current request, if there is one.
    pub fn record(&self, event: AuditEvent<'_>) {
        match &self.sink {
            AuditSink::Off => {}
            AuditSink::Log => event.lines(None, |record| log(&record)),
            AuditSink::File(file) => {
                // The log adds its own time; the file needs one in every line.
                event.lines(Some(self.clock.now_sec()), |record| file.write(&record));
            }
        }
    }

    /// Reopens the file before its next line, after it was moved by log rotation.
    pub fn reopen(&self) {
        if let AuditSink::File(file) = &self.sink {
            file.reopen();
        }
    }

    /// Waits until all lines have been written, but for no longer than `limit`.
    pub fn flush(&self, limit: Duration) {
        if let AuditSink::File(file) = &self.sink {
            file.flush(limit);
        }
    }

    /// Lines of the file that are lost, because they could not be written or came too fast.
    #[must_use]
    pub fn lost(&self) -> u64 {
        match &self.sink {
            AuditSink::Off | AuditSink::Log => 0,
            AuditSink::File(file) => file.lost(),
        }
    }
}

/// Fields without a value are left out. The log itself adds time and request.
fn log(record: &AuditRecord<'_>) {
    let ids = (!record.order_ids.is_empty()).then(|| record.order_ids.join(" "));
    tracing::info!(
        target: TARGET,
        event = record.event,
        user = record.user,
        certificate = record.certificate,
        transport = record.transport,
        address = record.address.map(tracing::field::display),
        reason = record.reason,
        merchant_id = record.merchant_id,
        service_id = record.service_id,
        slot = record.slot,
        blocked = record.blocked,
        order_id = record.order_id,
        method = record.method,
        role = record.role,
        change_id = record.change_id,
        cause = record.cause,
        outcome = record.outcome,
        orders = record.orders,
        order_ids = ids,
        revision = record.revision,
        users = record.users,
        version = record.version,
        "audit"
    );
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        fmt,
        sync::{Mutex, PoisonError},
    };

    use tracing::{
        Event, Metadata, Subscriber,
        field::{Field, Visit},
        span,
    };

    use super::*;

    /// The names of the fields of all events.
    #[derive(Default, Clone)]
    struct FieldNames(Arc<Mutex<BTreeSet<String>>>);

    impl Visit for FieldNames {
        fn record_debug(&mut self, field: &Field, _: &dyn fmt::Debug) {
            let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            names.insert(field.name().to_owned());
        }
    }

    impl Subscriber for FieldNames {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

        fn event(&self, event: &Event<'_>) {
            event.record(&mut self.clone());
        }

        fn enter(&self, _: &span::Id) {}

        fn exit(&self, _: &span::Id) {}
    }

    #[test]
    fn the_log_has_all_fields_that_the_file_has() {
        let text = || Some("text".to_owned());
        let name = Some("name");
        let record = AuditRecord {
            time: text(),
            event: "event",
            user: name,
            certificate: name,
            transport: name,
            address: Some([192, 0, 2, 7].into()),
            request_id: name,
            reason: name,
            merchant_id: name,
            service_id: name,
            slot: text(),
            blocked: text(),
            order_id: name,
            method: name,
            role: name,
            change_id: name,
            cause: name,
            outcome: name,
            orders: Some(1),
            order_ids: vec!["id"],
            revision: Some(1),
            users: Some(1),
            version: name,
        };
        let file = serde_json::to_value(&record).unwrap();
        let mut expected: BTreeSet<String> = file.as_object().unwrap().keys().cloned().collect();
        // The log adds these two itself.
        expected.retain(|name| name != "time" && name != "request_id");
        let found = FieldNames::default();
        tracing::subscriber::with_default(found.clone(), || log(&record));
        let mut found = found.0.lock().unwrap().clone();
        assert!(found.remove("message"));
        assert_eq!(found, expected);
    }
}
