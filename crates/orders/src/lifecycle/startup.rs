//! The revision that a server starts with. A store has a first one from its first start on.

use std::sync::Arc;

use domain::{lifecycle::Definition, time::EpochSeconds};
use kernel::diagnostics::Diagnostics;
use store::{CommitError, LifecycleRevision, Precondition, Store, UnitOfWork, Write};

use super::{ActiveLifecycle, KnownRevision, StrandedState, stranded::StrandCheck};

/// Whom the record names for a revision that came from the file of the settings. No user has such a name.
pub(super) const BY_SETTING: &str = "(setting lifecycle)";

/// Where the lifecycle comes from.
#[derive(Debug, Clone)]
pub enum LifecycleSource {
    /// From what callers of the server publish; until they do, it is the one that is built in.
    Published,
    /// From a file, which no caller can replace.
    File(LifecycleFile),
}

/// A definition as it was read from a file.
#[derive(Debug, Clone)]
pub struct LifecycleFile {
    text: String,
    file: Arc<lifecycle_files::DefinitionFile>,
}

impl LifecycleFile {
    /// Reads a file.
    ///
    /// # Errors
    /// Every error that it has, or that it cannot be read.
    pub fn read(path: &std::path::Path) -> Result<Self, Diagnostics> {
        let (text, file) = lifecycle_files::read_file_with_text(path)?;
        Ok(Self {
            text,
            file: Arc::new(file),
        })
    }

    /// Reads a text; `name` stands for the file in diagnostics.
    ///
    /// # Errors
    /// Every error that it has.
    pub fn of_text(text: &str, name: &str) -> Result<Self, Diagnostics> {
        let file = lifecycle_files::read_with_maps(text, name)?;
        Ok(Self {
            text: text.to_owned(),
            file: Arc::new(file),
        })
    }

    /// The definition.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.file.definition
    }

    pub(super) fn check<'a>(&'a self, in_force: &'a ActiveLifecycle) -> StrandCheck<'a> {
        StrandCheck {
            in_force,
            next: &self.file.definition,
            maps: &self.file.maps,
        }
    }

    /// The revision that it becomes.
    pub(super) fn revision(
        &self,
        number: u32,
        published_sec: EpochSeconds,
        by: Option<Arc<str>>,
    ) -> LifecycleRevision {
        LifecycleRevision {
            number,
            digest: LifecycleRevision::digest_of(&self.text),
            name: self.file.definition.name.as_str().to_owned(),
            text: self.text.clone(),
            published_sec,
            by,
            maps: self.file.maps.clone(),
            answer: None,
        }
    }

    pub(super) fn shared_definition(&self) -> Arc<Definition> {
        Arc::new(self.file.definition.clone())
    }

    pub(super) fn is_in(&self, revision: &LifecycleRevision) -> bool {
        // By the text and not by the definition: comments are published, too.
        revision.digest == LifecycleRevision::digest_of(&self.text)
    }
}

/// Why a server has no lifecycle to start with.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleStartError {
    /// The revision in force has errors for this version of the program.
    #[error(
        "the lifecycle on record cannot be used; `lifecycle` can name a file in its place:\n{0}"
    )]
    Invalid(Diagnostics),
    /// Orders are in states that the file lacks.
    #[error("the lifecycle of the settings lacks states that orders are in: {}; a `[map]` gives them other names", listed(.0))]
    Stranded(Vec<StrandedState>),
    /// Its first revision, or that of the file, cannot be recorded.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// States for people.
pub(super) fn listed(states: &[StrandedState]) -> String {
    let states: Vec<String> = states.iter().map(ToString::to_string).collect();
    states.join(", ")
}

/// The lifecycle that a server starts with. What is not on record yet is recorded before anything is decided by it.
///
/// # Errors
/// [`LifecycleStartError`].
pub(crate) async fn open(
    store: &dyn Store,
    on_record: Vec<LifecycleRevision>,
    source: &LifecycleSource,
    now: EpochSeconds,
) -> Result<ActiveLifecycle, LifecycleStartError> {
    let built_in = LifecycleFile::of_text(lifecycle_files::DEFAULT, lifecycle_files::DEFAULT_NAME)
        .map_err(LifecycleStartError::Invalid)?;
    let mut revisions = Vec::with_capacity(on_record.len() + 1);
    for record in on_record {
        revisions.push(Arc::new(KnownRevision::read(record)));
    }
    if revisions.is_empty() {
        let first = built_in.revision(1, now, None);
        publish(store, &first).await?;
        revisions.push(Arc::new(KnownRevision::read(first)));
    }
    let last = revisions.last().map(|known| known.record.clone());
    let next = match (&last, source) {
        (Some(last), LifecycleSource::File(file)) => (!file.is_in(last)).then_some(file),
        // What nobody has published follows this version of the program.
        (Some(last), LifecycleSource::Published) => {
            (last.by.is_none() && !built_in.is_in(last)).then_some(&built_in)
        }
        (None, _) => None,
    };
    // Without a definition in force, the next one stands for it: only names of states are compared.
    let in_force = revisions
        .last()
        .and_then(|known| known.definition.clone())
        .or_else(|| next.map(LifecycleFile::shared_definition));
    let Some(in_force) = in_force else {
        return Err(LifecycleStartError::Invalid(errors_of(last.as_ref())));
    };
    let active = ActiveLifecycle::new(revisions, in_force);
    let Some(next) = next else {
        return Ok(active);
    };
    let stranded = next.check(&active).stranded(&store.states_in_use());
    if !stranded.is_empty() {
        if matches!(source, LifecycleSource::File(_)) {
            return Err(LifecycleStartError::Stranded(stranded));
        }
        tracing::warn!(
            states = listed(&stranded),
            "the lifecycle that is built in has changed, and orders are in states that it lacks: the one on record \
             stays in force"
        );
        return Ok(active);
    }
    let by = matches!(source, LifecycleSource::File(_)).then(|| Arc::from(BY_SETTING));
    let revision = next.revision(active.number() + 1, now, by);
    publish(store, &revision).await?;
    tracing::info!(
        revision = revision.number,
        name = revision.name,
        "lifecycle published"
    );
    Ok(active.followed_by(revision, next.shared_definition()))
}

/// The errors of a revision that cannot be used.
fn errors_of(revision: Option<&LifecycleRevision>) -> Diagnostics {
    let Some(revision) = revision else {
        return Diagnostics::default();
    };
    let name = format!("revision {}", revision.number);
    match lifecycle_files::read(&revision.text, &name) {
        Ok(_) => Diagnostics::default(),
        Err(errors) => errors,
    }
}

async fn publish(store: &dyn Store, revision: &LifecycleRevision) -> Result<(), CommitError> {
    let before = Precondition::LifecycleRevision(revision.number - 1);
    let unit = UnitOfWork::write(Write::Lifecycle(Box::new(revision.clone()))).requiring(before);
    store.commit(&unit).await
}
