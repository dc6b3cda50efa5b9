//! The credentials file: users, the hashes of their passwords, and what each of them may do.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use argon2::{Params, PasswordHash, Version};

use domain::ids::MerchantId;
use kernel::user::{Role, Scope, User};
use kernel::{
    diagnostics::{Cursor, DiagnosticSink, Diagnostics, quoted},
    files::{
        regular, text,
        toml::{Document, TomlTable, TomlValue},
    },
    rpc::{Rpc, Transport},
};

/// Maximum number of passwords of a user: the one in use and the next.
const MAX_PASSWORDS: usize = 2;

/// Maximum work of one verification: KiB of memory times passes over it, some seconds of a core.
const MAX_WORK_KIB: u64 = 1 << 22;

/// The expected form of a hash, for errors.
const HASH: &str = "a hash as `boxoffice hash-password` prints it, beginning with $argon2id$";

/// The users of a file: who calls, or who runs the box office.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserKind {
    /// Callers, each with its scope: the `credentials`.
    Caller,
    /// Users of the operator's services, each with a role: the `operator_credentials`.
    Operator,
}

impl UserKind {
    /// The setting that names the file.
    const fn setting(self) -> &'static str {
        match self {
            Self::Caller => "credentials",
            Self::Operator => "operator_credentials",
        }
    }

    /// The members of a user.
    const fn members(self) -> &'static [&'static str] {
        match self {
            Self::Caller => &[
                "passwords",
                "merchants",
                "methods",
                "transports",
                "all_orders",
            ],
            Self::Operator => &["passwords", "role", "merchants"],
        }
    }
}

/// Users, each with one or two passwords.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    users: BTreeMap<Arc<str>, Listed>,
}

/// A user of the file.
#[derive(Debug, Clone)]
struct Listed {
    user: Arc<User>,
    hashes: Vec<PasswordHash>,
}

impl Credentials {
    /// Reads the file of a setting, by which it is named in errors.
    ///
    /// # Errors
    /// Everything that is wrong with it; no password or hash is quoted.
    pub fn read(path: &Path, kind: UserKind) -> Result<Self, Diagnostics> {
        let label = format!("{} {}", kind.setting(), path.display());
        match regular::read_text(path) {
            Ok(text) => Self::parse(&text, &label, kind),
            Err(error) => {
                let sink = DiagnosticSink::default();
                text::report_unreadable(&sink.file(&label), &error);
                Err(sink.into_diagnostics())
            }
        }
    }

    fn parse(text: &str, label: &str, kind: UserKind) -> Result<Self, Diagnostics> {
        let sink = DiagnosticSink::default();
        let file = sink.file(label);
        let mut users = BTreeMap::new();
        if let Some(document) = Document::parse(text, file) {
            let top = document.table(&["users"]);
            let entry = top.required("users");
            let named = entry.and_then(|users| users.secret().members());
            if named.as_ref().is_some_and(Vec::is_empty) {
                top.at
                    .error("empty", "there are no users, so nobody could call");
            }
            for (name, user) in named.unwrap_or_default() {
                users.extend(read_user(name, &user, kind));
            }
        }
        sink.unless_errors(Self { users })
    }

    /// Number of users.
    #[must_use]
    pub fn users(&self) -> usize {
        self.users.len()
    }

    /// The user of that name with the hash that `fits` accepts.
    ///
    /// For an unknown name, the hashes of the user at `stand_in` are verified and the result is
    /// discarded: that takes as long as a wrong password.
    pub(super) fn find(
        &self,
        name: &[u8],
        stand_in: u64,
        fits: impl FnMut(&&PasswordHash) -> bool,
    ) -> Option<(&Arc<User>, &PasswordHash)> {
        let known = std::str::from_utf8(name)
            .ok()
            .and_then(|name| self.users.get(name));
        let stand_in = usize::try_from(stand_in)
            .unwrap_or(usize::MAX)
            // `None` without users, where a plain remainder would panic.
            .checked_rem(self.users.len());
        let Listed { hashes, .. } = known.or_else(|| self.users.values().nth(stand_in?))?;
        let fitting = hashes.iter().find(fits);
        known.map(|listed| &listed.user).zip(fitting)
    }

    /// The user of that name.
    pub(super) fn user(&self, name: &str) -> Option<&Arc<User>> {
        self.users.get(name).map(|listed| &listed.user)
    }

