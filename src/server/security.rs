//! Credentials and certificates of the settings, with their reload.

use std::{num::NonZeroU32, path::PathBuf, sync::Arc};

use governor::clock::MonotonicClock;

use super::{
    ServeError,
    certificates::Certificates,
    watcher::{FromFiles, log_rejected},
};
use crate::{
    api::auth::{self, AccessPolicy, Credentials, UserKind},
    config::{self, Config},
};
use kernel::{
    blocking,
    clock::Clock,
    diagnostics::{Diagnostic, Diagnostics, Location},
    files::Snapshot,
    metrics::Counter,
};
use orders::{App, audit::AuditEvent};

/// The authenticator with the monotonic clock for rates.
pub(super) type Access = auth::Authenticator<MonotonicClock>;

/// The end of the log line for rejected files.
const STAY: &str = "were rejected; the previous ones stay in use";

/// The authenticators and the certificates, and the files that they are read from.
#[derive(Debug)]
pub(super) struct Security {
    callers: UserFile,
    operators: UserFile,
    certificates: Option<Arc<Certificates>>,
    /// All files that are read.
    files: Vec<PathBuf>,
    /// The application whose catalogue the scopes are compared with, once it is open.
    app: Option<Arc<App>>,
    rejected: Rejected,
}

/// A file of users, and the authenticator that knows them.
#[derive(Debug)]
struct UserFile {
    kind: UserKind,
    path: Option<PathBuf>,
    /// Number of users at startup; `None` without a file.
    users: Option<usize>,
    access: Arc<Access>,
}

impl UserFile {
    fn open(
        kind: UserKind,
        path: Option<&PathBuf>,
        users: Option<Credentials>,
        policy: &AccessPolicy,
    ) -> Result<Self, ServeError> {
        let number = users.as_ref().map(Credentials::users);
        let access = Access::new(policy, users, MonotonicClock).map_err(ServeError::Start)?;
        Ok(Self {
            kind,
            path: path.cloned(),
            users: number,
            access: Arc::new(access),
        })
    }
}

/// How often reloaded files were rejected.
#[derive(Debug, Default)]
pub(super) struct Rejected {
    pub(super) credentials: Counter,
    pub(super) certificates: Counter,
}

impl Security {
    /// Reads all files of the settings. Also returns a snapshot of the files from before they were
    /// read.
    ///
    /// # Errors
    /// [`ServeError::Security`] with everything that is wrong in all files.
    pub(super) fn open(
        config: &Config,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Snapshot), ServeError> {
        let settings = &config.security;
        let config::Security {
            tls_certificate,
            tls_key,
            client_ca,
            credentials,
            operator_credentials,
            ..
        } = settings;
        let all = [
            tls_certificate,
            tls_key,
            client_ca,
            credentials,
            operator_credentials,
        ];
        let files: Vec<_> = all.into_iter().flatten().cloned().collect();
        // Before the files are read: a change while they are read then counts as one to come.
        let read = Snapshot::of_files(files.clone());
        let certificates = Certificates::open(settings, clock);
        let read_users = |path: &Option<PathBuf>, kind| {
            let users = path.as_deref().map(|path| Credentials::read(path, kind));
            users.transpose()
        };
        let callers = read_users(credentials, UserKind::Caller);
        let operators = read_users(operator_credentials, UserKind::Operator);
        let (certificates, (callers, operators)) =
            both(certificates, both(callers, operators)).map_err(ServeError::Security)?;
        log_access_policy(&config.serving, settings);
        let callers = UserFile::open(
            UserKind::Caller,
            credentials.as_ref(),
            callers,
            &terms(config),
        )?;
        let operators = UserFile::open(
            UserKind::Operator,
            operator_credentials.as_ref(),
            operators,
            &operator_terms(config),
        )?;
        Ok((
            Self {
                callers,
                operators,
                certificates: certificates.map(Arc::new),
                files,
                app: None,
                rejected: Rejected::default(),
            },
            read,
        ))
    }

    /// The rejections so far.
    pub(super) fn rejected(&self) -> &Rejected {
        &self.rejected
    }

    /// Compares the scopes of users with the catalogue of this application, now and after every
    /// reload of credentials.
    pub(super) fn selling_for(self, app: Arc<App>) -> Self {
        for file in [&self.callers, &self.operators] {
            warn_of_unknown_merchants(&file.access, &app);
        }
        Self {
            app: Some(app),
            ..self
        }
    }

    pub(super) fn access(&self) -> &Arc<Access> {
        &self.callers.access
    }

    /// The authenticator of the operator's services.
    pub(super) fn operator_access(&self) -> &Arc<Access> {
        &self.operators.access
    }

    /// Number of users; `None` without credentials.
    pub(super) fn users(&self) -> Option<usize> {
        self.callers.users
    }

    /// Number of users of the operator's services; `None` without credentials.
    pub(super) fn operator_users(&self) -> Option<usize> {
        self.operators.users
    }

    pub(super) fn certificates(&self) -> Option<&Arc<Certificates>> {
        self.certificates.as_ref()
    }

