//! Intake forms: the questions of a service, per line or per ticket.

use crate::{
    diagnostics::Cursor,
    json::{Field, FromJson, elements, message},
    texts::{self, Text},
};
use domain::catalog::{AnswerKind, LocalizedText, Question, QuestionScope, Service, TicketIx};

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
        value: Vec<Field<String>>,
        allow_custom_answer: bool,
        additional_option: Vec<Field<Text>>,
        ticket_type_restrict: Vec<Field<String>>,
    }
}

/// The type of a question.
#[derive(Debug, Clone, Copy)]
pub(crate) enum FieldType {
    ShortAnswer,
    Paragraph,
    MultipleChoice,
    Checkboxes,
    Dropdown,
    Boolean,
    LocationSearch,
    /// A type of a later version of the feeds.
    Unknown,
}

/// The types in the order of their numbers, which begin at 1.
const FIELD_TYPES: [(&str, FieldType); 7] = [
    ("SHORT_ANSWER", FieldType::ShortAnswer),
    ("PARAGRAPH", FieldType::Paragraph),
    ("MULTIPLE_CHOICE", FieldType::MultipleChoice),
    ("CHECKBOXES", FieldType::Checkboxes),
    ("DROPDOWN", FieldType::Dropdown),
    ("BOOLEAN", FieldType::Boolean),
    ("LOCATION_SEARCH", FieldType::LocationSearch),
];

/// The name of the unset type.
const UNSPECIFIED: &str = "FIELD_TYPE_UNSPECIFIED";

impl FromJson for FieldType {
    const EXPECTED: &'static str = "SHORT_ANSWER, PARAGRAPH, MULTIPLE_CHOICE, CHECKBOXES, DROPDOWN, BOOLEAN or LOCATION_SEARCH";
    const IS_NUMBER: bool = true;

    fn from_text(text: &str) -> Option<Self> {
        if text.is_empty() || text == UNSPECIFIED {
            return None;
        }
        let known = FIELD_TYPES.iter().find(|(name, _)| *name == text);
        // A warning and no error: a new type in the feeds must not stop a reload.
        Some(known.map_or(Self::Unknown, |&(_, kind)| kind))
    }

    fn from_integer(integer: i128) -> Option<Self> {
        // The number 0 is the unset type.
        let at = usize::try_from(integer).ok()?.checked_sub(1)?;
        Some(FIELD_TYPES.get(at).map_or(Self::Unknown, |&(_, kind)| kind))
    }
}

/// The questions of both forms of a service. Their ids are unique over both.
pub(super) fn read(
    service: &Service,
    form: Field<Form>,
    per_ticket: Field<Form>,
    at: &Cursor<'_>,
) -> Vec<Question> {
    let mut questions = Vec::new();
    let mut read = |form: Field<Form>, scope, at: &Cursor<'_>| {
        let fields = form.optional(at).unwrap_or_default().field;
        let fields_at = at.key("field");
        for (index, field) in elements(fields, &fields_at) {
            let question =
                read_question(service, &questions, scope, field, &fields_at.index(index));
            questions.push(question);
        }
    };
    read(form, QuestionScope::Line, &at.key("intake_form"));
    read(
        per_ticket,
        QuestionScope::EachTicket,
        &at.key("per_ticket_intake_form"),
    );
    questions
}

fn read_question(
    service: &Service,
    known: &[Question],
    scope: QuestionScope,
    field: FormField,
    at: &Cursor<'_>,
) -> Question {
    let FormField {
        id,
        kind,
        localized_label,
        label,
        is_required,
        choice_text,
        value,
        allow_custom_answer,
        additional_option,
        ticket_type_restrict,
    } = field;
    let id = id.id(&at.key("id"));
    if let Some(twin) = id
        .as_ref()
        .filter(|&id| known.iter().any(|known| known.id == *id))
    {
        at.key("id").error(
            "duplicate",
            format!("question {twin:?} is asked twice by this service"),
        );
    }
    let label = texts::first_of([("localized_label", localized_label), ("label", label)], at);
    if label.is_none() {
        at.key("localized_label")
            .error("missing", "is missing; a question needs a text");
    }
    let kind = kind.required(&at.key("type"));
    let choices = read_choices(choice_text, kind, &at.key("choice_text"));
    let locations = read_locations(value, allow_custom_answer, additional_option, kind, at);
    let required = is_required
        .optional(&at.key("is_required"))
        .unwrap_or_default();
    let kind = kind.unwrap_or(FieldType::Unknown);
    Question {
        id: id.unwrap_or_default(),
        kind: answer_kind(kind, choices, locations),
        label: label.unwrap_or_default(),
        // Never required if the type is unknown: this server cannot tell a valid answer.
        required: required && !matches!(kind, FieldType::Unknown),
        only_for: read_restriction(
            service,
            ticket_type_restrict,
            &at.key("ticket_type_restrict"),
        ),
        scope,
    }
}

