//! Who calls, and whether they may: passwords, client certificates, and how much of the server one
//! caller may have.

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

pub use credentials::Credentials;
pub use kernel::user::{OutOfScope, User};
pub use limits::Permit;
pub use passwords::hash;
pub use peer::{Caller, ClientCertificate, Peer, network};

use crate::{domain::ids::MerchantId, rpc::Transport};

/// What is demanded of callers, and how much each may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessPolicy {
    /// Whether callers show a certificate: those over gRPC, and if there are no passwords all.
    pub certificates: bool,
    /// Whether health is told to everyone.
    pub health_open: bool,
    /// Passwords that are verified at once when they are seen for the first time. More of them wait for
    /// their turn, and beyond a bound they are refused.
    pub max_password_checks: usize,
    /// Calls a second of one caller.
    pub rate: Option<NonZeroU32>,
    /// Calls that one caller may make at once after a rest.
    pub burst: NonZeroU32,
    /// Calls of one caller that are served at once.
    pub max_in_flight: Option<usize>,
}

/// An authorized call.
#[derive(Debug)]
pub struct Admitted {
    /// Counts the call for as long as it goes on.
    pub permit: Permit,
    /// Whose password it carries; nobody's where no passwords are demanded.
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
    /// Nobody has this name and this password, whichever of them is wrong.
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
}

impl From<OutOfScope> for AuthError {
    fn from(error: OutOfScope) -> Self {
        match error {
            OutOfScope::Transport => Self::TransportOutOfScope,
            OutOfScope::Method => Self::MethodOutOfScope,
        }
    }
}

/// Decides on every call before anything of its message is read.
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

    /// Whether a question for health is answered without any of this.
    #[must_use]
    pub fn is_health_open(&self) -> bool {
        self.health_open
    }

    /// Lets a call in, given the values of its `authorization`, or says why not. It counts as going
    /// on until the permit is dropped. What its user may do is not looked at.
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn admit(
        &self,
        transport: Transport,
        authorization: impl Iterator<Item = &[u8]>,
        peer: &Peer,
    ) -> Result<Admitted, AuthError> {
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
        if let Some(admitted) = passwords.with_verified(basic, admit) {
            return admitted;
        }
        self.limits.count(peer.caller())?;
        passwords.look_at(basic, peer).await?;
        passwords
            .with_verified(basic, admit)
            .unwrap_or(Err(AuthError::InvalidCredentials))
    }

    /// Lets these users in and no others from here on. Without passwords nothing changes.
    pub fn replace(&self, credentials: Credentials) {
        if let Some(passwords) = &self.passwords {
            passwords.replace(credentials);
        }
    }

    /// The user that an `authorization` names, whether or not its password is right. A name that
    /// nobody has is not told: it may be a password.
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

    /// Forgets callers who have been away for long enough to be as good as new.
    pub fn forget_the_absent(&self) {
        self.limits.forget_the_absent();
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
