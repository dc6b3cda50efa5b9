//! Names that were perhaps meant.

/// The one of the `known` names that is nearest to `name`, if it is near enough to be what was meant.
pub fn similar(name: &str, known: impl Iterator<Item = String>) -> Option<String> {
    let letters = name.chars().count();
    // Names that differ more than that in length need not be compared, however long one is.
    let near = known
        .filter(|known| known.len().abs_diff(letters) <= known.len() / 4)
        .map(|known| (strsim::damerau_levenshtein(&known, name), known))
        .filter(|(distance, known)| (1..=known.len() / 4).contains(distance))
        .min();
    near.map(|(_, known)| known)
}
