//! Drafts and publication of the lifecycle, on request.
//!
//! One change of the lifecycle at a time. A publication waits until no change of an order is under way, and changes of
//! orders wait until it is over: between the count of the states in use and the exchange of the definition no order comes
//! to a state that is about to be dropped.

use std::{collections::BTreeSet, ops::ControlFlow, sync::Arc};

use arc_swap::ArcSwap;
use smallvec::smallvec;
use tokio::sync::{Mutex, MutexGuard, OwnedRwLockReadGuard, RwLock};

use super::{
    ActiveLifecycle, LifecycleFile, LifecycleSource, StrandedState,
    startup::{BY_SETTING, listed},
};
use crate::{
    App, OrderError,
    audit::{AuditEvent, AuditedChange, AuditedOutcome},
    update::{ChangeError, ChangeMode, InvalidField, is_uuid},
};
use domain::{
    lifecycle::{Definition, LifecycleAction, Name, StepKind},
    time::Seconds,
};
use kernel::{blocking, diagnostics::Diagnostics, user::User};
use store::{
    Fingerprint, LifecycleChange, LifecycleDraft, LifecycleRevision, Precondition, RequestAnswer,
    UnitOfWork, Write,
};

/// What stands for the file of a draft in diagnostics.
pub const DRAFT_NAME: &str = "draft.toml";

/// How long a repetition of a request has its first answer.
const ANSWERS_KEPT: Seconds = Seconds::days(30);

/// The lifecycle of a server that runs.
#[derive(Debug)]
pub(crate) struct Lifecycles {
    in_force: ArcSwap<ActiveLifecycle>,
    /// Held shared by each change of an order, from its decision until it is on record; held alone by a publication.
    gate: Arc<RwLock<()>>,
    /// The draft. Locked by a change of the lifecycle from beginning to end, so that they come one after another.
    draft: Mutex<Option<String>>,
    /// Whether callers may change it.
    owner: LifecycleOwner,
}

/// Who changes the lifecycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LifecycleOwner {
    Callers,
    Settings,
}

/// Keeps the lifecycle in force from being exchanged.
pub(crate) type LifecycleGuard = OwnedRwLockReadGuard<()>;

impl Lifecycles {
    pub(crate) fn new(
        in_force: ActiveLifecycle,
        draft: Option<String>,
        source: &LifecycleSource,
    ) -> Self {
        Self {
            in_force: ArcSwap::from_pointee(in_force),
            gate: Arc::default(),
            draft: Mutex::new(draft),
            owner: match source {
                LifecycleSource::Published => LifecycleOwner::Callers,
                LifecycleSource::File(_) => LifecycleOwner::Settings,
            },
        }
    }

    /// The lifecycle in force.
    pub(crate) fn load(&self) -> Arc<ActiveLifecycle> {
        self.in_force.load_full()
    }

    /// The lifecycle in force, which stays so for as long as the guard is kept.
    pub(crate) async fn hold(&self) -> (Arc<ActiveLifecycle>, LifecycleGuard) {
        let guard = Arc::clone(&self.gate).read_owned().await;
        (self.load(), guard)
    }

    async fn change(&self) -> Result<MutexGuard<'_, Option<String>>, LifecycleError> {
        match self.owner {
            LifecycleOwner::Callers => Ok(self.draft.lock().await),
            LifecycleOwner::Settings => Err(LifecycleError::FromFile),
        }
    }

    /// Whether a publication waits for changes of orders.
    #[cfg(test)]
    pub(crate) fn is_publication_waiting(&self) -> bool {
        self.gate.try_read().is_err()
    }

    /// Has another definition decide under the number of the one in force.
    #[cfg(test)]
    pub(crate) fn replace(&self, definition: domain::lifecycle::Definition) {
        let in_force = self.load();
        let revisions = in_force.revisions.clone();
        let replaced = ActiveLifecycle::new(revisions, Arc::new(definition));
        self.in_force.store(Arc::new(replaced));
    }
}

/// Who asks for a change of the lifecycle.
#[derive(Debug, Clone)]
pub struct LifecycleRequest {
    /// A UUID. The same request again has the same answer and changes nothing more.
    pub request_id: String,
    /// Digest of caller, method and request, which tells a repetition from another request under the same id.
    pub fingerprint: Fingerprint,
    /// The user, where the server knows its users.
    pub user: Option<Arc<User>>,
    /// Whether it is asked for in earnest.
    pub mode: ChangeMode,
}

impl LifecycleRequest {
    /// The name of its user for the record; empty for one that the server does not know.
    fn by(&self) -> Arc<str> {
        let user = self.user.as_ref();
        user.map_or_else(|| Arc::from(""), |user| Arc::clone(user.name()))
    }

