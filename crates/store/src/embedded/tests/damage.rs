//! Damage to single bytes of a small store: it is opened with everything that was acknowledged, or not
//! opened and left as it is.

use std::{collections::BTreeMap, path::PathBuf};

use super::*;
use testkit::seeds::seeds;

const JOURNAL: &str = "orders/0.jnl";

const TOKENS: [&str; 6] = ["early", "late", "last", "paid", "declined", "open"];

/// The files of a store, with empty directories left out.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Everything that can be asked of a store.
#[derive(Debug, PartialEq)]
struct Snapshot {
    orders: u64,
    pending: Vec<PaymentIntent>,
    prices: PriceBook,
    sold: Vec<NamedClaim>,
    replays: Vec<Option<Replay>>,
    failed_attempts: Vec<u32>,
    lists: Vec<Vec<Order>>,
}

impl Snapshot {
    fn of(store: &dyn Store) -> Result<Self, ReadError> {
        let recovered = store.recover()?;
        let user =
            |user_id: &&str| all_orders(store, &Selection::User((*user_id).into()), &|_| true);
        Ok(Self {
            orders: recovered.orders,
            pending: recovered.pending,
            prices: recovered.prices,
            sold: recovered.sold,
            replays: TOKENS
                .iter()
                .map(|token| store.by_token(&(*token).into()))
                .collect::<Result<_, _>>()?,
            failed_attempts: TOKENS
                .iter()
                .map(|token| store.failed_attempts(&(*token).into()))
                .collect::<Result<_, _>>()?,
            lists: ["ada", "bob"].iter().map(user).collect::<Result<_, _>>()?,
        })
    }
}

impl Snapshot {
    /// What a copy of a store that is in use has in it.
    fn of_copy(dir: &Path) -> Self {
        Self::of(&open(&written(&files(dir)))).unwrap()
    }
}

/// A store of which half is in a table and all is in the journal, before and after its last change.
struct Scene {
    files: Files,
    contents: Snapshot,
    /// How long the journal was before the last change, what the watermark was, and what there was.
    journal_before: usize,
    watermark_before: Vec<u8>,
    contents_before: Snapshot,
}

impl Scene {
    async fn play() -> Self {
        let dir = scratch();
        let store = open(&dir);
        store.commit(prices(1)).await.unwrap();
        order(&store, "early", "ada").await;
        for token in ["paid", "declined", "open"] {
            store
                .commit(Change::PaymentIntent(intent(token)))
                .await
                .unwrap();
        }
        store.records.rotate_memtable_and_wait().unwrap();
        store
            .commit(Change::PaymentEnded(ended(
                "declined",
                PaymentOutcome::Declined,
            )))
            .await
            .unwrap();
        store.commit(prices(2)).await.unwrap();
        let payment = Some(ended("paid", PaymentOutcome::Captured));
        let paid = PlacedOrder {
            payment,
            ..placed(&store, "paid", "ada")
        };
        store.commit(Change::Order(Arc::new(paid))).await.unwrap();
        order(&store, "late", "bob").await;
        let journal_before = content(&dir.path().join(JOURNAL));
        let watermark_before = fs::read(dir.path().join(WATERMARK)).unwrap();
        let contents_before = Snapshot::of_copy(dir.path());
        order(&store, "last", "ada").await;
        let contents = Snapshot::of_copy(dir.path());
        drop(store);
        // Opening it cuts off the room that the engine had made ahead in its journal.
        drop(open(&dir));
        let files = files(dir.path());
        Self {
            files,
            contents,
            journal_before,
            watermark_before,
            contents_before,
        }
    }

    /// What comes of opening the store with another journal and another watermark.
    fn judge_journal(&self, journal: Vec<u8>, watermark: &[u8], expected: &Snapshot) -> Verdict {
        let mut files = self.files.clone();
        files.insert(JOURNAL.into(), journal);
        files.insert(WATERMARK.into(), watermark.to_owned());
        judge(&written(&files), expected)
    }
}

/// What came of opening a store.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// Everything is as it should be.
    Right,
    /// It was not opened, for a reason that is told, and is as it was.
    Rejected(String),
    Wrong(String),
}

impl Verdict {
    fn is_rejected_for(&self, words: &str) -> bool {
        matches!(self, Self::Rejected(reason) if reason.contains(words))
    }
}

fn judge(dir: &TempDir, expected: &Snapshot) -> Verdict {
    let before = files(dir.path());
    match EmbeddedStore::open(dir.path(), 64) {
        Ok(store) => match Snapshot::of(&store) {
            Ok(contents) if contents == *expected => Verdict::Right,
            otherwise => Verdict::Wrong(format!("{otherwise:?}")),
        },
        Err(OpenError::InUse) => Verdict::Wrong("it is in use".to_owned()),
        Err(error) if files(dir.path()) == before => {
            Verdict::Rejected(ErrorChain(&error).to_string())
        }
        Err(error) => Verdict::Wrong(format!("{error}, and the files are not what they were")),
    }
}

