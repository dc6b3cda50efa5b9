//! Passwords: verified once with Argon2, recognized afterwards by a keyed digest.

use std::{collections::HashMap, io, sync::Arc};

use arc_swap::ArcSwap;
use argon2::{Argon2, PasswordHash, PasswordHasher, PasswordVerifier};
use blake3::Hash;

use super::{
    AuthError, Caller, Credentials, Peer, User, basic::BasicCredentials,
    verifications::VerificationQueue,
};
use kernel::blocking::{self, BlockingError};

/// The hash of a password, for the credentials file.
///
/// # Errors
/// If the machine has no random numbers to give.
pub fn hash(password: &[u8]) -> Result<String, argon2::password_hash::Error> {
    Ok(Argon2::default().hash_password(password)?.to_string())
}

/// The users, with a cache of verified passwords.
#[derive(Debug)]
pub(super) struct Passwords {
    credentials: ArcSwap<CredentialSet>,
    /// Random per process, so that digests cannot be computed outside of it.
    key: [u8; blake3::KEY_LEN],
    verifications: VerificationQueue,
}

/// Users and verified passwords at one moment. They are replaced together, so that a removed password is never
/// recognized.
#[derive(Debug, Clone)]
struct CredentialSet {
    users: Arc<Credentials>,
    /// By the digest of the encoded credentials. Only valid passwords are cached, so there are no more entries than
    /// the credentials have passwords.
    known: HashMap<Hash, VerifiedUser>,
}

#[derive(Debug, Clone)]
struct VerifiedUser {
    caller: Caller,
    user: Arc<User>,
    hash: PasswordHash,
}

impl Passwords {
    /// The passwords of these users, of which `max_checks` are verified concurrently.
    pub(super) fn new(users: Credentials, max_checks: usize) -> io::Result<Self> {
        let mut key = [0; blake3::KEY_LEN];
        // From the operating system: nobody outside of this process must be able to compute a
        // digest.
        getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
        let credentials = CredentialSet {
            users: Arc::new(users),
            known: HashMap::new(),
        };
        Ok(Self {
            credentials: ArcSwap::from_pointee(credentials),
            key,
            verifications: VerificationQueue::new(max_checks),
        })
    }

    /// Runs `then` for the caller of these credentials, if they have been verified before.
    pub(super) fn with_verified<R>(
        &self,
        basic: BasicCredentials<'_>,
        then: impl FnOnce(&Caller, &Arc<User>) -> R,
    ) -> Option<R> {
        // The encoded form is hashed, so that a cached password needs no decoding.
        let digest = self.digest(basic.as_bytes());
        self.credentials
            .load()
            .known
            .get(&digest)
            .map(|known| then(&known.caller, &known.user))
    }

    /// Verifies credentials that are not cached, and caches them if they are valid. Verifications queue by network
    /// and by the failures of the connection.
    pub(super) async fn verify(
        &self,
        basic: BasicCredentials<'_>,
        peer: &Peer,
    ) -> Result<(), AuthError> {
        let verified = self.try_verify(basic, peer).await;
        match &verified {
            Ok(()) => peer.has_succeeded(),
            Err(AuthError::InvalidCredentials | AuthError::VerificationLimit) => peer.has_failed(),
            // No password was tried.
            Err(_) => {}
        }
        verified
    }

    async fn try_verify(&self, basic: BasicCredentials<'_>, peer: &Peer) -> Result<(), AuthError> {
        let login = basic.decode()?;
        let permit = self
            .verifications
            .acquire(peer.network(), peer.failures())
            .await;
        // A dropped sender means that this call was displaced from the full queue.
        let permit = permit.ok_or(AuthError::VerificationLimit)?;
        // Another call may have verified the same credentials while this one was queued.
        if self.with_verified(basic, |_, _| ()).is_some() {
            return Ok(());
        }
        // A snapshot: a reload during the verification is detected by `remember`.
        let users = Arc::clone(&self.credentials.load().users);
        let stand_in = self.number(login.name());
        let work = blocking::run(move || {
            let fits = |hash: &&PasswordHash| is_password(login.password(), hash);
            let known = users
                .find(login.name(), stand_in, fits)
                .map(VerifiedUser::from);
            // The permit moves into the work: a caller who disconnects does not stop Argon2, so its core is not free.
            drop(permit);
            known
        });
        let known = match work.await {
            Ok(known) => known.ok_or(AuthError::InvalidCredentials)?,
            Err(BlockingError::NoThread) => return Err(AuthError::NoThread),
            // A panic in the library must not admit anyone.
            Err(BlockingError::Panicked) => return Err(AuthError::InvalidCredentials),
        };
        self.remember(self.digest(basic.as_bytes()), &known);
        Ok(())
    }

    /// The user of that name.
    pub(super) fn user(&self, name: &[u8]) -> Option<Arc<User>> {
        self.credentials
            .load()
            .users
            .user(std::str::from_utf8(name).ok()?)
            .cloned()
    }

    /// All users.
    pub(super) fn users(&self) -> Vec<Arc<User>> {
        self.credentials.load().users.all().cloned().collect()
    }

    /// Replaces the users, and keeps the cached passwords that are still valid.
    pub(super) fn replace(&self, users: Credentials) {
        let users = Arc::new(users);
        // A retry loop of compare and swap: a password that is remembered meanwhile must not be
        // lost.
        self.credentials.rcu(|credentials| {
            let still =
                |(digest, known): (&Hash, &VerifiedUser)| Some((*digest, known.as_of(&users)?));
            let known = credentials.known.iter().filter_map(still).collect();
            CredentialSet {
                users: Arc::clone(&users),
                known,
            }
        });
    }

    /// Caches a verified password, unless the users were replaced in the meantime and no longer have it.
    fn remember(&self, digest: Hash, known: &VerifiedUser) {
        // Repeated if another call has changed the set at the same time.
        self.credentials.rcu(|credentials| {
            let mut credentials = CredentialSet::clone(credentials);
            if let Some(known) = known.as_of(&credentials.users) {
                credentials.known.insert(digest, known);
            }
            credentials
        });
    }

    fn digest(&self, bytes: &[u8]) -> Hash {
        blake3::keyed_hash(&self.key, bytes)
    }

    /// A stable secret number per name: it selects the hash that stands in for an unknown user, so that the
    /// response time does not tell which names exist.
    fn number(&self, name: &[u8]) -> u64 {
        let digest = self.digest(name);
        digest
            .as_bytes()
            .iter()
            .take(8)
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

impl VerifiedUser {
    /// The entry by other credentials, if they still have the password. The scope of the user may
    /// differ then.
    fn as_of(&self, users: &Credentials) -> Option<Self> {
        users
            .user_with(self.user.name(), &self.hash)
            .map(|user| Self::from((user, &self.hash)))
    }
}

impl From<(&Arc<User>, &PasswordHash)> for VerifiedUser {
    fn from((user, hash): (&Arc<User>, &PasswordHash)) -> Self {
        Self {
            caller: Caller::User(Arc::clone(user.name())),
            user: Arc::clone(user),
            hash: hash.clone(),
        }
    }
}

/// Works for as long as the hash asks for.
fn is_password(password: &[u8], hash: &PasswordHash) -> bool {
    tracing::debug!("password verification");
    // The hash carries its own algorithm and parameters, so the defaults do not matter.
    Argon2::default().verify_password(password, hash).is_ok()
}
