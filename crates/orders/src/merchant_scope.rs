//! Which orders and slots those who run the box office find.

use std::sync::Arc;

use domain::ids::MerchantId;
use kernel::user::User;

/// The merchants whose orders and slots a user finds, to read and to change them. Those of other merchants are as if they
/// were not there. Everything that a user of the operator's services asks for by name or by condition goes through here.
#[derive(Debug, Clone, Default)]
pub struct MerchantScope(Option<Arc<User>>);

impl MerchantScope {
    /// All merchants.
    pub const ALL: Self = Self(None);

    /// That of a user; all merchants where the server does not know its users.
    #[must_use]
    pub fn of(user: Option<&Arc<User>>) -> Self {
        Self(user.cloned())
    }

    /// Whether what belongs to this merchant is found.
    #[must_use]
    pub fn has(&self, merchant_id: &MerchantId) -> bool {
        let user = self.0.as_deref();
        user.is_none_or(|user| user.acts_for(merchant_id))
    }
}