    /// The user of that name, if it has a password with this hash.
    pub(super) fn user_with(&self, name: &str, hash: &PasswordHash) -> Option<&Arc<User>> {
        let Listed { user, hashes } = self.users.get(name)?;
        hashes.contains(hash).then_some(user)
    }

    /// All users, by name.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<User>> {
        self.users.values().map(|listed| &listed.user)
    }
}

fn read_user(name: &str, user: &TomlValue<'_>, kind: UserKind) -> Option<(Arc<str>, Listed)> {
    check_name(name, &user.at);
    let table = user.table(kind.members())?;
    // Both are read before an error ends this, so that all errors of a user are reported.
    let hashes = read_passwords(&table);
    let scope = match kind {
        UserKind::Caller => read_scope(&table),
        UserKind::Operator => Scope {
            merchants: read_merchants(&table),
            role: Some(read_role(&table)?),
            ..Scope::default()
        },
    };
    let name = Arc::<str>::from(name);
    let user = Arc::new(User::new(Arc::clone(&name), scope));
    Some((
        name,
        Listed {
            user,
            hashes: hashes?,
        },
    ))
}

fn read_passwords(user: &TomlTable<'_>) -> Option<Vec<PasswordHash>> {
    let passwords = user.required("passwords")?.secret();
    let list = passwords.list()?;
    if !(1..=MAX_PASSWORDS).contains(&list.len()) {
        let text = format!(
            "a user has one password or two, and this one has {}",
            list.len()
        );
        passwords.at.error("out_of_range", text);
    }
    Some(list.iter().filter_map(read_hash).collect())
}

/// Reads the role of a user, which has no default: a right is given on purpose.
fn read_role(user: &TomlTable<'_>) -> Option<Role> {
    let entry = user.required("role")?.secret();
    let name = entry.text()?;
    let role = Role::ALL.into_iter().find(|role| role.name() == name);
    if role.is_none() {
        entry.at.error(
            "wrong_value",
            format!(
                "unknown {} in `role`; expected one of {}",
                quoted(name),
                names(Role::ALL.map(Role::name))
            ),
        );
    }
    role
}

/// Reads the scope of a user. An absent list is no restriction; but a user sees only its own orders
/// unless `all_orders` is set.
fn read_scope(user: &TomlTable<'_>) -> Scope {
    let all_orders = user
        .get("all_orders")
        .and_then(|entry| entry.secret().boolean());
    Scope {
        merchants: read_merchants(user),
        methods: read_set(user, "methods", method, || names(Rpc::ALL.map(Rpc::name))),
        transports: read_set(user, "transports", transport, || {
            names(Transport::ALL.map(Transport::name))
        }),
        all_orders: all_orders.unwrap_or_default(),
        role: None,
    }
}

fn read_merchants(user: &TomlTable<'_>) -> Option<BTreeSet<MerchantId>> {
    let any = |text: &str| Some(MerchantId::from(text));
    let ids = read_set(user, "merchants", any, String::new)?;
    Some(ids.into_iter().collect())
}

/// Reads a list of texts that is not empty and has none of them twice. `expected` says what they may be.
fn read_set<T: PartialEq>(
    user: &TomlTable<'_>,
    key: &str,
    read: fn(&str) -> Option<T>,
    expected: impl Fn() -> String,
) -> Option<Vec<T>> {
    let entry = user.get(key)?.secret();
    let list = entry.list()?;
    if list.is_empty() {
        entry.at.error(
            "empty",
            format!("`{key}` is empty, so nothing could be called; without it all are meant"),
        );
    }
    let mut values = Vec::with_capacity(list.len());
    for element in &list {
        let Some(text) = element.text() else { continue };
        match read(text) {
            None => element.at.error(
                "wrong_value",
                format!(
                    "unknown {} in `{key}`; expected one of {}",
                    quoted(text),
                    expected()
                ),
            ),
            Some(value) if values.contains(&value) => {
                element
                    .at
                    .error("duplicate", format!("{} is in `{key}` twice", quoted(text)));
            }
            Some(value) => values.push(value),
        }
    }
    Some(values)
}

fn method(name: &str) -> Option<Rpc> {
    Rpc::ALL.into_iter().find(|method| method.name() == name)
}

