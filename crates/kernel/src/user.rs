//! Users and their scopes.

use std::{borrow::Borrow, collections::BTreeSet, sync::Arc};

use crate::rpc::{Method, OperatorRpc, Rpc, Subject, Transport};
use types::ids::MerchantId;

/// Why a call is not in the scope of its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutOfScope {
    /// The user may not call over this transport.
    Transport,
    /// The user may not call this method.
    Method,
    /// The role of the user does not permit it.
    Role,
    /// It is about the whole server, and the user acts for some merchants only.
    Server,
}

/// A user of the credentials file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    name: Arc<str>,
    scope: Scope,
}

/// The scope of a user. `None` means no restriction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// The merchants that the user acts for.
    pub merchants: Option<BTreeSet<MerchantId>>,
    /// The methods that the user may call.
    pub methods: Option<Vec<Rpc>>,
    /// The transports that the user may use.
    pub transports: Option<Vec<Transport>>,
    /// Whether the user sees the orders of others.
    pub all_orders: bool,
    /// What the user may do with the operator's services; `None` for callers, who have no access to them.
    pub role: Option<Role>,
}

/// What a user of the operator's services may do. A later role may do everything that an earlier one may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads orders and slots.
    Viewer,
    /// Sees customers and changes orders, too.
    Agent,
    /// May do everything.
    Admin,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Agent, Self::Admin];

    /// Its name in settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Agent => "agent",
            Self::Admin => "admin",
        }
    }

    /// Whether the role has a permission. Every check of a role is made here.
    #[must_use]
    pub fn has(self, permission: Permission) -> bool {
        let least = match permission {
            Permission::Read => Self::Viewer,
            Permission::SeeCustomers | Permission::ChangeOrders => Self::Agent,
            Permission::Intervene | Permission::ManageCustomers => Self::Admin,
        };
        self >= least
    }
}

/// What a role may permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Reading orders without their customers, slots, and the names of those who come to a slot.
    Read,
    /// Reading customers, their answers, and the reasons and notes that people type, and searching by customers.
    SeeCustomers,
    /// Changing orders by the operations of a box office.
    ChangeOrders,
    /// Changing states past those operations, giving up work that is not done, and changing the lifecycle itself.
    Intervene,
    /// Exporting everything about a customer, and erasing it.
    ManageCustomers,
}

impl User {
    /// A user of that name.
    #[must_use]
    pub fn new(name: Arc<str>, scope: Scope) -> Self {
        Self { name, scope }
    }

    /// Its name, under which the orders that it creates are recorded.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether the user may call a method over a transport. Health checks are in every scope, and so is
    /// everything outside of the contract, such as reflection. `method` is evaluated only if the scope
    /// depends on it.
    ///
    /// # Errors
    /// [`OutOfScope`].
    pub fn check_call(
        &self,
        transport: Transport,
        method: impl FnOnce() -> Option<Method>,
    ) -> Result<(), OutOfScope> {
        let Scope {
            methods,
            transports,
            ..
        } = &self.scope;
        // The fast path: an unrestricted user needs no look-up of the method.
        if methods.is_none() && transports.is_none() && self.scope.role.is_none() {
            return Ok(());
        }
        let method = match method() {
            Some(Method::Operator(rpc)) => return self.check_operator_call(rpc),
            Some(Method::Booking(Rpc::HealthCheck)) | None => return Ok(()),
            Some(Method::Booking(rpc)) => rpc,
        };
        if transports
            .as_ref()
            .is_some_and(|taken| !taken.contains(&transport))
        {
            return Err(OutOfScope::Transport);
        }
        if methods
            .as_ref()
            .is_some_and(|taken| !taken.contains(&method))
        {
            return Err(OutOfScope::Method);
        }
        Ok(())
    }

