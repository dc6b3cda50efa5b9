//! Lifecycle definitions.

use boxoffice::{
    domain::lifecycle::{Definition, Entity, StateSet},
    lifecycle_files::{DescribeFilter, describe, mermaid, read},
};

use crate::catalog::judge_position;

/// What is longer takes its time, because every unknown name is compared with all known ones.
const MAX_BYTES: usize = 16 * 1024;

/// The name of the file.
const FILE: &str = "lifecycle.toml";

/// A definition is right as a whole, or every error has a place.
pub fn lifecycle(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    if text.len() > MAX_BYTES {
        return;
    }
    match read(text, FILE) {
        Ok(definition) => judge(&definition),
        Err(errors) => {
            assert!(!errors.list().is_empty());
            for error in errors.list() {
                judge_position(error, text);
            }
        }
    }
}

/// Every state that a definition names is one of its own, and it can be described.
fn judge(definition: &Definition) {
    for entity in Entity::ALL {
        let def = definition.entity(entity);
        let is_there = |states: StateSet| states.iter().all(|it| it.index() < def.states.len());
        assert!(is_there(StateSet::default().with(def.start)));
        for transition in &def.transitions {
            assert!(is_there(transition.from) && !transition.from.is_empty());
            assert!(is_there(StateSet::default().with(transition.to)));
        }
    }
    let described = describe(definition, &DescribeFilter::default()).expect("it filters nothing");
    assert_eq!(described.len(), Entity::ALL.len());
    assert!(mermaid(&described).starts_with("stateDiagram-v2\n"));
}
