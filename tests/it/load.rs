//! Overload: slow and greedy clients, and limits of the operating system.

mod resources;
mod slow_clients;
