//! Ids: texts that name something, each of its own type, so that one is never taken for another.
//!
//! An id is opaque. It is compared, hashed and echoed, never taken apart. A map with ids for keys
//! can be searched with a plain `&str`, so that text from the wire becomes an id only where it is
//! kept.

use std::{
    borrow::Borrow,
    fmt::{self, Debug, Display},
};

/// Declares types that are a text with a meaning.
macro_rules! text_ids {
    ($($(#[$doc:meta])* $name:ident,)+) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text, without a copy.
            #[must_use]
            pub fn into_string(self) -> String {
                self.0
            }
        }

        impl Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Display::fmt(&self.0, f)
            }
        }

        // As the text itself: messages quote ids with `{:?}`.
        impl Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Debug::fmt(&self.0, f)
            }
        }

        // `Hash` and `Ord` are derived from the text, as `Borrow` demands.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, text: &str) -> bool {
                self.0 == text
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, text: &&str) -> bool {
                self.0 == *text
            }
        }
    )+};
}

text_ids! {
    /// A merchant, unique within the catalogue.
    MerchantId,
    /// A service, unique within its merchant.
    ServiceId,
    /// A ticket type, unique within its service.
    TicketId,
    /// An order, as the partner's server names it; opaque to callers.
    OrderId,
    /// The customer of an order, as the caller names them. Personal data: never logged.
    UserId,
    /// The idempotency token of an order. The cart that the order comes of has it for its id.
    Token,
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_map_of_ids_is_searched_with_plain_text() {
        let known = HashMap::from([(MerchantId::from("museum"), 1)]);
        assert_eq!(known.get("museum"), Some(&1));
        assert_eq!(known.get(&MerchantId::from("Museum")), None);
    }

    #[test]
    fn an_id_is_written_as_its_text() {
        let id = MerchantId::from("a\"b".to_owned());
        assert_eq!(format!("{id} {id:?} {id:>5}"), r#"a"b "a\"b"   a"b"#);
        assert_eq!(String::from(id), "a\"b");
    }
}
