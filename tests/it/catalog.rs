//! Catalogues: read, checked, replaced while the server runs, and exported again.

mod check_catalog;
mod feeds;
mod reload;
mod special_files;
