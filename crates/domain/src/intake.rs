//! Answers to the questions of a service.

use super::{
    catalog::{AnswerKind, LocalizedText, Question, QuestionScope, TicketIx},
    faults::{AnswerFault, Faults},
    order::IntakeAnswer,
};

/// Faults in the answers of a line: first answers to unknown questions, then the faults of each question in
/// order.
#[must_use]
pub fn faults(
    questions: &[Question],
    tickets: &[(TicketIx, u32)],
    answers: &[IntakeAnswer],
) -> Option<Faults<AnswerFault>> {
    let mut faults = Vec::new();
    for IntakeAnswer { question_id, .. } in answers {
        if !questions.iter().any(|question| question.id == *question_id) {
            faults.push(AnswerFault::NotAsked(question_id.clone()));
        }
    }
    for question in questions {
        faults.extend(question.faults(tickets, answers));
    }
    Faults::of(faults)
}

impl Question {
    fn faults(&self, tickets: &[(TicketIx, u32)], answers: &[IntakeAnswer]) -> Vec<AnswerFault> {
        let asked = self.times_asked(tickets);
        // Not asked for these tickets, so an answer is neither needed nor wrong: a form may send every
        // question.
        if asked == 0 {
            return Vec::new();
        }
        let given: Vec<&IntakeAnswer> = answers
            .iter()
            // A form may send an empty answer for a question that was left open.
            .filter(|answer| answer.question_id == self.id && answer.is_given())
            .collect();
        let answered = u64::try_from(given.len()).unwrap_or(u64::MAX);
        let mut faults = Vec::new();
        if self.required && answered < asked {
            faults.push(AnswerFault::TooFew {
                question: self.id.clone(),
                asked,
                answered,
            });
        }
        if answered > asked {
            faults.push(AnswerFault::TooMany {
                question: self.id.clone(),
                asked,
                answered,
            });
        }
        for answer in given {
            faults.extend(self.kind.fault(&self.id, &answer.responses));
        }
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
            // Asked also of an appointment, which has no tickets.
            QuestionScope::Line if self.only_for.is_empty() => 1,
            // Once for the line, and only if one of the tickets needs it.
            QuestionScope::Line => bought.min(1),
        }
    }
}

impl AnswerKind {
    fn fault(&self, question_id: &str, responses: &[String]) -> Option<AnswerFault> {
        let is_one = responses.len() == 1;
        let fault = match self {
            // A kind of a later version of the feeds: its answers cannot be judged and are taken as they
            // are.
            Self::AnyText => return None,
            Self::Text if is_one => return None,
            Self::Boolean if is_one && matches!(responses[0].as_str(), "true" | "false") => {
                return None;
            }
            Self::OneOf(choices) if is_one && offers(choices, responses) => return None,
            Self::AnyOf(choices) if offers(choices, responses) => return None,
            Self::Text => AnswerFault::NotOneText,
            Self::Boolean => AnswerFault::NotBoolean,
            Self::OneOf(_) => AnswerFault::NotOneChoice,
            Self::AnyOf(_) => AnswerFault::NotOffered,
        };
        Some(fault(question_id.to_owned()))
    }
}

/// Whether every text is one of the choices, in any language.
fn offers(choices: &[LocalizedText], texts: &[String]) -> bool {
    texts.iter().all(|text| is_choice(choices, text))
}

fn is_choice(choices: &[LocalizedText], text: &str) -> bool {
    choices.iter().any(|choice| {
        choice.value == text
            || choice
                .translations
                .iter()
                .any(|(_, translated)| translated == text)
    })
}

impl IntakeAnswer {
    /// Whether the answer has any text; an answer without text counts as absent.
    fn is_given(&self) -> bool {
        self.responses.iter().any(|text| !text.trim().is_empty())
    }
}

#[cfg(test)]
mod tests;