/// The length of what is in a file, without the room that was made ahead.
fn content(path: &Path) -> usize {
    fs::read(path)
        .unwrap()
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |at| at + 1)
}

fn files(dir: &Path) -> Files {
    let mut all = Files::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                all.insert(
                    path.strip_prefix(dir).unwrap().to_owned(),
                    fs::read(&path).unwrap(),
                );
            }
        }
    }
    all
}

/// A directory of these files.
fn written(files: &Files) -> TempDir {
    let dir = scratch();
    for (path, bytes) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    dir
}

/// Bytes that mean nothing, the same every time.
fn garbage(count: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(count.try_into().unwrap());
    std::iter::repeat_with(|| random.u8(..))
        .take(count)
        .collect()
}

#[tokio::test]
async fn a_journal_that_ends_anywhere_in_its_last_batch_has_lost_that_batch_or_is_rejected() {
    let scene = Scene::play().await;
    let (journal, watermark) = (
        &scene.files[Path::new(JOURNAL)],
        &scene.files[Path::new(WATERMARK)],
    );
    eprintln!("torn at {} places", journal.len() - scene.journal_before);
    assert!(journal.len() - scene.journal_before > 100);
    for end in scene.journal_before..journal.len() {
        let rest = journal.len() - end;
        for (tail, what) in [
            (vec![], "nothing"),
            (vec![0; rest], "zeros"),
            (garbage(rest), "garbage"),
        ] {
            let torn = [&journal[..end], &tail].concat();
            let verdict = scene.judge_journal(torn.clone(), watermark, &scene.contents);
            assert!(
                matches!(verdict, Verdict::Rejected(_)),
                "acknowledged, {what} from {end}: {verdict:?}"
            );
            let verdict =
                scene.judge_journal(torn, &scene.watermark_before, &scene.contents_before);
            // What the disk was never given it does not make up; but if it does, it may be rejected.
            let is_good = verdict == Verdict::Right
                || what == "garbage" && matches!(verdict, Verdict::Rejected(_));
            assert!(is_good, "not acknowledged, {what} from {end}: {verdict:?}");
        }
    }
    let verdict = scene.judge_journal(journal.clone(), &scene.watermark_before, &scene.contents);
    assert_eq!(verdict, Verdict::Right, "whole and not acknowledged");
    let cut = journal[..scene.journal_before].to_vec();
    let verdict = scene.judge_journal(cut, watermark, &scene.contents);
    assert!(
        verdict.is_rejected_for("were acknowledged and only"),
        "{verdict:?}"
    );
}

/// Turns a bit of every byte of these files round, and as many of each as there are rounds.
async fn every_byte(is_meant: impl Fn(&str) -> bool) {
    let scene = Scene::play().await;
    let (mut right, mut rejected) = (0, 0);
    for (path, bytes) in scene
        .files
        .iter()
        .filter(|(path, _)| is_meant(path.to_str().unwrap()))
    {
        for (at, round) in (0..bytes.len()).flat_map(|at| seeds(1).map(move |round| (at, round))) {
            let mut damaged = scene.files.clone();
            let bit = (at * 5 + usize::try_from(round).unwrap()) % 8;
            damaged.get_mut(path).unwrap()[at] ^= 1 << bit;
            match judge(&written(&damaged), &scene.contents) {
                Verdict::Right => right += 1,
                Verdict::Rejected(_) => rejected += 1,
                Verdict::Wrong(what) => {
                    panic!("bit {bit} of byte {at} in {}: {what}", path.display())
                }
            }
        }
    }
    eprintln!("{rejected} rejected, {right} opened with everything in them");
    assert!(rejected > 0);
}

#[tokio::test]
async fn a_bit_that_turns_in_the_journal_is_noticed() {
    every_byte(|path| path == JOURNAL).await;
}

#[tokio::test]
async fn a_bit_that_turns_in_a_table_is_noticed() {
    every_byte(|path| path.contains("/1/tables/")).await;
}

#[tokio::test]
async fn a_bit_that_turns_in_the_engines_own_table_is_noticed() {
    every_byte(|path| path.contains("/0/tables/")).await;
}

#[tokio::test]
async fn a_bit_that_turns_in_any_other_file_is_noticed_or_makes_no_difference() {
    every_byte(|path| path != JOURNAL && !path.contains("/tables/")).await;
}

/// A change to the records of a store that is not made by its writer.
type Tampering = fn(&Keyspace, &KeyDeriver);

/// A store that somebody has tampered with, by means of the engine itself.
fn tampered(scene: &Scene, tamper: Tampering) -> TempDir {
    let dir = written(&scene.files);
    let database = Database::builder(dir.path().join("orders")).open().unwrap();
    let records = database
        .keyspace("records", KeyspaceCreateOptions::default)
        .unwrap();
    let secret = records.get(keys::SECRET).unwrap().unwrap();
    tamper(
        &records,
        &KeyDeriver::new(<[u8; 32]>::try_from(&*secret).unwrap()),
    );
    database.persist(fjall::PersistMode::SyncAll).unwrap();
    dir
}

fn key_of_late(deriver: &KeyDeriver) -> Vec<u8> {
    keys::user_order(&deriver.user_key(&"bob".into()), 3)
}