fn transport(name: &str) -> Option<Transport> {
    Transport::ALL
        .into_iter()
        .find(|transport| transport.name() == name)
}

fn names<const N: usize>(names: [&str; N]) -> String {
    names.join(", ")
}

/// A name has to fit in front of the colon of HTTP Basic.
fn check_name(name: &str, at: &Cursor<'_>) {
    if name.is_empty() || name.contains(':') || name.contains(char::is_control) {
        let text = "a user name is not empty and has neither colons nor control characters";
        at.error("wrong_value", format!("{text}, as {} has", quoted(name)));
    }
}

fn read_hash(entry: &TomlValue<'_>) -> Option<PasswordHash> {
    let text = entry.text()?;
    let Some((hash, params)) = argon2id(text) else {
        entry.at.error("wrong_value", format!("expected {HASH}"));
        return None;
    };
    // Cannot overflow: a product of two 32-bit numbers fits into 64 bits.
    if u64::from(params.m_cost()) * u64::from(params.t_cost()) > MAX_WORK_KIB {
        entry.at.error(
            "out_of_range",
            format!("this hash takes too much work: m times t may be {MAX_WORK_KIB}"),
        );
        return None;
    }
    Some(hash)
}

fn argon2id(text: &str) -> Option<(PasswordHash, Params)> {
    let hash = PasswordHash::new(text).ok()?;
    let is_known = hash
        .version
        .is_none_or(|version| Version::try_from(version).is_ok());
    let is_whole = hash.salt.is_some() && hash.hash.is_some();
    // Only Argon2id: the other variants are weaker against one of two kinds of attack.
    if !(is_known && is_whole && hash.algorithm.as_str() == "argon2id") {
        return None;
    }
    let params = Params::try_from(&hash).ok()?;
    Some((hash, params))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{diagnostics::Diagnostic, rpc::Method, user::Permission};

    const CHEAP: &str = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$";

    /// A hash that is one by its form.
    fn hash(number: u8) -> String {
        let output = data_encoding::BASE64_NOPAD.encode(&[number; 32]);
        format!("{CHEAP}{output}")
    }

    fn parse(text: &str) -> Result<Credentials, String> {
        Credentials::parse(text, "credentials users.toml", UserKind::Caller).map_err(|errors| {
            let lines: Vec<String> = errors.list().iter().map(Diagnostic::message).collect();
            lines.join("\n")
        })
    }

    fn two_users() -> Credentials {
        let (one, two, three) = (hash(1), hash(2), hash(3));
        parse(&format!(
            "users.ada.passwords = ['{one}']\n[users.\"grace h\"]\npasswords = ['{two}', '{three}']"
        ))
        .unwrap()
    }

    #[test]
    fn a_user_has_one_password_or_two() {
        let users = two_users();
        let hash = |number| PasswordHash::new(&hash(number)).unwrap();
        assert_eq!(users.users(), 2);
        for (name, number, has) in [
            ("ada", 1, true),
            ("ada", 2, false),
            ("grace h", 2, true),
            ("grace h", 3, true),
        ] {
            assert_eq!(
                users.user_with(name, &hash(number)).is_some(),
                has,
                "{name} {number}"
            );
        }
    }

    #[test]
    fn a_user_of_the_operators_services_has_a_role() {
        let hash = hash(1);
        let read = |members: &str| {
            let text = format!("[users.ada]\npasswords = ['{hash}']\n{members}");
            let users =
                Credentials::parse(&text, "operator_credentials ops.toml", UserKind::Operator);
            users.map_err(|errors| errors.list()[0].message())
        };
        for role in Role::ALL {
            let users = read(&format!("role = '{}'", role.name())).unwrap();
            let user = users.user("ada").unwrap();
            assert!(user.has(Permission::Read));
            assert_eq!(user.has(Permission::SeeCustomers), role > Role::Viewer);
        }
        let of_museum = read("role = 'agent'\nmerchants = ['museum']").unwrap();
        let of_museum = of_museum.user("ada").unwrap();
        assert!(of_museum.acts_for("museum") && !of_museum.acts_for("salon"));
        let at = "operator_credentials ops.toml:";
        for (members, expected) in [
            ("", "1:1: `role` is missing"),
            (
                "role = 'boss'",
                "3:8: unknown \"boss\" in `role`; expected one of viewer, agent, admin",
            ),
            (
                "role = 'admin'\nmethods = ['ListOrders']",
                "4:1: unknown key \"methods\"; expected one of passwords, role, merchants",
            ),
            (
                "role = 'admin'\nmerchants = []",
                "4:13: `merchants` is empty, so nothing could be called",
            ),
        ] {
            let found = read(members).unwrap_err();
            assert!(found.starts_with(&format!("{at}{expected}")), "{found}");
        }
    }

    #[test]
    fn every_error_has_its_position_and_no_secret() {
        let secret = "hunter2";
        let argon2i = hash(1).replace("argon2id", "argon2i");
        let huge = hash(1).replace("m=8,t=1", "m=2097152,t=3");
        let newer = hash(1).replace("v=19", "v=20");
        let cut = &hash(1)[..CHEAP.len() - 1];
        let three = format!("'{0}', '{0}', '{0}'", hash(1));
        let hash = hash(1);
        for (text, expected) in [
            (String::new(), "1:1: `users` is missing".to_owned()),
            ("users = 3".into(), "1:9: expected a table, found a value of type integer".into()),
            (
                format!("users.ada = '{secret}'"),
                "1:13: expected a table, found a value of type string".into(),
            ),
            ("[users]".into(), "1:1: there are no users, so nobody could call".into()),
            (
                "user.ada = 1\n[users.a]\npasswords=['x'".into(),
                "3:15: unclosed array, expected `]`; this is not TOML".into(),
            ),
            ("[users.ada]".into(), "1:1: `passwords` is missing".into()),
            (
                "[users.ada]\npassword = 'x'".into(),
                "2:1: unknown key \"password\"; expected one of passwords, merchants, methods, transports, \
                 all_orders"
                    .into(),
            ),
            (
                format!("[users.ada]\npasswords = '{secret}'"),
                "2:13: expected a list, found a value of type string".into(),
            ),
            (
                "[users.ada]\npasswords = []".into(),
                "a user has one password or two, and this one has 0".into(),
            ),
            (
                format!("[users.ada]\npasswords = [{three}]"),
                "2:13: a user has one password or two, and this one has 3".into(),
            ),
            (format!("[users.ada]\npasswords = [\n'{secret}']"), format!("3:1: expected {HASH}")),
            (
                "[users.ada]\npasswords = [7]".into(),
                "2:14: expected a text that is not empty, found a value of type integer".into(),
            ),
            (format!("[users.ada]\npasswords = ['{argon2i}']"), format!("2:14: expected {HASH}")),
            (format!("[users.ada]\npasswords = ['{newer}']"), format!("2:14: expected {HASH}")),
            (format!("[users.ada]\npasswords = ['{cut}']"), format!("2:14: expected {HASH}")),
            (
                format!("[users.ada]\npasswords = ['{huge}']"),
                "2:14: this hash takes too much work: m times t may be 4194304".into(),
            ),
            (format!("[users.'a:b']\npasswords = ['{hash}']"), "as \"a:b\" has".into()),
            (format!("[users.'']\npasswords = ['{hash}']"), "1:1: a user name is not empty".into()),
            (
                format!("[users.ada]\npasswords = ['{hash}']\n[users.ada]"),
                "3:8: duplicate key; this is not TOML".into(),
            ),
        ] {
            let errors = parse(&text).unwrap_err();
            assert!(
                errors.starts_with("credentials users.toml:") && errors.contains(&expected),
                "{text}\n{errors}"
            );
            assert!(!errors.contains(secret) && !errors.contains("c29tZXNhbHQ"), "{errors}");
        }
        let errors =
            parse("[users.ada]\npasswords = ['x', 'y']\n[users.':']\ncolour = 1").unwrap_err();
        assert_eq!(errors.lines().count(), 5, "{errors}");
    }

    #[test]
    fn a_user_may_do_what_its_scope_says_and_without_one_everything() {
        let hash = hash(1);
        let users = parse(&format!(
            "[users.ada]\npasswords = ['{hash}']\nmerchants = ['museum', 'salon']\nmethods = ['ListOrders']\n\
             transports = ['rest']\nall_orders = true\n[users.eve]\npasswords = ['{hash}']\nall_orders = false"
        ));
        let users = users.unwrap();
        let (ada, eve) = (users.user("ada").unwrap(), users.user("eve").unwrap());
        assert!(
            ada.acts_for("salon")
                && !ada.acts_for("rafting")
                && ada.may_see(Some("eve"), &"museum".into())
        );
        assert_eq!(
            ada.check_call(Transport::Rest, || Some(Method::Booking(Rpc::ListOrders))),
            Ok(())
        );
        assert!(
            ada.check_call(Transport::Grpc, || Some(Method::Booking(Rpc::ListOrders)))
                .is_err()
        );
        assert!(
            ada.check_call(Transport::Rest, || Some(Method::Booking(Rpc::CreateOrder)))
                .is_err()
        );
        assert_eq!(**eve, User::new("eve".into(), Scope::default()));
        assert_eq!(users.user("mallory"), None);
    }

    #[test]
    fn every_error_of_a_scope_has_its_position() {
        let hash = hash(1);
        for (text, expected) in [
            (
                format!("[users.ada]\npasswords = ['{hash}']\nmethods = ['CreateOrders']"),
                "3:12: unknown \"CreateOrders\" in `methods`; expected one of HealthCheck, \
                 CheckOrderFulfillability, CreateOrder, ListOrders, BatchAvailabilityLookup, \
                 CheckAvailability",
            ),
            (
                format!("[users.ada]\npasswords = ['{hash}']\ntransports = [\n'rest',\n'REST']"),
                "5:1: unknown \"REST\" in `transports`; expected one of grpc, grpc-web, rest",
            ),
            (
                format!("[users.ada]\npasswords = ['{hash}']\nmerchants = []"),
                "3:13: `merchants` is empty, so nothing could be called; without it all are meant",
            ),
            (
                format!("[users.ada]\npasswords = ['{hash}']\nmerchants = ['m', '']"),
                "3:19: expected a text that is not empty, found a value of type string",
            ),
            (
                format!("[users.ada]\npasswords = ['{hash}']\nmerchants = ['m', 'n', 'm']"),
                "3:24: \"m\" is in `merchants` twice",
            ),
            (
                format!("[users.ada]\npasswords = ['{hash}']\nmerchants = 'm'"),
                "3:13: expected a list, found a value of type string",
            ),
            (
                format!("[users.ada]\npasswords = ['{hash}']\nall_orders = 'yes'"),
                "3:14: expected true or false, found a value of type string",
            ),
        ] {
            let errors = parse(&text).unwrap_err();
            assert_eq!(
                errors,
                format!("credentials users.toml:{expected}"),
                "{text}"
            );
        }
    }

    #[test]
    fn all_errors_of_a_user_are_reported_at_once() {
        let errors = parse(
            "[users.ada]\npasswords = 1\nmethods = ['a', 'b']\nmerchants = 2\nall_orders = 3",
        );
        assert_eq!(errors.unwrap_err().lines().count(), 5);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error() {
        let errors = Credentials::read(Path::new("/nowhere/users.toml"), UserKind::Caller)
            .unwrap_err()
            .to_string();
        assert!(
            errors.starts_with(
                "error[unreadable]: credentials /nowhere/users.toml: cannot be read: No such file"
            ),
            "{errors}"
        );
    }

    #[test]
    fn an_unknown_name_costs_as_much_as_a_wrong_password() {
        let users = two_users();
        let asked = |name: &str, stand_in| {
            let mut asked = 0;
            let found = users.find(name.as_bytes(), stand_in, |_| {
                asked += 1;
                false
            });
            assert_eq!(found, None, "{name}");
            asked
        };
        assert_eq!((asked("ada", 7), asked("grace h", 7)), (1, 2));
        assert_eq!(
            (asked("nobody", 0), asked("nobody", 1), asked("", u64::MAX)),
            (1, 2, 2)
        );
        assert_eq!(users.find(b"\xff", 0, |_| false), None);
    }

    #[test]
    fn a_password_opens_for_its_own_user_only() {
        let users = two_users();
        for stand_in in 0..4 {
            assert_eq!(
                users.find(b"nobody", stand_in, |_| true),
                None,
                "{stand_in}"
            );
            let (user, hash) = users.find(b"ada", stand_in, |_| true).unwrap();
            assert!(&**user.name() == "ada" && users.user_with("ada", hash).is_some());
        }
        assert_eq!(Credentials::default().find(b"ada", 1, |_| true), None);
    }
}
