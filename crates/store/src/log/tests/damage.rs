//! Damage to single bytes of a small store, and to whole files of it. The store is opened with everything that was
//! acknowledged, or not opened and left as it was. Damage behind a summary, which a start does not look at, is found by
//! every read of it.

use std::{collections::BTreeMap, path::PathBuf};

use testkit::seeds::seeds;

use domain::slot::BlockedSpots;

use super::*;
use crate::{
    BegunOrder, LifecycleChange, LifecycleDraft, LifecycleRevision, NamedSlot, OrderUpdate,
    Precondition, SlotBlock, StatesInUse, StepRetry, StoredOrder, UpdateTexts,
    conformance::samples, log::segment::SEGMENT_HEADER_BYTES,
};

/// A header and some frames: the store of the scene has three segments.
const SMALL: u64 = 8 << 10;

const TOKENS: [&str; 7] = [
    "early", "paid", "declined", "open", "middle", "late", "last",
];

const HOLDS: [u8; 3] = [1, 2, 3];

/// The files of a store.
type Files = BTreeMap<PathBuf, Vec<u8>>;

fn small() -> LogOptions {
    LogOptions {
        segment_bytes: SMALL,
        ..options()
    }
}

fn open_small(dir: &Path) -> LogStore {
    LogStore::open_with(dir, &small()).unwrap()
}

fn everything() -> Selection {
    Selection::Created {
        from: EpochSeconds::MIN,
        until: EpochSeconds::MAX,
    }
}

fn every_visit() -> Selection {
    Selection::Visit {
        from: EpochSeconds::MIN,
        until: EpochSeconds::MAX,
    }
}

/// An answer of a store; `None` where it says that a record is damaged.
type Answer = Option<AnswerValue>;

#[derive(Debug, PartialEq)]
enum AnswerValue {
    Replay(Option<Replay>),
    Attempts(u32),
    Hold(Option<StoredHold>),
    Orders(Vec<Order>),
    Stored(Box<Option<StoredOrder>>),
    History(Vec<OrderUpdate>),
    Lifecycle(Vec<LifecycleChange>),
}

/// Everything that a store answers.
#[derive(Debug, PartialEq)]
struct Answers {
    orders: u64,
    sold: Vec<NamedClaim>,
    updated: Vec<OrderUpdate>,
    begun: Vec<BegunOrder>,
    pending: Vec<PaymentIntent>,
    holds: Vec<HoldRecord>,
    blocks: Vec<SlotBlock>,
    prices: PriceBook,
    retried: Vec<StepRetry>,
    lifecycle: (Vec<LifecycleRevision>, Option<String>),
    states: StatesInUse,
    times: [Option<EpochSeconds>; 2],
    questions: Vec<Answer>,
}

impl Answers {
    async fn of(store: &dyn Store) -> Result<Self, ReadError> {
        let Recovered {
            orders,
            mut sold,
            mut updated,
            mut begun,
            retried,
            lifecycle,
            draft,
            mut pending,
            mut holds,
            mut blocks,
            prices,
            newest_order_sec,
            slots_forgotten_until,
        } = store.recover()?;
        sold.sort_by_key(|claim| (claim.start_sec, claim.ticket_id.clone()));
        updated.sort_by(|one, other| one.order.cmp(&other.order));
        begun.sort_by(|one, other| one.order.cmp(&other.order));
        pending.sort_by(|one, other| one.token.cmp(&other.token));
        holds.sort_by_key(|hold| hold.id);
        blocks.sort_by(|one, other| one.slot.cmp(&other.slot));
        let mut questions = Vec::new();
        for token in TOKENS.map(Token::from) {
            let key = store.order_key(&token);
            let replay = store.find_request(&key).get().await;
            questions.push(answer(replay, AnswerValue::Replay)?);
            let attempts = store.failed_attempts(&key).get().await;
            questions.push(answer(attempts, AnswerValue::Attempts)?);
            let stored = store.find_order(&key.order_id()).get().await;
            questions.push(answer(stored, |stored| {
                AnswerValue::Stored(Box::new(stored))
            })?);
            let history = history(store, &key.order_id());
            questions.push(answer(history, AnswerValue::History)?);
            let by_id = Selection::Ids(vec![key.order_id()]);
            questions.push(answer(listed(store, &by_id), AnswerValue::Orders)?);
        }
        for number in HOLDS {
            let hold = store.find_hold(HoldId([number; 16])).get().await;
            questions.push(answer(hold, AnswerValue::Hold)?);
        }
        for user_id in ["ada", "bob"] {
            let of_user = Selection::User(user_id.into());
            questions.push(answer(listed(store, &of_user), AnswerValue::Orders)?);
        }
        for all in [everything(), every_visit()] {
            questions.push(answer(listed(store, &all), AnswerValue::Orders)?);
        }
        questions.push(answer(changes(store), AnswerValue::Lifecycle)?);
        Ok(Self {
            orders,
            sold,
            updated,
            begun,
            pending,
            holds,
            blocks,
            prices,
            retried,
            lifecycle: (lifecycle, draft),
            states: store.states_in_use(),
            times: [newest_order_sec, slots_forgotten_until],
            questions,
        })
    }

