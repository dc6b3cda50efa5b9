//! Feed files: their names, and reading them element by element. The members of an element are read in `merchants`,
//! `services` and `availability`.

use std::{
    io::{BufReader, Read},
    path::Path,
};

use flate2::read::MultiGzDecoder;
use serde::de::{Deserialize, DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess};

use kernel::{
    files::{
        regular::{self, Bounded},
        text,
    },
    proto_json,
};

use super::{
    diagnostics::Cursor,
    folder::{self, CatalogFolder},
    json::{AnyValue, Field, KeyAmong, Receive},
    shards::{self, Metadata, ShardFile},
};

/// Bytes per read of a file.
const BUFFER_BYTES: usize = 1 << 16;

/// Most bytes of a feed file, uncompressed: Google accepts 200 MB compressed, and the bound stops a
/// decompression bomb.
const MAX_FEED_BYTES: u64 = 8 << 30;

/// A kind of feed.
#[derive(Debug)]
pub(super) struct Feed {
    /// The beginning of the names of its files.
    pub(super) stem: &'static str,
    /// The location of its elements.
    pub(super) lists: Lists,
}

/// A list in the top object of a file or, with `inner`, the lists of that name in its elements.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lists {
    pub(super) outer: &'static str,
    pub(super) inner: Option<&'static str>,
}

pub(super) const MERCHANTS: Feed = Feed {
    stem: "merchants",
    lists: Lists {
        outer: "merchant",
        inner: None,
    },
};

pub(super) const SERVICES: Feed = Feed {
    stem: "services",
    lists: Lists {
        outer: "service",
        inner: None,
    },
};

pub(super) const AVAILABILITY: Feed = Feed {
    stem: "availability",
    lists: Lists {
        outer: "service_availability",
        inner: Some("availability"),
    },
};

impl CatalogFolder<'_> {
    /// Calls `each` with every element of a feed, and returns whether the whole feed could be read.
    pub(super) fn read<T: DeserializeOwned>(
        &self,
        feed: &Feed,
        mut each: impl FnMut(&Cursor<'_>, T),
    ) -> bool {
        let names = self.files_of(feed);
        if names.is_empty() {
            return false;
        }
        let mut whole = true;
        let mut read = |name: &'_ String| {
            let (metadata, to_the_end) = self.read_file(name, feed.lists, &mut each);
            whole &= to_the_end;
            ShardFile {
                file: name.clone(),
                metadata,
                to_the_end,
            }
        };
        let shards = names.into_iter().map(&mut read).collect();
        shards::are_complete(shards, self.sink) && whole
    }

    /// Reads a file as far as its JSON is valid. Returns its metadata, and whether it was read to the end.
    fn read_file<T: DeserializeOwned>(
        &self,
        name: &str,
        lists: Lists,
        each: &mut impl FnMut(&Cursor<'_>, T),
    ) -> (Field<Metadata>, bool) {
        let at = self.sink.file(name);
        let mut metadata = Field::Absent;
        let source = match open(&self.dir.join(name)) {
            Ok(source) => source,
            Err(error) => {
                text::report_unreadable(&at, &error);
                return (metadata, false);
            }
        };
        let mut json =
            serde_json::Deserializer::from_reader(BufReader::with_capacity(BUFFER_BYTES, source));
        let top = FeedObject {
            at,
            lists,
            each,
            metadata: Some(&mut metadata),
            element: std::marker::PhantomData,
        };
        let outcome = AnyValue(top)
            .deserialize(&mut json)
            .and_then(|()| json.end());
        if let Err(error) = &outcome {
            report_broken(&at, error);
        }
        (metadata, outcome.is_ok())
    }
}

impl Feed {
    /// Whether a file of that name belongs to this feed: the stem, alone or followed by a separator and
    /// anything, and `.json` or `.json.gz`. Descriptors do not belong to it.
    pub(super) fn has(&self, name: &str) -> bool {
        if folder::is_descriptor(name) {
            return false;
        }
        let bare = name
            .strip_suffix(".gz")
            .unwrap_or(name)
            .strip_suffix(".json");
        bare.and_then(|bare| bare.strip_prefix(self.stem))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_', '.']))
    }
}

