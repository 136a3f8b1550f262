//! Every state within the bounds, breadth first: the first violation found is one of the shortest there are.

use std::hash::{Hash, Hasher};

use super::table::{Fingerprints, Fx};

/// What can be explored.
pub(super) trait Model {
    /// A whole world.
    type State: Clone + Hash;
    /// One step of it.
    type Action: Clone;

    /// Where it begins.
    fn starts(&self) -> Vec<Self::State>;

    /// What can happen next. The order decides which of several shortest traces is found, so it must be the same every
    /// time.
    fn actions(&self, state: &Self::State, actions: &mut Vec<Self::Action>);

    /// What comes of it; `None` if nothing changes.
    fn next(&self, state: &Self::State, action: &Self::Action) -> Option<Self::State>;

    /// What must not be, if it is.
    fn violation(&self, state: &Self::State) -> Option<String>;
}

/// How far an exploration came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Different states.
    pub(super) states: usize,
    /// Steps from one to another that were tried, those to a known state included.
    pub(super) transitions: usize,
    /// The steps to the state that is furthest away.
    pub(super) depth: usize,
}

/// How a violation comes about.
#[derive(Clone, Debug)]
pub(super) struct Trace<A> {
    /// Which of the starts.
    pub(super) start: usize,
    /// The steps; after the last one, the violation.
    pub(super) actions: Vec<A>,
    /// What is violated.
    pub(super) what: String,
}

/// A state's parent, and the how-manieth of its actions led here.
type Link = (u32, u16);

/// A start has no parent.
const NONE: u32 = u32::MAX;

/// Explores until nothing new is found, or something must not be. Every new state is shown to `visit`, which may find
/// fault with it too.
pub(super) fn explore<M: Model>(
    model: &M,
    mut visit: impl FnMut(&M::State) -> Option<String>,
) -> (Extent, Option<Trace<M::Action>>) {
    let mut seen = Fingerprints::default();
    let mut links: Vec<Link> = Vec::new();
    let mut level: Vec<(u32, M::State)> = Vec::new();
    let mut extent = Extent { states: 0, transitions: 0, depth: 0 };
    let mut actions = Vec::new();
    for (index, start) in model.starts().into_iter().enumerate() {
        if seen.insert(fingerprint(&start)) {
            links.push((NONE, u16::try_from(index).unwrap()));
            level.push((number(links.len() - 1), start));
        }
    }
    loop {
        let mut next_level = Vec::new();
        for (at, state) in level.drain(..) {
            actions.clear();
            model.actions(&state, &mut actions);
            for (index, action) in actions.iter().enumerate() {
                let Some(next) = model.next(&state, action) else { continue };
                extent.transitions += 1;
                if !seen.insert(fingerprint(&next)) {
                    continue;
                }
                links.push((at, u16::try_from(index).unwrap()));
                if let Some(what) = model.violation(&next).or_else(|| visit(&next)) {
                    extent.states = links.len();
                    extent.depth += 1;
                    return (extent, Some(trace(model, &links, what)));
                }
                next_level.push((number(links.len() - 1), next));
            }
        }
        extent.states = links.len();
        if next_level.is_empty() {
            return (extent, None);
        }
        extent.depth += 1;
        level = next_level;
    }
}

/// Follows the links back from the state that was found last, and the actions forward again.
fn trace<M: Model>(model: &M, links: &[Link], what: String) -> Trace<M::Action> {
    let mut indices = Vec::new();
    let mut at = links.len() - 1;
    while links[at].0 != NONE {
        indices.push(usize::from(links[at].1));
        at = usize::try_from(links[at].0).unwrap();
    }
    let start = usize::from(links[at].1);
    let mut state = model.starts().swap_remove(start);
    let mut taken = Vec::new();
    for index in indices.into_iter().rev() {
        let mut actions = Vec::new();
        model.actions(&state, &mut actions);
        let action = actions.swap_remove(index);
        state = model.next(&state, &action).expect("it led here before");
        taken.push(action);
    }
    Trace { start, actions: taken, what }
}

/// Two states with one fingerprint would count as one: among ten million, that has a chance of three in a million.
pub(super) fn fingerprint(state: &impl Hash) -> u64 {
    let mut hasher = Fx::default();
    state.hash(&mut hasher);
    hasher.finish()
}

fn number(index: usize) -> u32 {
    u32::try_from(index).expect("no more states than fit")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two jugs of 3 and 5: fill, empty or pour until 4 are in the large one.
    struct Jugs;

    impl Model for Jugs {
        type State = (u8, u8);
        type Action = u8;

        fn starts(&self) -> Vec<(u8, u8)> {
            vec![(0, 0)]
        }

        fn actions(&self, _: &(u8, u8), actions: &mut Vec<u8>) {
            actions.extend(0..6);
        }

        fn next(&self, &(small, large): &(u8, u8), action: &u8) -> Option<(u8, u8)> {
            let poured = (small + large).min(5);
            let back = (small + large).min(3);
            let next = match action {
                0 => (3, large),
                1 => (small, 5),
                2 => (0, large),
                3 => (small, 0),
                4 => (small + large - poured, poured),
                _ => (back, small + large - back),
            };
            (next != (small, large)).then_some(next)
        }

        fn violation(&self, state: &(u8, u8)) -> Option<String> {
            (state.1 == 4).then(|| "four".to_owned())
        }
    }

    #[test]
    fn the_shortest_trace_is_found() {
        let (extent, trace) = explore(&Jugs, |_| None);
        let trace = trace.expect("it can be done");
        assert_eq!(trace.actions, [1, 5, 2, 5, 1, 5], "the well-known six steps");
        assert_eq!(extent.depth, 6);
    }

    #[test]
    fn what_is_found_by_the_visitor_ends_it_too_and_without_a_fault_everything_is_visited() {
        let (_, trace) = explore(&Jugs, |state| (*state == (3, 0)).then(|| "three".to_owned()));
        assert_eq!(trace.expect("one step").actions, [0]);
        struct Free;
        impl Model for Free {
            type State = (u8, u8);
            type Action = u8;
            fn starts(&self) -> Vec<(u8, u8)> {
                Jugs.starts()
            }
            fn actions(&self, state: &(u8, u8), actions: &mut Vec<u8>) {
                Jugs.actions(state, actions);
            }
            fn next(&self, state: &(u8, u8), action: &u8) -> Option<(u8, u8)> {
                Jugs.next(state, action)
            }
            fn violation(&self, _: &(u8, u8)) -> Option<String> {
                None
            }
        }
        // Of the 24 states, those in which neither jug is full or empty cannot be reached: 2 by 4 of them.
        let (extent, trace) = explore(&Free, |_| None);
        assert!(trace.is_none());
        assert_eq!(extent.states, 16);
    }
}