    /// Whether every answer is one of these, or says that a record is damaged.
    fn agree_with(&self, expected: &Self) -> bool {
        let without_questions = |answers: &Self| {
            let Self {
                orders,
                sold,
                updated,
                begun,
                pending,
                holds,
                blocks,
                prices,
                retried,
                lifecycle,
                states,
                times,
                questions: _,
            } = answers;
            format!(
                "{orders} {sold:?} {updated:?} {begun:?} {pending:?} {holds:?} {blocks:?} {prices:?} {times:?} \
                 {retried:?} {lifecycle:?} {states:?}"
            )
        };
        without_questions(self) == without_questions(expected)
            && self
                .questions
                .iter()
                .zip(&expected.questions)
                .all(|(answer, expected)| answer.is_none() || answer == expected)
    }
}

/// An answer, `None` for a damaged record. No other error may come of damage.
fn answer<T>(
    read: Result<T, ReadError>,
    value: impl FnOnce(T) -> AnswerValue,
) -> Result<Answer, ReadError> {
    match read {
        Ok(read) => Ok(Some(value(read))),
        Err(ReadError::Damaged(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The changes of the lifecycle, newest first.
fn changes(store: &dyn Store) -> Result<Vec<LifecycleChange>, ReadError> {
    let mut changes = Vec::new();
    store.lifecycle_changes(&mut |change| {
        changes.push(change);
        ControlFlow::Continue(())
    })?;
    Ok(changes)
}

/// The first revision of the lifecycle, and a draft of the next one. They are short, like the updates.
fn lifecycle() -> [Write; 2] {
    let mut random = fastrand::Rng::with_seed(1);
    let revision = LifecycleRevision {
        name: "first".to_owned(),
        text: "one".to_owned(),
        by: None,
        maps: Vec::new(),
        answer: None,
        ..samples::revision(&mut random, 1)
    };
    let draft = LifecycleDraft {
        text: Some("two".to_owned()),
        drafted_sec: EpochSeconds::new(30),
        by: None,
        answer: None,
    };
    [
        Write::Lifecycle(Box::new(revision)),
        Write::LifecycleDraft(Box::new(draft)),
    ]
}

/// The updates of an order, newest first.
fn history(store: &dyn Store, order: &OrderId) -> Result<Vec<OrderUpdate>, ReadError> {
    let mut updates = Vec::new();
    store.history(order, &mut |update| {
        updates.push(update);
        ControlFlow::Continue(())
    })?;
    Ok(updates)
}

/// An update that gives nothing back. It is short, so that the store keeps its segments.
fn update(store: &dyn Store, token: &str, revision: u32) -> Write {
    let id = store.order_key(&token.into()).order_id();
    let mut update = samples::update(&mut fastrand::Rng::with_seed(1), id, revision);
    update.entry.texts = UpdateTexts {
        note: "she is ill".to_owned(),
        reason: String::new(),
    };
    update.entry.actor = None;
    update.entry.changes.clear();
    update.answer = None;
    Write::OrderUpdated(Box::new(update))
}

/// A block of one of two slots. It is short, so that the store keeps its segments.
fn block(start_sec: i64, spots: BlockedSpots) -> Write {
    Write::Blocked(Box::new(SlotBlock {
        slot: NamedSlot {
            start_sec: EpochSeconds::new(start_sec),
            merchant_id: "m".into(),
            service_id: "s".into(),
            duration_sec: 1.into(),
        },
        spots,
        reason: String::new(),
        actor: None,
        blocked_sec: EpochSeconds::new(1),
        answer: None,
    }))
}

/// What came of opening a store.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// Everything is as it should be.
    Right,
    /// It was opened, and says of some records that they are damaged. Everything else is right.
    Found,
    /// It was not opened, for a reason that is told, and is as it was.
    Rejected(String),
    Wrong(String),
}

impl Verdict {
    fn is_rejected_for(&self, words: &str) -> bool {
        matches!(self, Self::Rejected(reason) if reason.contains(words))
    }
}

async fn judge(files: &Files, expected: &Answers) -> Verdict {
    let dir = written(files);
    let error = match LogStore::open_with(dir.path(), &small()) {
        Ok(store) => {
            return match Answers::of(&store).await {
                Ok(answers) if answers == *expected => Verdict::Right,
                Ok(answers) if answers.agree_with(expected) => Verdict::Found,
                otherwise => Verdict::Wrong(format!("{otherwise:?}")),
            };
        }
        Err(error) => ErrorChain(&error).to_string(),
    };
    if read_files(dir.path()) == *files {
        Verdict::Rejected(error)
    } else {
        Verdict::Wrong(format!("{error}, and the files are not what they were"))
    }
}

/// All files below a directory.
fn read_files(dir: &Path) -> Files {
    let mut files = Files::new();
    for home in [dir.to_owned(), dir.join(SEGMENTS)] {
        for entry in fs::read_dir(home).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let name = path.strip_prefix(dir).unwrap().to_owned();
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// A directory of these files.
fn written(files: &Files) -> TempDir {
    let dir = scratch();
    fs::create_dir(dir.path().join(SEGMENTS)).unwrap();
    for (path, bytes) in files {
        fs::write(dir.path().join(path), bytes).unwrap();
    }
    dir
}

fn log_path(number: u64) -> PathBuf {
    Path::new(SEGMENTS).join(segment_name::log_name(number))
}

fn summary_path(number: u64) -> PathBuf {
    Path::new(SEGMENTS).join(segment_name::summary_name(number))
}

fn slots_path(number: u64) -> PathBuf {
    Path::new(SEGMENTS).join(segment_name::slots_name(number))
}

/// Where the blank rest of a file begins.
fn content(bytes: &[u8]) -> usize {
    let last = bytes.iter().rposition(|&byte| byte != 0);
    last.map_or(0, |at| (at + 1).next_multiple_of(8))
}

/// A store of two sealed segments and one in use, before and after its last change.
struct Scene {
    files: Files,
    answers: Answers,
    files_before: Files,
    answers_before: Answers,
}

impl Scene {
    async fn play() -> Self {
        let dir = scratch();
        let store = open_small(dir.path());
        let commit = async |writes: Vec<Write>| {
            let unit = UnitOfWork {
                writes: writes.into(),
                ..UnitOfWork::default()
            };
            store.commit(&unit).await.unwrap();
        };
        commit(vec![prices(1)]).await;
        order(&store, "early", "ada").await;
        for number in HOLDS {
            commit(vec![Write::HoldPlaced(Box::new(hold(number)))]).await;
        }
        for token in ["paid", "declined", "open"] {
            commit(vec![Write::PaymentIntent(intent(token))]).await;
        }
        let declined = ended("declined", PaymentOutcome::Declined);
        let released = Write::HoldReleased {
            id: HoldId([2; 16]),
            released_sec: EpochSeconds::new(20),
            reason: ReleaseReason::Released,
        };
        // One frame of several records.
        commit(vec![Write::PaymentEnded(declined), released, prices(2)]).await;
        commit(vec![Write::SlotsForgotten(EpochSeconds::new(100))]).await;
        commit(lifecycle().into()).await;
        let paid = PlacedOrder {
            payment: Some(ended("paid", PaymentOutcome::Captured)),
            hold: Some(HoldId([1; 16])),
            ..placed(&store, "paid", "ada")
        };
        commit(vec![Write::OrderPlaced(Box::new(paid))]).await;
        // Orders only in the second segment, and in the third.
        commit(vec![
            block(1_000, BlockedSpots::All),
            block(2_000, BlockedSpots::Count(2)),
        ])
        .await;
        fill(&store, "more", 2).await;
        order(&store, "middle", "bob").await;
        commit(vec![update(&store, "early", 1)]).await;
        fill(&store, "still-more", 3).await;
        order(&store, "late", "bob").await;
        // Not in the second segment: a start reads the blocks in force, and nothing else of that segment.
        commit(vec![block(2_000, BlockedSpots::Count(3))]).await;
        commit(vec![update(&store, "early", 2)]).await;
        commit(vec![update(&store, "middle", 1)]).await;
        let before = Self::copy(dir.path());
        order(&store, "last", "ada").await;
        drop(store);
        let files = Self::copy(dir.path());
        Self {
            answers: Self::answers_of(&files).await,
            files,
            answers_before: Self::answers_of(&before).await,
            files_before: before,
        }
    }

    /// The files of a store, without its spares. Segments have their length, whether a spare was ready in time or not.
    fn copy(dir: &Path) -> Files {
        let mut files = read_files(dir);
        files.retain(|path, bytes| {
            path.extension().is_none_or(|extension| extension != "new") && content(bytes) > 0
        });
        for (path, bytes) in &mut files {
            if path.extension().is_some_and(|extension| extension == "log") {
                let length = bytes.len().max(usize::try_from(SMALL).unwrap());
                bytes.resize(length, 0);
            }
        }
        files
    }

    async fn answers_of(files: &Files) -> Answers {
        let dir = written(files);
        Answers::of(&open_small(dir.path())).await.unwrap()
    }

    fn log(&self, number: u64) -> &[u8] {
        &self.files[&log_path(number)]
    }

    /// What comes of opening the store after `change`.
    async fn judge_changed(&self, change: impl FnOnce(&mut Files)) -> Verdict {
        let mut files = self.files.clone();
        change(&mut files);
        judge(&files, &self.answers).await
    }

    /// Flips a bit of each of these bytes of a file, as many of each as there are rounds.
    async fn flip_each(
        &self,
        without: &[PathBuf],
        path: &Path,
        bytes: impl IntoIterator<Item = usize>,
        is_expected: impl Fn(&Verdict) -> bool,
    ) -> usize {
        let mut stores = 0;
        for at in bytes {
            for round in seeds(1) {
                let bit = (at * 5 + usize::try_from(round).unwrap()) % 8;
                let verdict = self
                    .judge_changed(|files| {
                        files.retain(|path, _| !without.contains(path));
                        files.get_mut(path).unwrap()[at] ^= 1 << bit;
                    })
                    .await;
                let place = path.display();
                assert!(
                    is_expected(&verdict),
                    "bit {bit} of byte {at} in {place}: {verdict:?}"
                );
                stores += 1;
            }
        }
        eprintln!("{stores} stores with a flipped bit in {}", path.display());
        assert!(stores > 0, "nothing was tried");
        stores
    }
}

/// Creates orders with tokens that begin so, until there is one in this segment.
async fn fill(store: &LogStore, begin: &str, segment: u64) {
    let newest = || {
        let times = (EpochSeconds::MIN, EpochSeconds::MAX);
        let segments = store.reader.index.segments_between(times.0, times.1);
        segments.into_iter().max()
    };
    let mut number = 0;
    while newest() < Some(segment) {
        order(store, &format!("{begin}-{number}"), "ada").await;
        number += 1;
    }
}

/// The used bytes of a segment's header, and some of the others.
fn header_bytes() -> impl Iterator<Item = usize> {
    (0..160).chain((160..SEGMENT_HEADER_BYTES).step_by(97))
}

/// The bytes of the frames of a segment.
fn frame_bytes(log: &[u8]) -> std::ops::Range<usize> {
    SEGMENT_HEADER_BYTES..content(log)
}

/// Some bytes behind the frames of a segment.
fn blank_bytes(log: &[u8]) -> impl Iterator<Item = usize> {
    (content(log)..log.len()).step_by(53)
}

#[tokio::test]
async fn the_scene_has_sealed_segments_with_summaries_and_one_in_use() {
    let scene = Scene::play().await;
    let names: Vec<_> = scene
        .files
        .keys()
        .map(|path| path.to_str().unwrap())
        .collect();
    let expected = [
        "acknowledged",
        "orders/000001.idx",
        "orders/000001.log",
        "orders/000001.slots",
        "orders/000002.idx",
        "orders/000002.log",
        "orders/000002.slots",
        "orders/000003.log",
    ];
    assert_eq!(names, expected);
    assert!(scene.answers.questions.iter().all(Option::is_some));
    assert!(scene.answers != scene.answers_before);
    assert_eq!(scene.judge_changed(|_| {}).await, Verdict::Right);
}

/// The negative control: an order that is missing unnoticed is found by the comparison.
#[tokio::test]
async fn a_store_that_lacks_an_order_is_found_out() {
    let scene = Scene::play().await;
    let verdict = judge(&scene.files_before, &scene.answers).await;
    assert!(matches!(verdict, Verdict::Wrong(_)), "{verdict:?}");
}

#[tokio::test]
async fn a_flipped_bit_in_a_segment_in_use_is_noticed() {
    let scene = Scene::play().await;
    let (path, log) = (log_path(3), scene.log(3));
    let is_rejected = |verdict: &Verdict| matches!(verdict, Verdict::Rejected(_));
    let frames = scene
        .flip_each(&[], &path, frame_bytes(log), is_rejected)
        .await;
    assert!(frames > 300, "{frames}");
    let is_right = |verdict: &Verdict| *verdict == Verdict::Right;
    scene
        .flip_each(&[], &path, blank_bytes(log), is_right)
        .await;
}

#[tokio::test]
async fn a_flipped_bit_in_a_sealed_segment_is_found_by_every_read_of_it() {
    let scene = Scene::play().await;
    let (path, log) = (log_path(2), scene.log(2));
    let is_found = |verdict: &Verdict| *verdict == Verdict::Found;
    let frames = scene
        .flip_each(&[], &path, frame_bytes(log), is_found)
        .await;
    assert!(frames > 1000, "{frames}");
    let is_right = |verdict: &Verdict| *verdict == Verdict::Right;
    scene
        .flip_each(&[], &path, blank_bytes(log), is_right)
        .await;
}

#[tokio::test]
async fn a_flipped_bit_in_the_segment_of_holds_and_payments_never_changes_an_answer() {
    let scene = Scene::play().await;
    let is_noticed = |verdict: &Verdict| matches!(verdict, Verdict::Found | Verdict::Rejected(_));
    let frames = frame_bytes(scene.log(1)).step_by(3);
    scene.flip_each(&[], &log_path(1), frames, is_noticed).await;
}

#[tokio::test]
async fn a_flipped_bit_in_a_sealed_segment_without_a_summary_is_noticed() {
    let scene = Scene::play().await;
    let frames = frame_bytes(scene.log(2)).step_by(3);
    let is_rejected = |verdict: &Verdict| matches!(verdict, Verdict::Rejected(_));
    scene
        .flip_each(&[summary_path(2)], &log_path(2), frames, is_rejected)
        .await;
}

#[tokio::test]
async fn a_flipped_bit_in_a_header_is_noticed_even_without_a_watermark() {
    let scene = Scene::play().await;
    let without_watermark = [PathBuf::from(WATERMARK)];
    for number in 1..=3 {
        let is_rejected = |verdict: &Verdict| matches!(verdict, Verdict::Rejected(_));
        scene
            .flip_each(&[], &log_path(number), header_bytes(), is_rejected)
            .await;
        for at in header_bytes().step_by(7) {
            let mut files = scene.files.clone();
            files.retain(|path, _| !without_watermark.contains(path));
            files.get_mut(&log_path(number)).unwrap()[at] ^= 1;
            let dir = written(&files);
            let error = LogStore::open_with(dir.path(), &small())
                .map(drop)
                .unwrap_err();
            assert!(
                matches!(error, OpenError::Damaged(_) | OpenError::Format(_)),
                "byte {at} of segment {number}: {error}"
            );
            for (path, bytes) in files {
                assert!(fs::read(dir.path().join(&path)).unwrap() == bytes);
            }
        }
    }
}

#[tokio::test]
async fn a_flipped_bit_in_what_is_made_of_records_or_in_the_watermark_makes_no_difference() {
    let scene = Scene::play().await;
    let is_right = |verdict: &Verdict| *verdict == Verdict::Right;
    for path in [
        summary_path(1),
        summary_path(2),
        slots_path(1),
        slots_path(2),
        WATERMARK.into(),
    ] {
        let bytes = 0..scene.files[&path].len();
        scene.flip_each(&[], &path, bytes, is_right).await;
    }
}

/// Bytes that mean nothing, the same every time.
fn garbage(count: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(count.try_into().unwrap());
    std::iter::repeat_with(|| random.u8(..))
        .take(count)
        .collect()
}

#[tokio::test]
async fn a_log_that_ends_anywhere_in_its_last_frame_has_lost_that_frame_or_is_rejected() {
    let scene = Scene::play().await;
    let path = log_path(3);
    let log = scene.log(3);
    let (begin, end) = (content(&scene.files_before[&path]), content(log));
    assert!(end - begin > 100, "{begin} to {end}");
    for cut in begin..end {
        let rest = end - cut;
        let tails = [
            ("nothing", vec![]),
            ("zeros", vec![0; log.len() - cut]),
            ("garbage", garbage(rest)),
            (
                "another segment",
                scene.log(2)[cut.min(scene.log(2).len() - rest)..][..rest].to_vec(),
            ),
        ];
        for (what, tail) in tails {
            let torn = [&log[..cut], &tail].concat();
            if torn.get(begin..end) == Some(&log[begin..end]) {
                // By chance it ends as it did.
                continue;
            }
            let acknowledged = scene
                .judge_changed(|files| {
                    files.insert(path.clone(), torn.clone());
                })
                .await;
            // With the personal part alone missing, the rest says that it was all there.
            let is_rejected = acknowledged.is_rejected_for("were acknowledged and only")
                || acknowledged.is_rejected_for("the personal data of an order");
            assert!(
                is_rejected,
                "acknowledged, {what} from {cut}: {acknowledged:?}"
            );
            let mut files = scene.files_before.clone();
            files.insert(path.clone(), torn);
            let verdict = judge(&files, &scene.answers_before).await;
            assert_eq!(
                verdict,
                Verdict::Right,
                "not acknowledged, {what} from {cut}"
            );
        }
    }
    let mut files = scene.files_before.clone();
    files.insert(path.clone(), log.to_vec());
    let verdict = judge(&files, &scene.answers).await;
    assert_eq!(verdict, Verdict::Right, "whole and not acknowledged");
}

/// A change of one of the files.
type Change = fn(&mut Files, &Path);

#[tokio::test]
async fn files_that_are_missing_empty_or_zero_are_noticed() {
    let scene = Scene::play().await;
    let changes: [(&str, Change); 4] = [
        ("missing", |files, path| {
            files.remove(path);
        }),
        ("empty", |files, path| files.get_mut(path).unwrap().clear()),
        ("zeros", |files, path| files.get_mut(path).unwrap().fill(0)),
        ("cut in half", |files, path| {
            let bytes = files.get_mut(path).unwrap();
            bytes.truncate(content(bytes) / 2);
        }),
    ];
    for path in scene.files.keys() {
        for (what, change) in changes {
            let verdict = scene.judge_changed(|files| change(files, path)).await;
            let is_log = path.extension().is_some_and(|extension| extension == "log");
            let is_expected = if is_log {
                matches!(verdict, Verdict::Rejected(_))
            } else {
                verdict == Verdict::Right
            };
            assert!(is_expected, "{} {what}: {verdict:?}", path.display());
        }
    }
}

#[tokio::test]
async fn a_sealed_segment_that_is_cut_or_zeroed_behind_its_header_is_found_by_every_read_of_it() {
    let scene = Scene::play().await;
    let path = log_path(2);
    let end = content(scene.log(2));
    for cut in (SEGMENT_HEADER_BYTES..end).step_by(5) {
        let verdict = scene
            .judge_changed(|files| files.get_mut(&path).unwrap().truncate(cut))
            .await;
        assert_eq!(verdict, Verdict::Found, "cut at {cut}");
        // The last bytes may be zeros as they are.
        let is_change = content(scene.log(2)) > cut + 8;
        let verdict = scene
            .judge_changed(|files| files.get_mut(&path).unwrap()[cut..].fill(0))
            .await;
        assert!(
            verdict == Verdict::Found || !is_change,
            "zeros from {cut}: {verdict:?}"
        );
    }
}

#[tokio::test]
async fn files_in_place_of_others_are_noticed() {
    let scene = Scene::play().await;
    for (one, other) in [(1, 2), (2, 3), (1, 3)] {
        let verdict = scene
            .judge_changed(|files| exchange(files, &log_path(one), &log_path(other)))
            .await;
        assert!(
            matches!(verdict, Verdict::Rejected(_)),
            "{one} and {other}: {verdict:?}"
        );
    }
    let verdict = scene
        .judge_changed(|files| exchange(files, &summary_path(1), &summary_path(2)))
        .await;
    assert_eq!(verdict, Verdict::Right, "summaries of each other");
    let verdict = scene
        .judge_changed(|files| exchange(files, &slots_path(1), &slots_path(2)))
        .await;
    assert_eq!(verdict, Verdict::Right, "indexes of slots of each other");
    // A segment moved up, and one twice.
    for (from, to) in [(3, 4), (2, 4), (1, 2)] {
        let verdict = scene
            .judge_changed(|files| {
                let log = files[&log_path(from)].clone();
                files.insert(log_path(to), log);
            })
            .await;
        assert!(
            matches!(verdict, Verdict::Rejected(_)),
            "{from} as {to}: {verdict:?}"
        );
    }
}

fn exchange(files: &mut Files, one: &Path, other: &Path) {
    let bytes = files[one].clone();
    let others = files.insert(other.to_owned(), bytes).unwrap();
    files.insert(one.to_owned(), others);
}

#[tokio::test]
async fn an_older_segment_in_place_of_a_newer_one_is_noticed() {
    let scene = Scene::play().await;
    let verdict = scene
        .judge_changed(|files| {
            files.insert(log_path(3), scene.files_before[&log_path(3)].clone());
        })
        .await;
    assert!(
        verdict.is_rejected_for("were acknowledged and only"),
        "{verdict:?}"
    );
    // A sealed segment as it was before its last frames were written.
    let end = content(scene.log(2));
    let mut older = scene.log(2).to_vec();
    older[end - 400..].fill(0);
    let verdict = scene
        .judge_changed(|files| {
            files.insert(log_path(2), older.clone());
        })
        .await;
    assert_eq!(verdict, Verdict::Found);
    let verdict = scene
        .judge_changed(|files| {
            files.insert(log_path(2), older.clone());
            files.remove(&summary_path(2));
        })
        .await;
    assert!(matches!(verdict, Verdict::Rejected(_)), "{verdict:?}");
}

/// The files of a store of three segments after more orders, of which the last begins the fourth.
async fn continued(files: &Files, begin: &str) -> Files {
    let dir = written(files);
    let store = open_small(dir.path());
    fill(&store, begin, 4).await;
    drop(store);
    Scene::copy(dir.path())
}

/// Two histories of one store, as after a restore from a backup: their files must not be mixed.
#[tokio::test]
async fn files_of_another_history_of_the_same_store_are_noticed() {
    let scene = Scene::play().await;
    let (one, other) = (
        continued(&scene.files, "one").await,
        continued(&scene.files, "two").await,
    );
    let answers = Scene::answers_of(&one).await;
    assert_eq!(judge(&one, &answers).await, Verdict::Right);
    let mixed = |paths: &[PathBuf]| {
        let mut files = one.clone();
        for path in paths {
            files.insert(path.clone(), other[path].clone());
        }
        files
    };
    assert!(one[&summary_path(3)] != other[&summary_path(3)]);
    let summary = judge(&mixed(&[summary_path(3)]), &answers).await;
    assert_eq!(
        summary,
        Verdict::Right,
        "a summary of another state is made anew"
    );
    for paths in [vec![log_path(4)], vec![log_path(3), summary_path(3)]] {
        let verdict = judge(&mixed(&paths), &answers).await;
        assert!(
            matches!(verdict, Verdict::Rejected(_)),
            "{paths:?}: {verdict:?}"
        );
    }
    // Frames of the same length stand at the same places, so that only the chain tells the histories apart.
    let (begin, end) = (content(scene.log(3)), content(&one[&log_path(3)]));
    let magic = *b"BoxFrm3\n";
    let second = (begin + 8..end)
        .find(|&at| one[&log_path(3)][at..].starts_with(&magic))
        .unwrap();
    let mut spliced = one.clone();
    let log = spliced.get_mut(&log_path(3)).unwrap();
    log[second..end].copy_from_slice(&other[&log_path(3)][second..end]);
    spliced.remove(&summary_path(3));
    let verdict = judge(&spliced, &answers).await;
    assert!(
        verdict.is_rejected_for("does not continue the one before it"),
        "{verdict:?}"
    );
}

#[tokio::test]
async fn files_of_another_store_are_noticed() {
    let (scene, stranger) = (Scene::play().await, Scene::play().await);
    for path in scene.files.keys() {
        let verdict = scene
            .judge_changed(|files| {
                files.insert(path.clone(), stranger.files[path].clone());
            })
            .await;
        let is_log = path.extension().is_some_and(|extension| extension == "log");
        let is_expected = if is_log {
            matches!(verdict, Verdict::Rejected(_))
        } else {
            verdict == Verdict::Right
        };
        assert!(is_expected, "{}: {verdict:?}", path.display());
    }
}

#[tokio::test]
async fn what_stands_in_spares_is_never_taken_for_orders() {
    let scene = Scene::play().await;
    let garbage = garbage(usize::try_from(SMALL).unwrap());
    let verdict = scene
        .judge_changed(|files| {
            let mut spare = vec![0; garbage.len()];
            spare[5000..5008].fill(7);
            files.insert(log_path(4), spare);
            files.insert(Path::new(SEGMENTS).join("000005.new"), garbage.clone());
            files.insert(Path::new(SEGMENTS).join("000009.idx"), garbage.clone());
        })
        .await;
    assert_eq!(verdict, Verdict::Right);
    for number in [4, 5] {
        let verdict = scene
            .judge_changed(|files| {
                files.insert(log_path(number), garbage.clone());
            })
            .await;
        assert!(
            verdict.is_rejected_for("the header of the segment"),
            "{number}: {verdict:?}"
        );
    }
}

#[tokio::test]
async fn a_store_with_a_damaged_record_sells_no_order_of_it_again() {
    let scene = Scene::play().await;
    let mut files = scene.files.clone();
    let log = files.get_mut(&log_path(1)).unwrap();
    let frames = frame_bytes(log);
    log[frames].fill(0x5a);
    let dir = written(&files);
    let opened = LogStore::open_with(dir.path(), &small());
    // Prices and holds are read when a store is opened.
    assert!(opened.is_err_and(|error| matches!(error, OpenError::Read(ReadError::Damaged(_)))));

    let mut files = scene.files.clone();
    let log = files.get_mut(&log_path(2)).unwrap();
    let frames = frame_bytes(log);
    log[frames].fill(0x5a);
    let dir = written(&files);
    let store = open_small(dir.path());
    let again = placed(&store, "middle", "bob");
    let key = store.order_key(&"middle".into());
    let found = store.find_request(&key).get().await;
    assert!(matches!(found, Err(ReadError::Damaged(_))), "{found:?}");
    let unit = UnitOfWork::write(Write::OrderPlaced(Box::new(again)))
        .requiring(Precondition::NewRequest(key));
    let refused = store.commit(&unit).await;
    assert!(
        matches!(refused, Err(CommitError::Unreadable(_))),
        "{refused:?}"
    );
    // That request only: others are written.
    assert!(store.health().borrow().is_ready());
    order(&store, "another", "bob").await;
}

#[tokio::test]
async fn a_newest_segment_that_is_gone_is_noticed_without_a_watermark_by_the_summary_before_it() {
    let scene = Scene::play().await;
    for (has_summary, is_noticed) in [(true, true), (false, false)] {
        let mut files = scene.files.clone();
        files.remove(Path::new(WATERMARK)).unwrap();
        let newest = files
            .keys()
            .rfind(|path| path.extension().is_some_and(|it| it == "log"))
            .unwrap()
            .clone();
        assert_eq!(newest, log_path(3));
        files.remove(&newest);
        if !has_summary {
            files.remove(&summary_path(2)).unwrap();
        }
        let dir = written(&files);
        let opened = LogStore::open_with(dir.path(), &small());
        let is_rejected = matches!(opened, Err(OpenError::Damaged(_)));
        assert_eq!(is_rejected, is_noticed, "{has_summary}: {opened:?}");
    }
}