    /// Reloads certificates and credentials independently. Where one of them has errors, the
    /// previous one stays in use.
    pub(super) async fn reload(&self) -> Result<(), Diagnostics> {
        let certificates = self.certificates.clone();
        let files = [&self.callers, &self.operators].map(|file| (file.path.clone(), file.kind));
        let read = move || {
            let tls = certificates.map(|certificates| certificates.reload());
            let users = files.map(|(path, kind)| path.map(|path| Credentials::read(&path, kind)));
            (tls, users)
        };
        // One task for all, so that a rotation of certificate and credentials takes effect
        // together.
        let (tls, [callers, operators]) = match blocking::run(read).await {
            Ok(read) => read,
            Err(error) => {
                let location = Location::file("certificates and credentials");
                let error = Diagnostic::error("unreadable", location, error.to_string());
                let errors = Diagnostics::one(error);
                log_rejected("the certificates and credentials", STAY, &errors);
                return Err(errors);
            }
        };
        let tls = tls
            .transpose()
            .inspect_err(|errors| log_rejected("the certificates", STAY, errors));
        if let Ok(Some(())) = tls {
            tracing::info!("certificates have been read");
        }
        if tls.is_err() {
            self.rejected.certificates.inc();
        }
        self.record(
            &tls,
            AuditEvent::CertificatesReloaded,
            AuditEvent::CertificatesRejected,
        );
        let callers = self.take_users(&self.callers, callers);
        let operators = self.take_users(&self.operators, operators);
        both(tls, both(callers, operators)).map(|_| ())
    }
}

impl Security {
    /// Puts users that were read in the place of the present ones.
    fn take_users(
        &self,
        file: &UserFile,
        read: Option<Result<Credentials, Diagnostics>>,
    ) -> Result<Option<usize>, Diagnostics> {
        let (what, rejected) = match file.kind {
            UserKind::Caller => ("credentials", &self.rejected.credentials),
            UserKind::Operator => ("operator_credentials", &self.rejected.credentials),
        };
        let users = read
            .transpose()
            .inspect_err(|errors| log_rejected(&format!("the {what}"), STAY, errors));
        if users.is_err() {
            rejected.inc();
        }
        let number = users.map(|users| {
            let users = users?;
            let number = users.users();
            tracing::info!(users = number, "{what} have been read");
            // Only now, when the whole file was valid: a part of it never becomes active.
            file.access.replace(users);
            Some(number)
        });
        if let (Ok(Some(_)), Some(app), UserKind::Caller) = (&number, &self.app, file.kind) {
            warn_of_unknown_merchants(&file.access, app);
        }
        let users = number.as_ref().ok().copied().flatten().unwrap_or(0);
        self.record(
            &number,
            AuditEvent::CredentialsReloaded { users },
            AuditEvent::CredentialsRejected,
        );
        number
    }

    /// Records the outcome in the audit log, if there was a file to read.
    fn record<T>(
        &self,
        read: &Result<Option<T>, Diagnostics>,
        good: AuditEvent<'_>,
        bad: AuditEvent<'_>,
    ) {
        let Some(app) = &self.app else { return };
        match read {
            Ok(None) => {}
            Ok(Some(_)) => app.audit().record(good),
            Err(_) => app.audit().record(bad),
        }
    }
}

impl FromFiles for Security {
    fn snapshot(&self) -> Snapshot {
        Snapshot::of_files(self.files.clone())
    }

    async fn reload_files(&self) {
        // The error has been logged already.
        let _ = self.reload().await;
    }
}

/// Warns of scopes that name merchants which the catalogue does not have. That is no error: such a
/// merchant may be added later.
pub(super) fn warn_of_unknown_merchants(access: &Access, app: &App) {
    let catalog = app.catalog();
    for (user, merchants) in access.scopes_without_merchant(|id| catalog.merchant_ix(id).is_some())
    {
        let (user, merchants) = (&**user.name(), merchants.join(", "));
        tracing::warn!(
            user,
            merchants,
            "a user's scope names merchants that the catalogue does not have"
        );
    }
}

/// Both values, or the errors of both.
fn both<A, B>(
    one: Result<A, Diagnostics>,
    other: Result<B, Diagnostics>,
) -> Result<(A, B), Diagnostics> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (Err(errors), Ok(_)) | (Ok(_), Err(errors)) => Err(errors),
        (Err(some), Err(more)) => Err(some.and(more)),
    }
}

fn terms(config: &Config) -> AccessPolicy {
    let (security, callers) = (&config.security, &config.callers);
    AccessPolicy {
        certificates: security.client_ca.is_some(),
        health_open: security.health_open,
        max_password_checks: security.max_password_checks,
        rate: callers.caller_rate.and_then(NonZeroU32::new),
        burst: callers.caller_burst,
        max_in_flight: callers.caller_max_in_flight,
    }
}

/// What users of the operator's services must present. They are few, so nothing limits how often they call.
fn operator_terms(config: &Config) -> AccessPolicy {
    AccessPolicy {
        certificates: false,
        rate: None,
        max_in_flight: None,
        ..terms(config)
    }
}

/// Warns of everything that is open to others.
fn log_access_policy(serving: &config::Serving, settings: &config::Security) {
    if settings.credentials.is_some() && settings.tls_certificate.is_none() {
        tracing::warn!(
            "PASSWORDS TRAVEL IN THE CLEAR: there are credentials and no tls_certificate, which is for \
             a proxy that speaks TLS in front of this server and for nothing else"
        );
    }
    if settings.credentials.is_none()
        && settings.client_ca.is_none()
        && !serving.listen.ip().is_loopback()
    {
        tracing::warn!("EVERYONE MAY CALL who can reach this address: there are no credentials");
    }
    if let Some(admin_listen) = serving
        .admin_listen
        .filter(|address| !address.ip().is_loopback())
    {
        tracing::warn!(
            %admin_listen,
            "THE ADMIN LISTENER IS OPEN to other machines: metrics and feeds are there without TLS and \
             passwords, so let a firewall or a network policy keep others away"
        );
    }
}
