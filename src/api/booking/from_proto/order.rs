//! Orders, line items and customers.

use super::{Validator, Violated, payment};
use crate::api::booking::{
    proto::v3,
    requests::{
        MAX_ADDRESS_CHARS, MAX_ANSWERS_PER_ITEM, MAX_EMAIL_CHARS, MAX_LANGUAGE_CHARS,
        MAX_NAME_CHARS, MAX_RESPONSE_CHARS, MAX_RESPONSES_PER_ANSWER, MAX_TELEPHONE_CHARS,
        MAX_TICKETS_PER_ITEM,
    },
    violations::FieldPath,
};
use domain::order::{
    Customer, IntakeAnswer, LineItem, NewOrder, OrderedTickets, PaymentProcessor, PostalAddress,
};
use domain::time::{EpochSeconds, Seconds};

impl Validator<'_> {
    pub(super) fn new_order(
        &mut self,
        order: v3::Order,
        processing: Option<Box<v3::PaymentProcessingParameters>>,
        is_merchant: &dyn Fn(&str) -> bool,
    ) -> Result<NewOrder, Violated> {
        let v3::Order {
            order_id,
            user_information,
            payment_information,
            merchant_id,
            item,
        } = order;
        let field = FieldPath::field("order");
        if !order_id.is_empty() {
            let rule = "must not be set: the booking partner names the order";
            self.violate(field.key("order_id"), rule);
        }
        self.check_merchant(field.key("merchant_id"), &merchant_id, is_merchant);
        if item.is_empty() {
            self.violate(field.key("item"), "needs at least one item");
        }
        let items = self.line_items(field.key("item"), item);
        let customer = self.customer(field.key("user_information"), user_information);
        // Before `payment_information` is consumed by the next step.
        let challenge = payment_information.as_deref().and_then(payment::challenge);
        let payment = payment_information
            .map(|payment| self.payment_details(field.key("payment_information"), payment));
        let is_charged = payment
            .as_ref()
            .is_some_and(|payment| payment.processed_by == Some(PaymentProcessor::Partner));
        // Required only where this server charges; elsewhere its fields are ignored.
        let method = if is_charged {
            Some(self.payment_method(processing, challenge))
        } else {
            None
        };
        Ok(NewOrder {
            merchant_id: merchant_id.into(),
            // Only now: all fields are checked before the first missing one ends this.
            customer: customer?,
            items,
            payment,
            method: method.transpose()?,
        })
    }

    fn customer(
        &mut self,
        field: FieldPath<'_>,
        user: Option<v3::UserInformation>,
    ) -> Result<Customer, Violated> {
        let Some(user) = user else {
            return Err(self.require(field));
        };
        let customer = customer(user);
        self.check_customer(field, &customer);
        Ok(customer)
    }

    pub(super) fn line_items(
        &mut self,
        field: FieldPath<'_>,
        items: Vec<v3::LineItem>,
    ) -> Vec<LineItem> {
        // Items beyond the limit are not examined: their number alone rejects the request.
        let max_items = self.limits().max_items_per_order;
        if self.limit_count(field, items.len(), max_items).is_err() {
            return Vec::new();
        }
        for (at, item) in items.iter().enumerate() {
            self.check_item(field.index(at), item);
        }
        items.into_iter().map(line_item).collect()
    }

    fn check_customer(&mut self, field: FieldPath<'_>, who: &Customer) {
        let Customer {
            user_id,
            given_name,
            family_name,
            address,
            telephone,
            email,
            language_code,
        } = who;
        self.require_id(field.key("user_id"), user_id.as_str());
        for (name, text, most) in [
            ("given_name", given_name, MAX_NAME_CHARS),
            ("family_name", family_name, MAX_NAME_CHARS),
            ("telephone", telephone, MAX_TELEPHONE_CHARS),
            ("email", email, MAX_EMAIL_CHARS),
            ("language_code", language_code, MAX_LANGUAGE_CHARS),
        ] {
            self.check_chars(field.key(name), text, most);
        }
        let Some(address) = address else { return };
        let PostalAddress {
            country,
            locality,
            region,
            postal_code,
            street_address,
        } = address;
        let field = field.key("address");
        for (name, text) in [
            ("country", country),
            ("locality", locality),
            ("region", region),
            ("postal_code", postal_code),
            ("street_address", street_address),
        ] {
            self.check_chars(field.key(name), text, MAX_ADDRESS_CHARS);
        }
    }

    fn check_item(&mut self, field: FieldPath<'_>, item: &v3::LineItem) {
        self.check_id(field.key("service_id"), &item.service_id);
        let tickets = field.key("tickets");
        self.check_count(tickets, item.tickets.len(), MAX_TICKETS_PER_ITEM);
        for (at, ticket) in item.tickets.iter().enumerate() {
            self.check_id(tickets.index(at).key("ticket_id"), &ticket.ticket_id);
        }
        self.check_price(field.key("price"), item.price.as_ref());
        if item.status != 0 {
            self.violate(field.key("status"), "must not be set in a request");
        }
        if let Some(answers) = &item.intake_form_answers {
            let field = field.key("intake_form_answers");
            self.check_answers(field.key("answer"), &answers.answer);
        }
    }

    fn check_answers(&mut self, field: FieldPath<'_>, answers: &[v3::IntakeFormFieldAnswer]) {
        self.check_count(field, answers.len(), MAX_ANSWERS_PER_ITEM);
        for (at, v3::IntakeFormFieldAnswer { id, response }) in answers.iter().enumerate() {
            let field = field.index(at);
            self.check_id(field.key("id"), id);
            let field = field.key("response");
            self.check_count(field, response.len(), MAX_RESPONSES_PER_ANSWER);
            for (at, text) in response.iter().enumerate() {
                self.check_chars(field.index(at), text, MAX_RESPONSE_CHARS);
            }
        }
    }
}

