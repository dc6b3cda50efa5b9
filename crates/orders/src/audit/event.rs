//! The events of the audit log, and their lines.

use std::{
    net::IpAddr,
    time::{Duration, UNIX_EPOCH},
};

use serde::Serialize;

use domain::{
    ids::MerchantId,
    order::{Order, OrderId},
    slot::BlockedSpots,
    time::EpochSeconds,
};
use kernel::{
    request::{Origin, RequestContext},
    rpc::{OperatorRpc, Transport},
    user::{Role, User},
};
use store::{NamedSlot, PaymentOutcome};

/// Orders that one line names. A longer list takes several lines.
const MAX_IDS_PER_LINE: usize = 1_000;

/// An event of the audit log.
#[derive(Debug, Clone, Copy)]
pub enum AuditEvent<'e> {
    /// The server listens.
    ServerStarted,
    /// The server has stopped.
    ServerStopped,
    /// A catalogue has become active.
    CatalogReloaded {
        /// Its number, from 0 at the start.
        revision: u32,
    },
    /// A reloaded catalogue was rejected.
    CatalogRejected,
    /// Reloaded credentials are in use.
    CredentialsReloaded {
        /// Number of users.
        users: usize,
    },
    /// Reloaded credentials were rejected.
    CredentialsRejected,
    /// Reloaded certificates are in use.
    CertificatesReloaded,
    /// Reloaded certificates were rejected.
    CertificatesRejected,
    /// A call was rejected.
    AccessRejected {
        /// The reason in the table of errors.
        reason: &'static str,
        /// The user whose name it carries, if there is one; its password may be wrong.
        user: Option<&'e User>,
        /// The address of the peer.
        address: IpAddr,
        /// The transport; `None` if TLS failed before.
        transport: Option<Transport>,
    },
    /// An order is on record.
    OrderCreated(&'e Order),
    /// A repeated request got the order that it had created before.
    OrderReplayed(&'e Order),
    /// An order was not created.
    OrderFailed {
        /// The merchant.
        merchant_id: &'e MerchantId,
        /// The cause in the response, or the reason of the error.
        cause: &'static str,
    },
    /// A pending payment of an earlier run was reversed, so there is no order.
    PaymentReversed {
        /// The id that the order would have had.
        order_id: &'e OrderId,
        /// How the payment ended.
        outcome: PaymentOutcome,
    },
    /// Spots of a slot are to be off sale, or for sale again.
    SlotBlocked {
        /// The slot and the spots; `None` if there is no such slot.
        block: Option<AuditedBlock<'e>>,
        /// What was asked for.
        change: AuditedChange<'e>,
    },
    /// Another revision of the lifecycle is to be in force.
    LifecyclePublished(AuditedChange<'e>),
    /// The lifecycle is to have another draft, or none.
    LifecycleDrafted(AuditedChange<'e>),
    /// An order is to be changed.
    OrderChanged {
        /// The order; `None` if what was given is no id.
        order_id: Option<&'e str>,
        /// What was asked for.
        change: AuditedChange<'e>,
    },
    /// Orders were listed.
    OrdersListed(&'e [OrderId]),
    /// The personal data of a customer is to be erased.
    CustomerErased {
        /// From how many orders it was; `None` if it was not.
        orders: Option<u64>,
        /// What was asked for.
        change: AuditedChange<'e>,
    },
    /// The personal data of a customer was exported, by an operator.
    CustomerExported,
}

/// A change that somebody has asked for. The line has the method and the role of the user, too, as that of every call of the
/// operator's services.
#[derive(Debug, Clone, Copy)]
pub struct AuditedChange<'e> {
    /// The request id of the change; `None` if there was none, or what was given is none.
    pub change_id: Option<&'e str>,
    /// What became of it.
    pub outcome: AuditedOutcome,
}

/// Spots of a slot that are to be off sale.
#[derive(Debug, Clone, Copy)]
pub struct AuditedBlock<'e> {
    /// The slot.
    pub slot: &'e NamedSlot,
    /// The spots.
    pub spots: BlockedSpots,
}

/// What became of a change that somebody has asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditedOutcome {
    /// It is on record.
    Changed {
        /// The revision of the order or lifecycle since; `None` of what has none.
        revision: Option<u32>,
    },
    /// It was on record before, under the same request id.
    Repeated {
        /// The revision of the order or lifecycle since; `None` of what has none.
        revision: Option<u32>,
    },
    /// Nothing has changed, by this reason in the table of errors.
    Rejected(&'static str),
    /// The store has failed: what is on record is known after a restart.
    Unknown,
}

/// One line with the fields of all events. Absent fields are left out.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct AuditRecord<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) time: Option<String>,
    pub(super) event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) certificate: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) transport: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request_id: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) merchant_id: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service_id: Option<&'r str>,
    /// When the slot begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) slot: Option<String>,
    /// How many spots are blocked: a number, or `all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) blocked: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) order_id: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) method: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) change_id: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cause: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) outcome: Option<&'static str>,
    /// How many orders the list has in all, or were erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) orders: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) order_ids: Vec<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) revision: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) users: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<&'static str>,
}