fn open(path: &Path) -> std::io::Result<Bounded<Box<dyn Read>>> {
    let file = regular::open(path)?;
    // By name and not by content: a compressed file without `.gz` gets an error of its own.
    let zipped = path.extension().is_some_and(|extension| extension == "gz");
    let text: Box<dyn Read> = if zipped {
        // Multi-member: tools append to a gzip file by writing another member.
        Box::new(text::skip_mark(MultiGzDecoder::new(BufReader::new(file)))?)
    } else {
        Box::new(text::skip_mark(file)?)
    };
    // The bound counts uncompressed bytes, which are what a bomb inflates.
    Ok(Bounded::new(text, MAX_FEED_BYTES))
}

fn report_broken(at: &Cursor<'_>, error: &serde_json::Error) {
    let text = proto_json::broken(error);
    // The file may be valid: the disk or the decompression failed.
    if error.is_io() {
        at.error("unreadable", format!("cannot be read to the end: {text}"));
    } else {
        at.position(proto_json::position(error)).error(
            "not_json",
            format!("{text}; this is not JSON, and the rest of the file was not read"),
        );
    }
}

/// Reads an object with a list and calls `each` with every element of it, because the list may be larger
/// than memory.
struct FeedObject<'a, T, F> {
    at: Cursor<'a>,
    lists: Lists,
    each: &'a mut F,
    metadata: Option<&'a mut Field<Metadata>>,
    element: std::marker::PhantomData<T>,
}

impl<'de, T: Deserialize<'de>, F: FnMut(&Cursor<'_>, T)> Receive<'de> for FeedObject<'_, T, F> {
    type Output = ();

    fn unexpected(self, found: &str) {
        self.at.error(
            "wrong_type",
            format!(
                "expected an object with the list {:?}, found {found}",
                self.lists.outer
            ),
        );
    }

    fn object<A: MapAccess<'de>>(mut self, mut object: A) -> Result<(), A::Error> {
        let names = ["metadata", self.lists.outer];
        let at = self.at.key(self.lists.outer);
        let (mut listed, mut has_metadata) = (false, false);
        let mut other = String::new();
        while let Some(key) = object.next_key_seed(KeyAmong(&names, &mut other))? {
            let key = key.map(|(_, name)| name);
            if key == Some(self.lists.outer) {
                // JSON parsers keep one of two equal keys, and half of the feed would vanish without a
                // word.
                if std::mem::replace(&mut listed, true) {
                    at.error("duplicate", "is given twice");
                }
                let list = ElementList {
                    at,
                    inner: self.lists.inner,
                    each: self.each,
                    element: self.element,
                };
                object.next_value_seed(AnyValue(list))?;
            } else if let (Some(_), Some(metadata)) = (key, &mut self.metadata) {
                let value = object.next_value()?;
                if std::mem::replace(&mut has_metadata, true) {
                    metadata.twice();
                } else {
                    **metadata = value;
                }
            } else {
                // Unknown members are skipped: a later version of the feeds may have more of them.
                object.next_value::<serde::de::IgnoredAny>()?;
            }
        }
        if !listed {
            at.error(
                "missing",
                "is missing; where there is nothing, write an empty list",
            );
        }
        Ok(())
    }
}

/// Reads a list and calls `each` with its elements, or with the elements of the lists in its elements.
struct ElementList<'a, T, F> {
    at: Cursor<'a>,
    inner: Option<&'static str>,
    each: &'a mut F,
    element: std::marker::PhantomData<T>,
}

impl<'de, T: Deserialize<'de>, F: FnMut(&Cursor<'_>, T)> Receive<'de> for ElementList<'_, T, F> {
    type Output = ();

    fn unexpected(self, found: &str) {
        self.at
            .error("wrong_type", format!("expected a list, found {found}"));
    }

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self {
            at,
            inner,
            each,
            element,
        } = self;
        for index in 0.. {
            let at = at.index(index);
            let read = match inner {
                None => list.next_element()?.map(|element| each(&at, element)),
                Some(name) => {
                    let lists = Lists {
                        outer: name,
                        inner: None,
                    };
                    let object = FeedObject {
                        at,
                        lists,
                        each: &mut *each,
                        metadata: None,
                        element,
                    };
                    list.next_element_seed(AnyValue(object))?
                }
            };
            if read.is_none() {
                break;
            }
        }
        Ok(())
    }
}