    fn answer(&self) -> RequestAnswer {
        RequestAnswer {
            request_id: self.request_id.clone(),
            fingerprint: self.fingerprint,
        }
    }
}

/// A draft that has no error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DraftChecked {
    /// What is odd about it, though allowed.
    pub warnings: Vec<String>,
}

/// Why the lifecycle is not changed. Nothing has changed then.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LifecycleError {
    /// A field of the request is not as it has to be.
    #[error("the request is invalid: {} {}", .0.field, .0.rule)]
    InvalidRequest(InvalidField),
    /// The definition has errors.
    #[error("the definition has errors:\n{0}")]
    InvalidDefinition(Diagnostics),
    /// The lifecycle comes from a file.
    #[error("the lifecycle comes from the file of the setting `lifecycle`; change that file")]
    FromFile,
    /// There is no draft.
    #[error("there is no draft")]
    NoDraft,
    /// The draft is the definition in force.
    #[error("the draft is the definition that is in force")]
    Unchanged,
    /// Orders are in states that the definition lacks.
    #[error("the definition lacks states that orders are in: {}; a `[map]` gives them other names", listed(.0))]
    Stranded(Vec<StrandedState>),
    /// The request id was used for another request.
    #[error("request_id was used for a different request, and the outcome of that request stands")]
    RequestReused,
    /// Another error.
    #[error(transparent)]
    Order(#[from] OrderError),
}

impl LifecycleError {
    /// The reason in responses and in the audit log; every reason has a row in the table of `docs/errors.md`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) | Self::InvalidDefinition(_) => "INVALID_REQUEST",
            Self::FromFile | Self::Unchanged | Self::Stranded(_) => "NOT_PUBLISHED",
            Self::NoDraft => "DRAFT_NOT_FOUND",
            Self::RequestReused => ChangeError::RequestReused.reason(),
            Self::Order(error) => error.reason(),
        }
    }

    fn outcome(&self) -> AuditedOutcome {
        if matches!(self, Self::Order(OrderError::StoreFailed)) {
            AuditedOutcome::Unknown
        } else {
            AuditedOutcome::Rejected(self.reason())
        }
    }
}

/// What a request changes of the lifecycle.
#[derive(Debug, Clone, Copy)]
enum LifecyclePart {
    Draft,
    Definition,
}

impl LifecyclePart {
    fn event(self, change: AuditedChange<'_>) -> AuditEvent<'_> {
        match self {
            Self::Draft => AuditEvent::LifecycleDrafted(change),
            Self::Definition => AuditEvent::LifecyclePublished(change),
        }
    }
}

/// The answer of a change of the lifecycle, with what became of it, or why there was no change.
type Audited<T> = Result<(T, AuditedOutcome), LifecycleError>;

impl App {
    /// The lifecycle in force.
    #[must_use]
    pub fn lifecycle(&self) -> Arc<ActiveLifecycle> {
        self.lifecycles.load()
    }

    /// The draft, if there is one.
    pub async fn draft(&self) -> Option<String> {
        self.lifecycles.draft.lock().await.clone()
    }

    /// Checks a definition and keeps it as the draft. A caller who disconnects cancels nothing.
    ///
    /// # Errors
    /// [`LifecycleError`].
    pub async fn put_draft(
        self: &Arc<Self>,
        request: LifecycleRequest,
        text: String,
    ) -> Result<DraftChecked, LifecycleError> {
        let app = Arc::clone(self);
        let asked = request.clone();
        let work = async move { app.keep_draft(&request, text).await };
        self.change_lifecycle(asked, LifecyclePart::Draft, work)
            .await
    }

    /// Removes the draft. A caller who disconnects cancels nothing.
    ///
    /// # Errors
    /// [`LifecycleError`].
    pub async fn discard_draft(
        self: &Arc<Self>,
        request: LifecycleRequest,
    ) -> Result<(), LifecycleError> {
        let app = Arc::clone(self);
        let asked = request.clone();
        let work = async move { app.remove_draft(&request).await };
        self.change_lifecycle(asked, LifecyclePart::Draft, work)
            .await
    }

    /// Puts the draft in force. A caller who disconnects cancels nothing.
    ///
    /// # Errors
    /// [`LifecycleError`].
    pub async fn publish_draft(
        self: &Arc<Self>,
        request: LifecycleRequest,
    ) -> Result<LifecycleRevision, LifecycleError> {
        let app = Arc::clone(self);
        let asked = request.clone();
        let work = async move { app.publish(&request).await };
        self.change_lifecycle(asked, LifecyclePart::Definition, work)
            .await
    }

