use super::*;

fn count(questions: &[Question], tickets: &[(TicketIx, u32)], answers: &[IntakeAnswer]) -> usize {
    faults(questions, tickets, answers).map_or(0, |faults| faults.count())
}

const ADULT: TicketIx = TicketIx(0);
const CHILD: TicketIx = TicketIx(1);

fn text(value: &str) -> LocalizedText {
    LocalizedText {
        value: value.into(),
        translations: vec![("de".into(), format!("{value}-de"))],
    }
}

fn question(kind: AnswerKind) -> Question {
    Question {
        id: "q".into(),
        kind,
        label: text("?"),
        required: true,
        only_for: Vec::new(),
        scope: QuestionScope::Line,
    }
}

fn answer(responses: &[&str]) -> IntakeAnswer {
    IntakeAnswer {
        question_id: "q".into(),
        responses: responses.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn answers_fit_the_kind_of_question() {
    let choices = vec![text("red"), text("blue")];
    for (kind, responses, good) in [
        (AnswerKind::Text, &["any"][..], true),
        (AnswerKind::Text, &["one", "two"], false),
        (AnswerKind::Boolean, &["true"], true),
        (AnswerKind::Boolean, &["false"], true),
        (AnswerKind::Boolean, &["yes"], false),
        (AnswerKind::OneOf(choices.clone()), &["red"], true),
        (AnswerKind::OneOf(choices.clone()), &["red-de"], true),
        (AnswerKind::OneOf(choices.clone()), &["green"], false),
        (AnswerKind::OneOf(choices.clone()), &["red", "blue"], false),
        (AnswerKind::AnyOf(choices.clone()), &["red", "blue"], true),
        (AnswerKind::AnyOf(choices), &["red", "green"], false),
    ] {
        let label = format!("{kind:?} {responses:?}");
        let found = faults(&[question(kind)], &[], &[answer(responses)]);
        let message = found.map(|faults| faults.to_string());
        assert_eq!(message.is_none(), good, "{label}: {message:?}");
        assert!(
            message.iter().all(|message| message.contains("\"q\"")),
            "{label}: {message:?}"
        );
    }
}

#[test]
fn required_questions_need_an_answer_and_unknown_ones_are_rejected() {
    let required = question(AnswerKind::Text);
    let optional = Question {
        required: false,
        ..required.clone()
    };
    assert_eq!(count(std::slice::from_ref(&required), &[], &[]), 1);
    assert_eq!(
        count(std::slice::from_ref(&required), &[], &[answer(&["  "])]),
        1
    );
    assert!(faults(std::slice::from_ref(&optional), &[], &[]).is_none());
    let other = IntakeAnswer {
        question_id: "other".into(),
        responses: vec!["x".into()],
    };
    assert_eq!(count(&[optional], &[], &[other]), 1);
}

#[test]
fn a_question_for_some_tickets_counts_only_when_one_is_bought() {
    let childs = Question {
        only_for: vec![CHILD],
        ..question(AnswerKind::Text)
    };
    assert!(faults(std::slice::from_ref(&childs), &[(ADULT, 2)], &[]).is_none());
    assert_eq!(count(&[childs], &[(ADULT, 2), (CHILD, 1)], &[]), 1);
}

#[test]
fn a_question_for_each_ticket_wants_as_many_answers() {
    let each = Question {
        scope: QuestionScope::EachTicket,
        ..question(AnswerKind::Text)
    };
    let two = [answer(&["a"]), answer(&["b"])];
    assert!(faults(std::slice::from_ref(&each), &[(ADULT, 2)], &two).is_none());
    assert_eq!(count(std::slice::from_ref(&each), &[(ADULT, 3)], &two), 1);
    assert_eq!(count(&[each], &[(ADULT, 1)], &two), 1);
}

#[test]
fn an_answer_to_a_question_that_is_not_asked_of_these_tickets_is_let_be() {
    let childs = Question {
        only_for: vec![CHILD],
        ..question(AnswerKind::Boolean)
    };
    assert!(
        faults(
            std::slice::from_ref(&childs),
            &[(ADULT, 2)],
            &[answer(&["perhaps"])]
        )
        .is_none()
    );
    assert_eq!(count(&[childs], &[(CHILD, 1)], &[answer(&["perhaps"])]), 1);
}

#[test]
fn a_question_for_each_ticket_of_a_type_counts_those_tickets_only() {
    let each_child = Question {
        scope: QuestionScope::EachTicket,
        only_for: vec![CHILD],
        ..question(AnswerKind::Text)
    };
    let tickets = [(ADULT, 5), (CHILD, 2)];
    let two = [answer(&["a"]), answer(&["b"])];
    assert!(faults(std::slice::from_ref(&each_child), &tickets, &two).is_none());
    assert_eq!(
        count(std::slice::from_ref(&each_child), &tickets, &two[..1]),
        1
    );
    assert_eq!(
        count(&[each_child], &[(CHILD, u32::MAX), (CHILD, u32::MAX)], &two),
        1
    );
}

#[test]
fn an_optional_question_left_blank_is_no_fault_but_a_wrong_answer_is() {
    let optional = Question {
        required: false,
        ..question(AnswerKind::Boolean)
    };
    for (responses, good) in [
        (&[][..], true),
        (&[""], true),
        (&["true"], true),
        (&["maybe"], false),
    ] {
        let found = faults(std::slice::from_ref(&optional), &[], &[answer(responses)]);
        assert_eq!(found.is_none(), good, "{responses:?}: {found:?}");
    }
}

#[test]
fn the_first_of_very_many_faults_are_listed() {
    let stray = IntakeAnswer {
        question_id: "x".repeat(1_000_000),
        responses: Vec::new(),
    };
    let wrong = Question {
        scope: QuestionScope::EachTicket,
        ..question(AnswerKind::Boolean)
    };
    for (questions, answers) in [
        (vec![], vec![stray; 50]),
        (vec![wrong], vec![answer(&["?"]); 50]),
    ] {
        let found = faults(&questions, &[(ADULT, 50)], &answers).unwrap();
        assert_eq!(found.count(), 50, "{found:?}");
        let message = found.to_string();
        assert!(message.ends_with("; and 40 more"), "{message}");
        assert!(message.len() < 2_000, "{message}");
    }
}
