use std::net::Ipv4Addr;

use argon2::{Argon2, Params, PasswordHasher};
use data_encoding::BASE64;
use governor::clock::FakeRelativeClock;

use super::{verifications::MAX_WAITING, *};

fn policy() -> AccessPolicy {
    AccessPolicy {
        certificates: false,
        health_open: true,
        max_password_checks: 2,
        rate: None,
        burst: NonZeroU32::MIN,
        max_in_flight: None,
    }
}

/// Users with their passwords, whose hashes take next to no work.
fn users(users: &[(&str, &[&str])]) -> Credentials {
    let user = |(name, passwords): &(&str, &[&str])| {
        let hashes: Vec<_> = passwords
            .iter()
            .map(|password| cheap_hash(password))
            .collect();
        format!("[users.{name}]\npasswords = [{}]\n", hashes.join(", "))
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), users.iter().map(user).collect::<String>()).unwrap();
    Credentials::read(file.path(), UserKind::Caller).unwrap()
}

fn cheap_hash(password: &str) -> String {
    let cheap = Argon2::from(Params::new(8, 1, 1, None).unwrap());
    format!(
        "{:?}",
        cheap
            .hash_password(password.as_bytes())
            .unwrap()
            .to_string()
    )
}

fn basic(name: &str, password: &str) -> String {
    format!(
        "Basic {}",
        BASE64.encode(format!("{name}:{password}").as_bytes())
    )
}

fn peer(certificate: ClientCertificate) -> Peer {
    Peer::new(Ipv4Addr::LOCALHOST.into(), certificate)
}

/// An authenticator whose clock stands still.
fn open(
    policy: &AccessPolicy,
    credentials: Option<Credentials>,
) -> Authenticator<FakeRelativeClock> {
    Authenticator::new(policy, credentials, FakeRelativeClock::default()).unwrap()
}

async fn admit(
    access: &Authenticator<FakeRelativeClock>,
    authorization: Option<&str>,
) -> Result<Admitted, AuthError> {
    let values = authorization.iter().map(|value| value.as_bytes());
    access
        .authenticate(Transport::Rest, values, &peer(ClientCertificate::None))
        .await
}

#[tokio::test]
async fn without_credentials_everyone_comes_in() {
    let access = open(&policy(), None);
    for authorization in [None, Some("Bearer x"), Some("nonsense")] {
        assert!(
            admit(&access, authorization).await.is_ok(),
            "{authorization:?}"
        );
    }
}

#[tokio::test]
async fn a_password_opens_again_and_again_and_no_other_does() {
    let credentials = users(&[("ada", &["old", "new"]), ("grace", &["hopper"])]);
    let access = open(&policy(), Some(credentials));
    for _ in 0..3 {
        for (name, password, expected) in [
            ("ada", "old", None),
            ("ada", "new", None),
            ("grace", "hopper", None),
            ("ada", "hopper", Some(AuthError::InvalidCredentials)),
            ("ada", "", Some(AuthError::InvalidCredentials)),
            ("ada", "Old", Some(AuthError::InvalidCredentials)),
            ("nobody", "old", Some(AuthError::InvalidCredentials)),
            ("nobody", "hopper", Some(AuthError::InvalidCredentials)),
            ("", "", Some(AuthError::InvalidCredentials)),
        ] {
            let admitted = admit(&access, Some(&basic(name, password))).await;
            assert_eq!(admitted.err(), expected, "{name} {password}");
        }
        assert_eq!(
            admit(&access, None).await.unwrap_err(),
            AuthError::MissingCredentials
        );
        assert_eq!(
            admit(&access, Some("Basic !")).await.unwrap_err(),
            AuthError::MalformedCredentials
        );
    }
}

#[tokio::test]
async fn a_password_that_is_taken_away_stops_at_once_and_the_others_go_on() {
    let both = users(&[("ada", &["old", "new"]), ("grace", &["hopper"])]);
    let access = open(&policy(), Some(both.clone()));
    let opens = async |name, password| admit(&access, Some(&basic(name, password))).await.is_ok();
    assert!(
        opens("ada", "old").await && opens("ada", "new").await && opens("grace", "hopper").await
    );
    access.replace(users(&[("ada", &["new"])]));
    assert!(!opens("ada", "old").await);
    assert!(opens("ada", "new").await);
    assert!(!opens("grace", "hopper").await);
    access.replace(both);
    assert!(opens("ada", "old").await);
}

#[tokio::test]
async fn a_known_password_stands_for_the_user_as_the_credentials_have_it_now() {
    let access = open(&policy(), Some(users(&[("ada", &["x"])])));
    let acts_for_museum = async || {
        let admitted = admit(&access, Some(&basic("ada", "x"))).await.unwrap();
        admitted.user.unwrap().acts_for("museum")
    };
    assert!(acts_for_museum().await);
    let file = tempfile::NamedTempFile::new().unwrap();
    let hash = cheap_hash("x");
    std::fs::write(
        file.path(),
        format!("users.ada = {{ passwords = [{hash}], merchants = ['salon'] }}"),
    )
    .unwrap();
    let bounded = Credentials::read(file.path(), UserKind::Caller).unwrap();
    // The same password under another hash would have to be looked at again.
    access.replace(bounded.clone());
    assert!(!acts_for_museum().await);
    let unknown = access.scopes_without_merchant(|merchant_id| merchant_id != "salon");
    assert_eq!(unknown.len(), 1);
    assert_eq!(
        (&**unknown[0].0.name(), &unknown[0].1[..]),
        ("ada", &["salon".into()][..])
    );
    assert_eq!(access.scopes_without_merchant(|_| true), []);
}

