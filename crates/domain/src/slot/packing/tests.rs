use proptest::{collection::vec, prelude::*};

use super::*;

fn draws(pools: &[u16]) -> Draws {
    pools.into()
}

fn all(types: &[&[u16]]) -> Vec<Draws> {
    types.iter().map(|pools| draws(pools)).collect()
}

/// The most that fits, by trying everything.
fn by_trying(left: &[u32], types: &[Draws]) -> u64 {
    let Some((first, others)) = types.split_first() else {
        return 0;
    };
    let fits = first
        .iter()
        .map(|&pool| left[usize::from(pool)])
        .min()
        .unwrap_or(0);
    let rest = |count: u32| {
        let mut left = left.to_vec();
        first
            .iter()
            .for_each(|&pool| left[usize::from(pool)] -= count);
        u64::from(count) + by_trying(&left, others)
    };
    (0..=fits).map(rest).max().unwrap_or(0)
}

#[test]
fn the_most_that_fits_whatever_pools_cross() {
    let triangle: &[&[u16]] = &[&[0, 1], &[1, 2], &[0, 2]];
    let path: &[&[u16]] = &[&[0], &[0, 1], &[1]];
    let pentagon: &[&[u16]] = &[&[0, 1], &[1, 2], &[2, 3], &[3, 4], &[4, 0]];
    // The seven lines of the smallest projective plane: any two of them meet.
    let plane: &[&[u16]] = &[
        &[0, 1, 2],
        &[0, 3, 4],
        &[0, 5, 6],
        &[1, 3, 5],
        &[1, 4, 6],
        &[2, 3, 6],
        &[2, 4, 5],
    ];
    for (left, types, expected) in [
        (&[][..], &[][..], 0),
        (&[5], &[&[][..]], 0),
        (&[5], &[&[0]], 5),
        (&[5, 5], path, 10),
        (&[5, 5], &[&[0, 1]], 5),
        (&[4, 6, 8], &[&[0, 2], &[1, 2]], 8),
        (&[1, 1, 1], triangle, 1),
        (&[3, 3, 3], triangle, 4),
        (&[2, 2, 9], triangle, 4),
        (&[1, 1, 1, 1, 1], pentagon, 2),
        (&[3, 3, 3, 3, 3], pentagon, 7),
        (&[1; 7], plane, 1),
        (&[2; 7], plane, 4),
        (&[u32::MAX; 3], triangle, 3 * u64::from(u32::MAX) / 2),
        (&[u32::MAX; 7], plane, 7 * u64::from(u32::MAX) / 3),
        (
            &[u32::MAX, u32::MAX],
            &[&[0], &[1]],
            2 * u64::from(u32::MAX),
        ),
    ] {
        assert_eq!(most(left, all(types)), expected, "{left:?} {types:?}");
    }
}

#[test]
fn more_pools_than_are_searched_give_what_fits_and_the_same_in_every_order() {
    // A ring of pools, each of which shares a type with the next: all of it is one group.
    let ring = |pools: u16| -> Vec<Draws> {
        (0..pools)
            .map(|at| {
                draws(&if at + 1 < pools {
                    [at, at + 1]
                } else {
                    [0, at]
                })
            })
            .collect()
    };
    for (pools, expected) in [(7, 35), (8, 40), (9, 40), (40, 200), (41, 200)] {
        let left = vec![10; usize::from(pools)];
        let mut types = ring(pools);
        let found = most(&left, types.clone());
        assert!(
            found <= u64::from(pools) * 5 && found >= expected,
            "{pools}: {found}"
        );
        types.reverse();
        assert_eq!(most(&left, types), found, "{pools}");
    }
    // Groups are searched each for itself.
    let triangles: Vec<Draws> = (0..100)
        .flat_map(|at| {
            all(&[
                &[3 * at, 3 * at + 1],
                &[3 * at + 1, 3 * at + 2],
                &[3 * at, 3 * at + 2],
            ])
        })
        .collect();
    assert_eq!(most(&[3; 300], triangles), 400);
}

/// All kinds that draw on three of eight pools, as many as are searched: no search is longer.
#[test]
fn the_largest_search_ends_within_its_steps() {
    let mut kinds = Vec::new();
    for a in 0..8 {
        for b in a + 1..8 {
            for c in b + 1..8 {
                kinds.push(draws(&[a, b, c]));
            }
        }
    }
    kinds.truncate(MAX_KINDS);
    for left in [
        [1, 2, 3, 4, 5, 6, 7, 8],
        [7; 8],
        [1_000_003, 999_983, 77, 5, 4_000_037, 31, 1_009, 10_007],
    ] {
        let group: SmallVec<[Draws; 4]> = kinds.iter().cloned().collect();
        let problem = Problem::of(&left, &group);
        assert_eq!(
            (problem.shared.len(), problem.caps.len()),
            (MAX_POOLS, MAX_KINDS)
        );
        let found = most(&left, kinds.clone());
        assert!(found >= take_in_turn(&mut left.to_vec(), &group));
    }
}

prop_compose! {
    fn any_kind(pools: u16)(members in prop::sample::subsequence((0..pools).collect::<Vec<_>>(), 0..=4)) -> Draws {
        draws(&members)
    }
}

proptest! {
    #[test]
    fn it_is_what_trying_everything_gives(
        left in vec(0..6_u32, 5),
        types in vec(any_kind(5), 0..6),
    ) {
        prop_assert_eq!(most(&left, types.clone()), by_trying(&left, &types), "{:?} {:?}", left, types);
    }

    #[test]
    fn the_order_of_types_says_nothing(
        left in vec(prop_oneof![0..9_u32, any::<u32>()], 12),
        (types, shuffled) in vec(any_kind(12), 0..30)
            .prop_flat_map(|types| (Just(types.clone()), Just(types).prop_shuffle())),
    ) {
        prop_assert_eq!(most(&left, types), most(&left, shuffled));
    }

    #[test]
    fn taking_in_turn_fits_and_is_never_more(left in vec(0..6_u32, 5), types in vec(any_kind(5), 0..6)) {
        let in_turn = take_in_turn(&mut left.clone(), &types.iter().filter(|it| !it.is_empty()).cloned().collect::<Vec<_>>());
        prop_assert!(in_turn <= most(&left, types));
    }
}

/// The negative control of the search.
#[test]
fn taking_in_turn_is_not_enough_where_pools_cross() {
    let types = all(&[&[0, 1], &[0, 2], &[1, 2]]);
    assert!(crosses(&types));
    assert_eq!(
        (
            take_in_turn(&mut [3, 3, 3], &types),
            by_trying(&[3, 3, 3], &types)
        ),
        (3, 4)
    );
}
