//! Deliveries: their status, which never goes backwards.

use super::time::EpochSeconds;

/// How tickets reach the customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryType {
    /// They are shown at the entrance.
    None,
    /// By e-mail or in an app.
    ETicket,
    /// They wait at the box office.
    WillCall,
    /// By post.
    Post,
}

/// The status of a delivery, each later than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShipmentStatus {
    /// Not booked with a carrier.
    Pending,
    /// Booked.
    Booked,
    /// On its way.
    Dispatched,
    /// With the customer.
    Delivered,
}

/// A delivery that has a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shipment {
    /// The carrier's name of it.
    pub reference: String,
    /// Its status.
    pub status: ShipmentStatus,
    /// When that became so, as the carrier says.
    pub updated: EpochSeconds,
}

/// What a carrier reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShipmentReport {
    /// The delivery; `None` where the carrier did not say.
    pub reference: Option<String>,
    /// Its status.
    pub status: ShipmentStatus,
    /// When that became so.
    pub updated: EpochSeconds,
}

/// What a report changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShipmentProgress {
    /// The status is now that of the report.
    Advanced,
    /// It was known already.
    Known,
    /// It is behind what is known, and was ignored.
    Behind,
}

/// Why a report is not acceptable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShipmentError {
    /// It is of another delivery.
    #[error("the report names another delivery reference")]
    OtherReference,
    /// It skips a status.
    #[error("a delivery of this type cannot be {to:?} right after {from:?}")]
    Skipped {
        /// The present status.
        from: ShipmentStatus,
        /// The reported status.
        to: ShipmentStatus,
    },
}

impl Shipment {
    /// Takes a report. One that is equal to or behind the present status changes nothing: carriers repeat
    /// themselves, and their messages overtake each other.
    ///
    /// # Errors
    /// [`ShipmentError`]; nothing has changed then.
    pub fn report(
        &mut self,
        report: &ShipmentReport,
        delivery: DeliveryType,
    ) -> Result<ShipmentProgress, ShipmentError> {
        if report
            .reference
            .as_ref()
            .is_some_and(|it| *it != self.reference)
        {
            return Err(ShipmentError::OtherReference);
        }
        if report.status == self.status {
            return Ok(ShipmentProgress::Known);
        }
        if report.status < self.status {
            return Ok(ShipmentProgress::Behind);
        }
        if skips(self.status, report.status, delivery) {
            return Err(ShipmentError::Skipped {
                from: self.status,
                to: report.status,
            });
        }
        self.raise(report.status, report.updated);
        Ok(ShipmentProgress::Advanced)
    }

    /// Raises the status; a lower one changes nothing.
    pub(crate) fn raise(&mut self, status: ShipmentStatus, at: EpochSeconds) {
        if status > self.status {
            self.status = status;
            self.updated = at;
        }
    }
}

/// Whether a delivery cannot go from one status right to the other.
fn skips(from: ShipmentStatus, to: ShipmentStatus, delivery: DeliveryType) -> bool {
    match (from, to) {
        // Nothing travels: what is booked is with the customer next.
        (ShipmentStatus::Booked, ShipmentStatus::Delivered) => {
            !matches!(delivery, DeliveryType::ETicket | DeliveryType::WillCall)
        }
        (ShipmentStatus::Pending, ShipmentStatus::Dispatched | ShipmentStatus::Delivered) => true,
        (
            ShipmentStatus::Pending
            | ShipmentStatus::Booked
            | ShipmentStatus::Dispatched
            | ShipmentStatus::Delivered,
            _,
        ) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use ShipmentStatus::{Booked, Delivered, Dispatched, Pending};

    fn shipment(status: ShipmentStatus) -> Shipment {
        Shipment {
            reference: "R1".to_owned(),
            status,
            updated: EpochSeconds::new(10),
        }
    }

    #[test]
    fn a_status_goes_forward_one_by_one() {
        for (from, to, delivery, expected) in [
            (
                Booked,
                Dispatched,
                DeliveryType::Post,
                Some(ShipmentProgress::Advanced),
            ),
            (
                Dispatched,
                Delivered,
                DeliveryType::Post,
                Some(ShipmentProgress::Advanced),
            ),
            (
                Pending,
                Booked,
                DeliveryType::Post,
                Some(ShipmentProgress::Advanced),
            ),
            (
                Booked,
                Delivered,
                DeliveryType::ETicket,
                Some(ShipmentProgress::Advanced),
            ),
            (
                Booked,
                Delivered,
                DeliveryType::WillCall,
                Some(ShipmentProgress::Advanced),
            ),
            (Booked, Delivered, DeliveryType::Post, None),
            (Pending, Dispatched, DeliveryType::ETicket, None),
            (Pending, Delivered, DeliveryType::ETicket, None),
            (
                Booked,
                Booked,
                DeliveryType::Post,
                Some(ShipmentProgress::Known),
            ),
            (
                Delivered,
                Delivered,
                DeliveryType::Post,
                Some(ShipmentProgress::Known),
            ),
            (
                Delivered,
                Dispatched,
                DeliveryType::Post,
                Some(ShipmentProgress::Behind),
            ),
            (
                Dispatched,
                Booked,
                DeliveryType::Post,
                Some(ShipmentProgress::Behind),
            ),
        ] {
            let mut shipment = shipment(from);
            let report = ShipmentReport {
                reference: None,
                status: to,
                updated: EpochSeconds::new(20),
            };
            let found = shipment.report(&report, delivery).ok();
            assert_eq!(found, expected, "{from:?} -> {to:?}");
            let advanced = expected == Some(ShipmentProgress::Advanced);
            assert_eq!(shipment.status, if advanced { to } else { from });
            assert_eq!(shipment.updated.get(), if advanced { 20 } else { 10 });
        }
    }

    #[test]
    fn a_report_of_another_delivery_is_an_error_even_if_it_is_behind() {
        let mut shipment = shipment(Dispatched);
        for status in [Booked, Dispatched, Delivered] {
            let mut report = ShipmentReport {
                reference: Some("R2".to_owned()),
                status,
                updated: EpochSeconds::new(20),
            };
            let found = shipment.report(&report, DeliveryType::Post);
            assert_eq!(found, Err(ShipmentError::OtherReference));
            report.reference = Some("R1".to_owned());
            assert!(shipment.clone().report(&report, DeliveryType::Post).is_ok());
        }
    }
}
