//! Shared by all tests: a server and its doubles, clients, requests, answers, and their invariants.

mod answers;
pub(crate) mod back_office;
pub(crate) mod booked_server;
pub(crate) mod byte_client;
pub(crate) mod doubles;
mod files;
pub(crate) mod invariants;
pub(crate) mod keys;
pub(crate) mod load_balancer;
pub(crate) mod mutations;
pub(crate) mod process;
mod requests;
pub(crate) mod rest_client;
pub(crate) use testkit::seeds;
mod server;
pub(crate) mod text;

pub(crate) use answers::{Checked, Created, agree, faulty_fields, reason};
pub(crate) use files::{copy_dir, edited_catalog, sample_catalog};
pub(crate) use requests::{
    Item, LONG_LETTER, NOW, address_of, museum_visit, order_request, paid_with,
    payment_information, price, request_id, stating_fees, tomorrow_at,
};
pub(crate) use server::{Setup, TestServer, Transport, config, open_store, operator_config};