    /// Runs a change of the lifecycle to completion, and records what became of it.
    async fn change_lifecycle<T: Send + 'static>(
        self: &Arc<Self>,
        request: LifecycleRequest,
        part: LifecyclePart,
        work: impl Future<Output = Audited<T>> + Send + 'static,
    ) -> Result<T, LifecycleError> {
        let (app, asked) = (Arc::clone(self), request.clone());
        let recorded = async move {
            let changed = work.await;
            app.audit_lifecycle(&asked, part, &changed);
            Ok(changed)
        };
        match self.complete(recorded) {
            Ok(changed) => Ok(changed.await??.0),
            Err(error) => {
                let rejected: Audited<T> = Err(error.into());
                self.audit_lifecycle(&request, part, &rejected);
                Ok(rejected?.0)
            }
        }
    }

    fn audit_lifecycle<T>(
        &self,
        request: &LifecycleRequest,
        part: LifecyclePart,
        changed: &Audited<T>,
    ) {
        let outcome = match changed {
            Ok((_, outcome)) => *outcome,
            Err(error) => error.outcome(),
        };
        if request.mode == ChangeMode::Commit {
            let change = AuditedChange::of(&request.request_id, outcome);
            self.audit.record(part.event(change));
        }
    }

    /// Puts the definition of the file of the settings in force, if it is another one. Says whether it was.
    ///
    /// # Errors
    /// [`LifecycleError::Stranded`], [`LifecycleError::Order`]. The definition in force then stays so.
    pub async fn adopt_lifecycle(&self, file: &LifecycleFile) -> Result<bool, LifecycleError> {
        let _one_at_a_time = self.lifecycles.draft.lock().await;
        let earnest = ChangeMode::Commit;
        match self
            .put_in_force(file, (Arc::from(BY_SETTING), None), earnest)
            .await
        {
            Ok(published) => {
                let revision = Some(published.number);
                self.audit
                    .record(AuditEvent::LifecyclePublished(AuditedChange {
                        change_id: None,
                        outcome: AuditedOutcome::Changed { revision },
                    }));
                Ok(true)
            }
            Err(LifecycleError::Unchanged) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn keep_draft(&self, request: &LifecycleRequest, text: String) -> Audited<DraftChecked> {
        validate(request)?;
        if text.is_empty() {
            let invalid = InvalidField::new("definition", "is required");
            return Err(LifecycleError::InvalidRequest(invalid));
        }
        let mut draft = self.lifecycles.change().await?;
        let file = definition_of(&text)?;
        let warnings = self.warnings_of(&file);
        let checked = DraftChecked { warnings };
        let revision = None;
        if self.answered(request).await?.is_some() {
            return Ok((checked, AuditedOutcome::Repeated { revision }));
        }
        if request.mode == ChangeMode::Commit {
            self.record_draft(request, Some(text.clone())).await?;
            *draft = Some(text);
        }
        Ok((checked, AuditedOutcome::Changed { revision }))
    }

    async fn remove_draft(&self, request: &LifecycleRequest) -> Audited<()> {
        validate(request)?;
        let mut draft = self.lifecycles.change().await?;
        let revision = None;
        if self.answered(request).await?.is_some() {
            return Ok(((), AuditedOutcome::Repeated { revision }));
        }
        if draft.is_none() {
            return Err(LifecycleError::NoDraft);
        }
        self.record_draft(request, None).await?;
        *draft = None;
        Ok(((), AuditedOutcome::Changed { revision }))
    }

    async fn record_draft(
        &self,
        request: &LifecycleRequest,
        text: Option<String>,
    ) -> Result<(), LifecycleError> {
        let draft = LifecycleDraft {
            text,
            drafted_sec: self.now(),
            by: Some(request.by()),
            answer: Some(request.answer()),
        };
        let unit = UnitOfWork::write(Write::LifecycleDraft(Box::new(draft)));
        self.record_lifecycle(&unit).await
    }

    async fn publish(&self, request: &LifecycleRequest) -> Audited<LifecycleRevision> {
        validate(request)?;
        let mut draft = self.lifecycles.change().await?;
        match self.answered(request).await? {
            Some(LifecycleChange::Published(published)) => {
                let revision = Some(published.number);
                return Ok((published, AuditedOutcome::Repeated { revision }));
            }
            // The fingerprint has the method, so this does not happen.
            Some(LifecycleChange::Drafted(_)) => return Err(LifecycleError::RequestReused),
            None => {}
        }
        let text = draft.as_deref().ok_or(LifecycleError::NoDraft)?;
        // Checked when it was kept; this version of the program may find more.
        let file = definition_of(text)?;
        let asked = (request.by(), Some(request.answer()));
        let published = self.put_in_force(&file, asked, request.mode).await?;
        if request.mode == ChangeMode::Commit {
            *draft = None;
        }
        let revision = Some(published.number);
        Ok((published, AuditedOutcome::Changed { revision }))
    }

    /// Puts a definition in force. The caller has the lock of the draft, which is published with it where a request asks
    /// for it.
    async fn put_in_force(
        &self,
        file: &LifecycleFile,
        (by, answer): (Arc<str>, Option<RequestAnswer>),
        mode: ChangeMode,
    ) -> Result<LifecycleRevision, LifecycleError> {
        // Before the states are counted: no change of an order is under way from here on.
        let _alone = self.lifecycles.gate.write().await;
        let in_force = self.lifecycle();
        if in_force
            .revisions()
            .next()
            .is_some_and(|newest| file.is_in(newest))
        {
            return Err(LifecycleError::Unchanged);
        }
        let stranded = file.check(&in_force).stranded(&self.store.states_in_use());
        if !stranded.is_empty() {
            return Err(LifecycleError::Stranded(stranded));
        }
        let number = in_force.number();
        let mut revision = file.revision(number + 1, self.now(), Some(by));
        if mode == ChangeMode::ValidateOnly {
            return Ok(revision);
        }
        revision.answer = answer;
        let mut unit = UnitOfWork {
            requires: smallvec![Precondition::LifecycleRevision(number)],
            writes: smallvec![Write::Lifecycle(Box::new(revision.clone()))],
        };
        if revision.answer.is_some() {
            unit = unit.and(Write::LifecycleDraft(Box::new(LifecycleDraft {
                text: None,
                drafted_sec: revision.published_sec,
                by: revision.by.clone(),
                answer: None,
            })));
        }
        // On record before anything is decided by it: a decision names the revision that it was made by.
        self.record_lifecycle(&unit).await?;
        let next = in_force.followed_by(revision.clone(), file.shared_definition());
        self.lifecycles.in_force.store(Arc::new(next));
        tracing::info!(
            revision = revision.number,
            name = revision.name,
            by = revision.by.as_deref(),
            "lifecycle published"
        );
        Ok(revision)
    }

    async fn record_lifecycle(&self, unit: &UnitOfWork) -> Result<(), LifecycleError> {
        let committed = self.commit(unit).await;
        committed.map_err(|error| self.commit_failed(&error).into_error().into())
    }

    fn warnings_of(&self, file: &LifecycleFile) -> Vec<String> {
        let in_force = self.lifecycle();
        let check = file.check(&in_force);
        let mut warnings = check.maps_without_effect();
        for stranded in check.stranded(&self.store.states_in_use()) {
            warnings.push(format!(
                "it lacks {stranded}, and cannot be published without `[map.{}]`",
                stranded.entity.name()
            ));
        }
        for step in own_steps(file.definition()) {
            warnings.push(format!(
                "step {:?} is tried until it is given up, unless a program that embeds this server does it",
                step.as_str()
            ));
        }
        warnings
    }

    /// What a request has led to before, if it was there before. Read on a blocking thread: drafts may be many.
    async fn answered(
        &self,
        request: &LifecycleRequest,
    ) -> Result<Option<LifecycleChange>, LifecycleError> {
        let store = Arc::clone(&self.store);
        let oldest = self.now().saturating_sub(ANSWERS_KEPT);
        let id = request.request_id.clone();
        let read = move || {
            let mut found = None;
            let walked = store.lifecycle_changes(&mut |change| {
                let is_it = change.answer().is_some_and(|answer| answer.has_id(&id));
                let is_old = change.changed_sec() < oldest;
                if is_it && !is_old {
                    found = Some(change);
                }
                if is_it || is_old {
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            });
            walked.map(|()| found)
        };
        let found = blocking::run(read).await.map_err(OrderError::from)?;
        let found = found.map_err(|error| self.read_failed(&error))?;
        let answer = found.as_ref().and_then(LifecycleChange::answer);
        match answer {
            Some(answer) if answer.fingerprint != request.fingerprint => {
                Err(LifecycleError::RequestReused)
            }
            _ => Ok(found),
        }
    }
}

fn validate(request: &LifecycleRequest) -> Result<(), LifecycleError> {
    if is_uuid(&request.request_id) {
        return Ok(());
    }
    let invalid = InvalidField::new("request_id", "has to be a UUID");
    Err(LifecycleError::InvalidRequest(invalid))
}

fn definition_of(text: &str) -> Result<LifecycleFile, LifecycleError> {
    LifecycleFile::of_text(text, DRAFT_NAME).map_err(LifecycleError::InvalidDefinition)
}

/// The steps of the partner's own that a definition launches.
fn own_steps(definition: &Definition) -> BTreeSet<&Name> {
    let mut steps = BTreeSet::new();
    for action in definition.actions() {
        if let LifecycleAction::Launch {
            step: StepKind::Custom(name),
            ..
        } = action
        {
            steps.insert(name);
        }
    }
    steps
}