    fn check_operator_call(&self, rpc: OperatorRpc) -> Result<(), OutOfScope> {
        if !self.has(rpc.permission()) {
            return Err(OutOfScope::Role);
        }
        if rpc.subject() == Subject::Server && self.scope.merchants.is_some() {
            return Err(OutOfScope::Server);
        }
        Ok(())
    }

    /// Its role; `None` for a caller.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        self.scope.role
    }

    /// Whether its role has a permission.
    #[must_use]
    pub fn has(&self, permission: Permission) -> bool {
        self.scope.role.is_some_and(|role| role.has(permission))
    }

    /// Whether it may check, order, look up and run what this merchant sells.
    #[must_use]
    pub fn acts_for<Q>(&self, merchant_id: &Q) -> bool
    where
        MerchantId: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.scope
            .merchants
            .as_ref()
            .is_none_or(|taken| taken.contains(merchant_id))
    }

    /// Whether the user may see an order of this merchant. `created_by` is `None` if the order was created
    /// without authentication.
    #[must_use]
    pub fn may_see(&self, created_by: Option<&str>, merchant_id: &MerchantId) -> bool {
        // An order without a creator is nobody's own, so only users with `all_orders` see it.
        let is_own = || created_by == Some(&*self.name);
        (self.scope.all_orders || is_own()) && self.acts_for(merchant_id)
    }

    /// Whether a repetition of the request that created an order may be answered with that order. If the
    /// order was created without authentication, knowledge of the whole request is proof enough.
    #[must_use]
    pub fn may_repeat(&self, created_by: Option<&str>) -> bool {
        self.scope.all_orders || created_by.is_none_or(|name| name == &*self.name)
    }

    /// The merchants that the scope names; empty if it is unrestricted.
    pub fn merchants(&self) -> impl Iterator<Item = &MerchantId> {
        self.scope.merchants.iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(scope: Scope) -> User {
        User::new("ada".into(), scope)
    }

    fn of_museum(scope: &Scope) -> Scope {
        Scope {
            merchants: Some(["museum".into()].into()),
            ..scope.clone()
        }
    }

    #[test]
    fn without_a_scope_everything_may_be_called_for_every_merchant() {
        let user = user(Scope::default());
        for transport in Transport::ALL {
            for method in Rpc::ALL
                .map(|rpc| Some(Method::Booking(rpc)))
                .into_iter()
                .chain([None])
            {
                assert_eq!(
                    user.check_call(transport, || method),
                    Ok(()),
                    "{transport:?} {method:?}"
                );
            }
        }
        assert!(user.acts_for("museum") && user.acts_for(""));
    }

    #[test]
    fn a_scope_bounds_the_methods_of_the_contract_and_neither_health_nor_reflection() {
        let methods = Some(vec![Rpc::CreateOrder, Rpc::ListOrders]);
        let transports = Some(vec![Transport::Rest]);
        let bound = user(Scope {
            methods,
            transports,
            ..Scope::default()
        });
        let (transport, method) = (Err(OutOfScope::Transport), Err(OutOfScope::Method));
        for (over, asked, expected) in [
            (Transport::Rest, Some(Rpc::CreateOrder), Ok(())),
            (Transport::Rest, Some(Rpc::ListOrders), Ok(())),
            (Transport::Rest, Some(Rpc::CheckOrderFulfillability), method),
            (Transport::Rest, Some(Rpc::BatchAvailabilityLookup), method),
            (Transport::Rest, Some(Rpc::CheckAvailability), method),
            (Transport::Grpc, Some(Rpc::CreateOrder), transport),
            (Transport::GrpcWeb, Some(Rpc::CreateOrder), transport),
            (Transport::Grpc, Some(Rpc::CheckAvailability), transport),
            (Transport::Grpc, Some(Rpc::HealthCheck), Ok(())),
            (Transport::Rest, Some(Rpc::HealthCheck), Ok(())),
            (Transport::Grpc, None, Ok(())),
        ] {
            assert_eq!(
                bound.check_call(over, || asked.map(Method::Booking)),
                expected,
                "{over:?} {asked:?}"
            );
        }
        let unbound = user(of_museum(&Scope::default()));
        assert_eq!(
            unbound.check_call(Transport::Grpc, || panic!("it does not matter")),
            Ok(())
        );
    }

    #[test]
    fn orders_are_visible_to_their_creator_and_to_users_with_all_orders() {
        let own = Scope::default();
        let all = Scope {
            all_orders: true,
            ..Scope::default()
        };
        let (own_of_museum, all_of_museum) = (of_museum(&own), of_museum(&all));
        for (created_by, merchant, seen_by) in [
            (Some("ada"), "museum", [true, true, true, true]),
            (Some("ada"), "salon", [true, true, false, false]),
            (Some("eve"), "museum", [false, true, false, true]),
            (Some("eve"), "salon", [false, true, false, false]),
            (Some("ad"), "museum", [false, true, false, true]),
            (None, "museum", [false, true, false, true]),
            (None, "salon", [false, true, false, false]),
        ] {
            let scopes = [&own, &all, &own_of_museum, &all_of_museum];
            let seen =
                scopes.map(|scope| user(scope.clone()).may_see(created_by, &merchant.into()));
            assert_eq!(seen, seen_by, "{created_by:?} {merchant}");
        }
    }

    #[test]
    fn a_role_may_what_the_roles_before_it_may_and_more() {
        let permissions = [
            Permission::Read,
            Permission::SeeCustomers,
            Permission::ChangeOrders,
            Permission::Intervene,
        ];
        let expected = [
            [true, false, false, false],
            [true, true, true, false],
            [true, true, true, true],
        ];
        let found = Role::ALL.map(|role| permissions.map(|permission| role.has(permission)));
        assert_eq!(found, expected);
    }

    #[test]
    fn callers_have_no_access_to_the_services_of_the_operator() {
        for role in [None, Some(Role::Viewer), Some(Role::Admin)] {
            let user = user(Scope {
                role,
                // Otherwise the method is not looked at.
                methods: Some(Vec::new()),
                ..Scope::default()
            });
            for rpc in crate::rpc::OperatorRpc::ALL {
                let found = user.check_call(Transport::Grpc, || Some(Method::Operator(rpc)));
                let is_permitted = match role {
                    None => false,
                    Some(Role::Admin) => true,
                    Some(role) => role.has(rpc.permission()),
                };
                let expected = if is_permitted {
                    Ok(())
                } else {
                    Err(OutOfScope::Role)
                };
                assert_eq!(found, expected, "{role:?} {rpc:?}");
            }
        }
    }

    #[test]
    fn what_is_about_the_whole_server_is_for_users_of_all_merchants() {
        let admin = Scope {
            role: Some(Role::Admin),
            ..Scope::default()
        };
        let (of_all, of_museum) = (user(admin.clone()), user(of_museum(&admin)));
        for rpc in OperatorRpc::ALL {
            let asked =
                |user: &User| user.check_call(Transport::Rest, || Some(Method::Operator(rpc)));
            let expected = if rpc.subject() == Subject::Server {
                Err(OutOfScope::Server)
            } else {
                Ok(())
            };
            assert_eq!(
                (asked(&of_all), asked(&of_museum)),
                (Ok(()), expected),
                "{rpc:?}"
            );
        }
    }

    #[test]
    fn a_request_is_repeated_by_its_creator_or_where_that_is_not_known() {
        for (all_orders, created_by, expected) in [
            (false, Some("ada"), true),
            (false, Some("eve"), false),
            (false, None, true),
            (true, Some("eve"), true),
        ] {
            let user = user(Scope {
                all_orders,
                ..Scope::default()
            });
            assert_eq!(
                user.may_repeat(created_by),
                expected,
                "{all_orders} {created_by:?}"
            );
        }
    }
}
