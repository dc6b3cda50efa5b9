//! Intake forms: the questions of a service, once for a line or for every ticket.

use crate::{
    catalog_files::{
        json::{Field, Shape, elements, message},
        mistakes::Place,
        texts::{self, Text},
    },
    domain::catalog::{AnswerKind, LocalizedText, Question, QuestionScope, Service, TicketIx},
};

message! {
    /// An intake form.
    Form {
        field: Vec<Field<FormField>>,
    }
}

message! {
    /// A question of an intake form.
    FormField {
        id: String,
        kind as "type": FieldType,
        localized_label: Text,
        label: Text,
        is_required: bool,
        choice_text: Vec<Field<Text>>,
        ticket_type_restrict: Vec<Field<String>>,
    }
}

/// How a question is put.
#[derive(Debug, Clone, Copy)]
pub(in crate::catalog_files) enum FieldType {
    ShortAnswer,
    Paragraph,
    MultipleChoice,
    Checkboxes,
    Dropdown,
    Boolean,
}

/// The types in the order of their numbers, which begin at 1.
const FIELD_TYPES: [(&str, FieldType); 6] = [
    ("SHORT_ANSWER", FieldType::ShortAnswer),
    ("PARAGRAPH", FieldType::Paragraph),
    ("MULTIPLE_CHOICE", FieldType::MultipleChoice),
    ("CHECKBOXES", FieldType::Checkboxes),
    ("DROPDOWN", FieldType::Dropdown),
    ("BOOLEAN", FieldType::Boolean),
];

impl Shape for FieldType {
    const EXPECTED: &'static str =
        "SHORT_ANSWER, PARAGRAPH, MULTIPLE_CHOICE, CHECKBOXES, DROPDOWN or BOOLEAN";

    fn from_text(text: &str) -> Option<Self> {
        FIELD_TYPES.iter().find(|(name, _)| *name == text).map(|&(_, kind)| kind)
    }

    fn from_integer(integer: i128) -> Option<Self> {
        let at = usize::try_from(integer).ok()?.checked_sub(1)?;
        FIELD_TYPES.get(at).map(|&(_, kind)| kind)
    }
}

/// The questions of both forms of a service. Their ids are unique over both.
pub(super) fn read(
    service: &Service,
    form: Field<Form>,
    per_ticket: Field<Form>,
    at: &Place<'_>,
) -> Vec<Question> {
    let mut questions = Vec::new();
    let mut read = |form: Field<Form>, scope, at: &Place<'_>| {
        let fields = form.optional(at).unwrap_or_default().field;
        let fields_at = at.key("field");
        for (index, field) in elements(fields, &fields_at) {
            read_question(service, &mut questions, scope, field, &fields_at.index(index));
        }
    };
    read(form, QuestionScope::Line, &at.key("intake_form"));
    read(per_ticket, QuestionScope::EachTicket, &at.key("per_ticket_intake_form"));
    questions
}

fn read_question(
    service: &Service,
    questions: &mut Vec<Question>,
    scope: QuestionScope,
    field: FormField,
    at: &Place<'_>,
) {
    let FormField { id, kind, localized_label, label, is_required, choice_text, ticket_type_restrict } =
        field;
    let id = id.id(&at.key("id"));
    if let Some(twin) = id.as_ref().filter(|&id| questions.iter().any(|known| known.id == *id)) {
        at.key("id").mistake(format!("question {twin:?} is asked twice by this service"));
    }
    let label = texts::first_of([("localized_label", localized_label), ("label", label)], at);
    if label.is_none() {
        at.key("localized_label").mistake("is missing; a question needs a text");
    }
    let kind = kind.required(&at.key("type"));
    let choices = read_choices(choice_text, kind, &at.key("choice_text"));
    questions.push(Question {
        id: id.unwrap_or_default(),
        kind: kind.map_or(AnswerKind::Text, |kind| answer_kind(kind, choices)),
        label: label.unwrap_or_default(),
        required: is_required.optional(&at.key("is_required")).unwrap_or_default(),
        only_for: read_restriction(service, ticket_type_restrict, &at.key("ticket_type_restrict")),
        scope,
    });
}

fn answer_kind(kind: FieldType, choices: Vec<LocalizedText>) -> AnswerKind {
    match kind {
        FieldType::ShortAnswer | FieldType::Paragraph => AnswerKind::Text,
        FieldType::MultipleChoice | FieldType::Dropdown => AnswerKind::OneOf(choices),
        FieldType::Checkboxes => AnswerKind::AnyOf(choices),
        FieldType::Boolean => AnswerKind::Boolean,
    }
}

fn read_choices(
    choices: Field<Vec<Field<Text>>>,
    kind: Option<FieldType>,
    at: &Place<'_>,
) -> Vec<LocalizedText> {
    let given = !choices.is_empty();
    let choices: Vec<LocalizedText> =
        elements(choices, at).into_iter().map(|(index, text)| text.read(&at.index(index))).collect();
    if let Some(empty) = choices.iter().position(|choice| choice.value.is_empty()) {
        at.mistake(format!("choice {} of {} is an empty text", empty + 1, choices.len()));
    }
    match kind {
        Some(FieldType::MultipleChoice | FieldType::Checkboxes | FieldType::Dropdown) if !given => {
            at.mistake("is missing; a question of this type offers choices");
        }
        Some(FieldType::ShortAnswer | FieldType::Paragraph | FieldType::Boolean) if given => {
            at.mistake("is given, but a question of this type offers no choices");
        }
        Some(_) | None => {}
    }
    choices
}

fn read_restriction(service: &Service, ids: Field<Vec<Field<String>>>, at: &Place<'_>) -> Vec<TicketIx> {
    let known = |(index, id): (usize, String)| {
        let ticket = service.ticket_ix(&id);
        if ticket.is_none() {
            at.index(index).mistake(format!("ticket type {id:?} is not one of the service"));
        }
        ticket
    };
    elements(ids, at).into_iter().filter_map(known).collect()
}