fn take_an_order_out(records: &Keyspace, deriver: &KeyDeriver) {
    records
        .remove(keys::order(&deriver.order_key(&"late".into())))
        .unwrap();
    records.remove(key_of_late(deriver)).unwrap();
}

fn take_an_order_out_of_the_checksum_too(records: &Keyspace, deriver: &KeyDeriver) {
    take_an_order_out(records, deriver);
    let before = records.get(keys::STATE_CHECKSUM).unwrap().unwrap();
    let mut checksum = StateChecksum::default();
    checksum.verify_and_resume(&before);
    for entry in records.iter() {
        let (key, value) = entry.into_inner().unwrap();
        if &*key != keys::STATE_CHECKSUM {
            checksum.add(&key, &value);
        }
    }
    records
        .insert(keys::STATE_CHECKSUM, checksum.to_record())
        .unwrap();
}

#[tokio::test]
async fn records_that_are_not_those_that_were_written_are_noticed_though_the_engine_finds_them_sound()
 {
    let scene = Scene::play().await;
    let tamperings: [Tampering; 6] = [
        take_an_order_out,
        |records, deriver| records.remove(key_of_late(deriver)).unwrap(),
        |records, deriver| {
            let key = keys::order(&deriver.order_key(&"early".into()));
            records.insert(key, key_of_late(deriver)).unwrap();
        },
        |records, deriver| {
            let intent = record::encode_intent(
                &intent("paid"),
                &deriver.order_key(&"paid".into()).order_id(),
            );
            records
                .insert(keys::intent(&deriver.order_key(&"paid".into())), intent)
                .unwrap();
        },
        |records, deriver| {
            records
                .remove(keys::intent(&deriver.order_key(&"open".into())))
                .unwrap();
        },
        |records, _| records.remove(keys::STATE_CHECKSUM).unwrap(),
    ];
    for (number, tamper) in tamperings.into_iter().enumerate() {
        let verdict = judge(&tampered(&scene, tamper), &scene.contents);
        assert!(
            verdict.is_rejected_for("records are missing"),
            "{number}: {verdict:?}"
        );
    }
    assert_eq!(
        judge(&tampered(&scene, |_, _| {}), &scene.contents),
        Verdict::Right
    );
}

/// The negative control: an order that is missing unnoticed is found by the comparison.
#[tokio::test]
async fn a_store_that_is_opened_without_an_order_is_found_out() {
    let scene = Scene::play().await;
    let dir = tampered(&scene, take_an_order_out_of_the_checksum_too);
    let verdict = judge(&dir, &scene.contents);
    assert!(matches!(verdict, Verdict::Wrong(_)), "{verdict:?}");
}

#[tokio::test]
async fn a_start_that_never_ended_is_rolled_back_by_the_next() {
    let scene = Scene::play().await;
    let home = |dir: &TempDir| dir.path().join("orders");
    let interruptions: [fn(&Path); 4] = [
        |_| {},
        |home| fs::write(home.join("0.jnl"), "").unwrap(),
        |home| fs::remove_dir_all(home.join("keyspaces")).unwrap(),
        |home| fs::remove_dir_all(home).unwrap(),
    ];
    for interrupt in interruptions {
        let dir = written(&scene.files);
        OpenGuard::begin(&home(&dir))
            .unwrap()
            .copy_journals()
            .unwrap();
        interrupt(&home(&dir));
        // Half of what an opening before that had kept is still to be removed.
        fs::create_dir_all(dir.path().join("orders.unfinished/keyspaces")).unwrap();
        assert_eq!(judge(&dir, &scene.contents), Verdict::Right);
        assert!(
            files(dir.path())
                .keys()
                .all(|path| !path.to_str().unwrap().contains("orders."))
        );
    }
}

#[tokio::test]
async fn a_writer_that_panics_has_failed() {
    let dir = scratch();
    let watermark = CommitWatermark::open(&dir.path().join(WATERMARK)).unwrap();
    let RecoveredDatabase {
        database,
        records,
        keys,
        scan,
    } = recovery::open(&dir.path().join("orders"), &watermark).unwrap();
    let (sender, state) = watch::channel(StoreState::Open);
    let metrics = Arc::new(WriterMetrics::new(0));
    // One more order, and it cannot count them.
    let last_sequence = u64::MAX;
    let writer = CommitWriter {
        database,
        records,
        checksum: scan.checksum,
        last_sequence,
        watermark,
        state: sender,
        metrics,
    };
    let (queue, batches) = commit_queue(1);
    let store = MemoryStore::default();
    let order = Change::Order(Arc::new(placed(&store, "token", "ada")));
    let [committed, later] =
        [order, prices(1)].map(|change| queue.submit(EncodedChange::new(&change, &keys)));
    drop(queue);
    writer.run(&batches);
    for rejected in [committed.await, later.await] {
        assert!(
            matches!(rejected, Err(CommitError::WriterPanicked)),
            "{rejected:?}"
        );
    }
    assert!(!state.borrow().is_open());
}