impl AuditEvent<'_> {
    /// Passes its lines to `give`: one, or one for each thousand orders of a list. They name the
    /// current request and its caller.
    pub(super) fn lines(self, now: Option<EpochSeconds>, mut give: impl FnMut(AuditRecord<'_>)) {
        let served = RequestContext::current();
        let mut record = AuditRecord {
            time: now.map(utc),
            event: self.name(),
            ..AuditRecord::default()
        };
        // First, so that the fields of the event can replace those of the request.
        if let Some(served) = &served {
            record.name_request(served);
        }
        let Self::OrdersListed(ids) = self else {
            return give(self.fill(record));
        };
        record.orders = Some(ids.len());
        // A list without orders is a line, too.
        for ids in ids
            .chunks(MAX_IDS_PER_LINE)
            .chain(ids.is_empty().then_some(ids))
        {
            let order_ids = ids.iter().map(OrderId::as_str).collect();
            give(AuditRecord {
                order_ids,
                ..record.clone()
            });
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::ServerStarted => "server_started",
            Self::ServerStopped => "server_stopped",
            Self::CatalogReloaded { .. } => "catalog_reloaded",
            Self::CatalogRejected => "catalog_rejected",
            Self::CredentialsReloaded { .. } => "credentials_reloaded",
            Self::CredentialsRejected => "credentials_rejected",
            Self::CertificatesReloaded => "certificates_reloaded",
            Self::CertificatesRejected => "certificates_rejected",
            Self::AccessRejected { .. } => "access_rejected",
            Self::OrderCreated(_) => "order_created",
            Self::OrderReplayed(_) => "order_replayed",
            Self::OrderFailed { .. } => "order_failed",
            Self::PaymentReversed { .. } => "payment_reversed",
            Self::SlotBlocked { .. } => "slot_blocked",
            Self::LifecyclePublished(_) => "lifecycle_published",
            Self::LifecycleDrafted(_) => "lifecycle_drafted",
            Self::OrderChanged { .. } => "order_changed",
            Self::OrdersListed(_) => "orders_listed",
            Self::CustomerErased { .. } => "customer_erased",
            Self::CustomerExported => "customer_exported",
        }
    }
}