fn answer_kind(kind: FieldType, choices: Vec<LocalizedText>, locations: AnswerKind) -> AnswerKind {
    match kind {
        FieldType::ShortAnswer | FieldType::Paragraph => AnswerKind::Text,
        FieldType::MultipleChoice | FieldType::Dropdown => AnswerKind::OneOf(choices),
        FieldType::Checkboxes => AnswerKind::AnyOf(choices),
        FieldType::Boolean => AnswerKind::Boolean,
        FieldType::LocationSearch => locations,
        FieldType::Unknown => AnswerKind::AnyText,
    }
}

/// The answers that a location search takes.
fn read_locations(
    value: Field<Vec<Field<String>>>,
    allow_custom_answer: Field<bool>,
    additional_option: Field<Vec<Field<Text>>>,
    kind: Option<FieldType>,
    at: &Cursor<'_>,
) -> AnswerKind {
    let is_search = matches!(kind, Some(FieldType::LocationSearch));
    let is_unknown = matches!(kind, Some(FieldType::Unknown) | None);
    if is_unknown && kind.is_some() {
        at.key("type").warning(
            "unknown_question_type",
            "is a type that this server does not know; the question takes any text and need not be answered",
        );
    }
    let given = [
        !value.is_empty(),
        !allow_custom_answer.is_absent(),
        !additional_option.is_empty(),
    ];
    if !is_search && !is_unknown && given.contains(&true) {
        at.warning(
            "idle_location_members",
            "has `value`, `allow_custom_answer` or `additional_option`, which only LOCATION_SEARCH has a use for",
        );
    }
    let values: Vec<String> = elements(value, &at.key("value"))
        .into_iter()
        .map(|(_, id)| id)
        .collect();
    let options_at = at.key("additional_option");
    let options = elements(additional_option, &options_at).into_iter();
    let options: Vec<LocalizedText> = options
        .map(|(index, text)| text.read(&options_at.index(index)))
        .collect();
    let any_text = allow_custom_answer
        .optional(&at.key("allow_custom_answer"))
        .unwrap_or_default();
    // A custom answer is any text, so the offered locations restrict nothing.
    if any_text {
        return AnswerKind::Text;
    }
    if is_search && values.is_empty() && options.is_empty() {
        at.key("value").warning(
            "no_locations",
            "names no location, so that the question takes any text",
        );
        return AnswerKind::Text;
    }
    let value = |value: String| LocalizedText {
        value,
        translations: Vec::new(),
    };
    AnswerKind::OneOf(values.into_iter().map(value).chain(options).collect())
}

fn read_choices(
    choices: Field<Vec<Field<Text>>>,
    kind: Option<FieldType>,
    at: &Cursor<'_>,
) -> Vec<LocalizedText> {
    let given = !choices.is_empty();
    let choices: Vec<LocalizedText> = elements(choices, at)
        .into_iter()
        .map(|(index, text)| text.read(&at.index(index)))
        .collect();
    if let Some(empty) = choices.iter().position(|choice| choice.value.is_empty()) {
        at.error(
            "empty",
            format!("choice {} of {} is an empty text", empty + 1, choices.len()),
        );
    }
    match kind {
        // A question without choices could not be answered, and a required one would stop every order.
        Some(FieldType::MultipleChoice | FieldType::Checkboxes | FieldType::Dropdown) if !given => {
            at.error(
                "missing",
                "is missing; a question of this type offers choices",
            );
        }
        Some(
            FieldType::ShortAnswer
            | FieldType::Paragraph
            | FieldType::Boolean
            | FieldType::LocationSearch,
        ) if given => {
            at.error(
                "contradiction",
                "is given, but a question of this type offers no choices",
            );
        }
        Some(_) | None => {}
    }
    choices
}

fn read_restriction(
    service: &Service,
    ids: Field<Vec<Field<String>>>,
    at: &Cursor<'_>,
) -> Vec<TicketIx> {
    let known = |(index, id): (usize, String)| {
        let ticket = service.ticket_ix(id.as_str());
        if ticket.is_none() {
            at.index(index).error(
                "unknown_ticket_type",
                format!("ticket type {id:?} is not one of the service"),
            );
        }
        ticket
    };
    elements(ids, at).into_iter().filter_map(known).collect()
}
