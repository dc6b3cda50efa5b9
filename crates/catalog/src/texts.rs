//! Texts with translations, in the newer form of the feeds and in the older plain one.

use serde::de::MapAccess;

use domain::catalog::LocalizedText;

use super::{
    diagnostics::Cursor,
    json::{Field, FromJson, elements, message},
};

message! {
    /// A text and its translations.
    TextObject {
        value: String,
        localized_value: Vec<Field<LocalizedString>>,
    }
}

message! {
    /// A text in one language.
    LocalizedString {
        locale: String,
        value: String,
    }
}

/// A text: an object with translations or the plain text.
#[derive(Debug, Default)]
pub(super) struct Text(TextObject);

impl FromJson for Text {
    const EXPECTED: &'static str = "a text, or an object with `value` and `localized_value`";

    fn from_text(text: &str) -> Option<Self> {
        Some(Self(TextObject {
            value: Field::Given(text.to_owned()),
            localized_value: Field::Absent,
        }))
    }

    fn from_object<'de, A: MapAccess<'de>>(object: A) -> Result<Option<Self>, A::Error> {
        Ok(TextObject::from_object(object)?.map(Self))
    }
}

impl Text {
    /// The text. If it has translations only, the first one is the text.
    pub(super) fn read(self, at: &Cursor<'_>) -> LocalizedText {
        let TextObject {
            value,
            localized_value,
        } = self.0;
        let mut value = value.optional(&at.key("value")).unwrap_or_default();
        let translations_at = at.key("localized_value");
        let translations: Vec<(String, String)> = elements(localized_value, &translations_at)
            .into_iter()
            .filter_map(|(index, text)| translation(text, &translations_at.index(index)))
            .collect();
        if let (true, Some((_, first))) = (value.is_empty(), translations.first()) {
            value.clone_from(first);
        }
        LocalizedText {
            value,
            translations,
        }
    }
}

fn translation(text: LocalizedString, at: &Cursor<'_>) -> Option<(String, String)> {
    let locale = text.locale.id(&at.key("locale"));
    let value = text.value.required(&at.key("value"));
    Some((locale?, value?))
}

/// The first of these texts that is not empty. Newer members come before the ones that they replaced.
pub(super) fn first_of<const N: usize>(
    members: [(&str, Field<Text>); N],
    at: &Cursor<'_>,
) -> Option<LocalizedText> {
    let mut texts = members
        .into_iter()
        .filter_map(|(name, field)| {
            let at = at.key(name);
            Some(field.optional(&at)?.read(&at))
        })
        // All are read before one is chosen, so that errors in the others are reported, too.
        .collect::<Vec<_>>()
        .into_iter();
    texts.find(|text| !text.value.is_empty())
}
