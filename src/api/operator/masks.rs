//! Read masks: which fields of an order are answered, and whether its customer is among them.

use crate::api::{
    auth::{AuthError, User},
    booking::requests::Violations,
    error::ApiError,
    operator::{proto::v1::Order, to_proto::TypedTexts},
};
use kernel::{diagnostics::quoted, user::Permission};

/// The field of the customer, without whose name in the mask no answers to questions are given either.
const CUSTOMER: &str = "customer";

/// Every field.
const ALL: &str = "*";

/// Removes a field of an order.
type Remove = fn(&mut Order);

/// The fields that a mask may name, each with what removes it.
const FIELDS: [(&str, Remove); 21] = [
    ("name", |order| order.name.clear()),
    ("state", |order| order.state.clear()),
    ("merchant_id", |order| order.merchant_id.clear()),
    ("channel", |order| order.channel.clear()),
    ("items", |order| order.items.clear()),
    ("fulfillments", |order| order.fulfillments.clear()),
    ("refunds", |order| order.refunds.clear()),
    ("payment", |order| order.payment = None),
    (CUSTOMER, |order| order.customer = None),
    ("next_states", |order| order.next_states.clear()),
    ("timers", |order| order.timers.clear()),
    ("steps", |order| order.steps.clear()),
    ("alerts", |order| order.alerts.clear()),
    ("reason", |order| order.reason.clear()),
    ("over", |order| order.over = false),
    ("etag", |order| order.etag.clear()),
    ("create_time", |order| order.create_time = None),
    ("update_time", |order| order.update_time = None),
    ("time_zone", |order| order.time_zone.clear()),
    ("cancellation", |order| order.cancellation = None),
    ("refund_note", |order| order.refund_note.clear()),
];

/// Which fields of an order are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderMask {
    /// The named fields; `None` for all.
    named: Option<Vec<String>>,
    has_customer: bool,
    typed_texts: TypedTexts,
}

impl OrderMask {
    /// The mask of a request. Fields that no order has are violations.
    ///
    /// # Errors
    /// [`AuthError::RoleOutOfScope`] if the mask names the customer, whom the user may not see.
    pub fn read(
        paths: &[String],
        user: Option<&User>,
        violations: &mut Violations,
    ) -> Result<Self, ApiError> {
        let sees_customers = may_see_customers(user);
        let typed_texts = TypedTexts::of(user);
        if paths.iter().any(|path| path == CUSTOMER) && !sees_customers {
            return Err(AuthError::RoleOutOfScope.into());
        }
        if paths.iter().any(|path| path == ALL) {
            return Ok(Self {
                named: None,
                // All that the role permits: who asks for everything does not insist on the customer.
                has_customer: sees_customers,
                typed_texts,
            });
        }
        for path in paths {
            if !FIELDS.iter().any(|(name, _)| name == path) {
                let known: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
                let rule = format!(
                    "has {}, which is no field of an order; fields are {}",
                    quoted(path),
                    known.join(", ")
                );
                violations.add("read_mask", &rule);
                break;
            }
        }
        Ok(Self {
            named: (!paths.is_empty()).then(|| paths.to_vec()),
            has_customer: paths.iter().any(|path| path == CUSTOMER),
            typed_texts,
        })
    }

    /// Whether the customer and the answers to questions are wanted.
    #[must_use]
    pub fn has_customer(&self) -> bool {
        self.has_customer
    }

    /// Whether the user reads what people typed.
    pub(super) fn typed_texts(&self) -> TypedTexts {
        self.typed_texts
    }

    /// Removes the fields that the mask does not name.
    pub fn apply(&self, order: &mut Order) {
        let Some(named) = &self.named else { return };
        for (name, remove) in FIELDS {
            if !named.iter().any(|path| path == name) {
                remove(order);
            }
        }
    }
}

/// Whether a user may see customers. Where there are no passwords, everybody who reaches the listener may.
#[must_use]
pub fn may_see_customers(user: Option<&User>) -> bool {
    user.is_none_or(|user| user.has(Permission::SeeCustomers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::user::{Role, Scope};

    fn mask(paths: &[&str], role: Option<Role>) -> Result<OrderMask, ApiError> {
        let user = role.map(|role| {
            let scope = Scope {
                role: Some(role),
                ..Scope::default()
            };
            User::new("ada".into(), scope)
        });
        let paths: Vec<String> = paths.iter().map(|&path| path.to_owned()).collect();
        let mut violations = Violations::default();
        let mask = OrderMask::read(&paths, user.as_ref(), &mut violations)?;
        violations.into_result()?;
        Ok(mask)
    }

    #[test]
    fn a_customer_is_answered_if_named_and_permitted() {
        for (paths, role, expected) in [
            (&[][..], None, Ok(false)),
            (&["customer"], None, Ok(true)),
            (&["*"], None, Ok(true)),
            (&["name", "customer"], Some(Role::Agent), Ok(true)),
            (&["*"], Some(Role::Viewer), Ok(false)),
            (&["name"], Some(Role::Viewer), Ok(false)),
            (&["customer"], Some(Role::Viewer), Err("ROLE_OUT_OF_SCOPE")),
            (&["custmer"], None, Err("INVALID_REQUEST")),
        ] {
            let found = mask(paths, role)
                .map(|mask| mask.has_customer())
                .map_err(|error| error.mapping().reason);
            assert_eq!(found, expected, "{paths:?} {role:?}");
        }
    }

    #[test]
    fn every_field_of_an_order_can_be_named() {
        let schema = crate::api::operator::query::fields_of_order();
        assert_eq!(FIELDS.map(|(name, _)| name).to_vec(), schema);
    }

    #[test]
    fn fields_that_are_not_named_are_left_out() {
        let order = Order {
            name: "orders/a".into(),
            state: "processing".into(),
            over: true,
            ..Order::default()
        };
        let applied = |paths: &[&str]| {
            let mut order = order.clone();
            mask(paths, None).unwrap().apply(&mut order);
            order
        };
        assert_eq!(applied(&[]), order);
        assert_eq!(applied(&["*"]), order);
        let named = Order {
            name: "orders/a".into(),
            over: true,
            ..Order::default()
        };
        assert_eq!(applied(&["over", "name"]), named);
    }
}
