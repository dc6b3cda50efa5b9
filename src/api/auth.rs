//! Authentication and authorization of callers: passwords, client certificates, and the rate and concurrency limits
//! of each caller.

mod basic;
mod credentials;
mod limits;
mod passwords;
mod peer;
mod verifications;

use std::{io, num::NonZeroU32, sync::Arc, time::Duration};

use governor::clock::Clock;

use basic::BasicCredentials;
use limits::CallerLimits;
use passwords::Passwords;

pub use credentials::{Credentials, UserKind};
pub use kernel::user::{OutOfScope, User};
pub use limits::Permit;
pub use passwords::hash;
pub use peer::{Caller, Peer};

use crate::net::ClientCertificate;
use domain::ids::MerchantId;
use kernel::rpc::Transport;

/// What callers must present, and the limits of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessPolicy {
    /// Whether a client certificate is required: over gRPC, and over every transport if there are no passwords.
    pub certificates: bool,
    /// Whether health checks need no credentials.
    pub health_open: bool,
    /// Maximum concurrent Argon2 verifications of passwords that are not cached yet; each occupies one core. More
    /// of them queue, up to a limit.
    pub max_password_checks: usize,
    /// Calls a second of one caller.
    pub rate: Option<NonZeroU32>,
    /// Calls of one caller that may exceed the rate after a pause.
    pub burst: NonZeroU32,
    /// Maximum concurrent calls of one caller.
    pub max_in_flight: Option<usize>,
}

/// An authorized call.
#[derive(Debug)]
pub struct Admitted {
    /// Counts the call against the concurrency limit of its caller until it is dropped.
    pub permit: Permit,
    /// The user whose password it carries; none where no passwords are required.
    pub user: Option<Arc<User>>,
}

/// Why a call is not authorized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There is no `authorization`.
    #[error(
        "credentials are missing: `authorization` must be `Basic` and the base64 of `name:password`"
    )]
    MissingCredentials,
    /// There is one, but not of the kind that is taken.
    #[error(
        "credentials are malformed: `authorization` must be `Basic` and the base64 of `name:password`, once"
    )]
    MalformedCredentials,
    /// No user has this name and this password.
    #[error("invalid user name or password")]
    InvalidCredentials,
    /// The queue of passwords to verify is full.
    #[error("too many passwords wait for verification")]
    VerificationLimit,
    /// There is no thread to verify a password.
    #[error("the server has no thread available to verify the password")]
    NoThread,
    /// The connection has no client certificate.
    #[error("the connection must have a client certificate")]
    MissingCertificate,
    /// It has one, of a name that is not among the accepted ones.
    #[error("the client certificate carries no allowed name")]
    CertificateNotAllowed,
    /// More calls a second than one caller may make.
    #[error("this caller exceeds its rate limit")]
    RateLimited {
        /// The time after which one more may be made.
        wait: Duration,
    },
    /// More calls at once than one caller may make.
    #[error("this caller exceeds its limit of concurrent calls")]
    ConcurrencyLimit,
    /// The user's scope does not have the transport.
    #[error("this user may not call over this transport")]
    TransportOutOfScope,
    /// The user's scope does not have the method.
    #[error("this user may not call this method")]
    MethodOutOfScope,
    /// The user's role does not permit the call, or a field of its request.
    #[error(
        "the role of this user does not permit this; customers are for the roles agent and admin"
    )]
    RoleOutOfScope,
    /// The call is about the whole server, and the user acts for some merchants only.
    #[error("this is about all merchants of the server, and this user acts for some of them only")]
    ServerOutOfScope,
}

impl From<OutOfScope> for AuthError {
    fn from(error: OutOfScope) -> Self {
        match error {
            OutOfScope::Transport => Self::TransportOutOfScope,
            OutOfScope::Method => Self::MethodOutOfScope,
            OutOfScope::Role => Self::RoleOutOfScope,
            OutOfScope::Server => Self::ServerOutOfScope,
        }
    }
}

/// Authenticates every call before any byte of its message is read.
#[derive(Debug)]
pub struct Authenticator<C: Clock> {
    passwords: Option<Passwords>,
    demands_certificates: bool,
    health_open: bool,
    limits: CallerLimits<C>,
}

