//! Orders, line items and customers.

use crate::api::booking::proto::v3;
use domain::order::{
    BookedItem, BookingStatus, Customer, IntakeAnswer, LineItem, Order, OrderedTickets,
    PostalAddress,
};

/// An order as it is recorded.
#[must_use]
pub fn order(order: Order) -> v3::Order {
    let Order {
        id,
        merchant_id,
        customer: who,
        payment,
        items,
    } = order;
    v3::Order {
        order_id: id.into(),
        user_information: Some(customer(who)),
        payment_information: payment
            .map(|payment| Box::new(super::payment::payment_information(*payment))),
        merchant_id: merchant_id.into(),
        item: items.into_iter().map(booked_item).collect(),
    }
}

fn booked_item(item: BookedItem) -> v3::LineItem {
    let BookedItem { line, status } = item;
    v3::LineItem {
        status: booking_status(status).into(),
        ..line_item(line)
    }
}

pub(super) fn line_item(line: LineItem) -> v3::LineItem {
    let LineItem {
        service_id,
        start_sec,
        duration_sec,
        tickets,
        price,
        answers,
    } = line;
    v3::LineItem {
        service_id: service_id.into(),
        start_sec: start_sec.get(),
        duration_sec: duration_sec.get(),
        tickets: tickets.into_iter().map(ordered_tickets).collect(),
        price: price.map(super::payment::price_tag),
        // Unset: a status belongs to an item of an order, which `booked_item` and `failed` set.
        status: 0,
        intake_form_answers: answers.map(intake_form_answers),
        warning_reason: 0,
    }
}

fn ordered_tickets(tickets: OrderedTickets) -> v3::line_item::OrderedTickets {
    let OrderedTickets { ticket_id, count } = tickets;
    v3::line_item::OrderedTickets {
        ticket_id: ticket_id.into(),
        count,
    }
}

fn intake_form_answers(answers: Vec<IntakeAnswer>) -> v3::IntakeFormAnswers {
    let answer = |IntakeAnswer {
                      question_id: id,
                      responses: response,
                  }| v3::IntakeFormFieldAnswer { id, response };
    v3::IntakeFormAnswers {
        answer: answers.into_iter().map(answer).collect(),
    }
}

fn booking_status(status: BookingStatus) -> v3::BookingStatus {
    use v3::BookingStatus as Wire;
    match status {
        BookingStatus::Confirmed => Wire::Confirmed,
        BookingStatus::PendingMerchantConfirmation => Wire::PendingMerchantConfirmation,
        BookingStatus::Canceled => Wire::Canceled,
        BookingStatus::NoShow => Wire::NoShow,
        BookingStatus::NoShowPenalized => Wire::NoShowPenalized,
        BookingStatus::Failed => Wire::Failed,
        BookingStatus::DeclinedByMerchant => Wire::DeclinedByMerchant,
    }
}

fn customer(customer: Customer) -> v3::UserInformation {
    let Customer {
        user_id,
        given_name,
        family_name,
        address,
        telephone,
        email,
        language_code,
    } = customer;
    v3::UserInformation {
        user_id: user_id.into(),
        given_name,
        family_name,
        address: address.map(postal_address),
        telephone,
        email,
        language_code,
    }
}

fn postal_address(address: PostalAddress) -> v3::PostalAddress {
    let PostalAddress {
        country,
        locality,
        region,
        postal_code,
        street_address,
    } = address;
    v3::PostalAddress {
        country,
        locality,
        region,
        postal_code,
        street_address,
    }
}