impl<'e> AuditEvent<'e> {
    fn fill<'r>(self, mut record: AuditRecord<'r>) -> AuditRecord<'r>
    where
        'e: 'r,
    {
        match self {
            Self::ServerStarted => record.version = Some(env!("CARGO_PKG_VERSION")),
            Self::CatalogReloaded { revision } => record.revision = Some(revision),
            Self::CredentialsReloaded { users } => record.users = Some(users),
            Self::AccessRejected {
                reason,
                user,
                address,
                transport,
            } => {
                record.reason = Some(reason);
                record.user = user.map(|user| &**user.name());
                // An IPv4 address that arrived mapped into IPv6 is written in its usual form.
                record.address = Some(address.to_canonical());
                record.transport = transport.map(Transport::name);
            }
            Self::OrderCreated(order) | Self::OrderReplayed(order) => {
                record.merchant_id = Some(order.merchant_id.as_str());
                record.order_id = Some(order.id.as_str());
            }
            Self::OrderFailed { merchant_id, cause } => {
                record.merchant_id = Some(merchant_id.as_str());
                record.cause = Some(cause);
            }
            Self::PaymentReversed { order_id, outcome } => {
                record.order_id = Some(order_id.as_str());
                record.outcome = Some(outcome_name(outcome));
            }
            Self::SlotBlocked { block, change } => {
                if let Some(block) = block {
                    block.fill(&mut record);
                }
                change.fill(&mut record);
            }
            Self::LifecyclePublished(change) | Self::LifecycleDrafted(change) => {
                change.fill(&mut record);
            }
            Self::OrderChanged { order_id, change } => {
                record.order_id = order_id;
                change.fill(&mut record);
            }
            Self::CustomerErased { orders, change } => {
                record.orders = orders.map(|orders| usize::try_from(orders).unwrap_or(usize::MAX));
                change.fill(&mut record);
            }
            Self::ServerStopped
            | Self::CustomerExported
            | Self::CatalogRejected
            | Self::CredentialsRejected
            | Self::CertificatesReloaded
            | Self::CertificatesRejected
            | Self::OrdersListed(_) => {}
        }
        record
    }
}

impl<'e> AuditedChange<'e> {
    fn fill<'r>(self, record: &mut AuditRecord<'r>)
    where
        'e: 'r,
    {
        record.change_id = self.change_id;
        record.outcome = Some(match self.outcome {
            AuditedOutcome::Changed { .. } => "changed",
            AuditedOutcome::Repeated { .. } => "repeated",
            AuditedOutcome::Rejected(_) => "rejected",
            AuditedOutcome::Unknown => "unknown",
        });
        match self.outcome {
            AuditedOutcome::Changed { revision } | AuditedOutcome::Repeated { revision } => {
                record.revision = revision;
            }
            AuditedOutcome::Rejected(reason) => record.reason = Some(reason),
            AuditedOutcome::Unknown => {}
        }
    }
}

impl<'e> AuditedBlock<'e> {
    fn fill<'r>(self, record: &mut AuditRecord<'r>)
    where
        'e: 'r,
    {
        record.merchant_id = Some(self.slot.merchant_id.as_str());
        record.service_id = Some(self.slot.service_id.as_str());
        record.slot = Some(utc(self.slot.start_sec));
        record.blocked = Some(match self.spots {
            BlockedSpots::All => "all".to_owned(),
            BlockedSpots::Count(count) => count.to_string(),
        });
    }
}

impl<'r> AuditRecord<'r> {
    fn name_request(&mut self, served: &'r RequestContext) {
        self.request_id = Some(served.id());
        if let Some(Origin {
            transport,
            user,
            certificate,
            address: _,
            operation,
        }) = served.origin()
        {
            self.transport = Some(transport.name());
            self.user = user.as_ref().map(|user| &**user.name());
            self.certificate = certificate.as_deref();
            self.method = operation.map(OperatorRpc::name);
            self.role = user.as_ref().and_then(|user| user.role()).map(Role::name);
        }
    }
}

fn outcome_name(outcome: PaymentOutcome) -> &'static str {
    match outcome {
        PaymentOutcome::Captured => "captured",
        PaymentOutcome::Declined => "declined",
        PaymentOutcome::Voided => "voided",
        PaymentOutcome::Refunded => "refunded",
    }
}

/// A time in RFC 3339. A time before the epoch becomes the epoch; one that the format cannot write
/// becomes a number of seconds.
fn utc(moment: EpochSeconds) -> String {
    let since = Duration::from_secs(u64::try_from(moment.get()).unwrap_or(0));
    let time = UNIX_EPOCH
        .checked_add(since)
        .filter(|_| moment <= LAST_SECOND);
    time.map_or_else(
        || moment.to_string(),
        |time| humantime::format_rfc3339_seconds(time).to_string(),
    )
}

