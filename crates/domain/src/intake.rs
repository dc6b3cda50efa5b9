//! Whether the questions that a service asks the customer have been answered well.

use super::{
    catalog::{AnswerKind, LocalizedText, Question, QuestionScope, TicketIx},
    order::IntakeAnswer,
    wording::{listed, quoted},
};

/// What is wrong with the answers of a line, one sentence each, naming the question's id; of very
/// many faults, the first and the number of the others.
#[must_use]
pub fn faults(
    questions: &[Question],
    tickets: &[(TicketIx, u32)],
    answers: &[IntakeAnswer],
) -> Vec<String> {
    let unknown = answers
        .iter()
        .filter(|answer| {
            !questions
                .iter()
                .any(|question| question.id == answer.question_id)
        })
        .map(|answer| {
            format!(
                "question {} is not asked by this service",
                quoted(&answer.question_id)
            )
        });
    let wrong = questions
        .iter()
        .flat_map(|question| question.faults(tickets, answers));
    listed(unknown.chain(wrong))
}

impl Question {
    fn faults(&self, tickets: &[(TicketIx, u32)], answers: &[IntakeAnswer]) -> Vec<String> {
        let asked = self.times_asked(tickets);
        if asked == 0 {
            return Vec::new();
        }
        let given: Vec<&IntakeAnswer> = answers
            .iter()
            .filter(|answer| answer.question_id == self.id && answer.is_given())
            .collect();
        let answered = u64::try_from(given.len()).unwrap_or(u64::MAX);
        let mut faults = Vec::new();
        if self.required && answered < asked {
            let so_far = if asked == 1 {
                String::new()
            } else {
                format!(" {asked} times, not {answered}")
            };
            faults.push(format!("question {:?} must be answered{so_far}", self.id));
        }
        if answered > asked {
            faults.push(format!(
                "question {:?} has {answered} answers; at most {asked} are taken",
                self.id
            ));
        }
        let wrong = given
            .iter()
            .filter_map(|answer| self.kind.fault(&self.id, &answer.responses));
        faults.extend(wrong);
        faults
    }

    fn times_asked(&self, tickets: &[(TicketIx, u32)]) -> u64 {
        let bought: u64 = tickets
            .iter()
            .filter(|(ticket, _)| self.only_for.is_empty() || self.only_for.contains(ticket))
            .map(|&(_, count)| u64::from(count))
            .sum();
        match self.scope {
            QuestionScope::EachTicket => bought,
            QuestionScope::Line if self.only_for.is_empty() => 1,
            QuestionScope::Line => bought.min(1),
        }
    }
}

impl AnswerKind {
    fn fault(&self, id: &str, responses: &[String]) -> Option<String> {
        let offered =
            |choices: &[LocalizedText]| responses.iter().all(|text| offers(choices, text));
        let one = responses.len() == 1;
        match self {
            Self::Text if !one => Some(format!("question {id:?} takes one answer")),
            Self::Boolean if !one || !matches!(responses[0].as_str(), "true" | "false") => {
                Some(format!("question {id:?} is answered \"true\" or \"false\""))
            }
            Self::OneOf(choices) if !one || !offered(choices) => {
                Some(format!("question {id:?} takes one of the offered choices"))
            }
            Self::AnyOf(choices) if !offered(choices) => {
                Some(format!("question {id:?} takes offered choices only"))
            }
            Self::Text | Self::AnyText | Self::Boolean | Self::OneOf(_) | Self::AnyOf(_) => None,
        }
    }
}

fn offers(choices: &[LocalizedText], text: &str) -> bool {
    choices.iter().any(|choice| {
        choice.value == text
            || choice
                .translations
                .iter()
                .any(|(_, translated)| translated == text)
    })
}

impl IntakeAnswer {
    /// Whether there is any text in it: an empty answer is none.
    fn is_given(&self) -> bool {
        self.responses.iter().any(|text| !text.trim().is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wording::MAX_FAULTS;

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
            assert_eq!(found.is_empty(), good, "{label}: {found:?}");
            assert!(
                found.iter().all(|fault| fault.contains("\"q\"")),
                "{label}: {found:?}"
            );
        }
    }

    #[test]
    fn required_questions_want_an_answer_and_unknown_ones_are_refused() {
        let required = question(AnswerKind::Text);
        let optional = Question {
            required: false,
            ..required.clone()
        };
        assert_eq!(faults(std::slice::from_ref(&required), &[], &[]).len(), 1);
        assert_eq!(
            faults(std::slice::from_ref(&required), &[], &[answer(&["  "])]).len(),
            1
        );
        assert!(faults(std::slice::from_ref(&optional), &[], &[]).is_empty());
        let other = IntakeAnswer {
            question_id: "other".into(),
            responses: vec!["x".into()],
        };
        assert_eq!(faults(&[optional], &[], &[other]).len(), 1);
    }

    #[test]
    fn a_question_for_some_tickets_counts_only_when_one_is_bought() {
        let childs = Question {
            only_for: vec![CHILD],
            ..question(AnswerKind::Text)
        };
        assert!(faults(std::slice::from_ref(&childs), &[(ADULT, 2)], &[]).is_empty());
        assert_eq!(faults(&[childs], &[(ADULT, 2), (CHILD, 1)], &[]).len(), 1);
    }

    #[test]
    fn a_question_for_each_ticket_wants_as_many_answers() {
        let each = Question {
            scope: QuestionScope::EachTicket,
            ..question(AnswerKind::Text)
        };
        let two = [answer(&["a"]), answer(&["b"])];
        assert!(faults(std::slice::from_ref(&each), &[(ADULT, 2)], &two).is_empty());
        assert_eq!(
            faults(std::slice::from_ref(&each), &[(ADULT, 3)], &two).len(),
            1
        );
        assert_eq!(faults(&[each], &[(ADULT, 1)], &two).len(), 1);
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
            .is_empty()
        );
        assert_eq!(
            faults(&[childs], &[(CHILD, 1)], &[answer(&["perhaps"])]).len(),
            1
        );
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
        assert!(faults(std::slice::from_ref(&each_child), &tickets, &two).is_empty());
        assert_eq!(
            faults(std::slice::from_ref(&each_child), &tickets, &two[..1]).len(),
            1
        );
        assert_eq!(
            faults(&[each_child], &[(CHILD, u32::MAX), (CHILD, u32::MAX)], &two).len(),
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
            assert_eq!(found.is_empty(), good, "{responses:?}: {found:?}");
        }
    }

    #[test]
    fn of_very_many_faults_the_first_are_told_and_briefly() {
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
            let found = faults(&questions, &[(ADULT, 50)], &answers);
            assert_eq!(found.len(), MAX_FAULTS + 1, "{found:?}");
            assert_eq!(found[MAX_FAULTS], "and 40 more");
            assert!(found.iter().all(|fault| fault.len() < 200));
        }
    }
}
