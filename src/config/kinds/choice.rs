//! One of a few words, and values that may be none.

use super::ValueKind;

/// One of a few words.
pub(in crate::config) struct OneOf<T: 'static>(pub(in crate::config) &'static [(&'static str, T)]);

impl<T: Copy> ValueKind for OneOf<T> {
    type Value = T;

    fn label(&self) -> &'static str {
        "WORD"
    }

    fn takes(&self) -> String {
        let words: Vec<_> = self.0.iter().map(|(word, _)| format!("`{word}`")).collect();
        words.join(" or ")
    }

    fn read(&self, text: &str) -> Option<T> {
        self.0
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| *value)
    }
}

/// What `K` takes, or `off` for none.
pub(in crate::config) struct OrOff<K>(pub(in crate::config) K);

impl<K: ValueKind> ValueKind for OrOff<K> {
    type Value = Option<K::Value>;

    fn label(&self) -> &'static str {
        self.0.label()
    }

    fn takes(&self) -> String {
        format!("{} or `off`", self.0.takes())
    }

    fn read(&self, text: &str) -> Option<Self::Value> {
        if text == "off" {
            Some(None)
        } else {
            self.0.read(text).map(Some)
        }
    }
}

/// What `K` takes, with zero for none.
pub(in crate::config) struct ZeroIsNone<K>(pub(in crate::config) K);

impl<K: ValueKind<Value: Default + PartialEq>> ValueKind for ZeroIsNone<K> {
    type Value = Option<K::Value>;

    fn label(&self) -> &'static str {
        self.0.label()
    }

    fn takes(&self) -> String {
        self.0.takes()
    }

    fn read(&self, text: &str) -> Option<Self::Value> {
        self.0
            .read(text)
            .map(|value| (value != K::Value::default()).then_some(value))
    }
}
