//! Who calls, and whether they may: passwords, client certificates, and how much of the server one
//! caller may have.

mod basic;
mod credentials;
mod limits;
mod passwords;
mod peer;

use std::{io, num::NonZeroU32, time::Duration};

use governor::clock::Clock;

use basic::Basic;
use limits::Limits;
use passwords::Passwords;

pub use credentials::Credentials;
pub use limits::Pass;
pub use passwords::hash;
pub use peer::{Caller, ClientCertificate, Peer};

/// What is demanded of callers, and how much each may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Whether callers show a certificate: those over gRPC, and if there are no passwords all.
    pub certificates: bool,
    /// Whether health is told to everyone.
    pub health_open: bool,
    /// Passwords that are looked at for the first time at once. Some more wait, and beyond those
    /// they are refused.
    pub max_password_checks: usize,
    /// Calls a second of one caller.
    pub rate: Option<NonZeroU32>,
    /// Calls that one caller may make at once after a rest.
    pub burst: NonZeroU32,
    /// Calls of one caller that are served at once.
    pub max_in_flight: Option<usize>,
}

/// Which way a call comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entrance {
    /// As gRPC.
    Grpc,
    /// As JSON over HTTP.
    Rest,
}

/// Why a call is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// There is no `authorization`.
    #[error("a user name and a password are needed, as HTTP Basic writes them in `authorization`")]
    NoPassword,
    /// There is one, but not of the kind that is taken.
    #[error("`authorization` cannot be read: it takes `Basic` and the base64 of `name:password`, once")]
    NotBasic,
    /// Nobody has this name and this password, whichever of them is wrong.
    #[error("the user name or the password is wrong")]
    WrongPassword,
    /// More passwords than are looked at at once.
    #[error("too many passwords that have not been seen before come at once; try again shortly")]
    ManyPasswords,
    /// The connection has no client certificate.
    #[error("the call has to come over a connection with a client certificate")]
    NoCertificate,
    /// It has one, of a name that is not among the accepted ones.
    #[error("the client certificate has no name that is accepted here")]
    OtherName,
    /// More calls a second than one caller may make.
    #[error("this caller makes more calls a second than it may")]
    TooFast {
        /// The time after which one more may be made.
        wait: Duration,
    },
    /// More calls at once than one caller may make.
    #[error("this caller makes more calls at once than it may")]
    ManyCalls,
}

/// Decides on every call before anything of its message is read.
#[derive(Debug)]
pub struct Access<C: Clock> {
    passwords: Option<Passwords>,
    demands_certificates: bool,
    health_open: bool,
    limits: Limits<C>,
}

impl<C: Clock + Clone> Access<C> {
    /// Access by these terms, for these users only if there are any; `clock` measures rates.
    ///
    /// # Errors
    /// If the machine has no random numbers to give.
    pub fn new(terms: &Terms, credentials: Option<Credentials>, clock: C) -> io::Result<Self> {
        let passwords = credentials.map(|users| Passwords::new(users, terms.max_password_checks));
        Ok(Self {
            passwords: passwords.transpose()?,
            demands_certificates: terms.certificates,
            health_open: terms.health_open,
            limits: Limits::new(terms, clock),
        })
    }

    /// Whether a question for health is answered without any of this.
    #[must_use]
    pub fn is_health_open(&self) -> bool {
        self.health_open
    }

    /// Lets a call in, given the values of its `authorization`, or says why not. It counts as going
    /// on until the pass is dropped.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn admit(
        &self,
        entrance: Entrance,
        authorization: impl Iterator<Item = &[u8]>,
        peer: &Peer,
    ) -> Result<Pass, Denied> {
        self.check_certificate(entrance, peer)?;
        let Some(passwords) = &self.passwords else { return self.limits.admit(peer.caller()) };
        let basic = Basic::of(authorization)?;
        let admit = |caller: &Caller| self.limits.admit(caller);
        if let Some(admitted) = passwords.if_known(basic, admit) {
            return admitted;
        }
        self.limits.count(peer.caller())?;
        passwords.look_at(basic).await?;
        passwords.if_known(basic, admit).unwrap_or(Err(Denied::WrongPassword))
    }

    /// Lets these users in and no others from here on. Without passwords nothing changes.
    pub fn replace(&self, credentials: Credentials) {
        if let Some(passwords) = &self.passwords {
            passwords.replace(credentials);
        }
    }

    /// Forgets callers who have been away for long enough to be as good as new.
    pub fn forget_the_absent(&self) {
        self.limits.forget_the_absent();
    }

    fn check_certificate(&self, entrance: Entrance, peer: &Peer) -> Result<(), Denied> {
        let demanded = self.demands_certificates
            && match entrance {
                Entrance::Grpc => true,
                Entrance::Rest => self.passwords.is_none(),
            };
        match peer.certificate() {
            ClientCertificate::None if demanded => Err(Denied::NoCertificate),
            ClientCertificate::Other if demanded => Err(Denied::OtherName),
            ClientCertificate::None | ClientCertificate::Other | ClientCertificate::Accepted(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
