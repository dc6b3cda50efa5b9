use super::*;

fn paid(payment: Option<PaymentDetails>) -> NewOrder {
    let customer = Customer::of("ada");
    NewOrder {
        merchant_id: "museum".into(),
        customer,
        items: Vec::new(),
        payment: payment.map(Box::new),
        method: None,
    }
}

#[test]
fn we_charge_only_where_the_order_says_so() {
    for (processed_by, expected) in [
        (None, false),
        (Some(PaymentProcessor::Google), false),
        (Some(PaymentProcessor::Partner), true),
    ] {
        let payment = PaymentDetails {
            processed_by,
            ..PaymentDetails::default()
        };
        assert_eq!(
            paid(Some(payment)).charged_by_us(),
            expected,
            "{processed_by:?}"
        );
    }
    assert!(!paid(None).charged_by_us());
}

#[test]
fn a_log_of_an_order_says_what_is_withheld_and_nothing_of_it() {
    let customer = Customer {
        given_name: "Ada".into(),
        ..Customer::of("ada")
    };
    let method = Some(PaymentMethod {
        token: "secret".into(),
        challenge: None,
    });
    let said = format!(
        "{:?}",
        NewOrder {
            customer,
            method,
            ..paid(None)
        }
    );
    assert!(said.contains("Customer(personal data withheld)"), "{said}");
    assert!(said.contains("PaymentMethod(withheld)"), "{said}");
    assert!(
        !said.contains("ada") && !said.contains("Ada") && !said.contains("secret"),
        "{said}"
    );
}