impl<C: Clock + Clone> Authenticator<C> {
    /// An authenticator of this policy, of these users only if there are any; `clock` measures rates.
    ///
    /// # Errors
    /// If the machine has no random numbers to give.
    pub fn new(
        policy: &AccessPolicy,
        credentials: Option<Credentials>,
        clock: C,
    ) -> io::Result<Self> {
        let passwords = credentials.map(|users| Passwords::new(users, policy.max_password_checks));
        Ok(Self {
            passwords: passwords.transpose()?,
            demands_certificates: policy.certificates,
            health_open: policy.health_open,
            limits: CallerLimits::new(policy, clock),
        })
    }

    /// Whether health checks need no credentials.
    #[must_use]
    pub fn is_health_open(&self) -> bool {
        self.health_open
    }

    /// Whether calls need passwords.
    #[must_use]
    pub fn has_passwords(&self) -> bool {
        self.passwords.is_some()
    }

    /// Authenticates a call by the values of its `authorization` and counts it. The scope of the user is not
    /// checked here: [`User::check_call`].
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn authenticate(
        &self,
        transport: Transport,
        authorization: impl Iterator<Item = &[u8]>,
        peer: &Peer,
    ) -> Result<Admitted, AuthError> {
        // Before the password: it costs nothing, and a password alone must not be confirmed.
        self.check_certificate(transport, peer)?;
        let Some(passwords) = &self.passwords else {
            return Ok(Admitted {
                permit: self.limits.admit(peer.caller())?,
                user: None,
            });
        };
        let basic = BasicCredentials::from_headers(authorization)?;
        let admit = |caller: &Caller, user: &Arc<User>| {
            Ok(Admitted {
                permit: self.limits.admit(caller)?,
                user: Some(Arc::clone(user)),
            })
        };
        // The fast path of nearly every call: one hash, and no lock on the credentials.
        if let Some(admitted) = passwords.with_verified(basic, admit) {
            return admitted;
        }
        // An unknown password counts against the rate of its connection, so that guessing is limited, too.
        self.limits.count(peer.caller())?;
        passwords.verify(basic, peer).await?;
        passwords
            .with_verified(basic, admit)
            // Absent only if the password was removed by a reload since it was verified.
            .unwrap_or(Err(AuthError::InvalidCredentials))
    }

    /// Replaces the users. Cached passwords that are no longer valid are dropped. Without passwords nothing changes.
    pub fn replace(&self, credentials: Credentials) {
        if let Some(passwords) = &self.passwords {
            passwords.replace(credentials);
        }
    }

    /// The user that an `authorization` names, whether or not its password is right, for the audit log. An unknown
    /// name is never logged: it may be a password in the wrong field.
    #[must_use]
    pub fn named_user<'h>(
        &self,
        authorization: impl Iterator<Item = &'h [u8]>,
    ) -> Option<Arc<User>> {
        let login = BasicCredentials::from_headers(authorization)
            .and_then(BasicCredentials::decode)
            .ok()?;
        self.passwords.as_ref()?.user(login.name())
    }

    /// Users whose scopes name merchants that do not exist, each with those.
    #[must_use]
    pub fn scopes_without_merchant(
        &self,
        exists: impl Fn(&MerchantId) -> bool,
    ) -> Vec<(Arc<User>, Vec<MerchantId>)> {
        let users = self
            .passwords
            .as_ref()
            .map(Passwords::users)
            .unwrap_or_default();
        let missing = |user: Arc<User>| {
            let missing = user.merchants().filter(|merchant_id| !exists(merchant_id));
            let missing: Vec<_> = missing.cloned().collect();
            (!missing.is_empty()).then_some((user, missing))
        };
        users.into_iter().filter_map(missing).collect()
    }

    /// Drops the rate state of callers whose allowance is full again.
    pub fn remove_idle(&self) {
        self.limits.remove_idle();
    }

    fn check_certificate(&self, transport: Transport, peer: &Peer) -> Result<(), AuthError> {
        let demanded = self.demands_certificates
            && match transport {
                Transport::Grpc | Transport::GrpcWeb => true,
                Transport::Rest => self.passwords.is_none(),
            };
        match peer.certificate() {
            ClientCertificate::None if demanded => Err(AuthError::MissingCertificate),
            ClientCertificate::Other if demanded => Err(AuthError::CertificateNotAllowed),
            ClientCertificate::None | ClientCertificate::Other | ClientCertificate::Accepted(_) => {
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