#[tokio::test]
async fn a_wrong_password_names_its_user_and_an_unknown_name_none() {
    let access = open(&policy(), Some(users(&[("ada", &["x"])])));
    let named = |authorization: &str| {
        let named = access.named_user([authorization.as_bytes()].into_iter());
        named.map(|user| user.name().to_string())
    };
    assert_eq!(named(&basic("ada", "wrong")).as_deref(), Some("ada"));
    assert_eq!(named(&basic("eve", "x")), None);
    assert_eq!((named("Basic !"), named("")), (None, None));
}

#[tokio::test]
async fn many_calls_with_a_new_password_wait_for_one_look_at_it() {
    let access = open(
        &AccessPolicy {
            max_password_checks: 1,
            ..policy()
        },
        Some(users(&[("ada", &["x"])])),
    );
    let authorization = basic("ada", "x");
    let calls = (0..200).map(|_| admit(&access, Some(&authorization)));
    let admitted = futures_util::future::join_all(calls).await;
    assert!(admitted.iter().all(Result::is_ok));
}

#[tokio::test]
async fn verifications_beyond_the_queue_are_rejected() {
    let access = open(
        &AccessPolicy {
            max_password_checks: 1,
            ..policy()
        },
        Some(users(&[("ada", &["x"])])),
    );
    let guesses: Vec<_> = (0..600)
        .map(|number| basic("ada", &number.to_string()))
        .collect();
    let calls = guesses.iter().map(|guess| admit(&access, Some(guess)));
    let outcomes = futures_util::future::join_all(calls).await;
    let of_kind = |kind| {
        outcomes
            .iter()
            .filter(|outcome| outcome.as_ref().err() == Some(&kind))
            .count()
    };
    let (wrong, many) = (
        of_kind(AuthError::InvalidCredentials),
        of_kind(AuthError::VerificationLimit),
    );
    // Some may have been verified before the last of them came.
    assert!(
        wrong > MAX_WAITING && many > 0 && wrong + many == 600,
        "{wrong} {many}"
    );
    assert!(admit(&access, Some(&basic("ada", "x"))).await.is_ok());
}

#[tokio::test]
async fn guesses_count_for_the_address_and_calls_for_the_user() {
    let policy = AccessPolicy {
        rate: Some(NonZeroU32::MIN),
        burst: NonZeroU32::new(3).unwrap(),
        ..policy()
    };
    let access = open(&policy, Some(users(&[("ada", &["x"])])));
    // The first call is a guess, too.
    assert!(admit(&access, Some(&basic("ada", "x"))).await.is_ok());
    for guess in ["1", "2"] {
        assert_eq!(
            admit(&access, Some(&basic("ada", guess)))
                .await
                .unwrap_err(),
            AuthError::InvalidCredentials
        );
    }
    let rejected = admit(&access, Some(&basic("ada", "3"))).await.unwrap_err();
    assert!(
        matches!(rejected, AuthError::RateLimited { .. }),
        "{rejected:?}"
    );
    assert!(
        admit(&access, Some(&basic("ada", "x"))).await.is_ok(),
        "known passwords are no guesses"
    );
}

#[tokio::test]
async fn certificates_are_demanded_over_grpc_and_where_nothing_else_is() {
    use ClientCertificate::{None as Without, Other};
    let accepted = || ClientCertificate::Accepted("ads.example".into());
    let password = basic("ada", "x");
    for (with_users, entrance, certificate, password, expected) in [
        (
            false,
            Transport::Grpc,
            Without,
            None,
            Some(AuthError::MissingCertificate),
        ),
        (
            false,
            Transport::Grpc,
            Other,
            None,
            Some(AuthError::CertificateNotAllowed),
        ),
        (false, Transport::Grpc, accepted(), None, None),
        (
            false,
            Transport::Rest,
            Without,
            None,
            Some(AuthError::MissingCertificate),
        ),
        (false, Transport::Rest, accepted(), None, None),
        (
            true,
            Transport::Grpc,
            Without,
            Some(&password),
            Some(AuthError::MissingCertificate),
        ),
        (
            true,
            Transport::Grpc,
            Other,
            Some(&password),
            Some(AuthError::CertificateNotAllowed),
        ),
        (
            true,
            Transport::Grpc,
            accepted(),
            None,
            Some(AuthError::MissingCredentials),
        ),
        (true, Transport::Grpc, accepted(), Some(&password), None),
        (true, Transport::Rest, Without, Some(&password), None),
        (true, Transport::Rest, Other, Some(&password), None),
        (
            true,
            Transport::Rest,
            accepted(),
            None,
            Some(AuthError::MissingCredentials),
        ),
    ] {
        let users = with_users.then(|| users(&[("ada", &["x"])]));
        let access = open(
            &AccessPolicy {
                certificates: true,
                ..policy()
            },
            users,
        );
        let values = password.iter().map(|value| value.as_bytes());
        let admitted = access
            .authenticate(entrance, values, &peer(certificate.clone()))
            .await;
        assert_eq!(
            admitted.err(),
            expected,
            "{with_users} {entrance:?} {certificate:?} {password:?}"
        );
    }
}
