//! Credentials and certificates of the settings, with their reload.

use std::{num::NonZeroU32, path::PathBuf, sync::Arc};

use governor::clock::MonotonicClock;

use super::{
    ServeError,
    certificates::Certificates,
    watcher::{FromFiles, log_rejected},
};
use crate::{
    api::auth::{self, AccessPolicy, Credentials},
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

/// The authenticator and the certificates, and the files that they are read from.
#[derive(Debug)]
pub(super) struct Security {
    access: Arc<Access>,
    certificates: Option<Arc<Certificates>>,
    credentials: Option<PathBuf>,
    /// Number of users at startup; `None` without credentials.
    users: Option<usize>,
    /// All files that are read.
    files: Vec<PathBuf>,
    /// The application whose catalogue the scopes are compared with, once it is open.
    app: Option<Arc<App>>,
    rejected: Rejected,
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
            ..
        } = settings;
        let files: Vec<_> = [tls_certificate, tls_key, client_ca, credentials]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        // Before the files are read: a change while they are read then counts as one to come.
        let read = Snapshot::of_files(files.clone());
        let certificates = Certificates::open(settings, clock);
        let users = credentials.as_deref().map(Credentials::read).transpose();
        let (certificates, users) = both(certificates, users).map_err(ServeError::Security)?;
        let number_of_users = users.as_ref().map(Credentials::users);
        let access =
            Access::new(&terms(config), users, MonotonicClock).map_err(ServeError::Start)?;
        log_access_policy(&config.serving, settings);
        let (access, credentials) = (Arc::new(access), credentials.clone());
        Ok((
            Self {
                access,
                certificates: certificates.map(Arc::new),
                credentials,
                users: number_of_users,
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
        warn_of_unknown_merchants(&self.access, &app);
        Self {
            app: Some(app),
            ..self
        }
    }

    pub(super) fn access(&self) -> &Arc<Access> {
        &self.access
    }

    /// Number of users; `None` without credentials.
    pub(super) fn users(&self) -> Option<usize> {
        self.users
    }

    pub(super) fn certificates(&self) -> Option<&Arc<Certificates>> {
        self.certificates.as_ref()
    }

    /// Reloads certificates and credentials independently. Where one of them has errors, the
    /// previous one stays in use.
    pub(super) async fn reload(&self) -> Result<(), Diagnostics> {
        let (certificates, credentials) = (self.certificates.clone(), self.credentials.clone());
        let read = move || {
            let tls = certificates.map(|certificates| certificates.reload());
            (tls, credentials.map(|path| Credentials::read(&path)))
        };
        // One task for both, so that a rotation of certificate and credentials takes effect
        // together.
        let (tls, users) = match blocking::run(read).await {
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
        let users = users
            .transpose()
            .inspect_err(|errors| log_rejected("the credentials", STAY, errors));
        if let Ok(Some(())) = tls {
            tracing::info!("certificates have been read");
        }
        if let Ok(Some(users)) = &users {
            tracing::info!(users = users.users(), "credentials have been read");
            // Only now, when the whole file was valid: a part of it never becomes active.
            self.access.replace(users.clone());
            if let Some(app) = &self.app {
                warn_of_unknown_merchants(&self.access, app);
            }
        }
        for (is_bad, rejected) in [
            (tls.is_err(), &self.rejected.certificates),
            (users.is_err(), &self.rejected.credentials),
        ] {
            if is_bad {
                rejected.inc();
            }
        }
        self.record(
            &tls,
            AuditEvent::CertificatesReloaded,
            AuditEvent::CertificatesRejected,
        );
        let reloaded = users
            .as_ref()
            .ok()
            .and_then(Option::as_ref)
            .map_or(0, Credentials::users);
        self.record(
            &users,
            AuditEvent::CredentialsReloaded { users: reloaded },
            AuditEvent::CredentialsRejected,
        );
        both(tls, users).map(|_| ())
    }
}

impl Security {
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
