//! HTTP Basic: the encoding of a name and a password in `authorization`.

use data_encoding::BASE64;

use super::AuthError;

/// The value after the scheme, not decoded yet.
///
/// A name and a password have exactly one encoded form, which can therefore be their key.
#[derive(Debug, Clone, Copy)]
pub(super) struct BasicCredentials<'h>(&'h [u8]);

/// A name and a password.
pub(super) struct Login {
    name_and_password: Vec<u8>,
    colon: usize,
}

impl<'h> BasicCredentials<'h> {
    /// Extracts it from the values of `authorization`, of which there must be exactly one.
    pub(super) fn from_headers(
        mut authorization: impl Iterator<Item = &'h [u8]>,
    ) -> Result<Self, AuthError> {
        let value = authorization.next().ok_or(AuthError::MissingCredentials)?;
        let (scheme, rest) = value
            .split_at_checked(b"Basic ".len())
            .ok_or(AuthError::MalformedCredentials)?;
        if !scheme.eq_ignore_ascii_case(b"Basic ") || authorization.next().is_some() {
            return Err(AuthError::MalformedCredentials);
        }
        Ok(Self(rest.trim_ascii()))
    }

    pub(super) fn as_bytes(self) -> &'h [u8] {
        self.0
    }

    pub(super) fn decode(self) -> Result<Login, AuthError> {
        let name_and_password = BASE64
            // Strict: padding and unused bits must be canonical, so that one password has one cache
            // key.
            .decode(self.0)
            .map_err(|_| AuthError::MalformedCredentials)?;
        let colon = name_and_password
            .iter()
            // The first colon: a password may contain colons, a user name may not (RFC 7617).
            .position(|&byte| byte == b':')
            .ok_or(AuthError::MalformedCredentials)?;
        Ok(Login {
            name_and_password,
            colon,
        })
    }
}

impl Login {
    pub(super) fn name(&self) -> &[u8] {
        &self.name_and_password[..self.colon]
    }

    pub(super) fn password(&self) -> &[u8] {
        &self.name_and_password[self.colon + 1..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Result<(String, String), AuthError> {
        let login = BasicCredentials::from_headers(values.iter().map(|value| value.as_bytes()))?
            .decode()?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Ok((text(login.name()), text(login.password())))
    }

    #[test]
    fn a_name_and_a_password_are_read_as_they_were_written() {
        for (value, name, password) in [
            ("Basic YWRhOnNlY3JldA==", "ada", "secret"),
            ("basic YWRhOnNlY3JldA==", "ada", "secret"),
            ("BASIC  YWRhOnNlY3JldA== ", "ada", "secret"),
            ("Basic YWRhOnM6ZTpjOg==", "ada", "s:e:c:"),
            ("Basic OnNlY3JldA==", "", "secret"),
            ("Basic YWRhOg==", "ada", ""),
            ("Basic w6RkYTpnZWhlaW3Dnw==", "äda", "geheimß"),
        ] {
            assert_eq!(
                read(&[value]),
                Ok((name.to_owned(), password.to_owned())),
                "{value}"
            );
        }
    }

    #[test]
    fn anything_else_is_rejected() {
        assert_eq!(read(&[]), Err(AuthError::MissingCredentials));
        for values in [
            &[""][..],
            &["Basic"],
            &["Basic "],
            &["Bearer YWRhOnNlY3JldA=="],
            &["BasicYWRhOnNlY3JldA=="],
            &["YWRhOnNlY3JldA=="],
            &["Basic ada:secret"],
            &["Basic YWRhOnNlY3JldA"],
            &["Basic YWRhOnNlY3JldB=="],
            &["Basic YWRhOnNl Y3JldA=="],
            &["Basic YWRh"],
            &["Basic YWRhOnNlY3JldA==", "Basic YWRhOnNlY3JldA=="],
        ] {
            assert_eq!(
                read(values),
                Err(AuthError::MalformedCredentials),
                "{values:?}"
            );
        }
    }
}
