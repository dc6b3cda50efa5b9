use super::*;
use crate::{
    catalog::Fee,
    fixtures::{Fixture, cents, price_tag},
    order::{Customer, PaymentDetails, PaymentProcessor},
};

/// An order for 10.00 with fees of 2.00, of which 1.00 is tax by rate and 0.40 the tickets' own taxes.
struct Case {
    payment: Option<PaymentDetails>,
    prepayments: Vec<Prepayment>,
    charging: Charging,
    free: bool,
}

const GOOGLE: Option<PaymentProcessor> = Some(PaymentProcessor::Google);
const PARTNER: Option<PaymentProcessor> = Some(PaymentProcessor::Partner);

fn details(processed_by: Option<PaymentProcessor>) -> PaymentDetails {
    PaymentDetails {
        processed_by,
        fees_and_taxes: Some(price_tag(2_000_000, "USD")),
        ..PaymentDetails::default()
    }
}

fn case(payment: PaymentDetails) -> Case {
    Case {
        payment: Some(payment),
        prepayments: vec![Prepayment::Optional],
        charging: Charging::Possible,
        free: false,
    }
}

impl Case {
    fn failure(&self) -> Option<FailureCause> {
        let fixture = Fixture::new();
        let merchant = fixture.catalog.merchant(fixture.merchant);
        let mut fees = FeeTable::nothing(merchant);
        if !self.free {
            fees.per_order = vec![Fee {
                name: "Everything".into(),
                amount: cents(200),
            }];
            (fees.total, fees.tax, fees.ticket_taxes) = (cents(200), cents(100), cents(40));
        }
        let service = |prepayment| Service {
            prepayment,
            ..fixture.service("salon").clone()
        };
        let services: Vec<Service> = self.prepayments.iter().copied().map(service).collect();
        let order = NewOrder {
            merchant_id: merchant.id.clone(),
            customer: Customer::of("ada"),
            items: Vec::new(),
            payment: self.payment.clone().map(Box::new),
            method: None,
        };
        let costs = Costs {
            fees: &fees,
            due: if self.free { cents(0) } else { cents(1_200) },
        };
        failure(&order, services.iter(), costs, self.charging)
    }

    /// The text of the payment error, which it has to be if it is anything.
    fn payment_error(&self) -> Option<String> {
        let cause = self.failure()?;
        assert!(matches!(cause, FailureCause::Payment(_)), "{cause}");
        Some(cause.to_string())
    }
}

#[test]
fn the_fee_total_has_to_be_stated() {
    let stating = |fees_and_taxes| {
        case(PaymentDetails {
            fees_and_taxes,
            ..details(PARTNER)
        })
    };
    let wrong = FailureCause::IncorrectFeeTotal {
        expected: cents(200),
    };
    assert_eq!(
        wrong.to_string(),
        "payment_information.fees_and_taxes must be 2 USD"
    );
    for (stated, is_right) in [
        (None, false),
        (Some(price_tag(0, "")), false),
        (Some(price_tag(2_000_000, "USD")), true),
        (Some(price_tag(2_004_999, "USD")), true),
        (Some(price_tag(2_005_001, "USD")), false),
        (Some(price_tag(2_000_000, "EUR")), false),
        (Some(price_tag(2_000_000, "")), false),
        (Some(price_tag(-2_000_000, "USD")), false),
        (Some(price_tag(i64::MAX, "USD")), false),
    ] {
        let expected = (!is_right).then(|| wrong.clone());
        assert_eq!(stating(stated.clone()).failure(), expected, "{stated:?}");
        // Before anything else that is wrong with the payment.
        let off = Case {
            charging: Charging::Off,
            ..stating(stated.clone())
        };
        assert_eq!(
            off.failure().map(|cause| cause == wrong),
            Some(!is_right),
            "{stated:?}"
        );
    }
    for stated in [None, Some(price_tag(0, "")), Some(price_tag(0, "USD"))] {
        let free = Case {
            free: true,
            ..stating(stated.clone())
        };
        assert_eq!(free.failure(), None, "{stated:?}");
    }
}

#[test]
fn without_a_gateway_no_order_is_charged_by_us() {
    for (processed_by, possible) in [(None, true), (GOOGLE, true), (PARTNER, false)] {
        let off = Case {
            charging: Charging::Off,
            ..case(details(processed_by))
        };
        let expected = "PROCESSED_BY_PARTNER is not possible: this server takes no payments";
        assert_eq!(
            off.payment_error().as_deref(),
            (!possible).then_some(expected),
            "{processed_by:?}"
        );
    }
    let free = PaymentDetails {
        fees_and_taxes: None,
        ..details(PARTNER)
    };
    let free = Case {
        charging: Charging::Off,
        free: true,
        ..case(free)
    };
    assert!(
        free.payment_error().is_some(),
        "whatever there is to be charged"
    );
}

