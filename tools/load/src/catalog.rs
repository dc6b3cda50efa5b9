//! The catalogue under load: one service, one ticket type, any number of slots.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

/// The first slot: 2040, and one every quarter of an hour from there.
const FIRST_START: i64 = 2_208_988_800;

/// How long a slot is.
pub(crate) const DURATION_SEC: i64 = 900;

/// What a ticket costs: 10 dollars.
pub(crate) const PRICE_MICROS: i64 = 10_000_000;

const MERCHANTS: &str = r#"{"merchant":[{"merchant_id":"m","name":"Load"}]}"#;

const SERVICES: &str = r#"{"service":[{"merchant_id":"m","service_id":"s",
    "localized_service_name":{"value":"Load"},
    "ticket_type":[{"ticket_type_id":"t","price":{"price_micros":"10000000","currency_code":"USD"}}]}]}"#;

/// When a slot starts.
pub(crate) fn start_sec(slot: u64) -> i64 {
    FIRST_START + i64::try_from(slot).expect("few slots") * DURATION_SEC
}

/// Writes the three feeds.
pub(crate) fn write(dir: &Path, slots: u64, spots: u64) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    fs::write(dir.join("merchants.json"), MERCHANTS)?;
    fs::write(dir.join("services.json"), SERVICES)?;
    let mut file = BufWriter::new(File::create(dir.join("availability.json"))?);
    write!(file, r#"{{"service_availability":[{{"availability":["#)?;
    for slot in 0..slots {
        let (comma, start) = (if slot == 0 { "" } else { "," }, start_sec(slot));
        write!(
            file,
            r#"{comma}{{"merchant_id":"m","service_id":"s","start_sec":"{start}","duration_sec":"{DURATION_SEC}","spots_total":"{spots}","spots_open":"{spots}"}}"#
        )?;
    }
    writeln!(file, "]}}]}}")?;
    file.flush()
}
