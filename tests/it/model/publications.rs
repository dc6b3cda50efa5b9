//! Publications of other lifecycles between the changes of orders.

use std::fmt::Write as _;

use boxoffice::lifecycle_files::DEFAULT;
use serde_json::json;

use super::{
    Agreement, Harness,
    after_sale::{RENAMED, StateNames, state},
    asks::Publication,
    outline::reason,
    reference::ReferenceModel,
    rules::Rule,
    same,
};

impl Harness {
    /// Puts another definition in force, unless that would strand an order.
    pub(super) async fn publish(&mut self, publication: &Publication) -> Agreement {
        self.publications += 1;
        let mut names = self.model.names.clone();
        for &at in &publication.renamed {
            let (_, state) = RENAMED[at];
            names.in_force[at] = if publication.goes_back && names.in_force[at] != state {
                state.to_owned()
            } else {
                format!("{state}_{}", self.publications)
            };
        }
        let unsaid = publication.unsaid.map(|nth| {
            let renamed = &publication.renamed;
            renamed[nth % renamed.len()]
        });
        let definition = self.definition(&names, unsaid);
        let body = json!({"definition": definition, "request_id": self.next_request()});
        let kept = self.post("lifecycle/draft:put", &body).await;
        assert_eq!(kept.http, 200, "{}", kept.json());
        let strands = unsaid.is_some_and(|at| self.model.is_in_use(RENAMED[at]));
        let strands = strands && self.model.keeps(Rule::NoOrderIsStranded);
        let has_warnings = kept.json().get("warnings").is_some();
        same(&has_warnings, &strands)?;
        let body = json!({"request_id": self.next_request()});
        let answer = self.post("lifecycle/draft:publish", &body).await;
        let answered = if answer.http == 200 {
            Ok(())
        } else {
            Err(reason(&answer))
        };
        if strands {
            self.note("NOT_PUBLISHED");
            return same(&answered, &Err("NOT_PUBLISHED".into()));
        }
        same(&answered, &Ok(()))?;
        self.note("a publication");
        if let Some(at) = unsaid {
            let dropped = self.model.names.in_force[at].clone();
            names.dropped.push((dropped, at));
        }
        self.model.names = names;
        self.compare_all().await
    }

    /// The default under other names of states, with what they were called before but for one.
    fn definition(&self, names: &StateNames, unsaid: Option<usize>) -> String {
        let name = format!("name = \"plan-{}\"", self.publications);
        let mut text = DEFAULT.replacen("name = \"default\"", &name, 1);
        for ((_, state), name) in RENAMED.iter().zip(&names.in_force) {
            text = text.replace(&format!("\"{state}\""), &format!("\"{name}\""));
            text = text.replace(&format!("\n{state} = \""), &format!("\n{name} = \""));
        }
        writeln!(text, "\n[verb]").unwrap();
        for (verb, state) in [
            ("withdraw", state::UNAVAILABLE),
            ("amend", state::PROCESSING),
            ("time_out", state::TIMED_OUT),
        ] {
            writeln!(text, "{verb} = \"{}\"", names.in_force(state)).unwrap();
        }
        for entity in ["order", "line_item"] {
            writeln!(text, "\n[map.{entity}]").unwrap();
            for (at, (of, _)) in RENAMED.iter().enumerate() {
                let (before, now) = (&self.model.names.in_force[at], &names.in_force[at]);
                if *of == entity && before != now && unsaid != Some(at) {
                    writeln!(text, "{before} = \"{now}\"").unwrap();
                }
            }
        }
        text
    }
}

impl ReferenceModel {
    /// Whether some order has a part in a state, or a timer that leads to it.
    fn is_in_use(&self, state: (&str, &str)) -> bool {
        let of_beacon = [
            ("order", state::PROCESSING),
            ("line_item", state::CONFIRMED),
        ];
        let is_of_beacon = self.has_beacon && of_beacon.contains(&state);
        is_of_beacon
            || self
                .orders
                .iter()
                .any(|order| order.states().contains(&state))
    }
}