#[test]
fn what_has_to_be_prepaid_is_charged_by_us_or_stated_as_provided() {
    use Prepayment::{NotSupported, Optional, Required};
    use PrepaymentStatus::{Credited, NotProvided, Provided, Refunded};
    for (processed_by, prepayment, is_paid) in [
        (None, None, false),
        (None, Some(NotProvided), false),
        (None, Some(Provided), true),
        (GOOGLE, None, false),
        (GOOGLE, Some(NotProvided), false),
        (GOOGLE, Some(Refunded), false),
        (GOOGLE, Some(Credited), false),
        (GOOGLE, Some(Provided), true),
        (PARTNER, None, true),
        (PARTNER, Some(NotProvided), true),
    ] {
        for (prepayments, has_to_be) in [
            (vec![Required], true),
            (vec![Optional, Required], true),
            (vec![Required, Optional], true),
            (vec![Optional], false),
        ] {
            let payment = PaymentDetails {
                prepayment,
                ..details(processed_by)
            };
            let paid = Case {
                prepayments: prepayments.clone(),
                ..case(payment)
            };
            let error = paid.payment_error();
            let expected = "service \"salon\" has to be paid for when it is booked: payment_information must have \
                            payment_processed_by PROCESSED_BY_PARTNER or prepayment_status PREPAYMENT_PROVIDED";
            let expected = (has_to_be && !is_paid).then_some(expected);
            assert_eq!(
                error.as_deref(),
                expected,
                "{processed_by:?} {prepayment:?} {prepayments:?}"
            );
        }
    }
    let both = Case {
        prepayments: vec![Required, NotSupported],
        ..case(details(PARTNER))
    };
    assert!(
        both.payment_error()
            .is_some_and(|error| error.contains("is not paid for when it is booked"))
    );
}

#[test]
fn no_payment_information_is_no_payment() {
    let unpaid = |free| Case {
        payment: None,
        prepayments: vec![Prepayment::Required],
        free,
        ..case(details(None))
    };
    assert_eq!(unpaid(true).failure(), None, "nothing is due");
    assert_eq!(
        unpaid(false).failure(),
        Some(FailureCause::IncorrectFeeTotal {
            expected: cents(200)
        })
    );
}

#[test]
fn we_charge_nothing_for_what_is_not_prepaid() {
    for (prepayments, possible) in [
        (vec![Prepayment::NotSupported], false),
        (vec![Prepayment::Optional, Prepayment::NotSupported], false),
        (vec![Prepayment::Optional], true),
    ] {
        for (processed_by, charged) in [(PARTNER, true), (GOOGLE, false), (None, false)] {
            let payment = PaymentDetails {
                prepayment: Some(PrepaymentStatus::Provided),
                ..details(processed_by)
            };
            let order = Case {
                prepayments: prepayments.clone(),
                ..case(payment)
            };
            let expected = "service \"salon\" is not paid for when it is booked, so PROCESSED_BY_PARTNER is not possible";
            let expected = (charged && !possible).then_some(expected);
            assert_eq!(
                order.payment_error().as_deref(),
                expected,
                "{prepayments:?} {processed_by:?}"
            );
        }
    }
}

#[test]
fn a_stated_price_is_what_we_charge_with_or_without_fees() {
    for (stated, is_right) in [
        (Some(price_tag(10_000_000, "USD")), true),
        (Some(price_tag(12_000_000, "USD")), true),
        (Some(price_tag(11_000_000, "USD")), false),
        (Some(price_tag(12_000_000, "EUR")), false),
        (Some(price_tag(0, "")), false),
        (None, true),
    ] {
        let stating = |by| {
            case(PaymentDetails {
                price: stated.clone(),
                ..details(by)
            })
        };
        let expected =
            "payment_information.price must be the items' total, 10 USD, or 12 USD with fees";
        let expected = (!is_right).then_some(expected);
        assert_eq!(
            stating(PARTNER).payment_error().as_deref(),
            expected,
            "{stated:?}"
        );
        assert_eq!(
            stating(GOOGLE).payment_error(),
            None,
            "what others charge is theirs to say"
        );
    }
}

#[test]
fn a_stated_tax_is_the_one_by_rate_with_or_without_the_tickets_own() {
    for (stated, is_right) in [
        (Some(price_tag(1_000_000, "USD")), true),
        (Some(price_tag(1_400_000, "USD")), true),
        (Some(price_tag(400_000, "USD")), false),
        (Some(price_tag(1_010_000, "USD")), false),
        (Some(price_tag(1_000_000, "EUR")), false),
        (Some(price_tag(-1_000_000, "USD")), false),
        (Some(price_tag(0, "")), false),
        (None, true),
    ] {
        let stating = |by| {
            case(PaymentDetails {
                tax_amount: stated.clone(),
                ..details(by)
            })
        };
        let expected =
            "payment_information.tax_amount must be 1 USD, or 1.4 USD with the tickets' own taxes";
        let expected = (!is_right).then_some(expected);
        assert_eq!(
            stating(PARTNER).payment_error().as_deref(),
            expected,
            "{stated:?}"
        );
        assert_eq!(
            stating(GOOGLE).payment_error(),
            None,
            "what others charge is theirs to say"
        );
    }
    for (stated, is_right) in [
        (price_tag(0, "USD"), true),
        (price_tag(0, ""), true),
        (price_tag(1_000_000, "USD"), false),
    ] {
        let untaxed = PaymentDetails {
            fees_and_taxes: None,
            tax_amount: Some(stated.clone()),
            ..details(PARTNER)
        };
        let error = Case {
            free: true,
            ..case(untaxed)
        }
        .payment_error();
        let expected = "payment_information.tax_amount must be 0 USD";
        assert_eq!(
            error.as_deref(),
            (!is_right).then_some(expected),
            "{stated:?}"
        );
    }
}
