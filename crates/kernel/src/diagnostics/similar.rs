//! Suggestions for misspelt names.

/// The known name nearest to `name`, if at most one letter in four differs.
pub fn similar(name: &str, known: impl Iterator<Item = String>) -> Option<String> {
    let letters = name.chars().count();
    let mut nearest: Option<(usize, String)> = None;
    for known in known {
        // A quarter: short names need to match exactly, or every unknown key would get a suggestion.
        let length = known.chars().count();
        let most = length / 4;
        // Names that differ more than that in length need not be compared, however long one is.
        if length.abs_diff(letters) > most {
            continue;
        }
        let candidate = (strsim::damerau_levenshtein(&known, name), known);
        if (1..=most).contains(&candidate.0)
            && nearest.as_ref().is_none_or(|nearest| candidate < *nearest)
        {
            nearest = Some(candidate);
        }
    }
    nearest.map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_misses_are_suggested() {
        for (name, suggested) in [
            ("max_inflight", Some("max_in_flight")),
            ("drain_dealy", Some("drain_delay")),
            ("colour", None),
            ("log", None),
            ("l", None),
            ("größ", Some("größe")),
            ("zählxxg", None),
        ] {
            let known =
                ["max_in_flight", "drain_delay", "log", "größe", "zählung"].map(str::to_owned);
            let found = similar(name, known.into_iter());
            assert_eq!(found.as_deref(), suggested, "{name}");
        }
    }
}