/// A line item. Its status and its warning belong to responses and are not read.
fn line_item(item: v3::LineItem) -> LineItem {
    let v3::LineItem {
        service_id,
        start_sec,
        duration_sec,
        tickets,
        price,
        status: _,
        intake_form_answers,
        warning_reason: _,
    } = item;
    LineItem {
        service_id: service_id.into(),
        start_sec: EpochSeconds::new(start_sec),
        duration_sec: Seconds::new(duration_sec),
        tickets: tickets.into_iter().map(ordered_tickets).collect(),
        price: price.map(payment::price_tag),
        answers: intake_form_answers.map(intake_answers),
    }
}

fn ordered_tickets(tickets: v3::line_item::OrderedTickets) -> OrderedTickets {
    let v3::line_item::OrderedTickets { ticket_id, count } = tickets;
    OrderedTickets {
        ticket_id: ticket_id.into(),
        count,
    }
}

fn intake_answers(answers: v3::IntakeFormAnswers) -> Vec<IntakeAnswer> {
    let v3::IntakeFormAnswers { answer } = answers;
    answer
        .into_iter()
        .map(|v3::IntakeFormFieldAnswer { id, response }| IntakeAnswer {
            question_id: id,
            responses: response,
        })
        .collect()
}

fn customer(user: v3::UserInformation) -> Customer {
    let v3::UserInformation {
        user_id,
        given_name,
        family_name,
        address,
        telephone,
        email,
        language_code,
    } = user;
    let address = address.map(postal_address);
    Customer {
        user_id: user_id.into(),
        given_name,
        family_name,
        address,
        telephone,
        email,
        language_code,
    }
}

fn postal_address(address: v3::PostalAddress) -> PostalAddress {
    let v3::PostalAddress {
        country,
        locality,
        region,
        postal_code,
        street_address,
    } = address;
    PostalAddress {
        country,
        locality,
        region,
        postal_code,
        street_address,
    }
}
