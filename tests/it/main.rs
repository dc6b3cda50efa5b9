//! Everything that is tested through a real server and a real client.

mod support;

mod smoke;