/// The last second of the year 9999.
const LAST_SECOND: EpochSeconds = EpochSeconds::new(253_402_300_799);

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(event: AuditEvent<'_>) -> Vec<String> {
        let mut lines = Vec::new();
        event.lines(Some(EpochSeconds::new(1_768_456_800)), |record| {
            lines.push(serde_json::to_string(&record).unwrap());
        });
        lines
    }

    fn changed(revision: Option<u32>) -> AuditedChange<'static> {
        AuditedChange {
            change_id: Some("C"),
            outcome: AuditedOutcome::Changed { revision },
        }
    }

    #[test]
    fn a_line_has_its_time_its_event_and_what_it_says() {
        let (address, transport) = ("::ffff:192.0.2.7".parse().unwrap(), Some(Transport::Rest));
        let order_id = OrderId::from("ID");
        for (event, expected) in [
            (AuditEvent::ServerStopped, r#""event":"server_stopped""#),
            (
                AuditEvent::CatalogReloaded { revision: 3 },
                r#""event":"catalog_reloaded","revision":3"#,
            ),
            (
                AuditEvent::AccessRejected {
                    reason: "CREDENTIALS_INVALID",
                    user: None,
                    address,
                    transport,
                },
                r#""event":"access_rejected","transport":"rest","address":"192.0.2.7","reason":"CREDENTIALS_INVALID""#,
            ),
            (
                AuditEvent::OrderFailed {
                    merchant_id: &"a\"b".into(),
                    cause: "PAYMENT_ERROR",
                },
                r#""event":"order_failed","merchant_id":"a\"b","cause":"PAYMENT_ERROR""#,
            ),
            (
                AuditEvent::PaymentReversed {
                    order_id: &order_id,
                    outcome: PaymentOutcome::Refunded,
                },
                r#""event":"payment_reversed","order_id":"ID","outcome":"refunded""#,
            ),
            (
                AuditEvent::CustomerExported,
                r#""event":"customer_exported""#,
            ),
            (
                AuditEvent::OrdersListed(&[]),
                r#""event":"orders_listed","orders":0"#,
            ),
            (
                AuditEvent::OrdersListed(std::slice::from_ref(&order_id)),
                r#""event":"orders_listed","orders":1,"order_ids":["ID"]"#,
            ),
        ] {
            assert_eq!(
                lines(event),
                [format!(r#"{{"time":"2026-01-15T06:00:00Z",{expected}}}"#)]
            );
        }
    }

    #[test]
    fn a_change_has_its_request_and_its_outcome() {
        let slot = NamedSlot {
            start_sec: EpochSeconds::new(1_768_456_800),
            merchant_id: "m".into(),
            service_id: "s".into(),
            duration_sec: 60.into(),
        };
        let block = |spots| Some(AuditedBlock { slot: &slot, spots });
        let rejected = |reason| AuditedChange {
            change_id: None,
            outcome: AuditedOutcome::Rejected(reason),
        };
        for (event, expected) in [
            (
                AuditEvent::SlotBlocked {
                    block: block(BlockedSpots::All),
                    change: changed(None),
                },
                r#""event":"slot_blocked","merchant_id":"m","service_id":"s","slot":"2026-01-15T06:00:00Z","blocked":"all","change_id":"C","outcome":"changed""#,
            ),
            (
                AuditEvent::SlotBlocked {
                    block: block(BlockedSpots::Count(8)),
                    change: rejected("REQUEST_ID_REUSED"),
                },
                r#""event":"slot_blocked","reason":"REQUEST_ID_REUSED","merchant_id":"m","service_id":"s","slot":"2026-01-15T06:00:00Z","blocked":"8","outcome":"rejected""#,
            ),
            (
                AuditEvent::LifecyclePublished(changed(Some(2))),
                r#""event":"lifecycle_published","change_id":"C","outcome":"changed","revision":2"#,
            ),
            (
                AuditEvent::LifecycleDrafted(changed(None)),
                r#""event":"lifecycle_drafted","change_id":"C","outcome":"changed""#,
            ),
            (
                AuditEvent::OrderChanged {
                    order_id: Some("ID"),
                    change: changed(Some(2)),
                },
                r#""event":"order_changed","order_id":"ID","change_id":"C","outcome":"changed","revision":2"#,
            ),
            (
                AuditEvent::OrderChanged {
                    order_id: None,
                    change: rejected("INVALID_REQUEST"),
                },
                r#""event":"order_changed","reason":"INVALID_REQUEST","outcome":"rejected""#,
            ),
            (
                AuditEvent::CustomerErased {
                    orders: Some(3),
                    change: changed(None),
                },
                r#""event":"customer_erased","change_id":"C","outcome":"changed","orders":3"#,
            ),
        ] {
            assert_eq!(
                lines(event),
                [format!(r#"{{"time":"2026-01-15T06:00:00Z",{expected}}}"#)]
            );
        }
    }

    #[test]
    fn a_long_list_takes_several_lines_and_names_every_order_once() {
        let ids: Vec<_> = (0..=2 * MAX_IDS_PER_LINE)
            .map(|number| OrderId::from(format!("<{number}>")))
            .collect();
        let lines = lines(AuditEvent::OrdersListed(&ids));
        assert_eq!(lines.len(), 3);
        assert!(
            lines.iter().all(|line| line.contains(r#""orders":2001"#)),
            "{lines:?}"
        );
        for id in &ids {
            assert_eq!(
                lines
                    .iter()
                    .filter(|line| line.contains(id.as_str()))
                    .count(),
                1,
                "{id:?}"
            );
        }
    }

    #[test]
    fn a_line_names_the_request_that_it_is_about() {
        let served = RequestContext::new(Some(b"r-1"), None);
        served.set_origin(Origin {
            transport: Transport::GrpcWeb,
            user: None,
            certificate: Some("shop.example".into()),
            address: [192, 0, 2, 7].into(),
            operation: None,
        });
        let written = served.scope(async { lines(AuditEvent::ServerStopped) });
        let written = futures_util::FutureExt::now_or_never(written).unwrap();
        let expected = r#"{"time":"2026-01-15T06:00:00Z","event":"server_stopped","certificate":"shop.example","transport":"grpc-web","request_id":"r-1"}"#;
        assert_eq!(written, [expected]);
    }

    #[test]
    fn a_line_of_the_operators_services_names_method_and_role() {
        let served = RequestContext::new(Some(b"r-1"), None);
        let scope = kernel::user::Scope {
            role: Some(Role::Agent),
            ..kernel::user::Scope::default()
        };
        served.set_origin(Origin {
            transport: Transport::Rest,
            user: Some(User::new("ada".into(), scope).into()),
            certificate: None,
            address: [192, 0, 2, 7].into(),
            operation: Some(OperatorRpc::SetBlock),
        });
        let event = AuditEvent::SlotBlocked {
            block: None,
            change: changed(None),
        };
        let written = served.scope(async { lines(event) });
        let written = futures_util::FutureExt::now_or_never(written).unwrap();
        let expected = r#"{"time":"2026-01-15T06:00:00Z","event":"slot_blocked","user":"ada","transport":"rest","request_id":"r-1","method":"SetBlock","role":"agent","change_id":"C","outcome":"changed"}"#;
        assert_eq!(written, [expected]);
    }

    #[test]
    fn every_time_has_a_text() {
        for (moment, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1970-01-01T00:00:00Z"),
            (LAST_SECOND.get(), "9999-12-31T23:59:59Z"),
            (LAST_SECOND.get() + 1, "253402300800"),
            (i64::MAX, "9223372036854775807"),
        ] {
            assert_eq!(utc(EpochSeconds::new(moment)), expected);
        }
    }
}
