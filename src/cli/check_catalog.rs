//! Reading a catalogue to see whether it is right.

use std::{
    io::{self, Write},
    path::Path,
};

use super::{CATALOG, SUCCESS};
use crate::catalog_files;

pub(super) fn check_catalog(dir: &Path, stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<u8> {
    match catalog_files::load(dir) {
        Ok(loaded) => {
            let (merchants, services) = (loaded.catalog.merchants().len(), loaded.catalog.services().count());
            let openings = loaded.openings.len();
            for remark in &loaded.warnings.list {
                writeln!(stderr, "{remark}")?;
            }
            writeln!(stdout, "{merchants} merchants, {services} services, {openings} openings")?;
            Ok(SUCCESS)
        }
        Err(mistakes) => {
            writeln!(stderr, "{mistakes}")?;
            Ok(CATALOG)
        }
    }
}
